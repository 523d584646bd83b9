//! Each fuzz target runs, and finds nothing in a few hundred mutants, which are always the same. The environment variable
//! `BINFRAME_DATASET_MUTANTS` is the number of mutants of datasets.

use binframe_fuzz::{
    dataset_files, executables, files_with_debug_information, journals, mangled_names, queries, run_mutants,
    table_files,
};

const MUTANTS: u64 = 300;

#[test]
fn pipeline() {
    run_mutants(binframe_fuzz::pipeline, &executables(), 0..MUTANTS);
}

#[test]
fn formats() {
    run_mutants(binframe_fuzz::formats, &executables(), MUTANTS..10 * MUTANTS);
}

#[test]
fn debug_information() {
    run_mutants(binframe_fuzz::debug_information, &files_with_debug_information(), 0..10 * MUTANTS);
}

#[test]
fn demangle() {
    run_mutants(binframe_fuzz::demangle, &mangled_names(), 0..10 * MUTANTS);
}

#[test]
fn rebuild() {
    run_mutants(binframe_fuzz::rebuild, &executables(), 0..MUTANTS);
}

#[test]
fn read_table() {
    run_mutants(binframe_fuzz::read_table, &table_files(), 0..10 * MUTANTS);
}

#[test]
fn open_dataset() {
    let mutants = std::env::var("BINFRAME_DATASET_MUTANTS").ok();
    let mutants = mutants.map_or(MUTANTS, |mutants| mutants.parse().expect("a number"));
    run_mutants(binframe_fuzz::open_dataset, &dataset_files(), 0..mutants);
}

#[test]
fn resume() {
    run_mutants(binframe_fuzz::resume, &journals(), 0..MUTANTS / 3);
}

#[test]
fn query() {
    run_mutants(binframe_fuzz::query, &queries(), 0..MUTANTS);
}
