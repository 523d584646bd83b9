//! Writes datasets, whole or not at all.
//!
//! Files are written into a directory beside the target, which takes the target's place at the end. That directory is
//! locked while a process writes to it; one that nobody has locked was left by a process that was killed, and is reused.

use super::{Manifest, ManifestTable, manifest_path, part_path};
use crate::Error;
use binframe_ir::TableInfo;
use binframe_ir::parquet::{Compressors, EncodedRows, TableEncoder, TableWriter};
use rayon::prelude::*;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Size from which on the next input's rows go to a new file.
const PART_SIZE_MAX: usize = 1 << 29;

/// A dataset in the making. Dropping it leaves nothing behind.
pub(crate) struct DatasetWriter {
    staging: Staging,
    tables: Vec<TableFiles>,
}

/// The files of one table.
pub(crate) struct TableFiles {
    info: &'static TableInfo,
    directory: PathBuf,
    parts: u32,
    rows: u64,
    bytes: u64,
    compressors: Compressors,
    open: Option<(TableWriter<BufWriter<File>>, PathBuf)>,
}

impl DatasetWriter {
    /// Begins a dataset with the given tables, which will stand at `target`.
    pub(crate) fn create(target: &Path, tables: &[&'static TableInfo]) -> Result<Self, Error> {
        let staging = Staging::create(target)?;
        let compressors = Compressors::default();
        let open = |info: &&'static TableInfo| TableFiles::create(info, &staging.path, &compressors);
        let tables = tables.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { staging, tables })
    }

    /// The tables, in the order in which they were given.
    pub(crate) fn tables(&mut self) -> &mut [TableFiles] {
        &mut self.tables
    }

    /// Ends all files and returns what they hold.
    pub(crate) fn finish_tables(&mut self) -> Result<Vec<ManifestTable>, Error> {
        let finish = |table: &mut TableFiles| {
            table.finish_part()?;
            Ok(ManifestTable {
                table: table.info.name.to_owned(),
                schema: table.info.fingerprint().to_string(),
                rows: table.rows,
                bytes: table.bytes,
                parts: table.parts,
            })
        };
        // Each waits for its file to reach the disk: together they wait once.
        self.tables.par_iter_mut().map(finish).collect()
    }

    /// Where the files are for now.
    pub(crate) fn directory(&self) -> &Path {
        &self.staging.path
    }

    /// Writes the manifest. From now on the directory is a dataset.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = manifest_path(&self.staging.path);
        let directory = path.parent().expect("the manifest lies in a directory");
        fs::create_dir(directory).map_err(Error::io(directory, "create"))?;
        let mut text = serde_json::to_string_pretty(manifest).expect("a manifest is plain data");
        text.push('\n');
        let mut file = File::create(&path).map_err(Error::io(&path, "create"))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::io(&path, "write"))?;
        sync_directory(directory)
    }

    /// Puts the dataset in its place.
    pub(crate) fn publish(self) -> Result<(), Error> {
        for table in &self.tables {
            sync_directory(&table.directory)?;
        }
        sync_directory(&self.staging.path)?;
        self.staging.publish()
    }
}

impl TableFiles {
    fn create(info: &'static TableInfo, dataset: &Path, compressors: &Compressors) -> Result<Self, Error> {
        let directory = dataset.join(info.name);
        fs::create_dir(&directory).map_err(Error::io(&directory, "create"))?;
        let compressors = compressors.clone();
        let mut files = Self { info, directory, parts: 0, rows: 0, bytes: 0, compressors, open: None };
        files.open_part()?;
        Ok(files)
    }

