//! Times of graph algorithms on a graph with a million vertices and eight million edges, with all threads.

use binframe::graph::{
    FlowAnalysis, FlowStructure, Graph, Vertices, breadth_first, depth_first, page_rank, strong_components,
};
use binframe_benches::{EDGE_COUNT, VERTEX_COUNT, power_law_edges};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

fn algorithms(criterion: &mut Criterion) {
    let (sources, targets) = power_law_edges(VERTEX_COUNT, EDGE_COUNT);
    let vertex_count = VERTEX_COUNT as usize;
    let graph = Graph::new(vertex_count, &sources, &targets);
    let reversed = graph.reversed();
    let mut group = criterion.benchmark_group("graph");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("build", |bencher| {
        bencher.iter(|| Graph::new(vertex_count, black_box(&sources), &targets));
    });
    group.bench_function("reversed", |bencher| bencher.iter(|| black_box(&graph).reversed()));
    group.bench_function("breadth_first", |bencher| bencher.iter(|| breadth_first(black_box(&graph), &[0])));
    group.bench_function("depth_first", |bencher| {
        bencher.iter(|| depth_first(black_box(&graph), 0..VERTEX_COUNT));
    });
    group.bench_function("page_rank", |bencher| {
        bencher.iter(|| page_rank(black_box(&graph), &reversed, 0.85, 1e-6, 1000));
    });
    group
        .bench_function("strong_components", |bencher| bencher.iter(|| strong_components(black_box(&graph))));
    let rows: Vec<_> =
        graph.edges().map(|(a, b)| (Some(u64::from(a) * 24), Some(u64::from(b) * 24))).collect();
    group.bench_function("graph_of_an_edge_table", |bencher| {
        bencher.iter(|| Vertices::of_edges(black_box(&rows).iter().copied()));
    });
    group.finish();
}

/// Flow graphs: small functions, and a large one.
fn flow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let (mut analysis, mut found) = (FlowAnalysis::default(), FlowStructure::default());
    let straight: Vec<_> = (1..4).map(|block| (block - 1, block)).collect();
    let branch = [(0, 1), (0, 2), (1, 3), (2, 3)];
    let nested =
        [(0, 1), (1, 2), (1, 8), (2, 3), (3, 3), (3, 4), (4, 5), (4, 6), (5, 7), (6, 7), (7, 1), (8, 9)];
    for (name, block_count, edges) in [
        ("one_block", 1, &[][..]),
        ("straight_4_blocks", 4, &straight),
        ("branch_4_blocks", 4, &branch),
        ("nested_loops_10_blocks", 10, &nested),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                analysis.run(black_box(block_count), black_box(edges), &mut found);
                found.loops.len()
            });
        });
    }
    group.sample_size(10);
    let million = 1_000_000;
    // A chain with a loop around every ten blocks, and one in each.
    let chain: Vec<_> = (1..million)
        .flat_map(|block| [(block - 1, block), (block, block / 10 * 10 + (block % 2) * 5)])
        .collect();
    group.bench_function("a_million_blocks", |bencher| {
        bencher.iter(|| {
            analysis.run(million as usize, black_box(&chain), &mut found);
            found.loops.len()
        });
    });
    group.finish();
}

criterion_group!(graph, algorithms, flow);
criterion_main!(graph);
