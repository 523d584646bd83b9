//! Writes datasets, whole or not at all.
//!
//! Files are written into a directory beside the target, which takes the target's place at the end. A run of several units
//! keeps a journal there: the next run of the same goes on behind the last unit that is whole.

use super::journal::{Journal, RunIdentity, UnitRecord};
use super::layout::{manifest_path, part_path};
use super::manifest::{Manifest, ManifestTable};
use super::staging::{Staging, sync_directory};
use crate::error::Error;
use binframe_ir::TableInfo;
use binframe_ir::parquet::{Compressors, EncodedRows, TableEncoder, TableWriter};
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Size from which on the next input's rows go to a new file.
const PART_SIZE_MAX: usize = 1 << 29;

/// A dataset in the making. Dropping it leaves nothing behind.
pub(crate) struct DatasetWriter {
    staging: Staging,
    tables: Vec<TableFiles>,
    journal: Option<Journal>,
}

/// The files of one table.
struct TableFiles {
    info: &'static TableInfo,
    directory: PathBuf,
    /// What the files that are finished hold, and the number of all.
    written: ManifestTable,
    compressors: Compressors,
    open: Option<(TableWriter<BufWriter<File>>, PathBuf)>,
}

impl DatasetWriter {
    /// Begins a dataset with the given tables, which will stand at `target`. What a run of this identity had made when it
    /// was killed is kept, and the records of its units come too.
    pub(crate) fn create(
        target: &Path,
        tables: &[&'static TableInfo],
        identity: Option<&RunIdentity>,
    ) -> Result<(Self, Vec<UnitRecord>), Error> {
        let staging = Staging::create(target)?;
        let resumed = identity.and_then(|identity| Journal::resume(staging.path(), identity));
        let (journal, units) = match resumed {
            Some((journal, units)) => (Some(journal), units),
            None => {
                staging.empty()?;
                let journal = identity.map(|identity| Journal::create(staging.path(), identity));
                (journal.transpose()?, Vec::new())
            }
        };
        let compressors = Compressors::default();
        let written = units.last().map(|unit| unit.tables.as_slice()).unwrap_or_default();
        let open = |info: &&'static TableInfo| {
            let written = written.iter().find(|table| table.table == info.name);
            TableFiles::create(info, staging.path(), written, &compressors)
        };
        let tables = tables.iter().map(open).collect::<Result<_, _>>()?;
        Ok((Self { staging, tables, journal }, units))
    }

    /// What encodes the rows of each table.
    pub(crate) fn encoders(&self) -> Result<Vec<(&'static TableInfo, TableEncoder)>, Error> {
        let encoder = |table: &TableFiles| {
            let encoder = TableEncoder::new(table.info, &table.compressors);
            Ok((table.info, encoder.map_err(Error::write(&table.directory))?))
        };
        self.tables.iter().map(encoder).collect()
    }

    /// Prepares a table for the rows of the next input.
    pub(crate) fn begin_binary(&mut self, table: usize) -> Result<(), Error> {
        let table = &mut self.tables[table];
        match table.open.as_ref().is_some_and(|(writer, _)| writer.bytes() > PART_SIZE_MAX) {
            true => table.finish_part(),
            false => Ok(()),
        }
    }

    /// Appends rows that the table's encoder encoded.
    pub(crate) fn append(&mut self, table: usize, rows: EncodedRows) -> Result<(), Error> {
        let table = &mut self.tables[table];
        if table.open.is_none() {
            table.open_part()?;
        }
        let (writer, path) = table.open.as_mut().expect("a part is open");
        writer.append(rows).map_err(Error::write(path))
    }

    /// Ends all files and returns what the tables hold.
    pub(crate) fn finish_tables(&mut self) -> Result<Vec<ManifestTable>, Error> {
        let finish = |table: &mut TableFiles| {
            table.finish_part()?;
            Ok(table.written.clone())
        };
        // Each waits for its file to reach the disk: together they wait once.
        self.tables.par_iter_mut().map(finish).collect()
    }

    /// Records that a unit is whole, once all files are ended.
    pub(crate) fn record_unit(&mut self, unit: &UnitRecord) -> Result<(), Error> {
        if self.journal.is_some() {
            self.sync_directories()?;
        }
        self.journal.as_mut().map_or(Ok(()), |journal| journal.append(unit))
    }

    /// Where the files are for now.
    pub(crate) fn directory(&self) -> &Path {
        self.staging.path()
    }

    /// Writes the manifest. From now on the directory is a dataset.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = manifest_path(self.staging.path());
        let directory = path.parent().expect("the manifest lies in a directory");
        fs::create_dir_all(directory).map_err(Error::io(directory, "create"))?;
        let mut text = serde_json::to_string_pretty(manifest).expect("a manifest is plain data");
        text.push('\n');
        let mut file = File::create(&path).map_err(Error::io(&path, "create"))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::io(&path, "write"))?;
        sync_directory(directory)
    }

    /// Puts the dataset in its place.
    pub(crate) fn publish(mut self) -> Result<(), Error> {
        self.sync_directories()?;
        self.journal.take().map_or(Ok(()), Journal::remove)?;
        self.staging.publish()
    }

    fn sync_directories(&self) -> Result<(), Error> {
        self.tables.par_iter().try_for_each(|table| sync_directory(&table.directory))?;
        sync_directory(self.staging.path())
    }
}

impl TableFiles {
    /// Begins a table, or goes on with what was written.
    fn create(
        info: &'static TableInfo,
        dataset: &Path,
        written: Option<&ManifestTable>,
        compressors: &Compressors,
    ) -> Result<Self, Error> {
        let (directory, compressors) = (dataset.join(info.name), compressors.clone());
        if let Some(written) = written {
            return Ok(Self { info, directory, written: written.clone(), compressors, open: None });
        }
        fs::create_dir(&directory).map_err(Error::io(&directory, "create"))?;
        let (table, schema) = (info.name.to_owned(), info.fingerprint().to_string());
        let written = ManifestTable { table, schema, rows: 0, bytes: 0, parts: 0 };
        let mut files = Self { info, directory, written, compressors, open: None };
        // A table without rows has a file too, which says what its columns are.
        files.open_part()?;
        Ok(files)
    }

    fn open_part(&mut self) -> Result<(), Error> {
        let dataset = self.directory.parent().expect("tables lie in a dataset");
        let path = part_path(dataset, self.info.name, self.written.parts);
        let file = File::create(&path).map_err(Error::io(&path, "create"))?;
        let writer = TableWriter::new(self.info, BufWriter::new(file), &self.compressors)
            .map_err(Error::write(&path))?;
        self.open = Some((writer, path));
        self.written.parts += 1;
        Ok(())
    }

    fn finish_part(&mut self) -> Result<(), Error> {
        let Some((writer, path)) = self.open.take() else { return Ok(()) };
        self.written.rows += writer.rows();
        let buffer = writer.finish().map_err(Error::write(&path))?;
        let file = buffer.into_inner().map_err(|error| Error::io(&path, "write")(error.into_error()))?;
        file.sync_all().map_err(Error::io(&path, "write"))?;
        self.written.bytes += file.metadata().map_err(Error::io(&path, "read"))?.len();
        Ok(())
    }
}
