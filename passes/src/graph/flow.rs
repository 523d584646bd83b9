//! The structure of one function's flow graph: dominators, post-dominators, loops, reducibility.

use super::csr::{Graph, NONE};
use super::dominators::{DominatorTree, EndlessComponents};
use super::loops::{Loop, LoopForest};

/// The structure of a flow graph. Each list has an entry for each block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowStructure {
    /// The closest strict dominator; [`NONE`] for the entry and for blocks that it does not reach.
    pub immediate_dominator: Vec<u32>,
    /// The closest strict post-dominator; [`NONE`] if there is none. The last block of a strong component without an
    /// exit, such as an endless loop, is treated as an exit.
    pub immediate_post_dominator: Vec<u32>,
    /// Header of the innermost loop that contains the block, which may be the block itself; [`NONE`] outside loops.
    pub loop_header: Vec<u32>,
    /// Number of loops that contain the block.
    pub loop_depth: Vec<u32>,
    /// The natural loops of reachable blocks, sorted by header.
    pub loops: Vec<Loop>,
    /// Whether the graph is reducible: in a depth-first traversal from the entry, the target of each retreating edge
    /// dominates its source, so that each cycle has one entry block.
    pub is_reducible: bool,
}

/// Computes the structure of flow graphs, one at a time, with buffers that are reused.
#[derive(Debug, Default)]
pub struct FlowAnalysis {
    successors: Graph,
    predecessors: Graph,
    exits: Vec<u32>,
    tree: DominatorTree,
    endless: EndlessComponents,
    forest: LoopForest,
}

impl FlowAnalysis {
    /// Computes the structure of a graph whose blocks are `0..block_count`; block 0 is the entry. Edges are (source,
    /// target) pairs in any order. A target of [`NONE`] is an exit from the function; so is the end of a block without
    /// edges.
    ///
    /// # Panics
    /// If an edge names a block that is not below `block_count`.
    pub fn run(&mut self, block_count: usize, edges: &[(u32, u32)], found: &mut FlowStructure) {
        for list in [
            &mut found.immediate_dominator,
            &mut found.immediate_post_dominator,
            &mut found.loop_header,
            &mut found.loop_depth,
        ] {
            list.clear();
        }
        found.loops.clear();
        found.is_reducible = true;
        match is_straight(block_count, edges) {
            true => found.set_straight(block_count as u32),
            false => self.analyze(block_count, edges, found),
        }
    }

    fn analyze(&mut self, block_count: usize, edges: &[(u32, u32)], found: &mut FlowStructure) {
        let inner = edges.iter().copied().filter(|(_, target)| *target != NONE);
        self.successors.assign(block_count, inner.clone());
        self.predecessors.assign(block_count, inner.map(|(source, target)| (target, source)));
        let (successors, predecessors) = (&self.successors, &self.predecessors);

        self.exits.clear();
        self.exits.extend(successors.vertices().filter(|block| successors.successors(*block).is_empty()));
        self.exits.extend(edges.iter().filter(|(_, target)| *target == NONE).map(|(source, _)| source));
        self.tree.run_to_exits(successors, predecessors, &mut self.exits, &mut self.endless);
        let post_dominators = successors.vertices().map(|block| self.tree.immediate_dominator(block));
        found.immediate_post_dominator.extend(post_dominators);

        self.tree.run(successors, predecessors, &[0]);
        let dominators = successors.vertices().map(|block| self.tree.immediate_dominator(block));
        found.immediate_dominator.extend(dominators);

        self.forest.run(&self.tree, predecessors);
        for block in successors.vertices() {
            let (header, depth) = self.forest.innermost(&self.tree, block);
            found.loop_header.push(header);
            found.loop_depth.push(depth);
        }
        found.loops.extend_from_slice(&self.forest.loops);
        found.is_reducible = self.forest.is_reducible;
    }
}

impl FlowStructure {
    /// The structure of a straight-line graph: block *i* is followed by block *i + 1*, and there are no other edges.
    fn set_straight(&mut self, block_count: u32) {
        self.immediate_dominator.extend((0..block_count).map(|block| block.wrapping_sub(1)));
        self.immediate_post_dominator.extend(1..block_count);
        self.immediate_post_dominator.extend((block_count > 0).then_some(NONE));
        self.loop_header.resize(block_count as usize, NONE);
        self.loop_depth.resize(block_count as usize, 0);
    }
}

/// Whether each block has one edge, to the next block, and the last has none.
fn is_straight(block_count: usize, edges: &[(u32, u32)]) -> bool {
    edges.len() == block_count.saturating_sub(1)
        && edges.iter().zip(0..).all(|(edge, block)| *edge == (block, block + 1))
}
