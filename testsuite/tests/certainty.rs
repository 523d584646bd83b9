//! Programs of the system have no violations of the conditions of any right answer (`binframe_testsuite::certainty`).
//!
//! With `BINFRAME_CERTAINTY`, paths separated by spaces, all executables in these files and folders are examined, and
//! violations are counted by kind.

use binframe::passes::{self, Inputs};
use binframe_testsuite::certainty::{Kind, Violation, violations};
use bytes::Bytes;
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// Programs that are examined by default; missing ones are skipped.
const PROGRAMS: [&str; 8] = [
    "/usr/bin/bash",
    "/usr/bin/diff",
    "/usr/bin/find",
    "/usr/bin/git",
    "/usr/bin/gawk",
    "/usr/bin/perl",
    "/usr/bin/pr",
    "/usr/bin/sort",
];

/// Violations that are printed of each kind.
const EXAMPLES: usize = 20;

#[test]
fn programs_of_the_machine_have_no_violations() {
    let paths = match std::env::var("BINFRAME_CERTAINTY") {
        Ok(paths) => paths.split_whitespace().flat_map(|path| files(Path::new(path))).collect(),
        Err(_) => PROGRAMS.iter().map(PathBuf::from).filter(|path| path.exists()).collect::<Vec<_>>(),
    };
    let found: Vec<(&PathBuf, Vec<Violation>)> =
        paths.par_iter().filter_map(|path| Some((path, violations_of(path)?))).collect();
    let mut total = 0;
    for kind in Kind::ALL {
        let own = found.iter().flat_map(|(path, all)| {
            all.iter().filter(|(other, _)| *other == kind).map(move |(_, address)| (path, address))
        });
        let own: Vec<_> = own.collect();
        println!("{:6} of {} programs: {kind}", own.len(), found.len());
        for (path, address) in own.iter().take(EXAMPLES) {
            println!("       {} {address:#x}", path.display());
        }
        total += own.len();
    }
    assert_eq!(total, 0, "violations");
}

/// The violations in the tables of a file; `None` if it is no executable.
fn violations_of(path: &Path) -> Option<Vec<Violation>> {
    let bytes = Bytes::from(fs::read(path).ok()?);
    let lowered = passes::lower(Inputs::of(&bytes)).ok()?;
    Some(violations(&lowered))
}

/// A file, or all files below a folder; without symbolic links.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| !path.is_symlink()).collect();
    paths.sort();
    paths.iter().flat_map(|path| files(path)).collect()
}
