//! Where functions begin: what the file states, what calls and jumps go to, where pointers lead, and what is left.

use super::descent::{Flows, FunctionFlow};
use super::graph::Known;
use super::layout::{Layout, Place, Start, place_of};
use super::parts;
use crate::code::Code;
use crate::instructions::InstructionsIr;
use crate::references::References;
use binframe_ir::tables::{Flow, FunctionEvidence};
use rayon::slice::ParallelSliceMut;
use std::ops::Range;

/// What the file states, and what direct calls go to that is in no function whose size the file states.
pub(super) fn certain(code: &Code, instructions: &InstructionsIr, references: &References) -> Vec<Start> {
    let mut called = called(code, instructions);
    called.retain(|target| place_of(code, instructions, *target).is_some());
    let stated = code.starts.iter().zip(0..).map(|(start, row)| {
        let (region, position) = code.locate(start.address).expect("starts lie in regions");
        // The unwind entry of a section of stubs describes them all.
        let size = if code.regions[region].is_plt { 0 } else { start.size };
        Start {
            place: Place { region: region as u32, position: position as u32 },
            size,
            evidence: start.evidence,
            stated: Some(row),
            is_part: start.is_part && called.binary_search(&start.address).is_err(),
        }
    });
    let mut starts: Vec<_> = stated.collect();
    let listed = references.pointers().iter().filter(|pointer| pointer.evidence != FunctionEvidence::Pointer);
    let listed = listed.map(|pointer| (pointer.target, pointer.evidence));
    let targets = called.iter().map(|target| (*target, FunctionEvidence::CallTarget));
    let layout = Layout::new(code, instructions, &starts);
    let taken = taken_addresses(code, instructions);
    let is_named = |address: u64| {
        let lists = [&called, &taken];
        lists.iter().any(|list| list.binary_search(&address).is_ok()) || references.is_pointed_to(address)
    };
    let parts = parts::find(&layout, is_named);
    let found: Vec<_> = listed
        .chain(targets)
        .filter_map(|(target, evidence)| Some((layout.place_of(target)?, evidence)))
        .filter(|(place, _)| may_begin(&layout, *place))
        .collect();
    parts.into_iter().for_each(|extent| starts[extent].is_part = true);
    merge(&mut starts, found);
    starts
}

/// The targets of direct calls, in their order.
fn called(code: &Code, instructions: &InstructionsIr) -> Vec<u64> {
    let mut called = Vec::new();
    for (region, code) in instructions.regions.iter().zip(&code.regions) {
        let branches = &region.branches;
        let calls = (0..branches.flows.len()).filter(|row| branches.flows[*row] == Flow::Call);
        // A call of what follows only pushes an address.
        let calls = calls.filter(|row| branches.leaves(*row, code.address));
        called.extend(calls.map(|row| branches.targets[row]));
    }
    called.par_sort_unstable();
    called.dedup();
    called
}

/// Adds starts that are not there yet; of several for one place, the one with the strongest evidence.
fn merge(starts: &mut Vec<Start>, mut found: Vec<(Place, FunctionEvidence)>) {
    found.sort_unstable();
    found.dedup_by_key(|(place, _)| *place);
    let known = starts.len();
    for (place, evidence) in found {
        if starts[..known].binary_search_by_key(&place, |start| start.place).is_err() {
            starts.push(Start { place, size: 0, evidence, stated: None, is_part: false });
        }
    }
    starts.sort_by_key(|start| start.place);
}

/// Whether a function may begin at a place: the file does not say that one goes on there.
fn may_begin(layout: &Layout<'_>, place: Place) -> bool {
    layout.extent_at(place).is_none_or(|extent| !layout.extents[extent].is_sized())
}

/// Adds functions that the walks from those before did not reach; says whether there are any.
pub(super) fn discover(starts: &mut Vec<Start>, flows: &Flows<'_>) -> bool {
    let mut found = jumped_to(flows);
    found.extend(pointed_to(flows));
    found.retain(|(place, _)| may_begin(flows.known.layout, *place) && !flows.known.is_reached(*place));
    if found.is_empty() {
        found = in_gaps(flows);
    }
    let known = starts.len();
    merge(starts, found);
    starts.len() > known
}

/// Where direct jumps leave all functions.
fn jumped_to(flows: &Flows<'_>) -> Vec<(Place, FunctionEvidence)> {
    let leaving = flows.functions.iter().flat_map(|flow| &flow.leaving);
    leaving.map(|(_, place)| (*place, FunctionEvidence::JumpTarget)).collect()
}

/// Where pointers in data and addresses in instructions lead.
fn pointed_to(flows: &Flows<'_>) -> Vec<(Place, FunctionEvidence)> {
    let pointers = pointers(&flows.known, &flows.functions).map(|place| (place, FunctionEvidence::Pointer));
    pointers.chain(addresses(&flows.known).map(|place| (place, FunctionEvidence::AddressTaken))).collect()
}

/// The places that pointers in data and addresses in instructions lead to.
pub(super) fn taken(known: &Known<'_>, functions: &[FunctionFlow]) -> Vec<Place> {
    pointers(known, functions).chain(addresses(known)).collect()
}

