//! The blocks of one function, the ways between them, and what their graph says of them.

use crate::code::cfg::descent::FunctionFlow;
use crate::code::cfg::graph::{Block, Known, index_of};
use crate::code::cfg::layout::{Extent, Place};
use crate::graph::{FlowAnalysis, FlowStructure, Loop, NONE};
use binframe_ir::tables::{EdgeKind, Terminator};
use std::ops::Range;

/// An edge: the position of its source among the function's blocks, why it is taken, and where it leads.
pub(super) type Edge = (u32, EdgeKind, Place);

/// The shape of one function.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The blocks, in the order of their places.
    pub(super) blocks: Vec<Block>,
    /// The edges, in their order.
    pub(super) edges: Vec<Edge>,
    /// Numbers of instructions in the blocks.
    pub(super) instruction_counts: Vec<u32>,
    /// What the graph says, whose vertices are blocks by [`Shape::swapped`].
    pub(super) structure: FlowStructure,
    /// Its loops, with the positions of their headers, in the order of those.
    pub(super) loops: Vec<(u32, Loop)>,
    /// Position of the block at which the function is entered.
    entry: u32,
}

/// Finds the shapes of functions, one after the other in the same memory.
#[derive(Debug, Default)]
pub(super) struct Shaper {
    analysis: FlowAnalysis,
    /// Edges between vertices.
    ways: Vec<(u32, u32)>,
}

impl Shape {
    /// The vertex of a block, and the block of a vertex: the entry is the first vertex, whatever parts stand before it.
    pub(super) fn swapped(&self, index: u32) -> u32 {
        match index {
            0 => self.entry,
            index if index == self.entry => 0,
            index => index,
        }
    }

    /// Whether control is known to come to a block from the entry.
    pub(super) fn is_reached(&self, index: u32) -> bool {
        let vertex = self.swapped(index) as usize;
        vertex == 0 || self.structure.immediate_dominator[vertex] != NONE
    }

    /// The blocks that lie in an extent.
    pub(super) fn blocks_in(&self, extent: &Extent) -> Range<usize> {
        let start = self.blocks.partition_point(|block| block.start < extent.start.place);
        let count = self.blocks[start..].partition_point(|block| extent.contains(block.start));
        start..start + count
    }

    /// The place among the edges of the first one out of a block.
    pub(super) fn edges_from(&self, block: usize) -> usize {
        self.edges.partition_point(|(source, ..)| (*source as usize) < block)
    }

    fn find_edges(&mut self, known: &Known<'_>, flow: &FunctionFlow) {
        self.edges.clear();
        for (source, block) in (0..).zip(&self.blocks) {
            let first = self.edges.len();
            known.each_edge(block, flow, |kind, place| {
                if known.leaders[place.region as usize].contains(place.position as usize) {
                    self.edges.push((source, kind, place));
                }
            });
            self.edges[first..].sort_unstable();
        }
        self.edges.dedup();
    }

    fn count_instructions(&mut self, known: &Known<'_>) {
        self.instruction_counts.clear();
        self.instruction_counts.extend(self.blocks.iter().map(|block| {
            let starts = &known.layout.instructions.regions[block.start.region as usize].starts;
            starts.count_in(block.start.position as usize..block.end as usize) as u32
        }));
    }
}

impl Shaper {
    /// Finds the shape of a function.
    pub(super) fn shape(&mut self, known: &Known<'_>, flow: &FunctionFlow, function: u32, found: &mut Shape) {
        known.blocks_of(function, flow, &mut found.blocks);
        let entry = known.layout.extents[function as usize].start.place;
        found.entry = found.blocks.binary_search_by_key(&entry, |block| block.start).unwrap_or(0) as u32;
        found.find_edges(known, flow);
        found.count_instructions(known);
        self.ways.clear();
        for own in found.edges.chunk_by(|one, next| one.0 == next.0) {
            let source = own[0].0;
            for (_, _, place) in own {
                let target = index_of(&found.blocks, *place, source as usize);
                let target = target.map_or(NONE, |target| found.swapped(target as u32));
                self.ways.push((found.swapped(source), target));
            }
            if leaves(found.blocks[source as usize].terminator, own) {
                self.ways.push((found.swapped(source), NONE));
            }
        }
        self.analysis.run(found.blocks.len(), &self.ways, &mut found.structure);
        let loops = found.structure.loops.iter().map(|one| (found.swapped(one.header), *one));
        found.loops = loops.collect();
        found.loops.sort_unstable_by_key(|(header, _)| *header);
    }
}

/// Whether control leaves the function at the end of a block that has edges. Where a block has none, it leaves there.
fn leaves(terminator: Terminator, edges: &[Edge]) -> bool {
    let way = match terminator {
        Terminator::Ret => EdgeKind::Return,
        Terminator::IndirectJump => EdgeKind::Indirect,
        Terminator::CondJump => EdgeKind::Taken,
        Terminator::Jump => EdgeKind::Jump,
        _ => return false,
    };
    edges.iter().all(|(_, kind, _)| *kind != way)
}
