//! Algorithms on any graph.

use super::{edges, exits, graph, immediate, reached, reverse, strict_dominators};
use binframe_passes::graph::{
    Cycle, Graph, NONE, Vertices, breadth_first, core_numbers, depth_first, dominators, page_rank,
    post_dominators, shortest_paths, strong_components, topological_order, weak_components,
};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

fn vertex(found: u32) -> Option<u32> {
    (found != NONE).then_some(found)
}

/// The lengths of shortest paths by Bellman's and Ford's algorithm.
fn distances(count: usize, edges: &[(u32, u32)], weights: &[u32], root: u32) -> Vec<u64> {
    let mut distances = vec![u64::MAX; count];
    distances[root as usize] = 0;
    for _ in 0..count {
        for ((source, target), weight) in edges.iter().zip(weights) {
            let through = distances[*source as usize].saturating_add(u64::from(*weight));
            distances[*target as usize] = distances[*target as usize].min(through);
        }
    }
    distances
}

/// What is left of the vertices when those with fewer than `least` edges to others that are left go, until none does.
fn core(count: usize, edges: &[(u32, u32)], least: usize) -> Vec<bool> {
    let mut is_left = vec![true; count];
    loop {
        let degree = |vertex: usize| {
            let ends = edges.iter().filter(|edge| edge.0 != edge.1);
            ends.filter(|edge| is_left[edge.0 as usize] && is_left[edge.1 as usize])
                .filter(|edge| edge.0 as usize == vertex || edge.1 as usize == vertex)
                .count()
        };
        let Some(gone) = (0..count).find(|vertex| is_left[*vertex] && degree(*vertex) < least) else {
            return is_left;
        };
        is_left[gone] = false;
    }
}

