//! Finds function fragments that only unwind entries declare.
//!
//! Compilers split seldom executed code off a function (hot/cold splitting) and give it an unwind entry of its own. If
//! the unwind entry starts with a frame that is set up, the code is a fragment, as `Code` says already. The fragment of
//! a function without a frame has an unwind entry like that of a function; its jumps tell them apart.
//!
//! Function discovery finds other fragments: the targets of exiting jumps that are conditional, or that go to code that
//! cannot start a function.

use super::function_ranges::FunctionRanges;
use super::ids::RangeId;
use binframe_ir::tables::{Flow, FunctionEvidence};

/// The alignment of functions in bytes.
const ALIGNMENT: u64 = 16;

/// Observations about the direct jumps into a range from other ranges.
#[derive(Debug, Clone, Copy, Default)]
struct IncomingJumps {
    /// A range that jumps into this one, and whether there are others.
    from: Option<RangeId>,
    is_from_many: bool,
    /// Whether a jump is conditional, or goes elsewhere than to the first instruction.
    is_inside: bool,
    /// Whether this range jumps into the range that it is entered from, elsewhere than to its first instruction.
    jumps_back: bool,
}

/// The fragments among ranges that only unwind entries declare, and whose addresses nothing else references.
///
/// Such a range is a fragment if one other range alone jumps into it, and does so elsewhere than to its start, or
/// conditionally, or is jumped back into, or if the range is not aligned as functions that are referenced. It must not
/// save a register at its start unless it jumps back: a tail-called function of the same file does that, a fragment of a
/// function without a frame rarely. A range that no direct jump enters is a fragment too: a jump table may have it. One
/// that has a fragment itself is a function, though.
pub(super) fn find(ranges: &FunctionRanges<'_>, is_referenced: impl Fn(u64) -> bool) -> Vec<RangeId> {
    let is_candidate = |range: RangeId| {
        let start = &ranges[range].start;
        let is_plt = ranges.code.regions[ranges[range].region()].is_plt;
        start.evidence == FunctionEvidence::Unwind && !start.is_fragment && !is_plt
    };
    if !ranges.with_ids().any(|(range, _)| is_candidate(range)) {
        return Vec::new();
    }
    let incoming = incoming_jumps(ranges);
    let are_aligned = are_aligned(ranges, &is_referenced);
    let saves_register = |range: RangeId| {
        let range = &ranges[range];
        let region = &ranges.code.regions[range.region()];
        region.isa.saves_register(&region.bytes[range.positions()])
    };
    let is_fragment = |range: &RangeId| {
        let IncomingJumps { from, is_from_many, is_inside, jumps_back } = incoming[range.index()];
        let is_unaligned = are_aligned && !ranges.start_address(*range).is_multiple_of(ALIGNMENT);
        let is_jumped_to = !is_from_many && (is_inside || jumps_back || is_unaligned);
        let has_owner = from.is_none() || (is_jumped_to && (jumps_back || !saves_register(*range)));
        is_candidate(*range) && has_owner && !is_referenced(ranges.start_address(*range))
    };
    let fragments: Vec<_> = ranges.with_ids().map(|(range, _)| range).filter(is_fragment).collect();
    // A range that is jumped to only from a later candidate is not a fragment, so that none is a fragment of its own
    // fragment.
    let has_owner = |range: &RangeId| {
        let from = incoming[range.index()].from;
        from.is_none_or(|from| from < *range || fragments.binary_search(&from).is_err())
    };
    // A range that no jump enters, but that has a fragment, is a function that nothing refers to.
    let owns = |range: &RangeId| {
        let is_own = |fragment: &&RangeId| incoming[fragment.index()].from == Some(*range);
        incoming[range.index()].from.is_none() && fragments.iter().any(|fragment| is_own(&fragment))
    };
    let owners: Vec<_> = fragments.iter().copied().filter(owns).collect();
    let is_owner = |range: &RangeId| owners.binary_search(range).is_ok();
    let has_owner = |range: &RangeId| {
        has_owner(range) || incoming[range.index()].from.is_some_and(|from| is_owner(&from))
    };
    fragments.iter().copied().filter(|range| has_owner(range) && !is_owner(range)).collect()
}

/// Whether functions are aligned: 95 % or more of those that unwind entries declare and something references, if there
/// are at least 16.
fn are_aligned(ranges: &FunctionRanges<'_>, is_referenced: impl Fn(u64) -> bool) -> bool {
    const FUNCTIONS_MIN: usize = 16;
    let declared = ranges.iter().filter(|range| range.start.evidence == FunctionEvidence::Unwind);
    let addresses = declared.map(|range| ranges.address(range.start.location));
    let referenced: Vec<_> = addresses.filter(|address| is_referenced(*address)).collect();
    let aligned = referenced.iter().filter(|address| address.is_multiple_of(ALIGNMENT)).count();
    referenced.len() >= FUNCTIONS_MIN && aligned * 20 >= referenced.len() * 19
}

/// The direct jumps into each range from other ranges.
fn incoming_jumps(ranges: &FunctionRanges<'_>) -> Vec<IncomingJumps> {
    let mut incoming = vec![IncomingJumps::default(); ranges.len()];
    let mut inside = Vec::new();
    for (source, range) in ranges.with_ids() {
        let branches = ranges.branches(range.region());
        let own = ranges.addresses(range);
        for row in range.branches.start as usize..range.branches.end as usize {
            let (flow, address) = (branches.flows[row], branches.targets[row]);
            if !matches!(flow, Flow::Jump | Flow::CondJump) || own.contains(&address) {
                continue;
            }
            let Some(location) = ranges.location_of(address) else { continue };
            let Some(target) = ranges.range_at(location) else { continue };
            let is_start = ranges[target].start.location == location;
            let jumps = &mut incoming[target.index()];
            jumps.is_from_many |= jumps.from.is_some_and(|from| from != source);
            jumps.from = Some(source);
            jumps.is_inside |= !is_start || flow == Flow::CondJump;
            if !is_start {
                inside.push((source, target));
            }
        }
    }
    for (source, target) in inside {
        incoming[source.index()].jumps_back |= incoming[source.index()].from == Some(target);
    }
    incoming
}
