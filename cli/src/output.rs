//! Where commands write to, and rows as others read them.

use crate::failure::Failure;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema};
use binframe::NewFile;
use binframe::ir::parquet::BINARY_COLUMN;
use binframe::ir::{Batch, ColumnInfo, DerivedInfo, TableInfo};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Where rows or text go.
pub(crate) type Output = BufWriter<Box<dyn Write + Send>>;

/// The standard output.
pub(crate) fn stdout() -> Output {
    buffered(Box::new(io::stdout()))
}

fn buffered(output: Box<dyn Write + Send>) -> Output {
    BufWriter::with_capacity(1 << 16, output)
}

/// Where an argument says: the file that it names, or else the standard output.
pub(crate) fn open(path: Option<&Path>) -> Result<(Output, Option<NewFile>), Failure> {
    path.map_or_else(|| Ok((stdout(), None)), create)
}

/// Where the content of a file goes, and the file, which is to be published at the end. A device or pipe is written to as it
/// is, and is no new file.
fn create(path: &Path) -> Result<(Output, Option<NewFile>), Failure> {
    let failure = |error| Failure::Failed(format!("{}: cannot create: {error}", path.display()));
    if path.exists() && !path.is_file() {
        let output = File::options().write(true).open(path).map_err(failure)?;
        return Ok((buffered(Box::new(output)), None));
    }
    let file = NewFile::create(path, false)?;
    let output = file.file().try_clone().map_err(failure)?;
    Ok((buffered(Box::new(output)), Some(file)))
}

/// A column that is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// One that the table stores.
    Stored(&'static ColumnInfo),
    /// One that is computed.
    Derived(&'static DerivedInfo),
}

impl Column {
    /// The table's column of that name.
    pub(crate) fn named(table: &'static TableInfo, name: &str) -> Option<Self> {
        let stored = table.columns.iter().find(|column| column.name == name).map(Self::Stored);
        let derived = || table.derived.iter().find(|column| column.name == name).map(Self::Derived);
        stored.or_else(derived)
    }

    /// The columns that a table stores.
    pub(crate) fn stored(table: &'static TableInfo) -> Vec<Self> {
        table.columns.iter().map(Self::Stored).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stored(column) => column.name,
            Self::Derived(column) => column.name,
        }
    }

    /// The field of the array in memory.
    fn field(self) -> Field {
        match self {
            Self::Stored(column) => column.field().with_data_type((column.memory_type)()),
            Self::Derived(column) => column.field(),
        }
    }
}

/// The schema of [`record_batch`].
pub(crate) fn schema(columns: &[Column], has_binary: bool) -> Schema {
    let binary = has_binary.then(|| Field::new(BINARY_COLUMN, DataType::Utf8, false));
    let fields = columns.iter().map(|column| column.field()).chain(binary);
    Schema::new(fields.collect::<Vec<_>>())
}

/// The given columns of rows and, at the end, the input that they belong to, if its name is given. Nothing is copied.
pub(crate) fn record_batch(batch: &Batch, columns: &[Column], binary: Option<&str>) -> RecordBatch {
    let arrays = columns.iter().map(|column| Arc::clone(batch.column(column.name())));
    let name = |binary: &str| -> ArrayRef { Arc::new(StringArray::from(vec![binary; batch.rows()])) };
    let arrays = arrays.chain(binary.map(name)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
    RecordBatch::try_new_with_options(Arc::new(schema(columns, binary.is_some())), arrays, &options)
        .expect("columns have the types that were declared")
}
