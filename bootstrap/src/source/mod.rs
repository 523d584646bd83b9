//! An executable or a dataset, as tables.

pub(crate) mod binary;
pub(crate) mod corpus;

use self::binary::{BinaryFile, BinaryPart};
use self::corpus::CorpusFile;
use crate::error::Error;
use crate::queries::Database;
use crate::store::{Dataset, StoredPart};
use arrow_array::ArrayRef;
use binframe_ir::tables::{BinarySections, FunctionParts, Functions};
use binframe_ir::{Batch, Rows, Stage, Table, TableInfo, integers};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Somewhere that tables come from.
pub enum Source {
    /// An executable, or a container and its members, lowered as far as the tables that are asked for need.
    Files(Vec<BinaryFile>),
    /// A dataset on disk.
    Dataset(Dataset),
}

/// Which rows of a table are asked for. Rows that are not may come too; these are surely left out: those of other inputs,
/// and those of parts that hold no row which lies in the addresses.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    /// Rows of this input.
    pub binary: Option<&'a str>,
    /// Rows that cover one of these addresses or, in tables whose rows cover none, those whose
    /// [`address_column`](crate::address_column) lies among them.
    pub addresses: Option<Range<u64>>,
    /// Rows that lie in the section of this number.
    pub section_index: Option<u64>,
    /// Rows that lie in the function that begins here, or in a part of it.
    pub function_address: Option<u64>,
}

impl<'a> Filter<'a> {
    /// Asks for all rows of one input.
    pub fn of(binary: &'a str) -> Self {
        Self { binary: Some(binary), ..Self::default() }
    }
}

/// Rows of one table and one input that are made or read together.
pub struct Part {
    binary: String,
    rows: PartRows,
}

enum PartRows {
    Lowered(BinaryPart),
    Stored(StoredPart),
}

impl Part {
    /// The input that the rows belong to.
    pub fn binary(&self) -> &str {
        &self.binary
    }

    /// Makes or reads the rows.
    pub fn rows(&self) -> Result<Batch, Error> {
        match &self.rows {
            PartRows::Lowered(part) => Ok(part.rows()),
            PartRows::Stored(part) => part.read(),
        }
    }

    /// Makes or reads some columns, stored or derived.
    ///
    /// # Panics
    /// When the table has no such column.
    pub fn columns(&self, names: &[&str]) -> Result<Vec<ArrayRef>, Error> {
        let rows = match &self.rows {
            PartRows::Lowered(part) => part.rows_for(names),
            PartRows::Stored(part) => part.read_for(names)?,
        };
        Ok(names.iter().map(|name| Arc::clone(rows.column(name))).collect())
    }

    /// The number of rows; where it is known, they are not made.
    pub fn row_count(&self) -> usize {
        match &self.rows {
            PartRows::Lowered(part) => part.row_count(),
            PartRows::Stored(part) => part.rows(),
        }
    }
}

