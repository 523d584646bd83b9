//! Where functions, and parts of them, begin, and how far each may reach.

use crate::code::instructions::{Branches, InstructionsIr};
use crate::code::regions::Code;
use binframe_ir::tables::FunctionEvidence;
use std::ops::Range;

/// A place of code: the index of a region, and a position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) region: u32,
    pub(super) position: u32,
}

/// Where a function, or a part of one, begins.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) place: Place,
    /// Size in bytes; 0 where the file does not say.
    pub(super) size: u64,
    pub(super) evidence: FunctionEvidence,
    /// Row in `code.starts`, for a start that the file states.
    pub(super) stated: Option<u32>,
    /// Whether the code is part of a function that begins elsewhere.
    pub(super) is_part: bool,
}

/// The range of a function, or of a part of one. Ranges never overlap.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    pub(super) start: Start,
    /// Position that nothing of the function lies at or behind.
    pub(super) end: u32,
    /// The rows of branches in the range.
    pub(super) rows: Range<u32>,
}

impl Extent {
    pub(super) fn region(&self) -> usize {
        self.start.place.region as usize
    }

    /// Whether the file says how far the function reaches.
    pub(super) fn is_sized(&self) -> bool {
        self.start.size > 0
    }

    pub(super) fn contains(&self, place: Place) -> bool {
        self.start.place.region == place.region
            && (self.start.place.position..self.end).contains(&place.position)
    }
}

/// All extents, in the order of their addresses.
pub(super) struct Layout<'a> {
    pub(super) code: &'a Code,
    pub(super) instructions: &'a InstructionsIr,
    pub(super) extents: Vec<Extent>,
    /// For each region and each of its granules, the number of extents that begin before the granule, in all regions.
    before: Vec<Vec<u32>>,
}

/// Bytes of code. The extents that begin in as many are few enough to look at each.
const GRANULE_SIZE: u32 = 256;

impl<'a> Layout<'a> {
    /// The extents of starts that are in the order of their places, once each.
    pub(super) fn new(code: &'a Code, instructions: &'a InstructionsIr, starts: &[Start]) -> Self {
        let mut row = 0;
        let mut last_region = 0;
        let extents = starts.iter().enumerate().map(|(index, start)| {
            let region = start.place.region as usize;
            let next = starts.get(index + 1).filter(|next| next.place.region == start.place.region);
            let limit = next.map_or(code.regions[region].bytes.len() as u32, |next| next.place.position);
            let end = match start.size {
                0 => limit,
                size => {
                    let end =
                        u64::from(start.place.position).saturating_add(size).min(u64::from(limit)) as usize;
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
            let rows = row_at(start.place.position)..row_at(end);
            Extent { start: start.clone(), end, rows }
        });
        let extents: Vec<_> = extents.collect();
        let before = code.regions.iter().zip(0..).map(|(region, index)| {
            let mut before = extents.partition_point(|extent| extent.start.place.region < index);
            let granules = (0..region.bytes.len() as u32).step_by(GRANULE_SIZE as usize);
            let granules = granules.map(|position| {
                let place = Place { region: index, position };
                before += extents[before..].iter().take_while(|extent| extent.start.place < place).count();
                before as u32
            });
            granules.collect()
        });
        let before = before.collect();
        Self { code, instructions, extents, before }
    }

    /// The place of an address at which an instruction begins.
    pub(super) fn place_of(&self, address: u64) -> Option<Place> {
        place_of(self.code, self.instructions, address)
    }

    pub(super) fn address(&self, place: Place) -> u64 {
        self.code.regions[place.region as usize].address + u64::from(place.position)
    }

    pub(super) fn branches(&self, region: usize) -> &'a Branches {
        &self.instructions.regions[region].branches
    }

    /// The first row of branches at or behind a position of an extent.
    pub(super) fn row_at(&self, extent: &Extent, position: u32) -> u32 {
        let rows = extent.rows.start as usize..extent.rows.end as usize;
        let positions = &self.branches(extent.region()).positions[rows];
        extent.rows.start + positions.partition_point(|other| *other < position) as u32
    }

    /// The extent that holds a place.
    #[inline]
    pub(super) fn extent_at(&self, place: Place) -> Option<usize> {
        let before = self.before[place.region as usize].get((place.position / GRANULE_SIZE) as usize)?;
        let mut index = *before as usize;
        while self.extents.get(index).is_some_and(|extent| extent.start.place <= place) {
            index += 1;
        }
        let index = index.checked_sub(1)?;
        self.extents[index].contains(place).then_some(index)
    }

    /// The addresses of an extent.
    pub(super) fn addresses(&self, extent: &Extent) -> Range<u64> {
        let end = Place { position: extent.end, ..extent.start.place };
        self.address(extent.start.place)..self.address(end)
    }

    /// The function that begins at an address, given what each extent belongs to.
    pub(super) fn function_at(&self, address: u64, owners: &[u32]) -> Option<u32> {
        let place = self.place_of(address)?;
        let extent = self.extent_at(place)?;
        let is_function = self.extents[extent].start.place == place && owners[extent] == extent as u32;
        is_function.then_some(extent as u32)
    }

    pub(super) fn name(&self, extent: &Extent) -> Option<&'a str> {
        extent.start.stated.and_then(|row| self.code.name(&self.code.starts[row as usize]))
    }
}

/// The place of an address at which an instruction begins.
pub(super) fn place_of(code: &Code, instructions: &InstructionsIr, address: u64) -> Option<Place> {
    let (region, position) = code.locate(address)?;
    let place = Place { region: region as u32, position: position as u32 };
    let instructions = &instructions.regions[region];
    (instructions.starts.contains(position) && !instructions.is_data(position)).then_some(place)
}