proptest! {
    #[test]
    fn a_graph_has_the_edges_that_it_was_made_of((count, edges) in edges()) {
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
        let (reversed, weights) = weighted.reversed_with(&weights);
        prop_assert!(reversed.edges().map(|edge| edge.0).eq(weights));
    }

    #[test]
    fn addresses_are_vertices_in_their_order((count, edges) in edges(), unit in 1u64..1 << 60, first: u32) {
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
    fn walks_reach_what_is_reached((count, edges) in edges()) {
        let graph = graph(count, &edges);
        let expected = reached(count, &edges, &[0], None);
        let walk = breadth_first(&graph, &[0]);
        let levels = distances(count, &edges, &vec![1; edges.len()], 0);
        for vertex in 0..count {
            prop_assert_eq!(walk.order.contains(&(vertex as u32)), expected[vertex]);
            let level = if levels[vertex] == u64::MAX { NONE } else { levels[vertex] as u32 };
            prop_assert_eq!(walk.levels[vertex], level);
            if walk.parents[vertex] != NONE {
                prop_assert_eq!(walk.levels[walk.parents[vertex] as usize] + 1, level);
                prop_assert!(edges.contains(&(walk.parents[vertex], vertex as u32)));
            }
        }
        prop_assert!(walk.order.is_sorted_by_key(|vertex| walk.levels[*vertex as usize]));

        let walk = depth_first(&graph, [0]);
        let place = |order: &[u32], vertex: u32| order.iter().position(|other| *other == vertex);
        let mut sorted = walk.preorder.clone();
        sorted.sort_unstable();
        prop_assert!(sorted.iter().copied().eq((0..count as u32).filter(|vertex| expected[*vertex as usize])));
        for (source, target) in &edges {
            // An edge leads to what was left before, or back to what is on the way.
            let entered = (place(&walk.preorder, *source), place(&walk.preorder, *target));
            let left = (place(&walk.postorder, *source), place(&walk.postorder, *target));
            prop_assert!(entered.0.is_none() || left.1 <= left.0 || entered.1 <= entered.0);
        }
    }

    #[test]
    fn an_order_has_no_edge_back_or_there_is_a_cycle((count, edges) in edges()) {
        for edges in [edges.clone(), edges.into_iter().filter(|edge| edge.0 > edge.1).collect()] {
            match topological_order(&graph(count, &edges)) {
                Ok(order) => {
                    let place = |vertex: u32| order.iter().position(|other| *other == vertex);
                    prop_assert!(edges.iter().all(|edge| place(edge.0) < place(edge.1)));
                    prop_assert_eq!(order.len(), count);
                }
                Err(Cycle(cycle)) => {
                    let next = cycle.iter().cycle().skip(1);
                    prop_assert!(cycle.iter().zip(next).all(|(from, to)| edges.contains(&(*from, *to))));
                    prop_assert!(!cycle.is_empty());
                }
            }
        }
    }

    #[test]
    fn components_are_those_of_reachability((count, edges) in edges()) {
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

        let mut both = edges.clone();
        both.extend(reverse(&edges));
        let weak = weak_components(&graph);
        let mut first = Vec::new();
        for vertex in graph.vertices() {
            let reached = super::reached(count, &both, &[vertex], None);
            let component = weak.component[vertex as usize];
            prop_assert!((0..count).all(|other| reached[other] == (weak.component[other] == component)));
            if !first.contains(&component) {
                first.push(component);
            }
        }
        prop_assert!(first.into_iter().eq(0..weak.count));
    }

    #[test]
    fn dominators_are_those_without_which_nothing_is_reached((count, edges) in edges(), second in 0u32..14) {
        let graph = graph(count, &edges);
        let reversed = graph.reversed();
        let roots = [0, second % count as u32];
        let found = dominators(&graph, &reversed, &roots).into_iter().map(vertex);
        prop_assert!(found.eq(immediate(&strict_dominators(count, &edges, &roots))));
        let found = post_dominators(&graph, &reversed).into_iter().map(vertex);
        let exits = exits(count, &edges, &[]);
        prop_assert!(found.eq(immediate(&strict_dominators(count, &reverse(&edges), &exits))));
    }

    #[test]
    fn paths_are_shortest((count, edges) in edges(), weights in prop::collection::vec(0u32..9, 42)) {
        let (sources, targets): (Vec<_>, Vec<_>) = edges.iter().copied().unzip();
        let weights = &weights[..edges.len()];
        let expected = distances(count, &edges, weights, 0);
        let (graph, own) = Graph::weighted(count, &sources, &targets, weights);
        let paths = shortest_paths(&graph, &own, 0);
        prop_assert_eq!(&paths.distances, &expected);
        for (end, parent) in (0..).zip(&paths.parents).filter(|(_, parent)| **parent != NONE) {
            let last = edges.iter().zip(weights).filter(|(edge, _)| **edge == (*parent, end));
            let length = last.map(|(_, weight)| expected[*parent as usize] + u64::from(*weight)).min();
            prop_assert_eq!(length, Some(expected[end as usize]));
        }
        let halves: Vec<_> = own.iter().map(|weight| f64::from(*weight) / 2.0).collect();
        let half = |d: &u64| u32::try_from(*d).map_or(f64::INFINITY, |d| f64::from(d) / 2.0);
        let expected = expected.iter().map(half);
        prop_assert!(shortest_paths(&graph, &halves, 0).distances.into_iter().eq(expected));
    }

    #[test]
    fn cores_are_what_is_left((count, edges) in edges()) {
        let graph = graph(count, &edges);
        let numbers = core_numbers(&graph, &graph.reversed());
        for least in 0..=numbers.iter().max().map_or(0, |number| *number as usize + 1) {
            let is_left = core(count, &edges, least);
            prop_assert!((0..count).all(|vertex| is_left[vertex] == (numbers[vertex] as usize >= least)));
        }
    }

    #[test]
    fn ranks_are_what_another_round_does_not_change((count, edges) in edges()) {
        let graph = graph(count, &edges);
        let found = page_rank(&graph, &graph.reversed(), 0.85, 1e-12, 1000);
        prop_assert!(found.change < 1e-12);
        prop_assert!((found.ranks.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let degree = |vertex: u32| graph.successors(vertex).len() as u32;
        let stuck: f64 = graph.vertices().filter(|vertex| degree(*vertex) == 0).map(|v| found.ranks[v as usize]).sum();
        for vertex in graph.vertices() {
            let before = edges.iter().filter(|edge| edge.1 == vertex).map(|edge| edge.0);
            let visits: f64 = before.map(|source| found.ranks[source as usize] / f64::from(degree(source))).sum();
            let all = f64::from(count as u32);
            let expected = 0.15 / all + 0.85 * (visits + stuck / all);
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
fn any_number_of_threads_gives_the_same() {
    let (count, sources, targets) = large();
    let run = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (graph, weights) = Graph::weighted(count, &sources, &targets, &targets);
            let reversed = graph.reversed_with(&weights);
            let ranks = page_rank(&graph, &reversed.0, 0.85, 1e-9, 100);
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
fn graphs_without_vertices_have_nothing() {
    let none = Graph::default();
    assert_eq!(none, Graph::new(0, &[], &[]));
    assert_eq!((none.vertex_count(), none.edge_count(), none.edges().count()), (0, 0, 0));
    assert_eq!(none.reversed(), none);
    assert_eq!((strong_components(&none).count, weak_components(&none).count), (0, 0));
    assert!(breadth_first(&none, &[]).order.is_empty() && depth_first(&none, []).preorder.is_empty());
    assert_eq!(topological_order(&none), Ok(Vec::new()));
    assert!(dominators(&none, &none, &[]).is_empty() && post_dominators(&none, &none).is_empty());
    assert!(core_numbers(&none, &none).is_empty() && page_rank(&none, &none, 0.85, 1e-6, 9).ranks.is_empty());
}
