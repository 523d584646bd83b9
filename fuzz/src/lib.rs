//! Fuzz targets: functions that take any bytes and panic if a property of binframe does not hold.
//!
//! With cargo-fuzz and nightly Rust, `cargo +nightly fuzz run pipeline` runs a target under libFuzzer. On stable Rust,
//! `cargo run -p binframe-fuzz --bin pipeline` runs it on one mutant after another until it fails, and with paths as
//! arguments on those files, for example on a crash that libFuzzer found. `tests/smoke.rs` runs each target on a few
//! hundred mutants.

use binframe::Dataset;
use binframe_testsuite::lowering::TemporaryDataset;
use binframe_testsuite::mutation::{Original, mutant};
use binframe_testsuite::table_invariants;
use bytes::Bytes;
use std::ops::Range;
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

/// The bytes are a file. It is refused, or rebuilding it from its dataset gives the same bytes.
pub fn rebuild(bytes: &[u8]) {
    let Ok(written) = TemporaryDataset::of_bytes("file", bytes) else { return };
    let rebuilt = written.path().with_extension("rebuilt");
    let dataset = Dataset::open(&written.path()).expect("the dataset was just written");
    binframe::rebuild(&dataset, None, &rebuilt).expect("the tables describe the file");
    assert!(fs::read(rebuilt).expect("it was just written") == bytes, "the rebuilt file differs");
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
