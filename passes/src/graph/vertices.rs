//! Maps addresses to dense vertices.

use super::csr::{Graph, NONE};
use rayon::prelude::*;

/// Sorted keys, such as addresses; the vertex of a key is its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vertices {
    keys: Vec<u64>,
    /// For each value of a key's upper bits (relative to the first key) the index of the first key with it. There are
    /// about as many such buckets as keys, so a lookup searches few keys. For eight million edges between a million
    /// vertices this took a tenth of the time of a binary search over all keys, and less than half of that of sorting
    /// the edges on two threads.
    starts: Vec<u32>,
    /// Number of lower bits.
    shift: u32,
}

impl Vertices {
    /// The vertices of these keys, which may be unsorted and repeated.
    ///
    /// # Panics
    /// If there are 2^32 - 1 distinct keys or more: vertices have 32 bits.
    pub fn new(keys: impl IntoIterator<Item = u64>) -> Self {
        let mut keys: Vec<_> = keys.into_iter().collect();
        // Sources of edges are mostly sorted and repeated: this leaves fewer keys to sort.
        keys.dedup();
        if !keys.is_sorted() {
            keys.par_sort_unstable();
            keys.dedup();
        }
        assert!(keys.len() < NONE as usize, "a graph has fewer than 2^32 - 1 vertices");
        let width = match keys.as_slice() {
            [first, .., last] => last - first,
            _ => 0,
        };
        let shift = (0..64).find(|shift| width >> shift <= keys.len() as u64).unwrap_or(63);
        let mut starts = Vec::with_capacity((width >> shift) as usize + 2);
        for (vertex, key) in keys.iter().enumerate() {
            let bucket = ((key - keys[0]) >> shift) as usize;
            if starts.len() <= bucket {
                starts.resize(bucket + 1, vertex as u32);
            }
        }
        starts.push(keys.len() as u32);
        Self { keys, starts, shift }
    }

    /// The graph of an edge table, whose vertices are the sources and targets of its rows. Rows without a source or
    /// target are skipped.
    pub fn of_edges(edges: impl Iterator<Item = (Option<u64>, Option<u64>)> + Clone) -> (Self, Graph) {
        let whole = edges.clone().filter_map(|(source, target)| Some((source?, target?)));
        let vertices = Self::new(whole.clone().map(|edge| edge.0).chain(whole.map(|edge| edge.1)));
        let graph = vertices.graph(edges);
        (vertices, graph)
    }

    /// The graph of those rows of an edge table whose source and target are vertices.
    pub fn graph(&self, edges: impl Iterator<Item = (Option<u64>, Option<u64>)>) -> Graph {
        // Rows with the same source are mostly adjacent.
        let mut last = None;
        let mut source_of = |key: u64| match last {
            Some((last_key, vertex)) if last_key == key => vertex,
            _ => {
                let vertex = self.vertex(key);
                last = Some((key, vertex));
                vertex
            }
        };
        let edges = edges.filter_map(|(source, target)| Some((source_of(source?)?, self.vertex(target?)?)));
        Graph::from_edges(self.len(), edges)
    }

    /// The vertex of a key; `None` if the key is not a vertex.
    pub fn vertex(&self, key: u64) -> Option<u32> {
        let bucket = usize::try_from(key.checked_sub(*self.keys.first()?)? >> self.shift).ok()?;
        let (start, end) = (*self.starts.get(bucket)?, *self.starts.get(bucket.checked_add(1)?)?);
        let keys = &self.keys[start as usize..end as usize];
        keys.binary_search(&key).ok().map(|index| start + index as u32)
    }

    /// The key of a vertex.
    pub fn key(&self, vertex: u32) -> u64 {
        self.keys[vertex as usize]
    }

    /// The keys of all vertices, sorted.
    pub fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// Number of vertices.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no vertices.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_at_any_distance() {
        for keys in
            [vec![], vec![7], vec![0, u64::MAX], vec![1 << 63, 3, 6, (1 << 63) + 1, 3], vec![u64::MAX]]
        {
            let vertices = Vertices::new(keys.iter().copied());
            assert!(vertices.keys().is_sorted_by(|a, b| a < b));
            for key in keys {
                assert_eq!(vertices.key(vertices.vertex(key).unwrap()), key);
                for absent in [key.wrapping_add(2), key.wrapping_sub(4)] {
                    assert_eq!(vertices.vertex(absent), None);
                }
            }
        }
    }

    #[test]
    fn rows_without_a_source_or_target_are_skipped() {
        let rows = [(Some(30), Some(10)), (Some(20), None), (Some(10), Some(30)), (Some(30), Some(30))];
        let (vertices, graph) = Vertices::of_edges(rows.into_iter());
        assert_eq!(vertices.keys(), [10, 30]);
        assert!(graph.edges().eq([(0, 1), (1, 0), (1, 1)]));
        let known = Vertices::new([10, 20]);
        assert_eq!(known.graph(rows.into_iter()).edge_count(), 0);
    }
}
