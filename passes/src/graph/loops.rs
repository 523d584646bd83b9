//! Natural loops, computed from dominators.

use super::components::find_representative;
use super::csr::{Graph, NONE};
use super::dominators::DominatorTree;

/// A natural loop: its header, and the vertices that reach a back edge to it without passing through it. A back edge is
/// an edge whose target, the header, dominates its source. A header has one loop; two loops are disjoint or nested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loop {
    /// The vertex through which the loop is entered.
    pub header: u32,
    /// Header of the innermost loop around this one; [`NONE`] if there is none.
    pub parent: u32,
    /// Number of loops that contain the header, including this one.
    pub depth: u32,
    /// Number of vertices, including those of nested loops.
    pub block_count: u32,
    /// Number of back edges.
    pub back_edge_count: u32,
}

/// Finds the loops of a graph, with buffers that are reused. All lists are indexed by the numbers of the dominator
/// tree.
#[derive(Debug, Default)]
pub(super) struct LoopForest {
    pub(super) loops: Vec<Loop>,
    pub(super) is_reducible: bool,
    /// The header of the innermost loop around a vertex, excluding the loop that it heads.
    around: Vec<u32>,
    /// Number of loops that contain a vertex.
    depths: Vec<u32>,
    back_edges: Vec<u32>,
    block_counts: Vec<u32>,
    /// Union-find: the representative of a vertex is the header of the outermost loop found so far that contains it.
    outermost: Vec<u32>,
    pending: Vec<u32>,
    dominated: Subtrees,
    reached: Subtrees,
}

impl LoopForest {
    /// Finds the loops. `predecessors` is the reversed graph.
    pub(super) fn run(&mut self, tree: &DominatorTree, predecessors: &Graph) {
        self.loops.clear();
        self.is_reducible = true;
        let vertices = tree.vertices();
        let numbers = tree.numbers();
        // Most graphs have no retreating edge, that is, no edge to a number that is not greater.
        let has_retreating_edge = |number: usize| {
            let mut sources = predecessors.successors(vertices[number]).iter();
            sources.any(|source| (number as u32..NONE).contains(&numbers[*source as usize]))
        };
        self.around.clear();
        self.depths.clear();
        if !(1..vertices.len()).any(has_retreating_edge) {
            return;
        }
        self.dominated.assign(tree.dominator_numbers());
        self.reached.assign(tree.parents());
        self.around.resize(vertices.len(), NONE);
        for (list, value) in [(&mut self.depths, 0), (&mut self.back_edges, 0), (&mut self.block_counts, 1)] {
            list.clear();
            list.resize(vertices.len(), value);
        }
        self.outermost.clear();
        self.outermost.extend(0..vertices.len() as u32);
        // Inner loops first: the header of a nested loop is dominated by the outer header and so has the greater
        // number.
        for header in (1..vertices.len() as u32).rev() {
            self.find_loop(header, tree, predecessors);
        }
        self.collect(tree);
    }

    /// Finds the loop of a vertex, if it is a header.
    fn find_loop(&mut self, header: u32, tree: &DominatorTree, predecessors: &Graph) {
        let sources = |number: u32| {
            let sources = predecessors.successors(tree.vertices()[number as usize]);
            sources.iter().map(|source| tree.numbers()[*source as usize]).filter(|source| *source != NONE)
        };
        for source in sources(header).filter(|source| *source >= header) {
            if self.dominated.contains(header, source) {
                self.back_edges[header as usize] += 1;
                self.add(header, source);
            } else if self.reached.contains(header, source) {
                // The target is an ancestor in the depth-first tree, but a path avoids it.
                self.is_reducible = false;
            }
        }
        while let Some(number) = self.pending.pop() {
            for source in sources(number) {
                self.add(header, source);
            }
        }
    }

    /// Adds a vertex to the loop of a header, with the outermost loop found so far that contains it.
    fn add(&mut self, header: u32, number: u32) {
        let added = find_representative(&mut self.outermost, number);
        if added != header {
            self.outermost[added as usize] = header;
            self.around[added as usize] = header;
            self.pending.push(added);
        }
    }

    fn collect(&mut self, tree: &DominatorTree) {
        // An outer header has a smaller number.
        for number in 1..self.around.len() {
            let is_header = u32::from(self.back_edges[number] > 0);
            let around = self.around[number];
            let depth = if around == NONE { 0 } else { self.depths[around as usize] };
            self.depths[number] = depth + is_header;
        }
        for number in (1..self.around.len()).rev() {
            if self.around[number] != NONE {
                self.block_counts[self.around[number] as usize] += self.block_counts[number];
            }
        }
        for (vertex, number) in (0..).zip(tree.numbers()) {
            if *number != NONE && self.back_edges[*number as usize] > 0 {
                let number = *number as usize;
                self.loops.push(Loop {
                    header: vertex,
                    parent: self.around.get(number).map_or(NONE, |around| vertex_of(tree, *around)),
                    depth: self.depths[number],
                    block_count: self.block_counts[number],
                    back_edge_count: self.back_edges[number],
                });
            }
        }
    }

    /// The header of the innermost loop that contains a vertex, and the number of loops that do.
    pub(super) fn innermost(&self, tree: &DominatorTree, vertex: u32) -> (u32, u32) {
        match tree.numbers()[vertex as usize] as usize {
            number if number >= self.around.len() => (NONE, 0),
            number if self.back_edges[number] > 0 => (vertex, self.depths[number]),
            number => (vertex_of(tree, self.around[number]), self.depths[number]),
        }
    }
}

fn vertex_of(tree: &DominatorTree, number: u32) -> u32 {
    if number == NONE { NONE } else { tree.vertices()[number as usize] }
}

/// Answers whether one vertex of a tree is below another. Parents have smaller numbers than their children.
#[derive(Debug, Default)]
struct Subtrees {
    /// The preorder index of each vertex.
    indices: Vec<u32>,
    /// The size of each vertex's subtree, including itself.
    sizes: Vec<u32>,
    /// The preorder index for each vertex's next child.
    next: Vec<u32>,
}

impl Subtrees {
    fn assign(&mut self, parents: &[u32]) {
        self.sizes.clear();
        self.sizes.resize(parents.len(), 1);
        for number in (1..parents.len()).rev() {
            self.sizes[parents[number] as usize] += self.sizes[number];
        }
        self.indices.clear();
        self.indices.resize(parents.len(), 0);
        self.next.clear();
        self.next.resize(parents.len(), 1);
        for (number, parent) in parents.iter().enumerate().skip(1) {
            let next = &mut self.next[*parent as usize];
            let index = *next;
            *next += self.sizes[number];
            self.indices[number] = index;
            self.next[number] = index + 1;
        }
    }

    /// Whether `number` is `top` or below it.
    fn contains(&self, top: u32, number: u32) -> bool {
        let distance = self.indices[number as usize].wrapping_sub(self.indices[top as usize]);
        distance < self.sizes[top as usize]
    }
}
