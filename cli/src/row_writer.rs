//! Rows in the formats of `binframe dump`.

use crate::arguments::Format;
use crate::failure::Failure;
use crate::output::{self, Column, Output};
use crate::table_text::TableText;
use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use binframe::ir::parquet::{Compressors, TableWriter};
use binframe::ir::{Batch, TableInfo};
use std::io::Write;

/// Rows that are turned into text at a time.
const ROWS_AT_A_TIME: usize = 4096;

/// Writes rows in one of the formats.
pub(crate) enum RowWriter {
    /// As text.
    Text(TextWriter),
    /// As a Parquet file with all columns of a table's files.
    Parquet(Box<TableWriter<Output>>),
}

/// Writes rows as text.
pub(crate) struct TextWriter {
    out: Output,
    columns: Vec<Column>,
    has_binary: bool,
    layout: Layout,
}

enum Layout {
    Table(TableText),
    Csv { has_heading: bool },
    Json,
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
        let layout = match format {
            Format::Table => {
                let schema = output::schema(&columns, has_binary);
                Layout::Table(TableText::new(schema.into(), ""))
            }
            Format::Csv => Layout::Csv { has_heading: false },
            Format::Json => Layout::Json,
            Format::Dot | Format::Svg => unreachable!("rows are not drawn"),
            Format::Parquet => {
                let writer = TableWriter::new(table, out, &Compressors::default())
                    .map_err(|error| Failure::output(&error))?;
                return Ok(Self::Parquet(Box::new(writer)));
            }
        };
        Ok(Self::Text(TextWriter { out, columns, has_binary, layout }))
    }

    /// Writes rows of one input.
    pub(crate) fn write(&mut self, batch: &Batch, binary: &str) -> Result<(), Failure> {
        if batch.rows() == 0 {
            return Ok(());
        }
        match self {
            Self::Text(writer) => {
                let binary = writer.has_binary.then_some(binary);
                let rows = output::record_batch(batch, &writer.columns, binary);
                for start in (0..rows.num_rows()).step_by(ROWS_AT_A_TIME) {
                    writer.write(&rows.slice(start, ROWS_AT_A_TIME.min(rows.num_rows() - start)))?;
                }
                Ok(())
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
            Self::Text(writer) => writer.finish()?,
            Self::Parquet(writer) => writer.finish().map_err(|error| Failure::output(&error))?,
        };
        Ok(out.flush()?)
    }
}

impl TextWriter {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), Failure> {
        let text = match &mut self.layout {
            Layout::Table(text) => return Ok(text.write(&mut self.out, rows)?),
            Layout::Csv { has_heading } => csv(rows, !std::mem::replace(has_heading, true)),
            Layout::Json => json(rows),
        };
        let text = text.map_err(|error| Failure::output(&error))?;
        Ok(self.out.write_all(&text)?)
    }

    fn finish(mut self) -> Result<Output, Failure> {
        match self.layout {
            Layout::Table(text) => text.finish(&mut self.out)?,
            Layout::Csv { has_heading: false } => {
                let schema = output::schema(&self.columns, self.has_binary);
                self.write(&RecordBatch::new_empty(schema.into()))?;
            }
            Layout::Csv { has_heading: true } | Layout::Json => {}
        }
        Ok(self.out)
    }
}

fn csv(rows: &RecordBatch, with_heading: bool) -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow_csv::WriterBuilder::new().with_header(with_heading).build(Vec::new());
    writer.write(rows)?;
    Ok(writer.into_inner())
}

fn json(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow_json::LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner())
}
