//! Landing pads and calls that throw.

use crate::{Program, compile_variants};
use binframe::ir::tables::{BlockEvidence, CallKind, EdgeEvidence, EdgeKind, Terminator};
use binframe_testsuite::programs;
use std::collections::BTreeSet;
use std::path::PathBuf;

const SOURCE: &str = "
    #include <stdexcept>
    volatile int sink;
    extern \"C\" __attribute__((noinline)) void handled(int number) { sink = number; }
    extern \"C\" __attribute__((noinline)) void cleaned(int number) { sink = number + 1; }
    struct Cleaned { ~Cleaned() { cleaned(3); } };
    extern \"C\" __attribute__((noinline)) void thrower(int number) { if (number) throw std::runtime_error(\"one\"); }
    extern \"C\" __attribute__((noinline)) void always() { throw 7; }
    extern \"C\" __attribute__((noinline)) int risky(int number) {
        try { Cleaned one; thrower(number); sink = 4; } catch (std::runtime_error &) { handled(1); } catch (int) { handled(2); }
        return sink;
    }
    extern \"C\" __attribute__((noinline)) int doomed() {
        try { always(); } catch (int number) { handled(number); return 1; }
        return 2;
    }
    int main(int count, char **) { return risky(count) + doomed(); }
";

fn compile_cpp(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let flags = [&["-xc++"][..], flags, &["-lstdc++"]].concat();
    programs::compile_c_with("c++", name, source, &flags)
}

fn programs() -> Vec<Program> {
    ["-O0", "-O1", "-O2"]
        .into_iter()
        .flat_map(|level| compile_variants(compile_cpp, "throws", SOURCE, &[level]))
        .collect()
}

/// Functions with a call of `callee` in a reached block.
fn callers(program: &Program, callee: &str) -> BTreeSet<String> {
    let calls = program.tables.lowered.cfg.call_edges.columns();
    let callee = program.address(callee);
    let calls = calls.iter().filter(|call| call.callee_address == Some(callee));
    let reached = calls.filter(|call| {
        program.block(call.call_address).is_some_and(|block| block.evidence == BlockEvidence::Flow)
    });
    reached.map(|call| program.symbol(call.caller_address)).collect()
}

#[test]
fn handlers_and_cleanups_are_blocks_of_their_function() {
    for program in programs() {
        let expected: BTreeSet<_> = ["risky", "doomed"].map(str::to_owned).into();
        assert_eq!(callers(&program, "handled"), expected, "{}", program.name);
        assert!(!callers(&program, "cleaned").is_empty(), "{}", program.name);
        let doomed = program.function("doomed").unwrap_or_else(|| panic!("{}", program.name));
        assert!(doomed.may_return, "{}: by its handler", program.name);
        assert!(!program.function("always").expect("a function").may_return, "{}", program.name);
    }
}

#[test]
fn a_call_that_always_throws_has_only_the_edge_to_its_landing_pad() {
    for program in programs() {
        let calls = program.calls_of("doomed");
        let always = program.address("always");
        let call =
            calls.iter().find(|call| call.callee_address == Some(always) && call.kind == CallKind::Direct);
        let call = call.unwrap_or_else(|| panic!("{}: {calls:?}", program.name));
        assert!(!call.may_return, "{}", program.name);
        assert_eq!(program.block(call.call_address).expect("a block").terminator, Terminator::CallNoReturn);
        let edges = program.edges_of(call.call_address);
        let kinds: Vec<_> = edges.iter().map(|edge| (edge.kind, edge.evidence)).collect();
        assert_eq!(kinds, [(EdgeKind::LandingPad, EdgeEvidence::ExceptionTable)], "{}", program.name);
    }
}

#[test]
fn calls_in_call_sites_have_edges_to_their_landing_pads() {
    for program in programs() {
        let lowered = &program.tables.lowered;
        let calls = lowered.cfg.call_edges.columns();
        let mut count = 0;
        for site in lowered.exceptions.call_sites.columns().iter() {
            let Some(pad) = site.landing_pad_address else { continue };
            let range = site.address..site.address + site.size;
            for call in
                calls.iter().filter(|call| range.contains(&call.call_address) && call.kind != CallKind::Tail)
            {
                let edges = program.edges_of(call.call_address);
                let has_edge = edges
                    .iter()
                    .any(|edge| edge.kind == EdgeKind::LandingPad && edge.target_address == Some(pad));
                assert!(has_edge, "{}: {call:x?} to {pad:x}", program.name);
                count += 1;
            }
        }
        assert!(count >= 3, "{}: {count} calls", program.name);
    }
}
