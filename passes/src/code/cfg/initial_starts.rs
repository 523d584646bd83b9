//! The initial starts of functions and fragments: declarations, exports, initializers, targets of direct calls, functions
//! that can be patched, and code after the info tables of GHC.

use super::fragments;
use super::function_ranges::{FunctionRanges, RangeStart, location_of};
use super::ids::CodeLocation;
use crate::code::closure_tables::ClosureCode;
use crate::code::instructions::InstructionsIr;
use crate::code::references::References;
use crate::code::regions::{Code, CodeRegion};
use binframe_ir::tables::{Flow, FunctionEvidence};
use rayon::slice::ParallelSliceMut;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// A location at which a function or a fragment was found to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StartCandidate {
    pub(super) location: CodeLocation,
    pub(super) evidence: FunctionEvidence,
    pub(super) is_fragment: bool,
}

impl StartCandidate {
    pub(super) fn function(location: CodeLocation, evidence: FunctionEvidence) -> Self {
        Self { location, evidence, is_fragment: false }
    }
}

/// Adds the candidates that are not among the starts yet; of several at one location, the one whose evidence
/// comes first in [`FunctionEvidence`].
pub(super) fn merge(starts: &mut Vec<RangeStart>, mut candidates: Vec<StartCandidate>) {
    candidates.sort_unstable();
    candidates.dedup_by_key(|candidate| candidate.location);
    let known = starts.len();
    for StartCandidate { location, evidence, is_fragment } in candidates {
        if starts[..known].binary_search_by_key(&location, |start| start.location).is_err() {
            starts.push(RangeStart {
                location,
                declared_size: None,
                evidence,
                declaration: None,
                is_fragment,
            });
        }
    }
    starts.sort_by_key(|start| start.location);
}

/// Whether a location is in no range with a declared size.
pub(super) fn is_unsized(ranges: &FunctionRanges<'_>, location: CodeLocation) -> bool {
    ranges.range_at(location).is_none_or(|range| !ranges[range].is_sized())
}

/// The declared starts; and exports, initializers, targets of direct calls, functions that can be patched, and code after
/// info tables of GHC, outside of ranges with a declared size. Sorted.
pub(super) fn initial_starts(
    code: &Code,
    instructions: &InstructionsIr,
    references: &References,
    taken_addresses: &[u64],
) -> Vec<RangeStart> {
    let mut call_targets = call_targets(code, instructions);
    call_targets.retain(|target| location_of(code, instructions, *target).is_some());
    let is_called = |address: u64| call_targets.binary_search(&address).is_ok();
    let mut starts = declared_starts(code, is_called);
    let ranges = FunctionRanges::new(code, instructions, &starts);
    let is_referenced = |address: u64| {
        let is_taken = || taken_addresses.binary_search(&address).is_ok();
        is_called(address) || is_taken() || references.is_pointed_to(address)
    };
    let fragments = fragments::find(&ranges, is_referenced);
    let linked = references.pointers().iter().filter(|pointer| pointer.evidence != FunctionEvidence::Pointer);
    let linked = linked.map(|pointer| (pointer.target, pointer.evidence));
    let called = call_targets.iter().map(|target| (*target, FunctionEvidence::CallTarget));
    let patched = patched_starts(code, references, &call_targets);
    let patched = patched.into_iter().map(|target| (target, FunctionEvidence::Pointer));
    let closures = instructions.closures(code).into_iter();
    let closures = closures.filter(|closure| closure.code == ClosureCode::Entry).map(|closure| {
        let address = code.regions[closure.region].address + closure.position as u64;
        let evidence = match references.is_pointed_to(address) {
            true => FunctionEvidence::Pointer,
            false if taken_addresses.binary_search(&address).is_ok() => FunctionEvidence::AddressTaken,
            false => FunctionEvidence::Gap,
        };
        (address, evidence)
    });
    let candidates: Vec<_> = linked
        .chain(called)
        .chain(patched)
        .chain(closures)
        .filter_map(|(target, evidence)| {
            Some(StartCandidate::function(ranges.location_of(target)?, evidence))
        })
        .filter(|candidate| is_unsized(&ranges, candidate.location))
        .collect();
    for fragment in fragments {
        starts[fragment.index()].is_fragment = true;
    }
    merge(&mut starts, candidates);
    starts
}

/// The starts of the functions that can be patched. A function may begin some bytes without effect after its patch
/// point; by how many shows in the functions that are known otherwise, of which most have one distance.
fn patched_starts(code: &Code, references: &References, call_targets: &[u64]) -> Vec<u64> {
    /// More bytes than compilers leave for patches.
    const DISTANCE_MAX: u64 = 256;
    let points = references.patch_points();
    if points.is_empty() {
        return Vec::new();
    }
    let declared = code.starts.iter().filter(|start| !start.is_fragment).map(|start| start.address);
    let pointed = references.pointers().iter().map(|pointer| pointer.target);
    let mut known: Vec<u64> = declared.chain(pointed).chain(call_targets.iter().copied()).collect();
    known.sort_unstable();
    let known_distance = |point: u64| {
        let start = *known.get(known.partition_point(|start| *start < point))?;
        let (region, position) = code.locate(point)?;
        let CodeRegion { isa, bytes, .. } = &code.regions[region];
        let distance = Some(start - point).filter(|distance| *distance <= DISTANCE_MAX)?;
        let padding = bytes.get(position..position + distance as usize)?;
        isa.is_padding(padding).then_some(distance)
    };
    let distances: Vec<_> = points.iter().map(|point| known_distance(*point)).collect();
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    distances.iter().flatten().for_each(|distance| *counts.entry(*distance).or_default() += 1);
    let usual = counts.into_iter().max_by_key(|(distance, count)| (*count, Reverse(*distance)));
    let usual = usual.map_or(0, |(distance, _)| distance);
    let starts = points.iter().zip(distances).map(|(point, distance)| point + distance.unwrap_or(usual));
    starts.collect()
}

/// The starts that the file declares. A declared fragment that is called is a function.
fn declared_starts(code: &Code, is_called: impl Fn(u64) -> bool) -> Vec<RangeStart> {
    let declared = code.starts.iter().zip(0..).filter_map(|(start, declaration)| {
        let (region, position) = code.locate(start.address).expect("declared starts are in regions");
        // No instruction starts at another address.
        if !start.address.is_multiple_of(code.regions[region].isa.alignment() as u64) {
            return None;
        }
        // One unwind entry covers all stubs of a section, and says that the first begins in a frame.
        let is_plt = code.regions[region].is_plt;
        let size = if is_plt { 0 } else { start.size };
        Some(RangeStart {
            location: CodeLocation { region: region as u32, position: position as u32 },
            declared_size: NonZeroU64::new(size),
            evidence: start.evidence,
            declaration: Some(declaration),
            is_fragment: start.is_fragment && !is_plt && !is_called(start.address),
        })
    });
    declared.collect()
}

/// The targets of direct calls, sorted and unique.
fn call_targets(code: &Code, instructions: &InstructionsIr) -> Vec<u64> {
    let mut targets = Vec::new();
    for (region, code) in instructions.regions.iter().zip(&code.regions) {
        let branches = &region.branches;
        let calls = (0..branches.len()).filter(|row| branches.flows[*row] == Flow::Call);
        // A call of the next instruction only pushes its address.
        let calls = calls.filter(|row| branches.targets[*row] != code.address + branches.end(*row) as u64);
        targets.extend(calls.map(|row| branches.targets[row]));
    }
    targets.par_sort_unstable();
    targets.dedup();
    targets
}
