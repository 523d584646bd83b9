//! Discovery of functions that neither a symbol nor an unwind entry declares.

use crate::assembly;
use binframe::ir::tables::{BlockEvidence, FunctionEvidence};

const SOURCE: &str = "
    .intel_syntax noprefix
    .text
    .globl _start
    _start: push rbp
    mov rbp, rsp
    call called
    lea rdi, taken[rip]
    mov [rsp - 16], rdi
    call [rsp - 16]
    mov rax, table[rip]
    call rax
    mov eax, 60
    syscall
    .balign 16
    called: push rbp
    mov rbp, rsp
    mov eax, 1
    pop rbp
    jmp jumped
    .balign 16
    alone: push rbp
    mov rbp, rsp
    mov eax, 2
    pop rbp
    ret
    .balign 16
    pointed: push rbp
    mov rbp, rsp
    mov eax, 3
    pop rbp
    ret
    .balign 16
    taken: push rbp
    mov rbp, rsp
    mov eax, 4
    pop rbp
    ret
    .balign 16
    jumped: push rbp
    mov rbp, rsp
    mov eax, 5
    pop rbp
    ret
    .data
    .balign 8
    number: .quad 77
    table: .quad pointed
    more: .quad 78
    .att_syntax";

#[test]
fn undeclared_functions_are_found_by_references_and_gaps() {
    let expected = [
        ("_start", FunctionEvidence::Entry),
        ("called", FunctionEvidence::CallTarget),
        ("alone", FunctionEvidence::Gap),
        ("pointed", FunctionEvidence::Pointer),
        ("taken", FunctionEvidence::AddressTaken),
        ("jumped", FunctionEvidence::JumpTarget),
    ];
    for program in assembly("discovery", SOURCE).into_iter().skip(1) {
        let functions = program.tables.lowered.cfg.functions.columns();
        let found: Vec<_> = functions.iter().map(|row| (program.symbol(row.address), row.evidence)).collect();
        assert_eq!(found, expected.map(|(name, evidence)| (name.to_owned(), evidence)), "{}", program.name);
        let blocks = program.tables.lowered.cfg.basic_blocks.columns();
        assert!(blocks.iter().all(|block| block.evidence == BlockEvidence::Flow), "{}", program.name);
        // Padding between functions does not belong to them.
        for pair in functions.iter().collect::<Vec<_>>().windows(2) {
            assert!(pair[0].address + pair[0].size <= pair[1].address, "{}: {pair:x?}", program.name);
            assert!(!pair[0].size.is_multiple_of(16), "{}: {pair:x?}", program.name);
        }
    }
}
