//! Finds the tables that indirect jumps read their targets from.
//!
//! Values in registers and on the stack are followed forward through the blocks before a jump, back to a limit, as expressions. The
//! jump's target then has one of the shapes that compilers give it: an entry of a table, or an entry added to a base. How many
//! entries there are is what comparisons on the way say of the index, or what its width does; failing that, entries count up to
//! one that leads to no instruction of the function, or to where something else is named by an instruction.

use super::descent::{FunctionFlow, NONE, Row};
use super::graph::{Block, Known, index_of};
use super::layout::Place;
use crate::domains::symbolic::{Bound, Expression, Value, Values, compared_maximum};
use crate::graph::Graph;
use crate::isa::{Effects, Instruction, Lost, State, called};
use binframe_ir::tables::{BoundEvidence, EdgeKind, JumpTableKind, Terminator};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Blocks that are followed before a jump: at first, as most comparisons stand near it; and where that does not say enough, to
/// find a comparison, and to find the table.
const NEAR_BLOCKS_MAX: usize = 4;
const COMPARED_BLOCKS_MAX: usize = 32;
const BLOCKS_MAX: usize = 512;

/// How often a block is followed again because more ways to it were found, on the average.
const VISITS_MAX: usize = 12;

/// Blocks that are followed for all jumps of one function: as many for each of its blocks, beside those of one jump.
const FOLLOWED_PER_BLOCK_MAX: usize = 64;

/// Entries of one table.
const ENTRIES_MAX: u64 = 1 << 16;

/// Targets of all indirect jumps of one function, beside those of the first: code that means it has about as many jumps as
/// targets, and far more blocks.
pub(super) fn targets_max(block_count: usize) -> usize {
    (1 << 12) + block_count * 16
}

/// Entries of a table whose bound no comparison says.
const UNBOUNDED_ENTRIES_MAX: u64 = 1 << 10;

/// An indirect jump whose targets are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) jump: Row,
    /// Address of the first entry.
    pub(super) address: u64,
    pub(super) kind: JumpTableKind,
    /// Size of an entry in bytes.
    pub(super) entry_size: u8,
    /// What entries are added to.
    pub(super) base: Option<u64>,
    /// Address of a table of positions of entries.
    pub(super) index_address: Option<u64>,
    pub(super) bound: BoundEvidence,
    /// Where entries lead, in their order; none for those that lead behind the function, as compilers let impossible cases do.
    pub(super) places: Vec<Option<Place>>,
}

/// What the target of an indirect jump looks like.
struct Shape {
    kind: JumpTableKind,
    entry_size: u8,
    base: Option<u64>,
    address: u64,
    index: Value,
}

/// What finding tables needs room for, kept from one function to the next.
pub(super) struct Scratch {
    values: Values,
    info: Effects,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { values: Values::default(), info: Effects::new() }
    }
}

/// Whether a jump may read a table, for all that its own block says. Those that read a field of something do not.
pub(super) fn may_read_table(known: &Known<'_>, (region, row): Row, scratch: &mut Scratch) -> bool {
    let Scratch { values, info } = scratch;
    values.clear();
    let position = known.layout.branches(region as usize).positions[row as usize];
    let extent = known.layout.extent_at(Place { region, position }).expect("walked jumps lie in extents");
    let extent = &known.layout.extents[extent];
    let range = extent.start.place.position as usize..position as usize + 1;
    let Some(leader) = known.leaders[region as usize].last_in(range) else { return false };
    let block = known.block(extent, leader as u32);
    let mut state = State::unknown(known.layout.address(block.start));
    let last = step(known, &block, &mut state, values, info);
    let target = state.target(values, &last);
    let Expression::Load { address, .. } = values.get(target) else { return true };
    let base = match values.get(address) {
        Expression::Offset(base, _) => base,
        _ => address,
    };
    !matches!(values.get(base), Expression::Unknown(_) | Expression::Load { .. })
}

