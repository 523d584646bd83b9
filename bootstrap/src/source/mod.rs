//! Sources of tables: an executable, whose tables are computed on demand, or a dataset, whose tables are read.

pub(crate) mod binary;
pub(crate) mod corpus;
mod functions;

use self::binary::{BinaryFile, BinaryPart};
use self::corpus::CorpusFile;
use crate::companions::CompanionSearch;
use crate::error::Error;
use crate::queries::Database;
use crate::store::reader::{Dataset, StoredRowGroup};
use arrow_array::ArrayRef;
use binframe_ir::parquet::ColumnCondition;
use binframe_ir::tables::{BinaryHeader, BinaryHeaders, BinarySections, FunctionParts, Functions};
use binframe_ir::{Batch, Rows, Stage, Table, TableInfo, catching_panics, integers};
use binframe_passes::isa::Isa;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A source of tables. Answers are the same for an executable and for its dataset.
pub enum Source {
    /// An executable, or a container and its members. Reading a table runs the passes that it needs.
    Files(Vec<BinaryFile>),
    /// A dataset on disk.
    Dataset(Dataset),
}

/// Requested rows of a table. All conditions must hold.
///
/// A filter selects whole parts: it excludes all other binaries, and every part without a requested row that can be
/// found by its addresses. The parts that remain may have other rows.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    /// Rows of this binary.
    pub binary: Option<&'a str>,
    /// Rows that cover one of these addresses or, in tables whose rows cover no range, whose
    /// [`address_column`](crate::address_column) is one of them.
    pub addresses: Option<Range<u64>>,
    /// Rows at addresses of the section with this index.
    pub section_index: Option<u64>,
    /// Rows at addresses of the function that starts here, or of its fragments.
    pub function_address: Option<u64>,
}

impl<'a> Filter<'a> {
    /// All rows of one binary.
    pub fn of(binary: &'a str) -> Self {
        Self { binary: Some(binary), ..Self::default() }
    }
}

/// Rows of one table and one binary that are computed or read together: at most as many as a row group has.
pub struct TablePart {
    binary: String,
    rows: PartRows,
}

enum PartRows {
    Computed(BinaryPart),
    Stored(StoredRowGroup),
}

impl TablePart {
    /// Binary of the rows.
    pub fn binary(&self) -> &str {
        &self.binary
    }

    /// Computes or reads the rows.
    pub fn rows(&self) -> Result<Batch, Error> {
        match &self.rows {
            PartRows::Computed(part) => self.computed(|| part.rows()),
            PartRows::Stored(row_group) => row_group.read(),
        }
    }

    /// Computes or reads some columns.
    ///
    /// # Panics
    /// If the table does not have one of the columns.
    pub fn columns(&self, names: &[&str]) -> Result<Vec<ArrayRef>, Error> {
        let rows = self.rows_for(names)?;
        Ok(names.iter().map(|name| Arc::clone(rows.column(name))).collect())
    }

    /// Computes or reads rows of which only some columns are needed: the others may be null.
    pub fn rows_for(&self, names: &[&str]) -> Result<Batch, Error> {
        match &self.rows {
            PartRows::Computed(part) => self.computed(|| part.rows_for(names)),
            PartRows::Stored(row_group) => row_group.read_for(names),
        }
    }

    /// Whether a row may satisfy a condition. Rows that are computed always may.
    pub fn may_satisfy(&self, condition: &ColumnCondition) -> bool {
        match &self.rows {
            PartRows::Computed(_) => true,
            PartRows::Stored(row_group) => row_group.may_satisfy(condition),
        }
    }

    fn computed(&self, compute: impl FnOnce() -> Batch) -> Result<Batch, Error> {
        catching_panics(compute)
            .map_err(|message| Error::Panicked { path: PathBuf::from(&self.binary), message })
    }

    /// Number of rows. Computes the rows only if their number is not known otherwise.
    pub fn row_count(&self) -> usize {
        match &self.rows {
            PartRows::Computed(part) => part.row_count(),
            PartRows::Stored(row_group) => row_group.row_count(),
        }
    }
}

