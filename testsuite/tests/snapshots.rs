//! Every table of both fixtures, as read back from the Parquet files, is what it was when someone last read it.

use binframe::ir::tables::Binaries;
use binframe::ir::{Batch, Stage, TABLES, Table, TableInfo, to_text};
use binframe_testsuite::executable::Executable;
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::Written;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Largest text of a snapshot: what a person reads.
const SNAPSHOT_SIZE_MAX: usize = 20 << 10;

#[test]
fn loops_and_calls() {
    check("loops_and_calls", &fixtures::loops_and_calls());
}

#[test]
fn stack_and_globals() {
    check("stack_and_globals", &fixtures::stack_and_globals());
}

/// The tables of the pipeline.
fn tables() -> impl Iterator<Item = &'static TableInfo> {
    TABLES.iter().copied().filter(|table| !matches!(table.stage, Stage::Debug | Stage::Effects))
}

fn check(fixture: &str, executable: &Executable) {
    let written = Written::of_bytes(fixture, &executable.bytes).expect("a fixture is lowered");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for table in tables() {
            let mut batch = written.table(table);
            if table == Binaries::INFO {
                batch = without_folder(&batch, fixture);
            }
            let text = shown(&batch);
            assert!(text.len() <= SNAPSHOT_SIZE_MAX, "{fixture}-{}: {} bytes", table.name, text.len());
            insta::assert_snapshot!(format!("{fixture}-{}", table.name), text);
        }
    });
}

/// `binaries` with the path of the fixture alone: the temporary folder has a new name every time.
fn without_folder(batch: &Batch, fixture: &str) -> Batch {
    let rows = binframe::ir::Rows::<Binaries>::from_batch(batch.clone()).expect("the table binaries");
    let mut renamed = binframe::ir::tables::BinaryBuilder::default();
    for row in rows.columns().iter() {
        assert_eq!(Path::new(row.path).file_name().and_then(|name| name.to_str()), Some(fixture));
        renamed.push(binframe::ir::tables::Binary { path: fixture, ..row });
    }
    renamed.finish().batch().clone()
}

/// The rows; of a table that is too large, the first rows that fit, and the fingerprint of all.
fn shown(batch: &Batch) -> String {
    /// Room for the line that ends what is cut, and for what the snapshot's file begins with.
    const FRAME_SIZE: usize = 160;
    let text = to_text(batch);
    if text.len() <= SNAPSHOT_SIZE_MAX {
        return text;
    }
    let mut heads = (0..batch.rows()).rev().map(|rows| to_text(&batch.slice(0, rows)));
    let fits = |head: &String| head.len() + FRAME_SIZE <= SNAPSHOT_SIZE_MAX;
    let mut head = heads.find(fits).expect("the names of columns fit");
    _ = writeln!(head, "… {} rows in all, fingerprint {}", batch.rows(), batch.fingerprint());
    head
}

#[test]
fn every_snapshot_belongs_to_a_table() {
    let fixtures = ["loops_and_calls", "stack_and_globals"];
    let expected = fixtures
        .iter()
        .flat_map(|fixture| tables().map(move |table| format!("{fixture}-{}.snap", table.name)));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let names = fs::read_dir(folder).expect("the folder of snapshots").map(|entry| {
        entry.expect("the folder of snapshots").file_name().into_string().expect("names are UTF-8")
    });
    let found: BTreeSet<_> =
        names.filter(|name| Path::new(name).extension() == Some("snap".as_ref())).collect();
    assert_eq!(found, expected.collect(), "snapshots that no test reads are removed");
}
