//! Journal of an unfinished run: the next run with the same parameters resumes after the last finished checkpoint
//! group.
//!
//! *Problem.* A run over many files may be killed at any time, in the middle of any write. What it had finished must be
//! reusable, and nothing incomplete may become part of a dataset.
//!
//! *Notation.* A checkpoint group is a range of inputs that are committed together. The identity of a run stands for
//! everything that its rows depend on.
//!
//! *Algorithm.* `_binframe/journal.jsonl` in the staging directory has the identity as its first line, and then one
//! line per finished group. A line is appended and synced only after the group's files are on disk. To resume: (1) read
//! lines up to the first one that is truncated, does not parse, or skipped a file that could not be read and now can;
//! (2) give up if the identity differs, if no group is
//! finished, or if the files of a table do not have the recorded size; (3) remove files that no recorded group wrote,
//! and a manifest; (4) truncate the journal to the lines that were read, and append to it.
//!
//! *Invariants.* A group writes only to files that no earlier group wrote to, so its files never change after its line
//! is written.
//!
//! *Approximation.* An input is identified by path, size and times of change, not by its bytes. Companion files are
//! not part of the identity.

use super::manifest::{ManifestBinary, ManifestTable, file_path, manifest_path, metadata_directory};
use super::staging::sync_directory;
use crate::companions::CompanionSearch;
use crate::error::{Error, SkippedFile};
use crate::file::is_readable;
use crate::timing::Timing;
use binframe_ir::TableInfo;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Stands for everything that determines the rows of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunIdentity {
    pub(crate) layout: u32,
    pub(crate) binframe: String,
    /// Names and versions of the passes.
    pub(crate) passes: Vec<(String, u32)>,
    pub(crate) stages: Vec<String>,
    pub(crate) companions: CompanionSearch,
    /// Fingerprints of the tables' declarations.
    pub(crate) schemas: Vec<String>,
    #[serde(rename = "unit_size")]
    pub(crate) group_size_max: u64,
    pub(crate) inputs: Vec<InputIdentity>,
}

/// Identity of an input file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputIdentity {
    pub(crate) path: String,
    pub(crate) size: u64,
    /// Time of the last change of the bytes: seconds and nanoseconds.
    pub(crate) modified: (i64, i64),
    /// Time of the last change of bytes, permissions or names: seconds and nanoseconds.
    pub(crate) changed: (i64, i64),
}

/// A finished checkpoint group.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    pub(crate) binaries: Vec<ManifestBinary>,
    pub(crate) skipped: Vec<SkippedFile>,
    pub(crate) timings: Vec<Timing>,
    /// The tables after this group, with the rows and files of all earlier groups.
    pub(crate) tables: Vec<ManifestTable>,
}