/// Follows the instructions of a block, up to its last if that is a jump, and returns the last.
fn step(
    known: &Known<'_>,
    block: &Block,
    state: &mut State,
    values: &mut Values,
    info: &mut Effects,
) -> Instruction {
    let region = &known.layout.code.regions[block.start.region as usize];
    let bytes = &region.bytes[block.start.position as usize..block.end as usize];
    let mut decoder = region.isa.decoder(bytes, known.layout.address(block.start));
    let mut instruction = Instruction::default();
    let mut position = 0;
    while position < bytes.len() && decoder.decode(&mut instruction) {
        position += instruction.len();
        if position < bytes.len() || block.last.is_none() || block.terminator == Terminator::Call {
            state.step(values, &instruction, info);
            let callee = called(&instruction).map(|callee| known.layout.code.bytes(callee, 4));
            if let Some(register) = callee.and_then(|callee| region.isa.address_getter(callee)) {
                state.take_next_address(values, &instruction, register);
            }
        }
    }
    instruction
}

/// Finds tables of one function.
pub(super) struct Resolver<'k, 'a> {
    known: &'k Known<'a>,
    owners: &'k [u32],
    function: u32,
    blocks: Vec<Block>,
    /// Ways from block to block.
    ways: Graph,
    /// The same, from their targets, and what makes each a way.
    ways_back: Graph,
    kinds: Vec<Way>,
    values: &'k mut Values,
    info: &'k mut Effects,
    /// Blocks that were followed so far.
    pub(super) followed: usize,
    /// Targets that jumps have so far.
    target_count: usize,
}

/// How a way leads from one block to another, as far as it matters here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Other,
    Taken,
    LandingPad,
}

/// What is known around a block that is followed.
struct Followed {
    /// Ways come from blocks that are not followed, or from the unwinder.
    is_open: bool,
    lost: Lost,
    before: Option<State>,
    after: Option<(State, Instruction)>,
}

