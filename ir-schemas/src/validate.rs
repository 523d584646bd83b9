//! Validation of rows against the declaration of their table.

use crate::registry::references;
use crate::text::cells;
use crate::values::{integer, reference_values};
use crate::{Batch, Reference, TableInfo};
use arrow_array::{Array, StringArray};
use arrow_ord::ord::make_comparator;
use arrow_schema::SortOptions;
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
/// `previous` is the previous batch of the same table, if there is one. `targets` returns the sorted
/// [`reference_values`] of the columns that a reference is to; references for which it returns `None` are not checked.
pub fn validate<'a>(
    batch: &Batch,
    previous: Option<&Batch>,
    targets: &dyn Fn(&Reference) -> Option<&'a [u64]>,
) -> Vec<Violation> {
    let mut violations = check_key(batch, previous);
    for (column, array) in batch.info().columns.iter().zip(batch.columns()) {
        if let Some((least, greatest)) = column.range {
            violations.extend(check(batch, column.name, |row| {
                let value = integer(array, row)?;
                let within = (least..=greatest).contains(&value);
                (!within).then(|| format!("{value} is not within {least}..={greatest}"))
            }));
        }
        if let (Some(names), Some(text)) = (column.one_of, array.as_any().downcast_ref::<StringArray>()) {
            violations.extend(check(batch, column.name, |row| {
                let known = text.is_null(row) || names.contains(&text.value(row));
                (!known).then(|| format!("`{}` is not one of {}", text.value(row), names.join(", ")))
            }));
        }
        if !column.nullable && array.null_count() > 0 {
            violations
                .extend(check(batch, column.name, |row| array.is_null(row).then(|| "is null".to_owned())));
        }
    }
    for reference in references(batch.info()) {
        let Some(known) = targets(&reference) else { continue };
        let columns = reference.columns.join(", ");
        let values: Vec<_> = reference_values(batch, &reference.columns).collect();
        violations.extend(check(batch, &columns, |row| {
            let missing = values[row].filter(|value| known.binary_search(value).is_err())?;
            let value = match reference.columns.len() {
                1 => format!("{missing:#x}"),
                _ => {
                    let cells = cells(&batch.slice(row, 1)).concat();
                    let cell = |name| cells[batch.info().column_index(name).expect("a column")].as_str();
                    reference.columns.iter().copied().map(cell).collect::<Vec<_>>().join(", ")
                }
            };
            Some(format!("{value} is not in {}.{}", reference.table, reference.targets.join(", ")))
        }));
    }
    violations
}

fn check<'a>(
    batch: &'a Batch,
    column: &'a str,
    mut wrong: impl FnMut(usize) -> Option<String> + 'a,
) -> impl Iterator<Item = Violation> + 'a {
    let violation = move |row| {
        Some(Violation { table: batch.info().name, row, column: column.to_owned(), message: wrong(row)? })
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
