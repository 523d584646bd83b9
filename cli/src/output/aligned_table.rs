//! Rows in aligned columns, and single rows with a line for each column.

use super::cell_text::cell_text;
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use std::io::{self, Write};

/// Lines that are aligned together.
const LINES_ALIGNED: usize = 1024;

/// Writes rows in aligned columns. The first lines determine the widths of the columns. If later lines need more, the
/// columns widen and the heading is repeated.
pub(crate) struct AlignedTable {
    indent: &'static str,
    schema: SchemaRef,
    widths: Vec<usize>,
    /// Cells that are not written yet; at first, the heading.
    lines: Vec<Vec<String>>,
}

impl AlignedTable {
    /// A table of these columns, every line of which begins with `indent`.
    pub(crate) fn new(schema: SchemaRef, indent: &'static str) -> Self {
        let heading = schema.fields().iter().map(|field| field.name().clone()).collect();
        Self { indent, widths: vec![0; schema.fields().len()], schema, lines: vec![heading] }
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, out: &mut impl Write, rows: &RecordBatch) -> io::Result<()> {
        for row in 0..rows.num_rows() {
            let cells = self.schema.fields().iter().zip(rows.columns());
            self.lines.push(cells.map(|(field, array)| cell_text(field, array, row)).collect());
            if self.lines.len() >= LINES_ALIGNED {
                self.write_lines(out)?;
            }
        }
        Ok(())
    }

    /// Writes the remaining lines. A table without rows is its heading.
    pub(crate) fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        self.write_lines(out)
    }

    fn write_lines(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut is_wider = false;
        for cells in &self.lines {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                let needed = cell.chars().count();
                is_wider |= needed > *width;
                *width = needed.max(*width);
            }
        }
        let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        let begins_with_heading = self.lines.first() == Some(&names);
        let heading = (is_wider && !begins_with_heading).then_some(&names);
        for cells in heading.into_iter().chain(&self.lines) {
            self.write_line(out, cells)?;
        }
        self.lines.clear();
        Ok(())
    }

    fn write_line(&self, out: &mut impl Write, cells: &[String]) -> io::Result<()> {
        let mut line = self.indent.to_owned();
        for ((cell, width), field) in cells.iter().zip(&self.widths).zip(self.schema.fields()) {
            line += &match field.data_type().is_numeric() {
                true => format!("{cell:>width$}  "),
                false => format!("{cell:width$}  "),
            };
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// Writes one row: a line for each column that is not null.
pub(crate) fn write_row(
    out: &mut impl Write,
    indent: &str,
    rows: &RecordBatch,
    row: usize,
) -> io::Result<()> {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).filter(|(_, array)| array.is_valid(row));
    let width = columns.clone().map(|(field, _)| field.name().len()).max().unwrap_or(0);
    for (field, array) in columns {
        let cell = cell_text(field, array, row);
        writeln!(out, "{indent}{:width$}  {cell}", field.name())?;
    }
    Ok(())
}
