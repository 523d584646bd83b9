//! Rows of text cells, and their comparison.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A row that either side states: what identifies it in the table, and its other columns.
pub(super) struct Row {
    pub(super) key: String,
    pub(super) cells: Vec<(&'static str, String)>,
}

/// Numbers the rows of each group, so that equal rows have different keys.
#[derive(Default)]
pub(super) struct Positions(BTreeMap<String, usize>);

impl Positions {
    pub(super) fn next(&mut self, group: &str) -> String {
        let position = self.0.entry(group.to_owned()).or_default();
        *position += 1;
        format!("{group}, {}", *position - 1)
    }
}

/// A cell that differs.
pub(super) struct Difference {
    pub(super) path: PathBuf,
    /// `TABLE.COLUMN`; `TABLE.row` if one side does not have the row.
    pub(super) column: String,
    /// Which row.
    pub(super) key: String,
    pub(super) found: String,
    pub(super) expected: String,
}

/// Stands for a row or a value that one side does not have.
pub(super) const NONE: &str = "none";

impl Difference {
    /// The file could not be read.
    pub(super) fn of_file(path: &Path, error: String) -> Self {
        let (key, expected) = (String::new(), String::new());
        Self { path: path.to_owned(), column: "file".to_owned(), key, found: error, expected }
    }

    /// What differences in many files have in common: the column, and the values if they are neither numbers nor rows.
    pub(super) fn kind(&self) -> [&str; 3] {
        if self.column.rsplit('.').next() == Some("row") {
            return [&self.column, if self.found == NONE { NONE } else { "" }, ""];
        }
        [&self.column, without_number(&self.found), without_number(&self.expected)]
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, column, key, found, expected } = self;
        write!(formatter, "{}: {column} of {key}: found {found}, expected {expected}", path.display())
    }
}

/// Compares cells of rows with equal keys and returns how many are equal.
pub(super) fn compare(
    path: &Path,
    table: &str,
    found: Vec<Row>,
    expected: Vec<Row>,
    differences: &mut Vec<Difference>,
) -> usize {
    let mut facts = 0;
    let mut report = |column: &str, key: &str, found: &str, expected: &str| {
        differences.push(Difference {
            path: path.to_owned(),
            column: format!("{table}.{column}"),
            key: key.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
        });
    };
    let mut found: BTreeMap<_, _> = found.into_iter().map(|row| (row.key, row.cells)).collect();
    for Row { key, cells: expected } in expected {
        let Some(found) = found.remove(&key) else {
            report("row", &key, NONE, &described(&expected));
            continue;
        };
        for ((column, found), (_, expected)) in found.iter().zip(&expected) {
            match found == expected {
                true => facts += 1,
                false => report(column, &key, found, expected),
            }
        }
    }
    for (key, cells) in found {
        report("row", &key, &described(&cells), NONE);
    }
    facts
}

fn without_number(text: &str) -> &str {
    if text.starts_with(|first: char| first.is_ascii_digit()) { "" } else { text }
}

fn described(cells: &[(&'static str, String)]) -> String {
    let cells: Vec<_> = cells.iter().map(|(column, value)| format!("{column}={value}")).collect();
    cells.join(" ")
}

/// A number in hexadecimal.
pub(super) fn hexadecimal(value: u64) -> String {
    format!("{value:#x}")
}

/// The value or [`NONE`].
pub(super) fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// The elements of a list that the tool prints as `"outer":[{"inner":{…}},…]`.
pub(super) fn list<'a>(
    printed: &'a Value,
    outer: &str,
    inner: &'static str,
) -> impl Iterator<Item = &'a Value> {
    printed[outer].as_array().into_iter().flatten().map(move |element| &element[inner])
}

/// The number in a field, either itself or as `{"Name":…,"Value":…}`.
pub(super) fn number(value: &Value, field: &str) -> u64 {
    let value = &value[field];
    value.as_u64().or_else(|| value["Value"].as_u64()).unwrap_or_default()
}

/// The name in a field that the tool prints as `{"Name":…,"Value":…}`.
pub(super) fn name<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]["Name"].as_str().unwrap_or_default()
}

/// The name in a field if the tool has one, otherwise the number in hexadecimal, as in the tables.
pub(super) fn name_or_number(value: &Value, field: &str, prefix: &str) -> String {
    let name = name(value, field);
    match name.starts_with(prefix) {
        true => name.to_owned(),
        false => hexadecimal(number(value, field)),
    }
}
