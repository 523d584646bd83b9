//! Columns of a table, and rows as record batches of some columns.

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use binframe::ir::parquet::BINARY_COLUMN;
use binframe::ir::{Batch, ColumnInfo, DerivedInfo, TableInfo};
use std::sync::Arc;

/// A column of the output.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// A column that the table stores.
    Stored(&'static ColumnInfo),
    /// A column that is computed from stored columns.
    Derived(&'static DerivedInfo),
}

impl Column {
    /// The table's column of a name.
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

    /// The field with the type of the array in memory.
    fn field(self) -> Field {
        match self {
            Self::Stored(column) => column.field().with_data_type((column.memory_type)()),
            Self::Derived(column) => column.field(),
        }
    }
}

/// The schema of [`record_batch`].
pub(crate) fn schema(columns: &[Column], has_binary: bool) -> SchemaRef {
    let binary = has_binary.then(|| Field::new(BINARY_COLUMN, DataType::Utf8, false));
    let fields = columns.iter().map(|column| column.field()).chain(binary);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Columns of rows, without a copy. If `binary` is given, a last column repeats that name of the rows' input.
pub(crate) fn record_batch(batch: &Batch, columns: &[Column], binary: Option<&str>) -> RecordBatch {
    let arrays = columns.iter().map(|column| Arc::clone(batch.column(column.name())));
    let name = |binary: &str| -> ArrayRef { Arc::new(StringArray::from(vec![binary; batch.rows()])) };
    let arrays = arrays.chain(binary.map(name)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
    RecordBatch::try_new_with_options(schema(columns, binary.is_some()), arrays, &options)
        .expect("columns have the types that were declared")
}
