//! Which ranges of unwinding information are parts of functions that begin elsewhere.
//!
//! Compilers move code that is seldom executed away from its function, with unwinding information of its own. Where it begins in
//! the midst of a frame, that says so; where the function has no frame, jumps do.

use super::layout::{Extent, Layout};
use binframe_ir::tables::{Flow, FunctionEvidence};

/// How the jumps from other extents go to one.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one observation")]
struct Entered {
    /// The extent that they all come from, and whether others are jumped from too.
    from: Option<usize>,
    is_from_many: bool,
    /// Whether one goes to the first instruction.
    is_at_start: bool,
    /// Whether one is conditional, or goes behind the first instruction.
    is_inside: bool,
    /// Whether this extent jumps back into the midst of the one that it is entered from.
    goes_back: bool,
}

/// The extents that are parts: unwinding information alone describes them, nothing names their address, one function alone
/// jumps to their start, and it does so conditionally, or jumps to other places of them too, or is jumped back into. Those that no
/// direct jump goes to may be parts that a jump table has.
pub(super) fn find(layout: &Layout<'_>, is_named: impl Fn(u64) -> bool) -> Vec<usize> {
    let is_candidate = |extent: usize| {
        let start = &layout.extents[extent].start;
        start.evidence == FunctionEvidence::Unwind && !start.is_part
    };
    if !(0..layout.extents.len()).any(is_candidate) {
        return Vec::new();
    }
    let mut entered = vec![Entered::default(); layout.extents.len()];
    let mut back = Vec::new();
    for (source, extent) in layout.extents.iter().enumerate() {
        let branches = layout.branches(extent.region());
        let base = layout.code.regions[extent.region()].address;
        let own = base + u64::from(extent.start.place.position)..base + u64::from(extent.end);
        for row in extent.rows.start as usize..extent.rows.end as usize {
            let (flow, address) = (branches.flows[row], branches.targets[row]);
            if !matches!(flow, Flow::Jump | Flow::CondJump) || own.contains(&address) {
                continue;
            }
            let Some(place) = layout.place_of(address) else { continue };
            let Some(target) = layout.extent_at(place) else { continue };
            let is_start = layout.extents[target].start.place == place;
            let entry = &mut entered[target];
            entry.is_from_many |= entry.from.is_some_and(|from| from != source);
            entry.from = Some(source);
            entry.is_at_start |= is_start;
            entry.is_inside |= !is_start || flow == Flow::CondJump;
            if !is_start {
                back.push((source, target));
            }
        }
    }
    for (source, target) in back {
        entered[source].goes_back |= entered[source].from == Some(target);
    }
    // What is moved away from a function without a frame seldom makes one; functions do that end others of their file.
    let makes_frame = |extent: usize| {
        let Extent { start, end, .. } = &layout.extents[extent];
        let region = &layout.code.regions[start.place.region as usize];
        region.isa.keeps_register(&region.bytes[start.place.position as usize..*end as usize])
    };
    let is_part = |extent: &usize| {
        let Entered { from, is_from_many, is_at_start, is_inside, goes_back } = entered[*extent];
        let address = layout.address(layout.extents[*extent].start.place);
        let is_jumped_to = !is_from_many && is_at_start && (is_inside || goes_back);
        let is_alone = from.is_none() || (is_jumped_to && (goes_back || !makes_frame(*extent)));
        is_candidate(*extent) && is_alone && !is_named(address)
    };
    let parts: Vec<_> = (0..layout.extents.len()).filter(is_part).collect();
    // Of two that seem to be parts of each other, the first is the function.
    let is_owned = |extent: &usize| {
        entered[*extent].from.is_none_or(|from| from < *extent || parts.binary_search(&from).is_err())
    };
    parts.iter().copied().filter(is_owned).collect()
}
