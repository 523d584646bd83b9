//! Trace: all rows about an address, of all stages: `(tables, address) -> rows`.

use binframe::ir::tables::Binaries;
use binframe::ir::{Batch, TABLES, Table, TableInfo, integers};
use binframe::{Error, Filter, Source, rows_in};
use std::collections::HashSet;

/// Key values of the selected rows, with binary, table and column.
type Selected = HashSet<(String, &'static str, &'static str, u64)>;

/// Finds the rows about an address, in the order of the pipeline and, within a table, of binaries. Each batch comes
/// with its binary.
///
/// In a table whose rows cover addresses, these are the rows that cover it. In other tables, they are the rows that
/// contain it in a column of addresses, and the rows whose key refers to a selected row of an earlier table: the edges
/// of its basic block, the stack frame of its function.
pub fn trace(source: &Source, address: u64) -> Result<Vec<(String, Batch)>, Error> {
    let mut selected = Selected::new();
    let mut traced = Vec::new();
    let covering = Filter { addresses: Some(address..address.saturating_add(1)), ..Filter::default() };
    let is_traced = |table: &&TableInfo| *table != Binaries::INFO && source.has_by_default(table);
    for table in TABLES.iter().copied().filter(is_traced) {
        // A row may contain the address in any column, so that only tables with a span can be filtered.
        let filter = if table.span.is_some() { covering.clone() } else { Filter::default() };
        for part in source.parts(table, &filter)? {
            let batch = part.rows()?;
            let positions = rows_about(table, &batch, part.binary(), address, &selected);
            if positions.is_empty() {
                continue;
            }
            let rows = batch.take(&positions);
            for key in table.key {
                let values = integers(rows.column(key)).flatten();
                selected.extend(values.map(|value| (part.binary().to_owned(), table.name, *key, value)));
            }
            traced.push((part.binary().to_owned(), rows));
        }
    }
    Ok(traced)
}

/// Positions of the rows of a batch about the address.
fn rows_about(
    table: &'static TableInfo,
    batch: &Batch,
    binary: &str,
    address: u64,
    selected: &Selected,
) -> Vec<u32> {
    if table.span.is_some() {
        let range = address..address.saturating_add(1);
        return rows_in(batch, std::slice::from_ref(&range));
    }
    let mut is_selected = vec![false; batch.rows()];
    for column in table.columns {
        let reference = column.references.filter(|_| table.key.contains(&column.name));
        if !column.is_address() && reference.is_none() {
            continue;
        }
        let target = reference.map(|(table, name)| {
            let keys = selected.iter().filter(|key| key.0 == binary && key.1 == table && key.2 == name);
            keys.map(|key| key.3).collect::<HashSet<_>>()
        });
        for (row, value) in integers(batch.column(column.name)).enumerate() {
            let Some(value) = value else { continue };
            is_selected[row] |= column.is_address() && value == address;
            is_selected[row] |= target.as_ref().is_some_and(|keys| keys.contains(&value));
        }
    }
    (0..batch.rows() as u32).filter(|row| is_selected[*row as usize]).collect()
}
