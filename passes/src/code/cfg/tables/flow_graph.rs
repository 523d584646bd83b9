//! The flow graph of one function: blocks, edges, dominators and loops.

use crate::code::cfg::blocks::{Block, index_of};
use crate::code::cfg::facts::CfgFacts;
use crate::code::cfg::flow::FunctionCfg;
use crate::code::cfg::function_ranges::FunctionRange;
use crate::code::cfg::ids::{CodeLocation, FunctionId};
use crate::graph::{FlowAnalysis, FlowStructure, Loop, NONE};
use binframe_ir::tables::{EdgeKind, Terminator};
use std::ops::Range;

/// An edge of a flow graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlowEdge {
    /// Index of the source among the blocks.
    pub(super) source: u32,
    pub(super) kind: EdgeKind,
    pub(super) target: CodeLocation,
}

/// The flow graph of one function.
#[derive(Debug, Default)]
pub(super) struct FlowGraph {
    /// The blocks, sorted.
    pub(super) blocks: Vec<Block>,
    /// The edges, sorted. Targets may be blocks of other functions.
    pub(super) edges: Vec<FlowEdge>,
    /// Number of instructions in each block.
    pub(super) instruction_counts: Vec<u32>,
    /// Dominators and loops. Its vertices are blocks, renumbered by [`FlowGraph::swap_entry`].
    pub(super) structure: FlowStructure,
    /// The loops with the indices of their headers, sorted by header.
    pub(super) loops: Vec<(u32, Loop)>,
    /// Index of the entry block.
    entry: u32,
}

/// Builds flow graphs, one at a time, with buffers that are reused.
#[derive(Debug, Default)]
pub(super) struct FlowGraphBuilder {
    analysis: FlowAnalysis,
    /// The edges between vertices; [`NONE`] as a target is an exit.
    vertex_edges: Vec<(u32, u32)>,
}

impl FlowGraph {
    /// The vertex of a block, and the block of a vertex. Both are equal, except that the entry is vertex 0 and swaps
    /// its place with block 0, which is another one if a fragment is at a lower address.
    pub(super) fn swap_entry(&self, index: u32) -> u32 {
        match index {
            0 => self.entry,
            index if index == self.entry => 0,
            index => index,
        }
    }

    /// Whether a block is reachable from the entry.
    pub(super) fn is_reached(&self, index: u32) -> bool {
        let vertex = self.swap_entry(index) as usize;
        vertex == 0 || self.structure.immediate_dominator[vertex] != NONE
    }

    /// The blocks in a range.
    pub(super) fn blocks_in(&self, range: &FunctionRange) -> Range<usize> {
        let start = self.blocks.partition_point(|block| block.start < range.start.location);
        let count = self.blocks[start..].partition_point(|block| range.contains(block.start));
        start..start + count
    }

    /// Index of the first edge out of a block or out of a later one.
    pub(super) fn edges_from(&self, block: usize) -> usize {
        self.edges.partition_point(|edge| (edge.source as usize) < block)
    }

    fn find_edges(&mut self, facts: &CfgFacts<'_>, cfg: &FunctionCfg) {
        self.edges.clear();
        for (source, block) in (0..).zip(&self.blocks) {
            let first = self.edges.len();
            facts.each_edge(block, cfg, |kind, target| {
                if facts.leaders[target.region as usize].contains(target.position as usize) {
                    self.edges.push(FlowEdge { source, kind, target });
                }
            });
            self.edges[first..].sort_unstable();
        }
        self.edges.dedup();
    }

    fn count_instructions(&mut self, facts: &CfgFacts<'_>) {
        self.instruction_counts.clear();
        self.instruction_counts.extend(self.blocks.iter().map(|block| {
            let starts = &facts.ranges.instructions.regions[block.start.region as usize].starts;
            starts.count_in(block.start.position as usize..block.end as usize) as u32
        }));
    }
}

impl FlowGraphBuilder {
    /// Replaces a graph by that of a function.
    pub(super) fn build(
        &mut self,
        facts: &CfgFacts<'_>,
        cfg: &FunctionCfg,
        function: FunctionId,
        graph: &mut FlowGraph,
    ) {
        facts.blocks_of(function, cfg, &mut graph.blocks);
        let entry = facts.ranges[function.0].start.location;
        graph.entry = graph.blocks.binary_search_by_key(&entry, |block| block.start).unwrap_or(0) as u32;
        graph.find_edges(facts, cfg);
        graph.count_instructions(facts);
        self.vertex_edges.clear();
        for own in graph.edges.chunk_by(|one, next| one.source == next.source) {
            let source = own[0].source;
            for edge in own {
                let target = index_of(&graph.blocks, edge.target, source as usize);
                let target = target.map_or(NONE, |target| graph.swap_entry(target as u32));
                self.vertex_edges.push((graph.swap_entry(source), target));
            }
            if exits_function(graph.blocks[source as usize].terminator, own) {
                self.vertex_edges.push((graph.swap_entry(source), NONE));
            }
        }
        self.analysis.run(graph.blocks.len(), &self.vertex_edges, &mut graph.structure);
        let loops = graph.structure.loops.iter().map(|one| (graph.swap_entry(one.header), *one));
        graph.loops = loops.collect();
        graph.loops.sort_unstable_by_key(|(header, _)| *header);
    }
}

/// Whether a block with edges exits the function without one: by a return or by a jump with an unknown target. A block
/// without edges is an exit anyway.
fn exits_function(terminator: Terminator, edges: &[FlowEdge]) -> bool {
    let kind = match terminator {
        Terminator::Ret => EdgeKind::Return,
        Terminator::IndirectJump => EdgeKind::Indirect,
        Terminator::CondJump => EdgeKind::Taken,
        Terminator::Jump => EdgeKind::Jump,
        _ => return false,
    };
    edges.iter().all(|edge| edge.kind != kind)
}
