//! Ranges of code: one after the other, or in lists. Entries of a broken file can all refer to the same long list, so a unit
//! has a share of what is read of lists.

use super::Reader;
use super::attributes::Attributes;
use super::sections::DebugSections;
use gimli::{Dwarf, Range, SectionId, Unit};

/// How often lists are read: so many times on average, and so many entries of lists for any unit at least.
const READS_MAX: u128 = 4;
const ENTRIES_MIN: u64 = 64;

/// What may be read of lists.
pub(super) struct ListBudget {
    lists_size: u128,
    units_size: u128,
    least_address: u64,
}

/// Entries of lists that a unit may still read.
pub(super) struct EntriesLeft {
    left: u64,
    /// The least address of code.
    least_address: u64,
}

impl ListBudget {
    pub(super) fn new<'a>(
        files: impl Iterator<Item = &'a DebugSections<'a>>,
        units_size: u64,
        least_address: u64,
    ) -> Self {
        const LISTS: [SectionId; 4] =
            [SectionId::DebugRanges, SectionId::DebugRngLists, SectionId::DebugLoc, SectionId::DebugLocLists];
        let lists_size = files.flat_map(|file| LISTS.map(|id| u128::from(file.size(id)))).sum();
        Self { lists_size, units_size: u128::from(units_size.max(1)), least_address }
    }

    /// The share of a unit of a size. An entry of a list has more than one byte.
    pub(super) fn of(&self, unit_size: u64) -> EntriesLeft {
        let share = u128::from(unit_size) * (READS_MAX * self.lists_size / self.units_size + 1);
        let left = u64::try_from(share).unwrap_or(u64::MAX).saturating_add(ENTRIES_MIN);
        EntriesLeft { left, least_address: self.least_address }
    }
}

impl EntriesLeft {
    /// Whether one more may be read.
    pub(super) fn take(&mut self) -> bool {
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

/// The ranges of an entry, none of them empty, without those of code that a linker has discarded.
pub(super) fn ranges<'a>(
    dwarf: &Dwarf<Reader<'a>>,
    unit: &Unit<Reader<'a>>,
    attributes: &Attributes<'a>,
    left: &mut EntriesLeft,
) -> Vec<Range> {
    let least_address = left.least_address;
    let is_kept = |range: &Range| {
        range.begin < range.end
            && range.begin >= least_address
            && !unit.header.is_tombstone_address(range.begin)
    };
    if let Some(mut list) = attributes.ranges.and_then(|offset| dwarf.ranges(unit, offset).ok()) {
        let next = || if left.take() { list.next().ok().flatten() } else { None };
        return std::iter::from_fn(next).filter(is_kept).collect();
    }
    let range = attributes.low.zip(attributes.high).map(|(begin, end)| Range { begin, end });
    range.filter(is_kept).into_iter().collect()
}
