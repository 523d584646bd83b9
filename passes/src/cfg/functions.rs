//! Where functions begin and end.

use crate::code::{Code, CodeRegion};
use crate::instructions::{InstructionsIr, RegionInstructions};
use crate::isa::x86::is_padding;
use binframe_ir::tables::{Confidence, Flow, FunctionEvidence};
use rayon::slice::ParallelSliceMut;
use std::collections::{BTreeMap, VecDeque};

/// The range of a function.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    /// Index of its region.
    pub(super) region: usize,
    /// Position of its first byte in the region.
    pub(super) start: usize,
    /// Position after its last byte: an instruction begins there, or the region ends.
    pub(super) end: usize,
    pub(super) evidence: FunctionEvidence,
    pub(super) confidence: Confidence,
    /// Row in `code.starts`, for a start that the file states.
    pub(super) stated: Option<usize>,
}

impl Extent {
    /// Whether the range holds a position of a region.
    pub(super) fn contains(&self, region: usize, position: usize) -> bool {
        self.region == region && (self.start..self.end).contains(&position)
    }

    /// The regions and positions where direct jumps from inside go, as far as there is code.
    pub(super) fn jump_targets<'a>(
        &self,
        code: &'a Code,
        instructions: &'a InstructionsIr,
    ) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let branches = &instructions.regions[self.region].branches;
        let rows = branches.first_at(self.start)..branches.first_at(self.end);
        let jumps = rows.filter(|row| matches!(branches.flows[*row], Flow::Jump | Flow::CondJump));
        jumps.filter_map(|row| code.locate(branches.targets[row]))
    }
}

/// Where a function begins, and its size if the file states one.
struct Start {
    region: usize,
    position: usize,
    size: u64,
    evidence: FunctionEvidence,
    stated: Option<usize>,
}

/// Finds all functions, in the order of their addresses.
pub(super) fn find(code: &Code, instructions: &InstructionsIr) -> Vec<Extent> {
    let starts = starts(code, instructions);
    let mut extents = Vec::with_capacity(starts.len());
    for (index, start) in starts.iter().enumerate() {
        let next = starts.get(index + 1).filter(|next| next.region == start.region).map(|next| next.position);
        extents.push(extent(code, instructions, start, next.unwrap_or(usize::MAX)));
    }
    let left = targets_outside(code, instructions, &extents);
    if !left.is_empty() {
        extents.extend(left);
        extents.sort_by_key(|extent| (extent.region, extent.start));
    }
    extents
}

/// What the file states, and the targets of direct calls.
fn starts(code: &Code, instructions: &InstructionsIr) -> Vec<Start> {
    let stated = code.starts.iter().enumerate().map(|(row, start)| {
        let (region, position) = code.locate(start.address).expect("starts lie in regions");
        // The unwind entry of a section of stubs describes them all.
        let size = if code.regions[region].is_plt { 0 } else { start.size };
        Start { region, position, size, evidence: start.evidence, stated: Some(row) }
    });
    let mut starts: Vec<_> = stated.collect();
    // The greatest end of all functions up to each, to tell whether an address lies inside one.
    let ends = starts.iter().scan((0, 0), |(region, end), start| {
        let own = start.position.saturating_add(start.size as usize);
        *end = if *region == start.region { own.max(*end) } else { own };
        *region = start.region;
        Some(*end)
    });
    let ends: Vec<_> = ends.collect();
    let mut called = Vec::new();
    for region in &instructions.regions {
        let branches = &region.branches;
        let calls = (0..branches.flows.len()).filter(|row| branches.flows[*row] == Flow::Call);
        called.extend(calls.map(|row| branches.targets[row]));
    }
    called.par_sort_unstable();
    called.dedup();
    for (region, position) in called.into_iter().filter_map(|target| code.locate(target)) {
        if !instructions.regions[region].starts.contains(position) {
            continue;
        }
        let after = starts[..ends.len()]
            .partition_point(|start| (start.region, start.position) <= (region, position));
        let before = after.checked_sub(1).filter(|index| starts[*index].region == region);
        let is_new = before.is_none_or(|index| starts[index].position != position && ends[index] <= position);
        if is_new {
            starts.push(Start {
                region,
                position,
                size: 0,
                evidence: FunctionEvidence::CallTarget,
                stated: None,
            });
        }
    }
    starts.sort_by_key(|start| (start.region, start.position));
    starts
}

