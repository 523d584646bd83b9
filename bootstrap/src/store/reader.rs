//! Dataset reader: finds and reads the row groups that may have requested rows.
//!
//! *Problem.* A query of one binary or of a few addresses must not read the rest of a dataset.
//!
//! *Algorithm.* Files are mapped, and their footers parsed once and cached. A row group belongs to one binary, which
//! the statistics of its column `binary_name` name. Of the row groups of a binary, those are skipped whose minimum and
//! maximum of the [`address_column`] exclude the requested range, where a row covers up to the maximal size of the row
//! group. The bytes of a file are compared with the manifest before its first use, unless sizes and times say that the
//! file is as it was written ([`is_as_written`]).
//!
//! *Approximation.* Over-approximation: a row group without statistics is read, and rows outside the range are
//! returned.

use super::manifest::{LAYOUT_VERSION, Manifest, ManifestTable, file_path, manifest_path};
use crate::addresses::address_column;
use crate::error::Error;
use crate::file::map_file;
use arrow_array::new_null_array;
use binframe_ir::parquet::{ColumnCondition, ReadError, TableReader};
use binframe_ir::{Batch, ColumnInfo, Fingerprint, TableInfo, table_named};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::{self, Metadata};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A dataset on disk.
pub struct Dataset {
    path: PathBuf,
    manifest: Box<Manifest>,
    /// For each table, whether sizes and times say that its files are as they were written.
    as_written: BTreeMap<&'static str, bool>,
    /// Files that were opened: a caller that iterates over many binaries reads each file many times.
    files: Mutex<BTreeMap<PathBuf, Arc<TableFile>>>,
}

/// An open file of a table.
struct TableFile {
    reader: TableReader<Bytes>,
    /// Binary of each row group.
    binaries: Vec<String>,
    /// Row groups of each binary.
    row_groups: HashMap<String, Vec<usize>>,
}

