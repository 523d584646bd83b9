//! The tables of a file's structure and of its debug information are equal to the output of other tools.
//!
//! The test makes a sample of the files of [`matrix`](binframe_testsuite::matrix). With `BINFRAME_MATRIX=FOLDER` it makes
//! all of them there; with `BINFRAME_COMPARE=FOLDER` it takes the files below the folder instead. It compares:
//!
//! | files | with | tables `binary_…` |
//! |---|---|---|
//! | ELF | llvm-readobj | `headers`, `segments`, `sections`, `symbols`, `relocations`, `loader_commands`, `libraries` (needed ones), `notes` |
//! | ELF | eu-readelf | `sections`, `symbols`; of core dumps `thread_registers`, `attributes` (auxiliary vector), `mapped_files` |
//! | PE | llvm-readobj | `headers`, `sections`, `symbols`, `libraries`, `imports`, `exports`, `relocations`, `unwind_entries` (function tables) |
//! | COFF | llvm-readobj | `headers`, `sections`, `symbols`, `relocations` |
//! | Mach-O | llvm-readobj, llvm-objdump | `headers`, `segments`, `sections`, `symbols`, `relocations`, `loader_commands`, `attributes` (fields of load commands), `libraries`, `imports`, `exports`, `unwind_entries` (compact) |
//! | archives, universal files | llvm-ar, llvm-nm, llvm-objdump | the members, and the symbols that the index of an archive names |
//! | with DWARF | llvm-dwarfdump | `unwind_entries`; `debug_units`, `debug_lines`, `debug_functions`, `debug_variables`, `debug_types`, `debug_type_members` up to a size of `.debug_info` |
//! | PE and Mach-O up to a size | pefile, LIEF | `imports` with their libraries, `exports`, `resources` |
//! | ELF up to a size | LIEF | `imports` and `exports` with versions, `initializers` |
//!
//! Members of containers are compared as files of their own, of an archive only some.
//!
//! `cargo xtask peers-files` also runs the test `readelf` on the files of the matrix.
//!
//! Not compared here: `binary_initializers` of PE and Mach-O (tests `pe`, `macho`), `clr_methods` (`pe`),
//! `binary_exception_call_sites` (`exceptions`), `binary_strings` (`strings`), `binary_extents` (`rebuild`), and all tables
//! of code, whose truth are compilers (`compiler_truth`, `score`) and running programs (`oracle`). No tool prints
//! `diagnostics` and `binaries`.
//!
//! Each module reads a table twice: from binframe, and from what the tool prints. `rows` compares the two cell by cell,
//! and `explained` lists the differences that are right.
#![expect(clippy::unnecessary_wraps, reason = "all tables are read by functions of one type")]

mod blocks;
mod coff;
mod containers;
mod debug;
mod dyld;
mod dynamic;
mod elfutils;
mod explained;
mod files;
mod formats;
mod headers;
mod macho;
mod notes;
mod pe;
mod readers;
mod relocations;
mod rows;
mod sections;
mod segments;
mod symbols;
mod unwind;

use binframe::passes::file::linkage::{self, LinkageIr};
use binframe::passes::file::sections::SectionsIr;
use binframe::read_file;
use binframe_testsuite::tools;
use bytes::Bytes;
use containers::Container;
use explained::EXPLAINED;
use formats::{Format, Kind};
use rayon::prelude::*;
use rows::{Difference, Row};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Minimum number of facts of each table in a sample.
const FACTS_MIN: usize = 5;

/// Maximum number of kinds of differences that are printed.
const DIFFERENCES_SHOWN_MAX: usize = 200;

/// The tables of a file, and what the tool says about it.
struct File {
    path: PathBuf,
    bytes: Bytes,
    sections: SectionsIr,
    linkage: LinkageIr,
    printed: Value,
    /// Relocations that the dynamic section names, one per line, if the file has no section headers. The tool does not
    /// print them as JSON.
    dynamic_relocations: Option<String>,
}

