//! What differs between two executables, or between two datasets.
//!
//! Functions are matched by name and compared by what they do, wherever they lie. All other tables are compared row by row,
//! rows being matched by key; two cursors run over the parts in the order of the key, so that no table is held whole. Where
//! functions have moved, keys that are addresses in code match nothing, and what functions do says all that can be said.

mod content;
mod functions;
mod rows;

pub use functions::{ChangedFunction, ComparedFunction, FunctionsDifference};
pub use rows::{RowDifference, RowsDifference};

use binframe::ir::tables::{Binaries, Functions};
use binframe::ir::{Rows, Stage, TABLES, Table, TableInfo};
use binframe::{Error, Filter, Part, Source};
use std::collections::BTreeSet;
use std::ops::Range;

/// What differs between two sources.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Inputs that both have.
    pub binaries: Vec<BinaryDifference>,
    /// Inputs that only the old source has.
    pub removed: Vec<String>,
    /// Inputs that only the new source has.
    pub added: Vec<String>,
}

/// What differs between two versions of one input.
#[derive(Debug, Clone)]
pub struct BinaryDifference {
    /// Its name in the old source.
    pub old: String,
    /// Its name in the new source.
    pub new: String,
    /// Functions; none where a source was made without them.
    pub functions: Option<FunctionsDifference>,
    /// The other tables that at least one source has, in the order of the pipeline.
    pub tables: Vec<TableDifference>,
}

/// What differs between two versions of one table.
#[derive(Debug, Clone)]
pub struct TableDifference {
    /// The table.
    pub table: &'static TableInfo,
    /// How it was compared, and what came of it.
    pub comparison: TableComparison,
}

/// How a table was compared, and what came of it.
#[derive(Debug, Clone)]
pub enum TableComparison {
    /// Row by row, matched by key.
    Rows(RowsDifference),
    /// As the content of functions only: these are not where they were, so that keys match nothing.
    FunctionContent,
    /// Not at all: one source was made without the table.
    Missing {
        /// Whether it is the old one.
        from_old: bool,
    },
}

impl Difference {
    /// Whether nothing differs, as far as it was compared.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.binaries.iter().all(BinaryDifference::is_empty)
    }
}

impl BinaryDifference {
    /// Whether nothing differs, as far as it was compared.
    pub fn is_empty(&self) -> bool {
        self.functions.as_ref().is_none_or(FunctionsDifference::is_empty)
            && self.tables.iter().all(|table| match &table.comparison {
                TableComparison::Rows(rows) => rows.is_empty(),
                TableComparison::FunctionContent => true,
                TableComparison::Missing { .. } => false,
            })
    }
}

/// Compares two sources. Inputs are matched by name, two single inputs whatever their names. Of the rows that differ in a
/// table, and of the functions whose differing instructions are counted, the first `samples_max` are kept.
pub fn diff(old: &Source, new: &Source, samples_max: usize) -> Result<Difference, Error> {
    let (old_names, new_names) = (old.binaries(), new.binaries());
    if let ([old_name], [new_name]) = (old_names.as_slice(), new_names.as_slice()) {
        let sides = (Side { source: old, binary: old_name }, Side { source: new, binary: new_name });
        let binaries = vec![diff_binary(&sides.0, &sides.1, samples_max)?];
        return Ok(Difference { binaries, removed: Vec::new(), added: Vec::new() });
    }
    let known_to_old: BTreeSet<_> = old_names.iter().collect();
    let known_to_new: BTreeSet<_> = new_names.iter().collect();
    let in_both = old_names.iter().filter(|name| known_to_new.contains(name));
    let binaries = in_both
        .map(|binary| diff_binary(&Side { source: old, binary }, &Side { source: new, binary }, samples_max));
    Ok(Difference {
        binaries: binaries.collect::<Result<_, _>>()?,
        removed: old_names.iter().filter(|name| !known_to_new.contains(name)).cloned().collect(),
        added: new_names.iter().filter(|name| !known_to_old.contains(name)).cloned().collect(),
    })
}

fn diff_binary(old: &Side<'_>, new: &Side<'_>, samples_max: usize) -> Result<BinaryDifference, Error> {
    let functions = functions::diff(old, new, samples_max)?;
    let have_moved = functions.as_ref().is_some_and(|functions| functions.moved > 0);
    let mut tables = Vec::new();
    for table in TABLES.iter().copied() {
        // Functions have their own comparison; `binaries` holds paths, which say nothing about an executable.
        let is_left_out = table == Functions::INFO && functions.is_some() || table == Binaries::INFO;
        let (in_old, in_new) = (old.source.has_table(table), new.source.has_table(table));
        let is_asked = [old, new].iter().any(|side| side.source.has_by_default(table));
        if is_left_out || !is_asked {
            continue;
        }
        let comparison = if in_old != in_new {
            TableComparison::Missing { from_old: in_new }
        } else if have_moved && is_keyed_by_code(table) {
            TableComparison::FunctionContent
        } else {
            let (old, new) = (old.parts(table, None)?, new.parts(table, None)?);
            let rows = |part: Part| part.rows();
            TableComparison::Rows(rows::diff(
                old.into_iter().map(rows),
                new.into_iter().map(rows),
                samples_max,
            )?)
        };
        tables.push(TableDifference { table, comparison });
    }
    Ok(BinaryDifference { old: old.binary.to_owned(), new: new.binary.to_owned(), functions, tables })
}

/// Whether rows are matched by an address in code.
fn is_keyed_by_code(table: &TableInfo) -> bool {
    let is_address =
        |name: &str| table.columns.iter().any(|column| column.name == name && column.is_address());
    let is_of_code = matches!(table.stage, Stage::Instructions | Stage::Cfg | Stage::Memory);
    is_of_code && table.key.first().is_some_and(|name| is_address(name))
}

/// One input of one source.
struct Side<'a> {
    source: &'a Source,
    binary: &'a str,
}

impl Side<'_> {
    fn parts(&self, table: &'static TableInfo, addresses: Option<Range<u64>>) -> Result<Vec<Part>, Error> {
        self.source.parts(table, &Filter { addresses, ..Filter::of(self.binary) })
    }

    /// All rows of a table that fits into memory, in the parts that it comes in.
    fn all<T: Table>(&self) -> Result<Vec<Rows<T>>, Error> {
        let filter = Filter::of(self.binary);
        Ok(self.source.all::<T>(&filter)?.into_iter().map(|(_, rows)| rows).collect())
    }
}
