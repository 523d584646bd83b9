//! Writes Parquet files of tables.

use super::chunk::{ColumnChunk, column_chunk};
use super::layout::{ROW_GROUP_ROWS_MAX, ZSTD_LEVEL, file_schema, writer_properties};
use crate::{Batch, TableInfo};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use parquet::arrow::ArrowSchemaConverter;
use parquet::errors::ParquetError;
use parquet::file::reader::Length;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use zstd::bulk::Compressor;

/// Writes one file of a table.
pub struct TableWriter<W: Write + Send> {
    encoder: TableEncoder,
    file: SerializedFileWriter<W>,
    rows: u64,
}

/// Encodes row groups of one table, on any thread.
#[derive(Debug, Clone)]
pub struct TableEncoder {
    parquet_schema: Arc<SchemaDescriptor>,
    compressors: Compressors,
}

/// Encoded rows of one input: row groups, of which none is empty.
pub struct EncodedRows {
    row_groups: Vec<Vec<ColumnChunk>>,
    rows: usize,
}

/// A pool of zstd compressors, shared by all encoders: creating one takes longer than compressing a few rows.
#[derive(Clone, Default)]
pub struct Compressors(Arc<Mutex<Vec<Compressor<'static>>>>);

impl fmt::Debug for Compressors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compressors").finish_non_exhaustive()
    }
}

impl Compressors {
    /// Takes an unused compressor from the pool, or creates one.
    fn acquire(&self) -> io::Result<Compressor<'static>> {
        let unused = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        unused.map_or_else(|| Compressor::new(ZSTD_LEVEL), Ok)
    }

    fn release(&self, compressor: Compressor<'static>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(compressor);
    }
}

impl<W: Write + Send> TableWriter<W> {
    /// Starts a file.
    pub fn new(info: &'static TableInfo, out: W, compressors: &Compressors) -> Result<Self, ParquetError> {
        let encoder = TableEncoder::new(info, compressors)?;
        let properties = Arc::new(writer_properties(info));
        let file = SerializedFileWriter::new(out, encoder.parquet_schema.root_schema_ptr(), properties)?;
        Ok(Self { encoder, file, rows: 0 })
    }

    /// An encoder for row groups of this file.
    pub fn encoder(&self) -> TableEncoder {
        self.encoder.clone()
    }

    /// Appends row groups.
    pub fn append(&mut self, rows: EncodedRows) -> Result<(), ParquetError> {
        for columns in rows.row_groups {
            let mut row_group = self.file.next_row_group()?;
            for column in columns {
                row_group.append_column(&column.pages, column.close)?;
            }
            row_group.close()?;
        }
        self.rows += rows.rows as u64;
        Ok(())
    }

    /// Number of rows appended so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of bytes written so far.
    pub fn bytes(&self) -> usize {
        self.file.bytes_written()
    }

    /// Writes the footer and returns the output.
    pub fn finish(self) -> Result<W, ParquetError> {
        self.file.into_inner()
    }
}

impl TableEncoder {
    /// An encoder for row groups of any file of a table.
    pub fn new(info: &'static TableInfo, compressors: &Compressors) -> Result<Self, ParquetError> {
        let parquet_schema = Arc::new(ArrowSchemaConverter::new().convert(&file_schema(info))?);
        Ok(Self { parquet_schema, compressors: compressors.clone() })
    }

    /// Encodes rows of the input `binary` as row groups of at most [`ROW_GROUP_ROWS_MAX`] rows.
    pub fn encode(&self, batch: &Batch, binary: &str) -> Result<EncodedRows, ParquetError> {
        let starts = (0..batch.rows()).step_by(ROW_GROUP_ROWS_MAX);
        let row_groups = starts.map(|start| {
            let rows = batch.slice(start, ROW_GROUP_ROWS_MAX.min(batch.rows() - start));
            self.encode_row_group(&rows, binary)
        });
        Ok(EncodedRows { row_groups: row_groups.collect::<Result<_, _>>()?, rows: batch.rows() })
    }

    fn encode_row_group(&self, batch: &Batch, binary: &str) -> Result<Vec<ColumnChunk>, ParquetError> {
        let names: ArrayRef = Arc::new(StringArray::from(vec![binary]));
        let keys = Int32Array::new(vec![0; batch.rows()].into(), None);
        let binary: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, names));
        let mut compressor = self.compressors.acquire()?;
        let arrays = batch.columns().iter().chain([&binary]).enumerate();
        let mut columns = Vec::with_capacity(batch.columns().len() + 1);
        for (index, array) in arrays {
            let has_bloom_filter =
                batch.info().columns.get(index).is_some_and(|column| column.has_bloom_filter);
            let column = self.parquet_schema.column(index);
            columns.push(column_chunk(array, &column, has_bloom_filter, &mut compressor)?);
        }
        self.compressors.release(compressor);
        Ok(columns)
    }
}

impl EncodedRows {
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows as u64
    }

    /// Encoded size, in memory and in the file.
    pub fn bytes(&self) -> u64 {
        self.row_groups.iter().flatten().map(|column| column.pages.len()).sum()
    }
}
