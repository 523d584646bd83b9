//! Schema and properties of the files of a table.

use crate::TableInfo;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::sync::Arc;

/// Name of the last column of every file.
pub const BINARY_COLUMN: &str = "binary";

/// Upper bound of the rows that passes put into one row group, which one thread encodes and a reader can skip. Tables
/// with several rows per instruction exceed it, since the bound is applied to instructions.
pub const ROW_GROUP_ROWS_MAX: usize = 1 << 18;

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

/// Properties of the files of a table. Encodings and statistics are chosen per column by the encoder.
pub fn writer_properties(info: &TableInfo) -> WriterProperties {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has")))
        .set_created_by("binframe".to_owned())
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(vec![KeyValue::new(
            FINGERPRINT_KEY.to_owned(),
            info.fingerprint().to_string(),
        )]));
    let mut properties = properties.build();
    add_encoded_arrow_schema_to_metadata(&file_schema(info), &mut properties);
    properties
}
