//! Rows as a person reads them: aligned columns, addresses in hexadecimal, long values cut.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Bytes of a value that are shown.
const BYTES_SHOWN_MAX: usize = 16;

/// Letters of a value that are shown.
const LETTERS_SHOWN_MAX: usize = 80;

/// Writes rows as aligned columns, some at a time: the first ones decide how wide columns are. Where later ones need more,
/// columns get wider and the heading is repeated.
#[derive(Debug)]
pub(crate) struct TableText {
    indent: &'static str,
    widths: Vec<usize>,
    has_heading: bool,
}

impl TableText {
    /// Begins with nothing; every line will be indented.
    pub(crate) fn new(indent: &'static str) -> Self {
        Self { indent, widths: Vec::new(), has_heading: false }
    }

    /// Whether columns have been named.
    pub(crate) fn has_heading(&self) -> bool {
        self.has_heading
    }

    /// Writes rows, which are laid out together; all calls are given the same columns.
    pub(crate) fn write(&mut self, out: &mut impl Write, rows: &RecordBatch) -> io::Result<()> {
        let schema = rows.schema();
        let columns: Vec<Vec<String>> = schema
            .fields()
            .iter()
            .zip(rows.columns())
            .map(|(field, array)| (0..rows.num_rows()).map(|row| cell_text(field, array, row)).collect())
            .collect();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        self.widths.resize(columns.len(), 0);
        let mut is_wider = false;
        for ((width, cells), name) in self.widths.iter_mut().zip(&columns).zip(&names) {
            let letters = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
            let needed = letters.max(name.len());
            is_wider |= needed > *width;
            *width = needed.max(*width);
        }
        let is_right: Vec<_> = schema.fields().iter().map(|field| is_number(field)).collect();
        if is_wider || !self.has_heading {
            self.write_line(out, &is_right, &names)?;
            self.has_heading = true;
        }
        for row in 0..rows.num_rows() {
            let cells: Vec<_> = columns.iter().map(|cells| cells[row].as_str()).collect();
            self.write_line(out, &is_right, &cells)?;
        }
        Ok(())
    }

    fn write_line(&self, out: &mut impl Write, is_right: &[bool], cells: &[&str]) -> io::Result<()> {
        let mut line = self.indent.to_owned();
        for ((cell, width), is_right) in cells.iter().zip(&self.widths).zip(is_right) {
            _ = if *is_right { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:width$}  ") };
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

/// The text, cut if it is long; what would move a terminal's cursor or change its colours is escaped.
fn letters_text(text: &str) -> String {
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == LETTERS_SHOWN_MAX {
            shown.push('…');
            break;
        }
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

fn is_number(field: &Field) -> bool {
    field.data_type().is_numeric()
}
