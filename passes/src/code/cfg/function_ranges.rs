//! Function ranges: contiguous ranges of code that belong to one function, given their starts.
//!
//! A function has a main range, which starts at its entry, and may have fragments, ranges of their own elsewhere. A
//! range extends to the size that the file declares for it, and at most to the start of the next range; to that start
//! if no size is declared. The end is rounded up to the start of an instruction.
//!
//! If a range starts inside the declared size of another, it ends that one. Code from the end of the inner range to the
//! next start is then in no range, if the inner range has a declared size, unless later starts cover it.
//!
//! In the table `functions`, the row of a function without a declared size ends at the last block of its main range,
//! not at the end of the range. The row of a fragment always ends with its range.

use super::ids::{CodeLocation, FunctionId, RangeId, range_ids};
use crate::code::instructions::{Branches, InstructionsIr};
use crate::code::regions::Code;
use binframe_ir::tables::{FunctionEvidence, FunctionNameKind};
use std::num::NonZeroU64;
use std::ops::{Index, Range};

/// The start of a function or of a fragment.
#[derive(Debug, Clone)]
pub(super) struct RangeStart {
    pub(super) location: CodeLocation,
    /// Size in bytes that the file declares; `None` if it does not.
    pub(super) declared_size: Option<NonZeroU64>,
    pub(super) evidence: FunctionEvidence,
    /// Index in `code.starts`; `None` if the file does not declare the start.
    pub(super) declaration: Option<u32>,
    /// Whether this is a fragment: the code belongs to a function that starts elsewhere.
    pub(super) is_fragment: bool,
}

/// A range of code that belongs to one function. Ranges do not overlap.
#[derive(Debug, Clone)]
pub(super) struct FunctionRange {
    pub(super) start: RangeStart,
    /// Position of the end, exclusive.
    pub(super) end: u32,
    /// The rows of the branches in the range.
    pub(super) branches: Range<u32>,
}

impl FunctionRange {
    pub(super) fn region(&self) -> usize {
        self.start.location.region as usize
    }

    /// Whether the file declares the size of the range.
    pub(super) fn is_sized(&self) -> bool {
        self.start.declared_size.is_some()
    }

    pub(super) fn contains(&self, location: CodeLocation) -> bool {
        self.start.location.region == location.region
            && (self.start.location.position..self.end).contains(&location.position)
    }

    /// The positions in the range.
    pub(super) fn positions(&self) -> Range<usize> {
        self.start.location.position as usize..self.end as usize
    }
}

/// All function ranges, sorted by address, with the code that they are in.
pub(super) struct FunctionRanges<'a> {
    pub(super) code: &'a Code,
    pub(super) instructions: &'a InstructionsIr,
    ranges: Vec<FunctionRange>,
    /// For each region and each of its granules the number of ranges, in all regions, that start before the granule.
    starts_before: Vec<Vec<u32>>,
}

/// Bytes of a granule, small enough that a linear search among the ranges that start in it is fast.
const GRANULE_SIZE: u32 = 256;

impl Index<RangeId> for FunctionRanges<'_> {
    type Output = FunctionRange;

    fn index(&self, range: RangeId) -> &FunctionRange {
        &self.ranges[range.index()]
    }
}

impl<'a> FunctionRanges<'a> {
    /// The ranges with these starts, which are sorted and unique.
    pub(super) fn new(code: &'a Code, instructions: &'a InstructionsIr, starts: &[RangeStart]) -> Self {
        let mut row = 0;
        let mut last_region = 0;
        let ranges = starts.iter().enumerate().map(|(index, start)| {
            let region = start.location.region as usize;
            let next = starts.get(index + 1).filter(|next| next.location.region == start.location.region);
            let limit = next.map_or(code.regions[region].bytes.len() as u32, |next| next.location.position);
            let end = match start.declared_size {
                None => limit,
                Some(size) => {
                    let end = u64::from(start.location.position).saturating_add(size.get());
                    let end = end.min(u64::from(limit)) as usize;
                    let starts = &instructions.regions[region].starts;
                    starts.first_in(end..limit as usize).map_or(limit, |end| end as u32)
                }
            };
            if region != last_region {
                (row, last_region) = (0, region);
            }
            let positions = &instructions.regions[region].branches.positions;
            let mut row_at = |position: u32| {
                row += positions[row..].iter().take_while(|other| **other < position).count();
                row as u32
            };
            let branches = row_at(start.location.position)..row_at(end);
            FunctionRange { start: start.clone(), end, branches }
        });
        let ranges: Vec<_> = ranges.collect();
        let starts_before = starts_before(code, &ranges);
        Self { code, instructions, ranges, starts_before }
    }

