//! Which rows lie in a range of addresses.

use binframe_ir::tables::{BinarySections, BinarySymbols, SymbolType};
use binframe_ir::{Batch, ColumnInfo, Enumeration, Rows, TableInfo, integers};
use std::ops::Range;

/// The column by whose addresses rows are selected: where a row covers addresses, that of the first; else the first column
/// of the key that holds addresses, or the first column at all that does. A table without addresses has none.
pub fn address_column(table: &'static TableInfo) -> Option<&'static str> {
    let is_key = |column: &&ColumnInfo| table.key.contains(&column.name);
    let mut addresses = table.columns.iter().filter(|column| column.is_address());
    let named = || addresses.clone().find(is_key).or_else(|| addresses.next()).map(|column| column.name);
    table.span.map(|(start, _)| start).or_else(named)
}

/// The positions of the rows that cover an address of one of the ranges or, in tables whose rows cover none, whose
/// [`address_column`] lies in one. A row that covers no byte lies where it begins.
pub fn rows_in(batch: &Batch, ranges: &[Range<u64>]) -> Vec<u32> {
    let Some(column) = address_column(batch.info()) else { return Vec::new() };
    let sizes: Vec<_> = match batch.info().span {
        Some((_, size)) => integers(batch.column(size)).map(Option::unwrap_or_default).collect(),
        None => vec![0; batch.rows()],
    };
    let lies_in = |start: u64, size: u64, range: &Range<u64>| {
        start < range.end && (start >= range.start || range.start - start < size)
    };
    let sections = Rows::<BinarySections>::from_batch(batch.clone());
    let symbols = Rows::<BinarySymbols>::from_batch(batch.clone());
    // What is not loaded has no address, nor have undefined, absolute and thread-local symbols.
    let has_address = |row: usize| match (&sections, &symbols) {
        (Some(sections), _) => sections.columns().row(row).is_readable,
        (_, Some(symbols)) => {
            let symbol = symbols.columns().row(row);
            symbol.section_index.is_some() && symbol.symbol_type != SymbolType::Tls.name()
        }
        (None, None) => true,
    };
    let is_selected = |(row, start): (usize, Option<u64>)| {
        let is_inside =
            ranges.iter().any(|range| start.is_some_and(|start| lies_in(start, sizes[row], range)));
        (is_inside && has_address(row)).then_some(row as u32)
    };
    integers(batch.column(column)).enumerate().filter_map(is_selected).collect()
}
