//! Blocks of one function and the ways between them, from where blocks are known to begin.

use super::descent::{FunctionFlow, Row};
use super::layout::{Extent, Layout, Place};
use super::noreturn::never_returns;
use crate::bitmap::Bitmap;
use crate::code::references::References;
use binframe_ir::tables::{EdgeKind, Flow, Terminator};
use rayon::slice::ParallelSliceMut;
use rustc_hash::FxHashSet;
use std::ops::Range;
use std::sync::OnceLock;

/// What is known of where control goes; threads that walk different functions add to it.
pub(super) struct Known<'a> {
    pub(super) layout: &'a Layout<'a>,
    pub(super) references: &'a References,
    /// Where blocks begin, for each region.
    pub(super) leaders: Vec<Bitmap>,
    /// The rows of branches that are calls which come back, for each region.
    pub(super) returning: Vec<Bitmap>,
    /// Those that are calls with landing pads.
    landing: Vec<Bitmap>,
    /// For each start that the file states, whether its name is that of a function that never returns.
    never_returns: Vec<bool>,
    /// Where the loader writes pointers to such functions.
    pub(super) never_returning_slots: FxHashSet<u64>,
    /// The addresses of code that instructions take, in their order.
    pub(super) taken: &'a [u64],
    /// The addresses that instructions name, in their order, once something asked for them.
    named: OnceLock<Vec<u64>>,
}

/// A bit for every branch, for each region.
pub(super) fn rows_of(layout: &Layout<'_>) -> Vec<Bitmap> {
    layout.instructions.regions.iter().map(|region| Bitmap::new(region.branches.flows.len())).collect()
}

/// A basic block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) start: Place,
    pub(super) end: u32,
    /// The rows of the branches in it.
    pub(super) rows: Range<u32>,
    /// The row of the branch that it ends with, if it ends with one.
    pub(super) last: Option<u32>,
    pub(super) terminator: Terminator,
}

/// Where a block that begins at a place stands among those of a function, given where a block that goes there stands: most
/// ways lead to the block behind.
pub(super) fn index_of(blocks: &[Block], place: Place, source: usize) -> Option<usize> {
    match blocks.get(source + 1).is_some_and(|block| block.start == place) {
        true => Some(source + 1),
        false => blocks.binary_search_by_key(&place, |block| block.start).ok(),
    }
}

impl Block {
    /// The branch that the block ends with, if it ends with one.
    pub(super) fn last_row(&self) -> Option<Row> {
        self.last.map(|row| (self.start.region, row))
    }

    /// The block, up to where another begins and a row of branches, given the call that comes back behind which no branch stands.
    fn until(self, leader: usize, row_end: u32, returned: Option<(u32, u32)>) -> Self {
        let call = returned.filter(|(_, end)| *end as usize == leader).map(|(row, _)| row);
        let terminator = if call.is_some() { Terminator::Call } else { Terminator::Fallthrough };
        Self { end: leader as u32, rows: self.rows.start..row_end, last: call, terminator, ..self }
    }
}

impl<'a> Known<'a> {
    pub(super) fn new(layout: &'a Layout<'a>, references: &'a References, taken: &'a [u64]) -> Self {
        let leaders = layout.code.regions.iter().map(|region| Bitmap::new(region.bytes.len())).collect();
        let landing = layout.code.regions.iter().zip(&layout.instructions.regions).map(|(code, region)| {
            let branches = &region.branches;
            let is_call = |row: &usize| matches!(branches.flows[*row], Flow::Call | Flow::IndirectCall);
            let calls = || (0..branches.flows.len()).filter(is_call);
            let ends = calls().map(|row| code.address + branches.end(row) as u64);
            let mut landing = Bitmap::new(branches.flows.len());
            let have = calls().zip(references.have_landing_pads(ends));
            have.filter(|(_, has)| *has).for_each(|(row, _)| landing.insert(row));
            landing
        });
        let landing = landing.collect();
        let is_never = |start| layout.code.name(start).is_some_and(never_returns);
        let slots = references.slots().filter(|(_, name)| never_returns(name));
        Self {
            layout,
            references,
            leaders,
            returning: rows_of(layout),
            landing,
            never_returns: layout.code.starts.iter().map(is_never).collect(),
            never_returning_slots: slots.map(|(address, _)| address).collect(),
            taken,
            named: OnceLock::new(),
        }
    }

