//! Fuzz targets: functions that take any bytes and panic if a property of binframe does not hold.
//!
//! With cargo-fuzz and nightly Rust, `cargo +nightly fuzz run pipeline` runs a target under libFuzzer. On stable Rust,
//! `cargo run -p binframe-fuzz --bin pipeline` runs it on one mutant after another until it fails, and with paths as
//! arguments on those files, for example on a crash that libFuzzer found. `tests/smoke.rs` runs each target on a few
//! hundred mutants.

mod journals;

pub use journals::{journals, resume};

use binframe::ir::parquet::TableReader;
use binframe::ir::{Fingerprint, Stage, TABLES};
use binframe::passes::demangled;
use binframe::passes::file::{debug, linkage, sections};
use binframe::{Dataset, Filter, Source};
use binframe_query::{Options, Session};
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::TemporaryDataset;
use binframe_testsuite::mutation::{Original, mutant};
use binframe_testsuite::table_invariants;
use bytes::Bytes;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use std::{env, fs, iter};

/// Inputs of [`pipeline`] and [`rebuild`]: small files of every format.
pub use binframe_testsuite::mutation::originals as executables;

/// The bytes are a file. It is refused, or its tables have no violation of an invariant.
pub fn pipeline(bytes: &[u8]) {
    let file = Bytes::copy_from_slice(bytes);
    if let Ok(violations) = table_invariants::violations(&file) {
        assert!(violations.is_empty(), "{violations:?}");
    }
}

/// The bytes are a file. It is refused, or its structure and its linking metadata are read. Faster than [`pipeline`].
pub fn formats(bytes: &[u8]) {
    let file = Bytes::copy_from_slice(bytes);
    if let Ok(sections) = sections::run(&file, 0) {
        _ = linkage::run(&file, &sections);
    }
}

/// The bytes are a file. It is refused, or its debug information is read.
pub fn debug_information(bytes: &[u8]) {
    let file = Bytes::copy_from_slice(bytes);
    if let Ok(sections) = sections::run(&file, 0) {
        _ = debug::run(&file, &sections, &[]);
    }
}

/// Inputs of [`debug_information`]: the fixtures that have some.
pub fn files_with_debug_information() -> Vec<Original> {
    let names = ["library.so", "freestanding_x86_32"];
    let files = names.iter().filter_map(|name| Some(Original::new(name, fixtures::file(name)?)));
    files.collect()
}

/// The bytes are names, one a line. Each has a text, or none.
pub fn demangle(bytes: &[u8]) {
    for name in String::from_utf8_lossy(bytes).lines() {
        _ = demangled(name);
    }
}

/// Inputs of [`demangle`]: the names of the demangler's own tests.
pub fn mangled_names() -> Vec<Original> {
    let lines = include_str!("../../passes/src/file/itanium/tests/names.txt").lines();
    let names = lines.filter_map(|line| line.split(' ').next().filter(|name| name.starts_with('_')));
    names.map(|name| Original::new("name", name.as_bytes().to_vec())).collect()
}

/// The bytes are a file. It is refused, or rebuilding it from its dataset gives the same bytes.
pub fn rebuild(bytes: &[u8]) {
    let Ok(written) = TemporaryDataset::of_bytes("file", bytes) else { return };
    let rebuilt = written.path().with_extension("rebuilt");
    let dataset = Dataset::open(&written.path()).expect("the dataset was just written");
    binframe::rebuild(&dataset, None, &rebuilt).expect("the tables describe the file");
    assert!(fs::read(rebuilt).expect("it was just written") == bytes, "the rebuilt file differs");
}

/// The first byte selects a table, and the others are a Parquet file. Each of its row groups is read or refused.
pub fn read_table(bytes: &[u8]) {
    let Some((&index, file)) = bytes.split_first() else { return };
    let table = TABLES[usize::from(index) % TABLES.len()];
    let Ok(reader) = TableReader::open(table, Bytes::copy_from_slice(file)) else { return };
    for row_group in 0..reader.row_groups() {
        _ = reader.read(row_group);
    }
}

/// The first byte selects a file of a dataset, and the others replace it. The dataset is refused, or it is verified,
/// rebuilt and read, each with a result or an error.
pub fn open_dataset(bytes: &[u8]) {
    static FILES: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(files_of_dataset);
    static DATASET: LazyLock<TemporaryDataset> = LazyLock::new(dataset_of_sections);
    let Some((&index, replacement)) = bytes.split_first() else { return };
    let (name, original) = &FILES[usize::from(index) % FILES.len()];
    let (path, manifest) = (DATASET.path(), DATASET.path().join(MANIFEST));
    let write = |path: &Path, bytes: &[u8]| {
        // A new file: an earlier query may not have closed its mapping yet.
        let replaced = fs::remove_file(path).and_then(|()| fs::write(path, bytes));
        replaced.expect("the temporary folder is writable");
    };
    write(&path.join(name), replacement);
    if !name.ends_with(MANIFEST) {
        // Whoever forges a file of a table can also forge the manifest.
        let fingerprints =
            [original.as_slice(), replacement].map(|bytes| Fingerprint::of_bytes(bytes).to_string());
        let text = String::from_utf8_lossy(&FILES[0].1).replace(&fingerprints[0], &fingerprints[1]);
        write(&manifest, text.as_bytes());
    }
    use_dataset(&path);
    write(&path.join(name), original);
    write(&manifest, &FILES[0].1);
}

