//! Comparison of two versions of a table, row by row: `(old rows, new rows) -> added, removed and changed rows`.
//!
//! *Algorithm.* A merge join of two sequences of batches that are sorted by the same unique key. Of each pair of
//! batches, equal columns are skipped as a whole; otherwise the rows are merged until one batch ends.
//!
//! *Cost.* Linear in rows; one part of each version is in memory at a time.

use arrow_ord::ord::{DynComparator, make_comparator};
use arrow_schema::SortOptions;
use binframe::Error;
use binframe::ir::{Batch, TableInfo, compare_keys};
use std::cmp::Ordering;

/// Differences of the rows of two versions of a table.
#[derive(Debug, Clone, Default)]
pub struct RowsDifference {
    /// Number of rows of the old version.
    pub old_rows: u64,
    /// Number of rows of the new version.
    pub new_rows: u64,
    /// Number of rows whose key only the new version has.
    pub added: u64,
    /// Number of rows whose key only the old version has.
    pub removed: u64,
    /// Number of rows with the same key and other values.
    pub changed: u64,
    /// The first differing rows, in the order of keys.
    pub samples: Vec<RowDifference>,
}

/// A differing row; every batch has one row.
#[derive(Debug, Clone)]
pub enum RowDifference {
    /// Only the new version has the key.
    Added(Batch),
    /// Only the old version has the key.
    Removed(Batch),
    /// Both versions have the key.
    Changed {
        /// The old row.
        old: Batch,
        /// The new row.
        new: Batch,
        /// Columns whose values differ.
        columns: Vec<&'static str>,
    },
}

impl RowsDifference {
    /// Whether all rows are equal.
    pub fn is_empty(&self) -> bool {
        self.added == 0 && self.removed == 0 && self.changed == 0
    }

    fn add_sample(&mut self, samples_max: usize, difference: impl FnOnce() -> RowDifference) {
        if self.samples.len() < samples_max {
            self.samples.push(difference());
        }
    }

    fn add(&mut self, samples_max: usize, batch: &Batch, row: usize) {
        self.added += 1;
        self.add_sample(samples_max, || RowDifference::Added(one_row(batch, row)));
    }

    fn remove(&mut self, samples_max: usize, batch: &Batch, row: usize) {
        self.removed += 1;
        self.add_sample(samples_max, || RowDifference::Removed(one_row(batch, row)));
    }
}

/// Compares the parts of two versions of a table.
pub(super) fn compare_rows(
    old: impl Iterator<Item = Result<Batch, Error>>,
    new: impl Iterator<Item = Result<Batch, Error>>,
    samples_max: usize,
) -> Result<RowsDifference, Error> {
    let mut difference = RowsDifference::default();
    let (mut old, mut new) = (Cursor::new(old), Cursor::new(new));
    loop {
        match (old.batch()?, new.batch()?) {
            (None, None) => break,
            (Some((batch, row)), None) => {
                (row..batch.rows()).for_each(|row| difference.remove(samples_max, &batch, row));
                old.row = batch.rows();
            }
            (None, Some((batch, row))) => {
                (row..batch.rows()).for_each(|row| difference.add(samples_max, &batch, row));
                new.row = batch.rows();
            }
            (Some(old_rows), Some(new_rows)) => {
                (old.row, new.row) = merge(&mut difference, old_rows, new_rows, samples_max);
            }
        }
    }
    (difference.old_rows, difference.new_rows) = (old.rows, new.rows);
    Ok(difference)
}

