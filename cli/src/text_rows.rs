//! Rows as text, for people and for programs.

use crate::failure::Failure;
use crate::output::Output;
use crate::table_text::{TableText, cell_text};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use std::io::Write;

/// Rows that are turned into text at a time.
const ROWS_AT_A_TIME: usize = 4096;

/// How rows are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextFormat {
    /// Aligned columns.
    Table,
    /// Comma-separated values, after a line of column names.
    Csv,
    /// An array of objects.
    #[cfg_attr(not(feature = "sql"), expect(dead_code, reason = "rows of tables are written a line each"))]
    Json,
    /// An object on each line.
    JsonLines,
    /// A table of Markdown.
    #[cfg_attr(not(feature = "sql"), expect(dead_code, reason = "answers are written so"))]
    Markdown,
}

/// Writes rows as text.
pub(crate) struct TextRows {
    out: Output,
    schema: SchemaRef,
    format: TextFormat,
    table: Option<TableText>,
    has_rows: bool,
}

impl TextRows {
    /// Begins to write rows of these columns.
    pub(crate) fn new(format: TextFormat, schema: SchemaRef, out: Output) -> Self {
        let table = (format == TextFormat::Table).then(|| TableText::new(schema.clone(), ""));
        Self { out, schema, format, table, has_rows: false }
    }

    /// Writes some rows.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), Failure> {
        for start in (0..rows.num_rows()).step_by(ROWS_AT_A_TIME) {
            self.write_some(&rows.slice(start, ROWS_AT_A_TIME.min(rows.num_rows() - start)))?;
        }
        Ok(())
    }

    fn write_some(&mut self, rows: &RecordBatch) -> Result<(), Failure> {
        let is_first = !std::mem::replace(&mut self.has_rows, true);
        let text = match self.format {
            TextFormat::Table => match &mut self.table {
                Some(table) => return Ok(table.write(&mut self.out, rows)?),
                None => return Ok(()),
            },
            TextFormat::Csv => csv(rows, is_first),
            TextFormat::JsonLines => json_lines(rows),
            TextFormat::Json => json_lines(rows).map(|lines| array_items(&lines, is_first)),
            TextFormat::Markdown => {
                if is_first {
                    self.write_markdown_heading()?;
                }
                Ok(self.markdown(rows).into_bytes())
            }
        };
        Ok(self.out.write_all(&text.map_err(|error| Failure::output(&error))?)?)
    }

    /// Ends the output. Without rows, it is still what a reader of the format expects: a heading, an empty array.
    pub(crate) fn finish(mut self) -> Result<Output, Failure> {
        match self.format {
            TextFormat::Table => {
                if let Some(table) = self.table {
                    table.finish(&mut self.out)?;
                }
            }
            TextFormat::Csv if !self.has_rows => {
                let heading = csv(&RecordBatch::new_empty(self.schema), true);
                self.out.write_all(&heading.map_err(|error| Failure::output(&error))?)?;
            }
            TextFormat::Json if !self.has_rows => self.out.write_all(b"[]\n")?,
            TextFormat::Json => self.out.write_all(b"\n]\n")?,
            TextFormat::Markdown if !self.has_rows => self.write_markdown_heading()?,
            TextFormat::Csv | TextFormat::JsonLines | TextFormat::Markdown => {}
        }
        Ok(self.out)
    }

    fn write_markdown_heading(&mut self) -> Result<(), Failure> {
        let fields = self.schema.fields();
        let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
        let rules = fields.iter().map(|field| if field.data_type().is_numeric() { "---:" } else { "---" });
        let rules: Vec<_> = rules.collect();
        Ok(writeln!(self.out, "| {} |\n| {} |", names.join(" | "), rules.join(" | "))?)
    }

    fn markdown(&self, rows: &RecordBatch) -> String {
        let mut text = String::new();
        for row in 0..rows.num_rows() {
            text.push('|');
            for (field, array) in self.schema.fields().iter().zip(rows.columns()) {
                text += " ";
                text += &cell_text(field, array, row).replace('|', "\\|");
                text += " |";
            }
            text.push('\n');
        }
        text
    }
}

fn csv(rows: &RecordBatch, with_heading: bool) -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow_csv::WriterBuilder::new().with_header(with_heading).build(Vec::new());
    writer.write(rows)?;
    Ok(writer.into_inner())
}

fn json_lines(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow_json::LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Lines as items of an array, which begins with the first.
fn array_items(lines: &[u8], is_first: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.len() + lines.len() / 8);
    for (index, line) in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        text.extend_from_slice(if is_first && index == 0 { b"[\n" } else { b",\n" });
        text.extend_from_slice(line);
    }
    text
}
