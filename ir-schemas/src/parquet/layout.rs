//! Schema and properties of the files of a table.

use crate::table::{BINARY_COLUMN, TableInfo};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::sync::Arc;

/// Largest number of rows of a row group, which a reader can skip.
pub const ROW_GROUP_ROWS_MAX: usize = 1 << 16;

/// zstd compression level. Higher levels make files a few percent smaller for several times the work.
pub(super) const ZSTD_LEVEL: i32 = 1;

const FINGERPRINT_KEY: &str = "binframe.schema_fingerprint";

/// Schema of the files of a table.
pub fn file_schema(info: &TableInfo) -> Schema {
    let schema = info.schema();
    let name = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let metadata = [("doc".to_owned(), "Input that the row belongs to (see `binaries`).".to_owned())].into();
    let binary = Arc::new(Field::new(BINARY_COLUMN, name, false).with_metadata(metadata));
    let fields: Vec<_> = schema.fields.iter().cloned().chain([binary]).collect();
    Schema::new_with_metadata(fields, schema.metadata)
}

/// The key, by which the rows of a row group are sorted. Nulls are first.
fn sorting_columns(info: &TableInfo) -> Vec<SortingColumn> {
    let column = |name: &&str| info.column_index(name).expect("a key consists of columns") as i32;
    let sorted = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: true };
    info.key.iter().map(|name| sorted(column(name))).collect()
}

/// Properties of the files of a table. Encodings, statistics and the index of pages are those of the encoder.
pub fn writer_properties(info: &TableInfo) -> WriterProperties {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has")))
        .set_created_by("binframe".to_owned())
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_sorting_columns(Some(sorting_columns(info)))
        .set_key_value_metadata(Some(vec![KeyValue::new(
            FINGERPRINT_KEY.to_owned(),
            info.fingerprint().to_string(),
        )]));
    let mut properties = properties.build();
    add_encoded_arrow_schema_to_metadata(&file_schema(info), &mut properties);
    properties
}