    /// The table.
    pub(crate) fn info(&self) -> &'static TableInfo {
        self.info
    }

    /// Rows appended so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows + self.open.as_ref().map_or(0, |(writer, _)| writer.rows())
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.open.as_ref().map_or(0, |(writer, _)| writer.bytes() as u64)
    }

    /// Prepares for the rows of the next input.
    pub(crate) fn begin_binary(&mut self) -> Result<(), Error> {
        if self.open.as_ref().is_some_and(|(writer, _)| writer.bytes() > PART_SIZE_MAX) {
            self.finish_part()?;
            self.open_part()?;
        }
        Ok(())
    }

    /// What encodes the table's rows.
    pub(crate) fn encoder(&self) -> TableEncoder {
        self.open.as_ref().expect("a part is open").0.encoder()
    }

    /// Appends rows that the table's encoder encoded.
    pub(crate) fn append(&mut self, rows: EncodedRows) -> Result<(), Error> {
        let (writer, path) = self.open.as_mut().expect("a part is open");
        writer.append(rows).map_err(Error::write(path))
    }

    fn open_part(&mut self) -> Result<(), Error> {
        let dataset = self.directory.parent().expect("tables lie in a dataset");
        let path = part_path(dataset, self.info.name, self.parts);
        let file = File::create(&path).map_err(Error::io(&path, "create"))?;
        let writer = TableWriter::new(self.info, BufWriter::new(file), &self.compressors)
            .map_err(Error::write(&path))?;
        self.open = Some((writer, path));
        self.parts += 1;
        Ok(())
    }

    fn finish_part(&mut self) -> Result<(), Error> {
        let Some((writer, path)) = self.open.take() else { return Ok(()) };
        self.rows += writer.rows();
        let buffer = writer.finish().map_err(Error::write(&path))?;
        let file = buffer.into_inner().map_err(|error| Error::io(&path, "write")(error.into_error()))?;
        file.sync_all().map_err(Error::io(&path, "write"))?;
        self.bytes += file.metadata().map_err(Error::io(&path, "read"))?.len();
        Ok(())
    }
}

/// The locked directory that will take the target's place.
struct Staging {
    path: PathBuf,
    target: PathBuf,
    /// Directories above the target that were not there before, the innermost first.
    new_parents: Vec<PathBuf>,
    /// Holds the lock.
    directory: File,
    is_published: bool,
}

impl Staging {
    fn create(target: &Path) -> Result<Self, Error> {
        let name = target.file_name().ok_or_else(|| Error::Occupied { path: target.to_owned() })?;
        check_target(target)?;
        let mut staging_name = std::ffi::OsString::from(".");
        staging_name.push(name);
        staging_name.push(".partial");
        let path = target.with_file_name(staging_name);
        let mut new_parents = Vec::new();
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let missing =
                parent.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
            new_parents.extend(missing.map(Path::to_owned));
            fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
        }
        loop {
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(&path, "create")(error)),
            }
            let directory = match File::open(&path) {
                Ok(directory) => directory,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io(&path, "open")(error)),
            };
            match directory.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Err(Error::Busy { path: target.to_owned() }),
                Err(fs::TryLockError::Error(error)) => return Err(Error::io(&path, "lock")(error)),
            }
            // Another process may have published or removed the directory before this one locked it.
            let locked = directory.metadata().map_err(Error::io(&path, "read"))?;
            if fs::metadata(&path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (locked.dev(), locked.ino()))
            {
                let target = target.to_owned();
                let staging = Self { path, target, new_parents, directory, is_published: false };
                empty_directory(&staging.path)?;
                return Ok(staging);
            }
        }
    }

    fn publish(mut self) -> Result<(), Error> {
        let (from, to) = (&self.path, &self.target);
        check_target(to)?;
        if manifest_path(to).exists() {
            exchange(from, to)?;
            // What was at the target is at `from` now, and is removed on drop.
        } else {
            fs::rename(from, to).map_err(Error::io(to, "create"))?;
            self.is_published = true;
        }
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_published {
            // Nothing can be done about a failure here; the next run removes the rest.
            _ = fs::remove_dir_all(&self.path);
            for parent in &self.new_parents {
                // One that is not empty stays.
                _ = fs::remove_dir(parent);
            }
        }
        _ = self.directory.unlock();
    }
}

/// Only an old dataset or an empty directory may be replaced.
fn check_target(target: &Path) -> Result<(), Error> {
    let is_free = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none() || manifest_path(target).exists(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    is_free.then_some(()).ok_or_else(|| Error::Occupied { path: target.to_owned() })
}

/// Exchanges two directories: at any time, each name stands for one of them.
fn exchange(from: &Path, to: &Path) -> Result<(), Error> {
    renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)
        .map_err(|error| Error::io(to, "replace")(error.into()))
}

fn empty_directory(path: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(path).map_err(Error::io(path, "read"))? {
        let entry = entry.map_err(Error::io(path, "read"))?.path();
        let removed = if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
        removed.map_err(Error::io(&entry, "remove"))?;
    }
    Ok(())
}

fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(Error::io(path, "write"))
}
