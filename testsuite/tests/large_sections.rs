//! Section bytes are not copied out of the mapped file, and a section that is too large for a row is written in
//! several rows.

use binframe::ir::Stage;
use binframe::ir::tables::{BinaryExtentColumns, ExtentOwner};
use binframe::passes::file::{extents, sections};
use binframe::{Request, read_file};
use binframe_testsuite::memory::{CountingAllocator, on_own_thread, peak_memory};
use binframe_testsuite::mutation::originals;
use binframe_testsuite::patch::{Patch, section};
use binframe_testsuite::{fixtures, table_invariants};
use bytes::Bytes;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Index, offset and size of the added section, which is larger than a row can be.
const LARGE: usize = 6;
const LARGE_OFFSET: u64 = 1 << 16;
const LARGE_SIZE: u64 = (1 << 30) + 12_345;

/// `SHT_PROGBITS`.
const PROGRAM_DEFINED: u64 = 1;

/// The last bytes of the section.
const TAIL: &[u8] = b"the end of the file";

/// An executable with a section of zeros, stored as a sparse file.
fn sparse(path: &Path) {
    let mut file = Patch(fixtures::loops_and_calls().bytes);
    file.add_section_headers(1).section(LARGE, section::TYPE, PROGRAM_DEFINED);
    file.section(LARGE, section::OFFSET, LARGE_OFFSET).section(LARGE, section::SIZE, LARGE_SIZE);
    assert!((file.0.len() as u64) < LARGE_OFFSET);
    fs::write(path, &file.0).expect("the temporary folder is writable");
    let file = OpenOptions::new().write(true).open(path).expect("the file was written");
    file.set_len(LARGE_OFFSET + LARGE_SIZE).expect("sparse files are supported");
    let bytes = fs::File::options().append(true).open(path);
    std::io::Write::write_all(&mut bytes.expect("the file was written"), TAIL).expect("the disk has space");
}

#[test]
fn a_section_of_one_gigabyte_is_written_in_several_rows() {
    /// Memory for one row, its compressed form, and other data.
    const MEMORY_MAX: usize = 256 << 20;
    const DATASET_SIZE_MAX: u64 = 1 << 20;
    const TIME_MAX: Duration = Duration::from_mins(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (folder.path().join("sparse"), folder.path().join("dataset"));
    sparse(&input);
    let inputs = [input.clone()];
    let request = Request::new(&inputs, &output, &[Stage::Sections]);
    let started = Instant::now();
    let lowered = on_own_thread("lowering".to_owned(), || peak_memory(|| binframe::lower(&request, &|_| {})));
    let (lowered, memory) = lowered.expect("passes do not panic");
    lowered.expect("the file is supported");
    assert!(started.elapsed() < TIME_MAX, "{:?}", started.elapsed());
    assert!(memory < MEMORY_MAX, "{memory} bytes of memory");
    assert!(size_of_folder(&output) < DATASET_SIZE_MAX, "{} bytes on disk", size_of_folder(&output));

    let file = read_file(&input).expect("the file can be read").0;
    let sections = sections::run(&file, 0).expect("an executable");
    let row = sections.sections.columns().iter().nth(LARGE).expect("the section");
    assert_eq!((row.content.len(), row.file_size), (0, LARGE_SIZE));
    let extents = extents::run(&file, &sections);
    let row_sizes = row_sizes(&extents.columns());
    assert!(row_sizes.len() > 10 && row_sizes.iter().sum::<u64>() == LARGE_SIZE, "{row_sizes:?}");
    assert_eq!(table_invariants::violations(&file), Ok(Vec::new()));
}

/// Sizes of the rows of the large section.
fn row_sizes(extents: &BinaryExtentColumns<'_>) -> Vec<u64> {
    let own = extents.iter().filter(|extent| {
        extent.owner_kind == ExtentOwner::Section
            && extent.section_index == Some(LARGE as u32)
            && extent.content.is_some()
    });
    own.map(|extent| extent.size).collect()
}

fn size_of_folder(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("the folder exists");
    let sizes = entries.map(|entry| {
        let path = entry.expect("the folder exists").path();
        if path.is_dir() {
            size_of_folder(&path)
        } else {
            fs::metadata(&path).expect("the file exists").len()
        }
    });
    sizes.sum()
}

/// Values up to this size are stored in the rows themselves.
const INLINE_SIZE_MAX: usize = 12;

#[test]
fn section_bytes_are_not_copied_out_of_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for original in originals() {
        let path = folder.path().join("file");
        fs::write(&path, &original.bytes).expect("the temporary folder is writable");
        check_zero_copy(&original.name, &read_file(&path).expect("the file can be read").0);
    }
}

fn check_zero_copy(name: &str, file: &Bytes) {
    let sections = sections::run(file, 0).unwrap_or_else(|error| panic!("{name}: {error}"));
    let inside = file.as_ptr_range();
    let lies_inside = |content: &[u8]| {
        let range = content.as_ptr_range();
        content.len() <= INLINE_SIZE_MAX || inside.start <= range.start && range.end <= inside.end
    };
    for row in sections.sections.columns().iter() {
        assert!(lies_inside(row.content), "{name}: section {} was copied", row.section_index);
    }
    for row in extents::run(file, &sections).columns().iter() {
        assert!(
            row.content.is_none_or(lies_inside),
            "{name}: the extent at {:#x} was copied",
            row.file_offset
        );
    }
    for member in sections::members(file) {
        assert!(inside.contains(&member.bytes.as_ptr()), "{name}: {} was copied", member.name);
        check_zero_copy(&member.name, &member.bytes);
    }
}
