//! Which vertices belong together.

use super::{Graph, NONE};

/// A division of the vertices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    /// The component of each vertex.
    pub component: Vec<u32>,
    /// Number of components.
    pub count: u32,
}

/// Strongly connected components: vertices that reach each other. An edge from one component to another leads to one with
/// a lower number.
pub fn strong_components(graph: &Graph) -> Components {
    let mut search = StrongComponents::default();
    search.run(graph);
    Components { component: search.component, count: search.count }
}

/// A vertex on the way from where a search began, and its edges that were not yet taken.
#[derive(Debug)]
struct Step {
    vertex: u32,
    order: u32,
    next_edge: usize,
}

/// Tarjan's algorithm, with one value for each vertex (Pearce, 2016): zero for those that were not reached, for open ones
/// the order of the earliest that is known to be reached from there, and for those whose component is complete a value
/// above all orders. So an edge costs one look, whatever it leads to.
#[derive(Debug, Default)]
pub(crate) struct StrongComponents {
    pub(crate) component: Vec<u32>,
    pub(super) count: u32,
    /// The vertices that were reached, in the order in which the search left them.
    pub(crate) postorder: Vec<u32>,
    way: Vec<Step>,
    open: Vec<u32>,
}

impl StrongComponents {
    /// Finds the components of a graph, in the memory that it has.
    pub(super) fn run(&mut self, graph: &Graph) {
        self.run_from_all(graph, graph.vertices());
    }

    /// Finds the components of the vertices that one reaches. The component of others is [`NONE`].
    pub(crate) fn run_from(&mut self, graph: &Graph, root: u32) {
        self.run_from_all(graph, root..root + 1);
    }

    fn run_from_all(&mut self, graph: &Graph, roots: std::ops::Range<u32>) {
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
        while let Some(step) = self.way.last_mut() {
            let (vertex, end) = (step.vertex, graph.edges_of(step.vertex).end);
            let mut earliest = self.component[vertex as usize];
            let mut new = None;
            while step.next_edge < end && new.is_none() {
                let successor = graph.target(step.next_edge);
                step.next_edge += 1;
                match self.component[successor as usize] {
                    0 => new = Some(successor),
                    value => earliest = earliest.min(value),
                }
            }
            self.component[vertex as usize] = earliest;
            match new {
                Some(successor) => self.enter(graph, successor),
                None => self.leave(),
            }
        }
    }

    fn enter(&mut self, graph: &Graph, vertex: u32) {
        // Orders are those among open vertices, so that they stay below the values of complete ones.
        self.open.push(vertex);
        let order = self.open.len() as u32;
        self.component[vertex as usize] = order;
        self.way.push(Step { vertex, order, next_edge: graph.edges_of(vertex).start });
    }

    /// Goes back by one step. A vertex that reaches none before it completes a component with all that were opened since.
    fn leave(&mut self) {
        let Some(step) = self.way.pop() else { return };
        self.postorder.push(step.vertex);
        let earliest = self.component[step.vertex as usize];
        if earliest == step.order {
            for vertex in self.open.drain(step.order as usize - 1..) {
                self.component[vertex as usize] = NONE - self.count;
            }
            self.count += 1;
        } else if let Some(previous) = self.way.last() {
            let value = &mut self.component[previous.vertex as usize];
            *value = earliest.min(*value);
        }
    }
}

/// Weakly connected components: vertices that reach each other where edges are taken both ways. They are numbered in the
/// order of their first vertices.
pub fn weak_components(graph: &Graph) -> Components {
    // Each vertex refers to one of its component that is not behind it, the first to itself.
    let mut earlier: Vec<u32> = graph.vertices().collect();
    for vertex in graph.vertices() {
        let mut first = first_of(&mut earlier, vertex);
        for successor in graph.successors(vertex) {
            // Most edges of large components are inside of what is joined already.
            if earlier[*successor as usize] == first {
                continue;
            }
            let other = first_of(&mut earlier, *successor);
            let (low, high) = (first.min(other), first.max(other));
            earlier[high as usize] = low;
            first = low;
        }
    }
    let mut count = 0;
    for vertex in 0..earlier.len() {
        let before = earlier[vertex] as usize;
        // What lies before has its number already.
        earlier[vertex] = if before == vertex { count } else { earlier[before] };
        count += u32::from(before == vertex);
    }
    Components { component: earlier, count }
}

/// The first vertex of a component. Ways to it are halved, so that all searches together take nearly linear time.
pub(super) fn first_of(earlier: &mut [u32], mut vertex: u32) -> u32 {
    loop {
        let before = earlier[vertex as usize];
        if before == vertex {
            return vertex;
        }
        let next = earlier[before as usize];
        earlier[vertex as usize] = next;
        vertex = next;
    }
}