impl<'k, 'a> Resolver<'k, 'a> {
    /// A resolver for a function.
    pub(super) fn new(
        known: &'k Known<'a>,
        owners: &'k [u32],
        function: u32,
        flow: &FunctionFlow,
        scratch: &'k mut Scratch,
    ) -> Self {
        let mut blocks = Vec::new();
        known.blocks_of(function, flow, &mut blocks);
        let (mut sources, mut targets, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for (source, block) in (0..).zip(&blocks) {
            known.each_edge(block, flow, |kind, place| {
                if let Some(target) = index_of(&blocks, place, source as usize) {
                    sources.push(source);
                    targets.push(target as u32);
                    kinds.push(match kind {
                        EdgeKind::Taken => Way::Taken,
                        EdgeKind::LandingPad => Way::LandingPad,
                        _ => Way::Other,
                    });
                }
            });
        }
        let ways = Graph::new(blocks.len(), &sources, &targets);
        let (ways_back, kinds) = Graph::weighted(blocks.len(), &targets, &sources, &kinds);
        let Scratch { values, info } = scratch;
        let followed = flow.followed + blocks.len();
        let target_count = flow.tables.iter().map(|table| table.places.len()).sum();
        Self { known, owners, function, blocks, ways, ways_back, kinds, values, info, followed, target_count }
    }

    /// The ways to a block: where each comes from, and how.
    fn ways_to(&self, block: usize) -> impl Iterator<Item = (usize, Way)> {
        let ways = self.ways_back.edges_of(block as u32);
        ways.map(|way| (self.ways_back.target(way) as usize, self.kinds[way]))
    }

    /// The tables of some jumps of the function, as far as they are found.
    pub(super) fn resolve(&mut self, jumps: &[Row]) -> Vec<Table> {
        let ends = self.blocks.iter().enumerate().filter_map(|(block, last)| Some((block, last.last_row()?)));
        let ends: Vec<_> = ends.filter(|(_, row)| jumps.binary_search(row).is_ok()).collect();
        let mut found = Vec::new();
        for (block, jump) in ends {
            let Some(table) = self.find_table(block, jump) else { continue };
            let target_count = self.target_count + table.places.len();
            if self.target_count > 0 && target_count > targets_max(self.blocks.len()) {
                break;
            }
            self.target_count = target_count;
            found.push(table);
        }
        found
    }

    /// The table that the jump at the end of a block reads. More blocks are followed as long as that may say more.
    fn find_table(&mut self, block: usize, jump: Row) -> Option<Table> {
        let mut found = None;
        for blocks_max in [NEAR_BLOCKS_MAX, COMPARED_BLOCKS_MAX, BLOCKS_MAX] {
            let Some((target, bounds)) = self.target_after(block, blocks_max) else { break };
            let table = self.table(jump, target, &bounds);
            let may_say_more = match &table {
                Some(table) if table.bound == BoundEvidence::Content => {
                    blocks_max < COMPARED_BLOCKS_MAX && self.index_comes_from_before(target)
                }
                Some(_) => false,
                None => self.comes_from_before(target),
            };
            found = table.or(found);
            if !may_say_more {
                break;
            }
        }
        found
    }

    /// Whether what is not known of a target comes from before the blocks that were followed.
    fn comes_from_before(&self, target: Value) -> bool {
        let is_before = |value: Value| matches!(self.values.get(value), Expression::Unknown(number) if State::is_from_before(number));
        match self.values.get(target) {
            Expression::Unknown(_) => is_before(target),
            Expression::Sum(one, other) => is_before(one) || is_before(other),
            Expression::Load { address, .. } => match self.values.get(address) {
                Expression::Sum(one, other) => is_before(one) || is_before(other),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the index of a table is the same as before the blocks that were followed.
    fn index_comes_from_before(&self, target: Value) -> bool {
        let Some(shape) = self.shape(target) else { return false };
        let index = match self.values.get(shape.index) {
            Expression::Zero(index, _) | Expression::Sign(index, _) | Expression::Offset(index, _) => index,
            _ => shape.index,
        };
        matches!(self.values.get(index), Expression::Unknown(number) if State::is_from_before(number))
    }

    /// Where the jump at the end of a block goes, and what bounds hold there.
    fn target_after(&mut self, block: usize, blocks_max: usize) -> Option<(Value, Vec<Bound>)> {
        self.values.clear();
        let mut followed = self.follow(block, blocks_max);
        let mut state = followed.get_mut(&block)?.before.take()?;
        let last = step(self.known, &self.blocks[block], &mut state, self.values, self.info);
        Some((state.target(self.values, &last), state.bounds))
    }

    /// The blocks that lead to one, up to a number of them, in the order in which they stand.
    fn before(&self, block: usize, blocks_max: usize) -> BTreeMap<usize, Followed> {
        let new = || Followed { is_open: false, lost: Lost::default(), before: None, after: None };
        let mut followed = BTreeMap::from([(block, new())]);
        let mut queue = VecDeque::from([block]);
        while let Some(next) = queue.pop_front() {
            for (source, _) in self.ways_to(next) {
                if followed.len() < blocks_max && !followed.contains_key(&source) {
                    followed.insert(source, new());
                    queue.push_back(source);
                }
            }
        }
        let entry = self.known.layout.extents[self.function as usize].start.place;
        let blocks: Vec<_> = followed.keys().copied().collect();
        for block in blocks {
            let is_open = |(source, way)| way == Way::LandingPad || !followed.contains_key(&source);
            let is_entry = self.blocks[block].start == entry || self.ways_to(block).next().is_none();
            let is_open = is_entry || self.ways_to(block).any(is_open);
            followed.get_mut(&block).expect("it is followed").is_open = is_open;
        }
        followed
    }

    /// Finds what is known before a block, from the blocks that lead to it.
    fn follow(&mut self, block: usize, blocks_max: usize) -> BTreeMap<usize, Followed> {
        let mut followed = self.before(block, blocks_max);
        let mut work: BTreeSet<usize> =
            followed.iter().filter(|(_, block)| block.is_open).map(|(block, _)| *block).collect();
        self.followed += followed.len();
        let all_max = BLOCKS_MAX * VISITS_MAX + self.blocks.len() * FOLLOWED_PER_BLOCK_MAX;
        let end = all_max.min(self.followed + followed.len() * VISITS_MAX);
        while let Some(block) = work.pop_first().filter(|_| self.followed < end) {
            self.followed += 1;
            let (before, lost) = self.state_before(block, &followed);
            let Some(before) = before else { continue };
            let known = followed.get_mut(&block).expect("it is followed");
            known.lost = lost;
            if known.before.as_ref() == Some(&before) {
                continue;
            }
            let mut after = before.clone();
            known.before = Some(before);
            let last = step(self.known, &self.blocks[block], &mut after, self.values, self.info);
            followed.get_mut(&block).expect("it is followed").after = Some((after, last));
            let targets = self.ways.successors(block as u32).iter().map(|target| *target as usize);
            work.extend(targets.filter(|target| followed.contains_key(target)));
        }
        followed
    }

    /// What holds before a block on all ways to it that were followed.
    fn state_before(&mut self, block: usize, followed: &BTreeMap<usize, Followed>) -> (Option<State>, Lost) {
        let address = self.known.layout.address(self.blocks[block].start);
        let own = &followed[&block];
        let mut lost = own.lost;
        let mut met = own.is_open.then(|| State::unknown(address));
        if own.is_open {
            return (met, lost);
        }
        for way in self.ways_back.edges_of(block as u32) {
            let source = self.ways_back.target(way) as usize;
            let Some((state, last)) = followed.get(&source).and_then(|source| source.after.as_ref()) else {
                continue;
            };
            let mut state = state.clone();
            if self.blocks[source].terminator == Terminator::CondJump {
                state.branch(self.values, last, self.kinds[way] == Way::Taken);
            }
            match &mut met {
                Some(met) => met.meet(&state, &mut lost, address),
                None => met = Some(state),
            }
        }
        if let Some(met) = &mut met {
            met.lose(lost, address);
        }
        (met, lost)
    }

    /// The table that a jump reads, given its target.
    fn table(&self, jump: Row, target: Value, bounds: &[Bound]) -> Option<Table> {
        let mut shape = self.shape(target)?;
        self.rebase(&mut shape, bounds);
        let (index_address, limit, bound) = self.bound(shape.index, bounds)?;
        let stop = match bound {
            BoundEvidence::Content => self.known.next_named(shape.address),
            _ => u64::MAX,
        };
        let mut places = Vec::new();
        for index in 0..limit.min(ENTRIES_MAX) {
            let address = shape.address.wrapping_add(index * u64::from(shape.entry_size));
            if address >= stop {
                break;
            }
            let place = self.entry(&shape, address).and_then(|target| self.known.layout.place_of(target));
            match place {
                Some(place) if self.is_own(place) => places.push(Some(place)),
                Some(place) if self.is_behind(place) => places.push(None),
                _ => break,
            }
        }
        let kept = places.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        if bound == BoundEvidence::Content {
            places.truncate(kept);
        }
        // A comparison that allows more entries than lead anywhere was not that of this index.
        let bound = if (places.len() as u64) < limit { BoundEvidence::Content } else { bound };
        let least = if bound == BoundEvidence::Content { 2 } else { 1 };
        let Shape { kind, entry_size, base, address, .. } = shape;
        (kept >= least).then_some(Table {
            jump,
            address,
            kind,
            entry_size,
            base,
            index_address,
            bound,
            places,
        })
    }

    fn shape(&self, target: Value) -> Option<Shape> {
        let (entry, base) = match self.values.get(target) {
            Expression::Offset(entry, base) => (entry, Some(base)),
            _ => (target, None),
        };
        let (load, kind) = match (self.values.get(entry), base) {
            (Expression::Load { .. }, None) => (entry, JumpTableKind::Absolute),
            (Expression::Load { .. }, Some(_)) => (entry, JumpTableKind::RelativeUnsigned),
            (Expression::Sign(load, _), Some(_)) => (load, JumpTableKind::Relative),
            _ => return None,
        };
        let Expression::Load { address, size, .. } = self.values.get(load) else { return None };
        let Expression::Offset(scaled, table) = self.values.get(address) else { return None };
        let (index, scale) = match self.values.get(scaled) {
            Expression::Scaled(index, shift) => (index, 1 << shift.min(7)),
            _ => (scaled, 1),
        };
        let is_whole = scale == size
            && (kind != JumpTableKind::Absolute || size == self.known.references.address_size());
        let (base, address) = (base.map(|base| self.wrapped(base)), self.wrapped(table));
        is_whole.then_some(Shape { kind, entry_size: size, base, address, index })
    }

    /// An address, which in 32-bit code wraps around.
    fn wrapped(&self, address: u64) -> u64 {
        if self.known.references.address_size() == 4 { address & u64::from(u32::MAX) } else { address }
    }

    /// Where a comparison was of the index with a constant added, that constant is part of the table's address.
    fn rebase(&self, shape: &mut Shape, bounds: &[Bound]) {
        for bound in bounds.iter().rev() {
            match self.values.get(bound.value) {
                _ if bound.value == shape.index => return,
                Expression::Offset(inner, added) if inner == shape.index => {
                    shape.index = bound.value;
                    let skipped = added.wrapping_mul(u64::from(shape.entry_size));
                    shape.address = self.wrapped(shape.address.wrapping_sub(skipped));
                    return;
                }
                _ => {}
            }
        }
    }

    /// The table of positions that an index comes from, if it does; how many entries there are at most, and how that is known.
    fn bound(&self, index: Value, bounds: &[Bound]) -> Option<(Option<u64>, u64, BoundEvidence)> {
        if let Some(maximum) = compared_maximum(self.values, bounds, index) {
            return Some((None, maximum.checked_add(1)?, BoundEvidence::Compare));
        }
        match self.values.get(index) {
            Expression::Load { address, size: 1, .. } => {
                let Expression::Offset(position, table) = self.values.get(address) else {
                    return Some((None, 256, BoundEvidence::Content));
                };
                let positions = self.known.constants_at(table);
                let Some(maximum) = compared_maximum(self.values, bounds, position) else {
                    return Some((None, 256, BoundEvidence::Content));
                };
                let read = positions.get(..usize::try_from(maximum).ok()?.checked_add(1)?)?;
                let last = read.iter().copied().max()?;
                Some((Some(table), u64::from(last) + 1, BoundEvidence::Mask))
            }
            Expression::Masked(_, mask) if mask < ENTRIES_MAX => Some((None, mask + 1, BoundEvidence::Mask)),
            Expression::Zero(_, bits) if bits < 8 => Some((None, 1 << bits, BoundEvidence::Mask)),
            _ => Some((None, UNBOUNDED_ENTRIES_MAX, BoundEvidence::Content)),
        }
    }

    /// The address that an entry leads to.
    fn entry(&self, shape: &Shape, address: u64) -> Option<u64> {
        let relocated =
            self.known.references.pointer_at(address).filter(|_| shape.kind == JumpTableKind::Absolute);
        if relocated.is_some() {
            return relocated;
        }
        let bytes = self.known.constants_at(address);
        let stored = match shape.entry_size {
            1 => u64::from(*bytes.first()?),
            2 => u64::from(u16::from_le_bytes(*bytes.first_chunk()?)),
            4 => u64::from(u32::from_le_bytes(*bytes.first_chunk()?)),
            _ => u64::from_le_bytes(*bytes.first_chunk()?),
        };
        let unused = 64 - 8 * u32::from(shape.entry_size);
        let stored = match shape.kind {
            JumpTableKind::Relative => (((stored << unused) as i64) >> unused) as u64,
            JumpTableKind::Absolute | JumpTableKind::RelativeUnsigned => stored,
        };
        let target = shape.base.unwrap_or(0).wrapping_add(stored);
        Some(self.wrapped(target))
    }

    /// Whether a place lies in the function, or in a part that may be its.
    fn is_own(&self, place: Place) -> bool {
        let owner = self.known.layout.extent_at(place).map(|extent| self.owners[extent]);
        owner == Some(NONE) || owner == Some(self.function) && !self.is_behind(place)
    }

    /// Whether nothing but padding stands between a place and what comes behind the function.
    fn is_behind(&self, place: Place) -> bool {
        /// More padding than alignment ever needs.
        const PADDING_MAX: u32 = 64;
        let layout = self.known.layout;
        let own = &layout.extents[self.function as usize];
        let next =
            layout.extents.get(self.function as usize + 1).filter(|next| next.region() == own.region());
        let region = &layout.code.regions[own.region()];
        let end = next.map_or(region.bytes.len() as u32, |next| next.start.place.position);
        place.region == own.start.place.region
            && (own.start.place.position..=end).contains(&place.position)
            && end - place.position <= PADDING_MAX
            && (own.is_sized() || place.position < end)
            && region.isa.is_padding(&region.bytes[place.position as usize..end as usize])
    }
}
