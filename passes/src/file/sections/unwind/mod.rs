//! `unwind_entries`: what every format's readers of unwinding information have in common.

mod frame_addresses;
pub(super) mod frames;
#[cfg(test)]
mod tests;

use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::tables::{BinarySections, UnwindEntries, UnwindEntry, UnwindEntryBuilder};
use binframe_ir::{Enumeration, Rows};

/// The table. Of entries with the same key, which only a broken file has, the first stays. What entries name by addresses is looked
/// up in the sections.
pub(super) fn table(mut entries: Vec<UnwindEntry>, sections: &Rows<BinarySections>) -> Rows<UnwindEntries> {
    let data = SectionsByAddress::of(sections, |section| section.is_readable && !section.content.is_empty());
    let columns = sections.columns();
    for entry in entries.iter_mut().filter(|entry| entry.lsda_section_index.is_none()) {
        let row = entry.lsda_address.and_then(|address| data.holding(address));
        entry.lsda_section_index = row.map(|row| columns.section_index[row]);
    }
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
