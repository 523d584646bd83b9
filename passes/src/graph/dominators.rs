//! Dominator trees.
//!
//! Vertex *d* dominates *v* if every path from a root to *v* contains *d*; it post-dominates *v* if every path from *v*
//! to an exit contains it. Post-dominators are the dominators of the reversed graph, with the exits as roots.

use super::components::StrongComponents;
use super::csr::{Graph, NONE};

/// A finished vertex of the forest; the fields are read together.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// The number of an ancestor in its tree.
    ancestor: u32,
    /// The number with the least semidominator on the path to that ancestor, which is excluded.
    best: u32,
    /// That semidominator.
    least: u32,
}

/// The simple version of the algorithm of Lengauer and Tarjan (1979), with buffers that are reused. Vertices are
/// numbered in depth-first preorder, starting with one; number zero is a virtual root before all roots.
///
/// It takes `O(E log V)` on any graph, while the iterative algorithm of Cooper, Harvey and Kennedy is quadratic for
/// some: petgraph's (`simple_fast`) took 2.7 times as long on a million vertices and eight million edges.
#[derive(Debug, Default)]
pub(super) struct DominatorTree {
    /// For each vertex its number; [`NONE`] if it is unreached.
    numbers: Vec<u32>,
    /// For each number its vertex.
    vertices: Vec<u32>,
    /// For each number that of its parent in the depth-first tree.
    parents: Vec<u32>,
    /// For each number that of the immediate dominator.
    dominators: Vec<u32>,
    /// For each number that of the semidominator.
    semidominators: Vec<u32>,
    /// The forest of finished vertices, indexed by number.
    links: Vec<Link>,
    /// Linked lists of the numbers with the same semidominator: the first of each list, and the next of each number.
    bucket_first: Vec<u32>,
    bucket_next: Vec<u32>,
    stack: Vec<(u32, usize)>,
    compressed: Vec<u32>,
}

impl DominatorTree {
    /// Computes the dominators, given the graph and the reversed graph.
    pub(super) fn run(&mut self, successors: &Graph, predecessors: &Graph, roots: &[u32]) {
        self.number(successors, roots);
        self.find_dominators(predecessors, roots);
    }

    /// Computes the post-dominators. Adds to `exits` one for each component that has no exit.
    pub(super) fn run_to_exits(
        &mut self,
        successors: &Graph,
        predecessors: &Graph,
        exits: &mut Vec<u32>,
        endless: &mut EndlessComponents,
    ) {
        self.number(predecessors, exits);
        if self.vertices.len() <= successors.vertex_count() {
            endless.add_exits(successors, exits);
            self.number(predecessors, exits);
        }
        self.find_dominators(successors, exits);
    }

    /// Computes the dominators of the numbered vertices.
    fn find_dominators(&mut self, predecessors: &Graph, roots: &[u32]) {
        let count = self.vertices.len();
        for list in [&mut self.bucket_first, &mut self.bucket_next] {
            list.clear();
            list.resize(count, NONE);
        }
        self.dominators.clone_from(&self.parents);
        self.semidominators.clone_from(&self.parents);
        // The virtual root precedes every root, also a root that was numbered from another one.
        for root in roots {
            self.semidominators[self.numbers[*root as usize] as usize] = 0;
        }
        self.links.clear();
        self.links.extend(self.parents.iter().zip(0..).map(|(parent, number)| Link {
            ancestor: *parent,
            best: number,
            least: number,
        }));
        for number in (1..count as u32).rev() {
            self.find_semidominator(number, predecessors);
            self.empty_bucket(number);
        }
        for number in 1..count {
            if self.dominators[number] != self.semidominators[number] {
                self.dominators[number] = self.dominators[self.dominators[number] as usize];
            }
        }
    }

    /// Numbers the vertices in depth-first preorder.
    fn number(&mut self, successors: &Graph, roots: &[u32]) {
        self.numbers.clear();
        self.numbers.resize(successors.vertex_count(), NONE);
        self.vertices.clear();
        self.vertices.push(NONE);
        self.parents.clear();
        self.parents.push(0);
        for root in roots {
            if self.numbers[*root as usize] != NONE {
                continue;
            }
            self.reach(successors, *root, 0);
            while let Some((number, edge)) = self.stack.last_mut() {
                let number = *number;
                let end = successors.edges_of(self.vertices[number as usize]).end;
                let mut edges = *edge..end;
                let new = edges
                    .find(|edge| self.numbers[successors.target(*edge) as usize] == NONE)
                    .map(|edge| successors.target(edge));
                *edge = edges.start;
                match new {
                    Some(successor) => self.reach(successors, successor, number),
                    None => drop(self.stack.pop()),
                }
            }
        }
    }

