//! Values as text for people: addresses in hexadecimal, long values truncated, control characters escaped.

use crate::escape::escaped;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field};
use std::fmt::Write as _;

/// Bytes of a value that are shown.
const BYTES_SHOWN_MAX: usize = 16;

/// Characters of a text that are shown.
const CHARACTERS_SHOWN_MAX: usize = 80;

/// The value of a column in a row; `-` for null.
pub(crate) fn cell_text(field: &Field, array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "-".to_owned();
    }
    if is_hexadecimal(field) {
        return format!("{:#x}", array.as_primitive::<UInt64Type>().value(row));
    }
    match array.data_type() {
        DataType::BinaryView => bytes_text(array.as_binary_view().value(row)),
        DataType::Utf8 => quoted_if_empty(array.as_string::<i32>().value(row)),
        _ => {
            quoted_if_empty(&array_value_to_string(array, row).expect("columns have types with a text form"))
        }
    }
}

fn is_hexadecimal(field: &Field) -> bool {
    let unit = field.metadata().get("unit").map(String::as_str);
    matches!(unit, Some("address" | "file offset")) && *field.data_type() == DataType::UInt64
}

fn bytes_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in &bytes[..bytes.len().min(BYTES_SHOWN_MAX)] {
        _ = write!(text, "{byte:02x}");
    }
    match bytes.len() {
        0 => "(none)".to_owned(),
        length if length > BYTES_SHOWN_MAX => format!("{text}… ({length} bytes)"),
        _ => text,
    }
}

fn quoted_if_empty(text: &str) -> String {
    if text.is_empty() { "\"\"".to_owned() } else { truncated(text) }
}

/// The text on one line: escaped, and truncated if it is long.
pub(crate) fn truncated(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS_SHOWN_MAX) {
        Some((end, _)) => escaped(&text[..end]) + "…",
        None => escaped(text),
    }
}
