//! Graphs in compressed sparse row form.

use rayon::prelude::*;

/// Marks a missing vertex.
pub const NONE: u32 = u32::MAX;

/// With fewer edges, one thread builds a graph faster than several.
const PARALLEL_EDGES_MIN: usize = 1 << 16;

/// A directed graph whose vertices are `0..vertex_count`. Self-loops and parallel edges are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// For each vertex the index in `targets` of its first edge; then the number of edges.
    offsets: Vec<usize>,
    targets: Vec<u32>,
}

impl Default for Graph {
    fn default() -> Self {
        Self { offsets: vec![0], targets: Vec::new() }
    }
}

impl Graph {
    /// The graph with an edge from each source to the target at the same index. The edges of a vertex keep their order.
    ///
    /// # Panics
    /// If the columns differ in length, or a vertex is not below `vertex_count`.
    pub fn new(vertex_count: usize, sources: &[u32], targets: &[u32]) -> Self {
        Self::with_payload(vertex_count, sources, targets, None::<&[()]>).0
    }

    /// The graph that [`Graph::new`] builds, and the edge weights in its edge order.
    pub fn weighted<W: Copy + Default + Send + Sync>(
        vertex_count: usize,
        sources: &[u32],
        targets: &[u32],
        weights: &[W],
    ) -> (Self, Vec<W>) {
        Self::with_payload(vertex_count, sources, targets, Some(weights))
    }

    /// The graph with these edges, each a (source, target) pair.
    pub fn from_edges(vertex_count: usize, edges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let (sources, targets): (Vec<_>, Vec<_>) = edges.into_iter().unzip();
        Self::new(vertex_count, &sources, &targets)
    }

    /// Replaces this graph by the graph with these edges, reusing the buffers, on one thread.
    pub(crate) fn assign(&mut self, vertex_count: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) {
        // Each count is stored two entries after its vertex, so that after the prefix sum entry `vertex + 1` is the
        // index for the vertex's next edge; once all edges are placed, it is the end of its edges.
        self.offsets.clear();
        self.offsets.resize(vertex_count + 2, 0);
        for (source, _) in edges.clone() {
            self.offsets[source as usize + 2] += 1;
        }
        prefix_sum(&mut self.offsets);
        self.targets.clear();
        self.targets.resize(self.offsets[vertex_count + 1], 0);
        for (source, target) in edges {
            assert!((target as usize) < vertex_count, "edges end at vertices");
            let next = &mut self.offsets[source as usize + 1];
            self.targets[*next] = target;
            *next += 1;
        }
        self.offsets.pop();
    }

    fn with_payload<W: Copy + Default + Send + Sync>(
        vertex_count: usize,
        sources: &[u32],
        targets: &[u32],
        weights: Option<&[W]>,
    ) -> (Self, Vec<W>) {
        assert_eq!(sources.len(), targets.len(), "an edge has a source and a target");
        let weight_count = weights.map_or(sources.len(), <[W]>::len);
        assert_eq!(weight_count, sources.len(), "an edge has a weight");
        let is_vertex = |vertex: &u32| (*vertex as usize) < vertex_count;
        assert!(sources.iter().all(is_vertex) && targets.iter().all(is_vertex), "edges join vertices");
        let offsets = offsets(vertex_count, sources);
        if sources.is_sorted() {
            let weights = weights.map_or_else(Vec::new, <[W]>::to_vec);
            return (Self { offsets, targets: targets.to_vec() }, weights);
        }
        let parts = parts(&offsets, sources.len());
        let target = |edge: usize| targets[edge];
        let sorted_targets = scatter(&offsets, &parts, sources, target);
        let weights = weights.map_or_else(Vec::new, |weights| {
            let weight = |edge: usize| weights[edge];
            scatter(&offsets, &parts, sources, weight)
        });
        (Self { offsets, targets: sorted_targets }, weights)
    }

    /// Number of vertices.
    pub fn vertex_count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of edges.
    pub fn edge_count(&self) -> usize {
        self.targets.len()
    }

    /// All vertices.
    pub fn vertices(&self) -> std::ops::Range<u32> {
        0..self.vertex_count() as u32
    }

    /// The targets of the edges of a vertex.
    #[inline]
    pub fn successors(&self, vertex: u32) -> &[u32] {
        &self.targets[self.edges_of(vertex)]
    }

    /// The indices of the edges of a vertex, which are also those of their weights.
    #[inline]
    pub fn edges_of(&self, vertex: u32) -> std::ops::Range<usize> {
        self.offsets[vertex as usize]..self.offsets[vertex as usize + 1]
    }

    /// The target of an edge.
    #[inline]
    pub fn target(&self, edge: usize) -> u32 {
        self.targets[edge]
    }

    /// All edges as (source, target) pairs, sorted by source.
    pub fn edges(&self) -> impl Iterator<Item = (u32, u32)> + Clone + '_ {
        self.vertices().flat_map(|vertex| self.successors(vertex).iter().map(move |target| (vertex, *target)))
    }

    /// The reversed graph. The edges of a vertex are sorted by their targets.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self::new(self.vertex_count(), &self.targets, &self.sources())
    }

    /// The source of each edge.
    fn sources(&self) -> Vec<u32> {
        let mut sources = Vec::with_capacity(self.edge_count());
        for vertex in self.vertices() {
            sources.resize(self.offsets[vertex as usize + 1], vertex);
        }
        sources
    }
}

fn prefix_sum(counts: &mut [usize]) {
    let mut sum = 0;
    for count in counts {
        sum += *count;
        *count = sum;
    }
}

fn offsets(vertex_count: usize, sources: &[u32]) -> Vec<usize> {
    let mut offsets = vec![0; vertex_count + 1];
    for source in sources {
        offsets[*source as usize + 1] += 1;
    }
    prefix_sum(&mut offsets);
    offsets
}

/// Contiguous ranges of vertices with about the same number of edges, one per thread.
fn parts(offsets: &[usize], edge_count: usize) -> Vec<std::ops::Range<usize>> {
    let vertex_count = offsets.len() - 1;
    let part_count = if edge_count < PARALLEL_EDGES_MIN { 1 } else { rayon::current_num_threads() };
    let bound = |part: usize| match part {
        0 => 0,
        part if part == part_count => vertex_count,
        part => offsets.partition_point(|offset| *offset < edge_count / part_count * part).min(vertex_count),
    };
    (0..part_count).map(|part| bound(part)..bound(part + 1)).collect()
}

/// The payload of each edge, sorted by source. Each part scans all edges and places its own: sequential reads cost
/// little compared with the scattered writes.
fn scatter<W: Copy + Default + Send>(
    offsets: &[usize],
    parts: &[std::ops::Range<usize>],
    sources: &[u32],
    payload: impl Fn(usize) -> W + Sync,
) -> Vec<W> {
    let mut placed = vec![W::default(); sources.len()];
    let mut rest = placed.as_mut_slice();
    let mut work = Vec::with_capacity(parts.len());
    for part in parts {
        let (own, others) = rest.split_at_mut(offsets[part.end] - offsets[part.start]);
        work.push((part.clone(), own));
        rest = others;
    }
    work.into_par_iter().for_each(|(part, own)| {
        let first = offsets[part.start];
        let mut next: Vec<_> = offsets[part.clone()].iter().map(|offset| offset - first).collect();
        for (edge, source) in sources.iter().enumerate() {
            if let Some(next) = next.get_mut((*source as usize).wrapping_sub(part.start)) {
                own[*next] = payload(edge);
                *next += 1;
            }
        }
    });
    placed
}
