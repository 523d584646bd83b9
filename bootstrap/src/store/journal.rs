//! What a run has finished, kept beside what it made: after it was killed, the next run of the same goes on from there.
//!
//! The first line of `_binframe/journal.jsonl` says which run it is. Each further line stands for a unit whose files are whole
//! and on the disk. A line that is cut or cannot be read ends what is trusted.

use super::layout::{manifest_path, part_path};
use super::manifest::{ManifestBinary, ManifestTable, SkippedFile};
use super::staging::sync_directory;
use crate::error::Error;
use crate::timing::Timing;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What decides the bytes that a run writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunIdentity {
    pub(crate) layout: u32,
    pub(crate) binframe: String,
    /// Names and versions of the passes.
    pub(crate) passes: Vec<(String, u32)>,
    pub(crate) stages: Vec<String>,
    /// Fingerprints of the tables' declarations.
    pub(crate) schemas: Vec<String>,
    pub(crate) unit_size: u64,
    pub(crate) inputs: Vec<InputIdentity>,
}

/// An input, and what changes when it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputIdentity {
    pub(crate) path: String,
    pub(crate) size: u64,
    /// When it was changed last: seconds and nanoseconds.
    pub(crate) modified: (i64, i64),
}

/// A unit that is whole.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct UnitRecord {
    pub(crate) binaries: Vec<ManifestBinary>,
    pub(crate) skipped: Vec<SkippedFile>,
    pub(crate) timings: Vec<Timing>,
    /// What all units up to this one made.
    pub(crate) tables: Vec<ManifestTable>,
}

/// The file.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins the journal of a run in its empty directory.
    pub(super) fn create(staging: &Path, identity: &RunIdentity) -> Result<Self, Error> {
        let path = journal_path(staging);
        let directory = path.parent().expect("the journal lies in a directory");
        fs::create_dir(directory).map_err(Error::io(directory, "create"))?;
        let file = File::create(&path).map_err(Error::io(&path, "create"))?;
        sync_directory(directory)?;
        let mut journal = Self { path, file };
        journal.append(identity)?;
        Ok(journal)
    }

    /// Adds a line, which is on the disk when this returns.
    pub(super) fn append(&mut self, record: &impl Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(record).expect("records are plain data");
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(Error::io(&self.path, "write"))
    }

    /// Removes it.
    pub(super) fn remove(self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::io(&self.path, "remove"))
    }

    /// Goes on with what a run of this identity left: its journal, and its units that are whole, at least one. Whatever
    /// belongs to no such unit is removed. None where there is nothing to go on with.
    pub(super) fn resume(staging: &Path, identity: &RunIdentity) -> Option<(Self, Vec<UnitRecord>)> {
        let path = journal_path(staging);
        let text = fs::read(&path).ok()?;
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        let first = lines.next()?;
        if serde_json::from_slice::<RunIdentity>(first).ok()? != *identity {
            return None;
        }
        let mut trusted = first.len();
        let mut units = Vec::new();
        for line in lines {
            let Ok(unit) = serde_json::from_slice::<UnitRecord>(line) else { break };
            units.push(unit);
            trusted += line.len();
        }
        let tables = &units.last()?.tables;
        let is_whole = tables.iter().all(|table| size_of_parts(staging, table) == Some(table.bytes));
        let is_kept = is_whole && remove_all_but(staging, tables).is_ok();
        let file = File::options().append(true).open(&path).ok()?;
        file.set_len(trusted as u64).ok()?;
        is_kept.then_some((Self { path, file }, units))
    }
}

fn journal_path(staging: &Path) -> PathBuf {
    staging.join("_binframe").join("journal.jsonl")
}

/// The size of a table's files together, if all are there.
fn size_of_parts(staging: &Path, table: &ManifestTable) -> Option<u64> {
    let size = |part| fs::metadata(part_path(staging, &table.table, part)).ok().map(|found| found.len());
    (0..table.parts).map(size).sum()
}

