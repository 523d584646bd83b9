//! Verification of a dataset against the declarations of its tables.

use crate::error::Error;
use crate::store::reader::Dataset;
use binframe_ir::{Batch, Reference, TABLES, Violation, reference_values, references, table_named, validate};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

/// Number of violations after which verification stops.
const VIOLATIONS_MAX: usize = 100;

/// Sorted values of the columns that references are to, by table and columns.
type Targets = HashMap<(&'static str, Vec<&'static str>), Vec<u64>>;

/// Reads every row of a dataset, and checks keys, references, ranges and enumerations. An error is a file that is not as
/// it was written, or that the manifest does not list; a number of rows that differs from the manifest; and rows that the
/// statistics of their file would hide from a query.
pub fn verify(path: &Path) -> Result<Vec<Violation>, Error> {
    let dataset = Dataset::open(path)?;
    verify_files(&dataset)?;
    let mut violations = Vec::new();
    for binary in &dataset.manifest().binaries {
        let binary = &binary.binary;
        let targets = targets(&dataset, binary)?;
        let target_values = |reference: &Reference| {
            targets.get(&(reference.table, reference.targets.clone())).map(Vec::as_slice)
        };
        for table in TABLES.iter().copied() {
            let mut previous: Option<Batch> = None;
            for (_, row_group) in dataset.row_groups(table, Some(binary), None)? {
                let batch = row_group.read()?;
                violations.extend(validate(&batch, previous.as_ref(), &target_values));
                if violations.len() >= VIOLATIONS_MAX {
                    return Ok(violations);
                }
                previous = Some(batch);
            }
        }
    }
    Ok(violations)
}

/// Compares the files with the manifest.
fn verify_files(dataset: &Dataset) -> Result<(), Error> {
    let listed: HashSet<_> = dataset.manifest().binaries.iter().map(|entry| &entry.binary).collect();
    for table in TABLES.iter().copied() {
        let Some(entry) = dataset.table(table) else { continue };
        let (paths, directory) = (dataset.files(table), dataset.path().join(table.name));
        let present = fs::read_dir(&directory).map_err(Error::io(&directory, "read"))?.count();
        if [present, paths.len()] != [entry.fingerprints.len(); 2] {
            let listed = entry.fingerprints.len();
            let found = format!("has {present} files, and its manifest the fingerprints of {listed}");
            return Err(Error::Changed { path: directory, found });
        }
        for (position, path) in paths.iter().enumerate() {
            dataset.compare(table, path, position)?;
        }
        let row_groups = dataset.row_groups(table, None, None)?;
        let changed = |found| Error::Changed { path: dataset.path().join(table.name), found };
        let rows: u64 = row_groups.iter().map(|(_, row_group)| row_group.row_count() as u64).sum();
        if rows != entry.rows {
            return Err(changed(format!("has {rows} rows, and its manifest states {}", entry.rows)));
        }
        for (binary, row_group) in row_groups.iter().filter(|(_, row_group)| row_group.row_count() > 0) {
            if !listed.contains(binary) {
                return Err(changed(format!("has rows of `{binary}`, which its manifest does not list")));
            }
            if let Some(column) = row_group.columns_beyond_statistics()?.first() {
                return Err(changed(format!("has values of `{column}` that its statistics exclude")));
            }
        }
    }
    Ok(())
}

/// The values of all referenced columns, for one binary.
fn targets(dataset: &Dataset, binary: &str) -> Result<Targets, Error> {
    let mut targets = Targets::new();
    for Reference { table, targets: columns, .. } in TABLES.iter().flat_map(|table| references(table)) {
        let info = table_named(table).filter(|info| dataset.has_table(info));
        let key = (table, columns);
        let Some(info) = info.filter(|_| !targets.contains_key(&key)) else { continue };
        let mut values = Vec::new();
        for (_, row_group) in dataset.row_groups(info, Some(binary), None)? {
            values.extend(reference_values(&row_group.read_for(&key.1)?, &key.1).flatten());
        }
        values.sort_unstable();
        targets.insert(key, values);
    }
    Ok(targets)
}
