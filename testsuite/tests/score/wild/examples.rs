//! Prints functions, blocks, edges and jump tables that are wrong, with the instructions there.
#![expect(clippy::print_stdout, reason = "printing is its purpose")]

use crate::comparison::{Comparison, MEASURES};
use crate::graph::Code;
use crate::statements::Statements;

/// Length of the printed code, in bytes.
const LENGTH: u64 = 24;

/// Prints about `count` missing and wrong elements of each kind, and jump tables, with the symbol that has the address.
pub(crate) fn print(code: &Code<'_>, symbols: &Statements, comparison: &Comparison, count: usize) {
    let place = |address: u64| {
        let part = symbols
            .part_at(address)
            .map_or_else(String::new, |part| format!("{}+{:#x}", part.name, address - part.start));
        let instructions = code.instructions(address, address + LENGTH).take(4);
        let text: Vec<String> = instructions.map(|instruction| instruction.to_string()).collect();
        format!("{address:#x} {part}: {}", text.join("; "))
    };
    for (measure, (missing, wrong)) in MEASURES.iter().zip(&comparison.examples).skip(1) {
        for (word, places) in [("missing", missing), ("wrong", wrong)] {
            let step = places.len().div_ceil(count).max(1);
            for (address, target) in places.iter().step_by(step) {
                let target = target.map(|target| format!(" -> {target:#x}")).unwrap_or_default();
                println!("    {word:<8} {measure:<12} {}{target}", place(*address));
            }
        }
    }
    for (jump, expected, found) in comparison.tables.iter().take(count) {
        println!("    jump table {}", place(*jump));
        println!("        expected {expected:x?}\n        found    {found:x?}");
    }
}
