//! Basic blocks of a function and the edges between them, computed from leaders (the positions at which blocks start).

use super::facts::CfgFacts;
use super::flow::FunctionCfg;
use super::function_ranges::FunctionRange;
use super::ids::{BranchId, CodeLocation, FunctionId};
use binframe_ir::tables::{EdgeKind, Flow, Terminator};
use std::ops::Range;

/// A basic block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) start: CodeLocation,
    /// Position of the end, exclusive.
    pub(super) end: u32,
    /// The rows of the branches in it.
    pub(super) branches: Range<u32>,
    /// The row of the branch that it ends with; `None` if it does not end with one.
    last: Option<u32>,
    pub(super) terminator: Terminator,
}

impl Block {
    /// The branch that the block ends with; `None` if it does not end with one.
    pub(super) fn last_branch(&self) -> Option<BranchId> {
        self.last.map(|row| BranchId { region: self.start.region, row })
    }

    /// Cuts the block at a leader, before the branch in row `branches_end`. It ends in a call if a returning call,
    /// given by its row and its end, ends exactly there.
    fn cut(self, leader: usize, branches_end: u32, returning_call: Option<(u32, u32)>) -> Self {
        let call = returning_call.filter(|(_, end)| *end as usize == leader).map(|(row, _)| row);
        let terminator = if call.is_some() { Terminator::Call } else { Terminator::Fallthrough };
        Self {
            end: leader as u32,
            branches: self.branches.start..branches_end,
            last: call,
            terminator,
            ..self
        }
    }
}

/// Index of the block that starts at a location, in the sorted blocks of a function; `None` if there is none. Tries the
/// block after `source` first, which is the target of most of its edges.
pub(super) fn index_of(blocks: &[Block], location: CodeLocation, source: usize) -> Option<usize> {
    match blocks.get(source + 1).is_some_and(|block| block.start == location) {
        true => Some(source + 1),
        false => blocks.binary_search_by_key(&location, |block| block.start).ok(),
    }
}

impl CfgFacts<'_> {
    /// The block of a range that starts at a position.
    pub(super) fn block(&self, range: &FunctionRange, start: u32) -> Block {
        self.block_from(range, start, self.ranges.branch_at(range, start))
    }

    /// The block of a range that starts at a position, given the first branch at or after it.
    pub(super) fn block_from(&self, range: &FunctionRange, start: u32, first: u32) -> Block {
        let region = range.region();
        let branches = self.ranges.branches(region);
        let leaders = &self.leaders[region];
        let block = Block {
            start: CodeLocation { region: region as u32, position: start },
            end: range.end,
            branches: first..first,
            last: None,
            terminator: Terminator::End,
        };
        // Leaders are looked for only up to the next branch, so that the cost depends on the block and not on the code
        // after it.
        let mut from = start as usize + 1;
        let mut returning_call = None;
        for row in first..range.branches.end {
            let index = row as usize;
            let position = branches.positions[index] as usize;
            if let Some(leader) = leaders.first_in(from..position + 1) {
                return block.cut(leader, row, returning_call);
            }
            let end = branches.end(index);
            from = position + 1;
            returning_call = None;
            let terminator = match branches.flows[index] {
                Flow::Call | Flow::IndirectCall if self.returning_calls[region].contains(index) => {
                    returning_call = Some((row, end as u32));
                    continue;
                }
                Flow::Call | Flow::IndirectCall => Terminator::CallNoReturn,
                Flow::Jump => Terminator::Jump,
                Flow::CondJump => Terminator::CondJump,
                Flow::Ret => Terminator::Ret,
                Flow::IndirectJump => Terminator::IndirectJump,
                Flow::Trap => Terminator::Trap,
                Flow::Invalid => Terminator::Invalid,
                // Not among branches.
                Flow::Next => continue,
            };
            return Block { end: end as u32, branches: first..row + 1, last: Some(row), terminator, ..block };
        }
        match leaders.first_in(from..range.end as usize) {
            Some(leader) => block.cut(leader, range.branches.end, returning_call),
            None => Block { branches: first..range.branches.end, ..block },
        }
    }

    /// The blocks of a range, sorted.
    pub(super) fn blocks(&self, range: &FunctionRange) -> impl Iterator<Item = Block> {
        let starts = self.leaders[range.region()].iter_in(range.positions());
        let positions = &self.ranges.branches(range.region()).positions;
        let mut row = range.branches.start;
        starts.map(move |start| {
            while row < range.branches.end && (positions[row as usize] as usize) < start {
                row += 1;
            }
            self.block_from(range, start as u32, row)
        })
    }

    /// Replaces a list by the blocks of a function and of its fragments, sorted.
    pub(super) fn blocks_of(&self, function: FunctionId, cfg: &FunctionCfg, blocks: &mut Vec<Block>) {
        blocks.clear();
        for range in cfg.ranges(function, self.ranges) {
            blocks.extend(self.blocks(range));
        }
        if !cfg.fragments.is_empty() {
            blocks.sort_by_key(|block| block.start);
        }
    }

    /// Number of blocks of a range.
    pub(super) fn count_blocks(&self, range: &FunctionRange) -> usize {
        self.leaders[range.region()].count_in(range.positions())
    }

    /// Whether a location is in a block, that is, was reached.
    pub(super) fn is_reached(&self, location: CodeLocation) -> bool {
        let Some(range) = self.ranges.range_at(location) else { return false };
        let range = &self.ranges[range];
        let before = range.start.location.position as usize..location.position as usize + 1;
        let leader = self.leaders[range.region()].last_in(before);
        leader.is_some_and(|leader| self.block(range, leader as u32).end > location.position)
    }

    /// Calls `each` with the kind and the target of every edge out of a block whose target is known.
    pub(super) fn each_edge(
        &self,
        block: &Block,
        cfg: &FunctionCfg,
        mut each: impl FnMut(EdgeKind, CodeLocation),
    ) {
        let region = block.start.region as usize;
        let branches = self.ranges.branches(region);
        let next = self.ranges.location_after(block.start.region, block.end);
        let target = |branch: BranchId| self.ranges.location_of(branches.targets[branch.row as usize]);
        match (block.terminator, block.last_branch()) {
            (Terminator::Fallthrough | Terminator::End, _) => each(EdgeKind::Fallthrough, next),
            (Terminator::Call, _) => each(EdgeKind::CallReturn, next),
            (Terminator::Jump, Some(jump)) => {
                if let Some(target) = target(jump) {
                    each(EdgeKind::Jump, target);
                }
            }
            (Terminator::CondJump, Some(jump)) => {
                each(EdgeKind::Fallthrough, next);
                if let Some(target) = target(jump) {
                    each(EdgeKind::Taken, target);
                }
            }
            (Terminator::IndirectJump, Some(jump)) => {
                if let Some(table) = cfg.table_of(jump) {
                    table.targets.iter().flatten().for_each(|target| each(EdgeKind::Indirect, *target));
                } else if cfg.unresolved_jumps.binary_search(&jump).is_ok() {
                    cfg.address_taken_targets.iter().for_each(|target| each(EdgeKind::Indirect, *target));
                }
            }
            _ => {}
        }
        let rows = block.branches.start as usize..block.branches.end as usize;
        for row in self.landing_pad_calls[region].iter_in(rows) {
            self.landing_pads(region, row).for_each(|pad| each(EdgeKind::LandingPad, pad));
        }
    }
}
