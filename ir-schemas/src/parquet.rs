//! Tables as Parquet files: how each column is encoded, writing row groups in parallel, and reading them back.
//!
//! A file holds rows of one table and one more column at the end, `binary`: the input that a row belongs to. Every row
//! group belongs to one input.

use crate::{Batch, TableInfo};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, ProjectionMask, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

/// Name of the last column of every file.
pub const BINARY_COLUMN: &str = "binary";

/// Rows that one row group holds at most: what one thread encodes, and what a reader skips, at a time.
pub const ROW_GROUP_ROWS_MAX: usize = 1 << 18;

const FINGERPRINT_KEY: &str = "binframe.schema_fingerprint";

/// The schema of a table's files.
pub fn file_schema(info: &TableInfo) -> Schema {
    let schema = info.schema();
    let name = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let metadata = [("doc".to_owned(), "The input that the row belongs to.".to_owned())].into();
    let binary = Arc::new(Field::new(BINARY_COLUMN, name, false).with_metadata(metadata));
    let fields: Vec<_> = schema.fields.iter().cloned().chain([binary]).collect();
    Schema::new_with_metadata(fields, schema.metadata)
}

/// How files of a table are written: whole numbers as packed differences, names through dictionaries, other bytes end
/// to end, all under zstd.
pub fn writer_properties(info: &TableInfo) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("a level that zstd has")))
        .set_created_by("binframe".to_owned())
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from(BINARY_COLUMN), EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(vec![KeyValue::new(
            FINGERPRINT_KEY.to_owned(),
            info.fingerprint().to_string(),
        )]));
    for column in info.columns {
        let path = ColumnPath::from(column.name);
        let data_type = (column.data_type)();
        if column.is_address() {
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk);
        }
        let encoding = match data_type {
            DataType::Binary => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            _ if data_type.is_integer() => Encoding::DELTA_BINARY_PACKED,
            _ => continue,
        };
        properties =
            properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
    }
    let mut properties = properties.build();
    add_encoded_arrow_schema_to_metadata(&file_schema(info), &mut properties);
    properties
}

/// Writes one file of a table.
pub struct TableWriter<W: Write + Send> {
    encoder: TableEncoder,
    file: SerializedFileWriter<W>,
    rows: u64,
}

/// Encodes rows of one table, on any thread.
#[derive(Clone)]
pub struct TableEncoder {
    schema: SchemaRef,
    row_groups: Arc<ArrowRowGroupWriterFactory>,
}

/// One encoded row group.
pub struct EncodedRows {
    columns: Vec<ArrowColumnChunk>,
    rows: usize,
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins a file.
    pub fn new(info: &'static TableInfo, out: W) -> Result<Self, ParquetError> {
        let schema = Arc::new(file_schema(info));
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let properties = Arc::new(writer_properties(info));
        let file = SerializedFileWriter::new(out, parquet_schema.root_schema_ptr(), properties)?;
        let row_groups = Arc::new(ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema)));
        Ok(Self { encoder: TableEncoder { schema, row_groups }, file, rows: 0 })
    }

    /// What encodes this file's row groups.
    pub fn encoder(&self) -> TableEncoder {
        self.encoder.clone()
    }

    /// Appends a row group.
    pub fn append(&mut self, rows: EncodedRows) -> Result<(), ParquetError> {
        let mut row_group = self.file.next_row_group()?;
        for column in rows.columns {
            column.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        self.rows += rows.rows as u64;
        Ok(())
    }

    /// Rows appended so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> usize {
        self.file.bytes_written()
    }

    /// Ends the file and gives back where it was written to.
    pub fn finish(self) -> Result<W, ParquetError> {
        self.file.into_inner()
    }
}

impl TableEncoder {
    /// Encodes rows of the input `binary` as one row group.
    pub fn encode(&self, batch: &Batch, binary: &str) -> Result<EncodedRows, ParquetError> {
        let names: ArrayRef = Arc::new(StringArray::from(vec![binary]));
        let keys = Int32Array::new(vec![0; batch.rows()].into(), None);
        let binary: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, names));
        let mut columns = Vec::with_capacity(batch.columns().len() + 1);
        let writers = self.row_groups.create_column_writers(0)?;
        let arrays = batch.columns().iter().chain([&binary]);
        for ((mut writer, field), array) in writers.into_iter().zip(self.schema.fields()).zip(arrays) {
            for leaf in compute_leaves(field, array)? {
                writer.write(&leaf)?;
            }
            columns.push(writer.close()?);
        }
        Ok(EncodedRows { columns, rows: batch.rows() })
    }
}