impl Source {
    /// Opens a dataset if `path` is a directory, otherwise an executable, with the standard search for companion files.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, &CompanionSearch::Standard)
    }

    /// Opens a dataset if `path` is a directory, otherwise an executable.
    pub fn open_with(path: &Path, search: &CompanionSearch) -> Result<Self, Error> {
        if path.is_dir() {
            return Ok(Self::Dataset(Dataset::open(path)?));
        }
        Self::of_file(&CorpusFile::alone(path), search, Database::default())
    }

    /// Opens an executable, whose passes are queries of the database.
    pub fn of_file(file: &CorpusFile, search: &CompanionSearch, database: Database) -> Result<Self, Error> {
        let files = BinaryFile::open(file, search, database)?;
        // An unsupported file fails here, not when the first table is read.
        files.first().map(BinaryFile::sections).transpose()?;
        Ok(Self::Files(files))
    }

    /// Names of the binaries.
    pub fn binaries(&self) -> Vec<String> {
        match self {
            Self::Files(files) => files.iter().map(|file| file.name().to_owned()).collect(),
            Self::Dataset(dataset) => {
                dataset.manifest().binaries.iter().map(|entry| entry.binary.clone()).collect()
            }
        }
    }

    /// Whether the source has a table, with or without rows.
    pub fn has_table(&self, table: &TableInfo) -> bool {
        match self {
            Self::Files(_) => table.stage != Stage::Capture,
            Self::Dataset(dataset) => dataset.has_table(table),
        }
    }

    /// Whether the source is a dataset of a capture, which has no tables of files.
    pub fn is_capture(&self) -> bool {
        let is_capture = |dataset: &Dataset| dataset.manifest().stages == [Stage::Capture.name()];
        matches!(self, Self::Dataset(dataset) if is_capture(dataset))
    }

    /// Whether a command reads the table if the user does not name it: of a dataset, every table that it has; of an
    /// executable, the tables of the default stages.
    pub fn has_by_default(&self, table: &TableInfo) -> bool {
        match self {
            Self::Files(_) => table.stage == Stage::Run || Stage::PIPELINE.contains(&table.stage),
            Self::Dataset(dataset) => dataset.has_table(table),
        }
    }

    /// Instruction set of a binary; x86-64 if `binary_headers` is missing or names an unsupported one.
    pub fn isa_of(&self, binary: &str) -> Result<Isa, Error> {
        let headers = self.all::<BinaryHeaders>(&Filter::of(binary))?;
        let isa = |header: BinaryHeader<'_>| header.architecture.and_then(Isa::of);
        let found = headers.iter().find_map(|(_, rows)| rows.columns().iter().find_map(isa));
        Ok(found.unwrap_or(Isa::X86_64))
    }

    /// The parts of a table that may have requested rows, in the order of binaries and keys. Empty for a dataset
    /// without the table.
    pub fn parts(&self, table: &'static TableInfo, filter: &Filter<'_>) -> Result<Vec<TablePart>, Error> {
        if filter.section_index.is_none() && filter.function_address.is_none() {
            return self.parts_at(table, filter.binary, filter.addresses.as_ref());
        }
        let mut parts = Vec::new();
        for binary in self.binaries().iter().filter(|name| filter.binary.is_none_or(|only| only == *name)) {
            parts.extend(self.parts_at(
                table,
                Some(binary),
                Some(&self.requested_addresses(binary, filter)?),
            )?);
        }
        Ok(parts)
    }

    fn parts_at(
        &self,
        table: &'static TableInfo,
        binary: Option<&str>,
        addresses: Option<&Range<u64>>,
    ) -> Result<Vec<TablePart>, Error> {
        match self {
            Self::Files(files) => {
                let mut parts = Vec::new();
                for file in files.iter().filter(|file| binary.is_none_or(|name| name == file.name())) {
                    let of_file = file.parts(table, &Stage::PIPELINE, addresses)?;
                    let part =
                        |part| TablePart { binary: file.name().to_owned(), rows: PartRows::Computed(part) };
                    parts.extend(of_file.into_iter().map(part));
                }
                Ok(parts)
            }
            Self::Dataset(dataset) => {
                let row_groups = dataset.row_groups(table, binary, addresses)?.into_iter();
                let part = |(binary, stored)| TablePart { binary, rows: PartRows::Stored(stored) };
                Ok(row_groups.map(part).collect())
            }
        }
    }

    /// The intersection of the address ranges of all conditions, for one binary.
    fn requested_addresses(&self, binary: &str, filter: &Filter<'_>) -> Result<Range<u64>, Error> {
        let mut requested = filter.addresses.clone().unwrap_or(0..u64::MAX);
        let mut intersect = |range: Range<u64>| {
            requested = requested.start.max(range.start)..requested.end.min(range.end);
        };
        if let Some(section) = filter.section_index {
            intersect(self.covered_range(binary, &[(BinarySections::INFO, "section_index", section)])?);
        }
        if let Some(function) = filter.function_address {
            let own = (Functions::INFO, "address", function);
            intersect(
                self.covered_range(binary, &[own, (FunctionParts::INFO, "function_address", function)])?,
            );
        }
        Ok(requested)
    }

    /// The smallest address range that covers all rows which have a given value in a given column. All addresses if a
    /// dataset does not have one of the tables.
    fn covered_range(
        &self,
        binary: &str,
        rows: &[(&'static TableInfo, &str, u64)],
    ) -> Result<Range<u64>, Error> {
        if rows.iter().any(|(table, ..)| !self.has_table(table)) {
            return Ok(0..u64::MAX);
        }
        let (mut first, mut end) = (u64::MAX, 0);
        for (table, column, value) in rows {
            for part in self.parts_at(table, Some(binary), None)? {
                let columns = part.columns(&[column, "address", "size"])?;
                let [values, starts, sizes] = [0, 1, 2].map(|column| integers(&columns[column]));
                for ((own, start), size) in values.zip(starts).zip(sizes) {
                    if let (true, Some(start), Some(size)) = (own == Some(*value), start, size) {
                        (first, end) = (first.min(start), end.max(start.saturating_add(size)));
                    }
                }
            }
        }
        Ok(first..end)
    }

    /// Reads all requested parts of a table, each with its binary. The table must fit into memory.
    pub fn all<T: Table>(&self, filter: &Filter<'_>) -> Result<Vec<(String, Rows<T>)>, Error> {
        let rows = |part: TablePart| {
            let rows = Rows::from_batch(part.rows()?).expect("parts of the table");
            Ok((part.binary, rows))
        };
        self.parts(T::INFO, filter)?.into_iter().map(rows).collect()
    }
}
