//! A dataset of many inputs does not depend on the number of threads, the memory limit, and unsupported inputs. Killed
//! runs are tested in `cli/tests/atomicity.rs`.

use binframe::ir::Stage;
use binframe::{CompanionSearch, Dataset, Error, Manifest, Progress, Request, verify};
use binframe_testsuite::lowering::with_threads;
use binframe_testsuite::objects::{self, Architecture, Format};
use binframe_testsuite::patch::Patch;
use binframe_testsuite::{fixtures, programs};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The large file is a checkpoint group of its own; the small ones form several groups.
const UNIT_SIZE: u64 = 1 << 20;

/// A folder with small files, one file that is large enough for all threads, and one that is not an executable.
fn corpus() -> TempDir {
    /// Copies of the fixture's code: more than 8 MB.
    const COPIES: usize = 40_000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).expect("the temporary folder is writable");
    };
    let loops = fixtures::loops_and_calls().bytes;
    let mut large = Patch(loops.clone());
    let text = large.0[0x1000..0x10d9].repeat(COPIES);
    large.replace_section(1, &text);
    for number in 0..8 {
        write(&format!("a{number}"), &loops);
    }
    write("b", &large.0);
    write("c", b"\x7fELF\x02\x01\x01, or so it says");
    write("d", &fixtures::stack_and_globals().bytes);
    let program = programs::compile_rust("tokens", programs::TOKENS_RS, &["-O", "-Cstrip=symbols"]);
    write("e", &fs::read(program).expect("the program was compiled"));
    write("f", &loops);
    folder
}

fn lower(
    corpus: &Path,
    output: &Path,
    stages: &[Stage],
    group_size_max: u64,
    memory: u64,
) -> Result<Manifest, Error> {
    let inputs = [corpus.to_owned()];
    let request = Request { group_size_max, memory, ..Request::new(&inputs, output, stages) };
    binframe::lower(&request, &|_| {})
}

/// Bytes of the files of a dataset by relative path, without the manifest, which contains times.
fn files(dataset: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for table in fs::read_dir(dataset).expect("a dataset") {
        for part in fs::read_dir(table.expect("a dataset").path()).expect("tables are folders") {
            let path = part.expect("a table is a folder").path();
            if !path.ends_with("_binframe/manifest.json") {
                let place = path.strip_prefix(dataset).expect("the file is in the dataset").to_owned();
                files.insert(place, fs::read(path).expect("a part can be read"));
            }
        }
    }
    files
}

#[test]
fn the_dataset_does_not_depend_on_threads_and_memory() {
    let (corpus, outputs) = (corpus(), tempfile::tempdir().expect("a temporary folder"));
    let lower = |name: &str, threads: usize, memory: u64| {
        let output = outputs.path().join(name);
        let lowered =
            with_threads(threads, || lower(corpus.path(), &output, &[Stage::Sections], UNIT_SIZE, memory));
        let manifest = lowered.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(verify(&output).unwrap_or_else(|error| panic!("{error}")), []);
        (manifest.binaries.into_iter().map(|entry| entry.binary).collect::<Vec<_>>(), files(&output))
    };
    let (binaries, first) = lower("one", 1, u64::MAX);
    assert_eq!(binaries, ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "b", "d", "e", "f"]);
    let parts = first.keys().filter(|place| place.starts_with("binary_headers")).count();
    assert!(parts > 2, "{parts} checkpoint groups");
    assert!(!first.contains_key(Path::new("_binframe/journal.jsonl")));
    for (name, threads, memory) in [("two", 2, u64::MAX), ("four", 4, 100 << 20), ("small", 2, 1)] {
        let (same_binaries, other) = lower(name, threads, memory);
        assert_eq!(same_binaries, binaries, "{name}");
        assert_eq!(first.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{name}");
        let differing: Vec<_> = first.iter().filter(|(place, bytes)| other[*place] != **bytes).collect();
        assert!(differing.is_empty(), "{name}: {:?}", differing.iter().map(|file| file.0));
    }
}

#[test]
fn inputs_of_a_checkpoint_group_keep_their_order() {
    let (corpus, outputs) = (corpus(), tempfile::tempdir().expect("a temporary folder"));
    let lower = |name: &str, threads: usize, memory: u64| {
        let output = outputs.path().join(name);
        let lowered =
            with_threads(threads, || lower(corpus.path(), &output, &[Stage::Sections], u64::MAX, memory));
        lowered.unwrap_or_else(|error| panic!("{error}"));
        files(&output)
    };
    let one = lower("one", 1, 1);
    assert!(one.keys().all(|place| place.ends_with("part-00000.parquet")));
    assert!(one == lower("four", 4, u64::MAX), "files differ");
}

