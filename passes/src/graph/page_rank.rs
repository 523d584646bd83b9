//! How often a walk at random comes by.

use super::Graph;
use rayon::prelude::*;

/// Vertices whose values are added up by one thread. Fixed, so that sums are the same at any number of threads.
const CHUNK_VERTICES: usize = 4096;

/// How often each vertex is visited by a walk that never ends.
#[derive(Debug, Clone, PartialEq)]
pub struct PageRank {
    /// The part of all visits that go to each vertex.
    pub ranks: Vec<f64>,
    /// Number of rounds that were made.
    pub iterations: usize,
    /// By how much the last round changed the ranks, all changes added up.
    pub change: f64,
}

/// Ranks of the vertices of a graph, given also the reversed graph. The walk follows, with the probability `damping`, an
/// edge of the vertex where it is, and otherwise goes to any vertex, as it does from vertices without edges. Rounds end
/// when one changes the ranks by less than `tolerance` in all, or when there were `iterations_max`.
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
    // What each edge of a vertex carries. Gathering along reversed edges, every vertex is written by one thread.
    let mut carried = vec![0.0; vertex_count];
    while result.iterations < iterations_max {
        let stuck = distribute(&result.ranks, &out_degrees, &mut carried);
        let everywhere = (1.0 - damping + damping * stuck) / all;
        let changes: Vec<f64> = result
            .ranks
            .par_chunks_mut(CHUNK_VERTICES)
            .enumerate()
            .map(|(chunk, ranks)| {
                let first = chunk * CHUNK_VERTICES;
                let gather = |(place, rank): (usize, &mut f64)| {
                    let predecessors = reversed.successors((first + place) as u32).iter();
                    let visits: f64 = predecessors.map(|vertex| carried[*vertex as usize]).sum();
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

/// Divides the rank of each vertex among its edges; returns the ranks of those that have none.
fn distribute(ranks: &[f64], out_degrees: &[u32], carried: &mut [f64]) -> f64 {
    let chunks = ranks.par_chunks(CHUNK_VERTICES).zip(out_degrees.par_chunks(CHUNK_VERTICES));
    let stuck: Vec<f64> = chunks
        .zip(carried.par_chunks_mut(CHUNK_VERTICES))
        .map(|((ranks, out_degrees), carried)| {
            let mut stuck = 0.0;
            for ((rank, out_degree), carried) in ranks.iter().zip(out_degrees).zip(carried) {
                match out_degree {
                    0 => stuck += rank,
                    degree => *carried = rank / f64::from(*degree),
                }
            }
            stuck
        })
        .collect();
    stuck.iter().sum()
}
