//! Sections and symbols are those that `readelf` reads, and instructions those that `objdump` disassembles.

use binframe::ir::Enumeration;
use binframe_testsuite::executable::{Options, from_clif_with};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::patch::Patch;
use binframe_testsuite::tools::output;
use binframe_testsuite::{fixtures, programs};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Real executables; those that are there are compared, and a compiled program on every machine.
const EXECUTABLES: [&str; 4] = ["/usr/bin/env", "/usr/bin/ls", "/usr/bin/bash", "/usr/bin/dash"];

fn executables() -> Vec<PathBuf> {
    let mut executables: Vec<_> =
        EXECUTABLES.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    executables.push(programs::compile_rust("tokens", programs::TOKENS_RS, &["-O"]));
    executables
}

fn lowered(path: &Path) -> Tables {
    tables(&Bytes::from(fs::read(path).expect("the file can be read")))
}

/// Address, size.
type Lengths = BTreeMap<u64, usize>;

/// The instructions as `objdump` prints them: ` 401000:\t55                   \tpush   %rbp`.
fn objdump(path: &Path) -> Option<Lengths> {
    let text = output("objdump", &["-d", "-z", "-w"], path)?;
    let instruction = |line: &str| {
        let mut columns = line.split('\t');
        let address = u64::from_str_radix(columns.next()?.trim().strip_suffix(':')?, 16).ok()?;
        Some((address, columns.next()?.split_whitespace().count()))
    };
    Some(text.lines().filter_map(instruction).collect())
}

/// Code that `objdump` reads otherwise, and why.
struct Difference {
    reason: &'static str,
    code: &'static [u8],
    objdump: &'static [usize],
    own: &'static [usize],
}

const DIFFERENCES: [Difference; 4] = [
    Difference {
        reason: "`wait` is an instruction of its own, though assemblers have names for it and the x87 instruction behind",
        code: &[0x9b, 0xd9, 0x3c, 0x24],
        objdump: &[4],
        own: &[1, 3],
    },
    Difference {
        reason: "a REX prefix before another is part of the instruction, and ignored; objdump prints it alone",
        code: &[0x47, 0x47, 0xc9],
        objdump: &[1, 2],
        own: &[3],
    },
    Difference {
        reason: "there is no such segment register: the first byte begins no instruction, and the next may",
        code: &[0x8c, 0xf1],
        objdump: &[2],
        own: &[1, 1],
    },
    Difference {
        reason: "`lock` before an instruction that cannot be locked raises an exception: it begins no instruction",
        code: &[0xf0, 0x48, 0x89, 0xc7],
        objdump: &[4],
        own: &[1, 3],
    },
];

#[test]
fn instructions_are_those_of_objdump() {
    for path in executables() {
        let Some(expected) = objdump(&path) else { return };
        assert_same(&path, &expected, &lengths(&lowered(&path)));
    }
}

#[test]
fn what_objdump_reads_otherwise_is_known() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("odd");
    let options = Options { symbols: false, eh_frame: false, ..Options::default() };
    let plain = Patch(from_clif_with(fixtures::LOOPS_AND_CALLS, &options).bytes);
    for difference in &DIFFERENCES {
        let code: Vec<u8> = difference.code.iter().copied().chain([0x90; 16]).collect();
        let mut file = plain.clone();
        file.replace_section(1, &code);
        fs::write(&path, &file.0).expect("the temporary folder is writable");
        let Some(theirs) = objdump(&path) else { return };
        let sizes = |lengths: &Lengths| -> Vec<usize> {
            lengths.values().copied().take(lengths.len() - 16).collect()
        };
        let own = lengths(&lowered(&path));
        assert_ne!(difference.objdump, difference.own, "{}", difference.reason);
        assert_eq!(sizes(&theirs), difference.objdump, "objdump: {}", difference.reason);
        assert_eq!(sizes(&own), difference.own, "{}", difference.reason);
    }
}

fn lengths(tables: &Tables) -> Lengths {
    tables.instructions.columns().iter().map(|row| (row.address, usize::from(row.size))).collect()
}

fn assert_same(path: &Path, expected: &Lengths, found: &Lengths) {
    let missing: Vec<_> =
        expected.iter().filter(|(address, size)| found.get(address) != Some(size)).take(5).collect();
    assert!(missing.is_empty(), "{}: not as in objdump: {missing:x?}", path.display());
    assert_eq!(expected.len(), found.len(), "{}: objdump has fewer", path.display());
}

