//! `rebuild` reproduces a file from its tables byte for byte. Inconsistent tables are rejected with an error that
//! names the row.

use binframe::ir::tables::{
    Binaries, Binary, BinaryBuilder, BinaryExtent, BinaryExtentBuilder, BinaryExtents, BinaryHeader,
    BinaryHeaderBuilder, BinaryHeaders, BinarySection, BinarySectionBuilder, BinarySections,
};
use binframe::ir::{Rows, Stage, Table};
use binframe::{Dataset, Error, Request, lower, rebuild};
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::TemporaryDataset;
use binframe_testsuite::patch::{Patch, header};
use std::fs;
use std::path::{Path, PathBuf};

/// Rebuilds an input and returns the bytes of the file.
fn rebuilt(dataset: &Path, binary: Option<&str>) -> Result<Vec<u8>, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("rebuilt");
    let rebuilt = rebuild(&Dataset::open(dataset)?, binary, &output);
    let files = fs::read_dir(folder.path()).expect("the temporary folder").count();
    assert_eq!(files, usize::from(rebuilt.is_ok()), "the file is written atomically");
    rebuilt.map(|_| fs::read(output).expect("the file was written"))
}

/// ELF files and archives of the machine that runs the test.
fn real_files() -> Vec<PathBuf> {
    /// Number of files per folder.
    const FILES: usize = 5;
    /// Maximum file size, to limit the run time.
    const SIZE_MAX: u64 = 3_000_000;
    let folders = ["/usr/bin", "/usr/sbin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/gcc/x86_64-linux-gnu/12"];
    let mut files = vec![std::env::current_exe().expect("a running test has a file")];
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let is_binary = |path: &&PathBuf| {
            let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
            let start = fs::read(path).map(|bytes| bytes[..bytes.len().min(4)].to_vec());
            let start = start.unwrap_or_default();
            size <= SIZE_MAX && (start == b"\x7fELF" || start == b"!<ar")
        };
        files.extend(paths.iter().filter(is_binary).step_by(7).take(FILES).cloned());
    }
    files
}

#[test]
fn fixtures_are_rebuilt() {
    for executable in [fixtures::loops_and_calls(), fixtures::stack_and_globals()] {
        let written = TemporaryDataset::of_bytes("app", &executable.bytes).expect("the fixture is supported");
        assert!(rebuilt(&written.path(), None).expect("tables are consistent") == executable.bytes);
    }
}

#[test]
fn real_files_are_rebuilt_from_one_dataset() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("dataset");
    let inputs = real_files();
    let request = Request { verify: true, ..Request::new(&inputs, &output, &[Stage::Sections]) };
    let manifest = lower(&request, &|_| {}).expect("the files are supported");
    let binaries = manifest.binaries.iter().filter(|entry| !entry.binary.ends_with(')'));
    for (entry, path) in binaries.zip(&inputs) {
        assert_eq!(Path::new(&entry.path), path);
        let bytes = rebuilt(&output, Some(&entry.binary)).unwrap_or_else(|error| panic!("{error}"));
        assert!(bytes == fs::read(path).expect("the file can be read"), "{}", path.display());
    }
}

#[test]
fn an_input_must_be_selected_if_there_are_several() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("dataset");
    let inputs = ["old", "new"].map(|build| folder.path().join(build).join("app"));
    for input in &inputs {
        fs::create_dir_all(input.parent().expect("a folder")).expect("the temporary folder is writable");
        fs::write(input, fixtures::loops_and_calls().bytes).expect("the temporary folder is writable");
    }
    let request = Request::new(&inputs, &output, &[Stage::Sections]);
    lower(&request, &|_| {}).expect("fixtures are supported");
    let message = rebuilt(&output, None).expect_err("two inputs are ambiguous").to_string();
    assert!(message.ends_with("has 2 inputs; choose one with --binary: app, app-2"), "{message}");
    let message = rebuilt(&output, Some("other")).expect_err("the input does not exist").to_string();
    assert!(message.ends_with("has no input `other`; it has app, app-2"), "{message}");
    rebuilt(&output, Some("app-2")).expect("tables are consistent");
}

#[test]
fn a_dataset_without_the_sections_stage_is_rejected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("dataset");
    let inputs = [std::env::current_exe().expect("a running test has a file")];
    let request = Request::new(&inputs, &output, &[Stage::Cfg]);
    lower(&request, &|_| {}).expect("the executable is supported");
    let message = rebuilt(&output, None).expect_err("section bytes are missing").to_string();
    assert!(
        message.ends_with("has no table binary_headers; lower the file again with --emit sections"),
        "{message}"
    );
}

/// The dataset of a fixture.
fn dataset() -> TemporaryDataset {
    TemporaryDataset::of_bytes("app", &fixtures::loops_and_calls().bytes).expect("the fixture is supported")
}

