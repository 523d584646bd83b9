//! Layered graph layout: `(node sizes, edges, entry) -> node positions, edge routes`.
//!
//! *Problem.* Draw a control-flow graph from top to bottom so that most edges point down and few of them cross.
//!
//! *Notation.* A layer is a row of vertices. A vertex is a node of the graph, or a bend: a dummy vertex in a layer that an
//! edge passes through. A chain is an edge as the vertices that it connects, from top to bottom, one per layer.
//!
//! *Algorithm.* (1) Order the nodes by reverse postorder of a depth-first search from the entry; an edge against this order
//! is laid out upside down, so that no cycle is left. (2) Put each node in the layer below the lowest of its predecessors.
//! (3) Split edges into chains. (4) `rust-sugiyama` orders the vertices of each layer and assigns horizontal positions. It
//! gets one connected acyclic graph whose edges all lead to the next layer: inputs on which it cannot fail. (5) Spread the
//! ends of edges along the sides of their nodes, in the order of the next vertices.
//!
//! *Cost.* Steps 1 to 3 and 5 are linear, up to sorting. Step 4 dominates and limits the size of a graph: see the limits
//! below. The result does not depend on threads or hash order.
//!
//! *Reference.* K. Sugiyama, S. Tagawa, M. Toda (1981), Methods for visual understanding of hierarchical system structures.

use binframe::graph::{Graph, depth_first};
use rust_sugiyama::configure::{Config, RankingType};
use std::fmt;

/// Vertices that are laid out. The worst graph, two layers of 2000, takes 3 s.
const VERTICES_MAX: usize = 4_000;

/// Vertices up to which neighbours are exchanged while that reduces crossings. The worst case is cubic: 8 s for 2000.
const EXCHANGED_MAX: usize = 1_000;

/// Space between neighbours of a layer.
const GAP_X: f64 = 24.0;

/// Space between layers.
const GAP_Y: f64 = 48.0;

/// Length of the straight segment at each end of an edge.
const END: f64 = 10.0;

/// Positions of nodes and edges.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The upper left corner of each node.
    pub(super) corners: Vec<(f64, f64)>,
    /// The straight segments of each edge, from source to target; curves connect them. Empty for a self-loop.
    pub(super) routes: Vec<Vec<Segment>>,
}

/// Start and end of a straight segment.
pub(super) type Segment = ((f64, f64), (f64, f64));

/// The error that a graph has more vertices than [`VERTICES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge {
    nodes: usize,
    vertices: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, vertices } = self;
        write!(
            formatter,
            "the graph has {nodes} nodes and {} bends of edges, and svg allows {VERTICES_MAX} in total; \
             use --format dot, and `dot -Tsvg` of Graphviz",
            vertices - nodes
        )
    }
}

/// A count as a coordinate.
pub(super) fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Lays out nodes of these widths and heights; `entry` is the node where the function begins.
pub(super) fn layout(
    sizes: &[(f64, f64)],
    edges: &[(usize, usize)],
    entry: usize,
) -> Result<Layout, TooLarge> {
    if sizes.is_empty() {
        return Ok(Layout::default());
    }
    let (order, layers) = layers(sizes.len(), edges, entry);
    let edge_chains = EdgeChains::new(sizes.len(), edges, &order, &layers)?;
    let centers = edge_chains.centers(sizes);
    let mut heights = vec![0.0_f64; layers.iter().max().map_or(0, |last| last + 1)];
    for (size, layer) in sizes.iter().zip(&layers) {
        heights[*layer] = heights[*layer].max(size.1);
    }
    let mut tops = vec![GAP_Y / 2.0];
    for height in &heights {
        tops.push(tops[tops.len() - 1] + height + GAP_Y);
    }
    let corners = (0..sizes.len()).map(|node| (centers[node] - sizes[node].0 / 2.0, tops[layers[node]]));
    let corners: Vec<_> = corners.collect();
    let right = corners.iter().zip(sizes).map(|(corner, size)| corner.0 + size.0);
    let ends = edge_chains.ends(sizes, &centers);
    let mut routes = Vec::new();
    for ((edge, chain), (start, end)) in edges.iter().zip(&edge_chains.chains).zip(ends) {
        let mut route = Vec::new();
        for (position, vertex) in chain.iter().enumerate() {
            let layer = edge_chains.layers[*vertex];
            let (top, bottom) = (tops[layer], tops[layer] + heights[layer]);
            route.push(match sizes.get(*vertex) {
                Some(size) if position == 0 => ((start, top + size.1), (start, bottom + END)),
                Some(_) => ((end, top - END), (end, top)),
                None => ((centers[*vertex], top), (centers[*vertex], bottom)),
            });
        }
        if order[edge.0] > order[edge.1] {
            route = route.into_iter().rev().map(|(upper, lower)| (lower, upper)).collect();
        }
        routes.push(route);
    }
    let width = right.chain(centers.iter().copied()).fold(0.0, f64::max) + 2.0 * GAP_X;
    Ok(Layout { width, height: tops[heights.len()], corners, routes })
}