    /// The same, of other extents of the same code.
    pub(super) fn of_layout<'b>(self, layout: &'b Layout<'b>) -> Known<'b>
    where
        'a: 'b,
    {
        Known { layout, ..self }
    }

    /// Whether a function never returns, whatever is found.
    pub(super) fn never_returns(&self, function: u32) -> bool {
        let stated = self.layout.extents[function as usize].start.stated;
        stated.is_some_and(|row| self.never_returns[row as usize])
    }

    /// The function that begins where a constant pointer leads.
    pub(super) fn pointed_function(&self, slot: u64, owners: &[u32]) -> Option<u32> {
        let target = self.references.constant_pointer_at(slot).filter(|_| slot != 0)?;
        self.layout.function_at(target, owners)
    }

    /// Where control goes when what a call of a row calls throws, if the call has a landing pad.
    pub(super) fn landing_pad(&self, region: usize, row: usize) -> Option<Place> {
        if !self.landing[region].contains(row) {
            return None;
        }
        let end = self.layout.branches(region).end(row) as u64;
        let pad = self.references.landing_pad(self.layout.code.regions[region].address + end)?;
        self.layout.place_of(pad)
    }

    /// The first address behind `address` that an instruction names.
    pub(super) fn next_named(&self, address: u64) -> u64 {
        let named = self.named.get_or_init(|| {
            let regions = &self.layout.instructions.regions;
            let mut named: Vec<_> =
                regions.iter().flat_map(|region| region.constants.addresses.iter().copied()).collect();
            named.par_sort_unstable();
            named.dedup();
            named
        });
        named.get(named.partition_point(|other| *other <= address)).copied().unwrap_or(u64::MAX)
    }

    /// The bytes of constant data, or of code, from an address on.
    pub(super) fn constants_at(&self, address: u64) -> &[u8] {
        match self.references.constants_from(address) {
            [] => self.layout.code.bytes(address, u64::MAX),
            bytes => bytes,
        }
    }

    /// The block of an extent that begins at a position.
    pub(super) fn block(&self, extent: &Extent, start: u32) -> Block {
        self.block_from(extent, start, self.layout.row_at(extent, start))
    }

    /// The same, given the first row of branches at or behind its start.
    pub(super) fn block_from(&self, extent: &Extent, start: u32, first: u32) -> Block {
        let region = extent.region();
        let branches = self.layout.branches(region);
        let leaders = &self.leaders[region];
        let block = Block {
            start: Place { region: region as u32, position: start },
            end: extent.end,
            rows: first..first,
            last: None,
            terminator: Terminator::End,
        };
        // Leaders are looked for no farther than the next branch: what lies behind a block must not make it dear.
        let mut from = start as usize + 1;
        let mut returned = None;
        for row in first..extent.rows.end {
            let index = row as usize;
            let position = branches.positions[index] as usize;
            if let Some(leader) = leaders.first_in(from..position + 1) {
                return block.until(leader, row, returned);
            }
            let end = branches.end(index);
            from = position + 1;
            returned = None;
            let terminator = match branches.flows[index] {
                Flow::Call | Flow::IndirectCall if self.returning[region].contains(index) => {
                    returned = Some((row, end as u32));
                    continue;
                }
                Flow::Call | Flow::IndirectCall => Terminator::CallNoReturn,
                Flow::Jump => Terminator::Jump,
                Flow::CondJump => Terminator::CondJump,
                Flow::Ret => Terminator::Ret,
                Flow::IndirectJump => Terminator::IndirectJump,
                Flow::Trap => Terminator::Trap,
                Flow::Invalid => Terminator::Invalid,
                Flow::Next => continue,
            };
            return Block { end: end as u32, rows: first..row + 1, last: Some(row), terminator, ..block };
        }
        match leaders.first_in(from..extent.end as usize) {
            Some(leader) => block.until(leader, extent.rows.end, returned),
            None => Block { rows: first..extent.rows.end, ..block },
        }
    }

