//! Where functions begin: what the file states, what calls and jumps go to, where pointers lead, and what is left.

use super::descent::{Flows, FunctionFlow};
use super::graph::{Block, Known};
use super::layout::{Layout, Place, Start, place_of};
use super::parts;
use crate::code::instructions::InstructionsIr;
use crate::code::references::{Pointer, References};
use crate::code::regions::Code;
use binframe_ir::tables::{EdgeKind, Flow, FunctionEvidence, Terminator};
use rayon::slice::ParallelSliceMut;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What the file states, and what direct calls go to that is in no function whose size the file states.
pub(super) fn certain(
    code: &Code,
    instructions: &InstructionsIr,
    references: &References,
    taken: &[u64],
) -> Vec<Start> {
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
    let is_named = |address: u64| {
        let lists = [called.as_slice(), taken];
        lists.iter().any(|list| list.binary_search(&address).is_ok()) || references.is_pointed_to(address)
    };
    let parts = parts::find(&layout, is_named);
    let found: Vec<_> = listed
        .chain(targets)
        .filter_map(|(target, evidence)| Some(Found::function(layout.place_of(target)?, evidence)))
        .filter(|found| is_unstated(&layout, found.place))
        .collect();
    for extent in parts {
        starts[extent].is_part = true;
    }
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

/// A place where a function, or a part of one, was found to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    place: Place,
    evidence: FunctionEvidence,
    is_part: bool,
}

impl Found {
    fn function(place: Place, evidence: FunctionEvidence) -> Self {
        Self { place, evidence, is_part: false }
    }
}

/// Adds starts that are not there yet; of several for one place, the one with the strongest evidence.
fn merge(starts: &mut Vec<Start>, mut found: Vec<Found>) {
    found.sort_unstable();
    found.dedup_by_key(|found| found.place);
    let known = starts.len();
    for Found { place, evidence, is_part } in found {
        if starts[..known].binary_search_by_key(&place, |start| start.place).is_err() {
            starts.push(Start { place, size: 0, evidence, stated: None, is_part });
        }
    }
    starts.sort_by_key(|start| start.place);
}

/// Whether the file does not say that a function goes on at a place.
fn is_unstated(layout: &Layout<'_>, place: Place) -> bool {
    layout.extent_at(place).is_none_or(|extent| !layout.extents[extent].is_sized())
}

/// Adds functions that the walks from those before did not reach; says whether there are any. What is less sure waits until
/// nothing surer is found, as more is reached from there.
pub(super) fn discover(starts: &mut Vec<Start>, flows: &Flows<'_>) -> bool {
    let finder = Finder::new(flows);
    let known = starts.len();
    for find in [Finder::jumped_to, Finder::tail_called, Finder::pointed_to, Finder::listed, Finder::in_gaps]
    {
        merge(starts, find(&finder));
        if starts.len() > known {
            return true;
        }
    }
    false
}

/// Finds functions where nothing that is known for sure says that there are some.
struct Finder<'f, 'a> {
    flows: &'f Flows<'a>,
    layout: &'f Layout<'a>,
    /// What the addresses of functions are multiples of.
    alignment: u64,
}

impl<'f, 'a> Finder<'f, 'a> {
    fn new(flows: &'f Flows<'a>) -> Self {
        /// Fewer functions say nothing of their alignment.
        const FUNCTIONS_MIN: usize = 16;
        /// What compilers align functions to when they do.
        const ALIGNMENT: u64 = 16;
        let layout = flows.known.layout;
        let is_sure = |evidence| evidence <= FunctionEvidence::CallTarget;
        let sure =
            layout.extents.iter().filter(|extent| is_sure(extent.start.evidence) && !extent.start.is_part);
        let sure = sure.filter(|extent| !layout.code.regions[extent.region()].is_plt);
        let addresses: Vec<_> = sure.map(|extent| layout.address(extent.start.place)).collect();
        let aligned = addresses.iter().filter(|address| address.is_multiple_of(ALIGNMENT)).count();
        let is_aligned = addresses.len() >= FUNCTIONS_MIN && aligned * 20 >= addresses.len() * 19;
        Self { flows, layout, alignment: if is_aligned { ALIGNMENT } else { 1 } }
    }

