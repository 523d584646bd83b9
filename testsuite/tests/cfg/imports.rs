//! Imported functions are known by name, whether they are called through stubs or through import slots.

use crate::{Program, compile_c, compile_variants};
use binframe::ir::tables::{CallKind, EdgeEvidence, EdgeKind, Terminator};

const SOURCE: &str = "
    #include <stdio.h>
    #include <stdlib.h>
    volatile int sink;
    __attribute__((noinline)) int called(const char *text) { int count = puts(text); sink = count; return sink; }
    __attribute__((noinline)) int tailed(const char *text) { sink = 2; return puts(text); }
    __attribute__((noinline)) void ended(int number) { sink = number; exit(number); }
    int main(int count, char **arguments) {
        sink = called(arguments[0]) + tailed(arguments[0]);
        if (count > 3) ended(count);
        return sink;
    }
";

const FLAGS: [&[&str]; 5] = [
    &["-O2"],
    &["-O2", "-fno-plt"],
    &["-O2", "-no-pie"],
    &["-O2", "-no-pie", "-Wl,-z,now"],
    &["-O2", "-fcf-protection=full", "-Wl,-z,ibtplt"],
];

fn programs() -> Vec<Program> {
    FLAGS.into_iter().flat_map(|flags| compile_variants(compile_c, "imports", SOURCE, flags)).collect()
}

#[test]
fn calls_through_stubs_and_slots_have_the_name_of_the_import() {
    for program in programs() {
        let calls = program.calls_of("called");
        let found: Vec<_> = calls.iter().map(|call| (call.kind, call.import_name, call.may_return)).collect();
        assert_eq!(found, [(CallKind::Import, Some("puts"), true)], "{}", program.name);
        let calls = program.calls_of("tailed");
        let found: Vec<_> = calls.iter().map(|call| (call.kind, call.import_name, call.may_return)).collect();
        assert_eq!(found, [(CallKind::Tail, Some("puts"), true)], "{}", program.name);
    }
}

#[test]
fn a_call_of_exit_does_not_return() {
    for program in programs() {
        let calls = program.calls_of("ended");
        let [call] = calls.as_slice() else { panic!("{}: {calls:?}", program.name) };
        let found = (call.import_name, call.may_return);
        assert_eq!(found, (Some("exit"), false), "{}: {call:?}", program.name);
        assert_eq!(program.block(call.call_address).expect("a block").terminator, Terminator::CallNoReturn);
        assert!(program.edges_of(call.call_address).is_empty(), "{}", program.name);
        assert!(!program.function("ended").expect("a function").may_return, "{}", program.name);
    }
}

#[test]
fn stubs_end_with_an_indirect_jump_to_the_import() {
    for program in programs() {
        let calls = program.calls_of("called");
        let Some(stub) = calls.first().and_then(|call| call.callee_address) else { continue };
        let block = program.block(stub).expect("a stub is a block");
        assert_eq!(block.terminator, Terminator::IndirectJump, "{}", program.name);
        let edges = program.edges_of(stub);
        let found: Vec<_> =
            edges.iter().map(|edge| (edge.kind, edge.evidence, edge.target_address)).collect();
        assert_eq!(found, [(EdgeKind::Indirect, EdgeEvidence::Import, None)], "{}", program.name);
    }
}
