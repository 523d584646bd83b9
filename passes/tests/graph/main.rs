//! Graph algorithms agree with the definitions, on small random graphs.

mod algorithms;
mod flow;

use binframe_passes::graph::Graph;
use proptest::prelude::*;

/// A number of vertices, and up to three times as many random edges.
fn edges() -> impl Strategy<Value = (usize, Vec<(u32, u32)>)> {
    (1usize..14).prop_flat_map(|count| {
        let vertex = 0..count as u32;
        (Just(count), prop::collection::vec((vertex.clone(), vertex), 0..count * 3))
    })
}

/// For each vertex whether a path of any length, also zero, from a root reaches it and avoids `without`.
fn reached(count: usize, edges: &[(u32, u32)], roots: &[u32], without: Option<u32>) -> Vec<bool> {
    let mut reached = vec![false; count];
    for root in roots.iter().filter(|root| Some(**root) != without) {
        reached[*root as usize] = true;
    }
    for _ in 0..count {
        for (source, target) in edges {
            if reached[*source as usize] && Some(*target) != without {
                reached[*target as usize] = true;
            }
        }
    }
    reached
}

/// The strict dominators of each vertex, by the definition: without them, no path from a root reaches it.
fn strict_dominators(count: usize, edges: &[(u32, u32)], roots: &[u32]) -> Vec<Vec<u32>> {
    let all = reached(count, edges, roots, None);
    let mut dominators = vec![Vec::new(); count];
    for dominator in 0..count as u32 {
        let around = reached(count, edges, roots, Some(dominator));
        for vertex in 0..count {
            if all[vertex] && !around[vertex] && vertex != dominator as usize {
                dominators[vertex].push(dominator);
            }
        }
    }
    dominators
}

/// The immediate dominator of each vertex: the strict dominator that all others dominate.
fn immediate(strict: &[Vec<u32>]) -> Vec<Option<u32>> {
    let nearest = |own: &Vec<u32>| own.iter().copied().max_by_key(|vertex| strict[*vertex as usize].len());
    strict.iter().map(nearest).collect()
}

fn reverse(edges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    edges.iter().map(|(source, target)| (*target, *source)).collect()
}

/// The exits: those given, vertices without edges, and the last vertex of each strong component without an exit.
fn exits(count: usize, edges: &[(u32, u32)], stated: &[u32]) -> Vec<u32> {
    let mut exits = stated.to_vec();
    exits.extend((0..count as u32).filter(|vertex| !edges.iter().any(|edge| edge.0 == *vertex)));
    let all: Vec<_> = (0..count as u32).map(|vertex| reached(count, edges, &[vertex], None)).collect();
    for (vertex, own) in all.iter().enumerate() {
        let others = (0..count).filter(|other| own[*other]);
        let is_component = others.clone().all(|other| all[other][vertex]);
        let is_last = others.max() == Some(vertex);
        if is_component && is_last && !exits.iter().any(|exit| own[*exit as usize]) {
            exits.push(vertex as u32);
        }
    }
    exits
}

fn graph(count: usize, edges: &[(u32, u32)]) -> Graph {
    Graph::from_edges(count, edges.iter().copied())
}
