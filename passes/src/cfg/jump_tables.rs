//! Finds the tables that indirect jumps read their targets from.
//!
//! Values in registers and on the stack are followed forward through the blocks before a jump, back to a limit, as expressions. The
//! jump's target then has one of the shapes that compilers give it: an entry of a table, or an entry added to a base. How many
//! entries there are is what comparisons on the way say of the index, or what its width does; failing that, entries count up to
//! one that leads to no instruction of the function, or to where something else is named by an instruction.

use super::descent::{NONE, Row};
use super::graph::{Block, Known};
use super::layout::Place;
use crate::isa::x86::{CodeDecoder, Instruction, InstructionInfoFactory, State};
use crate::values::{Bound, Expression, Value, Values, compared_maximum};
use binframe_ir::tables::{BoundEvidence, EdgeKind, JumpTableKind};
use std::collections::BTreeSet;

/// Blocks that are followed before the jumps of one function.
const BLOCKS_MAX: usize = 2048;

/// How often a block is followed again because more ways to it were found, on the average.
const VISITS_MAX: usize = 12;

/// Entries of one table.
const ENTRIES_MAX: u64 = 1 << 16;

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
    pub(super) index_table: Option<u64>,
    pub(super) bound: BoundEvidence,
    /// Where entries lead, in their order.
    pub(super) places: Vec<Place>,
}

/// What the target of an indirect jump looks like.
struct Shape {
    kind: JumpTableKind,
    entry_size: u8,
    base: Option<u64>,
    address: u64,
    index: Value,
}

/// Finds tables of one function.
pub(super) struct Resolver<'k, 'a> {
    known: &'k Known<'a>,
    owners: &'k [u32],
    function: u32,
    blocks: Vec<Block>,
    /// For each block, where control goes, and how.
    ways: Vec<Vec<(EdgeKind, usize)>>,
    values: Values,
    info: InstructionInfoFactory,
}

impl<'k, 'a> Resolver<'k, 'a> {
    /// A resolver for a function with these extents.
    pub(super) fn new(
        known: &'k Known<'a>,
        owners: &'k [u32],
        function: u32,
        extents: impl Iterator<Item = u32>,
        tables: &[Table],
    ) -> Self {
        let mut blocks: Vec<_> =
            extents.flat_map(|extent| known.blocks(&known.layout.extents[extent as usize])).collect();
        blocks.sort_by_key(|block| block.start);
        let ways = blocks.iter().map(|block| {
            let mut ways = Vec::new();
            known.each_edge(block, tables, |kind, place| {
                if let Ok(target) = blocks.binary_search_by_key(&place, |block| block.start) {
                    ways.push((kind, target));
                }
            });
            ways
        });
        let ways = ways.collect();
        Self { known, owners, function, blocks, ways, values: Values::default(), info: InstructionInfoFactory::new() }
    }

    /// The tables of some jumps of the function, as far as they are found.
    pub(super) fn resolve(&mut self, jumps: &[Row]) -> Vec<Table> {
        let ends_with = |block: &Block| block.last.map(|row| (block.start.region, row));
        let ends: Vec<_> = (0..self.blocks.len())
            .filter(|block| ends_with(&self.blocks[*block]).is_some_and(|row| jumps.binary_search(&row).is_ok()))
            .collect();
        let states = self.follow(&ends);
        let mut found = Vec::new();
        for block in ends {
            let Some(mut state) = states[block].clone() else { continue };
            let jump = ends_with(&self.blocks[block]).expect("the block ends with a jump");
            let last = self.step(block, &mut state);
            let target = state.target(&mut self.values, &last);
            found.extend(self.table(jump, target, &state.bounds));
        }
        found
    }

