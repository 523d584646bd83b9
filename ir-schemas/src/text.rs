//! The text form of rows: a Markdown table, for snapshots, hand-written tests and bug reports. It parses back.
//!
//! ```text
//! | address | size | name     |
//! |--------:|-----:|----------|
//! |    0x10 |    6 | main     |
//! |    0x20 |    7 | `a, b`   |
//! ```
//!
//! `-` is null, and a list is between brackets. Addresses and file offsets are hexadecimal, bytes are `x` and hexadecimal digits.
//! Text is plain if Markdown shows it unchanged; other text is between backticks, with Rust's escapes.

use crate::markdown::{markdown_table, table_lines};
use crate::values::{dictionary_text, integer};
use crate::{Batch, ColumnInfo, ColumnType, TableInfo, Terms, TermsBuilder};
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray, cast::AsArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use std::fmt;
use std::sync::Arc;

/// The rows as text.
pub fn to_text(batch: &Batch) -> String {
    let names: Vec<_> = batch.info().columns.iter().map(|column| column.name.to_owned()).collect();
    markdown_table(&names, &cells(batch))
}

/// The text of each cell, row by row.
pub fn cells(batch: &Batch) -> Vec<Vec<String>> {
    let columns: Vec<_> = batch.info().columns.iter().zip(batch.columns()).collect();
    let cells = |row| columns.iter().map(|(column, array)| cell_to_text(column, array, row)).collect();
    (0..batch.rows()).map(cells).collect()
}

fn cell_to_text(column: &ColumnInfo, array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "-".to_owned();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Utf8 => quote(array.as_string::<i32>().value(row)),
        DataType::Dictionary(_, _) => dictionary_text(array, row).map(quote).unwrap_or_default(),
        DataType::List(_) => {
            let words = array.as_list::<i32>().value(row);
            let words = Terms::of_array(&words).iter().map(quote).collect::<Vec<_>>();
            format!("[{}]", words.join(", "))
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
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._/-".contains(letter);
    let has_word = text.contains(|letter: char| letter.is_ascii_alphanumeric());
    if has_word && text.chars().all(is_plain) && text.trim_matches('_') == text {
        return text.to_owned();
    }
    let escaped = text.chars().map(|letter| match letter {
        '`' | '|' => letter.escape_unicode().to_string(),
        '"' | '\'' => letter.to_string(),
        _ => letter.escape_debug().to_string(),
    });
    format!("`{}`", escaped.collect::<String>())
}

fn unquote(cell: &str) -> Option<String> {
    let Some(quoted) = cell.strip_prefix('`') else { return Some(cell.to_owned()) };
    let mut text = String::new();
    let mut letters = quoted.strip_suffix('`')?.chars();
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

/// The rows that text holds. Columns may be in any order; those that are missing are null or, if not nullable, 0, false, empty,
/// or the first name of the enumeration.
pub fn from_text(info: &'static TableInfo, text: &str) -> Result<Batch, ParseTextError> {
    let error = |line: usize, message: String| ParseTextError { line, message };
    let lines = table_lines(text);
    let Some(((header, names), rows)) = lines.split_first() else {
        return Err(error(1, "expected the names of columns".to_owned()));
    };
    if let Some(name) = names.iter().find(|name| info.column_index(name).is_none()) {
        return Err(error(*header, format!("{} has no column `{name}`", info.name)));
    }
    if let Some((line, cells)) = rows.iter().find(|(_, cells)| cells.len() != names.len()) {
        return Err(error(*line, format!("{} cells, but {} names of columns", cells.len(), names.len())));
    }
    let column = |column: &'static ColumnInfo| {
        let position = names.iter().position(|name| name == column.name);
        let cells = rows.iter().map(|(_, cells)| position.map(|position| cells[position].as_str()));
        column_from_text(column, cells)
            .map_err(|message| error(*header, format!("{}: {message}", column.name)))
    };
    Ok(Batch::new(info, info.columns.iter().map(column).collect::<Result<_, _>>()?))
}

fn column_from_text<'a>(
    column: &ColumnInfo,
    cells: impl Iterator<Item = Option<&'a str>>,
) -> Result<ArrayRef, String> {
    let declared = (column.data_type)();
    let filler = match (&declared, column.one_of) {
        (_, Some(names)) => names[0],
        (DataType::Utf8 | DataType::Binary | DataType::Dictionary(_, _) | DataType::List(_), None) => "",
        (DataType::Boolean, None) => "false",
        _ => "0",
    };
    let plain = |cell: Option<&str>| match cell {
        None => Ok((!column.nullable).then(|| filler.to_owned())),
        Some("-") => Ok(None),
        Some(cell) => {
            plain_text(&declared, cell).map(Some).ok_or_else(|| format!("`{cell}` is no {declared}"))
        }
    };
    let plain: Vec<Option<String>> = cells.map(plain).collect::<Result<_, _>>()?;
    if matches!(declared, DataType::List(_)) {
        let mut lists = TermsBuilder::default();
        for cell in &plain {
            let words = cell.iter().flat_map(|cell| cell.split(", ")).filter(|word| !word.is_empty());
            let words: Option<Vec<_>> = words.map(unquote).collect();
            let words = words.ok_or_else(|| format!("{cell:?} is no list"))?;
            Terms::push(&mut lists, Terms::of(&words.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        return Ok(Terms::finish(lists, None));
    }
    if declared == DataType::Binary {
        let bytes =
            plain.iter().map(|cell| cell.as_ref().map(|digits| bytes_of(digits).ok_or(digits)).transpose());
        let bytes: Vec<_> =
            bytes.collect::<Result<_, _>>().map_err(|text| format!("`{text}` is not hexadecimal"))?;
        return (column.adopt)(&(Arc::new(BinaryArray::from_iter(bytes)) as ArrayRef));
    }
    let text: ArrayRef = Arc::new(StringArray::from(plain));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let number = matches!(declared, DataType::Timestamp(_, _)).then_some(DataType::Int64);
    let steps = number.into_iter().chain([declared]);
    let array = steps.into_iter().try_fold(text, |array, step| cast_with_options(&array, &step, &options));
    (column.adopt)(&array.map_err(|error| error.to_string())?)
}

/// The cell as Arrow's casts from text read it.
fn plain_text(declared: &DataType, cell: &str) -> Option<String> {
    match declared {
        DataType::Utf8 | DataType::Dictionary(_, _) => unquote(cell),
        DataType::Binary => cell.strip_prefix('x').map(str::to_owned),
        DataType::List(_) => Some(cell.strip_prefix('[')?.strip_suffix(']')?.to_owned()),
        _ => match cell.strip_prefix("0x") {
            Some(digits) => Some(u64::from_str_radix(digits, 16).ok()?.to_string()),
            None => Some(cell.to_owned()),
        },
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}
