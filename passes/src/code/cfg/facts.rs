//! Facts about control flow that the whole pass reads: what the file declares, and what traversal has recovered so far.

use super::function_ranges::FunctionRanges;
use super::ids::{BranchId, CodeLocation, FunctionId};
use super::noreturn::{is_free_name, is_noreturn_name, is_status_name};
use crate::bitmap::Bitmap;
use crate::code::references::References;
use crate::code::regions::CodeRegion;
use crate::code::straight_line;
use binframe_ir::tables::Flow;
use rayon::slice::ParallelSliceMut;
use rustc_hash::FxHashSet;
use std::ops::RangeInclusive;
use std::sync::OnceLock;

/// What processes exit with. Only eight bits arrive.
const EXIT_STATUSES: RangeInclusive<i32> = -128..=255;

/// Facts about control flow. Traversal adds to `leaders` and `returning_calls` from several threads, each in the ranges
/// of its own function; all else is constant.
pub(super) struct CfgFacts<'a> {
    pub(super) ranges: &'a FunctionRanges<'a>,
    pub(super) references: &'a References,
    /// The positions at which basic blocks start, for each region.
    pub(super) leaders: Vec<Bitmap>,
    /// The branches that are calls which count as returning, for each region: the callee may return, or is unknown.
    pub(super) returning_calls: Vec<Bitmap>,
    /// The branches that are calls with a landing pad, for each region.
    pub(super) landing_pad_calls: Vec<Bitmap>,
    /// For each declared function start whether its name is on the noreturn list.
    noreturn_starts: Vec<bool>,
    /// The import slots of functions on the noreturn list.
    pub(super) noreturn_slots: FxHashSet<u64>,
    /// For each declared function start whether it returns only if its first argument is 0.
    status_starts: Vec<bool>,
    /// Whether there are such functions, or slots.
    has_status: bool,
    /// The import slots of functions that return only if their first argument is 0.
    status_slots: FxHashSet<u64>,
    /// The addresses of code that instructions take, sorted.
    pub(super) taken_addresses: &'a [u64],
    /// All constant addresses in instructions and indirect branches, sorted; computed on first use.
    referenced_addresses: OnceLock<Vec<u64>>,
}

/// An empty set of branches, for each region.
pub(super) fn no_branches(ranges: &FunctionRanges<'_>) -> Vec<Bitmap> {
    ranges.instructions.regions.iter().map(|region| Bitmap::new(region.branches.len())).collect()
}

impl<'a> CfgFacts<'a> {
    pub(super) fn new(
        ranges: &'a FunctionRanges<'a>,
        references: &'a References,
        taken_addresses: &'a [u64],
    ) -> Self {
        let leaders = ranges.code.regions.iter().map(|region| Bitmap::new(region.bytes.len())).collect();
        let landing_pad_calls = ranges.code.regions.iter().zip(&ranges.instructions.regions);
        let landing_pad_calls = landing_pad_calls.map(|(code, region)| {
            let branches = &region.branches;
            let is_call = |row: &usize| matches!(branches.flows[*row], Flow::Call | Flow::IndirectCall);
            let calls = || (0..branches.len()).filter(is_call);
            let ends = calls().map(|row| code.address + branches.end(row) as u64);
            let mut found = Bitmap::new(branches.len());
            let have = calls().zip(references.have_landing_pads(ends));
            have.filter(|(_, has)| *has).for_each(|(row, _)| found.insert(row));
            found
        });
        let landing_pad_calls = landing_pad_calls.collect();
        let is_noreturn = |start| ranges.code.name(start).is_some_and(is_noreturn_name);
        let slots = references.import_slots().filter(|(_, name)| is_noreturn_name(name));
        let has_status = |start| ranges.code.name(start).is_some_and(is_status_name);
        let status_slots = references.import_slots().filter(|(_, name)| is_status_name(name));
        let status_slots: FxHashSet<u64> = status_slots.map(|(address, _)| address).collect();
        let status_starts: Vec<bool> = ranges.code.starts.iter().map(has_status).collect();
        Self {
            ranges,
            references,
            leaders,
            returning_calls: no_branches(ranges),
            landing_pad_calls,
            noreturn_starts: ranges.code.starts.iter().map(is_noreturn).collect(),
            noreturn_slots: slots.map(|(address, _)| address).collect(),
            has_status: !status_slots.is_empty() || status_starts.contains(&true),
            status_starts,
            status_slots,
            taken_addresses,
            referenced_addresses: OnceLock::new(),
        }
    }

    /// These facts, with other ranges of the same code.
    pub(super) fn with_ranges<'b>(self, ranges: &'b FunctionRanges<'b>) -> CfgFacts<'b>
    where
        'a: 'b,
    {
        CfgFacts { ranges, ..self }
    }