#[test]
fn unsupported_inputs_are_skipped_and_recorded() {
    let (corpus, output) = (corpus(), tempfile::tempdir().expect("a temporary folder"));
    let output = output.path().join("out");
    fs::remove_file(corpus.path().join("b")).expect("the file exists");
    let manifest = lower(corpus.path(), &output, &[Stage::Sections], UNIT_SIZE, u64::MAX);
    let manifest = manifest.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((manifest.lowered_files(), manifest.resumed_files), (11, 0));
    let [skipped] = manifest.skipped.as_slice() else { panic!("{:?}", manifest.skipped) };
    assert_eq!(Path::new(&skipped.path), corpus.path().join("c"));
    assert!(skipped.reason.contains("; expected "), "{}", skipped.reason);
    let recorded = Dataset::open(&output).expect("a dataset");
    assert_eq!(recorded.manifest().skipped, manifest.skipped);
}

/// The members of a thin archive are files beside it. They are read unless other files must not be.
#[test]
fn members_of_thin_archives_are_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).expect("the temporary folder is writable");
    };
    fs::create_dir(folder.path().join("parts")).expect("the temporary folder is writable");
    for name in ["one.o", "parts/two.o"] {
        write(name, &objects::object(Format::Elf, Architecture::X86_64));
    }
    let field = |text: &str, width: usize| format!("{text:width$}");
    let header = |name: &str, size: usize| {
        field(name, 16)
            + &field("0", 12)
            + &field("0", 6)
            + &field("0", 6)
            + &field("644", 8)
            + &field(&size.to_string(), 10)
            + "`\n"
    };
    let names = "one.o/\nparts/two.o/\nabsent.o/\n";
    let mut thin = "!<thin>\n".to_owned() + &header("//", names.len()) + names;
    for start in ["/0", "/7", "/20"] {
        thin += &header(start, 1000);
    }
    write("thin.a", thin.as_bytes());
    for (companions, expected) in
        [(CompanionSearch::Standard, 3), (CompanionSearch::Directories(Vec::new()), 1)]
    {
        let output = tempfile::tempdir().expect("a temporary folder");
        let (inputs, output) = ([folder.path().join("thin.a")], output.path().join("out"));
        let request = Request { companions, ..Request::new(&inputs, &output, &[Stage::Sections]) };
        let manifest = binframe::lower(&request, &|_| {}).unwrap_or_else(|error| panic!("{error}"));
        let rows =
            |table| manifest.tables.iter().find(|found| found.table == table).map_or(0, |table| table.rows);
        assert_eq!(rows("binaries"), expected);
        assert_eq!(rows("diagnostics"), 3, "each member is named");
    }
}

/// Work on a large file writes rows before it ends; rows of small files are written together.
#[test]
fn an_input_on_which_a_pass_panics_is_skipped() {
    let (corpus, outputs) = (corpus(), tempfile::tempdir().expect("a temporary folder"));
    let inputs = [corpus.path().to_owned()];
    let panicking = ["a2", "b", "e"];
    let lower_with = |name: &str, observe: &(dyn Fn(Progress<'_>) + Sync)| {
        let output = outputs.path().join(name);
        let request = Request::new(&inputs, &output, &[Stage::Sections, Stage::Instructions]);
        binframe::lower(&request, observe).map(|manifest| (manifest, files(&output)))
    };
    let panic_late = |progress: Progress<'_>| {
        assert!(
            !(panicking.contains(&progress.binary) && progress.step == "instructions" && progress.done > 0)
        );
    };
    let (manifest, found) = lower_with("panics", &panic_late).expect("other files are supported");
    let skipped: Vec<_> = manifest.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(skipped.len(), panicking.len() + 1, "{skipped:#?}");
    assert!(skipped[1].contains("/b: internal error: assertion failed"), "{skipped:#?}");
    for name in panicking {
        fs::remove_file(corpus.path().join(name)).expect("the folder is writable");
    }
    let (_, expected) = lower_with("without", &|_| {}).expect("the files are supported");
    assert!(found == expected, "the files differ");
    let alone = [corpus.path().join("d")];
    let output = outputs.path().join("alone");
    let request = Request::new(&alone, &output, &[Stage::Sections]);
    let error = binframe::lower(&request, &|_| panic!("on purpose")).expect_err("the only file is skipped");
    assert!(error.to_string().contains("/d: internal error: on purpose; unless"), "{error}");
}

#[test]
fn a_run_without_supported_inputs_leaves_no_output() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["in/a", "in/b"] {
        fs::create_dir_all(folder.path().join("in")).expect("the temporary folder is writable");
        fs::write(folder.path().join(name), b"\x7fELF").expect("the temporary folder is writable");
    }
    let inputs = [folder.path().join("in/a"), folder.path().join("in/b")];
    for group_size_max in [0, u64::MAX] {
        let output = folder.path().join("out");
        let request = Request { group_size_max, ..Request::new(&inputs, &output, &[Stage::Sections]) };
        let error = binframe::lower(&request, &|_| {}).expect_err("neither is supported");
        assert!(matches!(&error, Error::NothingLowered { skipped } if skipped.len() == 2), "{error}");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }
}
