//! Corrupted debug information causes diagnostics but no panic or hang. Intact parts are still read.

use crate::rows;
use binframe::Source;
use binframe::ir::Stage;
use binframe::ir::tables::{DebugFunctions, DebugLines, DebugVariables, DiagnosticCode, Diagnostics};
use binframe_testsuite::lowering::lower_into;
use binframe_testsuite::patch::{Patch, section};
use binframe_testsuite::programs;
use object::{Object, ObjectSection};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Number of files with mutated bytes.
const MUTATIONS: u64 = 200;

/// Time limit for a small file.
const HANG: Duration = Duration::from_secs(10);

/// Flag of a compressed section (`SHF_COMPRESSED`).
const SHF_COMPRESSED: u64 = 1 << 11;

/// A section: name, index, file offset, size.
type Section = (String, usize, usize, usize);

/// A file with debug information, and its debug sections.
fn original() -> (Vec<u8>, Vec<Section>) {
    let flags = ["-g", "-O2"];
    let path = programs::compile_c("shapes-broken", programs::SHAPES_C, &flags)
        .unwrap_or_else(|| programs::compile_rust("tokens-debug", programs::TOKENS_RS, &["-g"]));
    let bytes = fs::read(path).expect("the file can be read");
    let file = object::File::parse(bytes.as_slice()).expect("an ELF file");
    let sections =
        file.sections().filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug_")));
    let sections = sections.map(|section| {
        let (offset, size) = section.file_range().expect("the section is in the file");
        let name = section.name().expect("the section has a name").to_owned();
        (name, section.index().0, offset as usize, size as usize)
    });
    let sections = sections.collect();
    (bytes, sections)
}

/// Computes the tables of a file. Returns the diagnostic codes, and the numbers of functions, variables and lines.
fn lowered(folder: &Path, bytes: &[u8]) -> (BTreeSet<DiagnosticCode>, [usize; 3]) {
    let (input, output) = (folder.join("input"), folder.join("dataset"));
    fs::write(&input, bytes).expect("the temporary folder is writable");
    let started = Instant::now();
    lower_into(&input, &output, &[Stage::Debug]).unwrap_or_else(|error| panic!("{error}"));
    assert!(started.elapsed() < HANG, "it took {:?}", started.elapsed());
    let source = Source::open(&output).expect("a dataset was written");
    let codes = rows::<Diagnostics>(&source).columns().iter().map(|row| row.code).collect();
    let (functions, variables) = (rows::<DebugFunctions>(&source), rows::<DebugVariables>(&source));
    let rows = [functions.len(), variables.len(), rows::<DebugLines>(&source).len()];
    drop(source);
    fs::remove_dir_all(&output).expect("the temporary folder is writable");
    (codes, rows)
}

#[test]
fn mutated_debug_information_is_read_up_to_the_error() {
    let (original, sections) = original();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut with_diagnostics = 0;
    for seed in 0..MUTATIONS {
        let mut state = seed;
        let mut next = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit
        };
        let mut bytes = original.clone();
        for _ in 0..=next(12) {
            let (_, _, offset, size) = &sections[next(sections.len())];
            let at = offset + next(*size);
            bytes[at] = [0, 0xff, 0x80, next(256) as u8][next(4)];
        }
        with_diagnostics += usize::from(!lowered(folder.path(), &bytes).0.is_empty());
    }
    assert!(with_diagnostics > 20, "{with_diagnostics}");
}

#[test]
fn every_debug_diagnostic_occurs() {
    let (original, sections) = original();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (codes, [functions, variables, lines]) = lowered(folder.path(), &original);
    assert_eq!(codes, BTreeSet::new());
    assert!(functions > 3 && variables > 10 && lines > 20);
    let find = |name: &str| sections.iter().find(|section| section.0 == name).expect("the section exists");

    // A section with the flag of compression but without a compression header.
    let mut file = Patch(original.clone());
    file.section(find(".debug_str").1, section::FLAGS, SHF_COMPRESSED);
    assert_eq!(lowered(folder.path(), &file.0).0, [DiagnosticCode::BrokenDebugSection].into());

    // The second entry has an undefined abbreviation code.
    let mut file = Patch(original.clone());
    let (_, index, _, size) = find(".debug_info");
    file.content(*index, size / 2, &[0xff; 16]);
    let (codes, rows) = lowered(folder.path(), &file.0);
    assert_eq!(codes, [DiagnosticCode::BrokenDebugUnit].into());
    assert!(rows[2] == lines);

    // The line number program has an unknown version.
    let mut file = Patch(original.clone());
    file.content(find(".debug_line").1, 4, &[99, 99]);
    let (codes, rows) = lowered(folder.path(), &file.0);
    assert_eq!(codes, [DiagnosticCode::BrokenLineProgram].into());
    assert!(rows[2] < lines && rows[0] == functions);
}

#[test]
fn a_missing_dwo_file_is_reported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let flags = ["-g", "-gsplit-dwarf"];
    let Some(path) = programs::compile_c("shapes-split", programs::SHAPES_C, &flags) else { return };
    // The `.dwo` file was in a folder that no longer exists.
    let bytes = fs::read(path).expect("the file can be read");
    let (codes, rows) = lowered(folder.path(), &bytes);
    assert_eq!(codes, [DiagnosticCode::MissingDebugFile].into());
    assert!(rows[0] == 0 && rows[2] > 20, "lines are in the linked file: {rows:?}");
}