    /// What is known before each of the blocks, and before those that lead to them.
    fn follow(&mut self, ends: &[usize]) -> Vec<Option<State>> {
        let mut before = vec![Vec::new(); self.blocks.len()];
        for (source, ways) in self.ways.iter().enumerate() {
            for (_, target) in ways {
                before[*target].push(source);
            }
        }
        let mut is_followed = vec![false; self.blocks.len()];
        let mut queue = ends.to_vec();
        ends.iter().for_each(|block| is_followed[*block] = true);
        let mut next = 0;
        while next < queue.len() && queue.len() < BLOCKS_MAX {
            for source in &before[queue[next]] {
                if !std::mem::replace(&mut is_followed[*source], true) {
                    queue.push(*source);
                }
            }
            next += 1;
        }
        let mut states: Vec<Option<State>> = vec![None; self.blocks.len()];
        let mut work = BTreeSet::new();
        for block in &queue {
            // Nothing is known where ways come from elsewhere, or from the unwinder.
            let lands = |source: &usize| self.ways[*source].contains(&(EdgeKind::LandingPad, *block));
            let is_open = before[*block].iter().any(|source| !is_followed[*source] || lands(source));
            let is_entry = self.blocks[*block].start == self.known.layout.extents[self.function as usize].start.place;
            if is_open || is_entry || before[*block].is_empty() {
                let address = self.known.layout.address(self.blocks[*block].start);
                states[*block] = Some(State::unknown(&mut self.values, address));
                work.insert(*block);
            }
        }
        let mut left = queue.len() * VISITS_MAX;
        while let Some(block) = work.pop_first() {
            let Some(rest) = left.checked_sub(1) else { break };
            left = rest;
            let mut state = states[block].clone().expect("a block that is followed has a state");
            let last = self.step(block, &mut state);
            for way in 0..self.ways[block].len() {
                let (kind, target) = self.ways[block][way];
                if !is_followed[target] || kind == EdgeKind::LandingPad {
                    continue;
                }
                let mut state = state.clone();
                if self.blocks[block].terminator == binframe_ir::tables::Terminator::CondJump {
                    state.branch(&self.values, &last, kind == EdgeKind::Taken);
                }
                let address = self.known.layout.address(self.blocks[target].start);
                let is_changed = match &mut states[target] {
                    Some(old) => old.meet(&mut self.values, &state, address),
                    new => {
                        *new = Some(state);
                        true
                    }
                };
                if is_changed {
                    work.insert(target);
                }
            }
        }
        states
    }

    /// Follows the instructions of a block, up to its last if that is a jump, and returns the last.
    fn step(&mut self, block: usize, state: &mut State) -> Instruction {
        let Block { start, end, last, .. } = self.blocks[block];
        let region = &self.known.layout.code.regions[start.region as usize];
        let bytes = &region.bytes[start.position as usize..end as usize];
        let mut decoder = CodeDecoder::new(bytes, region.address + u64::from(start.position));
        let mut instruction = Instruction::default();
        let mut position = 0;
        while position < bytes.len() && decoder.decode(&mut instruction) {
            position += instruction.len();
            if position < bytes.len() || last.is_none() {
                state.step(&mut self.values, &instruction, &mut self.info);
            } else if instruction.is_call_near() || instruction.is_call_near_indirect() {
                state.step(&mut self.values, &instruction, &mut self.info);
            }
        }
        instruction
    }

    /// The table that a jump reads, given its target.
    fn table(&self, jump: Row, target: Value, bounds: &[Bound]) -> Option<Table> {
        let shape = self.shape(target)?;
        let (index_table, limit, bound) = self.bound(shape.index, bounds)?;
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
            match self.entry(&shape, address) {
                Some(place) => places.push(place),
                None => break,
            }
        }
        // A comparison that allows more entries than lead anywhere was not that of this index.
        let bound = if (places.len() as u64) < limit { BoundEvidence::Content } else { bound };
        let least = if bound == BoundEvidence::Content { 2 } else { 1 };
        let Shape { kind, entry_size, base, address, .. } = shape;
        (places.len() >= least).then_some(Table { jump, address, kind, entry_size, base, index_table, bound, places })
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
        let is_whole = scale == size && (kind != JumpTableKind::Absolute || size == self.known.references.address_size());
        is_whole.then_some(Shape { kind, entry_size: size, base, address: table, index })
    }

    /// The table of positions that an index comes from, if it does; how many entries there are at most, and how that is known.
    fn bound(&self, index: Value, bounds: &[Bound]) -> Option<(Option<u64>, u64, BoundEvidence)> {
        if let Some(maximum) = compared_maximum(&self.values, bounds, index) {
            return Some((None, maximum.checked_add(1)?, BoundEvidence::Compare));
        }
        match self.values.get(index) {
            Expression::Load { address, size: 1, .. } => {
                let Expression::Offset(position, table) = self.values.get(address) else {
                    return Some((None, 256, BoundEvidence::Content));
                };
                let positions = self.known.constants_at(table);
                let Some(maximum) = compared_maximum(&self.values, bounds, position) else {
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

    /// Where an entry leads, if that is the function's.
    fn entry(&self, shape: &Shape, address: u64) -> Option<Place> {
        let target = match self.known.references.pointer_at(address).filter(|_| shape.kind == JumpTableKind::Absolute) {
            Some(target) => target,
            None => {
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
                if self.known.references.address_size() == 4 { target & u64::from(u32::MAX) } else { target }
            }
        };
        let place = self.known.layout.place_of(target)?;
        let owner = self.owners[self.known.layout.extent_at(place)?];
        (owner == self.function || owner == NONE).then_some(place)
    }
}
