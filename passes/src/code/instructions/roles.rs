//! Classifies rows as code, padding or data.

use super::ir::{InstructionsIr, RegionInstructions};
use crate::bitmap::Bitmap;
use crate::code::regions::{Code, CodeRange, CodeRegion};
use binframe_ir::tables::Role;
use std::ops::Range;

/// Bytes after an instruction without fallthrough in which padding is recognized; alignment never needs as many.
const PADDING_MAX: usize = 1 << 12;

/// Classifies consecutive rows.
pub(super) struct RoleClassifier<'a> {
    code: &'a Code,
    region: &'a CodeRegion,
    swept: &'a RegionInstructions,
    targets: &'a Bitmap,
    /// End of the last instruction without fallthrough, if only padding follows it up to the current row; `None`
    /// otherwise.
    padding_from: Option<usize>,
    /// The first branch at or after the next row.
    next_branch: usize,
}

impl<'a> RoleClassifier<'a> {
    /// A classifier of the rows that start in a range.
    pub(super) fn new(code: &'a Code, instructions: &'a InstructionsIr, range: CodeRange) -> Self {
        let (region, swept) = (&code.regions[range.region], &instructions.regions[range.region]);
        let row = swept.branches.first_at(range.start).checked_sub(1);
        let padding_from = match row {
            None => Some(0),
            Some(row) => Some(swept.branches.end(row)).filter(|_| !swept.branches.flows[row].continues()),
        };
        let targets = &instructions.branch_targets(code)[range.region];
        let next_branch = swept.branches.first_at(range.start);
        let mut roles = Self { code, region, swept, targets, padding_from, next_branch };
        let from = padding_from.filter(|from| range.start.saturating_sub(*from) <= PADDING_MAX);
        let Some(mut position) = from.filter(|from| *from < range.start) else { return roles };
        while position < range.start && roles.padding_from.is_some() {
            let end = swept.starts.first_in(position + 1..region.bytes.len()).unwrap_or(region.bytes.len());
            if !roles.is_padding(position..end) {
                roles.padding_from = None;
            }
            position = end;
        }
        roles
    }

    /// The role of the next row, whose bytes are at these positions.
    pub(super) fn next(&mut self, positions: Range<usize>) -> Role {
        let end = positions.end;
        let branches = &self.swept.branches;
        let is_branch = branches.positions.get(self.next_branch) == Some(&(positions.start as u32));
        // The next instruction may be executed after it.
        let continues = !is_branch || branches.flows[self.next_branch].continues();
        self.next_branch += usize::from(is_branch);
        if self.swept.is_data(positions.start) {
            self.padding_from = Some(end);
            return Role::Data;
        }
        let is_padding = self.is_padding(positions);
        if !continues {
            self.padding_from = Some(end);
        } else if !is_padding {
            self.padding_from = None;
        }
        if is_padding { Role::Padding } else { Role::Code }
    }

    /// Whether these bytes have no effect, and no instruction falls through into them, no direct branch targets them,
    /// and no function is declared at them.
    fn is_padding(&self, positions: Range<usize>) -> bool {
        let is_unreached =
            self.padding_from.is_some_and(|from| positions.start.saturating_sub(from) <= PADDING_MAX);
        let address = self.region.address + positions.start as u64;
        is_unreached
            && self.region.isa.is_padding(&self.region.bytes[positions.clone()])
            && !self.targets.contains(positions.start)
            && self.code.starts.binary_search_by_key(&address, |start| start.address).is_err()
    }
}
