//! How densely vertices are joined.

use super::Graph;

/// For each vertex the greatest `k` such that it lies in a part of the graph where every vertex has `k` edges or more to
/// others of that part. Edges count both ways and as often as they are there; those from a vertex to itself do not count.
///
/// Vertices are taken away from the one with the fewest edges on, those of a degree together (Batagelj and Zaveršnik,
/// 2003): the time is linear.
pub fn core_numbers(graph: &Graph, reversed: &Graph) -> Vec<u32> {
    let neighbours =
        |vertex: u32| graph.successors(vertex).iter().chain(reversed.successors(vertex)).copied();
    let mut degrees: Vec<u32> = graph
        .vertices()
        .map(|vertex| neighbours(vertex).filter(|neighbour| *neighbour != vertex).count() as u32)
        .collect();
    // Vertices in the order of their degrees, where each stands in it, and where the vertices of each degree begin.
    let degree_max = degrees.iter().copied().max().unwrap_or(0) as usize;
    let mut starts = vec![0; degree_max + 2];
    for degree in &degrees {
        starts[*degree as usize + 1] += 1;
    }
    for degree in 0..=degree_max {
        starts[degree + 1] += starts[degree];
    }
    let (mut order, mut places) = (vec![0; degrees.len()], vec![0; degrees.len()]);
    let mut next = starts.clone();
    for vertex in graph.vertices() {
        let place = &mut next[degrees[vertex as usize] as usize];
        (order[*place], places[vertex as usize]) = (vertex, *place);
        *place += 1;
    }
    for taken in 0..order.len() {
        let vertex = order[taken];
        let core = degrees[vertex as usize];
        for neighbour in neighbours(vertex) {
            let degree = degrees[neighbour as usize];
            if degree <= core {
                continue;
            }
            // The neighbour changes places with the first of its degree, and that degree begins one place later.
            let first = &mut starts[degree as usize];
            let (place, other) = (places[neighbour as usize], order[*first]);
            order.swap(place, *first);
            (places[neighbour as usize], places[other as usize]) = (*first, place);
            *first += 1;
            degrees[neighbour as usize] -= 1;
        }
    }
    degrees
}
