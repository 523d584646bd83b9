//! Graphs in the compressed sparse row form.

use rayon::prelude::*;

/// Edges below which one thread builds a graph sooner than several would.
const PARALLEL_EDGES_MIN: usize = 1 << 16;

/// A directed graph whose vertices are `0..vertex_count`. Loops and parallel edges are edges like others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Where the edges of each vertex begin in `targets`, and at last where all end.
    offsets: Vec<usize>,
    targets: Vec<u32>,
}

impl Default for Graph {
    fn default() -> Self {
        Self { offsets: vec![0], targets: Vec::new() }
    }
}

impl Graph {
    /// The graph with an edge from each source to the target at the same place. The edges of a vertex keep their order.
    ///
    /// # Panics
    /// Where the columns differ in length, or name a vertex that is not below `vertex_count`.
    pub fn new(vertex_count: usize, sources: &[u32], targets: &[u32]) -> Self {
        Self::with_payload(vertex_count, sources, targets, None::<&[()]>).0
    }

    /// The same, and the weights of the edges in the graph's order.
    pub fn weighted<W: Copy + Default + Send + Sync>(
        vertex_count: usize,
        sources: &[u32],
        targets: &[u32],
        weights: &[W],
    ) -> (Self, Vec<W>) {
        Self::with_payload(vertex_count, sources, targets, Some(weights))
    }

    /// The graph with these edges, each a source and a target.
    pub fn from_edges(vertex_count: usize, edges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let (sources, targets): (Vec<_>, Vec<_>) = edges.into_iter().unzip();
        Self::new(vertex_count, &sources, &targets)
    }

    /// Makes this the graph with these edges, in the memory that it has, on one thread.
    pub(crate) fn assign(&mut self, vertex_count: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) {
        // Counts stand one place behind their vertex's end, so that after summing up each offset is where the next edge
        // of the vertex before it goes; when all are placed, it is where that vertex ends.
        self.offsets.clear();
        self.offsets.resize(vertex_count + 2, 0);
        for (source, _) in edges.clone() {
            self.offsets[source as usize + 2] += 1;
        }
        sum_up(&mut self.offsets);
        self.targets.clear();
        self.targets.resize(self.offsets[vertex_count + 1], 0);
        for (source, target) in edges {
            assert!((target as usize) < vertex_count, "edges end at vertices");
            let place = &mut self.offsets[source as usize + 1];
            self.targets[*place] = target;
            *place += 1;
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
        let payload = |edge: usize| targets[edge];
        let placed = place(&offsets, &parts, sources, payload);
        let weights = weights.map_or_else(Vec::new, |weights| {
            let weight = |edge: usize| weights[edge];
            place(&offsets, &parts, sources, weight)
        });
        (Self { offsets, targets: placed }, weights)
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

    /// Where the edges of a vertex stand among all edges, and so their weights.
    #[inline]
    pub fn edges_of(&self, vertex: u32) -> std::ops::Range<usize> {
        self.offsets[vertex as usize]..self.offsets[vertex as usize + 1]
    }

    /// The target of an edge.
    #[inline]
    pub fn target(&self, edge: usize) -> u32 {
        self.targets[edge]
    }

    /// All edges, each a source and a target, in the order of their sources.
    pub fn edges(&self) -> impl Iterator<Item = (u32, u32)> + Clone + '_ {
        self.vertices().flat_map(|vertex| self.successors(vertex).iter().map(move |target| (vertex, *target)))
    }

    /// The graph whose edges go the other way. The edges of a vertex are in the order of their other ends.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self::new(self.vertex_count(), &self.targets, &self.sources())
    }

    /// The same, and the weights in its order.
    pub fn reversed_with<W: Copy + Default + Send + Sync>(&self, weights: &[W]) -> (Self, Vec<W>) {
        Self::weighted(self.vertex_count(), &self.targets, &self.sources(), weights)
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

fn sum_up(counts: &mut [usize]) {
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
    sum_up(&mut offsets);
    offsets
}

/// Runs of vertices with about as many edges each, one for each thread.
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

/// What each edge carries, in the order of the edges' sources. Each part looks at all edges and places its own: reading
/// them in order costs little beside placing them.
fn place<W: Copy + Default + Send>(
    offsets: &[usize],
    parts: &[std::ops::Range<usize>],
    sources: &[u32],
    payload: impl Fn(usize) -> W + Sync,
) -> Vec<W> {
    let mut placed = vec![W::default(); sources.len()];
    let mut rest = placed.as_mut_slice();
    let mut work = Vec::with_capacity(parts.len());
    for part in parts {
        let (own, behind) = rest.split_at_mut(offsets[part.end] - offsets[part.start]);
        work.push((part.clone(), own));
        rest = behind;
    }
    work.into_par_iter().for_each(|(part, own)| {
        let first = offsets[part.start];
        let mut places: Vec<_> = offsets[part.clone()].iter().map(|offset| offset - first).collect();
        for (edge, source) in sources.iter().enumerate() {
            if let Some(place) = places.get_mut((*source as usize).wrapping_sub(part.start)) {
                own[*place] = payload(edge);
                *place += 1;
            }
        }
    });
    placed
}
