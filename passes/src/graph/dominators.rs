//! Which vertices lie on all ways to others.

use super::components::StrongComponents;
use super::{Graph, NONE};

/// The immediate dominator of each vertex, given also the reversed graph: the nearest of the other vertices that lie on
/// every way from a root to it. [`NONE`] for roots, for what only the roots have in common, and for what is not reached.
pub fn dominators(graph: &Graph, reversed: &Graph, roots: &[u32]) -> Vec<u32> {
    let mut tree = DominatorTree::default();
    tree.run(graph, reversed, roots);
    graph.vertices().map(|vertex| tree.immediate_dominator(vertex)).collect()
}

/// The immediate post-dominator of each vertex: the nearest of the other vertices that lie on every way from it to an exit.
/// Exits are vertices without edges, and where a component that has none is never left, its last vertex. [`NONE`] for
/// exits, and where only the exits' being left is common to all ways.
pub fn post_dominators(graph: &Graph, reversed: &Graph) -> Vec<u32> {
    let mut tree = DominatorTree::default();
    let mut exits = graph.vertices().filter(|vertex| graph.successors(*vertex).is_empty()).collect();
    tree.run_to_exits(graph, reversed, &mut exits, &mut EndlessComponents::default());
    graph.vertices().map(|vertex| tree.immediate_dominator(vertex)).collect()
}

/// A finished vertex. What is looked up together stands together.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// A number nearer to the root of its tree.
    ancestor: u32,
    /// Of the numbers below that one on the way there, the one with the least semidominator.
    best: u32,
    /// That semidominator.
    least: u32,
}

/// The algorithm of Lengauer and Tarjan (1979) in its simple form, in memory that is used again. Vertices have numbers in
/// the order of a depth-first walk, from one on; number zero is a vertex before all roots.
///
/// It takes `O(E log V)` on any graph, while the iterative algorithm of Cooper, Harvey and Kennedy is quadratic for some;
/// in petgraph (`simple_fast`) that took 2.7 times the time on a million vertices and eight million edges.
#[derive(Debug, Default)]
pub(super) struct DominatorTree {
    /// For each vertex its number; [`NONE`] where it was not reached.
    numbers: Vec<u32>,
    /// For each number its vertex.
    vertices: Vec<u32>,
    /// For each number that of the vertex from which the walk came.
    parents: Vec<u32>,
    /// For each number that of the immediate dominator.
    dominators: Vec<u32>,
    /// For each number that of the semidominator.
    semidominators: Vec<u32>,
    /// The forest of finished vertices, by number.
    links: Vec<Link>,
    /// Lists of the numbers that have the same semidominator: the first, and for each the next.
    bucket_first: Vec<u32>,
    bucket_next: Vec<u32>,
    way: Vec<(u32, usize)>,
    compressed: Vec<u32>,
}

impl DominatorTree {
    pub(super) fn run(&mut self, successors: &Graph, predecessors: &Graph, roots: &[u32]) {
        self.walk(successors, roots);
        self.find_dominators(predecessors, roots);
    }

    /// The same against the edges, from `exits`, to which are added those of components that are never left.
    pub(super) fn run_to_exits(
        &mut self,
        successors: &Graph,
        predecessors: &Graph,
        exits: &mut Vec<u32>,
        endless: &mut EndlessComponents,
    ) {
        self.walk(predecessors, exits);
        if self.vertices.len() <= successors.vertex_count() {
            endless.add_exits(successors, exits);
            self.walk(predecessors, exits);
        }
        self.find_dominators(successors, exits);
    }

    /// Finds the dominators of the vertices that were numbered.
    fn find_dominators(&mut self, predecessors: &Graph, roots: &[u32]) {
        let count = self.vertices.len();
        for list in [&mut self.bucket_first, &mut self.bucket_next] {
            list.clear();
            list.resize(count, NONE);
        }
        self.dominators.clone_from(&self.parents);
        self.semidominators.clone_from(&self.parents);
        // The vertex before all roots comes before those too that the walk reached from another.
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

    /// Numbers the vertices.
    fn walk(&mut self, successors: &Graph, roots: &[u32]) {
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
            while let Some((number, edge)) = self.way.last_mut() {
                let number = *number;
                let end = successors.edges_of(self.vertices[number as usize]).end;
                let mut edges = *edge..end;
                let new = edges
                    .find(|edge| self.numbers[successors.target(*edge) as usize] == NONE)
                    .map(|edge| successors.target(edge));
                *edge = edges.start;
                match new {
                    Some(successor) => self.reach(successors, successor, number),
                    None => drop(self.way.pop()),
                }
            }
        }
    }

