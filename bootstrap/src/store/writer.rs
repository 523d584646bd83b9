//! Dataset writer: appends encoded rows to Parquet files, and publishes the dataset atomically.
//!
//! *Files.* Each table has a sequence of files. The rows of one binary start a new file if the open one is larger than
//! `FILE_SIZE_MAX`, and the end of a checkpoint group closes all files.
//!
//! *Protocol.* (1) [`DatasetWriter::create`] locks a staging directory, and returns the groups that a killed run
//! of the same identity had finished. (2) For each further group: `begin_binary` and `append` per table and binary;
//! `finish_tables` closes and syncs the files; `record_group` syncs the directories, then adds the group to the
//! journal. (3) `write_manifest`. (4) `publish` syncs the directories, removes the journal and moves the staging
//! directory to the target. Dropping the writer before (4) removes everything.
//!
//! *Invariants.* What the journal records is on disk before the record. Everything is on disk before the dataset is
//! published.

use super::fingerprint_writer::FingerprintWriter;
use super::journal::{GroupRecord, Journal, RunIdentity};
use super::manifest::{Manifest, ManifestTable, file_path, manifest_path};
use super::staging::{Staging, sync_directory};
use crate::error::Error;
use binframe_ir::TableInfo;
use binframe_ir::parquet::{Compressors, EncodedRows, TableEncoder, TableWriter};
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Size in bytes of a file beyond which the rows of the next binary go to a new file.
const FILE_SIZE_MAX: usize = 1 << 29;

/// An unpublished dataset. Dropping it removes its files.
pub(crate) struct DatasetWriter {
    staging: Staging,
    tables: Vec<TableFiles>,
    journal: Option<Journal>,
}

/// The files of one table.
struct TableFiles {
    info: &'static TableInfo,
    directory: PathBuf,
    /// Rows and bytes of the closed files, and the number of all files.
    written: ManifestTable,
    /// The same when the last group was finished.
    finished: ManifestTable,
    compressors: Compressors,
    open: Option<(TableWriter<BufWriter<FingerprintWriter<File>>>, PathBuf)>,
}

impl DatasetWriter {
    /// Starts a dataset with the given tables that will be published at `target`. Resumes a killed run of this
    /// identity, and returns the groups that it had finished. Without an identity, there is no journal.
    pub(crate) fn create(
        target: &Path,
        tables: &[&'static TableInfo],
        identity: Option<&RunIdentity>,
    ) -> Result<(Self, Vec<GroupRecord>), Error> {
        let staging = Staging::create(target)?;
        let resumed =
            identity.and_then(|identity| Journal::resume(staging.descriptor_path(), identity, tables));
        let open = || {
            let (journal, groups) = match resumed {
                Some((journal, groups)) => (Some(journal), groups),
                None => {
                    staging.empty()?;
                    let journal =
                        identity.map(|identity| Journal::create(staging.descriptor_path(), identity));
                    (journal.transpose()?, Vec::new())
                }
            };
            let compressors = Compressors::default();
            let written = groups.last().map(|group| group.tables.as_slice()).unwrap_or_default();
            let open = |info: &&'static TableInfo| {
                let written = written.iter().find(|table| table.table == info.name);
                TableFiles::create(info, staging.descriptor_path(), written, &compressors)
            };
            let tables = tables.iter().map(open).collect::<Result<_, Error>>()?;
            Ok((tables, journal, groups))
        };
        let (tables, journal, groups) = open().map_err(|error| staging.shown(error))?;
        Ok((Self { staging, tables, journal }, groups))
    }

    /// An encoder for the rows of each table. Encoders work on any thread, without the writer.
    pub(crate) fn encoders(&self) -> Result<Vec<(&'static TableInfo, TableEncoder)>, Error> {
        let encoder = |table: &TableFiles| {
            let encoder = TableEncoder::new(table.info, &table.compressors);
            Ok((table.info, encoder.map_err(Error::write(&table.directory))?))
        };
        self.tables.iter().map(encoder).collect()
    }

    /// Prepares a table for the rows of the next binary.
    pub(crate) fn begin_binary(&mut self, table_index: usize) -> Result<(), Error> {
        let table = &mut self.tables[table_index];
        match table.open.as_ref().is_some_and(|(writer, _)| writer.bytes() > FILE_SIZE_MAX) {
            true => table.finish_file(),
            false => Ok(()),
        }
    }

    /// Appends rows that the table's encoder encoded, as one row group.
    pub(crate) fn append(&mut self, table_index: usize, rows: EncodedRows) -> Result<(), Error> {
        let table = &mut self.tables[table_index];
        if table.open.is_none() {
            table.open_file()?;
        }
        let (writer, path) = table.open.as_mut().expect("a file is open");
        writer.append(rows).map_err(Error::write(path))
    }

