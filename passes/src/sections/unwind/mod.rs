//! `unwind_entries`: what every format's readers of unwinding information have in common.

pub(super) mod frames;

use binframe_ir::Rows;
use binframe_ir::tables::{BinarySections, UnwindEntries, UnwindEntry, UnwindEntryBuilder};
use std::ops::Range;

/// The table. Of entries with the same key, which only a broken file has, the first stays.
pub(super) fn table(mut entries: Vec<UnwindEntry>) -> Rows<UnwindEntries> {
    let key =
        |entry: &UnwindEntry| (entry.address, entry.source, entry.entry_section_index, entry.entry_offset);
    entries.sort_by_key(key);
    entries.dedup_by_key(|entry| key(entry));
    let mut rows = UnwindEntryBuilder::default();
    rows.extend(entries);
    rows.finish()
}

/// Finds the executable section that holds an address.
pub(super) struct CodeSections(Vec<(Range<u64>, u32)>);

impl CodeSections {
    /// The sections of a file whose sections have addresses. Of two that overlap, the one that begins later is left out.
    pub(super) fn of(sections: &Rows<BinarySections>) -> Self {
        let columns = sections.columns();
        let code = columns.iter().filter(|section| section.is_executable && section.size > 0);
        let mut ranges: Vec<_> = code
            .map(|section| {
                (section.address..section.address.saturating_add(section.size), section.section_index)
            })
            .collect();
        ranges.sort_by_key(|(range, section_index)| (range.start, *section_index));
        let mut end = 0;
        ranges.retain(|(range, _)| {
            let is_free = range.start >= end;
            end = end.max(range.end);
            is_free
        });
        Self(ranges)
    }

    /// Index of the section that holds an address.
    pub(super) fn holding(&self, address: u64) -> Option<u32> {
        let next = self.0.partition_point(|(range, _)| range.start <= address);
        let (range, section_index) = &self.0[next.checked_sub(1)?];
        range.contains(&address).then_some(*section_index)
    }
}