/// The position of each node in reverse postorder, and its layer: below the layers of all its predecessors, back edges
/// aside.
fn layers(count: usize, edges: &[(usize, usize)], entry: usize) -> (Vec<usize>, Vec<usize>) {
    let graph = Graph::from_edges(count, edges.iter().map(|(from, to)| (*from as u32, *to as u32)));
    let search = depth_first(&graph, std::iter::once(entry as u32).chain(graph.vertices()));
    let mut order = vec![0; count];
    let mut layers = vec![0; count];
    for (position, vertex) in search.postorder.iter().rev().enumerate() {
        order[*vertex as usize] = position;
    }
    let mut forward: Vec<_> = edges.iter().map(|(one, other)| by_order(&order, *one, *other)).collect();
    forward.sort_unstable_by_key(|(upper, _)| order[*upper]);
    for (upper, lower) in forward {
        if upper != lower {
            layers[lower] = layers[lower].max(layers[upper] + 1);
        }
    }
    (order, layers)
}

fn by_order(order: &[usize], one: usize, other: usize) -> (usize, usize) {
    if order[one] <= order[other] { (one, other) } else { (other, one) }
}

/// The edges as chains of vertices in adjacent layers: a node, bends, a node.
struct EdgeChains {
    /// The vertices of each edge, from top to bottom. Empty for a self-loop.
    chains: Vec<Vec<usize>>,
    /// The layer of each vertex: first of the nodes, then of the bends.
    layers: Vec<usize>,
    node_layers: Vec<usize>,
}

impl EdgeChains {
    fn new(
        nodes: usize,
        edges: &[(usize, usize)],
        order: &[usize],
        layers: &[usize],
    ) -> Result<Self, TooLarge> {
        let ordered = || edges.iter().map(|(one, other)| by_order(order, *one, *other));
        let bends = ordered().map(|(upper, lower)| (layers[lower] - layers[upper]).saturating_sub(1));
        let vertices = nodes + bends.sum::<usize>();
        if vertices > VERTICES_MAX {
            return Err(TooLarge { nodes, vertices });
        }
        let mut all = layers.to_vec();
        let mut chains = Vec::new();
        for (upper, lower) in ordered() {
            let mut chain = Vec::new();
            if upper != lower {
                chain.push(upper);
                for layer in layers[upper] + 1..layers[lower] {
                    chain.push(all.len());
                    all.push(layer);
                }
                chain.push(lower);
            }
            chains.push(chain);
        }
        Ok(Self { chains, layers: all, node_layers: layers.to_vec() })
    }

    /// The horizontal center of each vertex.
    fn centers(&self, sizes: &[(f64, f64)]) -> Vec<f64> {
        let root = self.layers.len();
        let bends = std::iter::repeat_n((1.0, 1.0), root - sizes.len());
        let vertices = sizes.iter().copied().chain(bends).chain([(1.0, 1.0)]);
        let vertices: Vec<_> = (0..).zip(vertices).collect();
        let links = self.chains.iter().flat_map(|chain| chain.windows(2));
        let links = links.map(|pair| (pair[0] as u32, pair[1] as u32));
        // A root above the first layer connects the graph and keeps every vertex in its layer.
        let tops = (0..sizes.len()).filter(|node| self.node_layers[*node] == 0);
        let mut links: Vec<_> = links.chain(tops.map(|top| (root as u32, top as u32))).collect();
        links.sort_unstable();
        links.dedup();
        let config = Config {
            vertex_spacing: GAP_X,
            ranking_type: RankingType::Up,
            transpose: vertices.len() <= EXCHANGED_MAX,
            ..Config::default()
        };
        let mut centers = vec![0.0; root + 1];
        for (placed, ..) in rust_sugiyama::from_vertices_and_edges(&vertices, &links, &config) {
            for (vertex, (x, _)) in placed {
                centers[vertex] = x;
            }
        }
        centers.pop();
        let left = |vertex: usize| centers[vertex] - sizes.get(vertex).map_or(0.0, |size| size.0 / 2.0);
        let leftmost = (0..centers.len()).map(left).fold(f64::INFINITY, f64::min);
        centers.iter().map(|x| x - leftmost + GAP_X).collect()
    }