impl File {
    /// Output of another tool, or of the same with other options. `None`, with a message, if it is not installed or crashes.
    #[expect(clippy::print_stderr, reason = "a test must report skipped checks")]
    fn output(&self, tool: &str, options: &[&str]) -> Option<String> {
        let output = Command::new(tools::find(tool)?).args(options).arg(&self.path).output();
        let output = output.expect("the tool is installed");
        if output.status.code().is_none() {
            eprintln!("{}: {tool} {} crashes", self.path.display(), options.join(" "));
            return None;
        }
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Number of equal cells of each table, and the cells that differ.
#[derive(Default)]
struct Outcome {
    /// Number of files, with containers and their members.
    files: usize,
    facts: BTreeMap<&'static str, usize>,
    /// Each with the position of its explanation.
    differences: Vec<(Difference, Option<usize>)>,
}

#[test]
fn tables_match_llvm_readobj() {
    if tools::find("llvm-readobj").is_none() {
        return;
    }
    let files = files::files();
    let compared = files.paths().par_iter().map(|path| compare(path));
    let outcome = compared.reduce(Outcome::default, Outcome::and);
    let mut explained = vec![0; EXPLAINED.len()];
    let mut unexplained: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (difference, explanation) in &outcome.differences {
        match explanation {
            Some(row) => explained[*row] += 1,
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
        outcome.files,
        outcome.differences.len() - count
    );
    let mut shown: Vec<_> = unexplained.values().collect();
    shown.sort_by_key(|differences| Reverse(differences.len()));
    shown.truncate(DIFFERENCES_SHOWN_MAX);
    let shown = shown.iter().map(|differences| format!("{} times {}", differences.len(), differences[0]));
    assert!(count == 0, "{count} differences:\n{}", shown.collect::<Vec<_>>().join("\n"));
    if files.is_of_matrix() {
        let is_missing = tools::find("eu-readelf").is_none();
        for (table, ..) in formats::ELF.tables {
            assert!(
                outcome.facts.get(table).map_or(is_missing, |facts| *facts >= FACTS_MIN),
                "too few facts of {table}"
            );
        }
    }
}

impl Outcome {
    /// Compares the rows of a table, and explains the differences.
    fn compare(
        &mut self,
        path: &Path,
        table: &'static str,
        found: Vec<Row>,
        expected: Vec<Row>,
        file: Option<&File>,
    ) {
        let mut differences = Vec::new();
        let facts = rows::compare(path, table, found, expected, &mut differences);
        *self.facts.entry(table).or_default() += facts;
        self.differences.extend(differences.into_iter().map(|difference| {
            let row = EXPLAINED.iter().position(|row| row.explains(&difference, file));
            (difference, row)
        }));
    }

    fn and(mut self, other: Self) -> Self {
        self.files += other.files;
        for (table, facts) in other.facts {
            *self.facts.entry(table).or_default() += facts;
        }
        self.differences.extend(other.differences);
        self
    }
}

/// Compares a file; of a container, its list of members and each member to compare.
fn compare(path: &Path) -> Outcome {
    match Kind::of(path) {
        Some(Kind::File(format)) => compare_file(&format, path),
        Some(Kind::Container) => compare_container(path),
        None => Outcome::default(),
    }
}

fn compare_file(format: &Format, path: &Path) -> Outcome {
    let mut outcome = Outcome { files: 1, ..Outcome::default() };
    let file = match read(format, path) {
        Ok(file) => file,
        Err(error) => {
            outcome.differences.push((Difference::of_file(path, error), None));
            return outcome;
        }
    };
    for (table, found, expected) in format.tables {
        let (Some(found), Some(expected)) = (found(&file), expected(&file)) else { continue };
        outcome.compare(path, table, found, expected, Some(&file));
    }
    for (table, found, expected) in debug::tables(&file).into_iter().chain(readers::tables(&file)) {
        outcome.compare(path, table, found, expected, Some(&file));
    }
    outcome
}

fn compare_container(path: &Path) -> Outcome {
    let mut outcome = Outcome { files: 1, ..Outcome::default() };
    let read = read_file(path).map_err(|error| error.to_string());
    let container = match read.and_then(|file| Container::read(path, file.0)) {
        Ok(container) => container,
        Err(error) => {
            outcome.differences.push((Difference::of_file(path, error), None));
            return outcome;
        }
    };
    if let Some(expected) = container.expected_members() {
        outcome.compare(path, "members", container.found_members(), expected, None);
    }
    if container.is_archive()
        && let Some(expected) = container.expected_index()
    {
        outcome.compare(path, "index", container.found_index(&expected), expected, None);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (index, member) in container.sample().enumerate() {
        let member_path = folder.path().join(index.to_string());
        std::fs::write(&member_path, &member.bytes).expect("the temporary folder is writable");
        let mut compared = compare(&member_path);
        for (difference, _) in &mut compared.differences {
            difference.path = PathBuf::from(format!("{}({})", path.display(), member.name));
        }
        outcome = outcome.and(compared);
    }
    outcome
}

fn read(format: &Format, path: &Path) -> Result<File, String> {
    let bytes = read_file(path).map_err(|error| error.to_string())?.0;
    let sections = binframe::passes::file::sections::run(&bytes, 0).map_err(|error| error.to_string())?;
    let linkage = linkage::run(&bytes, &sections);
    let tool = tools::find("llvm-readobj").ok_or("the tool is not installed")?;
    let printed = (format.parse)(print(&tool, format.options, path))?;
    let has_sections = printed["Sections"].as_array().is_some_and(|sections| !sections.is_empty());
    let dynamic_relocations = (!has_sections).then(|| print(&tool, &["--dyn-relocations"], path));
    Ok(File { path: path.to_owned(), bytes, sections, linkage, printed, dynamic_relocations })
}

/// Output of a tool. Invalid UTF-8 is replaced, as in the tables.
fn print(tool: &str, options: &[&str], path: &Path) -> String {
    let output = Command::new(tool).args(options).arg(path).output().expect("the tool is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