/// Where pointers in data lead that are no entries of jump tables.
fn pointers(known: &Known<'_>, functions: &[FunctionFlow]) -> impl Iterator<Item = Place> {
    let tables = table_ranges(functions);
    let is_entry = move |place: u64| {
        let before = tables.partition_point(|range| range.start <= place).checked_sub(1);
        before.is_some_and(|before| tables[before].contains(&place))
    };
    let pointers = known.references.pointers().iter();
    let pointers = pointers.filter(move |pointer| pointer.evidence == FunctionEvidence::Pointer && !is_entry(pointer.place));
    pointers.filter_map(|pointer| known.layout.place_of(pointer.target))
}

/// Where the addresses lead that instructions take.
fn addresses(known: &Known<'_>) -> impl Iterator<Item = Place> {
    let taken = taken_addresses(known.layout.code, known.layout.instructions);
    taken.into_iter().filter_map(|address| known.layout.place_of(address))
}

/// The addresses of code that instructions take, in their order.
fn taken_addresses(code: &Code, instructions: &InstructionsIr) -> Vec<u64> {
    let constants = instructions.regions.iter().map(|region| &region.constants);
    let taken = constants.flat_map(|constants| {
        let taken = constants.addresses.iter().zip(&constants.are_taken).filter(|(_, is_taken)| **is_taken);
        taken.map(|(address, _)| *address)
    });
    let mut taken: Vec<_> = taken.filter(|address| code.locate(*address).is_some()).collect();
    taken.par_sort_unstable();
    taken.dedup();
    taken
}

/// The addresses that jump tables take, in their order.
fn table_ranges(functions: &[FunctionFlow]) -> Vec<Range<u64>> {
    let tables = functions.iter().flat_map(|flow| &flow.tables);
    let range = tables.map(|table| {
        let size = table.places.len() as u64 * u64::from(table.entry_size);
        table.address..table.address.saturating_add(size)
    });
    let mut ranges: Vec<_> = range.collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// Where code stands that nothing goes to, outside of functions whose size the file states.
fn in_gaps(flows: &Flows<'_>) -> Vec<(Place, FunctionEvidence)> {
    let layout = flows.known.layout;
    let mut found = Vec::new();
    let mut extents = layout.extents.iter().peekable();
    for (region, code) in layout.code.regions.iter().enumerate() {
        let mut position = 0;
        while let Some(extent) = extents.next_if(|extent| extent.region() == region) {
            add_gap(flows, region, position..extent.start.place.position as usize, &mut found);
            position = extent.end as usize;
            if !extent.is_sized() {
                let mut reached = extent.start.place.position as usize;
                for block in flows.known.blocks(extent) {
                    add_gap(flows, region, reached..block.start.position as usize, &mut found);
                    reached = block.end as usize;
                }
                add_gap(flows, region, reached..position, &mut found);
            }
        }
        add_gap(flows, region, position..code.bytes.len(), &mut found);
    }
    found
}

/// Adds the functions that a gap seems to hold, one behind the other.
fn add_gap(flows: &Flows<'_>, region: usize, gap: Range<usize>, found: &mut Vec<(Place, FunctionEvidence)>) {
    let layout = flows.known.layout;
    if layout.code.regions[region].is_plt {
        return;
    }
    let instructions = &layout.instructions.regions[region];
    let bytes = &layout.code.regions[region].bytes;
    let next_after = |position: usize| instructions.starts.first_in(position + 1..gap.end).unwrap_or(gap.end);
    let mut position = instructions.starts.first_in(gap.clone()).unwrap_or(gap.end);
    while position < gap.end {
        let next = next_after(position);
        if layout.code.regions[region].isa.is_padding(&bytes[position..next]) {
            position = next;
            continue;
        }
        let end = straight_end(layout, region, position, gap.end);
        if let Some(end) = end {
            found.push((Place { region: region as u32, position: position as u32 }, FunctionEvidence::Gap));
            position = end;
        } else {
            // Data, it seems, up to the next place to which code is aligned.
            let aligned = (position + 16) & !15;
            position = instructions.starts.first_in(aligned..gap.end.max(aligned)).unwrap_or(gap.end);
        }
    }
}

/// Where a function that begins at a position seems to end: behind the first instruction that does not go on and that no direct
/// jump from inside passes over. None if that would hold bytes that are no instruction.
fn straight_end(layout: &Layout<'_>, region: usize, start: usize, limit: usize) -> Option<usize> {
    let branches = layout.branches(region);
    let base = layout.code.regions[region].address;
    let mut farthest = start;
    for row in branches.first_at(start)..branches.first_at(limit) {
        let flow = branches.flows[row];
        if flow == Flow::Invalid {
            return None;
        }
        if matches!(flow, Flow::Jump | Flow::CondJump) {
            let target = branches.targets[row].wrapping_sub(base);
            if (start as u64..limit as u64).contains(&target) {
                farthest = farthest.max(target as usize);
            }
        }
        let end = branches.end(row);
        if flow.ends_block() && flow != Flow::CondJump && farthest < end {
            return Some(end);
        }
    }
    Some(limit)
}
