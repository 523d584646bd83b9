//! Datasets are byte for byte equal for any number of threads and any directory.

use binframe::ir::{Stage, file_tables};
use binframe_testsuite::lowering::{lower_into, with_threads};
use binframe_testsuite::patch::Patch;
use binframe_testsuite::{fixtures, programs};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of the files of a dataset by relative path, without the manifest, which contains times and paths.
fn files(dataset: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for table in fs::read_dir(dataset).expect("a dataset") {
        let folder = table.expect("a dataset").path();
        if folder.ends_with("_binframe") {
            continue;
        }
        for part in fs::read_dir(&folder).expect("a table is a folder") {
            let path = part.expect("a table is a folder").path();
            let place = path.strip_prefix(dataset).expect("the file is in the dataset").to_owned();
            files.insert(place, fs::read(path).expect("a part can be read"));
        }
    }
    files
}

fn assert_same_files(input: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lower = |name: &str, threads: usize| {
        let output = folder.path().join(name);
        let lowered = with_threads(threads, || lower_into(input, &output, &Stage::ALL));
        lowered.unwrap_or_else(|error| panic!("{error}"));
        files(&output)
    };
    let first = lower("one", 1);
    assert_eq!(first.len(), file_tables().count(), "{}: a part for each table", input.display());
    for (name, threads) in [("two", 2), ("deep/down/another-name", 3), ("one", 2)] {
        let other = lower(name, threads);
        assert_eq!(first.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
        let differing: Vec<_> = first.iter().filter(|(place, bytes)| other[*place] != **bytes).collect();
        let differing: Vec<_> = differing.into_iter().map(|(place, _)| place).collect();
        assert!(differing.is_empty(), "{}: {differing:?} differ for {name}", input.display());
    }
}

#[test]
fn the_dataset_of_a_compiled_program_is_deterministic() {
    assert_same_files(&programs::compile_rust("tokens", programs::TOKENS_RS, &["-O"]));
    assert_same_files(&programs::compile_rust("tokens-debug", programs::TOKENS_RS, &["-g"]));
}

#[test]
fn the_dataset_of_a_system_tool_is_deterministic() {
    let shell = Path::new("/usr/bin/bash");
    if shell.exists() {
        assert_same_files(shell);
    }
}

/// The code is decoded in several chunks, and its instructions fill several row groups.
#[test]
fn the_dataset_of_a_large_file_is_deterministic() {
    /// Copies of the fixture's code: 2 MB.
    const COPIES: usize = 10_000;
    let mut file = Patch(fixtures::loops_and_calls().bytes);
    let text = file.0[0x1000..0x10d9].repeat(COPIES);
    file.replace_section(1, &text);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("large");
    fs::write(&input, &file.0).expect("the temporary folder is writable");
    assert_same_files(&input);
}
