//! Prints scores: a line per file, totals, and examples of errors on request.
#![expect(clippy::print_stdout, reason = "printing is its purpose")]

use crate::comparison::{Comparison, Count, Counts, Element, JumpTables, MEASURES, share};
use crate::statements::Statements;
use crate::truth::Validation;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Prints the table header.
pub(crate) fn header() {
    println!(
        "{:<34} {:>13}  {:>20}  {:>20}  {:>20}  {:>20}  {:>26}",
        "", "instructions", "functions", "block starts", "block ends", "edges", "jump tables"
    );
    println!(
        "{:<34} {:>13}  {:>20}  {:>20}  {:>20}  {:>20}  {:>26}",
        "",
        "P      R",
        "P      R     F1",
        "P      R     F1",
        "P      R     F1",
        "P      R     F1",
        "exact  wrong missing none"
    );
}

/// Prints the line of a file or a total.
pub(crate) fn line(name: &str, counts: &Counts) {
    let [instructions, others @ ..] = counts.sets;
    let is_known = |count: &Count| count.right + count.missing + count.wrong > 0;
    let shares = [instructions.precision(), instructions.recall()].map(percent).join(" ");
    let mut text = format!("{name:<34} {:>13}", if is_known(&instructions) { &shares } else { "-" });
    for count in others {
        let is_known = is_known(&count);
        let shares = [count.precision(), count.recall(), count.f1()].map(percent).join(" ");
        write!(text, "  {:>20}", if is_known { &shares } else { "-" })
            .expect("writing to a string does not fail");
    }
    let tables = counts.tables;
    let all = tables.exact + tables.different + tables.missing;
    if all + tables.none > 0 {
        let share = percent(share(tables.exact, all));
        let JumpTables { exact, different, missing, none } = tables;
        write!(text, "  {share}={exact:<5} {different:>4} {missing:>6} {none:>5}")
            .expect("writing to a string does not fail");
    }
    println!("{text}");
}

fn percent(share: f64) -> String {
    // Only exactly 100 percent is printed as 100.
    format!("{:>6.2}", if share < 100.0 { share.min(99.99) } else { share })
}

/// Prints examples of missing and wrong elements.
pub(crate) fn examples(file: &Path, statements: &Statements, comparison: &Comparison, count: usize) {
    println!("  {}", file.display());
    let named = |address: u64| match statements.part_at(address) {
        Some(part) if part.start == address => part.name.clone(),
        Some(part) => format!("{}+{:#x}", part.name, address - part.start),
        None => {
            let before = statements.parts.iter().rev().find(|part| part.start <= address);
            before.map_or_else(String::new, |part| format!("after {}", part.name))
        }
    };
    for (measure, (missing, wrong)) in MEASURES.iter().zip(&comparison.examples) {
        for (word, places) in [("missing", missing), ("wrong", wrong)] {
            for (address, target) in spread(places, count) {
                let target = target.map(|target| format!(" -> {target:#x}")).unwrap_or_default();
                println!("    {measure:<12} {word:<8} {address:#x}{target}  {}", named(address));
            }
        }
    }
    for (jump, expected, found) in comparison.tables.iter().take(count) {
        let only = |left: &BTreeSet<u64>, right| -> String {
            let only: Vec<u64> = left.difference(right).copied().collect();
            format!("{} of {}, {:x?}", only.len(), left.len(), &only[..only.len().min(8)])
        };
        let (missing, wrong) = (only(expected, found), only(found, expected));
        println!("    jump table   {jump:#x}  {}: missing {missing}, wrong {wrong}", named(*jump));
    }
}

/// Prints findings about the ground truth itself.
pub(crate) fn validation(file: &Path, validation: &Validation, count: usize) {
    for line in validation.differences.iter().take(count).chain(validation.open_ends.iter().take(count)) {
        println!("    ground truth {}: {line}", file.display());
    }
}

/// Prints the total number of findings about the ground truth.
pub(crate) fn validation_total(validation: &Validation) {
    println!(
        "ground truth: of {} blocks and edges compiled by clang, {} differ from LLVM's; {} functions fall through at their end",
        validation.compared,
        validation.differences.len(),
        validation.open_ends.len()
    );
}

/// `count` elements, evenly distributed over the file.
fn spread(places: &[Element], count: usize) -> impl Iterator<Item = Element> {
    places.iter().copied().step_by(places.len().div_ceil(count.max(1)).max(1)).take(count)
}
