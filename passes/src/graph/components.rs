//! Strongly connected components, and the union-find operation that other algorithms share.

use super::csr::{Graph, NONE};
use std::ops::Range;

/// A partition of the vertices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    /// The component of each vertex.
    pub component: Vec<u32>,
    /// Number of components.
    pub count: u32,
}

/// Strongly connected components: maximal sets of vertices that reach each other. They are numbered in reverse
/// topological order: an edge between two components goes to the one with the lower number.
pub fn strong_components(graph: &Graph) -> Components {
    let mut search = StrongComponents::default();
    search.run(graph);
    Components { component: search.component, count: search.count }
}

/// A vertex on the stack of a depth-first search, and the first of its edges that was not followed yet.
#[derive(Debug)]
struct DfsFrame {
    vertex: u32,
    order: u32,
    next_edge: usize,
}

/// Tarjan's algorithm with one value per vertex (Pearce, 2016): zero if it is unvisited; for an open vertex the order
/// of the earliest open vertex that it is known to reach; for a vertex of a complete component a value above all
/// orders. So an edge costs one comparison, whatever its target is.
#[derive(Debug, Default)]
pub(crate) struct StrongComponents {
    pub(crate) component: Vec<u32>,
    pub(super) count: u32,
    /// The visited vertices in postorder.
    pub(crate) postorder: Vec<u32>,
    stack: Vec<DfsFrame>,
    open: Vec<u32>,
}

impl StrongComponents {
    /// Computes the components of a graph, reusing the buffers.
    pub(super) fn run(&mut self, graph: &Graph) {
        self.run_from_all(graph, graph.vertices());
    }

    /// Computes the components of the vertices that a root reaches. The component of all others is [`NONE`].
    pub(crate) fn run_from(&mut self, graph: &Graph, root: u32) {
        self.run_from_all(graph, root..root + 1);
    }

    fn run_from_all(&mut self, graph: &Graph, roots: Range<u32>) {
        self.component.clear();
        self.component.resize(graph.vertex_count(), 0);
        self.count = 0;
        self.postorder.clear();
        for root in roots {
            if self.component[root as usize] == 0 {
                self.search(graph, root);
            }
        }
        for value in &mut self.component {
            *value = NONE - *value;
        }
    }

    fn search(&mut self, graph: &Graph, root: u32) {
        self.enter(graph, root);
        while let Some(frame) = self.stack.last_mut() {
            let (vertex, end) = (frame.vertex, graph.edges_of(frame.vertex).end);
            let mut earliest = self.component[vertex as usize];
            let mut unvisited = None;
            while frame.next_edge < end && unvisited.is_none() {
                let successor = graph.target(frame.next_edge);
                frame.next_edge += 1;
                match self.component[successor as usize] {
                    0 => unvisited = Some(successor),
                    value => earliest = earliest.min(value),
                }
            }
            self.component[vertex as usize] = earliest;
            match unvisited {
                Some(successor) => self.enter(graph, successor),
                None => self.leave(),
            }
        }
    }

    fn enter(&mut self, graph: &Graph, vertex: u32) {
        // The order counts open vertices only, so that it stays below the values of complete ones.
        self.open.push(vertex);
        let order = self.open.len() as u32;
        self.component[vertex as usize] = order;
        self.stack.push(DfsFrame { vertex, order, next_edge: graph.edges_of(vertex).start });
    }

    /// Backtracks by one vertex. A vertex that reaches none with a lower order completes a component: itself and all
    /// vertices opened since.
    fn leave(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        self.postorder.push(frame.vertex);
        let earliest = self.component[frame.vertex as usize];
        if earliest == frame.order {
            for vertex in self.open.drain(frame.order as usize - 1..) {
                self.component[vertex as usize] = NONE - self.count;
            }
            self.count += 1;
        } else if let Some(previous) = self.stack.last() {
            let value = &mut self.component[previous.vertex as usize];
            *value = earliest.min(*value);
        }
    }
}

/// The representative of the set that contains a vertex: union-find with path halving, which makes all searches
/// together nearly linear. A representative is its own parent.
pub(super) fn find_representative(parents: &mut [u32], mut vertex: u32) -> u32 {
    loop {
        let parent = parents[vertex as usize];
        if parent == vertex {
            return vertex;
        }
        let next = parents[parent as usize];
        parents[vertex as usize] = next;
        vertex = next;
    }
}
