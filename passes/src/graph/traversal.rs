//! Walks over a graph: breadth first, depth first, and topologically.

use super::{Graph, NONE};

/// What a breadth-first walk reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreadthFirst {
    /// The vertices that were reached, in the order in which they were.
    pub order: Vec<u32>,
    /// For each vertex the least number of edges from a root; [`NONE`] where it was not reached.
    pub levels: Vec<u32>,
    /// For each vertex the one before it on such a way: of several, that which was reached first. [`NONE`] for roots and
    /// what was not reached.
    pub parents: Vec<u32>,
}

/// Walks from the roots, nearest vertices first.
pub fn breadth_first(graph: &Graph, roots: &[u32]) -> BreadthFirst {
    let vertex_count = graph.vertex_count();
    let mut walk = BreadthFirst {
        order: Vec::with_capacity(vertex_count),
        levels: vec![NONE; vertex_count],
        parents: vec![NONE; vertex_count],
    };
    // One bit a vertex stays in the nearest cache, where most edges are found to lead nowhere new.
    let mut is_reached = vec![0u64; vertex_count.div_ceil(64)];
    let mut reach = |vertex: u32| {
        let (word, bit) = (&mut is_reached[vertex as usize / 64], 1 << (vertex % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    };
    walk.order.extend(roots.iter().filter(|root| reach(**root)));
    let (mut level, mut done) = (0, 0);
    while done < walk.order.len() {
        let end = walk.order.len();
        while done < end {
            let mut ahead = [NONE; AHEAD];
            let ahead = &mut ahead[..AHEAD.min(end - done)];
            ahead.copy_from_slice(&walk.order[done..done + ahead.len()]);
            fetch(graph, ahead);
            done += ahead.len();
            for vertex in ahead {
                walk.levels[*vertex as usize] = level;
                for successor in graph.successors(*vertex) {
                    if reach(*successor) {
                        walk.parents[*successor as usize] = *vertex;
                        walk.order.push(*successor);
                    }
                }
            }
        }
        level += 1;
    }
    walk
}

/// Vertices whose edges are asked for together.
const AHEAD: usize = 32;

/// Reads the first edge of each vertex. Where edges lie is far apart and in no order; reads that do not wait for each other
/// have them all in the cache after little more than the time of one.
fn fetch(graph: &Graph, vertices: &[u32]) {
    let mut starts = [0; AHEAD];
    for (start, vertex) in starts.iter_mut().zip(vertices) {
        *start = graph.edges_of(*vertex).start;
    }
    let last = graph.edge_count().saturating_sub(1);
    let read = |sum: u32, start: &usize| sum ^ graph.target((*start).min(last));
    if graph.edge_count() > 0 {
        std::hint::black_box(starts.iter().fold(0, read));
    }
}

/// What a depth-first walk reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepthFirst {
    /// The vertices in the order in which they were reached.
    pub preorder: Vec<u32>,
    /// The vertices in the order in which they were left.
    pub postorder: Vec<u32>,
    /// For each vertex the one from which it was reached; [`NONE`] for roots and what was not reached.
    pub parents: Vec<u32>,
}

/// Walks from each root that was not reached from one before, taking edges in their order.
pub fn depth_first(graph: &Graph, roots: impl IntoIterator<Item = u32>) -> DepthFirst {
    let vertex_count = graph.vertex_count();
    let mut walk = DepthFirst {
        preorder: Vec::with_capacity(vertex_count),
        postorder: Vec::with_capacity(vertex_count),
        parents: vec![NONE; vertex_count],
    };
    let mut is_reached = vec![false; vertex_count];
    // The way from the root, each vertex with its edges that were not yet taken.
    let mut way = Vec::new();
    for root in roots {
        if std::mem::replace(&mut is_reached[root as usize], true) {
            continue;
        }
        walk.preorder.push(root);
        way.push((root, graph.successors(root).iter()));
        while let Some((vertex, successors)) = way.last_mut() {
            let vertex = *vertex;
            match successors.find(|successor| !is_reached[**successor as usize]) {
                Some(successor) => {
                    is_reached[*successor as usize] = true;
                    walk.preorder.push(*successor);
                    walk.parents[*successor as usize] = vertex;
                    way.push((*successor, graph.successors(*successor).iter()));
                }
                None => {
                    walk.postorder.push(vertex);
                    way.pop();
                }
            }
        }
    }
    walk
}

/// Vertices each of which has an edge to the next, and the last to the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<u32>);

/// The vertices in an order in which every edge leads forward, or a cycle where there is none.
pub fn topological_order(graph: &Graph) -> Result<Vec<u32>, Cycle> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        OnWay,
        Left,
    }
    let vertex_count = graph.vertex_count();
    let mut states = vec![State::New; vertex_count];
    let mut order = Vec::with_capacity(vertex_count);
    let mut way = Vec::new();
    // From the last root to the first, so that vertices without edges keep their order.
    for root in graph.vertices().rev() {
        if states[root as usize] != State::New {
            continue;
        }
        states[root as usize] = State::OnWay;
        way.push((root, graph.successors(root).iter()));
        while let Some((vertex, successors)) = way.last_mut() {
            match successors.find(|successor| states[**successor as usize] != State::Left) {
                Some(successor) if states[*successor as usize] == State::OnWay => {
                    let first = way.iter().position(|(vertex, _)| vertex == successor);
                    let cycle = &way[first.expect("the vertex is on the way")..];
                    return Err(Cycle(cycle.iter().map(|(vertex, _)| *vertex).collect()));
                }
                Some(successor) => {
                    states[*successor as usize] = State::OnWay;
                    way.push((*successor, graph.successors(*successor).iter()));
                }
                None => {
                    states[*vertex as usize] = State::Left;
                    order.push(*vertex);
                    way.pop();
                }
            }
        }
    }
    order.reverse();
    Ok(order)
}
