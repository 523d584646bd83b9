//! Rows in the formats of `binframe dump`.

use crate::arguments::Format;
use crate::failure::Failure;
use crate::output::{self, Column, Output};
use crate::text_rows::{TextFormat, TextRows};
use binframe::ir::parquet::{Compressors, TableWriter};
use binframe::ir::{Batch, TableInfo};
use std::io::Write;

/// Writes rows in one of the formats.
pub(crate) enum RowWriter {
    /// As text: these columns, and the input's name where that is asked for.
    Text { rows: TextRows, columns: Vec<Column>, has_binary: bool },
    /// As a Parquet file with all columns of a table's files.
    Parquet(Box<TableWriter<Output>>),
}

impl RowWriter {
    /// Begins to write rows of a table. `has_binary` adds the input's name to rows of text.
    pub(crate) fn new(
        format: Format,
        table: &'static TableInfo,
        columns: Vec<Column>,
        has_binary: bool,
        out: Output,
    ) -> Result<Self, Failure> {
        let format = match format {
            Format::Table => TextFormat::Table,
            Format::Csv => TextFormat::Csv,
            Format::Json => TextFormat::JsonLines,
            Format::Dot | Format::Svg => unreachable!("rows are not drawn"),
            Format::Parquet => {
                let writer = TableWriter::new(table, out, &Compressors::default())
                    .map_err(|error| Failure::output(&error))?;
                return Ok(Self::Parquet(Box::new(writer)));
            }
        };
        let rows = TextRows::new(format, output::schema(&columns, has_binary).into(), out);
        Ok(Self::Text { rows, columns, has_binary })
    }

    /// Writes rows of one input.
    pub(crate) fn write(&mut self, batch: &Batch, binary: &str) -> Result<(), Failure> {
        if batch.rows() == 0 {
            return Ok(());
        }
        match self {
            Self::Text { rows, columns, has_binary } => {
                rows.write(&output::record_batch(batch, columns, has_binary.then_some(binary)))
            }
            Self::Parquet(writer) => {
                let rows = writer.encoder().encode(batch, binary);
                rows.and_then(|rows| writer.append(rows)).map_err(|error| Failure::output(&error))
            }
        }
    }

    /// Ends the output. Without rows, it is still what a reader of the format expects: a heading, a Parquet file.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let mut out = match self {
            Self::Text { rows, .. } => rows.finish()?,
            Self::Parquet(writer) => writer.finish().map_err(|error| Failure::output(&error))?,
        };
        Ok(out.flush()?)
    }
}
