//! Code ranges of entries: one range, or a list of ranges.
//!
//! Entries of a broken file can all refer to the same long list. Each unit may read a share of list entries in
//! proportion to its size.

use super::attributes::Attributes;
use super::sections::DebugSections;
use crate::file::formats::EndianReader;
use gimli::{Dwarf, Range, SectionId, Unit};

/// How many times lists are read on average, and the number of list entries that any unit may read.
const READS_MAX: u128 = 4;
const ENTRIES_MIN: u64 = 64;

/// The list entries that all units may read.
pub(super) struct ListBudget {
    lists_size: u128,
    units_size: u128,
    lowest_address: u64,
}

/// The list entries that a unit may still read.
pub(super) struct ListEntryBudget {
    left: u64,
    /// The lowest address of code.
    lowest_address: u64,
}

impl ListBudget {
    pub(super) fn new<'a>(
        files: impl Iterator<Item = &'a DebugSections<'a>>,
        units_size: u64,
        lowest_address: u64,
    ) -> Self {
        const LISTS: [SectionId; 4] =
            [SectionId::DebugRanges, SectionId::DebugRngLists, SectionId::DebugLoc, SectionId::DebugLocLists];
        let lists_size = files.flat_map(|file| LISTS.map(|id| u128::from(file.size(id)))).sum();
        Self { lists_size, units_size: u128::from(units_size.max(1)), lowest_address }
    }

    /// The share of a unit of `unit_size` bytes. An entry of a list takes more than one byte.
    pub(super) fn share(&self, unit_size: u64) -> ListEntryBudget {
        let share = u128::from(unit_size) * (READS_MAX * self.lists_size / self.units_size + 1);
        let left = u64::try_from(share).unwrap_or(u64::MAX).saturating_add(ENTRIES_MIN);
        ListEntryBudget { left, lowest_address: self.lowest_address }
    }
}

impl ListEntryBudget {
    /// Counts an entry; false if it may not be read.
    pub(super) fn take(&mut self) -> bool {
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

/// The ranges of an entry that are not empty and whose code the linker kept.
pub(super) fn ranges<'a>(
    dwarf: &Dwarf<EndianReader<'a>>,
    unit: &Unit<EndianReader<'a>>,
    attributes: &Attributes<'a>,
    budget: &mut ListEntryBudget,
) -> Vec<Range> {
    let lowest_address = budget.lowest_address;
    let is_kept = |range: &Range| {
        range.begin < range.end
            && range.begin >= lowest_address
            && !unit.header.is_tombstone_address(range.begin)
    };
    if let Some(mut list) = attributes.ranges.and_then(|offset| dwarf.ranges(unit, offset).ok()) {
        let next = || if budget.take() { list.next().ok().flatten() } else { None };
        return std::iter::from_fn(next).filter(is_kept).collect();
    }
    let range = attributes.low.zip(attributes.high).map(|(begin, end)| Range { begin, end });
    range.filter(is_kept).into_iter().collect()
}
