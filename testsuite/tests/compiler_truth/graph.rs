//! Control-flow graphs of functions, from the compiler and from the tables, and normalization of known differences in
//! how blocks are counted.

use binframe::ir::tables::{BlockEvidence, Flow, Terminator};
use binframe_testsuite::executable::FunctionGroundTruth;
use binframe_testsuite::lowering::Tables;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Blocks of a function and the edges between them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) blocks: BTreeSet<u64>,
    pub(crate) edges: BTreeSet<(u64, u64)>,
}

/// The part of a function's ground truth that is reachable if calls of noreturn functions do not return.
#[derive(Debug, Default)]
pub(crate) struct Executed {
    pub(crate) graph: Graph,
    /// Calls: return address and callee.
    pub(crate) calls: Vec<(u64, Option<u64>)>,
    pub(crate) may_return: bool,
    /// Ranges of the blocks. The end of the last block is unknown, since constants may follow it.
    pub(crate) code: Vec<Range<u64>>,
}

/// Follows the compiler's edges from the entry, but not after calls of functions that do not return. A block without
/// edges is assumed to return.
pub(crate) fn executed(truth: &FunctionGroundTruth, returns: &BTreeSet<u64>) -> Executed {
    let mut executed = Executed::default();
    let mut work = vec![truth.address];
    while let Some(block) = work.pop() {
        if !executed.graph.blocks.insert(block) {
            continue;
        }
        let next = truth.block_starts.iter().copied().find(|start| *start > block);
        let calls =
            truth.calls.iter().filter(|call| (block..next.unwrap_or(u64::MAX)).contains(&(call.0 - 1)));
        let mut end = next.unwrap_or(block + 1);
        let mut goes_on = true;
        for call in calls {
            if goes_on {
                executed.calls.push(*call);
                end = if next.is_some() { end } else { call.0 };
            }
            if goes_on && call.1.is_some_and(|callee| !returns.contains(&callee)) {
                (goes_on, end) = (false, call.0);
            }
        }
        executed.code.push(block..end);
        let out = truth.edges.iter().filter(|edge| edge.0 == block);
        executed.may_return |= goes_on && out.clone().next().is_none() && truth.frame_size.is_some();
        if goes_on {
            executed.graph.edges.extend(out.clone());
            work.extend(out.map(|edge| edge.1));
        }
    }
    executed.calls.sort_unstable();
    executed
}

/// Functions with a path from the entry to a return.
pub(crate) fn returning(functions: &[FunctionGroundTruth]) -> BTreeSet<u64> {
    let mut returns = BTreeSet::new();
    loop {
        let more = functions.iter().filter(|truth| executed(truth, &returns).may_return);
        let more: BTreeSet<u64> = more.map(|truth| truth.address).collect();
        if more == returns {
            return returns;
        }
        returns = more;
    }
}

/// Blocks of a function that are reached in the tables, and the edges between them.
pub(crate) fn found(function_address: u64, tables: &Tables) -> Graph {
    let blocks = tables.lowered.cfg.basic_blocks.columns();
    let own = blocks.iter().filter(|block| block.function_address == function_address);
    let own = own.filter(|block| block.evidence == BlockEvidence::Flow);
    let blocks: BTreeSet<u64> = own.map(|block| block.address).collect();
    let edges = tables.lowered.cfg.cfg_edges.columns();
    let edges = edges.iter().filter_map(|edge| Some((edge.source_address, edge.target_address?)));
    let edges = edges.filter(|edge| blocks.contains(&edge.0) && blocks.contains(&edge.1)).collect();
    Graph { blocks, edges }
}

impl Graph {
    /// Merges each block with the next if no other edge enters or leaves between them. The compiler counts them as one
    /// block; the tables split them if unreached code jumps between them.
    pub(crate) fn join(&mut self) {
        let starts: Vec<u64> = self.blocks.iter().copied().collect();
        for pair in starts.windows(2).rev() {
            let (block, next) = (pair[0], pair[1]);
            let outgoing = self.edges.iter().filter(|edge| edge.0 == block);
            let incoming = self.edges.iter().filter(|edge| edge.1 == next);
            if outgoing.chain(incoming).all(|edge| *edge == (block, next))
                && self.edges.remove(&(block, next))
            {
                self.absorb(block, next);
            }
        }
    }

    /// Merges a block into another.
    fn absorb(&mut self, block: u64, part: u64) {
        self.blocks.remove(&part);
        let own = |(from, to): (u64, u64)| (if from == part { block } else { from }, to);
        self.edges = std::mem::take(&mut self.edges).into_iter().map(own).collect();
    }