    /// Closes all files, and returns the rows, bytes and files of each table.
    pub(crate) fn finish_tables(&mut self) -> Result<Vec<ManifestTable>, Error> {
        let finish = |table: &mut TableFiles| {
            table.finish_file()?;
            table.finished = table.written.clone();
            Ok(table.written.clone())
        };
        // In parallel, because each waits for the disk.
        self.tables.par_iter_mut().map(finish).collect()
    }

    /// Removes the rows that were appended since the last group.
    pub(crate) fn discard_group(&mut self) -> Result<(), Error> {
        self.tables.iter_mut().try_for_each(TableFiles::discard)
    }

    /// Records a finished group in the journal, if there is one. All files must be closed.
    pub(crate) fn record_group(&mut self, group: &GroupRecord) -> Result<(), Error> {
        if self.journal.is_some() {
            self.sync_directories()?;
        }
        self.journal.as_mut().map_or(Ok(()), |journal| journal.append(group))
    }

    /// An error with the path that the user knows.
    pub(crate) fn shown(&self, error: Error) -> Error {
        self.staging.shown(error)
    }

    /// The staging directory.
    pub(crate) fn directory(&self) -> &Path {
        self.staging.descriptor_path()
    }

    /// Writes the manifest, which makes the staging directory a dataset.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = manifest_path(self.staging.descriptor_path());
        let directory = path.parent().expect("the manifest's path has a directory");
        let mut text = serde_json::to_string_pretty(manifest).expect("a manifest is plain data");
        text.push('\n');
        let mut file = File::create_new(&path).map_err(Error::io(&path, "create"))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::io(&path, "write"))?;
        sync_directory(directory)
    }

    /// Moves the dataset to its target path.
    pub(crate) fn publish(mut self) -> Result<(), Error> {
        self.sync_directories()?;
        self.journal.take().map_or(Ok(()), Journal::remove)?;
        self.staging.publish()
    }

    fn sync_directories(&self) -> Result<(), Error> {
        self.tables.par_iter().try_for_each(|table| sync_directory(&table.directory))?;
        sync_directory(self.staging.descriptor_path())
    }
}

impl TableFiles {
    /// Creates a table's folder and first file; or, with the `written` files of a killed run, continues after
    /// them.
    fn create(
        info: &'static TableInfo,
        dataset: &Path,
        written: Option<&ManifestTable>,
        compressors: &Compressors,
    ) -> Result<Self, Error> {
        let (directory, compressors) = (dataset.join(info.name), compressors.clone());
        if let Some(written) = written {
            let (written, finished) = (written.clone(), written.clone());
            return Ok(Self { info, directory, written, finished, compressors, open: None });
        }
        fs::create_dir(&directory).map_err(Error::io(&directory, "create"))?;
        let (table, schema) = (info.name.to_owned(), info.fingerprint().to_string());
        let written = ManifestTable { table, schema, rows: 0, bytes: 0, parts: 0, fingerprints: Vec::new() };
        let finished = written.clone();
        let mut files = Self { info, directory, written, finished, compressors, open: None };
        // A table without rows has a file too: query engines read the columns from it.
        files.open_file()?;
        Ok(files)
    }

    fn path(&self, position: u32) -> PathBuf {
        let dataset = self.directory.parent().expect("a table's folder is in a dataset");
        file_path(dataset, self.info.name, position)
    }

    /// Removes the files since the last finished group.
    fn discard(&mut self) -> Result<(), Error> {
        self.open = None;
        for position in self.finished.parts..self.written.parts {
            let path = self.path(position);
            fs::remove_file(&path).map_err(Error::io(&path, "remove"))?;
        }
        self.written = self.finished.clone();
        if self.written.parts == 0 { self.open_file() } else { Ok(()) }
    }

    fn open_file(&mut self) -> Result<(), Error> {
        let path = self.path(self.written.parts);
        let file = File::create_new(&path).map_err(Error::io(&path, "create"))?;
        let file = FingerprintWriter::new(file);
        let writer = TableWriter::new(self.info, BufWriter::new(file), &self.compressors)
            .map_err(Error::write(&path))?;
        self.open = Some((writer, path));
        self.written.parts += 1;
        Ok(())
    }

    fn finish_file(&mut self) -> Result<(), Error> {
        let Some((writer, path)) = self.open.take() else { return Ok(()) };
        self.written.rows += writer.rows();
        let buffer = writer.finish().map_err(Error::write(&path))?;
        let file = buffer.into_inner().map_err(|error| Error::io(&path, "write")(error.into_error()))?;
        let (file, fingerprint) = file.finish();
        file.sync_all().map_err(Error::io(&path, "write"))?;
        self.written.bytes += file.metadata().map_err(Error::io(&path, "read"))?.len();
        self.written.fingerprints.push(fingerprint.to_string());
        Ok(())
    }
}
