//! Breadth-first and depth-first traversal.

use super::csr::{Graph, NONE};

/// The result of a breadth-first traversal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreadthFirst {
    /// The visited vertices, in the order of the visits.
    pub order: Vec<u32>,
    /// For each vertex the least number of edges from a root; [`NONE`] if it was not visited.
    pub levels: Vec<u32>,
    /// For each vertex its predecessor on such a shortest path: of several, the one visited first. [`NONE`] for roots
    /// and unvisited vertices.
    pub parents: Vec<u32>,
}

/// Traverses the graph from the roots, nearest vertices first.
pub fn breadth_first(graph: &Graph, roots: &[u32]) -> BreadthFirst {
    let vertex_count = graph.vertex_count();
    let mut found = BreadthFirst {
        order: Vec::with_capacity(vertex_count),
        levels: vec![NONE; vertex_count],
        parents: vec![NONE; vertex_count],
    };
    // One bit per vertex fits the nearest cache, where most edges turn out to go to a visited vertex.
    let mut is_visited = vec![0u64; vertex_count.div_ceil(64)];
    let mut visit = |vertex: u32| {
        let (word, bit) = (&mut is_visited[vertex as usize / 64], 1 << (vertex % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    };
    found.order.extend(roots.iter().filter(|root| visit(**root)));
    let (mut level, mut done) = (0, 0);
    while done < found.order.len() {
        let end = found.order.len();
        while done < end {
            let mut batch = [NONE; BATCH];
            let batch = &mut batch[..BATCH.min(end - done)];
            batch.copy_from_slice(&found.order[done..done + batch.len()]);
            prefetch(graph, batch);
            done += batch.len();
            for vertex in batch {
                found.levels[*vertex as usize] = level;
                for successor in graph.successors(*vertex) {
                    if visit(*successor) {
                        found.parents[*successor as usize] = *vertex;
                        found.order.push(*successor);
                    }
                }
            }
        }
        level += 1;
    }
    found
}

/// Vertices whose edges are fetched together.
const BATCH: usize = 32;

/// Reads the first edge of each vertex. The edges are far apart in memory; independent reads bring all of them into the
/// cache in little more than the time of one.
fn prefetch(graph: &Graph, vertices: &[u32]) {
    let mut starts = [0; BATCH];
    for (start, vertex) in starts.iter_mut().zip(vertices) {
        *start = graph.edges_of(*vertex).start;
    }
    let last = graph.edge_count().saturating_sub(1);
    let read = |sum: u32, start: &usize| sum ^ graph.target((*start).min(last));
    if graph.edge_count() > 0 {
        std::hint::black_box(starts.iter().fold(0, read));
    }
}

/// The result of a depth-first traversal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepthFirst {
    /// The visited vertices in preorder.
    pub preorder: Vec<u32>,
    /// The visited vertices in postorder.
    pub postorder: Vec<u32>,
    /// For each vertex the one from which it was visited; [`NONE`] for roots and unvisited vertices.
    pub parents: Vec<u32>,
}

/// Traverses the graph depth first from each root that was not visited from an earlier one, following edges in their
/// order.
pub fn depth_first(graph: &Graph, roots: impl IntoIterator<Item = u32>) -> DepthFirst {
    let vertex_count = graph.vertex_count();
    let mut found = DepthFirst {
        preorder: Vec::with_capacity(vertex_count),
        postorder: Vec::with_capacity(vertex_count),
        parents: vec![NONE; vertex_count],
    };
    let mut is_visited = vec![false; vertex_count];
    // The path from the root, each vertex with its edges that were not followed yet.
    let mut path = Vec::new();
    for root in roots {
        if std::mem::replace(&mut is_visited[root as usize], true) {
            continue;
        }
        found.preorder.push(root);
        path.push((root, graph.successors(root).iter()));
        while let Some((vertex, successors)) = path.last_mut() {
            let vertex = *vertex;
            match successors.find(|successor| !is_visited[**successor as usize]) {
                Some(successor) => {
                    is_visited[*successor as usize] = true;
                    found.preorder.push(*successor);
                    found.parents[*successor as usize] = vertex;
                    path.push((*successor, graph.successors(*successor).iter()));
                }
                None => {
                    found.postorder.push(vertex);
                    path.pop();
                }
            }
        }
    }
    found
}
