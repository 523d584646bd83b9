//! The control-flow graph of one function, in the order of analysis.

use super::block_order::BlockOrder;
use super::program::Program;
use crate::graph::Graph;
use binframe_ir::tables::EdgeKind;
use std::ops::Range;

/// An edge to another block of the function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Successor {
    pub(super) target: u32,
    pub(super) kind: EdgeKind,
}

/// The blocks of one function. A block is named by its index in the function. Buffers are reused for the next function.
#[derive(Debug, Default)]
pub(super) struct FunctionCode<'f> {
    /// The rows of the blocks, sorted by address.
    pub(super) rows: &'f [u32],
    /// Edges between the blocks of the function. Landing-pad edges are left out if the convention has none.
    graph: Graph,
    edge_kinds: Vec<EdgeKind>,
    edges: Vec<(u32, u32)>,
    pub(super) order: BlockOrder,
}

impl<'f> FunctionCode<'f> {
    /// Replaces the content by the code of another function.
    pub(super) fn assign(&mut self, program: &'f Program<'_>, function: usize) {
        self.rows = program.blocks_by_function.rows_of(function);
        self.collect_edges(program);
        let entry = self.block_at(program, program.functions.address[function]);
        self.order.assign(&self.graph, entry.map(|entry| entry as u32));
    }

    /// Indexes of the edges from a block to blocks of the function.
    pub(super) fn edges_of(&self, block: u32) -> Range<usize> {
        self.graph.edges_of(block)
    }

    /// Target and kind of an edge.
    pub(super) fn successor(&self, edge: usize) -> Successor {
        Successor { target: self.graph.target(edge), kind: self.edge_kinds[edge] }
    }

    /// The edges from a block to blocks of the function.
    pub(super) fn successors_of(&self, block: u32) -> impl Iterator<Item = Successor> {
        self.edges_of(block).map(|edge| self.successor(edge))
    }

    /// The block that starts at an address.
    pub(super) fn block_at(&self, program: &Program<'_>, address: u64) -> Option<usize> {
        self.rows.binary_search_by_key(&address, |row| program.blocks.address[*row as usize]).ok()
    }

    fn collect_edges(&mut self, program: &Program<'_>) {
        let edges = program.edges;
        self.edges.clear();
        self.edge_kinds.clear();
        let mut next = 0;
        for (block, row) in (0..).zip(self.rows) {
            let source = program.blocks.address[*row as usize];
            // The edges of neighbouring blocks are mostly adjacent.
            let first = match edges.source_address.get(next) {
                Some(address) if *address == source => next,
                _ => edges.source_address.partition_point(|address| *address < source),
            };
            next = first;
            let own = (first..edges.len()).take_while(|edge| edges.source_address[*edge] == source);
            for edge in own {
                next = edge + 1;
                let kind = edges.kind.get(edge);
                if kind == EdgeKind::LandingPad && !program.convention.has_landing_pads {
                    continue;
                }
                let target = edges.target_address.get(edge).and_then(|target| self.block_at(program, target));
                if let Some(target) = target {
                    self.edges.push((block, target as u32));
                    self.edge_kinds.push(kind);
                }
            }
        }
        // The edges are sorted by source, so that the graph keeps their order and kinds match.
        self.graph.assign(self.rows.len(), self.edges.iter().copied());
    }
}
