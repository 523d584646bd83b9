//! Tables of ELF and PE files are equal to the output of `llvm-readobj`.
//!
//! The test makes a sample of the ELF files of [`matrix`](binframe_testsuite::matrix). With `BINFRAME_MATRIX=FOLDER` it
//! makes all of them there; with `BINFRAME_COMPARE=FOLDER` it takes the ELF and PE files below the folder instead.
//!
//! Each module reads one table twice: from binframe, and from what the tool prints. `rows` compares the two cell by
//! cell, and `explained` lists the differences that are right.
#![expect(clippy::unnecessary_wraps, reason = "all tables are read by functions of one type")]

mod blocks;
mod dynamic;
mod explained;
mod files;
mod headers;
mod notes;
mod pe;
mod relocations;
mod rows;
mod sections;
mod segments;
mod symbols;

use binframe::passes::file::linkage::{self, LinkageIr};
use binframe::passes::file::sections::SectionsIr;
use binframe::read_file;
use binframe_testsuite::tools;
use explained::EXPLAINED;
use rayon::prelude::*;
use rows::{Difference, Row};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

/// Minimum number of facts of each table in a sample.
const FACTS_MIN: usize = 10;

/// Maximum number of kinds of differences that are printed.
const DIFFERENCES_SHOWN_MAX: usize = 200;

/// The tables of a file, and what the tool says about it.
struct File {
    sections: SectionsIr,
    linkage: LinkageIr,
    printed: Value,
    /// Relocations that the dynamic section names, one per line, if the file has no section headers. The tool does not
    /// print them as JSON.
    dynamic_relocations: Option<String>,
}

/// Reads the rows of a table; `None` if the tool cannot print the table of this file.
type Read = fn(&File) -> Option<Vec<Row>>;

/// A file format, with the options that print its tables.
struct Format {
    /// The first bytes of a file.
    magic: &'static [u8],
    options: &'static [&'static str],
    /// Reads the output of the tool.
    parse: fn(String) -> Result<Value, String>,
    /// Tables, each with the functions that read it from binframe and from the tool.
    tables: &'static [(&'static str, Read, Read)],
}

const ELF: Format = Format {
    magic: b"\x7fELF",
    options: &[
        "--elf-output-style=JSON",
        "--file-headers",
        "--sections",
        "--program-headers",
        "--symbols",
        "--dyn-symbols",
        "--relocations",
        "--dynamic-table",
        "--needed-libs",
        "--notes",
    ],
    parse: json,
    tables: &[
        ("binary_headers", headers::found, headers::expected),
        ("binary_sections", sections::found, sections::expected),
        ("binary_segments", segments::found, segments::expected),
        ("binary_symbols", symbols::found, symbols::expected),
        ("binary_relocations", relocations::found, relocations::expected),
        ("binary_loader_commands", dynamic::found_commands, dynamic::expected_commands),
        ("binary_libraries", dynamic::found_libraries, dynamic::expected_libraries),
        ("binary_notes", notes::found, notes::expected),
    ],
};

const PE: Format = Format {
    magic: b"MZ",
    options: &["--file-headers", "--sections", "--coff-imports", "--coff-exports", "--coff-basereloc"],
    parse: |text| Ok(blocks::parse(&text)),
    tables: &[
        ("binary_sections", pe::found_sections, pe::expected_sections),
        ("binary_imports", pe::found_imports, pe::expected_imports),
        ("binary_exports", pe::found_exports, pe::expected_exports),
        ("binary_relocations", pe::found_relocations, pe::expected_relocations),
    ],
};

/// Number of equal cells of each table, and the cells that differ.
#[derive(Default)]
struct Outcome {
    facts: BTreeMap<&'static str, usize>,
    differences: Vec<Difference>,
}