/// The journal file of a run.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Creates the journal of a run in its empty staging directory.
    pub(super) fn create(staging: &Path, identity: &RunIdentity) -> Result<Self, Error> {
        let path = journal_path(staging);
        let directory = path.parent().expect("the journal's path has a directory");
        let file = File::create_new(&path).map_err(Error::io(&path, "create"))?;
        sync_directory(directory)?;
        let mut journal = Self { path, file };
        journal.append(identity)?;
        Ok(journal)
    }

    /// Appends a line and waits until it is on disk.
    pub(super) fn append(&mut self, record: &impl Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(record).expect("records are plain data");
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(Error::io(&self.path, "write"))
    }

    /// Removes the file.
    pub(super) fn remove(self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::io(&self.path, "remove"))
    }

    /// Reopens the journal that a killed run of this identity left, and returns its finished groups. Removes the
    /// files of unfinished groups. `None` if there is nothing to resume from.
    pub(super) fn resume(
        staging: &Path,
        identity: &RunIdentity,
        tables: &[&TableInfo],
    ) -> Option<(Self, Vec<GroupRecord>)> {
        let path = journal_path(staging);
        let text = fs::read(&path).ok()?;
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        let first = lines.next()?;
        if serde_json::from_slice::<RunIdentity>(first).ok()? != *identity {
            return None;
        }
        let mut trusted_size = first.len();
        let mut groups = Vec::new();
        for line in lines {
            let Ok(group) = serde_json::from_slice::<GroupRecord>(line) else { break };
            let mut unreadable = group.skipped.iter().filter(|file| file.is_unreadable);
            if unreadable.any(|file| is_readable(Path::new(&file.path))) {
                break;
            }
            groups.push(group);
            trusted_size += line.len();
        }
        let written = &groups.last()?.tables;
        if !written.iter().map(|table| &*table.table).eq(tables.iter().map(|table| table.name)) {
            return None;
        }
        let is_whole = |(info, table): (&&TableInfo, &ManifestTable)| {
            table.parts > 0 && size_of_files(staging, info.name, table.parts) == Some(table.bytes)
        };
        if !tables.iter().zip(written).all(is_whole) {
            return None;
        }
        for (info, table) in tables.iter().zip(written) {
            remove_unrecorded(staging, info.name, table.parts).ok()?;
        }
        remove_manifest(staging).ok()?;
        let file = File::options().append(true).open(&path).ok()?;
        file.set_len(trusted_size as u64).ok()?;
        Some((Self { path, file }, groups))
    }
}

fn journal_path(staging: &Path) -> PathBuf {
    metadata_directory(staging).join("journal.jsonl")
}

/// Total size of a table's files; `None` if one is missing.
fn size_of_files(staging: &Path, table: &str, files: u32) -> Option<u64> {
    let size = |position| {
        let found = fs::symlink_metadata(file_path(staging, table, position)).ok()?;
        found.is_file().then_some(found.len())
    };
    (0..files).map(size).sum()
}

