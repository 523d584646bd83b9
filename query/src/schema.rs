//! The schemas of tables in SQL.

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use binframe::ir::parquet::BINARY_COLUMN;
use binframe::ir::{DerivedInfo, TableInfo};
use std::sync::Arc;

/// The type of all text: string views are compared and hashed in place, without dictionary lookups.
pub(crate) const TEXT: DataType = DataType::Utf8View;

/// The columns of a table: stored, derived, and `binary_name`.
pub(crate) fn of_table(table: &TableInfo) -> SchemaRef {
    let stored = table.columns.iter().map(|column| {
        let field = column.field();
        let sql_type = match (column.memory_type)() {
            DataType::Utf8 | DataType::Dictionary(..) => TEXT,
            other => other,
        };
        field.with_data_type(sql_type)
    });
    let derived = table.derived.iter().map(DerivedInfo::field);
    let binary = Field::new(BINARY_COLUMN, TEXT, false);
    Arc::new(Schema::new(stored.chain(derived).chain([binary]).collect::<Vec<_>>()))
}
