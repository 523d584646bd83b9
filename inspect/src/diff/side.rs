//! One of the two binaries that are compared, and its functions.

use binframe::ir::{Rows, Table, TableInfo};
use binframe::{Error, Filter, Source, TablePart};
use std::ops::Range;

/// A binary of a source.
pub(super) struct Side<'a> {
    pub(super) source: &'a Source,
    pub(super) binary: &'a str,
}

impl Side<'_> {
    /// The parts of a table that may have rows in `addresses`.
    pub(super) fn parts(
        &self,
        table: &'static TableInfo,
        addresses: Option<Range<u64>>,
    ) -> Result<Vec<TablePart>, Error> {
        self.source.parts(table, &Filter { addresses, ..Filter::of(self.binary) })
    }

    /// All parts of a table that fits into memory.
    pub(super) fn all<T: Table>(&self) -> Result<Vec<Rows<T>>, Error> {
        let filter = Filter::of(self.binary);
        Ok(self.source.all::<T>(&filter)?.into_iter().map(|(_, rows)| rows).collect())
    }
}

/// A function of one of the binaries.
#[derive(Debug, Clone)]
pub struct ComparedFunction {
    /// Name; `None` if no symbol names the function.
    pub name: Option<String>,
    /// Address range.
    pub addresses: Range<u64>,
}
