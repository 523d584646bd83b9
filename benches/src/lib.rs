//! Benches of binframe: `benches/pipeline.rs` times the passes, `benches/parquet.rs` the Parquet encoder beside that of
//! the `parquet` crate, `benches/graph.rs` the graph algorithms. `peers/disassemblers.py` times whole runs beside
//! `objdump` and other tools, `peers/graph.sh` graph algorithms beside Python libraries. The library itself generates
//! graphs.

/// Vertices of the graph that is measured.
pub const VERTEX_COUNT: u32 = 1_000_000;

/// Its edges.
pub const EDGE_COUNT: usize = 8_000_000;

/// The sources and targets of a graph's edges, in no order and always the same. Sources are even at random. So are half
/// of the targets; the others follow a power law, so that few vertices have most of their edges.
pub fn power_law_edges(vertex_count: u32, edge_count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) >> 32
    };
    let count = u64::from(vertex_count);
    let edge = |edge: usize| {
        let source = (random() * count) >> 32;
        let place = random();
        let target = match edge % 2 {
            0 => (place * count) >> 32,
            _ => {
                let square = (place * place) >> 32;
                let fourth = (square * square) >> 32;
                // The vertices with many edges lie apart from each other.
                ((fourth * count) >> 32) * 7919 % count
            }
        };
        (source as u32, target as u32)
    };
    (0..edge_count).map(edge).unzip()
}
