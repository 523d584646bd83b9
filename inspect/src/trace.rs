//! Every row that speaks of an address.

use binframe::ir::tables::Binaries;
use binframe::ir::{Batch, TABLES, Table, TableInfo, integers};
use binframe::{Error, Filter, Source, rows_in};
use std::collections::HashSet;

/// Keys of rows that were selected, by input, table and column.
type Selected = HashSet<(String, &'static str, &'static str, u64)>;

/// The rows of every stage that speak of an address, in the order of the pipeline and, within a table, of the inputs.
///
/// Of tables whose rows cover addresses, those that cover it; of the others, those that name it, and those whose key refers
/// to a row that was selected before (the edges of its basic block, the stack frame of its function).
pub fn trace(source: &Source, address: u64) -> Result<Vec<(String, Batch)>, Error> {
    let mut selected = Selected::new();
    let mut traced = Vec::new();
    let covering = Filter { addresses: Some(address..address.saturating_add(1)), ..Filter::default() };
    let is_traced = |table: &&TableInfo| *table != Binaries::INFO && source.has_by_default(table);
    for table in TABLES.iter().copied().filter(is_traced) {
        // Rows that name an address lie anywhere.
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
    let mut about = vec![false; batch.rows()];
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
            about[row] |= column.is_address() && value == address;
            about[row] |= target.as_ref().is_some_and(|keys| keys.contains(&value));
        }
    }
    (0..batch.rows() as u32).filter(|row| about[*row as usize]).collect()
}