/// The range from a start to at most `next`, where another function begins.
fn extent(code: &Code, instructions: &InstructionsIr, start: &Start, next: usize) -> Extent {
    let Start { region, position, size, evidence, stated } = *start;
    let limit = next.min(code.regions[region].bytes.len());
    let end = match size {
        0 => reached_end(&code.regions[region], &instructions.regions[region], position, limit),
        size => {
            let end = position.saturating_add(size as usize).min(limit);
            instructions.regions[region].starts.first_in(end..limit).unwrap_or(limit)
        }
    };
    let confidence = match evidence {
        FunctionEvidence::Symbol | FunctionEvidence::Unwind if size > 0 => Confidence::Certain,
        FunctionEvidence::JumpTarget => Confidence::Guess,
        _ => Confidence::Likely,
    };
    Extent { region, start: position, end, evidence, confidence, stated }
}

/// Where a function of unknown size ends: behind the first instruction that does not go on and that no direct jump from
/// inside passes over. An indirect jump may be a switch, whose cases follow it, unless padding does.
fn reached_end(region: &CodeRegion, instructions: &RegionInstructions, start: usize, limit: usize) -> usize {
    let branches = &instructions.branches;
    let rows = branches.first_at(start)..branches.first_at(limit);
    let mut farthest = start;
    for row in rows {
        let flow = branches.flows[row];
        if matches!(flow, Flow::Jump | Flow::CondJump) {
            let target = branches.targets[row].wrapping_sub(region.address);
            if (start as u64..limit as u64).contains(&target) {
                farthest = farthest.max(target as usize);
            }
        }
        let end = branches.end(row).min(limit);
        let is_switch =
            flow == Flow::IndirectJump && !region.is_plt && !starts_padding(region, instructions, end, limit);
        if flow.ends_block() && flow != Flow::CondJump && farthest < end && !is_switch {
            return end;
        }
    }
    without_padding(region, instructions, start, limit)
}

/// Whether the instruction at a position is padding; the end of the code counts as such.
fn starts_padding(
    region: &CodeRegion,
    instructions: &RegionInstructions,
    position: usize,
    limit: usize,
) -> bool {
    let end = instructions.starts.first_in(position + 1..limit).unwrap_or(limit);
    position >= limit || is_padding(&region.bytes[position..end])
}

/// `end`, moved before the padding that ends there.
fn without_padding(
    region: &CodeRegion,
    instructions: &RegionInstructions,
    start: usize,
    end: usize,
) -> usize {
    /// More padding than alignment ever needs is left inside the function.
    const PADDING_MAX: usize = 64;
    let from = end.saturating_sub(PADDING_MAX).max(start + 1).min(end);
    let candidates = instructions.starts.iter_in(from..end);
    candidates.into_iter().find(|position| is_padding(&region.bytes[*position..end])).unwrap_or(end)
}

/// Functions where direct jumps out of known functions go and no function is, and so on from there.
fn targets_outside(code: &Code, instructions: &InstructionsIr, known: &[Extent]) -> Vec<Extent> {
    let mut found: BTreeMap<(usize, usize), Extent> = BTreeMap::new();
    let mut queue: VecDeque<Extent> = known.iter().cloned().collect();
    while let Some(from) = queue.pop_front() {
        for place in from.jump_targets(code, instructions) {
            let (region, position) = place;
            if from.contains(region, position) {
                continue;
            }
            let after = known.partition_point(|extent| (extent.region, extent.start) <= place);
            let before = after.checked_sub(1).map(|index| &known[index]);
            let nearest = found.range(..=place).next_back().map(|(_, extent)| extent);
            let is_inside = |extent: &Extent| {
                let is_stub = code.regions[region].is_plt && from.region != region;
                extent.region == region && position < extent.end && (position == extent.start || !is_stub)
            };
            let is_known = before.is_some_and(is_inside) || nearest.is_some_and(is_inside);
            if is_known || !instructions.regions[region].starts.contains(position) {
                continue;
            }
            let next = known.get(after).filter(|next| next.region == region).map(|next| next.start);
            let next_found =
                found.range(place..).next().filter(|(next, _)| next.0 == region).map(|(next, _)| next.1);
            let next = next.unwrap_or(usize::MAX).min(next_found.unwrap_or(usize::MAX));
            let evidence = FunctionEvidence::JumpTarget;
            let extent = extent(
                code,
                instructions,
                &Start { region, position, size: 0, evidence, stated: None },
                next,
            );
            found.insert(place, extent.clone());
            queue.push_back(extent);
        }
    }
    found.into_values().collect()
}