#[test]
fn tables_match_llvm_readobj() {
    let Some(tool) = tools::find("llvm-readobj") else { return };
    let files = files::files();
    let compared = files.paths().par_iter().map(|path| compare(&tool, path));
    let outcome = compared.reduce(Outcome::default, Outcome::and);
    let mut explained = vec![0; EXPLAINED.len()];
    let mut unexplained: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for difference in &outcome.differences {
        match EXPLAINED.iter().position(|row| row.explains(difference)) {
            Some(row) => explained[row] += 1,
            None => unexplained.entry(difference.kind()).or_default().push(difference),
        }
    }
    for (table, facts) in &outcome.facts {
        eprintln!("{table}: {facts} facts are the same");
    }
    for (row, count) in EXPLAINED.iter().zip(explained).filter(|(_, count)| *count > 0) {
        eprintln!("{}: {count} differences: {}", row.column, row.reason);
    }
    let count: usize = unexplained.values().map(Vec::len).sum();
    let facts: usize = outcome.facts.values().sum();
    eprintln!("{}", files.description());
    eprintln!(
        "{} files, {facts} facts, {} explained and {count} unexplained differences",
        files.paths().len(),
        outcome.differences.len() - count
    );
    let mut shown: Vec<_> = unexplained.values().collect();
    shown.sort_by_key(|differences| Reverse(differences.len()));
    shown.truncate(DIFFERENCES_SHOWN_MAX);
    let shown = shown.iter().map(|differences| format!("{} times {}", differences.len(), differences[0]));
    assert!(count == 0, "{count} differences:\n{}", shown.collect::<Vec<_>>().join("\n"));
    if files.is_of_matrix() {
        for (table, ..) in ELF.tables {
            assert!(
                outcome.facts.get(table).is_some_and(|facts| *facts >= FACTS_MIN),
                "too few facts of {table}"
            );
        }
    }
}

impl Outcome {
    fn and(mut self, other: Self) -> Self {
        for (table, facts) in other.facts {
            *self.facts.entry(table).or_default() += facts;
        }
        self.differences.extend(other.differences);
        self
    }
}

fn compare(tool: &str, path: &Path) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(format) = Format::of(path) else { return outcome };
    let file = match read(tool, &format, path) {
        Ok(file) => file,
        Err(error) => {
            outcome.differences.push(Difference::of_file(path, error));
            return outcome;
        }
    };
    for (table, found, expected) in format.tables {
        let (Some(found), Some(expected)) = (found(&file), expected(&file)) else { continue };
        let facts = rows::compare(path, table, found, expected, &mut outcome.differences);
        *outcome.facts.entry(table).or_default() += facts;
    }
    outcome
}

fn read(tool: &str, format: &Format, path: &Path) -> Result<File, String> {
    let input = read_file(path).map_err(|error| error.to_string())?.0;
    let sections = binframe::passes::file::sections::run(&input, 0).map_err(|error| error.to_string())?;
    let linkage = linkage::run(&input, &sections);
    let printed = (format.parse)(print(tool, format.options, path))?;
    let has_sections = printed["Sections"].as_array().is_some_and(|sections| !sections.is_empty());
    let dynamic_relocations = (!has_sections).then(|| print(tool, &["--dyn-relocations"], path));
    Ok(File { sections, linkage, printed, dynamic_relocations })
}

/// Output of the tool. Invalid UTF-8 is replaced, as in the tables.
fn print(tool: &str, options: &[&str], path: &Path) -> String {
    let output = Command::new(tool).args(options).arg(path).output().expect("the tool is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The only file of the JSON that the tool prints.
fn json(text: String) -> Result<Value, String> {
    let mut files: Value = serde_json::from_str(&repaired(text)).map_err(|error| error.to_string())?;
    Ok(files[0].take())
}

/// The tool does not print a machine that it does not know as JSON, but as `Machine: 0x9026` on a line.
fn repaired(text: String) -> String {
    let Some((before, rest)) = text.split_once("Machine: 0x") else { return text };
    let Some((digits, after)) = rest.split_once('\n') else { return text };
    match u32::from_str_radix(digits, 16) {
        Ok(machine) => format!("{before},\"Machine\":{{\"Value\":{machine}}}{after}"),
        Err(_) => text,
    }
}

impl Format {
    /// The format of a file, by its first bytes.
    fn of(path: &Path) -> Option<Self> {
        let mut start = [0; 4];
        std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).ok()?;
        [ELF, PE].into_iter().find(|format| start.starts_with(format.magic))
    }
}
