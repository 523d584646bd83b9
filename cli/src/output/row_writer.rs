//! Record batches in the formats of the command: text for people, text for programs, Parquet and Arrow files.

use super::aligned_table::AlignedTable;
use super::cell_text::cell_text;
use super::destination::Output;
use crate::failure::Failure;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions, array_value_to_string};
use arrow_ipc::writer::FileWriter;
use arrow_json::LineDelimitedWriter;
use arrow_json::writer::JsonFormat;
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use clap::ValueEnum;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::io::{self, Write};
use std::sync::Arc;

/// Rows that are turned into text at a time.
const TEXT_ROWS: usize = 4096;

/// Format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Aligned columns, for people
    Table,
    /// Comma-separated values, with a header line; a spreadsheet may take a name that begins with `=` for a formula
    Csv,
    /// A JSON array of objects
    Json,
    /// One JSON object per line
    Jsonl,
    /// A Markdown table
    Markdown,
    /// A Parquet file
    Parquet,
    /// An Arrow IPC file
    Arrow,
}

/// Writes rows in one format. The output is complete after [`finish`](Self::finish).
pub(crate) enum RowWriter {
    Table {
        table: AlignedTable,
        out: Output,
    },
    /// The plans of EXPLAIN, which have line breaks that a table would not show.
    Plan {
        out: Output,
    },
    Csv {
        schema: SchemaRef,
        has_header: bool,
        out: Output,
    },
    Json {
        writer: arrow_json::Writer<Output, JsonArray>,
        has_rows: bool,
    },
    Jsonl(LineDelimitedWriter<Output>),
    Markdown {
        schema: SchemaRef,
        has_header: bool,
        out: Output,
    },
    Parquet(Box<ArrowWriter<Output>>),
    Arrow(Box<FileWriter<Output>>),
}

impl RowWriter {
    /// A writer of rows with these columns.
    pub(crate) fn new(format: RowFormat, schema: SchemaRef, out: Output) -> Result<Self, Failure> {
        let is_plan = schema.fields().iter().map(|field| field.name()).eq(["plan_type", "plan"]);
        Ok(match format {
            RowFormat::Table if is_plan => Self::Plan { out },
            RowFormat::Table => Self::Table { table: AlignedTable::new(schema, ""), out },
            RowFormat::Csv => Self::Csv { schema, has_header: false, out },
            RowFormat::Json => Self::Json { writer: json_writer().build(out), has_rows: false },
            RowFormat::Jsonl => Self::Jsonl(json_writer().build(out)),
            RowFormat::Markdown => Self::Markdown { schema, has_header: false, out },
            RowFormat::Parquet => {
                let compression = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(compression).build();
                Self::Parquet(Box::new(ArrowWriter::try_new(out, schema, Some(properties))?))
            }
            RowFormat::Arrow => Self::Arrow(Box::new(FileWriter::try_new(out, &schema)?)),
        })
    }

    /// Writes rows.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), Failure> {
        match self {
            Self::Table { table, out } => table.write(out, rows)?,
            Self::Plan { out } => write_plan(out, rows)?,
            Self::Csv { has_header, out, .. } => {
                for rows in slices(rows) {
                    out.write_all(&csv(&rows, !std::mem::replace(has_header, true))?)?;
                }
            }
            Self::Json { writer, has_rows } => {
                *has_rows |= rows.num_rows() > 0;
                writer.write(rows)?;
            }
            Self::Jsonl(writer) => writer.write(rows)?,
            Self::Markdown { schema, has_header, out } => {
                for rows in slices(rows) {
                    if !std::mem::replace(has_header, true) {
                        out.write_all(markdown_header(schema).as_bytes())?;
                    }
                    out.write_all(markdown(schema, &rows).as_bytes())?;
                }
            }
            Self::Parquet(writer) => writer.write(rows)?,
            Self::Arrow(writer) => writer.write(rows)?,
        }
        Ok(())
    }

    /// Ends the output. Without rows, it still has what a reader of the format expects: a header, an empty array.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let mut out = match self {
            Self::Table { table, mut out } => {
                table.finish(&mut out)?;
                out
            }
            Self::Csv { schema, has_header: false, mut out } => {
                out.write_all(&csv(&RecordBatch::new_empty(schema), true)?)?;
                out
            }
            Self::Markdown { schema, has_header: false, mut out } => {
                out.write_all(markdown_header(&schema).as_bytes())?;
                out
            }
            Self::Plan { out } | Self::Csv { out, .. } | Self::Markdown { out, .. } => out,
            Self::Json { writer, has_rows: false } => {
                let mut out = writer.into_inner();
                out.write_all(b"[]\n")?;
                out
            }
            Self::Json { mut writer, .. } => {
                writer.finish()?;
                writer.into_inner()
            }
            Self::Jsonl(writer) => writer.into_inner(),
            Self::Parquet(writer) => writer.into_inner()?,
            Self::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
        };
        Ok(out.flush()?)
    }
}

