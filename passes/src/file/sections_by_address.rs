//! Look-up of the section that contains an address.

use binframe_ir::Rows;
use binframe_ir::tables::{BinarySection, BinarySections};
use std::ops::Range;

/// Address ranges of sections and their rows, sorted and disjoint.
pub(crate) struct SectionsByAddress(Vec<(Range<u64>, usize)>);

impl SectionsByAddress {
    /// The sections that are wanted and not empty. Of two that overlap, the one at the higher address is omitted.
    pub(crate) fn of(
        sections: &Rows<BinarySections>,
        is_wanted: impl Fn(&BinarySection<'_>) -> bool,
    ) -> Self {
        let columns = sections.columns();
        let wanted = columns.iter().enumerate().filter(|(_, section)| section.size > 0 && is_wanted(section));
        let mut ranges: Vec<_> = wanted
            .map(|(row, section)| (section.address..section.address.saturating_add(section.size), row))
            .collect();
        ranges.sort_by_key(|(range, row)| (range.start, *row));
        let mut end = 0;
        ranges.retain(|(range, _)| {
            let is_free = range.start >= end;
            if is_free {
                end = range.end;
            }
            is_free
        });
        Self(ranges)
    }

    /// Address range and row of each section.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Range<u64>, usize)> {
        self.0.iter().map(|(range, row)| (range, *row))
    }

    /// Row of the section that contains an address.
    pub(crate) fn holding(&self, address: u64) -> Option<usize> {
        let next = self.0.partition_point(|(range, _)| range.start <= address);
        let (range, row) = &self.0[next.checked_sub(1)?];
        range.contains(&address).then_some(*row)
    }
}
