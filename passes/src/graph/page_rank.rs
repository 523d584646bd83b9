//! The `PageRank` of vertices.

use super::csr::Graph;
use rayon::prelude::*;

/// Vertices whose values one thread adds up. Fixed, so that sums are the same for any number of threads.
const CHUNK_VERTICES: usize = 4096;

/// The stationary distribution of a random walk on a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct PageRank {
    /// The probability of each vertex.
    pub ranks: Vec<f64>,
    /// Number of iterations.
    pub iterations: usize,
    /// Sum of the absolute changes of the last iteration.
    pub change: f64,
}

/// The ranks of the vertices of a graph, given also the reversed graph (Brin and Page, 1998). With probability
/// `damping` the walk follows an edge of the current vertex; otherwise, and from vertices without edges, it moves to
/// any vertex. Iteration ends when the ranks change by less than `tolerance` in total, or after `iterations_max`.
pub fn page_rank(
    graph: &Graph,
    reversed: &Graph,
    damping: f64,
    tolerance: f64,
    iterations_max: usize,
) -> PageRank {
    let vertex_count = graph.vertex_count();
    let all = f64::from(vertex_count as u32);
    let mut result = PageRank { ranks: vec![1.0 / all; vertex_count], iterations: 0, change: 0.0 };
    if vertex_count == 0 {
        return result;
    }
    let out_degrees: Vec<_> = graph.vertices().map(|vertex| graph.successors(vertex).len() as u32).collect();
    // The rank that each edge of a vertex passes on. Gathering along reversed edges lets one thread write each vertex.
    let mut passed_on = vec![0.0; vertex_count];
    while result.iterations < iterations_max {
        let dangling = distribute(&result.ranks, &out_degrees, &mut passed_on);
        let everywhere = (1.0 - damping + damping * dangling) / all;
        let changes: Vec<f64> = result
            .ranks
            .par_chunks_mut(CHUNK_VERTICES)
            .enumerate()
            .map(|(chunk, ranks)| {
                let first = chunk * CHUNK_VERTICES;
                let gather = |(offset, rank): (usize, &mut f64)| {
                    let predecessors = reversed.successors((first + offset) as u32).iter();
                    let visits: f64 = predecessors.map(|vertex| passed_on[*vertex as usize]).sum();
                    let new = everywhere + damping * visits;
                    (new - std::mem::replace(rank, new)).abs()
                };
                ranks.iter_mut().enumerate().map(gather).sum()
            })
            .collect();
        result.iterations += 1;
        result.change = changes.iter().sum();
        if result.change < tolerance {
            break;
        }
    }
    result
}

/// Divides the rank of each vertex among its edges; returns the sum of the ranks of vertices without edges.
fn distribute(ranks: &[f64], out_degrees: &[u32], passed_on: &mut [f64]) -> f64 {
    let chunks = ranks.par_chunks(CHUNK_VERTICES).zip(out_degrees.par_chunks(CHUNK_VERTICES));
    let dangling: Vec<f64> = chunks
        .zip(passed_on.par_chunks_mut(CHUNK_VERTICES))
        .map(|((ranks, out_degrees), passed_on)| {
            let mut dangling = 0.0;
            for ((rank, out_degree), passed_on) in ranks.iter().zip(out_degrees).zip(passed_on) {
                match out_degree {
                    0 => dangling += rank,
                    degree => *passed_on = rank / f64::from(*degree),
                }
            }
            dangling
        })
        .collect();
    dangling.iter().sum()
}