/// Compares two batches, each from a row on, until one of them ends. Returns the positions after the compared rows.
fn merge(
    difference: &mut RowsDifference,
    (old, mut i): (Batch, usize),
    (new, mut j): (Batch, usize),
    samples_max: usize,
) -> (usize, usize) {
    let length = (old.rows() - i).min(new.rows() - j);
    // Most rows are equal, and columns compare faster than single values.
    if old.slice(i, length).columns() == new.slice(j, length).columns() {
        return (i + length, j + length);
    }
    let compare = compare_keys(old.info(), &old, &new);
    let comparators = comparators(old.info(), &old, &new);
    while i < old.rows() && j < new.rows() {
        match compare(i, j) {
            Ordering::Less => {
                difference.remove(samples_max, &old, i);
                i += 1;
            }
            Ordering::Greater => {
                difference.add(samples_max, &new, j);
                j += 1;
            }
            Ordering::Equal => {
                let differs = |(_, compare): &&(_, DynComparator)| compare(i, j).is_ne();
                let columns: Vec<_> = comparators.iter().filter(differs).map(|(name, _)| *name).collect();
                if !columns.is_empty() {
                    difference.changed += 1;
                    difference.add_sample(samples_max, || RowDifference::Changed {
                        old: one_row(&old, i),
                        new: one_row(&new, j),
                        columns,
                    });
                }
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    (i, j)
}

/// A comparator of the values of each column of two batches.
fn comparators(info: &TableInfo, old: &Batch, new: &Batch) -> Vec<(&'static str, DynComparator)> {
    let comparator = |name: &'static str| {
        let compare = make_comparator(old.column(name), new.column(name), SortOptions::default());
        (name, compare.expect("columns of one table have one type"))
    };
    info.columns.iter().map(|column| comparator(column.name)).collect()
}

/// A copy of a row, which does not keep its batch in memory.
fn one_row(batch: &Batch, row: usize) -> Batch {
    batch.take(&[row as u32])
}

/// A position in the parts of a table, of which one is in memory.
struct Cursor<P> {
    parts: P,
    batch: Option<Batch>,
    /// Position in `batch`.
    row: usize,
    /// Number of rows of all batches so far.
    rows: u64,
}

impl<P: Iterator<Item = Result<Batch, Error>>> Cursor<P> {
    fn new(parts: P) -> Self {
        Self { parts, batch: None, row: 0, rows: 0 }
    }

    /// The current batch and the position of its next row; `None` at the end.
    fn batch(&mut self) -> Result<Option<(Batch, usize)>, Error> {
        loop {
            match &self.batch {
                Some(batch) if self.row < batch.rows() => return Ok(Some((batch.clone(), self.row))),
                _ => {}
            }
            let Some(part) = self.parts.next() else { return Ok(None) };
            let batch = part?;
            self.rows += batch.rows() as u64;
            self.row = 0;
            self.batch = Some(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RowDifference, RowsDifference, compare_rows};
    use binframe::ir::tables::{CallEdges, CfgEdges};
    use binframe::ir::{Batch, Table, TableInfo, from_text, integers};

    fn batch(table: &'static TableInfo, text: &str) -> Batch {
        from_text(table, text).unwrap()
    }

    /// Compares two batches that are split into parts of `old_rows` and `new_rows` rows.
    fn in_parts(old: &Batch, new: &Batch, (old_rows, new_rows): (usize, usize)) -> RowsDifference {
        let parts = |batch: &Batch, rows: usize| {
            let starts = (0..batch.rows()).step_by(rows);
            let parts = starts.map(|start| Ok(batch.slice(start, rows.min(batch.rows() - start))));
            parts.collect::<Vec<_>>().into_iter()
        };
        compare_rows(parts(old, old_rows), parts(new, new_rows), usize::MAX).unwrap()
    }

    /// Each difference as a short text: sign and key, or key and changed columns.
    fn texts(difference: &RowsDifference) -> Vec<String> {
        let key = |row: &Batch| integers(row.column(row.info().key[0])).next().flatten().unwrap();
        let word = |sample: &RowDifference| match sample {
            RowDifference::Added(row) => format!("+{:#x}", key(row)),
            RowDifference::Removed(row) => format!("-{:#x}", key(row)),
            RowDifference::Changed { old, new, columns } => {
                assert_eq!(key(old), key(new));
                format!("{:#x} {}", key(old), columns.join(" "))
            }
        };
        difference.samples.iter().map(word).collect()
    }

    #[test]
    fn rows_are_matched_by_key_whatever_the_parts() {
        let old = batch(
            CallEdges::INFO,
            "call_address | caller_address | callee_address | kind
             0x10         | 0x0            | 0x100          | direct
             0x20         | 0x0            | 0x200          | direct
             0x30         | 0x0            | -              | indirect
             0x50         | 0x40           | 0x100          | tail
             0x60         | 0x40           | 0x100          | tail",
        );
        let new = batch(
            CallEdges::INFO,
            "call_address | caller_address | callee_address | kind
             0x08         | 0x0            | 0x100          | direct
             0x10         | 0x0            | 0x100          | direct
             0x30         | 0x0            | 0x300          | direct
             0x50         | 0x40           | 0x100          | tail
             0x70         | 0x40           | 0x100          | tail",
        );
        for sizes in (1..7).flat_map(|old| (1..7).map(move |new| (old, new))) {
            let difference = in_parts(&old, &new, sizes);
            assert_eq!(texts(&difference), ["+0x8", "-0x20", "0x30 callee_address kind", "-0x60", "+0x70"]);
            let RowsDifference { old_rows, new_rows, added, removed, changed, .. } = difference;
            assert_eq!((old_rows, new_rows, added, removed, changed), (5, 5, 2, 2, 1), "{sizes:?}");
        }
    }

    /// One column of this key is an enumeration, one may be null.
    #[test]
    fn all_columns_of_a_key_are_compared() {
        let old = batch(
            CfgEdges::INFO,
            "source_address | kind        | target_address
             0x10           | fallthrough | 0x20
             0x10           | taken       | 0x30
             0x20           | return      | -",
        );
        let new = batch(
            CfgEdges::INFO,
            "source_address | kind        | target_address
             0x10           | fallthrough | 0x20
             0x10           | taken       | 0x40
             0x20           | indirect    | -
             0x20           | return      | -",
        );
        for sizes in [(1, 1), (2, 3), (3, 4)] {
            assert_eq!(texts(&in_parts(&old, &new, sizes)), ["-0x10", "+0x10", "+0x20"]);
        }
    }

    #[test]
    fn samples_are_limited_and_counts_are_not() {
        let text = |rows: std::ops::Range<u64>| {
            let lines: Vec<_> = rows.map(|row| row.to_string()).collect();
            batch(CallEdges::INFO, &format!("call_address\n{}", lines.join("\n")))
        };
        let parts = |batch| std::iter::once(Ok(batch));
        let difference = compare_rows(parts(text(0..10)), parts(text(5..30)), 3).unwrap();
        assert_eq!(texts(&difference), ["-0x0", "-0x1", "-0x2"]);
        assert_eq!((difference.removed, difference.added, difference.changed), (5, 20, 0));
    }
}