/// Removes the files of a table that no finished group wrote.
fn remove_unrecorded(staging: &Path, table: &str, files: u32) -> io::Result<()> {
    let recorded: BTreeSet<_> = (0..files).map(|position| file_path(staging, table, position)).collect();
    for entry in fs::read_dir(staging.join(table))? {
        let path = entry?.path();
        if !recorded.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn remove_manifest(staging: &Path) -> io::Result<()> {
    match fs::remove_file(manifest_path(staging)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        CompanionSearch, GroupRecord, InputIdentity, Journal, ManifestTable, RunIdentity, SkippedFile,
        file_path, journal_path,
    };
    use binframe_ir::tables::Functions;
    use binframe_ir::{Table, TableInfo};
    use std::fs;
    use tempfile::TempDir;

    const TABLES: &[&TableInfo] = &[Functions::INFO];

    fn identity() -> RunIdentity {
        let input = InputIdentity { path: "a".to_owned(), size: 1, modified: (2, 3), changed: (4, 5) };
        RunIdentity {
            layout: 1,
            binframe: "0".to_owned(),
            passes: vec![("sections".to_owned(), 1)],
            stages: vec!["sections".to_owned()],
            companions: CompanionSearch::Standard,
            schemas: vec!["f".to_owned()],
            group_size_max: 4,
            inputs: vec![input],
        }
    }

    /// The staging directory of a run that was killed in its third group. Each group wrote a part of ten bytes.
    fn killed_run() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("_binframe")).unwrap();
        let mut journal = Journal::create(folder.path(), &identity()).unwrap();
        fs::create_dir(folder.path().join("functions")).unwrap();
        for part in 0..3 {
            fs::write(file_path(folder.path(), "functions", part), [0; 10]).unwrap();
            let (parts, bytes) = (part + 1, 10 * u64::from(part + 1));
            let (table, schema) = ("functions".to_owned(), String::new());
            let tables =
                vec![ManifestTable { table, schema, rows: 5, bytes, parts, fingerprints: Vec::new() }];
            if part < 2 {
                journal.append(&GroupRecord { tables, ..GroupRecord::default() }).unwrap();
            }
        }
        folder
    }

    /// Number of groups after which a run would resume.
    fn resumed(folder: &TempDir, identity: &RunIdentity) -> Option<usize> {
        Journal::resume(folder.path(), identity, TABLES).map(|(_, groups)| groups.len())
    }

    fn change(folder: &TempDir, change: impl FnOnce(&mut Vec<u8>)) {
        let path = journal_path(folder.path());
        let mut text = fs::read(&path).unwrap();
        change(&mut text);
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_run_resumes_after_its_last_finished_group_and_removes_other_files() {
        let folder = killed_run();
        fs::write(folder.path().join("_binframe/manifest.json"), "{}").unwrap();
        let (mut journal, groups) = Journal::resume(folder.path(), &identity(), TABLES).unwrap();
        assert_eq!(groups.len(), 2);
        let has = |part| file_path(folder.path(), "functions", part).exists();
        assert!(has(0) && has(1) && !has(2));
        assert!(!folder.path().join("_binframe/manifest.json").exists());
        journal.append(&groups[1]).unwrap();
        assert_eq!(resumed(&folder, &identity()), Some(3));
    }

    #[test]
    fn truncated_and_unreadable_lines_are_not_trusted() {
        let folder = killed_run();
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
    fn a_file_that_could_not_be_read_is_tried_again_when_it_can() {
        let folder = killed_run();
        let (mut journal, groups) = Journal::resume(folder.path(), &identity(), TABLES).unwrap();
        fs::write(file_path(folder.path(), "functions", 2), [0; 10]).unwrap();
        let path = folder.path().join("input");
        let skipped = SkippedFile {
            path: path.to_string_lossy().into_owned(),
            reason: "Permission denied".to_owned(),
            is_unreadable: true,
        };
        let mut tables = groups[1].tables.clone();
        (tables[0].parts, tables[0].bytes) = (3, 30);
        journal.append(&GroupRecord { tables, skipped: vec![skipped], ..GroupRecord::default() }).unwrap();
        assert_eq!(resumed(&folder, &identity()), Some(3));
        fs::write(path, "").unwrap();
        assert_eq!(resumed(&folder, &identity()), Some(2));
    }

    #[test]
    fn a_run_of_another_identity_is_not_resumed() {
        let mut other = identity();
        other.inputs[0].modified.1 += 1;
        assert_eq!(resumed(&killed_run(), &other), None);
        other = RunIdentity { group_size_max: 5, ..identity() };
        assert_eq!(resumed(&killed_run(), &other), None);
    }

    #[test]
    fn a_journal_with_other_tables_is_not_trusted() {
        for (table, parts) in [("../victim", 0), ("/victim", 1), ("functions", 0), ("functions", u32::MAX)] {
            let folder = killed_run();
            let victim = folder.path().join("victim");
            fs::create_dir(&victim).unwrap();
            fs::write(victim.join("letter.txt"), "dear").unwrap();
            let (table, schema) = (table.to_owned(), String::new());
            let tables =
                vec![ManifestTable { table, schema, rows: 0, bytes: 0, parts, fingerprints: Vec::new() }];
            let record = serde_json::to_vec(&GroupRecord { tables, ..GroupRecord::default() }).unwrap();
            change(&folder, |text| text.extend(record.into_iter().chain(*b"\n")));
            assert_eq!(resumed(&folder, &identity()), None);
            assert!(victim.join("letter.txt").exists());
        }
    }

    #[test]
    fn a_run_whose_files_do_not_match_the_journal_is_not_resumed() {
        let folder = killed_run();
        fs::write(file_path(folder.path(), "functions", 1), [0; 9]).unwrap();
        assert_eq!(resumed(&folder, &identity()), None);
        fs::remove_file(file_path(folder.path(), "functions", 1)).unwrap();
        assert_eq!(resumed(&folder, &identity()), None);
        assert_eq!(resumed(&tempfile::tempdir().unwrap(), &identity()), None);
    }
}
