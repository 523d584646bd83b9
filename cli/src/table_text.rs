//! Rows as a person reads them: aligned columns, addresses in hexadecimal, long values cut.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field, SchemaRef};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Bytes of a value that are shown.
const BYTES_SHOWN_MAX: usize = 16;

/// Letters of a value that are shown.
const LETTERS_SHOWN_MAX: usize = 80;

/// Rows that are laid out together.
const ROWS_LAID_OUT: usize = 1024;

/// Writes rows as aligned columns, some at a time: the first ones decide how wide columns are. Where later ones need more,
/// columns get wider and the heading is repeated.
pub(crate) struct TableText {
    indent: &'static str,
    schema: SchemaRef,
    widths: Vec<usize>,
    /// Cells that are not written yet, the heading among them.
    lines: Vec<Vec<String>>,
}

impl TableText {
    /// Begins a table of these columns; every line will be indented.
    pub(crate) fn new(schema: SchemaRef, indent: &'static str) -> Self {
        let heading = schema.fields().iter().map(|field| field.name().clone()).collect();
        Self { indent, widths: vec![0; schema.fields().len()], schema, lines: vec![heading] }
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, out: &mut impl Write, rows: &RecordBatch) -> io::Result<()> {
        for row in 0..rows.num_rows() {
            let cells = self.schema.fields().iter().zip(rows.columns());
            self.lines.push(cells.map(|(field, array)| cell_text(field, array, row)).collect());
            if self.lines.len() >= ROWS_LAID_OUT {
                self.write_lines(out)?;
            }
        }
        Ok(())
    }

    /// Writes what is left; without any row, the heading.
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
            let is_number = field.data_type().is_numeric();
            _ = if is_number { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:width$}  ") };
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// Writes one row, a line for every column that is not null.
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

/// One value; `-` for null.
pub(crate) fn cell_text(field: &Field, array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "-".to_owned();
    }
    if is_hexadecimal(field) {
        return format!("{:#x}", array.as_primitive::<UInt64Type>().value(row));
    }
    match array.data_type() {
        DataType::BinaryView => bytes_text(array.as_binary_view().value(row)),
        DataType::Utf8 => letters_text(array.as_string::<i32>().value(row)),
        _ => letters_text(&array_value_to_string(array, row).expect("every type of column has a text")),
    }
}

fn bytes_text(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(BYTES_SHOWN_MAX)];
    let mut text = String::new();
    for byte in shown {
        _ = write!(text, "{byte:02x}");
    }
    match bytes.len() {
        0 => "(none)".to_owned(),
        length if length > BYTES_SHOWN_MAX => format!("{text}… ({length} bytes)"),
        _ => text,
    }
}

/// The text, cut if it is long.
fn letters_text(text: &str) -> String {
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    match text.char_indices().nth(LETTERS_SHOWN_MAX) {
        Some((end, _)) => escaped(&text[..end]) + "…",
        None => escaped(text),
    }
}

/// The text without what would move a terminal's cursor or change its colours: names come from files of anyone.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

fn is_hexadecimal(field: &Field) -> bool {
    let unit = field.metadata().get("unit").map(String::as_str);
    matches!(unit, Some("address" | "file offset")) && *field.data_type() == DataType::UInt64
}
