//! Runs real programs one instruction at a time. Compares each accessed address with `memory_accesses`, stack depths
//! with `stack_frames`, and the last writer of each used value with `data_flow_edges`.
//!
//! `cargo xtask oracle` runs it on programs of the machine, `cargo test` on three small ones.
//!
//! - `BINFRAME_ORACLE`: programs with their arguments, one per line.
//! - `BINFRAME_ORACLE_STEPS`: maximum number of instructions per program.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod claims;
mod flow;
mod run;
mod tracer;

use binframe_testsuite::lowering::{self, Tables};
use binframe_testsuite::programs::{RUNS_C, SORT_C, SWITCH_C, compile_c};
use bytes::Bytes;
use claims::Program;
use run::{Seen, observe};
use std::path::Path;
use std::{env, fs};
use tracer::Tracer;

/// Maximum number of instructions per program in `cargo test`.
const STEPS: u64 = 60_000;

fn observed(path: &Path, arguments: &[&str], steps: u64) -> Result<Seen, String> {
    let bytes = Bytes::from(fs::read(path).map_err(|error| error.to_string())?);
    let tables: Tables = lowering::try_tables(&bytes).map_err(|error| error.to_string())?;
    let regions = &tables.lowered.code.regions;
    let code: Vec<_> = regions.iter().map(|region| region.address..region.end_address()).collect();
    let entry = tables.lowered.sections.headers.columns().iter().find_map(|header| header.entry_address);
    let program = Program::of(&tables);
    let mut tracer = Tracer::start(path, arguments, &code, entry.ok_or("the file has no entry point")?)?;
    Ok(observe(&mut tracer, &program, steps))
}

#[expect(clippy::print_stdout, reason = "printing the result is its purpose")]
fn print(name: &str, seen: &Seen) {
    println!("{name}: {} accesses, {} not checked", seen.total(), seen.unchecked);
    for ((region, confidence), [right, wrong]) in &seen.accesses {
        println!("  {region:12} {confidence:8} {right:10} right {wrong:8} wrong");
    }
    println!("  {} calls with a bounded stack depth, {} exceeded it", seen.depths[0], seen.depths[1]);
    for ((kind, confidence), [right, wrong]) in &seen.uses {
        println!("  {kind:12} {confidence:8} {right:10} uses right {wrong:8} wrong");
    }
    for violation in seen.violations.iter().take(8) {
        println!("  {violation}");
    }
}

#[test]
fn programs_of_the_machine_match_the_tables() {
    let Ok(lines) = env::var("BINFRAME_ORACLE") else { return };
    let steps =
        env::var("BINFRAME_ORACLE_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let mut all = Seen::default();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match observed(Path::new(words[0]), &words[1..], steps) {
            Ok(seen) => {
                print(line, &seen);
                all.add(seen);
            }
            Err(error) => println!("{line}: {error}"),
        }
    }
    print("all", &all);
    assert_eq!((all.wrong(), all.depths[1], all.wrong_uses()), (0, 0, 0), "a certain row is wrong");
}

#[test]
fn small_programs_match_the_tables() {
    for (name, source) in [("switch", SWITCH_C), ("sort", SORT_C), ("runs", RUNS_C)] {
        for flags in [["-O0"], ["-O2"]] {
            let Some(path) = compile_c(name, source, &flags) else { return };
            let seen = match observed(&path, &[], STEPS) {
                Ok(seen) => seen,
                Err(error) => {
                    println!("not traced: {error}");
                    return;
                }
            };
            assert!(seen.total() > 20, "{name} {flags:?}: {seen:?}");
            let wrong = (seen.wrong(), seen.depths[1], seen.wrong_uses());
            assert_eq!(wrong, (0, 0, 0), "{name} {flags:?}: {:#?}", seen.violations);
            assert!(seen.uses.keys().any(|(kind, _)| *kind == "stack"), "{name} {flags:?}: {seen:?}");
        }
    }
}
