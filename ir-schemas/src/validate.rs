//! Validation of rows against the declaration of their table.

use crate::{Batch, ColumnInfo, TableInfo};
use arrow_array::{Array, ArrayRef, StringArray, cast::AsArray, types};
use arrow_ord::ord::make_comparator;
use arrow_schema::{DataType, SortOptions};
use std::cmp::Ordering;
use std::fmt;

/// Violations reported per check of a column; a systematic error would otherwise report every row.
const VIOLATIONS_PER_CHECK_MAX: usize = 10;

/// A value that violates the declaration of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Name of the table.
    pub table: &'static str,
    /// Row in the batch.
    pub row: usize,
    /// Column, or columns of the key, separated by commas.
    pub column: String,
    /// Description: what was found, and what was expected.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} row {}, {}: {}", self.table, self.row, self.column, self.message)
    }
}

/// Checks order and uniqueness of the key, references, ranges, enumerated values and nulls.
///
/// `previous` is the previous batch of the same table, if there is one. `targets` returns the sorted values of a
/// referenced column, given the names of its table and column; references for which it returns `None` are not checked.
pub fn validate<'a>(
    batch: &Batch,
    previous: Option<&Batch>,
    targets: &dyn Fn(&str, &str) -> Option<&'a [u64]>,
) -> Vec<Violation> {
    let mut violations = check_key(batch, previous);
    for (column, array) in batch.info().columns.iter().zip(batch.columns()) {
        if let Some((least, greatest)) = column.range {
            violations.extend(check(batch, column, |row| {
                let value = integer(array, row)?;
                let within = (least..=greatest).contains(&value);
                (!within).then(|| format!("{value} is not within {least}..={greatest}"))
            }));
        }
        if let (Some(names), Some(text)) = (column.one_of, array.as_any().downcast_ref::<StringArray>()) {
            violations.extend(check(batch, column, |row| {
                let known = text.is_null(row) || names.contains(&text.value(row));
                (!known).then(|| format!("`{}` is not one of {}", text.value(row), names.join(", ")))
            }));
        }
        let target = column.references.and_then(|(table, name)| Some((table, name, targets(table, name)?)));
        if let Some((table, name, values)) = target {
            violations.extend(check(batch, column, |row| {
                let value = integer(array, row)? as u64;
                let missing = values.binary_search(&value).is_err();
                missing.then(|| format!("{value:#x} is not in {table}.{name}"))
            }));
        }
        if !column.nullable && array.null_count() > 0 {
            violations.extend(check(batch, column, |row| array.is_null(row).then(|| "is null".to_owned())));
        }
    }
    violations
}

fn check<'a>(
    batch: &'a Batch,
    column: &'a ColumnInfo,
    mut wrong: impl FnMut(usize) -> Option<String> + 'a,
) -> impl Iterator<Item = Violation> + 'a {
    let violation = move |row| {
        Some(Violation {
            table: batch.info().name,
            row,
            column: column.name.to_owned(),
            message: wrong(row)?,
        })
    };
    (0..batch.rows()).filter_map(violation).take(VIOLATIONS_PER_CHECK_MAX)
}

fn check_key(batch: &Batch, previous: Option<&Batch>) -> Vec<Violation> {
    let info = batch.info();
    let violation = |row: usize, order: Ordering| Violation {
        table: info.name,
        row,
        column: info.key.join(", "),
        message: match order {
            Ordering::Equal => "the key equals that of the previous row".to_owned(),
            _ => "the key is less than that of the previous row".to_owned(),
        },
    };
    let mut violations = Vec::new();
    if let Some(previous) = previous.filter(|previous| previous.rows() > 0 && batch.rows() > 0) {
        let order = compare_keys(info, previous, batch)(previous.rows() - 1, 0);
        violations.extend((order != Ordering::Less).then(|| violation(0, order)));
    }
    let compare = compare_keys(info, batch, batch);
    let wrong = (1..batch.rows()).filter_map(|row| {
        let order = compare(row - 1, row);
        (order != Ordering::Less).then(|| violation(row, order))
    });
    violations.extend(wrong.take(VIOLATIONS_PER_CHECK_MAX));
    violations
}

/// Returns a function that compares the key of a row of `left` with that of a row of `right`. Enumerated values compare
/// as text; nulls are first.
pub fn compare_keys(info: &TableInfo, left: &Batch, right: &Batch) -> impl Fn(usize, usize) -> Ordering {
    let comparators: Vec<_> = info
        .key
        .iter()
        .map(|name| make_comparator(left.column(name), right.column(name), SortOptions::default()))
        .collect::<Result<_, _>>()
        .expect("columns of one table have one type");
    move |i, j| {
        comparators.iter().map(|compare| compare(i, j)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// The values of an integer column as `u64`: `None` for nulls and for columns of other types; negative numbers wrap.
pub fn integers(array: &ArrayRef) -> impl Iterator<Item = Option<u64>> + '_ {
    (0..array.len()).map(|row| integer(array, row).map(|value| value as u64))
}

/// The integer in a row; `None` for a null and for columns of other types.
pub(crate) fn integer(array: &ArrayRef, row: usize) -> Option<i128> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::UInt8 => array.as_primitive::<types::UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<types::UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<types::UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<types::UInt64Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<types::Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<types::Int64Type>().value(row).into(),
        DataType::Timestamp(_, _) => array.as_primitive::<types::TimestampNanosecondType>().value(row).into(),
        _ => return None,
    })
}
