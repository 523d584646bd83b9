//! `(graph, entry) -> order`: the order in which the blocks of a function are analyzed.
//!
//! Reached blocks are sorted by strongly connected component, components topologically, and blocks within a component
//! in reverse postorder. So every edge to a lower or equal position is a back edge inside a component, and all
//! predecessors of a component have their final states before it is analyzed.

use crate::graph::{Graph, NONE, StrongComponents};
use std::cmp::Reverse;
use std::ops::Range;

/// The blocks of a function in the order of analysis. A block is named by its index in the function.
#[derive(Debug, Default)]
pub(super) struct BlockOrder {
    /// The blocks that are reached from the entry, in order.
    pub(super) blocks: Vec<u32>,
    /// Position of each block in `blocks`; [`NONE`] if it is not reached.
    positions: Vec<u32>,
    search: StrongComponents,
}

impl BlockOrder {
    /// Sorts the blocks that are reached from an entry; without an entry, no block is reached.
    pub(super) fn assign(&mut self, graph: &Graph, entry: Option<u32>) {
        self.blocks.clear();
        self.positions.clear();
        self.positions.resize(graph.vertex_count(), NONE);
        let Some(entry) = entry else { return };
        self.search.run_from(graph, entry);
        self.blocks.extend(self.search.postorder.iter().rev());
        // Components are numbered from the last one in topological order.
        let components = &self.search.component;
        self.blocks.sort_by_key(|block| Reverse(components[*block as usize]));
        for (position, block) in self.blocks.iter().enumerate() {
            self.positions[*block as usize] = position as u32;
        }
    }

    /// Position of a block; `None` if it is not reached.
    pub(super) fn position(&self, block: u32) -> Option<u32> {
        Some(self.positions[block as usize]).filter(|position| *position != NONE)
    }

    /// Positions of the component that starts at a position.
    pub(super) fn component_at(&self, position: usize) -> Range<usize> {
        let component = |position: &usize| self.search.component[self.blocks[*position] as usize];
        let own = (position..self.blocks.len()).take_while(|other| component(other) == component(&position));
        position..position + own.count()
    }
}

#[cfg(test)]
mod tests {
    use super::BlockOrder;
    use crate::graph::Graph;

    /// The components of a graph in order, given the successors of each block.
    fn components(successors: &[&[u32]]) -> Vec<Vec<u32>> {
        let edges = (0..).zip(successors).flat_map(|(block, own)| own.iter().map(move |next| (block, *next)));
        let mut order = BlockOrder::default();
        order.assign(&Graph::from_edges(successors.len(), edges), Some(0));
        let mut components = Vec::new();
        let mut next = 0;
        while next < order.blocks.len() {
            let positions = order.component_at(next);
            next = positions.end;
            components.push(order.blocks[positions].to_vec());
        }
        components
    }

    #[test]
    fn blocks_after_a_loop_follow_the_loop() {
        // 0 -> 1 -> 2 -> 1, 1 -> 3: the depth-first search finds block 3 before the rest of the loop.
        assert_eq!(components(&[&[1], &[3, 2], &[1], &[]]), [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(components(&[&[1], &[2, 3], &[1], &[]]), [vec![0], vec![1, 2], vec![3]]);
    }

    #[test]
    fn nested_loops_are_one_component() {
        assert_eq!(components(&[&[1], &[2], &[1, 3], &[0, 4], &[]]), [vec![0, 1, 2, 3], vec![4]]);
    }

    #[test]
    fn unreached_blocks_have_no_position() {
        assert_eq!(components(&[&[2], &[2], &[]]), [vec![0], vec![2]]);
    }
}