    /// Whether a function does not return by its name, given whether a path in it reaches a return instruction.
    pub(super) fn is_noreturn(&self, function: FunctionId, reaches_return: bool) -> bool {
        let declaration = self.ranges[function.0].start.declaration;
        declaration.is_some_and(|row| {
            let is_own =
                || self.ranges.code.name(&self.ranges.code.starts[row as usize]).is_some_and(is_free_name);
            self.noreturn_starts[row as usize] && !(reaches_return && is_own())
        })
    }

    /// Whether a call, whose target or import slot is given, ends the process: the callee returns only if its first
    /// argument is 0, and it is an exit status other than 0. A function of the program may have the same name and other
    /// arguments, such as text.
    pub(super) fn passes_failure(&self, call: BranchId, callee: Option<FunctionId>, slot: u64) -> bool {
        if !self.has_status {
            return false;
        }
        let has_status = |callee: FunctionId| {
            let declaration = self.ranges[callee.0].start.declaration;
            declaration.is_some_and(|row| self.status_starts[row as usize])
                || self.stub_slot(callee).is_some_and(|slot| self.status_slots.contains(&slot))
        };
        if !self.status_slots.contains(&slot) && !callee.is_some_and(has_status) {
            return false;
        }
        let (region, row) = (call.region as usize, call.row as usize);
        let code = self.ranges.instructions.straight_line(self.ranges.code, region, row);
        let isa = self.ranges.code.regions[region].isa;
        straight_line::first_argument(isa, code)
            .is_some_and(|status| status != 0 && EXIT_STATUSES.contains(&(status as i32)))
    }

    /// The address of the pointer that a stub jumps through: the first branch of the function reads it. `None` if the
    /// function is no such stub.
    pub(super) fn stub_slot(&self, function: FunctionId) -> Option<u64> {
        let range = &self.ranges[function.0];
        let branches = self.ranges.branches(range.region());
        let row = range.branches.start as usize;
        let is_stub = (row as u32) < range.branches.end && branches.flows[row] == Flow::IndirectJump;
        is_stub.then(|| branches.targets[row]).filter(|slot| *slot != 0)
    }

    /// The function whose entry the constant pointer at an address holds; `None` if there is no such pointer, or the
    /// address is 0.
    pub(super) fn pointed_function(
        &self,
        pointer_address: u64,
        owners: &[Option<FunctionId>],
    ) -> Option<FunctionId> {
        let target = self.references.constant_pointer_at(pointer_address).filter(|_| pointer_address != 0)?;
        self.ranges.function_at(target, owners)
    }

    /// The landing pad of a call; `None` if the branch is not a call or has none.
    pub(super) fn landing_pad(&self, region: usize, row: usize) -> Option<CodeLocation> {
        if !self.landing_pad_calls[region].contains(row) {
            return None;
        }
        let end = self.ranges.branches(region).end(row) as u64;
        let pad = self.references.landing_pad(self.ranges.code.regions[region].address + end)?;
        self.ranges.location_of(pad)
    }

    /// The lowest address above `address` that is a constant in an instruction, or the address of a pointer or table that
    /// an indirect branch reads; `u64::MAX` if there is none.
    pub(super) fn next_referenced(&self, address: u64) -> u64 {
        let referenced = self.referenced_addresses.get_or_init(|| {
            let regions = &self.ranges.instructions.regions;
            let constants = regions.iter().flat_map(|region| region.constants.addresses.iter().copied());
            let is_indirect = |flow| matches!(flow, Flow::IndirectJump | Flow::IndirectCall);
            let read = regions.iter().flat_map(|region| {
                let branches = region.branches.flows.iter().zip(&region.branches.targets);
                branches.filter(move |(flow, target)| is_indirect(**flow) && **target != 0)
            });
            let mut referenced: Vec<_> = constants.chain(read.map(|(_, target)| *target)).collect();
            referenced.par_sort_unstable();
            referenced.dedup();
            referenced
        });
        let next = referenced.partition_point(|other| *other <= address);
        referenced.get(next).copied().unwrap_or(u64::MAX)
    }

    /// The constant address, plus an index, that an indirect jump reads at, or the last instruction before it that reads at
    /// one, back to the branch before; 0 if there is none.
    pub(super) fn indexed_before(&self, jump: BranchId) -> u64 {
        let (region, row) = (jump.region as usize, jump.row as usize);
        let branches = self.ranges.branches(region);
        if branches.targets[row] != 0 {
            return branches.targets[row];
        }
        let from = row.checked_sub(1).map_or(0, |before| branches.end(before));
        let constants = &self.ranges.instructions.regions[region].constants;
        let CodeRegion { isa, bytes, .. } = &self.ranges.code.regions[region];
        let is_indexed = |position: usize| isa.is_indexed(&bytes[position..]);
        constants.last_read(from..branches.positions[row] as usize, is_indexed).unwrap_or(0)
    }

    /// The bytes of constant data, or of code, from an address to the end of its section.
    pub(super) fn constants_at(&self, address: u64) -> &[u8] {
        match self.references.constants_from(address) {
            [] => self.ranges.code.bytes(address, u64::MAX),
            bytes => bytes,
        }
    }
}
