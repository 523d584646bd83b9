//! `binary_unwind_entries`: rows and order that the unwind information of all formats shares.

mod cfa_rule;
pub(super) mod frames;
#[cfg(test)]
mod tests;

use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::tables::{
    BinarySections, BinaryUnwindEntries, BinaryUnwindEntry, BinaryUnwindEntryBuilder, UnwindSource,
};
use binframe_ir::{Enumeration, Rows};

/// An entry at an offset of a section, for the code `address..address + size`; other columns are null or false.
pub(super) fn plain_entry(
    source: UnwindSource,
    (entry_section_index, entry_offset): (u32, u64),
    (address, size): (u64, u64),
) -> BinaryUnwindEntry {
    BinaryUnwindEntry {
        address,
        size,
        unwind_kind: source,
        entry_section_index,
        entry_offset,
        section_index: None,
        personality_address: None,
        is_personality_indirect: None,
        lsda_address: None,
        lsda_section_index: None,
        is_signal_frame: false,
        is_continuation: false,
        begins_in_frame: None,
    }
}

/// The table, sorted by key. Of entries with the same key, which only a broken file has, the first is kept. The
/// sections of language-specific data are looked up by address.
pub(super) fn table(
    mut entries: Vec<BinaryUnwindEntry>,
    sections: &Rows<BinarySections>,
) -> Rows<BinaryUnwindEntries> {
    let data = SectionsByAddress::of(sections, |section| section.is_readable && !section.content.is_empty());
    let columns = sections.columns();
    for entry in entries.iter_mut().filter(|entry| entry.lsda_section_index.is_none()) {
        let row = entry.lsda_address.and_then(|address| data.holding(address));
        entry.lsda_section_index = row.map(|row| columns.section_index[row]);
    }
    // Enumerations are sorted by name.
    let key = |entry: &BinaryUnwindEntry| {
        (entry.address, entry.unwind_kind.name(), entry.entry_section_index, entry.entry_offset)
    };
    entries.sort_by_key(key);
    entries.dedup_by_key(|entry| key(entry));
    let mut rows = BinaryUnwindEntryBuilder::default();
    rows.extend(entries);
    rows.finish()
}