    /// For each edge, the horizontal positions of its ends at its upper and its lower node: spread along the side of the
    /// node, in the order of the next vertices.
    fn ends(&self, sizes: &[(f64, f64)], centers: &[f64]) -> Vec<(f64, f64)> {
        let mut ends = vec![(0.0, 0.0); self.chains.len()];
        // The ends of edges at the sides of nodes: the node, whether it is the lower side, the center of the next vertex, the edge.
        let mut sides = Vec::new();
        for (edge, chain) in self.chains.iter().enumerate() {
            if let [upper, next, ..] = chain[..] {
                sides.push((upper, true, centers[next], edge));
            }
            if let [.., next, lower] = chain[..] {
                sides.push((lower, false, centers[next], edge));
            }
        }
        sides.sort_by(|one, other| {
            let side = (one.0, one.1).cmp(&(other.0, other.1));
            side.then(one.2.total_cmp(&other.2)).then(one.3.cmp(&other.3))
        });
        for side in sides.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let (node, is_bottom, ..) = side[0];
            let step = (sizes[node].0 / float(side.len() + 1)).min(2.0 * END);
            let first = centers[node] - step * float(side.len() - 1) / 2.0;
            for (position, (.., edge)) in side.iter().enumerate() {
                let x = first + step * float(position);
                match is_bottom {
                    true => ends[*edge].0 = x,
                    false => ends[*edge].1 = x,
                }
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::{TooLarge, VERTICES_MAX, float, layout};

    /// Edges of a graph of `count` nodes, with loops, parallel edges, and nodes without edges.
    fn edges(count: usize, seed: usize) -> Vec<(usize, usize)> {
        let mut state = seed as u64 + 1;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % below
        };
        let mut edges = Vec::new();
        for node in 0..count {
            let near = (node + next(5)).min(count - 1);
            match next(8) {
                0 => {}
                1 => edges.push((node, next(count))),
                2 => edges.extend([(node, near), (node, near), (near, node)]),
                _ => edges.extend([(node, (node + 1).min(count - 1)), (node, near)]),
            }
        }
        edges
    }

    #[test]
    fn nodes_do_not_overlap_and_edges_end_at_their_nodes() {
        for seed in 0..200 {
            let count = 1 + seed % 40;
            let sizes: Vec<_> =
                (0..count).map(|node| (30.0 + float(node * 37 % 200), 20.0 + float(node))).collect();
            let edges = edges(count, seed);
            let placed = layout(&sizes, &edges, seed % count).expect("the graph is small");
            let box_of = |node: usize| {
                let ((x, y), (width, height)) = (placed.corners[node], sizes[node]);
                (x, y, x + width, y + height)
            };
            for node in 0..count {
                let one = box_of(node);
                assert!(one.0 >= 0.0 && one.1 >= 0.0 && one.2 <= placed.width && one.3 <= placed.height);
                for other in (0..node).map(box_of) {
                    let is_apart =
                        one.2 <= other.0 || other.2 <= one.0 || one.3 <= other.1 || other.3 <= one.1;
                    assert!(is_apart, "{one:?} {other:?} of {edges:?}");
                }
            }
            let touches = |node: usize, (x, y): (f64, f64)| {
                let (left, top, right, bottom) = box_of(node);
                x >= left && x <= right && ((y - top).abs() < 0.01 || (y - bottom).abs() < 0.01)
            };
            assert_eq!(placed.routes.len(), edges.len());
            for ((from, to), route) in edges.iter().zip(&placed.routes) {
                match &route[..] {
                    [] => assert_eq!(from, to),
                    [first, .., last] => {
                        assert!(touches(*from, first.0) && touches(*to, last.1), "{route:?}");
                    }
                    [_] => panic!("{route:?}"),
                }
            }
            let again = layout(&sizes, &edges, seed % count).expect("the graph is small");
            assert_eq!((placed.corners, placed.routes), (again.corners, again.routes));
        }
    }

    #[test]
    fn graphs_without_nodes_are_drawn_and_large_graphs_are_refused() {
        assert!(layout(&[], &[], 0).is_ok_and(|placed| placed.corners.is_empty()));
        let nodes = VERTICES_MAX + 1;
        let too_large = layout(&vec![(1.0, 1.0); nodes], &[], 0).expect_err("the graph is large");
        assert_eq!(too_large, TooLarge { nodes, vertices: nodes });
        // A long edge has a bend in each layer that it passes through.
        let chain = (1..1_000).flat_map(|node| [(node - 1, node), (node, 0)]);
        assert!(layout(&vec![(1.0, 1.0); 1_000], &chain.collect::<Vec<_>>(), 0).is_err());
    }
}
