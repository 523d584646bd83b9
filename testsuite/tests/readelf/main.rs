//! Tables of ELF files are equal to the output of `readelf`.
//!
//! The test takes a fixed sample of the installed files, and objects of many architectures. With
//! `BINFRAME_COMPARE=all`, it takes all ELF files of the system and of the Rust toolchain.
//!
//! Each module compares one table. Known differences are normalized there, with the reason.

mod dynamic;
mod files;
mod notes;
mod relocations;
mod sections;
mod segments;
mod symbols;

use binframe::passes::file::linkage::{self, LinkageIr};
use binframe::passes::file::sections::SectionsIr;
use binframe::read_file;
use binframe_testsuite::tools;
use rayon::prelude::*;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Maximum number of printed differences.
const DIFFERENCES_SHOWN_MAX: usize = 200;

/// The tables of a file.
struct Lowered {
    sections: SectionsIr,
    linkage: LinkageIr,
}

impl Lowered {
    /// Whether the file has section headers. Without them, the tool prints neither symbols nor relocations.
    fn has_sections(&self) -> bool {
        self.sections.sections.columns().iter().any(|row| row.section_type.is_some())
    }
}

/// Number of equal rows, or the first difference.
type Outcome = Result<usize, String>;

/// Compares tables with output of `readelf`.
type Compare = fn(&Lowered, &str) -> Outcome;

/// `readelf` options, each with the function that parses and compares its output.
const SUBJECTS: [(&str, Compare); 6] = [
    ("-S", sections::compare),
    ("-l", segments::compare),
    ("-s", symbols::compare),
    ("-r", relocations::compare),
    ("-d", dynamic::compare),
    ("-n", notes::compare),
];

#[test]
fn tables_match_readelf() {
    let files = files::files();
    let compared: [AtomicUsize; SUBJECTS.len()] = Default::default();
    let compare_file = |path: &PathBuf| -> Vec<String> {
        let lowered = match lowered(path) {
            Ok(lowered) => lowered,
            Err(error) => return vec![format!("{}: {error}", path.display())],
        };
        let outcomes = SUBJECTS.iter().zip(&compared).map(|((option, compare), compared)| {
            let count = compare(&lowered, &readelf(option, path)?)?;
            compared.fetch_add(count, Ordering::Relaxed);
            Ok(())
        });
        let differences = outcomes.filter_map(Result::err);
        differences.map(|difference: String| format!("{}: {difference}", path.display())).collect()
    };
    if tools::find("readelf").is_none() {
        return;
    }
    let mut differences: Vec<_> = files.paths().par_iter().flat_map_iter(compare_file).collect();
    for ((option, _), compared) in SUBJECTS.iter().zip(compared) {
        let compared = compared.into_inner();
        eprintln!("readelf {option}: {compared} rows of {} files are the same", files.paths().len());
        assert!(compared > 50, "too few rows were compared with readelf {option}");
    }
    let count = differences.len();
    differences.truncate(DIFFERENCES_SHOWN_MAX);
    assert!(count == 0, "{count} differences:\n{}", differences.join("\n"));
}

fn lowered(path: &Path) -> Result<Lowered, String> {
    let file = read_file(path).map_err(|error| error.to_string())?.0;
    let sections = binframe::passes::file::sections::run(&file, 0).map_err(|error| error.to_string())?;
    let linkage = linkage::run(&file, &sections);
    Ok(Lowered { sections, linkage })
}

/// Output of `readelf`. Invalid UTF-8 is replaced, as in the tables.
fn readelf(option: &str, path: &Path) -> Result<String, String> {
    let mut readelf = Command::new("readelf");
    readelf.args([option, "-W"]).arg(path).env("LC_ALL", "C");
    let output = tools::output(&mut readelf).ok_or("readelf is not installed")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Number of rows if they are equal, otherwise the first difference.
fn same<T: PartialEq + Debug>(found: &[T], expected: &[T]) -> Outcome {
    let difference = found.iter().zip(expected).find(|(found, expected)| found != expected);
    match difference {
        Some((found, expected)) => Err(format!("\n    found    {found:x?}\n    expected {expected:x?}")),
        None if found.len() != expected.len() => {
            let more = found.get(expected.len()).or(expected.get(found.len()));
            Err(format!("{} rows, expected {}; first additional row: {more:x?}", found.len(), expected.len()))
        }
        None => Ok(found.len()),
    }
}

fn hexadecimal(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits.strip_prefix("0x").unwrap_or(digits), 16).ok()
}
