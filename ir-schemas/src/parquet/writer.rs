//! Writes files of tables.

use super::direct::{DirectChunk, encode_directly};
use super::{ZSTD_LEVEL, file_schema, writer_properties};
use crate::{Batch, TableInfo};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;
use std::io::Write;
use std::sync::Arc;
use zstd::bulk::Compressor;

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
    parquet_schema: Arc<SchemaDescriptor>,
    row_groups: Arc<ArrowRowGroupWriterFactory>,
}

/// One encoded row group.
pub struct EncodedRows {
    columns: Vec<EncodedColumn>,
    rows: usize,
}

enum EncodedColumn {
    /// As the Parquet library encodes it.
    Plain(ArrowColumnChunk),
    /// Out of Arrow's buffers.
    Direct(DirectChunk),
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins a file.
    pub fn new(info: &'static TableInfo, out: W) -> Result<Self, ParquetError> {
        let schema = Arc::new(file_schema(info));
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let properties = Arc::new(writer_properties(info));
        let file = SerializedFileWriter::new(out, parquet_schema.root_schema_ptr(), properties)?;
        let row_groups = Arc::new(ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema)));
        let parquet_schema = Arc::new(parquet_schema);
        Ok(Self { encoder: TableEncoder { schema, parquet_schema, row_groups }, file, rows: 0 })
    }

    /// What encodes this file's row groups.
    pub fn encoder(&self) -> TableEncoder {
        self.encoder.clone()
    }

    /// Appends a row group.
    pub fn append(&mut self, rows: EncodedRows) -> Result<(), ParquetError> {
        let mut row_group = self.file.next_row_group()?;
        for column in rows.columns {
            match column {
                EncodedColumn::Plain(chunk) => chunk.append_to_row_group(&mut row_group)?,
                EncodedColumn::Direct(chunk) => row_group.append_column(&chunk.pages, chunk.close)?,
            }
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
        let mut zstd = Compressor::new(ZSTD_LEVEL)?;
        let mut columns = Vec::with_capacity(batch.columns().len() + 1);
        let writers = self.row_groups.create_column_writers(0)?;
        let arrays = batch.columns().iter().chain([&binary]);
        for (index, (mut writer, array)) in writers.into_iter().zip(arrays).enumerate() {
            if let Some(chunk) = encode_directly(array, &self.parquet_schema.column(index), &mut zstd)? {
                columns.push(EncodedColumn::Direct(chunk));
                continue;
            }
            for leaf in compute_leaves(self.schema.field(index), array)? {
                writer.write(&leaf)?;
            }
            columns.push(EncodedColumn::Plain(writer.close()?));
        }
        Ok(EncodedRows { columns, rows: batch.rows() })
    }
}