impl Source {
    /// Opens a dataset, when `path` is a directory, or an executable.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.is_dir() {
            return Ok(Self::Dataset(Dataset::open(path)?));
        }
        Self::of_file(&CorpusFile::alone(path), Database::default())
    }

    /// Opens an executable, whose passes are queries of the database.
    pub fn of_file(file: &CorpusFile, database: Database) -> Result<Self, Error> {
        let files = BinaryFile::open(file, database)?;
        // What cannot be lowered is refused here, not when the first table is asked for.
        files.first().map(BinaryFile::sections).transpose()?;
        Ok(Self::Files(files))
    }

    /// The names of its inputs.
    pub fn binaries(&self) -> Vec<String> {
        match self {
            Self::Files(files) => files.iter().map(|file| file.name().to_owned()).collect(),
            Self::Dataset(dataset) => {
                dataset.manifest().binaries.iter().map(|entry| entry.binary.clone()).collect()
            }
        }
    }

    /// Whether it has the table, with or without rows.
    pub fn has_table(&self, table: &TableInfo) -> bool {
        match self {
            Self::Files(_) => true,
            Self::Dataset(dataset) => dataset.has_table(table),
        }
    }

    /// Whether it has the table without being asked for it by name: a dataset has what it was written with, an executable the
    /// tables of the default stages.
    pub fn has_by_default(&self, table: &TableInfo) -> bool {
        match self {
            Self::Files(_) => table.stage == Stage::Run || Stage::PIPELINE.contains(&table.stage),
            Self::Dataset(dataset) => dataset.has_table(table),
        }
    }

    /// The parts of a table that may hold what is asked for, in the order of inputs and keys. A dataset that was made
    /// without the table has none.
    pub fn parts(&self, table: &'static TableInfo, filter: &Filter<'_>) -> Result<Vec<Part>, Error> {
        if filter.section_index.is_none() && filter.function_address.is_none() {
            return self.parts_at(table, filter.binary, filter.addresses.as_ref());
        }
        let mut parts = Vec::new();
        for binary in self.binaries().iter().filter(|name| filter.binary.is_none_or(|asked| asked == *name)) {
            parts.extend(self.parts_at(table, Some(binary), Some(&self.addresses_asked(binary, filter)?))?);
        }
        Ok(parts)
    }

    fn parts_at(
        &self,
        table: &'static TableInfo,
        binary: Option<&str>,
        addresses: Option<&Range<u64>>,
    ) -> Result<Vec<Part>, Error> {
        match self {
            Self::Files(files) => {
                let mut parts = Vec::new();
                for file in files.iter().filter(|file| binary.is_none_or(|name| name == file.name())) {
                    let of_file = file.parts(table, &Stage::PIPELINE, addresses)?;
                    let part = |part| Part { binary: file.name().to_owned(), rows: PartRows::Lowered(part) };
                    parts.extend(of_file.into_iter().map(part));
                }
                Ok(parts)
            }
            Self::Dataset(dataset) => {
                let parts = dataset.stored_parts(table, binary, addresses)?.into_iter();
                Ok(parts.map(|(binary, part)| Part { binary, rows: PartRows::Stored(part) }).collect())
            }
        }
    }

    /// The addresses among which all lies that is asked for of one input.
    fn addresses_asked(&self, binary: &str, filter: &Filter<'_>) -> Result<Range<u64>, Error> {
        let mut asked = filter.addresses.clone().unwrap_or(0..u64::MAX);
        let mut narrow = |extent: Range<u64>| {
            asked = asked.start.max(extent.start)..asked.end.min(extent.end);
        };
        if let Some(section) = filter.section_index {
            narrow(self.extent(binary, &[(BinarySections::INFO, "section_index", section)])?);
        }
        if let Some(function) = filter.function_address {
            let own = (Functions::INFO, "address", function);
            narrow(self.extent(binary, &[own, (FunctionParts::INFO, "function_address", function)])?);
        }
        Ok(asked)
    }

    /// The addresses among which all rows of tables lie that have a value in a column; all addresses where a dataset was made without
    /// one of the tables.
    fn extent(&self, binary: &str, rows: &[(&'static TableInfo, &str, u64)]) -> Result<Range<u64>, Error> {
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

    /// All rows that are asked for of a table that fits into memory.
    pub fn all<T: Table>(&self, filter: &Filter<'_>) -> Result<Vec<(String, Rows<T>)>, Error> {
        let rows = |part: Part| {
            let rows = Rows::from_batch(part.rows()?).expect("parts are of the table asked for");
            Ok((part.binary, rows))
        };
        self.parts(T::INFO, filter)?.into_iter().map(rows).collect()
    }

    /// The functions of a name: the inputs that have one, and its addresses.
    pub fn functions_named(&self, name: &str) -> Result<Vec<(String, Range<u64>)>, Error> {
        let mut found = Vec::new();
        let mut similar = SimilarNames::new(name);
        for (binary, rows) in self.all::<Functions>(&Filter::default())? {
            for function in rows.columns().iter() {
                match function.name {
                    Some(known) if known == name => {
                        found.push((binary.clone(), function.address..function.address + function.size));
                    }
                    Some(known) => similar.add(known),
                    None => {}
                }
            }
        }
        if found.is_empty() {
            return Err(Error::NoSuchFunction { name: name.to_owned(), similar: similar.into_names() });
        }
        Ok(found)
    }

    /// The functions that have code at an address, in their range or in a part: the inputs that have one, and where it lies.
    pub fn functions_at(&self, address: u64) -> Result<Vec<(String, Range<u64>)>, Error> {
        let mut parts = BTreeSet::new();
        let mut found = Vec::new();
        let covers = |start: u64, size: u64| address >= start && address - start < size;
        for (binary, rows) in self.all::<FunctionParts>(&Filter::default())? {
            let covering = rows.columns().iter().filter(|part| covers(part.address, part.size));
            parts.extend(covering.map(|part| (binary.clone(), part.function_address)));
        }
        for (binary, rows) in self.all::<Functions>(&Filter::default())? {
            for function in rows.columns().iter() {
                if covers(function.address, function.size)
                    || parts.contains(&(binary.clone(), function.address))
                {
                    found.push((binary.clone(), function.address..function.address + function.size));
                }
            }
        }
        if found.is_empty() {
            return Err(Error::NoFunctionAt { address });
        }
        Ok(found)
    }

    /// Functions of inputs, and the parts of each.
    pub fn with_parts(&self, functions: &[(String, Range<u64>)]) -> Result<Vec<(String, Range<u64>)>, Error> {
        let parts = self.all::<FunctionParts>(&Filter::default())?;
        let mut found = Vec::new();
        for own in functions.chunk_by(|one, next| one.0 == next.0) {
            found.extend_from_slice(own);
            let is_asked = |address: u64| own.iter().any(|(_, range)| range.start == address);
            for (binary, rows) in parts.iter().filter(|(binary, _)| *binary == own[0].0) {
                let parts = rows.columns().iter().filter(|part| is_asked(part.function_address));
                found.extend(parts.map(|part| (binary.clone(), part.address..part.address + part.size)));
            }
        }
        Ok(found)
    }
}

/// The names that resemble one that was asked for most: those that contain it, and those that differ from it in
/// few letters; the nearest first.
struct SimilarNames<'a> {
    asked: &'a str,
    names: BTreeSet<(usize, String)>,
}

impl<'a> SimilarNames<'a> {
    /// Names that are kept.
    const NAMES_MAX: usize = 5;

    fn new(asked: &'a str) -> Self {
        Self { asked, names: BTreeSet::new() }
    }

    fn add(&mut self, name: &str) {
        let letters_apart = name.len().abs_diff(self.asked.len());
        let misspelled_max = self.asked.len() / 3;
        let distance = if name.contains(self.asked) {
            letters_apart
        } else if letters_apart <= misspelled_max {
            match strsim::osa_distance(name, self.asked) {
                distance if distance <= misspelled_max => distance,
                _ => return,
            }
        } else {
            return;
        };
        self.names.insert((distance, name.to_owned()));
        if self.names.len() > Self::NAMES_MAX {
            self.names.pop_last();
        }
    }

    fn into_names(self) -> Vec<String> {
        self.names.into_iter().map(|(_, name)| name).collect()
    }
}
