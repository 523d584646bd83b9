//! The columns that SQL sees.

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use binframe::ir::parquet::BINARY_COLUMN;
use binframe::ir::{DerivedInfo, TableInfo};
use std::sync::Arc;

/// The type of all text: views are compared and grouped by in place, whereas dictionaries would be looked up.
pub(crate) const TEXT: DataType = DataType::Utf8View;

/// The columns of a table, stored and derived, and at the end the name of the binary that a row belongs to.
pub(crate) fn of_table(table: &TableInfo) -> SchemaRef {
    let stored = table.columns.iter().map(|column| {
        let field = column.field();
        let shown = match (column.memory_type)() {
            DataType::Utf8 | DataType::Dictionary(..) => TEXT,
            other => other,
        };
        field.with_data_type(shown)
    });
    let derived = table.derived.iter().map(DerivedInfo::field);
    let binary = Field::new(BINARY_COLUMN, TEXT, false);
    Arc::new(Schema::new(stored.chain(derived).chain([binary]).collect::<Vec<_>>()))
}