/// Every object has every column.
fn json_writer() -> arrow_json::WriterBuilder {
    arrow_json::WriterBuilder::new().with_explicit_nulls(true)
}

/// A JSON array with a line for each row.
#[derive(Debug, Default)]
pub(crate) struct JsonArray;

impl JsonFormat for JsonArray {
    fn start_row<W: Write>(&self, out: &mut W, is_first: bool) -> Result<(), ArrowError> {
        Ok(out.write_all(if is_first { b"[\n" } else { b",\n" })?)
    }

    fn end_stream<W: Write>(&self, out: &mut W) -> Result<(), ArrowError> {
        Ok(out.write_all(b"\n]\n")?)
    }
}

/// The rows in slices, of which each becomes text in memory.
fn slices(rows: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let starts = (0..rows.num_rows()).step_by(TEXT_ROWS);
    starts.map(|start| rows.slice(start, TEXT_ROWS.min(rows.num_rows() - start)))
}

/// Rows as CSV, in memory: `arrow_csv` hides the kind of an error of its output, and a closed pipe is not a failure.
fn csv(rows: &RecordBatch, with_header: bool) -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow_csv::WriterBuilder::new().with_header(with_header).build(Vec::new());
    writer.write(&with_lists_as_text(rows)?)?;
    Ok(writer.into_inner())
}

/// Lists as text such as `[rbx, rbp]`, since CSV has no lists.
fn with_lists_as_text(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
        let is_list = matches!(field.data_type(), DataType::List(_));
        let array = if is_list { as_text(array)? } else { Arc::clone(array) };
        fields.push(field.as_ref().clone().with_data_type(array.data_type().clone()));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
}

fn as_text(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let text = |row| array.is_valid(row).then(|| array_value_to_string(array, row)).transpose();
    let texts: Result<StringArray, _> = (0..array.len()).map(text).collect();
    Ok(Arc::new(texts?))
}

fn markdown_header(schema: &SchemaRef) -> String {
    let fields = schema.fields();
    let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
    let rules = fields.iter().map(|field| if field.data_type().is_numeric() { "---:" } else { "---" });
    format!("| {} |\n| {} |\n", names.join(" | "), rules.collect::<Vec<_>>().join(" | "))
}

fn markdown(schema: &SchemaRef, rows: &RecordBatch) -> String {
    let mut text = String::new();
    for row in 0..rows.num_rows() {
        text.push('|');
        for (field, array) in schema.fields().iter().zip(rows.columns()) {
            text.extend([" ", &markdown_cell(&cell_text(field, array, row)), " |"]);
        }
        text.push('\n');
    }
    text
}

/// A text that Markdown shows as it is: it ends no cell, and is no HTML.
fn markdown_cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | '|' | '<') {
            cell.push('\\');
        }
        cell.push(character);
    }
    cell
}

fn write_plan(out: &mut Output, rows: &RecordBatch) -> io::Result<()> {
    let column = |index| ArrayFormatter::try_new(rows.column(index), &FormatOptions::default());
    let (kinds, plans) = (column(0).map_err(io::Error::other)?, column(1).map_err(io::Error::other)?);
    (0..rows.num_rows()).try_for_each(|row| writeln!(out, "{}:\n{}", kinds.value(row), plans.value(row)))
}

#[cfg(test)]
mod tests {
    use super::markdown_cell;

    #[test]
    fn a_cell_is_neither_ended_nor_html() {
        assert_eq!(markdown_cell("a\\|b <c>"), "a\\\\\\|b \\<c>");
    }
}