    fn reach(&mut self, successors: &Graph, vertex: u32, parent: u32) {
        let number = self.vertices.len() as u32;
        self.numbers[vertex as usize] = number;
        self.vertices.push(vertex);
        self.parents.push(parent);
        self.stack.push((number, successors.edges_of(vertex).start));
    }

    fn find_semidominator(&mut self, number: u32, predecessors: &Graph) {
        let parent = self.parents[number as usize];
        let mut least = self.semidominators[number as usize];
        for predecessor in predecessors.successors(self.vertices[number as usize]) {
            let other = self.numbers[*predecessor as usize];
            // An unfinished vertex is its own semidominator so far.
            if other <= number {
                least = least.min(other);
            } else if other != NONE {
                least = least.min(self.best_link(other, number + 1).least);
            }
        }
        self.semidominators[number as usize] = least;
        self.links[number as usize].least = least;
        // A semidominator that is the parent is the dominator too, which `dominators` holds already.
        if least != parent {
            self.bucket_next[number as usize] = self.bucket_first[least as usize];
            self.bucket_first[least as usize] = number;
        }
    }

    /// Finds for each vertex whose semidominator is this number's parent its dominator, or a vertex with the same
    /// dominator.
    fn empty_bucket(&mut self, finished: u32) {
        let parent = self.parents[finished as usize];
        let mut number = std::mem::replace(&mut self.bucket_first[parent as usize], NONE);
        while number != NONE {
            let link = self.best_link(number, finished);
            self.dominators[number as usize] = if link.least < parent { link.best } else { parent };
            number = self.bucket_next[number as usize];
        }
    }

    /// The link of a finished number after path compression, which makes it point to the root of its tree. `finished`
    /// is the first finished number.
    fn best_link(&mut self, number: u32, finished: u32) -> Link {
        let mut link = self.links[number as usize];
        let mut lower = number;
        while link.ancestor >= finished {
            self.compressed.push(lower);
            lower = link.ancestor;
            link = self.links[lower as usize];
        }
        // From the root down; `link` is the ancestor's.
        while let Some(number) = self.compressed.pop() {
            let own = &mut self.links[number as usize];
            own.ancestor = link.ancestor;
            if link.least < own.least {
                (own.best, own.least) = (link.best, link.least);
            }
            link = *own;
        }
        link
    }

    /// The immediate dominator of a vertex; [`NONE`] for roots, unreached vertices, and vertices that only the virtual
    /// root dominates.
    pub(super) fn immediate_dominator(&self, vertex: u32) -> u32 {
        match self.numbers[vertex as usize] {
            NONE => NONE,
            number => self.vertices[self.dominators[number as usize] as usize],
        }
    }

    /// For each vertex its number; [`NONE`] if it is unreached.
    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// For each number its vertex.
    pub(super) fn vertices(&self) -> &[u32] {
        &self.vertices
    }

    /// For each number that of its parent in the depth-first tree.
    pub(super) fn parents(&self) -> &[u32] {
        &self.parents
    }

    /// For each number that of its immediate dominator.
    pub(super) fn dominator_numbers(&self) -> &[u32] {
        &self.dominators
    }
}

/// Finds strong components without an exit, such as endless loops.
#[derive(Debug, Default)]
pub(super) struct EndlessComponents {
    components: StrongComponents,
    has_exit: Vec<bool>,
}

impl EndlessComponents {
    /// Adds the last vertex of each strong component that has no exit and no edge to another.
    fn add_exits(&mut self, graph: &Graph, exits: &mut Vec<u32>) {
        self.components.run(graph);
        let component = &self.components.component;
        self.has_exit.clear();
        self.has_exit.resize(self.components.count as usize, false);
        for exit in exits.iter() {
            self.has_exit[component[*exit as usize] as usize] = true;
        }
        for (source, target) in graph.edges() {
            let own = component[source as usize];
            self.has_exit[own as usize] |= own != component[target as usize];
        }
        for vertex in graph.vertices().rev() {
            let has_exit = &mut self.has_exit[component[vertex as usize] as usize];
            if !std::mem::replace(has_exit, true) {
                exits.push(vertex);
            }
        }
    }
}