/// Does with a dataset what commands do.
fn use_dataset(path: &Path) {
    let Ok(source) = Source::open(path) else { return };
    _ = binframe::verify(path);
    if let Source::Dataset(dataset) = &source {
        _ = binframe::rebuild(dataset, None, &path.with_extension("rebuilt"));
    }
    for table in TABLES.iter().copied().filter(|table| source.has_table(table)) {
        let columns: Vec<_> = table.columns.iter().map(|column| column.name).collect();
        for part in source.parts(table, &Filter::default()).unwrap_or_default() {
            _ = part.columns(&columns);
        }
    }
}

/// The bytes are queries. Each is refused, or starts to run.
pub fn query(bytes: &[u8]) {
    static DATASET: LazyLock<TemporaryDataset> = LazyLock::new(small_dataset);
    static SESSION: LazyLock<Session> = LazyLock::new(|| {
        let options = Options { threads: 1, ..Options::default() };
        Session::open(&[DATASET.path()], options).expect("the dataset was just written")
    });
    for statement in binframe_query::split(&String::from_utf8_lossy(bytes)).unwrap_or_default() {
        _ = SESSION.query(statement);
    }
}

/// Inputs of [`query`]: lines of the tests of `binframe sql`.
pub fn queries() -> Vec<Original> {
    let text = concat!(
        include_str!("../../cli/tests/command/queries/functions.sql"),
        include_str!("../../cli/tests/command/queries/mistakes.sql"),
        include_str!("../../cli/tests/command/queries/tables.sql"),
        include_str!("../../cli/tests/command/queries/views.sql"),
    );
    text.lines().map(|line| Original::new("query", line.as_bytes().to_vec())).collect()
}

/// Inputs of [`open_dataset`]: the files of one dataset.
pub fn dataset_files() -> Vec<Original> {
    let files = files_of_dataset().into_iter().enumerate().map(|(index, (name, bytes))| {
        let index = u8::try_from(index).expect("there are fewer than 256 files");
        Original::new(&name.to_string_lossy(), [&[index], bytes.as_slice()].concat())
    });
    files.collect()
}

/// Paths and bytes of the files of a dataset, the manifest first.
fn files_of_dataset() -> Vec<(PathBuf, Vec<u8>)> {
    let written = dataset_of_sections();
    let dataset = Dataset::open(&written.path()).expect("the dataset was just written");
    let manifest = written.path().join(MANIFEST);
    let files = iter::once(manifest).chain(TABLES.iter().flat_map(|table| dataset.files(table)));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(written.path()).expect("it is in the dataset").to_owned();
        (name, fs::read(path).expect("the manifest names files that exist"))
    };
    files.map(read).collect()
}

/// Path of the manifest in a dataset.
const MANIFEST: &str = "_binframe/manifest.json";

/// A dataset with few tables, which is read in a short time.
fn dataset_of_sections() -> TemporaryDataset {
    let file = fixtures::loops_and_calls().bytes;
    TemporaryDataset::with_stages("app", &file, &[Stage::Sections]).expect("a fixture is lowered")
}

fn small_dataset() -> TemporaryDataset {
    TemporaryDataset::of_bytes("app", &fixtures::loops_and_calls().bytes).expect("a fixture is lowered")
}

/// Inputs of [`read_table`]: the files of a dataset.
pub fn table_files() -> Vec<Original> {
    let written = small_dataset();
    let dataset = Dataset::open(&written.path()).expect("the dataset was just written");
    let files = TABLES.iter().enumerate().flat_map(|(index, table)| {
        dataset.files(table).into_iter().map(move |path| {
            let mut bytes = vec![u8::try_from(index).expect("there are fewer than 256 tables")];
            bytes.extend(fs::read(path).expect("the manifest names files that exist"));
            Original::new(table.name, bytes)
        })
    });
    files.collect()
}

/// Time limit of a target for one mutant, which takes milliseconds: only a hang exceeds it.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Runs a target on the mutants with the seeds.
#[expect(clippy::print_stdout, reason = "the last line says which mutant fails")]
pub fn run_mutants(target: fn(&[u8]), originals: &[Original], seeds: Range<u64>) {
    for seed in seeds {
        let mutant = mutant(originals, seed);
        println!("seed {seed}: {}", mutant.recipe);
        let started = Instant::now();
        target(&mutant.bytes);
        assert!(started.elapsed() < TIME_MAX, "took {:?}", started.elapsed());
    }
}

/// The program of a target: runs it on the files that its arguments name, or on mutants without end.
pub fn main(target: fn(&[u8]), originals: fn() -> Vec<Original>) {
    if env::args_os().len() < 2 {
        run_mutants(target, &originals(), 0..u64::MAX);
    }
    for path in env::args_os().skip(1) {
        target(&fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display())));
    }
}
