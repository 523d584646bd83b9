//! Tail calls, and cold fragments split off from their functions.

use crate::{FREESTANDING, Program, compile_c, compile_variants};
use binframe::ir::tables::{BlockEvidence, CallKind, EdgeKind, PartEvidence};

const SOURCE: &str = "
    volatile int sink;
    __attribute__((noinline, cold)) void report(int number) { sink = number; sink = number + 1; }
    __attribute__((noinline)) int last(int number) { sink = number; return number * 3 + sink; }
    __attribute__((noinline)) int tail(int number) { sink = 1; return last(number + sink); }
    __attribute__((noinline)) int hot(int number, int *place) {
        for (int index = 0; index < number; index++) {
            if (__builtin_expect(place[index] == 77, 0)) {
                report(index); report(number); report(place[index] + sink);
                if (sink == 12) { report(13); return 9; }
            }
            number += place[index] * sink;
        }
        return number + last(number);
    }
    int numbers[4];
    void _start(void) { sink = hot(4, numbers) + tail(5); __asm__ volatile(\"mov $60, %eax; syscall; ud2\"); }
";

fn programs() -> Vec<Program> {
    compile_variants(compile_c, "parts", SOURCE, &[&FREESTANDING[..], &["-O2", "-fno-ipa-ra"]].concat())
}

#[test]
fn a_jump_to_another_function_is_a_tail_call() {
    for program in programs() {
        let calls = program.calls_of("tail");
        let found: Vec<_> =
            calls.iter().map(|call| (call.kind, call.callee_address, call.may_return)).collect();
        assert_eq!(found, [(CallKind::Tail, Some(program.address("last")), true)], "{}", program.name);
        let edges = program.edges_of(calls[0].call_address);
        let kinds: Vec<_> = edges.iter().map(|edge| (edge.kind, edge.target_address)).collect();
        assert_eq!(kinds, [(EdgeKind::Jump, Some(program.address("last")))], "{}", program.name);
    }
}

#[test]
fn a_cold_fragment_belongs_to_its_function() {
    for program in programs().into_iter().filter(|program| program.symbols.contains_key("hot.cold")) {
        let (hot, cold) = (program.address("hot"), program.address("hot.cold"));
        assert!(program.function("hot.cold").is_none(), "{}", program.name);
        let parts = program.tables.lowered.cfg.function_parts.columns();
        let own: Vec<_> = parts.iter().filter(|part| part.address == cold).collect();
        let [part] = own.as_slice() else { panic!("{}: {own:?}", program.name) };
        assert_eq!(part.function_address, hot, "{}", program.name);
        let is_stripped =
            program.tables.lowered.cfg.functions.columns().iter().all(|row| row.function_name.is_none());
        let expected = if is_stripped { PartEvidence::Unwind } else { PartEvidence::Symbol };
        assert_eq!(part.evidence, expected, "{}", program.name);
        let block = program.block(cold).expect("a fragment starts with a block");
        assert_eq!((block.function_address, block.evidence), (hot, BlockEvidence::Flow), "{}", program.name);
        let range = cold..cold + part.size;
        let edges = program.tables.lowered.cfg.cfg_edges.columns();
        let ways = edges.iter().filter_map(|edge| Some((edge.source_address, edge.target_address?)));
        let (mut there, mut back) = (0, 0);
        for (source, target) in ways {
            there += u32::from(!range.contains(&source) && range.contains(&target));
            back += u32::from(range.contains(&source) && !range.contains(&target));
        }
        assert!(there > 0 && back > 0, "{}: {there} edges to the fragment, {back} edges back", program.name);
        let is_in_part = |address: u64| range.contains(&address);
        let calls = program.calls_of("hot");
        let calls = calls.iter().filter(|call| is_in_part(call.call_address));
        let callees: Vec<_> = calls.map(|call| call.callee_address).collect();
        assert!(callees.len() >= 3, "{}: {callees:x?}", program.name);
        assert!(callees.iter().all(|callee| *callee == Some(program.address("report"))), "{}", program.name);
    }
}
