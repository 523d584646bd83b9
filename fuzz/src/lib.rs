//! Fuzz targets: functions that take any bytes and panic if a property of binframe does not hold.
//!
//! With cargo-fuzz and nightly Rust, `cargo +nightly fuzz run pipeline` runs a target under libFuzzer. On stable Rust,
//! `cargo run -p binframe-fuzz --bin pipeline` runs it on one mutant after another until it fails, and with paths as
//! arguments on those files, for example on a crash that libFuzzer found. `tests/smoke.rs` runs each target on a few
//! hundred mutants.

mod journals;

pub use journals::{journals, resume};

use binframe::Dataset;
use binframe::ir::TABLES;
use binframe::ir::parquet::TableReader;
use binframe::passes::demangled;
use binframe::passes::file::{debug, linkage, sections};
use binframe_query::{Options, Session};
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::TemporaryDataset;
use binframe_testsuite::mutation::{Original, mutant};
use binframe_testsuite::table_invariants;
use bytes::Bytes;
use std::ops::Range;
use std::sync::LazyLock;
use std::{env, fs};

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

/// The bytes are the manifest of a dataset. It is refused, or the dataset is verified or refused.
pub fn open_dataset(bytes: &[u8]) {
    static DATASET: LazyLock<TemporaryDataset> = LazyLock::new(small_dataset);
    let path = DATASET.path();
    fs::write(path.join(MANIFEST), bytes).expect("the temporary folder is writable");
    if Dataset::open(&path).is_ok() {
        _ = binframe::verify(&path);
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

/// Inputs of [`open_dataset`]: one manifest.
pub fn manifests() -> Vec<Original> {
    let manifest = fs::read(small_dataset().path().join(MANIFEST)).expect("the dataset was just written");
    vec![Original::new("manifest", manifest)]
}

/// Path of the manifest in a dataset.
const MANIFEST: &str = "_binframe/manifest.json";

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

/// Runs a target on the mutants with the seeds.
#[expect(clippy::print_stdout, reason = "the last line says which mutant fails")]
pub fn run_mutants(target: fn(&[u8]), originals: &[Original], seeds: Range<u64>) {
    for seed in seeds {
        let mutant = mutant(originals, seed);
        println!("seed {seed}: {}", mutant.recipe);
        target(&mutant.bytes);
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
