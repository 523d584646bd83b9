//! Algorithms on any graph.

use super::{edges, graph, reached, reverse};
use binframe_passes::graph::{
    Graph, NONE, Vertices, breadth_first, depth_first, page_rank, strong_components,
};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

/// For each vertex the least number of edges from the root, by the algorithm of Bellman and Ford; `None` if it is
/// unreached.
fn levels(count: usize, edges: &[(u32, u32)], root: u32) -> Vec<Option<u32>> {
    let mut levels = vec![None; count];
    levels[root as usize] = Some(0);
    for _ in 0..count {
        for (source, target) in edges {
            let through = levels[*source as usize].map(|level: u32| level + 1);
            let own = levels[*target as usize];
            levels[*target as usize] = [own, through].into_iter().flatten().min();
        }
    }
    levels
}

proptest! {
    #[test]
    fn a_graph_has_the_edges_it_was_built_from((count, edges) in edges()) {
        let made = graph(count, &edges);
        let mut expected = edges.clone();
        expected.sort_by_key(|edge| edge.0);
        prop_assert!(made.edges().eq(expected));
        let mut reversed = reverse(&edges);
        reversed.sort_unstable();
        prop_assert!(made.reversed().edges().eq(reversed));
        let (sources, targets): (Vec<_>, Vec<_>) = edges.iter().copied().unzip();
        let (weighted, weights) = Graph::weighted(count, &sources, &targets, &targets);
        prop_assert!(weighted.edges().map(|edge| edge.1).eq(weights.iter().copied()));
    }

    #[test]
    fn addresses_are_vertices_sorted_by_address((count, edges) in edges(), unit in 1u64..1 << 60, first: u32) {
        let address = |vertex: u32| u64::from(vertex) * unit + u64::from(first);
        let rows = edges.iter().map(|edge| (Some(address(edge.0)), Some(address(edge.1))));
        let all = Vertices::new((0..count as u32).map(address));
        prop_assert_eq!(all.graph(rows.clone()), graph(count, &edges));
        let (vertices, found) = Vertices::of_edges(rows);
        let addresses = found.edges().map(|edge| (vertices.key(edge.0), vertices.key(edge.1)));
        let mut expected = edges.clone();
        expected.sort_by_key(|edge| edge.0);
        prop_assert!(addresses.eq(expected.iter().map(|edge| (address(edge.0), address(edge.1)))));
    }

    #[test]
    fn traversals_visit_the_reachable_vertices((count, edges) in edges()) {
        let graph = graph(count, &edges);
        let expected = reached(count, &edges, &[0], None);
        let found = breadth_first(&graph, &[0]);
        let levels = levels(count, &edges, 0);
        for vertex in 0..count {
            prop_assert_eq!(found.order.contains(&(vertex as u32)), expected[vertex]);
            let level = levels[vertex].unwrap_or(NONE);
            prop_assert_eq!(found.levels[vertex], level);
            if found.parents[vertex] != NONE {
                prop_assert_eq!(found.levels[found.parents[vertex] as usize] + 1, level);
                prop_assert!(edges.contains(&(found.parents[vertex], vertex as u32)));
            }
        }
        prop_assert!(found.order.is_sorted_by_key(|vertex| found.levels[*vertex as usize]));

        let found = depth_first(&graph, [0]);
        let place = |order: &[u32], vertex: u32| order.iter().position(|other| *other == vertex);
        let mut sorted = found.preorder.clone();
        sorted.sort_unstable();
        prop_assert!(sorted.iter().copied().eq((0..count as u32).filter(|vertex| expected[*vertex as usize])));
        for (source, target) in &edges {
            // The target of an edge is finished before its source, or is visited no later than it.
            let entered = (place(&found.preorder, *source), place(&found.preorder, *target));
            let left = (place(&found.postorder, *source), place(&found.postorder, *target));
            prop_assert!(entered.0.is_none() || left.1 <= left.0 || entered.1 <= entered.0);
        }
    }

    #[test]
    fn vertices_of_a_strong_component_reach_each_other((count, edges) in edges()) {
        let graph = graph(count, &edges);
        let reached: Vec<_> = graph.vertices().map(|root| reached(count, &edges, &[root], None)).collect();
        let strong = strong_components(&graph);
        for (source, target) in graph.vertices().flat_map(|a| graph.vertices().map(move |b| (a as usize, b as usize))) {
            let is_one = strong.component[source] == strong.component[target];
            prop_assert_eq!(is_one, reached[source][target] && reached[target][source]);
        }
        let number = |vertex: u32| strong.component[vertex as usize];
        prop_assert!(edges.iter().all(|edge| number(edge.0) >= number(edge.1)));
        prop_assert_eq!(strong.component.iter().max(), Some(&(strong.count - 1)));
    }

    #[test]
    fn ranks_are_a_fixed_point((count, edges) in edges()) {
        let graph = graph(count, &edges);
        let found = page_rank(&graph, &graph.reversed(), 0.85, 1e-12, 1000);
        prop_assert!(found.change < 1e-12);
        prop_assert!((found.ranks.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let degree = |vertex: u32| graph.successors(vertex).len() as u32;
        let dangling: f64 = graph.vertices().filter(|vertex| degree(*vertex) == 0).map(|v| found.ranks[v as usize]).sum();
        for vertex in graph.vertices() {
            let before = edges.iter().filter(|edge| edge.1 == vertex).map(|edge| edge.0);
            let visits: f64 = before.map(|source| found.ranks[source as usize] / f64::from(degree(source))).sum();
            let all = f64::from(count as u32);
            let expected = 0.15 / all + 0.85 * (visits + dangling / all);
            prop_assert!((found.ranks[vertex as usize] - expected).abs() < 1e-9);
        }
    }
}

/// A graph that is large enough for several threads to work on it.
fn large() -> (usize, Vec<u32>, Vec<u32>) {
    let (count, mut state) = (20_000u32, 1u64);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32 % count
    };
    let (sources, targets) = (0..100_000).map(|_| (next(), next().min(next()))).unzip();
    (count as usize, sources, targets)
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (count, sources, targets) = large();
    let run = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (graph, weights) = Graph::weighted(count, &sources, &targets, &targets);
            let reversed = graph.reversed();
            let ranks = page_rank(&graph, &reversed, 0.85, 1e-9, 100);
            let keys = Vertices::new(targets.iter().map(|target| u64::from(*target)));
            (graph, weights, reversed, ranks, keys)
        })
    };
    let alone = run(1);
    assert_eq!(alone, run(3));
    assert_eq!(alone, run(8));
    let mut edges: Vec<_> = sources.iter().copied().zip(targets.iter().copied()).collect();
    edges.sort_by_key(|edge| edge.0);
    assert!(alone.0.edges().eq(edges));
}

#[test]
fn a_graph_without_vertices_is_accepted() {
    let none = Graph::default();
    assert_eq!(none, Graph::new(0, &[], &[]));
    assert_eq!((none.vertex_count(), none.edge_count(), none.edges().count()), (0, 0, 0));
    assert_eq!(none.reversed(), none);
    assert_eq!(strong_components(&none).count, 0);
    assert!(breadth_first(&none, &[]).order.is_empty() && depth_first(&none, []).preorder.is_empty());
    assert!(page_rank(&none, &none, 0.85, 1e-6, 9).ranks.is_empty());
}
