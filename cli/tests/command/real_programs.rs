//! `binframe sql` on programs of the system, compared with readelf, nm and objdump.

use std::path::Path;
use std::process::Command;

/// Programs to query, if the system has them.
const PROGRAMS: [&str; 3] = ["/usr/bin/ls", "/usr/bin/env", "/usr/bin/objdump"];

fn output(program: &str, arguments: &[&str], file: &str) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().expect("binutils are there");
    assert!(output.status.success(), "{program} {arguments:?} {file}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file, as other tools describe it.
struct Tools<'a> {
    file: &'a str,
}

impl Tools<'_> {
    fn readelf(&self, arguments: &[&str]) -> String {
        output("readelf", &[&["-W"], arguments].concat(), self.file)
    }

    /// The number of lines of readelf with a text.
    fn lines(&self, argument: &str, text: &str) -> u64 {
        self.readelf(&[argument]).lines().filter(|line| line.contains(text)).count() as u64
    }

    /// The sections: the words after each section number.
    fn sections(&self) -> Vec<Vec<String>> {
        let text = self.readelf(&["-S"]);
        let rows = text.lines().filter_map(|line| line.trim().strip_prefix('[')?.split_once(']'));
        let rows = rows.filter(|(number, _)| number.trim().parse::<u32>().is_ok());
        rows.map(|(_, row)| row.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// The size of a section.
    fn section_size(&self, name: &str) -> u64 {
        let sections = self.sections();
        let row =
            sections.iter().find(|row| row.first().is_some_and(|own| own == name)).expect("it is there");
        u64::from_str_radix(&row[4], 16).expect("hexadecimal")
    }

    /// The number of dynamic symbols that satisfy a predicate of type, binding and section.
    fn symbols(&self, is_counted: impl Fn(&str, &str, &str) -> bool) -> u64 {
        let text = self.readelf(&["--dyn-syms"]);
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let rows = rows.filter(|row| {
            row.first().is_some_and(|number| {
                number.strip_suffix(':').is_some_and(|number| number.parse::<u32>().is_ok())
            })
        });
        rows.filter(|row| is_counted(row[3], row[4], row[6])).count() as u64
    }

    /// The number of instructions with a mnemonic in `.text`.
    fn instructions(&self, mnemonic: &str) -> u64 {
        let text = output("objdump", &["-d", "-M", "intel", "--no-show-raw-insn", "-j", ".text"], self.file);
        let own = |line: &&str| {
            line.split('\t').nth(1).is_some_and(|rest| rest.split_whitespace().any(|word| word == mnemonic))
        };
        text.lines().filter(own).count() as u64
    }
}

type Expected = fn(&Tools<'_>) -> u64;

/// Mnemonics that are counted in `.text`.
const MNEMONICS: [&str; 6] = ["call", "ret", "lea", "endbr64", "cpuid", "syscall"];

/// Queries for one number, and that number by another tool.
const QUERIES: &[(&str, Expected)] = &[
    ("SELECT count(*) FROM binary_sections", |tools| tools.sections().len() as u64),
    ("SELECT count(*) FROM binary_sections WHERE is_executable", |tools| {
        tools.sections().iter().filter(|row| row.len() > 9 && row[6].contains('X')).count() as u64
    }),
    ("SELECT size FROM section_map WHERE section_name = '.text'", |tools| tools.section_size(".text")),
    ("SELECT size FROM section_map WHERE section_name = '.bss'", |tools| tools.section_size(".bss")),
    ("SELECT byte_length(content) FROM binary_sections WHERE section_name = '.rodata'", |tools| {
        tools.section_size(".rodata")
    }),
    ("SELECT count(*) FROM binary_segments", |tools| {
        let text = tools.readelf(&["-h"]);
        let line = text.lines().find(|line| line.contains("Number of program headers")).expect("it is there");
        line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number")
    }),
    ("SELECT entry_address FROM binary_headers", |tools| {
        let text = tools.readelf(&["-h"]);
        let line = text.lines().find(|line| line.contains("Entry point address")).expect("it is there");
        u64::from_str_radix(line.rsplit("0x").next().expect("a number"), 16).expect("hexadecimal")
    }),
    ("SELECT count(*) FROM binary_symbols WHERE is_dynamic", |tools| tools.symbols(|_, _, _| true) - 1),
    ("SELECT count(*) FROM binary_symbols WHERE is_dynamic AND definition_kind = 'undefined'", |tools| {
        tools.symbols(|_, _, section| section == "UND") - 1
    }),
    ("SELECT count(*) FROM binary_symbols WHERE is_dynamic AND binding = 'weak'", |tools| {
        tools.symbols(|_, binding, _| binding == "WEAK")
    }),
    ("SELECT count(*) FROM binary_symbols WHERE is_dynamic AND symbol_type = 'function'", |tools| {
        tools.symbols(|kind, _, _| kind == "FUNC")
    }),
    ("SELECT count(*) FROM binary_symbols WHERE is_dynamic AND symbol_type = 'variable'", |tools| {
        tools.symbols(|kind, _, _| kind == "OBJECT")
    }),
    ("SELECT count(*) FROM binary_imports", |tools| {
        let undefined = output("nm", &["-D", "--undefined-only"], tools.file).lines().count() as u64;
        // Variables that the loader copies from a library.
        undefined + tools.lines("-r", "R_X86_64_COPY")
    }),
    ("SELECT count(*) FROM binary_libraries WHERE kind = 'needed'", |tools| tools.lines("-d", "(NEEDED)")),
    ("SELECT count(*) FROM binary_relocations", |tools| tools.lines("-r", "R_X86_64_")),
    ("SELECT count(*) FROM binary_relocations WHERE relocation_type LIKE '%RELATIVE'", |tools| {
        tools.lines("-r", "R_X86_64_RELATIVE")
    }),
    ("SELECT count(*) FROM binary_unwind_entries WHERE unwind_kind = 'eh_frame'", |tools| {
        tools.lines("--debug-dump=frames", " FDE ")
    }),
    ("SELECT count(*) FROM binary_notes WHERE owner = 'GNU'", |tools| tools.lines("-n", "GNU  ")),
    (
        "SELECT sum(i.size) FROM instructions i JOIN binary_sections USING (section_index) WHERE section_name = '.text'",
        |tools| tools.section_size(".text"),
    ),
];

/// The answer to a query for one number.
fn number(query: &str, file: &str) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_binframe"));
    let output = command.args(["sql", query, file, "--format", "csv"]).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = text.lines().nth(1).and_then(|value| value.parse().ok());
    answer.unwrap_or_else(|| panic!("{query} of {file}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn counts_match_other_tools() {
    for file in PROGRAMS.into_iter().filter(|file| Path::new(file).exists()) {
        let tools = Tools { file };
        for (query, expected) in QUERIES {
            assert_eq!(number(query, file), expected(&tools), "{query} of {file}");
        }
        for mnemonic in MNEMONICS {
            let query = format!(
                "SELECT count(*) FROM instructions JOIN binary_sections USING (section_index)
                 WHERE section_name = '.text' AND mnemonic = '{mnemonic}'"
            );
            assert_eq!(number(&query, file), tools.instructions(mnemonic), "{mnemonic} of {file}");
        }
    }
}
