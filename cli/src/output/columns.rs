//! Rows as record batches of some columns.

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use binframe::ir::BINARY_COLUMN;
use binframe::ir::{Batch, ColumnInfo};
use std::sync::Arc;

/// The schema of [`record_batch`].
pub(crate) fn schema(columns: &[&ColumnInfo], has_binary: bool) -> SchemaRef {
    let binary = has_binary.then(|| Field::new(BINARY_COLUMN, DataType::Utf8, false));
    let fields =
        columns.iter().map(|column| column.field().with_data_type((column.memory_type)())).chain(binary);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Columns of rows, without a copy. If `binary` is given, a last column repeats that name of the rows' input.
pub(crate) fn record_batch(batch: &Batch, columns: &[&ColumnInfo], binary: Option<&str>) -> RecordBatch {
    let arrays = columns.iter().map(|column| Arc::clone(batch.column(column.name)));
    let name = |binary: &str| -> ArrayRef { Arc::new(StringArray::from(vec![binary; batch.rows()])) };
    let arrays = arrays.chain(binary.map(name)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
    RecordBatch::try_new_with_options(schema(columns, binary.is_some()), arrays, &options)
        .expect("columns have the types that were declared")
}
