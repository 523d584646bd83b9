//! Computed gotos: jumps to labels whose addresses are taken.

use crate::{FREESTANDING, assembly, compile_c, compile_variants};
use binframe::ir::tables::{BlockEvidence, EdgeEvidence, EdgeKind, Terminator};
use std::collections::BTreeSet;

const INTERPRETER: &str = "
    volatile int sink;
    __attribute__((noinline)) int run(const unsigned char *code, int value) {
        static const void *const labels[] = { &&add, &&twice, &&negate, &&halt };
        goto *labels[*code++];
        add: value += sink; goto *labels[*code++];
        twice: value *= 2; sink = value; goto *labels[*code++];
        negate: value = -value; sink = 3; goto *labels[*code++];
        halt: return value;
    }
    void _start(void) {
        static const unsigned char code[] = { 0, 1, 2, 3 };
        sink = run(code, sink);
        __asm__ volatile(\"mov $60, %eax; syscall; ud2\");
    }
";

#[test]
fn computed_gotos_have_edges_to_all_labels_of_the_array() {
    for level in ["-O0", "-O1", "-O2"] {
        for program in
            compile_variants(compile_c, "labels", INTERPRETER, &[&FREESTANDING[..], &[level]].concat())
        {
            let labels =
                program.symbols.iter().find(|(name, _)| name.starts_with("labels")).expect("the array").1;
            let sections = program.tables.lowered.sections.sections.columns();
            let section = sections
                .iter()
                .find(|row| (row.address..row.address + row.size).contains(labels) && row.address > 0);
            let section = section.expect("the array is in a section");
            let bytes = &section.content[(labels - section.address) as usize..][..32];
            let expected: BTreeSet<u64> = bytes
                .chunks(8)
                .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
                .collect();
            let run = program.address("run");
            let blocks = program.tables.lowered.cfg.basic_blocks.columns();
            let jumps = blocks
                .iter()
                .filter(|row| row.function_address == run && row.terminator == Terminator::IndirectJump);
            let mut count = 0;
            for jump in jumps {
                count += 1;
                let edges = program.edges_of(jump.address);
                assert!(
                    edges.iter().all(|edge| edge.kind == EdgeKind::Indirect),
                    "{} {level}: {edges:x?}",
                    program.name
                );
                let targets: BTreeSet<u64> = edges.iter().filter_map(|edge| edge.target_address).collect();
                assert_eq!(targets, expected, "{} {level}: {jump:x?}", program.name);
            }
            assert!(count > 0, "{} {level}", program.name);
        }
    }
}

const CHOSEN: &str = "
    .intel_syntax noprefix
    .text
    .globl _start
    _start: call choose
    ud2
    choose: lea rax, one[rip]
    lea rcx, two[rip]
    test edi, edi
    cmove rax, rcx
    mov [rsp - 8], rax
    chosen: jmp [rsp - 8]
    one: mov eax, 1
    ret
    two: mov eax, 2
    ret
    .att_syntax";

#[test]
fn unresolved_jumps_have_edges_to_address_taken_labels() {
    for program in assembly("chosen", CHOSEN) {
        let edges = program.edges_of(program.address("chosen"));
        let targets: BTreeSet<_> = edges.iter().filter_map(|edge| edge.target_address).collect();
        assert_eq!(targets, ["one", "two"].map(|label| program.address(label)).into(), "{}", program.name);
        assert!(
            edges.iter().all(|edge| edge.evidence == EdgeEvidence::AddressTaken),
            "{}: {edges:?}",
            program.name
        );
        for label in ["one", "two"] {
            let block = program.block(program.address(label)).expect("a block");
            let expected = (program.address("choose"), BlockEvidence::Flow);
            assert_eq!((block.function_address, block.evidence), expected, "{}", program.name);
        }
    }
}