/// Removes the files of tables that belong to no unit which is whole, and a manifest.
fn remove_all_but(staging: &Path, tables: &[ManifestTable]) -> io::Result<()> {
    for table in tables {
        let kept: BTreeSet<_> = (0..table.parts).map(|part| part_path(staging, &table.table, part)).collect();
        for entry in fs::read_dir(staging.join(&table.table))? {
            let path = entry?.path();
            if !kept.contains(&path) {
                fs::remove_file(&path)?;
            }
        }
    }
    match fs::remove_file(manifest_path(staging)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{InputIdentity, Journal, ManifestTable, RunIdentity, UnitRecord, journal_path, part_path};
    use std::fs;
    use tempfile::TempDir;

    fn identity() -> RunIdentity {
        let input = InputIdentity { path: "a".to_owned(), size: 1, modified: (2, 3) };
        RunIdentity {
            layout: 1,
            binframe: "0".to_owned(),
            passes: vec![("sections".to_owned(), 1)],
            stages: vec!["sections".to_owned()],
            schemas: vec!["f".to_owned()],
            unit_size: 4,
            inputs: vec![input],
        }
    }

    /// What a run leaves that is killed in its third unit. Each unit made a part of ten bytes.
    fn left() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path(), &identity()).unwrap();
        fs::create_dir(folder.path().join("functions")).unwrap();
        for part in 0..3 {
            fs::write(part_path(folder.path(), "functions", part), [0; 10]).unwrap();
            let (parts, bytes) = (part + 1, 10 * u64::from(part + 1));
            let (table, schema) = ("functions".to_owned(), String::new());
            let tables = vec![ManifestTable { table, schema, rows: 5, bytes, parts }];
            if part < 2 {
                journal.append(&UnitRecord { tables, ..UnitRecord::default() }).unwrap();
            }
        }
        folder
    }

    /// The number of units that are gone on with.
    fn resumed(folder: &TempDir, identity: &RunIdentity) -> Option<usize> {
        Journal::resume(folder.path(), identity).map(|(_, units)| units.len())
    }

    fn change(folder: &TempDir, change: impl FnOnce(&mut Vec<u8>)) {
        let path = journal_path(folder.path());
        let mut text = fs::read(&path).unwrap();
        change(&mut text);
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_run_goes_on_behind_its_last_whole_unit_and_removes_what_is_of_none() {
        let folder = left();
        fs::write(folder.path().join("_binframe/manifest.json"), "{}").unwrap();
        let (mut journal, units) = Journal::resume(folder.path(), &identity()).unwrap();
        assert_eq!(units.len(), 2);
        let has = |part| part_path(folder.path(), "functions", part).exists();
        assert!(has(0) && has(1) && !has(2));
        assert!(!folder.path().join("_binframe/manifest.json").exists());
        journal.append(&units[1]).unwrap();
        assert_eq!(resumed(&folder, &identity()), Some(3));
    }

    #[test]
    fn lines_that_are_cut_or_cannot_be_read_are_not_trusted() {
        let folder = left();
        change(&folder, |text| text.truncate(text.len() - 1));
        assert_eq!(resumed(&folder, &identity()), Some(1), "the line end is missing");
        assert_eq!(resumed(&folder, &identity()), Some(1), "the line was removed");
        change(&folder, |text| text.extend(b"{}\n"));
        assert_eq!(resumed(&folder, &identity()), Some(1));
        change(&folder, |text| text.truncate(20));
        assert_eq!(resumed(&folder, &identity()), None);
        change(&folder, |text| *text = b"\xff\n\n[".to_vec());
        assert_eq!(resumed(&folder, &identity()), None);
        change(&folder, Vec::clear);
        assert_eq!(resumed(&folder, &identity()), None);
    }

    #[test]
    fn a_run_of_another_identity_is_not_gone_on_with() {
        let mut other = identity();
        other.inputs[0].modified.1 += 1;
        assert_eq!(resumed(&left(), &other), None);
        other = RunIdentity { unit_size: 5, ..identity() };
        assert_eq!(resumed(&left(), &other), None);
    }

    #[test]
    fn files_that_are_not_as_the_journal_says_are_not_trusted() {
        let folder = left();
        fs::write(part_path(folder.path(), "functions", 1), [0; 9]).unwrap();
        assert_eq!(resumed(&folder, &identity()), None);
        fs::remove_file(part_path(folder.path(), "functions", 1)).unwrap();
        assert_eq!(resumed(&folder, &identity()), None);
        assert_eq!(resumed(&tempfile::tempdir().unwrap(), &identity()), None);
    }
}
