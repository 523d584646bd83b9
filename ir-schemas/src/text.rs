//! The text form of rows: one line a row, for snapshots, hand-written tests and bug reports. It parses back.
//!
//! The first line names the columns. Cells stand between `|`. `-` is null, text is quoted, bytes are `x` and
//! hexadecimal digits, addresses and file offsets are hexadecimal.

use crate::validate::integer;
use crate::{Batch, ColumnInfo, TableInfo};
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray, cast::AsArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use std::fmt::{self, Write};

/// The rows as text.
pub fn to_text(batch: &Batch) -> String {
    let mut cells: Vec<Vec<String>> =
        vec![batch.info().columns.iter().map(|column| column.name.to_owned()).collect()];
    for row in 0..batch.rows() {
        let columns = batch.info().columns.iter().zip(batch.columns());
        cells.push(columns.map(|(column, array)| cell_to_text(column, array, row)).collect());
    }
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..batch.info().columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            _ = write!(line, "{cell:width$} | ");
        }
        text += line.trim_end_matches([' ', '|']);
        text.push('\n');
    }
    text
}

fn cell_to_text(column: &ColumnInfo, array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "-".to_owned();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Utf8 => quote(array.as_string::<i32>().value(row)),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let key = dictionary.normalized_keys()[row];
            quote(dictionary.values().as_string::<i32>().value(key)).trim_matches('"').to_owned()
        }
        DataType::BinaryView => {
            let bytes = array.as_binary_view().value(row).iter();
            bytes.fold("x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
        }
        _ => match integer(array, row) {
            Some(value) if matches!(column.unit, Some("address" | "file offset")) => format!("{value:#x}"),
            Some(value) => value.to_string(),
            None => unreachable!("no table has a column of {}", array.data_type()),
        },
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.escape_debug()).replace('|', "\\u{7c}")
}

fn unquote(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        text.push(match letters.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            'u' => {
                let digits: String = letters.by_ref().skip(1).take_while(|letter| *letter != '}').collect();
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
            }
            other => other,
        });
    }
    Some(text)
}

/// Why text is not rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTextError {
    /// Line, from 1.
    pub line: usize,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for ParseTextError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseTextError {}

/// The rows that text holds. Columns stand in any order; those that are missing are null or, where they may not be, 0,
/// false, empty, or the first of their names.
pub fn from_text(info: &'static TableInfo, text: &str) -> Result<Batch, ParseTextError> {
    let lines: Vec<_> = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
    let Some((header, rows)) = lines.split_first() else {
        return Err(ParseTextError { line: 1, message: "expected the names of columns".to_owned() });
    };
    let split = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let names = split(header.1);
    if let Some(name) = names.iter().find(|name| info.column_index(name).is_none()) {
        return Err(ParseTextError {
            line: header.0 + 1,
            message: format!("{} has no column `{name}`", info.name),
        });
    }
    let cells: Vec<_> = rows.iter().map(|(number, line)| (number + 1, split(line))).collect();
    if let Some((line, cells)) = cells.iter().find(|(_, cells)| cells.len() != names.len()) {
        let message = format!("{} cells where the first line names {}", cells.len(), names.len());
        return Err(ParseTextError { line: *line, message });
    }
    let column = |column: &'static ColumnInfo| {
        let position = names.iter().position(|name| name == column.name);
        let text = |row: &(usize, Vec<String>)| position.map(|position| row.1[position].clone());
        column_from_text(column, cells.iter().map(text).collect()).map_err(|message| ParseTextError {
            line: header.0 + 1,
            message: format!("{}: {message}", column.name),
        })
    };
    Ok(Batch::new(info, info.columns.iter().map(column).collect::<Result<_, _>>()?))
}

fn column_from_text(column: &ColumnInfo, cells: Vec<Option<String>>) -> Result<ArrayRef, String> {
    let declared = (column.data_type)();
    let filler = match (&declared, column.one_of) {
        (_, Some(names)) => names[0].to_owned(),
        (DataType::Utf8 | DataType::Binary | DataType::Dictionary(_, _), None) => String::new(),
        (DataType::Boolean, None) => "false".to_owned(),
        _ => "0".to_owned(),
    };
    let plain = |cell: Option<String>| match cell {
        None if !column.nullable => Ok(Some(filler.clone())),
        None => Ok(None),
        Some(cell) if cell == "-" => Ok(None),
        Some(cell) => {
            plain_text(&declared, &cell).map(Some).ok_or_else(|| format!("`{cell}` is no {declared}"))
        }
    };
    let plain: Vec<Option<String>> = cells.into_iter().map(plain).collect::<Result<_, _>>()?;
    if declared == DataType::Binary {
        let bytes =
            plain.iter().map(|cell| cell.as_ref().map(|digits| bytes_of(digits).ok_or(digits)).transpose());
        let bytes = bytes
            .collect::<Result<Vec<_>, _>>()
            .map_err(|digits| format!("`{digits}` is not hexadecimal"))?;
        return (column.adopt)(&(std::sync::Arc::new(BinaryArray::from_iter(bytes)) as ArrayRef));
    }
    let text: ArrayRef = std::sync::Arc::new(StringArray::from(plain));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let number = matches!(declared, DataType::Timestamp(_, _)).then_some(DataType::Int64);
    let steps = number.into_iter().chain([declared]);
    let array = steps.into_iter().try_fold(text, |array, step| cast_with_options(&array, &step, &options));
    (column.adopt)(&array.map_err(|error| error.to_string())?)
}

/// The cell as Arrow's casts from text read it.
fn plain_text(declared: &DataType, cell: &str) -> Option<String> {
    match declared {
        DataType::Utf8 => unquote(cell.strip_prefix('"')?.strip_suffix('"')?),
        DataType::Dictionary(_, _) => unquote(cell),
        DataType::Binary => cell.strip_prefix('x').map(str::to_owned),
        _ => match cell.strip_prefix("0x") {
            Some(digits) => Some(u64::from_str_radix(digits, 16).ok()?.to_string()),
            None => Some(cell.to_owned()),
        },
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}
