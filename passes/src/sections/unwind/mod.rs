//! `unwind_entries`: what every format's readers of unwinding information have in common.

mod frame_addresses;
pub(super) mod frames;
#[cfg(test)]
mod tests;

use binframe_ir::tables::{UnwindEntries, UnwindEntry, UnwindEntryBuilder};
use binframe_ir::{Enumeration, Rows};

/// The table. Of entries with the same key, which only a broken file has, the first stays.
pub(super) fn table(mut entries: Vec<UnwindEntry>) -> Rows<UnwindEntries> {
    // Rows are in the order of the sources' names.
    let key = |entry: &UnwindEntry| {
        (entry.address, entry.source.name(), entry.entry_section_index, entry.entry_offset)
    };
    entries.sort_by_key(key);
    entries.dedup_by_key(|entry| key(entry));
    let mut rows = UnwindEntryBuilder::default();
    rows.extend(entries);
    rows.finish()
}