    fn reach(&mut self, successors: &Graph, vertex: u32, parent: u32) {
        let number = self.vertices.len() as u32;
        self.numbers[vertex as usize] = number;
        self.vertices.push(vertex);
        self.parents.push(parent);
        self.way.push((number, successors.edges_of(vertex).start));
    }

    fn find_semidominator(&mut self, number: u32, predecessors: &Graph) {
        let parent = self.parents[number as usize];
        let mut least = self.semidominators[number as usize];
        for predecessor in predecessors.successors(self.vertices[number as usize]) {
            let other = self.numbers[*predecessor as usize];
            // Those that are not finished are their own semidominators so far.
            if other <= number {
                least = least.min(other);
            } else if other != NONE {
                least = least.min(self.best_link(other, number + 1).least);
            }
        }
        self.semidominators[number as usize] = least;
        self.links[number as usize].least = least;
        // Where it is the parent it is the dominator too, as `dominators` says already.
        if least != parent {
            self.bucket_next[number as usize] = self.bucket_first[least as usize];
            self.bucket_first[least as usize] = number;
        }
    }

    /// Finds the dominators, or vertices with the same dominators, of those whose semidominator is this number's parent.
    fn empty_bucket(&mut self, finished: u32) {
        let parent = self.parents[finished as usize];
        let mut number = std::mem::replace(&mut self.bucket_first[parent as usize], NONE);
        while number != NONE {
            let link = self.best_link(number, finished);
            self.dominators[number as usize] = if link.least < parent { link.best } else { parent };
            number = self.bucket_next[number as usize];
        }
    }

    /// The link of a finished number, once it leads to the root of its tree. `finished` is the first number that is
    /// finished. All links on the way become as short.
    fn best_link(&mut self, number: u32, finished: u32) -> Link {
        let mut link = self.links[number as usize];
        let mut lower = number;
        while link.ancestor >= finished {
            self.compressed.push(lower);
            lower = link.ancestor;
            link = self.links[lower as usize];
        }
        // From the top down; `link` is that of the number above.
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

    /// The immediate dominator of a vertex; [`NONE`] where it has none.
    pub(super) fn immediate_dominator(&self, vertex: u32) -> u32 {
        match self.numbers[vertex as usize] {
            NONE => NONE,
            number => self.vertices[self.dominators[number as usize] as usize],
        }
    }

    /// For each vertex its number; [`NONE`] where it was not reached.
    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// For each number its vertex.
    pub(super) fn vertices(&self) -> &[u32] {
        &self.vertices
    }

    /// For each number that of the vertex from which the walk came.
    pub(super) fn parents(&self) -> &[u32] {
        &self.parents
    }

    /// For each number that of its immediate dominator.
    pub(super) fn dominator_numbers(&self) -> &[u32] {
        &self.dominators
    }
}

/// Finds components that are never left.
#[derive(Debug, Default)]
pub(super) struct EndlessComponents {
    components: StrongComponents,
    is_left: Vec<bool>,
}

impl EndlessComponents {
    /// Adds the last vertex of each strong component that has no exit and no edge to another.
    fn add_exits(&mut self, graph: &Graph, exits: &mut Vec<u32>) {
        self.components.run(graph);
        let component = &self.components.component;
        self.is_left.clear();
        self.is_left.resize(self.components.count as usize, false);
        for exit in exits.iter() {
            self.is_left[component[*exit as usize] as usize] = true;
        }
        for (source, target) in graph.edges() {
            let own = component[source as usize];
            self.is_left[own as usize] |= own != component[target as usize];
        }
        for vertex in graph.vertices().rev() {
            let is_left = &mut self.is_left[component[vertex as usize] as usize];
            if !std::mem::replace(is_left, true) {
                exits.push(vertex);
            }
        }
    }
}