    /// Whether no known function reaches a place, and a function can begin there.
    fn may_begin(&self, place: Place) -> bool {
        self.is_unreached(place) && self.can_begin(place)
    }

    fn is_unreached(&self, place: Place) -> bool {
        is_unstated(self.layout, place) && !self.flows.known.is_reached(place)
    }

    fn can_begin(&self, place: Place) -> bool {
        let region = &self.layout.code.regions[place.region as usize];
        let bytes = &region.bytes[place.position as usize..];
        self.layout.address(place).is_multiple_of(self.alignment) && region.isa.may_begin_function(bytes)
    }

    /// Whether a function can begin at a place that nothing at all speaks of.
    fn can_begin_alone(&self, place: Place) -> bool {
        let branches = self.layout.branches(place.region as usize);
        let row = branches.first_at(place.position as usize);
        let jumps_at_once =
            branches.positions.get(row) == Some(&place.position) && branches.flows[row] == Flow::Jump;
        let region = &self.layout.code.regions[place.region as usize];
        let (before, bytes) = region.bytes.split_at(place.position as usize);
        // What stands right behind other code, as if by chance, is more of it.
        let stands_apart = before.last().is_none_or(|byte| [0, 0x90, 0xcc].contains(byte));
        self.can_begin(place) && !jumps_at_once && (stands_apart || region.isa.is_prologue(bytes))
    }

    /// Where direct jumps leave all functions: to functions, by tail calls, or to parts of the function.
    fn jumped_to(&self) -> Vec<Found> {
        let leaving = self.flows.functions.iter().flat_map(|flow| &flow.leaving);
        let unreached = leaving.filter(|(_, place)| self.is_unreached(*place));
        let found = unreached.map(|((region, row), place)| {
            let is_conditional =
                self.layout.branches(*region as usize).flows[*row as usize] == Flow::CondJump;
            let is_part = is_conditional || !self.can_begin(*place);
            Found { place: *place, evidence: FunctionEvidence::JumpTarget, is_part }
        });
        found.collect()
    }

    /// Where functions whose size is not known jump ahead, behind code that ends and with their frame taken down: other functions.
    fn tail_called(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for (extent, flow) in self.layout.extents.iter().zip(&self.flows.functions) {
            if extent.is_sized() || extent.start.is_part || self.layout.code.regions[extent.region()].is_plt {
                continue;
            }
            let known = &self.flows.known;
            let mut entered = BTreeMap::new();
            let mut end_before = extent.start.place.position;
            let mut follows_end = BTreeSet::new();
            for block in known.blocks(extent) {
                // Nothing runs into a block that stands behind padding or behind a block that does not go on.
                if block.start.position > end_before {
                    follows_end.insert(block.start);
                }
                let is_tail = block.terminator == Terminator::Jump && self.ends_in_epilogue(&block);
                known.each_edge(&block, flow, |kind, place| {
                    let is_so_far = entered.entry(place).or_insert(true);
                    *is_so_far &= kind == EdgeKind::Jump && is_tail;
                });
                end_before = block.end;
            }
            let tails =
                entered.into_iter().filter(|(place, is_tail)| *is_tail && follows_end.contains(place));
            let tails = tails.filter(|(place, _)| *place > extent.start.place && self.can_begin(*place));
            found.extend(tails.map(|(place, _)| Found::function(place, FunctionEvidence::JumpTarget)));
        }
        found
    }

    fn ends_in_epilogue(&self, block: &Block) -> bool {
        let region = &self.layout.code.regions[block.start.region as usize];
        region.isa.ends_in_epilogue(&region.bytes[block.start.position as usize..block.end as usize])
    }

    /// Where pointers and addresses lead that do not stand among others like them.
    fn pointed_to(&self) -> Vec<Found> {
        let pointers = pointers(&self.flows.known, &self.flows.functions);
        let alone = pointers.filter(|(pointer, place)| {
            self.may_begin(*place) && !self.flows.known.references.stands_in_row(*pointer)
        });
        let alone = alone.map(|(_, place)| Found::function(place, FunctionEvidence::Pointer));
        let taken = addresses(&self.flows.known).filter(|place| self.may_begin(*place));
        alone.chain(taken.map(|place| Found::function(place, FunctionEvidence::AddressTaken))).collect()
    }

