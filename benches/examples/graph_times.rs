//! `graph_times EDGES`: writes the graph that the benches measure to a file, if it is not there: the sources of all
//! edges and then their targets, as little-endian `u32`. Prints the time of each algorithm in milliseconds.

#![expect(clippy::print_stdout, reason = "what it prints is read by peers/graph.py")]

use binframe::graph::{Graph, breadth_first, page_rank, strong_components};
use binframe_benches::{EDGE_COUNT, VERTEX_COUNT, power_law_edges};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

fn main() {
    let path = PathBuf::from(std::env::args_os().nth(1).expect("usage: graph_times EDGES"));
    let (sources, targets) = power_law_edges(VERTEX_COUNT, EDGE_COUNT);
    if !path.exists() {
        let bytes: Vec<u8> = sources.iter().chain(&targets).flat_map(|vertex| vertex.to_le_bytes()).collect();
        std::fs::write(&path, bytes).expect("a file that can be written");
    }
    let graph = time("build", || Graph::new(VERTEX_COUNT as usize, &sources, &targets));
    let reversed = time("reverse", || graph.reversed());
    time("breadth first", || breadth_first(&graph, &[0]));
    time("PageRank", || page_rank(&graph, &reversed, 0.85, 1e-6, 1000));
    time("strong components", || strong_components(&graph));
}

fn time<R>(name: &str, work: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = black_box(work());
    println!("{name}\t{:.3}", start.elapsed().as_secs_f64() * 1e3);
    result
}
