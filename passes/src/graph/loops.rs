//! Natural loops, from the dominators of a graph.

use super::components::first_of;
use super::dominators::DominatorTree;
use super::{Graph, NONE};

/// The vertices that reach a header again by edges to it from what it dominates, and no way around it. There is one loop
/// for a header; two loops are apart, or one is inside of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loop {
    /// The vertex through which the loop is entered.
    pub header: u32,
    /// Header of the innermost loop around this one; [`NONE`](super::NONE) where there is none.
    pub parent: u32,
    /// Number of loops that the header is in, this one among them.
    pub depth: u32,
    /// Number of vertices, with those of loops inside.
    pub block_count: u32,
    /// Number of edges that lead back to the header.
    pub back_edge_count: u32,
}

/// Finds the loops of a graph, in memory that is used again. All lists are by the numbers of the dominator tree.
#[derive(Debug, Default)]
pub(super) struct LoopForest {
    pub(super) loops: Vec<Loop>,
    pub(super) is_reducible: bool,
    /// The header of the innermost loop around a vertex, not counting the loop whose header it is.
    around: Vec<u32>,
    /// Number of loops that a vertex is in.
    depths: Vec<u32>,
    back_edges: Vec<u32>,
    block_counts: Vec<u32>,
    /// Vertices of a loop that was found stand for the header of the outermost such loop.
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
        // Edges of a walk that lead back to a smaller number or to the same are few, and mostly there are none.
        let leads_back = |number: usize| {
            let mut sources = predecessors.successors(vertices[number]).iter();
            sources.any(|source| (number as u32..NONE).contains(&numbers[*source as usize]))
        };
        self.around.clear();
        self.depths.clear();
        if !(1..vertices.len()).any(leads_back) {
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
        // A loop inside of another has the greater number: its header is dominated by the other's.
        for header in (1..vertices.len() as u32).rev() {
            self.find_loop(header, tree, predecessors);
        }
        self.collect(tree);
    }

    /// Finds the loop of a header, if it is one.
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
                // The walk came through the target, and there is a way around it.
                self.is_reducible = false;
            }
        }
        while let Some(number) = self.pending.pop() {
            for source in sources(number) {
                self.add(header, source);
            }
        }
    }

    /// Adds a vertex to the loop of a header, with the loop around it that was found before.
    fn add(&mut self, header: u32, number: u32) {
        let added = first_of(&mut self.outermost, number);
        if added != header {
            self.outermost[added as usize] = header;
            self.around[added as usize] = header;
            self.pending.push(added);
        }
    }

    fn collect(&mut self, tree: &DominatorTree) {
        // What is around a vertex has a smaller number.
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

    /// The header of the innermost loop that holds a vertex, and the number of loops that do.
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

/// What lies below the vertices of a tree, in which parents have smaller numbers than their children.
#[derive(Debug, Default)]
struct Subtrees {
    /// For each vertex its place in an order in which what lies below a vertex follows it.
    places: Vec<u32>,
    /// Number of vertices below each, with itself.
    sizes: Vec<u32>,
    /// The place of each vertex's next child.
    next: Vec<u32>,
}

impl Subtrees {
    fn assign(&mut self, parents: &[u32]) {
        self.sizes.clear();
        self.sizes.resize(parents.len(), 1);
        for number in (1..parents.len()).rev() {
            self.sizes[parents[number] as usize] += self.sizes[number];
        }
        self.places.clear();
        self.places.resize(parents.len(), 0);
        self.next.clear();
        self.next.resize(parents.len(), 1);
        for (number, parent) in parents.iter().enumerate().skip(1) {
            let next = &mut self.next[*parent as usize];
            let place = *next;
            *next += self.sizes[number];
            self.places[number] = place;
            self.next[number] = place + 1;
        }
    }

    fn contains(&self, top: u32, number: u32) -> bool {
        let above = self.places[number as usize].wrapping_sub(self.places[top as usize]);
        above < self.sizes[top as usize]
    }
}