impl TableFile {
    fn open(table: &'static TableInfo, path: &Path) -> Result<Self, Error> {
        let reader = TableReader::open(table, map_file(path)?.0).map_err(Error::read(path))?;
        let binaries = (0..reader.row_groups()).map(|index| reader.row_group_binary(index));
        let binaries = binaries.collect::<Result<Vec<_>, _>>().map_err(Error::read(path))?;
        let mut row_groups = HashMap::<String, Vec<usize>>::new();
        for (index, binary) in binaries.iter().enumerate() {
            row_groups.entry(binary.clone()).or_default().push(index);
        }
        Ok(Self { reader, binaries, row_groups })
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Dataset").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A row group of a dataset.
pub(crate) struct StoredRowGroup {
    path: PathBuf,
    file: Arc<TableFile>,
    index: usize,
}

impl StoredRowGroup {
    /// Reads all columns.
    pub(crate) fn read(&self) -> Result<Batch, Error> {
        self.file.reader.read(self.index).map_err(Error::read(&self.path))
    }

    /// Whether a row may satisfy a condition.
    pub(crate) fn may_satisfy(&self, condition: &ColumnCondition) -> bool {
        self.file.reader.may_satisfy(self.index, condition)
    }

    /// Number of rows.
    pub(crate) fn row_count(&self) -> usize {
        self.file.reader.row_group_rows(self.index) as usize
    }

    /// Reads the named columns. All other columns are null.
    pub(crate) fn read_for(&self, names: &[&str]) -> Result<Batch, Error> {
        let table = self.file.reader.info();
        let needed: BTreeSet<_> = names.iter().filter_map(|name| table.column_index(name)).collect();
        let positions: Vec<_> = needed.into_iter().collect();
        let arrays =
            self.file.reader.read_adopted(self.index, &positions).map_err(Error::read(&self.path))?;
        let column = |(position, column): (usize, &ColumnInfo)| match positions.binary_search(&position) {
            Ok(index) => Arc::clone(&arrays[index]),
            Err(_) => new_null_array(&(column.memory_type)(), self.row_count()),
        };
        Ok(Batch::new(table, table.columns.iter().enumerate().map(column).collect()))
    }

    /// The columns whose values are not within the statistics of the file.
    pub(crate) fn columns_beyond_statistics(&self) -> Result<Vec<String>, Error> {
        self.file.reader.columns_beyond_statistics(self.index).map_err(Error::read(&self.path))
    }
}

impl Dataset {
    /// Whether a directory is a dataset, of any version.
    pub fn is_at(path: &Path) -> bool {
        manifest_path(path).exists()
    }

    /// Opens a dataset.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let not_a_dataset = |found: String| Error::NotADataset { path: path.to_owned(), found };
        let manifest = match Self::is_at(path) {
            true => Manifest::read(path).map_err(not_a_dataset)?,
            false => return Err(not_a_dataset("_binframe/manifest.json is missing".to_owned())),
        };
        if manifest.layout != LAYOUT_VERSION {
            let found =
                format!("its layout has version {}, this binframe reads {LAYOUT_VERSION}", manifest.layout);
            return Err(not_a_dataset(found));
        }
        let mut as_written = BTreeMap::new();
        for table in &manifest.tables {
            let name = known_table(table).map_err(not_a_dataset)?.name;
            if as_written.contains_key(name) {
                return Err(not_a_dataset(format!("its manifest has the table `{name}` twice")));
            }
            as_written.insert(name, is_as_written(path, table).map_err(not_a_dataset)?);
        }
        Ok(Self { path: path.to_owned(), manifest: manifest.into(), as_written, files: Mutex::default() })
    }

    /// Contents of the dataset, and how they were computed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Directory of the dataset.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the dataset has a table, with or without rows.
    pub fn has_table(&self, table: &TableInfo) -> bool {
        self.table(table).is_some()
    }

    /// Manifest entry of a table; `None` if the dataset does not have the table.
    pub fn table(&self, table: &TableInfo) -> Option<&ManifestTable> {
        self.manifest.tables.iter().find(|entry| entry.table == table.name)
    }

    /// Paths of the files of a table.
    pub fn files(&self, table: &TableInfo) -> Vec<PathBuf> {
        (0..self.table(table).map_or(0, |entry| entry.parts))
            .map(|part| file_path(&self.path, table.name, part))
            .collect()
    }

    /// Fails if the bytes of a file are not those that were written.
    pub(crate) fn compare(&self, table: &TableInfo, path: &Path, position: usize) -> Result<(), Error> {
        let expected = self.table(table).and_then(|entry| entry.fingerprints.get(position));
        let found = Fingerprint::of_bytes(&map_file(path)?.0).to_string();
        let is_expected = expected.is_some_and(|expected| *expected == found);
        let expected = expected.map_or("missing", String::as_str);
        let found = format!("its bytes have the fingerprint {found}, in the manifest it is {expected}");
        if is_expected { Ok(()) } else { Err(Error::Changed { path: path.to_owned(), found }) }
    }

    /// Opens the file of a table at a position.
    fn table_file(
        &self,
        table: &'static TableInfo,
        path: &Path,
        position: usize,
    ) -> Result<Arc<TableFile>, Error> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = TableFile::open(table, path).map_err(|error| match error {
            Error::Read { path, error: error @ ReadError::Schema { .. } } => {
                Error::Schema { path, schema_version: self.manifest.schema_version, error }
            }
            error => error,
        });
        let file = Arc::new(file?);
        if self.as_written.get(table.name) != Some(&true) {
            self.compare(table, path, position)?;
        }
        files.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    /// The row groups of a table that may have rows of `binary` and of `addresses`, each with its binary, in the order
    /// of rows. Without a restriction, all row groups.
    pub(crate) fn row_groups(
        &self,
        table: &'static TableInfo,
        binary: Option<&str>,
        addresses: Option<&Range<u64>>,
    ) -> Result<Vec<(String, StoredRowGroup)>, Error> {
        let mut found = Vec::new();
        for (position, path) in self.files(table).into_iter().enumerate() {
            let file = self.table_file(table, &path, position)?;
            let of_binary = match binary {
                Some(binary) => file.row_groups.get(binary).cloned().unwrap_or_default(),
                None => (0..file.binaries.len()).collect(),
            };
            for index in of_binary {
                if may_cover(table, &file.reader, index, addresses) {
                    let row_group = StoredRowGroup { path: path.clone(), file: Arc::clone(&file), index };
                    found.push((file.binaries[index].clone(), row_group));
                }
            }
        }
        Ok(found)
    }
}

/// The declaration of a table of a manifest.
fn known_table(table: &ManifestTable) -> Result<&'static TableInfo, String> {
    let unknown = || format!("its manifest has a table `{}` that this binframe does not know", table.table);
    table_named(&table.table).ok_or_else(unknown)
}

/// Whether the files of a table have the size that the manifest states, and were not changed after the manifest, which is
/// written last. Fails if a file is missing. A list of the files would take memory in proportion to their stated number.
fn is_as_written(dataset: &Path, table: &ManifestTable) -> Result<bool, String> {
    let changed = |file: &Metadata| (file.ctime(), file.ctime_nsec());
    let manifest = fs::metadata(manifest_path(dataset)).map_err(|error| error.to_string())?;
    let (mut size, mut is_older) = (0, true);
    for position in 0..table.parts {
        let Ok(file) = fs::metadata(file_path(dataset, &table.table, position)) else {
            let name = file_path(Path::new(""), &table.table, position);
            return Err(format!("{} is missing", name.display()));
        };
        size += file.len();
        is_older &= changed(&file) <= changed(&manifest);
    }
    Ok(is_older && size == table.bytes)
}

/// Whether a row group may have a row that covers an address of the range.
fn may_cover(
    table: &'static TableInfo,
    reader: &TableReader<Bytes>,
    index: usize,
    addresses: Option<&Range<u64>>,
) -> bool {
    let (Some(range), Some(column)) = (addresses, address_column(table)) else { return true };
    let Some(starts) = reader.row_group_numbers(index, column) else { return true };
    let size_max = match table.span {
        Some((_, size)) => reader.row_group_numbers(index, size).map_or(u64::MAX, |sizes| *sizes.end()),
        None => 0,
    };
    *starts.start() < range.end && range.start <= starts.end().saturating_add(size_max)
}
