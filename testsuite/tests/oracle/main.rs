//! Runs real programs one instruction at a time, and compares every address that they touch with what `memory_accesses` says.
//!
//! `cargo xtask oracle` runs it on programs of the machine; `cargo test` on three small ones.
//!
//! - `BINFRAME_ORACLE`: programs with their arguments, one in each line.
//! - `BINFRAME_ORACLE_STEPS`: instructions that are followed of each at most.

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

/// Instructions that are followed of each program in `cargo test`.
const STEPS: u64 = 60_000;

fn observed(path: &Path, arguments: &[&str], steps: u64) -> Result<Seen, String> {
    let bytes = Bytes::from(fs::read(path).map_err(|error| error.to_string())?);
    let tables: Tables = lowering::try_tables(&bytes).map_err(|error| error.to_string())?;
    let regions = &tables.lowered.code.regions;
    let code: Vec<_> = regions.iter().map(|region| region.address..region.end_address()).collect();
    let entry = tables.lowered.sections.headers.columns().iter().find_map(|header| header.entry_address);
    let program = Program::of(&tables);
    let mut tracer = Tracer::start(path, arguments, &code, entry.ok_or("it begins nowhere")?)?;
    Ok(observe(&mut tracer, &program, steps))
}

#[expect(clippy::print_stdout, reason = "a person asked")]
fn print(name: &str, seen: &Seen) {
    println!("{name}: {} accesses, {} not checked", seen.total(), seen.unchecked);
    for ((region, confidence), [right, wrong]) in &seen.accesses {
        println!("  {region:12} {confidence:8} {right:10} as said {wrong:8} not");
    }
    println!("  {} calls with a bound of the stack, {} went deeper", seen.depths[0], seen.depths[1]);
    for ((kind, confidence), [right, wrong]) in &seen.uses {
        println!("  {kind:12} {confidence:8} {right:10} uses of what is said {wrong:8} of others");
    }
    for violation in seen.violations.iter().take(8) {
        println!("  {violation}");
    }
}

#[test]
fn programs_of_the_machine_touch_what_is_said() {
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
    assert_eq!((all.wrong(), all.depths[1], all.wrong_uses()), (0, 0, 0), "what is certain was not so");
}

#[test]
fn small_programs_touch_what_is_said() {
    for (name, source) in [("switch", SWITCH_C), ("sort", SORT_C), ("runs", RUNS_C)] {
        for flags in [["-O0"], ["-O2"]] {
            let Some(path) = compile_c(name, source, &flags) else { return };
            let seen = match observed(&path, &[], STEPS) {
                Ok(seen) => seen,
                Err(error) => {
                    println!("not followed: {error}");
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
