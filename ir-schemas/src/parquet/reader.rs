//! Reads Parquet files of tables.
//!
//! A file may be invalid, by accident or on purpose. Memory is only reserved for numbers of rows that the size of the
//! file allows. The Arrow schema that writers embed is not read: the declaration of the table says how columns are
//! read. The Parquet library panics on some invalid files; such a panic is an error ([`guarded`]).

use super::layout::file_schema;
use super::pruning::ColumnCondition;
use crate::{BINARY_COLUMN, Batch, TableInfo, catching_panics};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, Scalar};
use arrow_ord::cmp::{gt, lt};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Largest number of rows of a row group: a number that any row group may have, and a number for each of its bytes in
/// the file. Memory is reserved for the stated number of rows, and a count of all rows is the sum of the stated numbers.
const ROWS_MAX_BASE: u64 = 1 << 20;
const ROWS_PER_BYTE_MAX: u64 = 64;

/// Why a file cannot be read as a table.
#[derive(Debug)]
pub enum ReadError {
    /// The file is not valid Parquet.
    Parquet(ParquetError),
    /// The schema of the file differs from that of the table.
    Schema {
        /// Name of the expected table.
        table: &'static str,
        /// One sentence per difference.
        differences: Vec<String>,
    },
    /// A column has a value that the table does not allow.
    Value {
        /// Column, as `table.column`.
        column: String,
        /// Description: what was found, and what was expected.
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

/// Reads a file of a table, by row group.
pub struct TableReader<R> {
    info: &'static TableInfo,
    input: R,
    metadata: ArrowReaderMetadata,
}

impl<R: ChunkReader + Clone + 'static> TableReader<R> {
    /// Opens a file and checks that it has the schema of the table.
    pub fn open(info: &'static TableInfo, input: R) -> Result<Self, ReadError> {
        let schema = file_schema(info);
        let metadata = guarded(|| {
            let metadata = Arc::new(ParquetMetaDataReader::new().parse_and_finish(&input)?);
            check_row_counts(&metadata, input.len())?;
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let found = ArrowReaderMetadata::try_new(Arc::clone(&metadata), options.clone())?;
            let differences = schema_differences(&schema, found.schema());
            if !differences.is_empty() {
                return Err(ReadError::Schema { table: info.name, differences });
            }
            Ok(ArrowReaderMetadata::try_new(metadata, options.with_schema(Arc::new(schema)))?)
        })?;
        Ok(Self { info, input, metadata })
    }

    /// Declaration of the table.
    pub fn info(&self) -> &'static TableInfo {
        self.info
    }

    /// Number of row groups.
    pub fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Number of rows of a row group.
    pub fn row_group_rows(&self, index: usize) -> u64 {
        self.metadata.metadata().row_group(index).num_rows() as u64
    }

    /// Input that a row group belongs to, which the statistics of its last column state. A row group without rows has no
    /// statistics, and belongs to none.
    pub fn row_group_binary(&self, index: usize) -> Result<String, ReadError> {
        if self.row_group_rows(index) == 0 {
            return Ok(String::new());
        }
        let stated = match self.statistics(index, self.info.columns.len()) {
            Some(Statistics::ByteArray(values)) => {
                values.min_opt().filter(|min| values.max_opt() == Some(min))
            }
            _ => None,
        };
        let stated = stated.and_then(|name| name.as_utf8().ok());
        stated.map(str::to_owned).ok_or_else(|| {
            let message =
                format!("the statistics of row group {index} do not name one input; lower the files again");
            self.value_error(self.info.columns.len(), message)
        })
    }

    /// Bounds of the values of an unsigned integer column in a row group; `None` if unknown or if all are null.
    pub fn row_group_numbers(&self, index: usize, column: &str) -> Option<RangeInclusive<u64>> {
        let position = self.info.column_index(column)?;
        match ((self.info.columns[position].data_type)(), self.statistics(index, position)) {
            (DataType::UInt8, _) => Some(0..=u64::from(u8::MAX)),
            (DataType::UInt16, _) => Some(0..=u64::from(u16::MAX)),
            (DataType::UInt64, Some(Statistics::Int64(values))) => {
                Some(*values.min_opt()? as u64..=*values.max_opt()? as u64)
            }
            _ => None,
        }
    }

    /// Whether a row of a row group may satisfy a condition.
    pub fn may_satisfy(&self, index: usize, condition: &ColumnCondition) -> bool {
        let row_group = self.metadata.metadata().row_group(index);
        // The Parquet library panics on some invalid files.
        let may_hold = || condition.may_hold(self.info, row_group, &self.input);
        catching_panics(may_hold).unwrap_or(true)
    }

    /// The columns of a row group, the one of the input included, whose values are not within the statistics. Whoever
    /// skips row groups by statistics would miss these values.
    pub fn columns_beyond_statistics(&self, index: usize) -> Result<Vec<String>, ReadError> {
        let positions: Vec<_> = (0..=self.info.columns.len()).collect();
        let rows = self.read_columns(index, &positions)?;
        guarded(|| {
            let mut found = Vec::new();
            for (field, values) in rows.schema().fields().iter().zip(rows.columns()) {
                if self.is_beyond_statistics(index, field.name(), values)? {
                    found.push(field.name().clone());
                }
            }
            Ok(found)
        })
    }

