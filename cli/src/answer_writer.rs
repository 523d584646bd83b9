//! Answers to queries in the formats of `binframe sql`.

use crate::failure::Failure;
use crate::output::Output;
use crate::sql_arguments::AnswerFormat;
use crate::text_rows::{TextFormat, TextRows};
use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::io::{self, Write};

/// Writes the rows of an answer.
pub(crate) enum AnswerWriter {
    /// As text.
    Text(TextRows),
    /// What EXPLAIN tells, line by line.
    Plan(Output),
    /// As a Parquet file.
    Parquet(Box<ArrowWriter<Output>>),
    /// As an Arrow IPC file.
    Arrow(Box<FileWriter<Output>>),
}

impl AnswerWriter {
    /// Begins to write rows of these columns.
    pub(crate) fn new(format: AnswerFormat, schema: &SchemaRef, out: Output) -> Result<Self, Failure> {
        let is_plan = schema.fields().iter().map(|field| field.name()).eq(["plan_type", "plan"]);
        let text = match format {
            AnswerFormat::Table if is_plan => return Ok(Self::Plan(out)),
            AnswerFormat::Table => TextFormat::Table,
            AnswerFormat::Csv => TextFormat::Csv,
            AnswerFormat::Json => TextFormat::Json,
            AnswerFormat::Jsonl => TextFormat::JsonLines,
            AnswerFormat::Markdown => TextFormat::Markdown,
            AnswerFormat::Parquet => {
                let compression = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(compression).build();
                let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties));
                return Ok(Self::Parquet(Box::new(writer.map_err(|error| Failure::output(&error))?)));
            }
            AnswerFormat::Arrow => {
                let writer = FileWriter::try_new(out, schema);
                return Ok(Self::Arrow(Box::new(writer.map_err(|error| Failure::output(&error))?)));
            }
        };
        Ok(Self::Text(TextRows::new(text, schema.clone(), out)))
    }

    /// Writes some rows.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), Failure> {
        match self {
            Self::Text(text) => text.write(rows),
            Self::Plan(out) => Ok(write_plan(out, rows)?),
            Self::Parquet(writer) => writer.write(rows).map_err(|error| Failure::output(&error)),
            Self::Arrow(writer) => writer.write(rows).map_err(|error| Failure::output(&error)),
        }
    }

    /// Ends the output, which is then all written.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let mut out = match self {
            Self::Text(text) => text.finish()?,
            Self::Plan(out) => out,
            Self::Parquet(writer) => writer.into_inner().map_err(|error| Failure::output(&error))?,
            Self::Arrow(mut writer) => {
                writer.finish().map_err(|error| Failure::output(&error))?;
                writer.into_inner().map_err(|error| Failure::output(&error))?
            }
        };
        Ok(out.flush()?)
    }
}

fn write_plan(out: &mut Output, rows: &RecordBatch) -> io::Result<()> {
    let column = |index| ArrayFormatter::try_new(rows.column(index), &FormatOptions::default());
    let (kinds, plans) = (column(0).map_err(io::Error::other)?, column(1).map_err(io::Error::other)?);
    (0..rows.num_rows()).try_for_each(|row| writeln!(out, "{}:\n{}", kinds.value(row), plans.value(row)))
}
