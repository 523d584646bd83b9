//! The schemas of tables in SQL.

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use binframe::ir::BINARY_COLUMN;
use binframe::ir::TableInfo;
use std::sync::Arc;

/// The type of all text: string views are compared and hashed in place, without dictionary lookups.
pub(crate) const TEXT: DataType = DataType::Utf8View;

/// The columns of a table, and `binary_name`.
pub(crate) fn of_table(table: &TableInfo) -> SchemaRef {
    let stored = table.columns.iter().map(|column| {
        let field = column.field();
        field.with_data_type(sql_type((column.memory_type)()))
    });
    let binary = Field::new(BINARY_COLUMN, TEXT, false);
    Arc::new(Schema::new(stored.chain([binary]).collect::<Vec<_>>()))
}

fn sql_type(memory_type: DataType) -> DataType {
    match memory_type {
        DataType::Utf8 | DataType::Dictionary(..) => TEXT,
        DataType::List(element) => {
            let element_type = sql_type(element.data_type().clone());
            DataType::List(Arc::new(element.as_ref().clone().with_data_type(element_type)))
        }
        other => other,
    }
}