    fn is_beyond_statistics(
        &self,
        index: usize,
        name: &str,
        values: &ArrayRef,
    ) -> Result<bool, ParquetError> {
        let converter =
            StatisticsConverter::try_new(name, self.metadata.schema(), self.metadata.parquet_schema())?;
        let row_group = || [self.metadata.metadata().row_group(index)];
        let (least, greatest) =
            (converter.row_group_mins(row_group())?, converter.row_group_maxes(row_group())?);
        let nulls = converter.row_group_null_counts(row_group())?;
        let has = |outside: Result<arrow_array::BooleanArray, ArrowError>| {
            outside.map(|outside| outside.true_count() > 0)
        };
        Ok(nulls.is_valid(0) && nulls.value(0) != values.logical_null_count() as u64
            || least.is_valid(0) && has(lt(values, &Scalar::new(least)))?
            || greatest.is_valid(0) && has(gt(values, &Scalar::new(greatest)))?)
    }

    fn statistics(&self, row_group: usize, column: usize) -> Option<&Statistics> {
        self.metadata.metadata().row_group(row_group).column(column).statistics()
    }

    /// The rows of a row group.
    pub fn read(&self, index: usize) -> Result<Batch, ReadError> {
        let positions: Vec<_> = (0..self.info.columns.len()).collect();
        Ok(Batch::new(self.info, self.read_adopted(index, &positions)?))
    }

    /// Stored columns of a row group, by ascending positions, converted to their memory types.
    pub fn read_adopted(&self, index: usize, positions: &[usize]) -> Result<Vec<ArrayRef>, ReadError> {
        let columns = self.read_columns(index, positions)?;
        let adopt = |(array, position): (&ArrayRef, &usize)| {
            let column = &self.info.columns[*position];
            (column.adopt)(array).map_err(|message| self.value_error(*position, message))
        };
        columns.columns().iter().zip(positions).map(adopt).collect()
    }

    /// A stored column of a row group, in its declared type.
    pub fn read_column(&self, index: usize, column: &str) -> Result<ArrayRef, ReadError> {
        let position = self.info.column_index(column).unwrap_or_else(|| panic!("no column {column}"));
        Ok(Arc::clone(self.read_columns(index, &[position])?.column(0)))
    }

    /// Reads columns by their positions. An error names the column.
    fn read_columns(&self, index: usize, positions: &[usize]) -> Result<RecordBatch, ReadError> {
        self.read_together(index, positions).map_err(|error| {
            let own_error = |position: &usize| {
                let error = self.read_together(index, &[*position]).err()?;
                Some(self.value_error(*position, error.to_string()))
            };
            positions.iter().find_map(own_error).unwrap_or(error)
        })
    }

    fn value_error(&self, position: usize, message: String) -> ReadError {
        let column = self.info.columns.get(position).map_or(BINARY_COLUMN, |column| column.name);
        ReadError::Value { column: format!("{}.{column}", self.info.name), message }
    }

    fn read_together(&self, index: usize, positions: &[usize]) -> Result<RecordBatch, ReadError> {
        let rows = self.row_group_rows(index) as usize;
        let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), positions.iter().copied());
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.input.clone(), self.metadata.clone())
                .with_row_groups(vec![index])
                .with_projection(mask)
                .with_batch_size(rows.max(1));
        guarded(|| {
            let mut reader = reader.build()?;
            let batch =
                reader.next().transpose().map_err(|error| ParquetError::ArrowError(error.to_string()))?;
            let batch = batch.unwrap_or_else(|| RecordBatch::new_empty(reader.schema()));
            let found = batch.num_rows();
            if found != rows {
                let message = format!("row group {index} has {found} rows, and states {rows}");
                return Err(ParquetError::General(message).into());
            }
            Ok(batch)
        })
    }
}

/// Fails if a row group states more rows than fit into its bytes.
fn check_row_counts(metadata: &ParquetMetaData, file_size: u64) -> Result<(), ParquetError> {
    for (index, row_group) in metadata.row_groups().iter().enumerate() {
        let (rows, bytes) = (row_group.num_rows(), row_group.compressed_size());
        let rows_max = ROWS_MAX_BASE + ROWS_PER_BYTE_MAX * (bytes.max(0) as u64).min(file_size);
        if rows < 0 || rows as u64 > rows_max {
            let message =
                format!("row group {index} states {rows} rows in {bytes} bytes; expected at most {rows_max}");
            return Err(ParquetError::General(message));
        }
    }
    Ok(())
}

/// Calls the Parquet library. A panic is an error.
fn guarded<T>(read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    catching_panics(read).unwrap_or_else(|message| {
        Err(ParquetError::General(format!("the file is invalid: {message}")).into())
    })
}

/// One sentence per column that is missing, unexpected, or of another type.
fn schema_differences(expected: &Schema, found: &Schema) -> Vec<String> {
    let mut differences = Vec::new();
    for field in expected.fields() {
        match found.field_with_name(field.name()) {
            Err(_) => differences.push(format!("column `{}` is missing", field.name())),
            Ok(other)
                if *other.data_type() != stored_type(field.data_type())
                    || other.is_nullable() != field.is_nullable() =>
            {
                differences.push(format!(
                    "column `{}` is {}, expected {}",
                    field.name(),
                    type_of(other.data_type(), other),
                    type_of(&stored_type(field.data_type()), field)
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

/// The type of a column in a Parquet file, which knows no dictionaries.
fn stored_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::List(element) => {
            let stored = element.as_ref().clone().with_data_type(stored_type(element.data_type()));
            DataType::List(Arc::new(stored))
        }
        other => other.clone(),
    }
}

fn type_of(data_type: &DataType, field: &Field) -> String {
    format!("{data_type}{}", if field.is_nullable() { " or null" } else { "" })
}
