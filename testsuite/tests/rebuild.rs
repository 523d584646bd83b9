//! A file is rebuilt from its tables byte for byte, and tables that contradict each other are refused with the row that does.

use binframe::ir::tables::{
    BinaryHeader, BinaryHeaderBuilder, BinaryHeaders, BinarySection, BinarySectionBuilder, BinarySections,
    FileExtent, FileExtentBuilder, FileExtents,
};
use binframe::ir::{Rows, Stage, Table};
use binframe::{Dataset, Error, Request, lower, rebuild};
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::Written;
use binframe_testsuite::patch::{Patch, header};
use std::fs;
use std::path::{Path, PathBuf};

/// Rebuilds an input, and returns the bytes of the file.
fn rebuilt(dataset: &Path, binary: Option<&str>) -> Result<Vec<u8>, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("rebuilt");
    let rebuilt = rebuild(&Dataset::open(dataset)?, binary, &output);
    let files = fs::read_dir(folder.path()).expect("the temporary folder").count();
    assert_eq!(files, usize::from(rebuilt.is_ok()), "the file is there whole or not at all");
    rebuilt.map(|_| fs::read(output).expect("it was written"))
}

/// Real files of the machine that runs the tests: programs, libraries, objects, archives.
fn real_files() -> Vec<PathBuf> {
    /// Files that are taken of each folder.
    const FILES: usize = 5;
    /// Larger ones take too long.
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
        let written = Written::of_bytes("app", &executable.bytes).expect("a fixture is lowered");
        assert!(rebuilt(&written.path(), None).expect("tables agree") == executable.bytes);
    }
}

#[test]
fn real_files_are_rebuilt_from_one_dataset() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("dataset");
    let inputs = real_files();
    let request = Request { verify: true, ..Request::new(&inputs, &output, &[Stage::Sections]) };
    let manifest = lower(&request, &|_| {}).expect("real files are lowered");
    let binaries = manifest.binaries.iter().filter(|entry| !entry.binary.ends_with(')'));
    for (entry, path) in binaries.zip(&inputs) {
        assert_eq!(Path::new(&entry.path), path);
        let bytes = rebuilt(&output, Some(&entry.binary)).unwrap_or_else(|error| panic!("{error}"));
        assert!(bytes == fs::read(path).expect("it was read before"), "{}", path.display());
    }
}

#[test]
fn one_of_several_inputs_must_be_chosen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("dataset");
    let inputs = ["old", "new"].map(|build| folder.path().join(build).join("app"));
    for input in &inputs {
        fs::create_dir_all(input.parent().expect("a folder")).expect("the temporary folder is writable");
        fs::write(input, fixtures::loops_and_calls().bytes).expect("the temporary folder is writable");
    }
    let request = Request::new(&inputs, &output, &[Stage::Sections]);
    lower(&request, &|_| {}).expect("fixtures are lowered");
    let message = rebuilt(&output, None).expect_err("there are two").to_string();
    assert!(message.ends_with("has 2 inputs; choose one with --binary: app, app-2"), "{message}");
    let message = rebuilt(&output, Some("other")).expect_err("there is none").to_string();
    assert!(message.ends_with("has no input `other`; it has app, app-2"), "{message}");
    rebuilt(&output, Some("app-2")).expect("tables agree");
}

#[test]
fn other_stages_do_not_hold_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("dataset");
    let inputs = [std::env::current_exe().expect("a running test has a file")];
    let request = Request::new(&inputs, &output, &[Stage::Cfg]);
    lower(&request, &|_| {}).expect("an executable is lowered");
    let message = rebuilt(&output, None).expect_err("there is no content").to_string();
    assert!(
        message.ends_with("has no table binary_headers; lower the file again with --emit sections"),
        "{message}"
    );
}

/// The dataset of a fixture.
fn dataset() -> Written {
    Written::of_bytes("app", &fixtures::loops_and_calls().bytes).expect("a fixture is lowered")
}