/// Why a file is not one of a table.
#[derive(Debug)]
pub enum ReadError {
    /// It cannot be read as Parquet.
    Parquet(ParquetError),
    /// Its schema is not the table's; a line for everything that differs.
    Schema {
        /// The table that was expected.
        table: &'static str,
        /// What differs.
        differences: Vec<String>,
    },
    /// A value is none that its column may hold.
    Value {
        /// The column, as `table.column`.
        column: String,
        /// What was found and what was expected.
        message: String,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parquet(error) => error.fmt(formatter),
            Self::Schema { table, differences } => {
                write!(
                    formatter,
                    "not the table {table} of this version of binframe: {}",
                    differences.join("; ")
                )
            }
            Self::Value { column, message } => write!(formatter, "{column}: {message}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<ParquetError> for ReadError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error)
    }
}

/// Reads one file of a table.
pub struct TableReader<R> {
    info: &'static TableInfo,
    input: R,
    metadata: ArrowReaderMetadata,
}

impl<R: ChunkReader + Clone + 'static> TableReader<R> {
    /// Opens a file, after checking that its schema is the table's.
    pub fn open(info: &'static TableInfo, input: R) -> Result<Self, ReadError> {
        let metadata = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new())?;
        let differences = schema_differences(&file_schema(info), metadata.schema());
        if !differences.is_empty() {
            return Err(ReadError::Schema { table: info.name, differences });
        }
        Ok(Self { info, input, metadata })
    }

    /// Number of row groups.
    pub fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Number of rows of a row group.
    pub fn row_group_rows(&self, index: usize) -> u64 {
        self.metadata.metadata().row_group(index).num_rows() as u64
    }

    /// The input that a row group belongs to.
    pub fn row_group_binary(&self, index: usize) -> Option<String> {
        let Statistics::ByteArray(values) = self.statistics(index, self.info.columns.len())? else {
            return None;
        };
        Some(values.min_opt()?.as_utf8().ok()?.to_owned())
    }

    /// The least and greatest address of a column in a row group, inclusive; none where all are null.
    pub fn row_group_addresses(&self, index: usize, column: &str) -> Option<Range<u64>> {
        let Statistics::Int64(values) = self.statistics(index, self.info.column_index(column)?)? else {
            return None;
        };
        Some(*values.min_opt()? as u64..*values.max_opt()? as u64)
    }

    fn statistics(&self, row_group: usize, column: usize) -> Option<&Statistics> {
        self.metadata.metadata().row_group(row_group).column(column).statistics()
    }

    /// The rows of a row group.
    pub fn read(&self, index: usize) -> Result<Batch, ReadError> {
        let columns = self.read_columns(index, ProjectionMask::all())?;
        let columns = columns.columns().iter().zip(self.info.columns).map(|(array, column)| {
            let value_error =
                |message| ReadError::Value { column: format!("{}.{}", self.info.name, column.name), message };
            (column.adopt)(array).map_err(value_error)
        });
        Ok(Batch::new(self.info, columns.collect::<Result<_, _>>()?))
    }

    /// One stored column of a row group, of its declared type.
    pub fn read_column(&self, index: usize, column: &str) -> Result<ArrayRef, ReadError> {
        let position = self.info.column_index(column).unwrap_or_else(|| panic!("no column {column}"));
        let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), [position]);
        Ok(Arc::clone(self.read_columns(index, mask)?.column(0)))
    }

    fn read_columns(&self, index: usize, mask: ProjectionMask) -> Result<RecordBatch, ReadError> {
        let rows = self.row_group_rows(index) as usize;
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.input.clone(), self.metadata.clone())
                .with_row_groups(vec![index])
                .with_projection(mask)
                .with_batch_size(rows.max(1));
        let mut reader = reader.build()?;
        let batch = reader.next().transpose().map_err(|error| ParquetError::ArrowError(error.to_string()))?;
        batch.ok_or_else(|| ParquetError::EOF(format!("row group {index} has no rows")).into())
    }
}

/// A line for every column that is missing, unknown, or of another type.
fn schema_differences(expected: &Schema, found: &Schema) -> Vec<String> {
    let mut differences = Vec::new();
    for field in expected.fields() {
        match found.field_with_name(field.name()) {
            Err(_) => differences.push(format!("column `{}` is missing", field.name())),
            Ok(other)
                if other.data_type() != field.data_type() || other.is_nullable() != field.is_nullable() =>
            {
                differences.push(format!(
                    "column `{}` is {}, expected {}",
                    field.name(),
                    type_of(other),
                    type_of(field)
                ));
            }
            Ok(_) => {}
        }
    }
    let unknown = found.fields().iter().filter(|field| expected.field_with_name(field.name()).is_err());
    differences.extend(unknown.map(|field| format!("column `{}` is not expected", field.name())));
    let names =
        |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    if differences.is_empty() && names(expected) != names(found) {
        differences.push(format!(
            "columns are {}, expected {}",
            names(found).join(", "),
            names(expected).join(", ")
        ));
    }
    differences
}

fn type_of(field: &Field) -> String {
    format!("{}{}", field.data_type(), if field.is_nullable() { " or null" } else { "" })
}
