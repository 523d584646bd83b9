//! Comparison of two executables or datasets: `(old source, new source) -> differences`.
//!
//! *Problem.* A small edit of a program moves most of its code, so a comparison of addresses reports differences
//! everywhere.
//!
//! *Algorithm.* (1) Match binaries by name; two single binaries match whatever their names are. (2) Match functions by
//! name, and compare them by position-independent content (`functions`, `content`). (3) Compare every other table row
//! by row, in the order of the key (`rows`). If a function has moved, tables whose key starts with an address in code
//! are not compared: the addresses do not match, and the comparison of functions covers them.
//!
//! *Cost.* Linear in the rows of both sources, plus the edit distances of the changed functions that are counted.
//! Tables are read part by part, except functions, sections and symbols.

mod content;
mod edit_distance;
pub(crate) mod functions;
pub(crate) mod rows;
pub(crate) mod side;

use self::functions::{FunctionsDifference, compare_functions};
use self::rows::{RowsDifference, compare_rows};
use self::side::Side;
use binframe::ir::tables::{Binaries, Functions};
use binframe::ir::{TABLES, Table, TableInfo};
use binframe::passes::is_of_code;
use binframe::{Error, Source, TablePart};
use std::collections::BTreeSet;

/// Differences of two sources.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Binaries of both sources.
    pub binaries: Vec<BinaryDifference>,
    /// Binaries of the old source only.
    pub removed: Vec<String>,
    /// Binaries of the new source only.
    pub added: Vec<String>,
}

/// Differences of two versions of a binary.
#[derive(Debug, Clone)]
pub struct BinaryDifference {
    /// Name in the old source.
    pub old: String,
    /// Name in the new source.
    pub new: String,
    /// Differences of functions; `None` if a source does not have the table.
    pub functions: Option<FunctionsDifference>,
    /// Differences of the other tables that at least one source has, in the order of the pipeline.
    pub tables: Vec<TableDifference>,
}

/// Differences of two versions of a table.
#[derive(Debug, Clone)]
pub struct TableDifference {
    /// The table.
    pub table: &'static TableInfo,
    /// Kind and result of the comparison.
    pub comparison: TableComparison,
}

/// Kind and result of the comparison of a table.
#[derive(Debug, Clone)]
pub enum TableComparison {
    /// Row by row, matched by key.
    Rows(RowsDifference),
    /// Not compared, because functions have moved and the keys are addresses in code. The comparison of functions
    /// covers it.
    FunctionContent,
    /// Not compared, because one source does not have the table.
    Missing {
        /// Whether it is the old one.
        from_old: bool,
    },
}

impl Difference {
    /// Whether no difference was found.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.binaries.iter().all(BinaryDifference::is_empty)
    }
}

impl BinaryDifference {
    /// Whether no difference was found.
    pub fn is_empty(&self) -> bool {
        self.functions.as_ref().is_none_or(FunctionsDifference::is_empty)
            && self.tables.iter().all(|table| match &table.comparison {
                TableComparison::Rows(rows) => rows.is_empty(),
                TableComparison::FunctionContent => true,
                TableComparison::Missing { .. } => false,
            })
    }
}

/// Compares two sources. At most `samples_max` differing rows of each table are returned, and edits are counted for at
/// most `samples_max` functions.
pub fn diff(old: &Source, new: &Source, samples_max: usize) -> Result<Difference, Error> {
    let (old_names, new_names) = (old.binaries(), new.binaries());
    if let ([old_name], [new_name]) = (old_names.as_slice(), new_names.as_slice()) {
        let sides = (Side { source: old, binary: old_name }, Side { source: new, binary: new_name });
        let binaries = vec![diff_binary(&sides.0, &sides.1, samples_max)?];
        return Ok(Difference { binaries, removed: Vec::new(), added: Vec::new() });
    }
    let in_old: BTreeSet<_> = old_names.iter().collect();
    let in_new: BTreeSet<_> = new_names.iter().collect();
    let in_both = old_names.iter().filter(|name| in_new.contains(name));
    let binaries = in_both
        .map(|binary| diff_binary(&Side { source: old, binary }, &Side { source: new, binary }, samples_max));
    Ok(Difference {
        binaries: binaries.collect::<Result<_, _>>()?,
        removed: old_names.iter().filter(|name| !in_new.contains(name)).cloned().collect(),
        added: new_names.iter().filter(|name| !in_old.contains(name)).cloned().collect(),
    })
}

fn diff_binary(old: &Side<'_>, new: &Side<'_>, samples_max: usize) -> Result<BinaryDifference, Error> {
    let functions = compare_functions(old, new, samples_max)?;
    let have_moved = functions.as_ref().is_some_and(|functions| functions.moved > 0);
    let mut tables = Vec::new();
    for table in TABLES.iter().copied() {
        // Functions have their own comparison. `binaries` has paths, which are not a property of an executable.
        let is_excluded = table == Functions::INFO && functions.is_some() || table == Binaries::INFO;
        let (in_old, in_new) = (old.source.has_table(table), new.source.has_table(table));
        let is_requested = [old, new].iter().any(|side| side.source.has_by_default(table));
        if is_excluded || !is_requested {
            continue;
        }
        let comparison = if in_old != in_new {
            TableComparison::Missing { from_old: in_new }
        } else if have_moved && is_keyed_by_code(table) {
            TableComparison::FunctionContent
        } else {
            let (old, new) = (old.parts(table, None)?, new.parts(table, None)?);
            let rows = |part: TablePart| part.rows();
            TableComparison::Rows(compare_rows(
                old.into_iter().map(rows),
                new.into_iter().map(rows),
                samples_max,
            )?)
        };
        tables.push(TableDifference { table, comparison });
    }
    Ok(BinaryDifference { old: old.binary.to_owned(), new: new.binary.to_owned(), functions, tables })
}

/// Whether the key of a table starts with an address in code.
fn is_keyed_by_code(table: &TableInfo) -> bool {
    let is_address =
        |name: &str| table.columns.iter().any(|column| column.name == name && column.is_address());
    is_of_code(table.stage) && table.key.first().is_some_and(|name| is_address(name))
}
