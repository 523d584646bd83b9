//! Address-taken code: locations whose address is in an instruction or in data. They may be functions, or targets of
//! indirect jumps.

use super::facts::CfgFacts;
use super::flow::{FunctionCfg, targets_max};
use super::ids::{CodeLocation, FunctionId};
use crate::code::instructions::InstructionsIr;
use crate::code::references::Pointer;
use crate::code::regions::Code;
use binframe_ir::tables::FunctionEvidence;
use rayon::slice::ParallelSliceMut;
use std::ops::Range;

/// The addresses of code that instructions take, sorted and unique.
pub(super) fn taken_addresses(code: &Code, instructions: &InstructionsIr) -> Vec<u64> {
    let mut taken: Vec<_> =
        instructions.taken_addresses().filter(|address| code.locate(*address).is_some()).collect();
    taken.par_sort_unstable();
    taken.dedup();
    taken
}

/// The address-taken locations: targets of pointers in data, and addresses that instructions take. Sorted and unique.
pub(super) fn address_taken_locations(facts: &CfgFacts<'_>, functions: &[FunctionCfg]) -> Vec<CodeLocation> {
    let pointed_to = pointers(facts, functions).map(|(_, location)| location);
    let mut locations: Vec<_> = pointed_to.chain(taken_locations(facts)).collect();
    locations.sort_unstable();
    locations.dedup();
    locations
}

/// The pointers in data that are not entries of jump tables, with their targets.
pub(super) fn pointers(
    facts: &CfgFacts<'_>,
    functions: &[FunctionCfg],
) -> impl Iterator<Item = (Pointer, CodeLocation)> {
    let tables = table_ranges(functions);
    let is_entry = move |address: u64| {
        let before = tables.partition_point(|range| range.start <= address).checked_sub(1);
        before.is_some_and(|before| tables[before].contains(&address))
    };
    let pointers = facts.references.pointers().iter();
    let pointers = pointers
        .filter(move |pointer| pointer.evidence == FunctionEvidence::Pointer && !is_entry(pointer.address));
    pointers.filter_map(|pointer| Some((*pointer, facts.ranges.location_of(pointer.target)?)))
}

/// The locations whose addresses instructions take.
pub(super) fn taken_locations(facts: &CfgFacts<'_>) -> impl Iterator<Item = CodeLocation> {
    facts.taken_addresses.iter().filter_map(|address| facts.ranges.location_of(*address))
}

/// Drops the address-taken targets of a function's unresolved jumps if there is only one, which may be anything, or if
/// they would make more edges than the limit of targets.
pub(super) fn limit_address_taken_targets(cfg: &mut FunctionCfg, facts: &CfgFacts<'_>, function: FunctionId) {
    let edge_count = cfg.address_taken_targets.len() * cfg.unresolved_jumps.len();
    let exceeds_limit = || {
        let counts = cfg.ranges(function, facts.ranges).map(|range| facts.count_blocks(range));
        edge_count > targets_max(counts.sum())
    };
    if cfg.address_taken_targets.len() < 2 || edge_count > targets_max(0) && exceeds_limit() {
        cfg.address_taken_targets.clear();
    }
}

/// The address ranges of jump tables, sorted.
fn table_ranges(functions: &[FunctionCfg]) -> Vec<Range<u64>> {
    let tables = functions.iter().flat_map(|cfg| &cfg.tables);
    let range = tables.map(|table| {
        let size = table.targets.len() as u64 * u64::from(table.entry_size);
        table.address..table.address.saturating_add(size)
    });
    let mut ranges: Vec<_> = range.collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}
