//! Flow graphs of functions: what the compiler knew, what the tables have, and how the two are made alike where they count
//! differently.

use binframe::ir::tables::{BlockEvidence, Flow, Terminator};
use binframe_testsuite::executable::FunctionTruth;
use binframe_testsuite::lowering::Tables;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Blocks of one function, and the edges between them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) blocks: BTreeSet<u64>,
    pub(crate) edges: BTreeSet<(u64, u64)>,
}

/// What the compiler knew of a function, as far as it is executed when some functions never return.
#[derive(Debug, Default)]
pub(crate) struct Executed {
    pub(crate) graph: Graph,
    /// The calls: the address behind each, and what it calls.
    pub(crate) calls: Vec<(u64, Option<u64>)>,
    pub(crate) may_return: bool,
    /// The code of its blocks. Where the last of a function ends is not known, as constants stand behind it.
    pub(crate) code: Vec<Range<u64>>,
}

/// Follows the compiler's edges from a function's start, but not behind calls of functions that do not return. A block without
/// edges is taken for one that returns.
pub(crate) fn executed(truth: &FunctionTruth, returns: &BTreeSet<u64>) -> Executed {
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

/// The functions that some way leads through to a return.
pub(crate) fn returning(functions: &[FunctionTruth]) -> BTreeSet<u64> {
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

/// The blocks of a function that known ways lead to, and those ways.
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
    /// Joins each block with the next where nothing else enters or leaves between them. The compiler counts them as one; here
    /// code to which nothing leads may jump between them.
    pub(crate) fn join(&mut self) {
        let starts: Vec<u64> = self.blocks.iter().copied().collect();
        for pair in starts.windows(2).rev() {
            let (block, next) = (pair[0], pair[1]);
            let leaving = self.edges.iter().filter(|edge| edge.0 == block);
            let entering = self.edges.iter().filter(|edge| edge.1 == next);
            if leaving.chain(entering).all(|edge| *edge == (block, next)) && self.edges.remove(&(block, next))
            {
                self.absorb(block, next);
            }
        }
    }

    /// Makes a block part of another.
    fn absorb(&mut self, block: u64, part: u64) {
        self.blocks.remove(&part);
        let own = |(from, to): (u64, u64)| (if from == part { block } else { from }, to);
        self.edges = std::mem::take(&mut self.edges).into_iter().map(own).collect();
    }

    /// Takes out a block that only goes on to another.
    fn skip(&mut self, block: u64, next: u64) {
        self.blocks.remove(&block);
        self.edges.remove(&(block, next));
        let through = |(from, to): (u64, u64)| (from, if to == block { next } else { to });
        self.edges = std::mem::take(&mut self.edges).into_iter().map(through).collect();
    }

    /// Takes out the jumps behind conditional jumps. Where neither way goes to what follows, the compiler's block ends with
    /// both; here the jump is a block. Returns how many there were.
    pub(crate) fn skip_jumps(&mut self, tables: &Tables) -> u32 {
        let mut count = 0;
        for block in self.blocks.clone() {
            let instructions = tables.instructions.columns();
            let row = instructions.address.binary_search(&block).expect("a block begins with an instruction");
            let Some(before) = row.checked_sub(1) else { continue };
            let flows = [instructions.row(before).flow, instructions.row(row).flow];
            if let Some(target) =
                instructions.target.get(row).filter(|_| flows == [Flow::CondJump, Flow::Jump])
            {
                self.skip(block, target);
                count += 1;
            }
        }
        count
    }

    /// Joins all that stands in one block of the compiler's, and leaves out the traps that its instructions jump to.
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

/// For each function of a module's text, by name, whether some way leads to a return; the compiler must not have made the code
/// simpler than the text.
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

/// What a block calls, where it goes, and whether it returns.
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
