//! `hostile_code_times [MIB]…`: lowers code that no compiler makes, and prints how many seconds that took, and how many more its flow of
//! data, by sizes in MiB.

#![expect(clippy::print_stdout, reason = "what it prints is a table")]

use binframe::passes::{self, Inputs, Lowered, code::memory};
use binframe_testsuite::hostile_code::PATTERNS;
use std::time::Instant;

fn main() {
    let sizes = std::env::args().skip(1).map(|size| size.parse().expect("usage: hostile_code_times [MIB]…"));
    let mut sizes: Vec<usize> = sizes.collect();
    if sizes.is_empty() {
        sizes = vec![1, 4, 16, 64];
    }
    let columns: Vec<_> = sizes.iter().map(|size| format!(" {size} MiB |")).collect();
    println!("| code |{}\n|---|{}", columns.concat(), "--:|".repeat(sizes.len()));
    for (name, pattern) in PATTERNS {
        print!("| {name} |");
        for size in &sizes {
            let file = pattern(size << 20).0.into();
            let start = Instant::now();
            let Lowered { code, cfg, memory, .. } = passes::lower(Inputs::of(&file)).expect("an executable");
            print!(" {:.2}, ", start.elapsed().as_secs_f64());
            let start = Instant::now();
            for run in memory::block_ranges(&cfg, None) {
                memory::data_flow(&code, &cfg, &memory, run);
            }
            print!("{:.2} |", start.elapsed().as_secs_f64());
        }
        println!();
    }
}