    /// Number of ranges.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The ranges, sorted by address.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, FunctionRange> {
        self.ranges.iter()
    }

    /// The ranges with their ids, sorted by address.
    pub(super) fn with_ids(&self) -> impl Iterator<Item = (RangeId, &FunctionRange)> {
        range_ids().zip(&self.ranges)
    }

    /// The range after another one, if it is in the same region; `None` otherwise.
    pub(super) fn next(&self, range: RangeId) -> Option<&FunctionRange> {
        let next = self.ranges.get(range.index() + 1)?;
        (next.region() == self[range].region()).then_some(next)
    }

    /// The location of an address, if an instruction starts there; `None` otherwise.
    pub(super) fn location_of(&self, address: u64) -> Option<CodeLocation> {
        location_of(self.code, self.instructions, address)
    }

    /// The location after a position of a region: in the next region where that one continues this one, since
    /// execution falls from one section into another.
    pub(super) fn location_after(&self, region: u32, position: u32) -> CodeLocation {
        let location = CodeLocation { region, position };
        let is_at_end = self.code.regions[region as usize].bytes.len() == position as usize;
        let next = self.code.regions.get(region as usize + 1);
        let continues = is_at_end && next.is_some_and(|next| next.address == self.address(location));
        if continues { CodeLocation { region: region + 1, position: 0 } } else { location }
    }

    pub(super) fn address(&self, location: CodeLocation) -> u64 {
        self.code.regions[location.region as usize].address + u64::from(location.position)
    }

    /// The address at which a function or fragment starts.
    pub(super) fn start_address(&self, range: RangeId) -> u64 {
        self.address(self[range].start.location)
    }

    /// The addresses in a range.
    pub(super) fn addresses(&self, range: &FunctionRange) -> Range<u64> {
        let end = CodeLocation { position: range.end, ..range.start.location };
        self.address(range.start.location)..self.address(end)
    }

    pub(super) fn branches(&self, region: usize) -> &'a Branches {
        &self.instructions.regions[region].branches
    }

    /// The first branch at or after a position of a range; the end of its branches if there is none.
    pub(super) fn branch_at(&self, range: &FunctionRange, position: u32) -> u32 {
        let rows = range.branches.start as usize..range.branches.end as usize;
        let positions = &self.branches(range.region()).positions[rows];
        range.branches.start + positions.partition_point(|other| *other < position) as u32
    }

    /// The range that contains a location; `None` if it is in none.
    #[inline]
    pub(super) fn range_at(&self, location: CodeLocation) -> Option<RangeId> {
        let granules = &self.starts_before[location.region as usize];
        let mut index = *granules.get((location.position / GRANULE_SIZE) as usize)?;
        while self.ranges.get(index as usize).is_some_and(|range| range.start.location <= location) {
            index += 1;
        }
        let range = RangeId(index.checked_sub(1)?);
        self[range].contains(location).then_some(range)
    }

    /// The function whose entry is at an address, given the owner of each range; `None` if there is none.
    pub(super) fn function_at(&self, address: u64, owners: &[Option<FunctionId>]) -> Option<FunctionId> {
        let location = self.location_of(address)?;
        let range = self.range_at(location)?;
        let is_entry =
            self[range].start.location == location && owners[range.index()] == Some(FunctionId(range));
        is_entry.then_some(FunctionId(range))
    }

    /// The name of the function or fragment that starts a range; `None` if the file names none.
    pub(super) fn name(&self, range: &FunctionRange) -> Option<&'a str> {
        range.start.declaration.and_then(|row| self.code.name(&self.code.starts[row as usize]))
    }

    /// What gives the name of the function or fragment that starts a range.
    pub(super) fn name_kind(&self, range: &FunctionRange) -> FunctionNameKind {
        let declaration = range.start.declaration;
        declaration.map_or(FunctionNameKind::None, |row| self.code.starts[row as usize].name_kind)
    }
}

/// For each region and each of its granules the number of ranges, in all regions, that start before the granule.
fn starts_before(code: &Code, ranges: &[FunctionRange]) -> Vec<Vec<u32>> {
    let starts_before = code.regions.iter().zip(0..).map(|(region, index)| {
        let mut before = ranges.partition_point(|range| range.start.location.region < index);
        let granules = (0..region.bytes.len() as u32).step_by(GRANULE_SIZE as usize);
        let granules = granules.map(|position| {
            let location = CodeLocation { region: index, position };
            before += ranges[before..].iter().take_while(|range| range.start.location < location).count();
            before as u32
        });
        granules.collect()
    });
    starts_before.collect()
}

/// The location of an address, if an instruction starts there; `None` otherwise.
pub(super) fn location_of(code: &Code, instructions: &InstructionsIr, address: u64) -> Option<CodeLocation> {
    let (region, position) = code.locate(address)?;
    let location = CodeLocation { region: region as u32, position: position as u32 };
    let instructions = &instructions.regions[region];
    (instructions.starts.contains(position) && !instructions.is_data(position)).then_some(location)
}