    /// Where rows of pointers lead, which may be jump tables that were not found.
    fn listed(&self) -> Vec<Found> {
        let pointers = pointers(&self.flows.known, &self.flows.functions);
        let found = pointers.map(|(_, place)| Found::function(place, FunctionEvidence::Pointer));
        found.filter(|found| self.may_begin(found.place)).collect()
    }

    /// Where code stands that nothing goes to, outside of functions whose size the file states.
    fn in_gaps(&self) -> Vec<Found> {
        let mut found = Vec::new();
        let mut extents = self.layout.extents.iter().peekable();
        for (region, code) in self.layout.code.regions.iter().enumerate() {
            let mut position = 0;
            while let Some(extent) = extents.next_if(|extent| extent.region() == region) {
                self.add_gap(region, position..extent.start.place.position as usize, &mut found);
                position = extent.end as usize;
                if !extent.is_sized() {
                    let mut reached = extent.start.place.position as usize;
                    for block in self.flows.known.blocks(extent) {
                        self.add_gap(region, reached..block.start.position as usize, &mut found);
                        reached = block.end as usize;
                    }
                    self.add_gap(region, reached..position, &mut found);
                }
            }
            self.add_gap(region, position..code.bytes.len(), &mut found);
        }
        found
    }

    /// Adds the functions that a gap seems to hold, one behind the other.
    fn add_gap(&self, region: usize, gap: Range<usize>, found: &mut Vec<Found>) {
        if self.layout.code.regions[region].is_plt {
            return;
        }
        let instructions = &self.layout.instructions.regions[region];
        let (isa, bytes) = (self.layout.code.regions[region].isa, &self.layout.code.regions[region].bytes);
        let next_from = |position: usize| instructions.starts.first_in(position..gap.end).unwrap_or(gap.end);
        let mut position = next_from(gap.start);
        while position < gap.end {
            let next = next_from(position + 1);
            if isa.is_padding(&bytes[position..next]) {
                position = next;
                continue;
            }
            let place = Place { region: region as u32, position: position as u32 };
            let end = straight_end(self.layout, region, position, gap.end);
            position = match end {
                Some(end) if self.can_begin_alone(place) => {
                    found.push(Found::function(place, FunctionEvidence::Gap));
                    end
                }
                Some(end) => end,
                // Data, it seems, up to the next place to which code is aligned.
                None => next_from(((position + 16) & !15).min(gap.end)),
            };
        }
    }
}

/// The places that pointers in data and addresses in instructions lead to.
pub(super) fn taken(known: &Known<'_>, functions: &[FunctionFlow]) -> Vec<Place> {
    pointers(known, functions).map(|(_, place)| place).chain(addresses(known)).collect()
}

/// Pointers in data that are no entries of jump tables, and where they lead.
fn pointers(known: &Known<'_>, functions: &[FunctionFlow]) -> impl Iterator<Item = (Pointer, Place)> {
    let tables = table_ranges(functions);
    let is_entry = move |place: u64| {
        let before = tables.partition_point(|range| range.start <= place).checked_sub(1);
        before.is_some_and(|before| tables[before].contains(&place))
    };
    let pointers = known.references.pointers().iter();
    let pointers = pointers
        .filter(move |pointer| pointer.evidence == FunctionEvidence::Pointer && !is_entry(pointer.place));
    pointers.filter_map(|pointer| Some((*pointer, known.layout.place_of(pointer.target)?)))
}

/// Where the addresses lead that instructions take.
fn addresses(known: &Known<'_>) -> impl Iterator<Item = Place> {
    known.taken.iter().filter_map(|address| known.layout.place_of(*address))
}

/// The addresses of code that instructions take, in their order.
pub(super) fn taken_addresses(code: &Code, instructions: &InstructionsIr) -> Vec<u64> {
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
