//! Shortest paths from one vertex, by Dijkstra's algorithm.

use super::{Graph, NONE};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Distances while they are looked for: integers whose order is that of the distances.
type Rank = u64;

/// How long an edge is.
pub trait Weight: Copy {
    /// How long a path is.
    type Distance: Copy + PartialOrd;
    /// Whether paths do not become shorter by such an edge.
    fn is_valid(self) -> bool;
    /// The rank of a path with this edge at its end.
    fn behind(self, rank: Rank) -> Rank;
    /// The distance of a rank; of the greatest rank, that of what is not reached.
    fn distance(rank: Rank) -> Self::Distance;
}

impl Weight for u32 {
    type Distance = u64;

    fn is_valid(self) -> bool {
        true
    }

    fn behind(self, rank: Rank) -> Rank {
        rank.saturating_add(u64::from(self))
    }

    fn distance(rank: Rank) -> u64 {
        rank
    }
}

/// Floating-point numbers that are not negative are in the order of their bits.
impl Weight for f64 {
    type Distance = f64;

    fn is_valid(self) -> bool {
        self >= 0.0
    }

    fn behind(self, rank: Rank) -> Rank {
        // Minus zero is valid and has to become zero.
        (f64::from_bits(rank) + self).abs().to_bits()
    }

    fn distance(rank: Rank) -> f64 {
        if rank == Rank::MAX { f64::INFINITY } else { f64::from_bits(rank) }
    }
}

/// The shortest paths from one vertex.
#[derive(Debug, Clone, PartialEq)]
pub struct ShortestPaths<D> {
    /// For each vertex the length of a shortest path to it; the greatest value where none leads there.
    pub distances: Vec<D>,
    /// For each vertex the one before it on such a path; [`NONE`] for the root and what was not reached.
    pub parents: Vec<u32>,
}

/// Shortest paths from a root to all vertices.
///
/// # Panics
/// Where a weight is negative or no number.
pub fn shortest_paths<W: Weight>(graph: &Graph, weights: &[W], root: u32) -> ShortestPaths<W::Distance> {
    assert_eq!(weights.len(), graph.edge_count(), "an edge has a weight");
    assert!(weights.iter().all(|weight| weight.is_valid()), "weights are numbers from zero on");
    let mut ranks = vec![Rank::MAX; graph.vertex_count()];
    let mut parents = vec![NONE; graph.vertex_count()];
    let mut nearest = BinaryHeap::from([Reverse((0, root))]);
    ranks[root as usize] = 0;
    while let Some(Reverse((rank, vertex))) = nearest.pop() {
        if rank > ranks[vertex as usize] {
            continue;
        }
        for edge in graph.edges_of(vertex) {
            let (successor, behind) = (graph.target(edge), weights[edge].behind(rank));
            if behind < ranks[successor as usize] {
                ranks[successor as usize] = behind;
                parents[successor as usize] = vertex;
                nearest.push(Reverse((behind, successor)));
            }
        }
    }
    ShortestPaths { distances: ranks.into_iter().map(W::distance).collect(), parents }
}
