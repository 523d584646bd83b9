//! Each fuzz target runs, and finds nothing in a few hundred mutants, which are always the same.

use binframe_fuzz::{executables, run_mutants};

const MUTANTS: u64 = 300;

#[test]
fn pipeline() {
    run_mutants(binframe_fuzz::pipeline, &executables(), 0..MUTANTS);
}

#[test]
fn rebuild() {
    run_mutants(binframe_fuzz::rebuild, &executables(), 0..MUTANTS);
}