/// What is said of a dataset whose tables disagree: table, row, message.
fn refusal(written: &Written) -> (&'static str, usize, String) {
    match rebuilt(&written.path(), None) {
        Err(Error::Disagreement { table, row, message, binary, .. }) => {
            assert_eq!(binary, "app");
            (table, row, message)
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("tables that disagree were accepted"),
    }
}

/// Changes the extents of a dataset.
fn with_extents(change: impl Fn(usize, FileExtent<'_>) -> Option<FileExtent<'_>>) -> Written {
    let written = dataset();
    let table = written.table(FileExtents::INFO);
    let rows = Rows::<FileExtents>::from_batch(table).expect("the table");
    let mut changed = FileExtentBuilder::default();
    changed.extend(rows.columns().iter().enumerate().filter_map(|(row, extent)| change(row, extent)));
    written.replace("app", changed.finish().batch());
    written
}

/// Changes the sections of a dataset.
fn with_sections(change: impl for<'a> Fn(BinarySection<'a>, &'a [u8]) -> BinarySection<'a>) -> Written {
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
fn extents_with_a_gap_are_refused() {
    let written = with_extents(|row, extent| (row != 2).then_some(extent));
    let (table, row, message) = refusal(&written);
    assert_eq!((table, row), ("file_extents", 2));
    assert!(message.starts_with("it begins at "), "{message}");
}

#[test]
fn extents_that_end_early_are_refused() {
    let last =
        Rows::<FileExtents>::from_batch(dataset().table(FileExtents::INFO)).expect("the table").len() - 1;
    let written = with_extents(|row, extent| (row != last).then_some(extent));
    let (table, row, message) = refusal(&written);
    assert_eq!((table, row), ("binary_headers", 0));
    assert!(message.contains("its extents "), "{message}");
}

#[test]
fn an_extent_of_a_section_that_is_not_there_is_refused() {
    let written = with_extents(|_, extent| {
        let section_index = extent.section_index.map(|index| if index == 3 { 99 } else { index });
        Some(FileExtent { section_index, ..extent })
    });
    let (table, _, message) = refusal(&written);
    assert_eq!(
        (table, message.as_str()),
        ("file_extents", "it belongs to section 99, which is not in binary_sections")
    );
}

#[test]
fn an_extent_without_bytes_is_refused() {
    let written = with_extents(|row, extent| {
        Some(FileExtent { content: extent.content.filter(|_| row != 0), ..extent })
    });
    assert_eq!(refusal(&written), ("file_extents", 0, "nothing has its bytes".to_owned()));
}

#[test]
fn a_section_cut_short_is_refused() {
    let written = with_sections(|section, _| {
        let length = section.content.len();
        BinarySection {
            content: &section.content[..length - usize::from(section.section_index == 1)],
            ..section
        }
    });
    let (table, _, message) = refusal(&written);
    assert_eq!((table, message.as_str()), ("file_extents", "section 1 does not have its bytes"));
}

#[test]
fn changed_bytes_are_refused() {
    let written = with_sections(|section, flipped| match section.section_index {
        1 => BinarySection { content: flipped, ..section },
        _ => section,
    });
    let (table, row, message) = refusal(&written);
    assert_eq!((table, row), ("binary_headers", 0));
    assert!(message.contains("that of the bytes in the tables"), "{message}");
}

#[test]
fn a_header_of_another_file_is_refused() {
    let written = dataset();
    let rows = Rows::<BinaryHeaders>::from_batch(written.table(BinaryHeaders::INFO)).expect("the table");
    let mut changed = BinaryHeaderBuilder::default();
    changed.extend(
        rows.columns().iter().map(|header| BinaryHeader { file_size: header.file_size - 1, ..header }),
    );
    written.replace("app", changed.finish().batch());
    let (table, _, message) = refusal(&written);
    assert_eq!(table, "file_extents");
    assert!(message.contains("the rest of the file"), "{message}");
}

#[test]
fn bytes_that_two_rows_hold_must_be_the_same() {
    let mut file = Patch(fixtures::loops_and_calls().bytes);
    // Loadable segments stand for sections, and the first begins with the headers.
    file.header(header::SECTION_HEADERS, 0).header(header::SECTION_COUNT, 0);
    let written = Written::of_bytes("app", &file.0).expect("a file without section headers is lowered");
    assert!(rebuilt(&written.path(), None).expect("tables agree") == file.0);
    let rows = Rows::<BinarySections>::from_batch(written.table(BinarySections::INFO)).expect("the table");
    let mut changed = BinarySectionBuilder::default();
    for section in rows.columns().iter() {
        let mut content = section.content.to_vec();
        content[5] ^= u8::from(section.section_index == 0);
        changed.push(BinarySection { content: &content, ..section });
    }
    written.replace("app", changed.finish().batch());
    let expected = "its content is not what the file has from 0x0 on".to_owned();
    assert_eq!(refusal(&written), ("binary_sections", 0, expected));
}