/// A section as `readelf` prints it: index, name, address, file offset, size, alignment, and its `W`, `A` and `X` flags.
type Section = (u32, String, u64, u64, u64, u64, [bool; 3]);

#[test]
fn sections_are_those_of_readelf() {
    for path in executables() {
        let Some(text) = output("readelf", &["-S", "-W"], &path) else { return };
        let expected: Vec<Section> = text.lines().filter_map(readelf_section).collect();
        let tables = lowered(&path);
        let sections = tables.lowered.sections.sections.columns();
        let found: Vec<Section> = sections
            .iter()
            .map(|row| {
                let flags = [row.is_writable, row.is_readable, row.is_executable];
                let name = row.section_name.to_owned();
                (row.section_index, name, row.address, row.file_offset, row.size, row.alignment, flags)
            })
            .collect();
        assert!(expected.len() > 5);
        assert_eq!(found, expected, "{}", path.display());
        for row in sections.iter() {
            let in_file = if row.file_size == 0 { 0 } else { row.size };
            assert_eq!((row.file_size, row.content.len() as u64), (in_file, in_file), "{row:?}");
        }
    }
}

/// `  [ 1] .text PROGBITS 0000000000401000 001000 0000d9 00  AX  0   0 16`; the first has no name, and many no flags.
fn readelf_section(line: &str) -> Option<Section> {
    let (index, rest) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    let index = index.trim().parse().ok()?;
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    if words.first() == Some(&"NULL") {
        words.insert(0, "");
    }
    let hexadecimal = |word: &str| u64::from_str_radix(word, 16).expect("readelf prints numbers");
    let flags = if words.len() == 10 { words[6] } else { "" };
    let flags = ['W', 'A', 'X'].map(|flag| flags.contains(flag));
    let alignment = words.last()?.parse().expect("readelf prints numbers");
    let name = words[0].to_owned();
    Some((index, name, hexadecimal(words[2]), hexadecimal(words[3]), hexadecimal(words[4]), alignment, flags))
}

/// A symbol: whether it is dynamic, index, name, address, size; type, binding, visibility; section.
type Symbol = (bool, u32, String, u64, u64, [String; 3], Option<u32>);

/// One difference: a name of the dynamic table is as stored, where `readelf` adds the version that stands in another section,
/// as in `getenv@GLIBC_2.2.5 (2)`.
#[test]
fn symbols_are_those_of_readelf() {
    for path in executables() {
        let Some(text) = output("readelf", &["-s", "-W"], &path) else { return };
        let tables = lowered(&path);
        let symbols = tables.lowered.sections.symbols.columns();
        let found = symbols.iter().map(|row| {
            let names = [row.symbol_type, row.binding.name(), row.visibility.name()].map(str::to_owned);
            let name = row.symbol_name.to_owned();
            let (address, size) = (row.symbol_address, row.symbol_size);
            (row.is_dynamic, row.symbol_index, name, address, size, names, row.section_index)
        });
        let expected = readelf_symbols(&text);
        assert!(expected.len() > 20 && expected.iter().any(|symbol| symbol.0));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{}", path.display());
    }
}

/// The symbols but the first of each table, in the order of tables and symbols.
fn readelf_symbols(text: &str) -> Vec<Symbol> {
    let mut is_dynamic = false;
    let mut symbols = Vec::new();
    for line in text.lines() {
        if let Some(table) = line.strip_prefix("Symbol table ") {
            is_dynamic = table.starts_with("'.dynsym'");
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let index = words.first().and_then(|word| word.strip_suffix(':')?.parse::<u32>().ok());
        let Some(index) = index.filter(|index| *index > 0) else { continue };
        let size = match words[2].strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => words[2].parse(),
        };
        let name = words.get(7).copied().unwrap_or_default();
        let name = if is_dynamic { name.split('@').next().unwrap_or_default() } else { name };
        let kind = match words[3] {
            "FUNC" => "function",
            "OBJECT" | "COMMON" => "variable",
            "IFUNC" => "indirect_function",
            "NOTYPE" => "unknown",
            other => &other.to_lowercase(),
        };
        let names = [kind.to_owned(), words[4].to_lowercase(), words[5].to_lowercase()];
        let address = u64::from_str_radix(words[1], 16).expect("readelf prints numbers");
        let size = size.expect("readelf prints numbers");
        symbols.push((is_dynamic, index, name.to_owned(), address, size, names, words[6].parse().ok()));
    }
    symbols.sort();
    symbols
}
