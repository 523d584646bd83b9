//! Execution falls from a section into the section that continues it.

use crate::assembly;
use binframe::ir::tables::{EdgeKind, Terminator};

const ADJACENT: &str = "
    .intel_syntax noprefix
    .section first, \"ax\"
    .globl _start
    _start: call callee
    test eax, eax
    je 1f
    ret
    .section second, \"ax\"
    1: nop
    .section third, \"ax\"
    after_third: ret
    .section fourth, \"ax\"
    callee: test edi, edi
    jne after_third
    .section fifth, \"ax\"
    after_fourth: ret
    .att_syntax";

#[test]
fn blocks_at_the_end_of_a_section_continue_in_the_next() {
    for program in assembly("adjacent", &ADJACENT.replace('"', "\\\"")) {
        let [third, fourth, fifth] =
            ["after_third", "callee", "after_fourth"].map(|name| program.address(name));
        let before_third = program.block(third - 1).expect("the branch's target");
        assert_eq!(before_third.terminator, Terminator::End, "{}", program.name);
        for (address, kind, target) in [
            (third - 1, EdgeKind::Fallthrough, third),
            (fourth, EdgeKind::Taken, third),
            (fourth, EdgeKind::Fallthrough, fifth),
        ] {
            let edges = program.edges_of(address);
            let is_found = edges.iter().any(|edge| (edge.kind, edge.target_address) == (kind, Some(target)));
            assert!(is_found, "{}: {kind:?} to {target:#x} is not in {edges:x?}", program.name);
        }
        let callee = program.function("callee").expect("a called function");
        assert!(callee.may_return, "{}", program.name);
    }
}