/// The error for inconsistent tables: table, row, message.
fn rejection(written: &TemporaryDataset) -> (&'static str, usize, String) {
    match rebuilt(&written.path(), None) {
        Err(Error::Disagreement { table, row, message, binary, .. }) => {
            assert_eq!(binary, "app");
            (table, row, message)
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("inconsistent tables were accepted"),
    }
}

/// A dataset with modified extents.
fn with_extents(change: impl Fn(usize, BinaryExtent<'_>) -> Option<BinaryExtent<'_>>) -> TemporaryDataset {
    let written = dataset();
    let table = written.table(BinaryExtents::INFO);
    let rows = Rows::<BinaryExtents>::from_batch(table).expect("the table");
    let mut changed = BinaryExtentBuilder::default();
    changed.extend(rows.columns().iter().enumerate().filter_map(|(row, extent)| change(row, extent)));
    written.replace("app", changed.finish().batch());
    written
}

/// A dataset with modified sections.
fn with_sections(
    change: impl for<'a> Fn(BinarySection<'a>, &'a [u8]) -> BinarySection<'a>,
) -> TemporaryDataset {
    let written = dataset();
    let rows = Rows::<BinarySections>::from_batch(written.table(BinarySections::INFO)).expect("the table");
    let mut changed = BinarySectionBuilder::default();
    for section in rows.columns().iter() {
        let flipped: Vec<u8> = section.content.iter().map(|byte| !byte).collect();
        changed.push(change(section, &flipped));
    }
    written.replace("app", changed.finish().batch());
    written
}

#[test]
fn extents_with_a_gap_are_rejected() {
    let written = with_extents(|row, extent| (row != 2).then_some(extent));
    let (table, row, message) = rejection(&written);
    assert_eq!((table, row), ("binary_extents", 2));
    assert!(message.starts_with("it begins at "), "{message}");
}

#[test]
fn extents_that_end_before_the_file_are_rejected() {
    let last =
        Rows::<BinaryExtents>::from_batch(dataset().table(BinaryExtents::INFO)).expect("the table").len() - 1;
    let written = with_extents(|row, extent| (row != last).then_some(extent));
    let (table, row, message) = rejection(&written);
    assert_eq!((table, row), ("binary_headers", 0));
    assert!(message.contains("its extents "), "{message}");
}

#[test]
fn an_extent_of_a_nonexistent_section_is_rejected() {
    let written = with_extents(|_, extent| {
        let section_index = extent.section_index.map(|index| if index == 3 { 99 } else { index });
        Some(BinaryExtent { section_index, ..extent })
    });
    let (table, _, message) = rejection(&written);
    assert_eq!(
        (table, message.as_str()),
        ("binary_extents", "it belongs to section 99, which is not in binary_sections")
    );
}

#[test]
fn an_extent_without_bytes_is_rejected() {
    let written = with_extents(|row, extent| {
        Some(BinaryExtent { content: extent.content.filter(|_| row != 0), ..extent })
    });
    assert_eq!(rejection(&written), ("binary_extents", 0, "nothing has its bytes".to_owned()));
}

#[test]
fn a_truncated_section_is_rejected() {
    let written = with_sections(|section, _| {
        let length = section.content.len();
        BinarySection {
            content: &section.content[..length - usize::from(section.section_index == 1)],
            ..section
        }
    });
    let (table, _, message) = rejection(&written);
    assert_eq!((table, message.as_str()), ("binary_extents", "section 1 does not have its bytes"));
}

#[test]
fn changed_bytes_are_rejected() {
    let written = with_sections(|section, flipped| match section.section_index {
        1 => BinarySection { content: flipped, ..section },
        _ => section,
    });
    let (table, row, message) = rejection(&written);
    assert_eq!((table, row), ("binary_headers", 0));
    assert!(message.contains("that of the bytes in the tables"), "{message}");
}

#[test]
fn a_header_of_another_file_is_rejected() {
    let written = dataset();
    let rows = Rows::<BinaryHeaders>::from_batch(written.table(BinaryHeaders::INFO)).expect("the table");
    let mut changed = BinaryHeaderBuilder::default();
    changed.extend(
        rows.columns().iter().map(|header| BinaryHeader { file_size: header.file_size - 1, ..header }),
    );
    written.replace("app", changed.finish().batch());
    let (table, _, message) = rejection(&written);
    assert_eq!(table, "binary_extents");
    assert!(message.contains("the rest of the file"), "{message}");
}

#[test]
fn a_binary_that_contains_itself_is_rejected() {
    let written = dataset();
    let rows = Rows::<Binaries>::from_batch(written.table(Binaries::INFO)).expect("the table");
    let mut changed = BinaryBuilder::default();
    changed.extend(rows.columns().iter().map(|row| Binary { container: Some("app"), ..row }));
    written.replace("app", changed.finish().batch());
    let size = rows.columns().iter().next().expect("one binary").size;
    let rows = Rows::<BinaryExtents>::from_batch(written.table(BinaryExtents::INFO)).expect("the table");
    let mut changed = BinaryExtentBuilder::default();
    changed.extend(rows.columns().iter().take(1).map(|row| BinaryExtent {
        size,
        section_index: None,
        member_index: Some(0),
        content: None,
        ..row
    }));
    written.replace("app", changed.finish().batch());
    let error = rebuilt(&written.path(), Some("app")).expect_err("no file contains itself").to_string();
    assert!(error.contains("it is a container in a container in a container"), "{error}");
}

#[test]
fn overlapping_sections_with_different_bytes_are_rejected() {
    let mut file = Patch(fixtures::loops_and_calls().bytes);
    // Without section headers, loadable segments become sections. The first segment contains the file header.
    file.header(header::SECTION_HEADERS, 0).header(header::SECTION_COUNT, 0);
    let written =
        TemporaryDataset::of_bytes("app", &file.0).expect("files without section headers are supported");
    assert!(rebuilt(&written.path(), None).expect("tables are consistent") == file.0);
    let rows = Rows::<BinarySections>::from_batch(written.table(BinarySections::INFO)).expect("the table");
    let mut changed = BinarySectionBuilder::default();
    for section in rows.columns().iter() {
        let mut content = section.content.to_vec();
        content[5] ^= u8::from(section.section_index == 0);
        changed.push(BinarySection { content: &content, ..section });
    }
    written.replace("app", changed.finish().batch());
    let expected = "its content is not what the file has from 0x0 on".to_owned();
    assert_eq!(rejection(&written), ("binary_sections", 0, expected));
}
