//! What the bytes of a row are there for.

use super::{InstructionsIr, RegionInstructions};
use crate::bitmap::Bitmap;
use crate::code::regions::{Code, CodeRange, CodeRegion};
use crate::isa::{Instruction, classify};
use binframe_ir::tables::Role;
use std::ops::Range;

/// More padding than alignment ever needs; behind so many bytes nothing counts as padding.
const PADDING_MAX: usize = 1 << 12;

/// Says what rows are there for, one after the other.
pub(super) struct Roles<'a> {
    code: &'a Code,
    region: &'a CodeRegion,
    swept: &'a RegionInstructions,
    targets: &'a Bitmap,
    /// Where the last instruction ends that does not go on, if all behind it was padding.
    idle_from: Option<usize>,
}

impl<'a> Roles<'a> {
    /// For the rows of a range.
    pub(super) fn before(code: &'a Code, instructions: &'a InstructionsIr, range: CodeRange) -> Self {
        let (region, swept) = (&code.regions[range.region], &instructions.regions[range.region]);
        let row = swept.branches.first_at(range.start).checked_sub(1);
        let idle_from = match row {
            None => Some(0),
            Some(row) => Some(swept.branches.end(row)).filter(|_| !swept.branches.flows[row].continues()),
        };
        let mut roles =
            Self { code, region, swept, targets: &instructions.targets(code)[range.region], idle_from };
        let from = idle_from.filter(|from| range.start.saturating_sub(*from) <= PADDING_MAX);
        let Some(mut position) = from.filter(|from| *from < range.start) else { return roles };
        while position < range.start && roles.idle_from.is_some() {
            let end = swept.starts.first_in(position + 1..region.bytes.len()).unwrap_or(region.bytes.len());
            if !roles.is_padding(position..end) {
                roles.idle_from = None;
            }
            position = end;
        }
        roles
    }

    /// What the next row is there for, whose bytes stand at these positions.
    pub(super) fn next(&mut self, positions: Range<usize>, instruction: Option<&Instruction>) -> Role {
        let end = positions.end;
        if self.swept.is_data(positions.start) {
            self.idle_from = Some(end);
            return Role::Data;
        }
        let is_padding = self.is_padding(positions);
        if !instruction.is_some_and(|instruction| classify(instruction).continues()) {
            self.idle_from = Some(end);
        } else if !is_padding {
            self.idle_from = None;
        }
        if is_padding { Role::Padding } else { Role::Code }
    }

    /// Whether nothing runs into these bytes or goes there, and they do nothing.
    fn is_padding(&self, positions: Range<usize>) -> bool {
        let is_idle = self.idle_from.is_some_and(|from| positions.start.saturating_sub(from) <= PADDING_MAX);
        let address = self.region.address + positions.start as u64;
        is_idle
            && self.region.isa.is_padding(&self.region.bytes[positions.clone()])
            && !self.targets.contains(positions.start)
            && self.code.starts.binary_search_by_key(&address, |start| start.address).is_err()
    }
}