    /// Removes a block that only continues to another.
    fn skip(&mut self, block: u64, next: u64) {
        self.blocks.remove(&block);
        self.edges.remove(&(block, next));
        let through = |(from, to): (u64, u64)| (from, if to == block { next } else { to });
        self.edges = std::mem::take(&mut self.edges).into_iter().map(through).collect();
    }

    /// Removes jumps after conditional jumps, and returns their number. If neither target is adjacent, the compiler's
    /// block ends with both instructions; in the tables the jump is a separate block.
    pub(crate) fn skip_jumps(&mut self, tables: &Tables) -> u32 {
        let mut count = 0;
        for block in self.blocks.clone() {
            let instructions = tables.instructions.columns();
            let row = instructions.address.binary_search(&block).expect("a block starts with an instruction");
            let Some(before) = row.checked_sub(1) else { continue };
            let flows = [instructions.row(before).flow, instructions.row(row).flow];
            if let Some(target) =
                instructions.target_address.get(row).filter(|_| flows == [Flow::CondJump, Flow::Jump])
            {
                self.skip(block, target);
                count += 1;
            }
        }
        count
    }

    /// Merges blocks inside one block of the compiler, and removes the out-of-line traps that its instructions jump
    /// to.
    pub(crate) fn join_within(&mut self, expected: &Self, tables: &Tables) {
        let rows = tables.lowered.cfg.basic_blocks.columns();
        let traps: BTreeSet<u64> =
            rows.iter().filter(|row| row.terminator == Terminator::Trap).map(|row| row.address).collect();
        let around = |block: u64| expected.blocks.range(..=block).next_back().copied();
        let kept = |block: u64| !traps.contains(&block) || expected.blocks.contains(&block);
        let joined = |block: &u64| around(*block).filter(|_| kept(*block));
        let edges = self.edges.iter().filter(|edge| expected.blocks.contains(&edge.1));
        self.edges = edges.filter_map(|edge| Some((joined(&edge.0)?, edge.1))).collect();
        self.blocks = self.blocks.iter().filter_map(joined).collect();
    }
}

/// For each function of a CLIF module by name, whether a path reaches a return. Only valid if the compiler does not
/// simplify the code.
pub(crate) fn returning_in_text(clif: &str) -> BTreeMap<String, bool> {
    let functions: Vec<(String, Vec<TextBlock>)> = clif.split("function %").skip(1).map(parse).collect();
    let mut returns: BTreeMap<String, bool> =
        functions.iter().map(|(name, _)| (name.clone(), false)).collect();
    loop {
        let more = functions.iter().map(|(name, blocks)| (name.clone(), may_return(blocks, &returns)));
        let more: BTreeMap<String, bool> = more.collect();
        if more == returns {
            return returns;
        }
        returns = more;
    }
}

/// Callees, successors and return of a block.
#[derive(Default)]
struct TextBlock {
    calls: Vec<String>,
    targets: Vec<usize>,
    returns: bool,
}

fn parse(function: &str) -> (String, Vec<TextBlock>) {
    let name = function.split('(').next().expect("a name").to_owned();
    let mut blocks: Vec<TextBlock> = Vec::new();
    for line in function.lines().skip(1).map(str::trim) {
        if line.starts_with("block") {
            blocks.push(TextBlock::default());
        }
        let Some(block) = blocks.last_mut().filter(|_| !line.starts_with("block")) else { continue };
        if let Some(callee) = line.split("call fn").nth(1) {
            block.calls.push(format!("f{}", callee.split('(').next().expect("arguments")));
        }
        // The signature has the number of the function whose address is called.
        if let Some(callee) = line.split("call_indirect sig").nth(1) {
            block.calls.push(format!("f{}", callee.split(',').next().expect("an address")));
        }
        block.returns |= line.starts_with("return");
        if ["jump ", "brif ", "br_table "].iter().any(|jump| line.starts_with(jump)) {
            let targets = line.split("block").skip(1);
            let digits =
                targets.map(|text| text.split(|byte: char| !byte.is_ascii_digit()).next().expect("a number"));
            block.targets.extend(digits.map(|digits| digits.parse::<usize>().expect("a number")));
        }
    }
    (name, blocks)
}

fn may_return(blocks: &[TextBlock], returns: &BTreeMap<String, bool>) -> bool {
    let (mut seen, mut work) = (BTreeSet::from([0]), vec![0]);
    while let Some(block) = work.pop() {
        if blocks[block].calls.iter().all(|callee| returns[callee]) {
            if blocks[block].returns {
                return true;
            }
            work.extend(blocks[block].targets.iter().filter(|target| seen.insert(**target)));
        }
    }
    false
}