    /// The blocks of an extent, in the order of their places.
    pub(super) fn blocks(&self, extent: &Extent) -> impl Iterator<Item = Block> {
        let leaders = &self.leaders[extent.region()];
        let starts = leaders.iter_in(extent.start.place.position as usize..extent.end as usize);
        let positions = &self.layout.branches(extent.region()).positions;
        let mut row = extent.rows.start;
        starts.map(move |start| {
            while row < extent.rows.end && (positions[row as usize] as usize) < start {
                row += 1;
            }
            self.block_from(extent, start as u32, row)
        })
    }

    /// Puts the blocks of a function and of its parts in a list, in the order of their places.
    pub(super) fn blocks_of(&self, function: u32, flow: &FunctionFlow, blocks: &mut Vec<Block>) {
        blocks.clear();
        for extent in flow.extents(function, self.layout) {
            blocks.extend(self.blocks(extent));
        }
        if !flow.parts.is_empty() {
            blocks.sort_by_key(|block| block.start);
        }
    }

    /// Number of blocks of an extent.
    pub(super) fn count_blocks(&self, extent: &Extent) -> usize {
        self.leaders[extent.region()].count_in(extent.start.place.position as usize..extent.end as usize)
    }

    /// Whether a place lies in a block.
    pub(super) fn is_reached(&self, place: Place) -> bool {
        let Some(extent) = self.layout.extent_at(place) else { return false };
        let extent = &self.layout.extents[extent];
        let range = extent.start.place.position as usize..place.position as usize + 1;
        let leader = self.leaders[extent.region()].last_in(range);
        leader.is_some_and(|leader| self.block(extent, leader as u32).end > place.position)
    }

    /// Calls `each` with every way out of a block to a place, and why it is taken.
    pub(super) fn each_edge(
        &self,
        block: &Block,
        flow: &FunctionFlow,
        mut each: impl FnMut(EdgeKind, Place),
    ) {
        let region = block.start.region as usize;
        let branches = self.layout.branches(region);
        let next = Place { position: block.end, ..block.start };
        let target = |row: u32| self.layout.place_of(branches.targets[row as usize]);
        match (block.terminator, block.last_row()) {
            (Terminator::Fallthrough | Terminator::End, _) => each(EdgeKind::Fallthrough, next),
            (Terminator::Call, _) => each(EdgeKind::CallReturn, next),
            (Terminator::Jump, Some((_, row))) => {
                if let Some(place) = target(row) {
                    each(EdgeKind::Jump, place);
                }
            }
            (Terminator::CondJump, Some((_, row))) => {
                each(EdgeKind::Fallthrough, next);
                if let Some(place) = target(row) {
                    each(EdgeKind::Taken, place);
                }
            }
            (Terminator::IndirectJump, Some(jump)) => {
                if let Some(table) = flow.table_of(jump) {
                    table.places.iter().flatten().for_each(|place| each(EdgeKind::Indirect, *place));
                } else if flow.unresolved.binary_search(&jump).is_ok() {
                    flow.labels.iter().for_each(|place| each(EdgeKind::Indirect, *place));
                }
            }
            _ => {}
        }
        let rows = block.rows.start as usize..block.rows.end as usize;
        for row in self.landing[region].iter_in(rows) {
            if let Some(place) = self.landing_pad(region, row) {
                each(EdgeKind::LandingPad, place);
            }
        }
    }
}
