//! Calls of functions that do not return end blocks, also over chains of calls.

use crate::{Program, assembly};
use binframe::ir::tables::{BlockEvidence, CallKind, Terminator};

/// Functions are adjacent, so that falling through after the last call would reach the next function.
const CHAIN: &str = "
    .intel_syntax noprefix
    .text
    .globl _start
    _start: call even
    test eax, eax
    je 1f
    call first
    1: call endless
    call ping
    call forwards
    after_all: nop
    first: push rax
    call second
    even: test edi, edi
    je 1f
    dec edi
    call odd
    1: ret
    second: test edi, edi
    je third
    call third
    odd: test edi, edi
    je 1f
    dec edi
    call even
    1: ret
    third: mov eax, 60
    syscall
    ud2
    endless: call endless
    behind_endless: ret
    ping: call pong
    behind_ping: ret
    pong: call ping
    behind_pong: ret
    forwards: jmp first
    .att_syntax";

const NEVER: [&str; 8] = ["_start", "first", "second", "third", "endless", "ping", "pong", "forwards"];

const RETURNING: [&str; 2] = ["even", "odd"];

#[test]
fn a_function_returns_if_a_path_reaches_a_return() {
    for program in assembly("chain", CHAIN) {
        for (names, returns) in [(&NEVER[..], false), (&RETURNING, true)] {
            for symbol in names {
                let function =
                    program.function(symbol).unwrap_or_else(|| panic!("{}: {symbol}", program.name));
                assert_eq!(function.may_return, returns, "{}: {symbol}", program.name);
            }
        }
    }
}

#[test]
fn blocks_end_at_calls_that_do_not_return() {
    for program in assembly("chain", CHAIN) {
        for (caller, callee) in
            [("first", "second"), ("second", "third"), ("endless", "endless"), ("ping", "pong")]
        {
            let calls = program.calls_of(caller);
            let calls = calls.iter().filter(|call| call.kind == CallKind::Direct);
            let found: Vec<_> = calls.map(|call| (call.callee_address, call.may_return)).collect();
            assert_eq!(found, [(Some(program.address(callee)), false)], "{}: {caller}", program.name);
            let call = program.calls_of(caller)[usize::from(caller == "second")].call_address;
            assert_eq!(program.block(call).map(|block| block.terminator), Some(Terminator::CallNoReturn));
            assert!(program.edges_of(call).is_empty(), "{}: {caller}", program.name);
        }
        for behind in ["behind_endless", "behind_ping", "behind_pong", "after_all"] {
            let block = program.block(program.address(behind));
            let is_reached = block.is_some_and(|block| {
                block.evidence == BlockEvidence::Flow && block.address != block.function_address
            });
            assert!(!is_reached, "{}: {behind} is in {block:x?}", program.name);
        }
    }
}

#[test]
fn mutually_recursive_functions_have_the_lowest_address_of_their_cycle() {
    let first = |program: &Program, symbol: &str| {
        program
            .function(symbol)
            .and_then(|function| function.recursion_group_address)
            .map(|address| program.symbol(address))
    };
    for program in assembly("chain", CHAIN) {
        for (symbol, expected) in
            [("even", "even"), ("odd", "even"), ("endless", "endless"), ("ping", "ping"), ("pong", "ping")]
        {
            assert_eq!(first(&program, symbol).as_deref(), Some(expected), "{}: {symbol}", program.name);
        }
        for symbol in ["_start", "second", "third", "forwards"] {
            assert_eq!(first(&program, symbol), None, "{}: {symbol}", program.name);
        }
    }
}

/// Functions of the program with names of the C library: `err` returns, `exit` does not; `error` gets text.
const OWN_NAMES: &str = "
    .intel_syntax noprefix
    .text
    .globl _start, err, exit, error
    .type err, @function
    .type exit, @function
    .type error, @function
    _start: call reports
    call fails
    ud2
    reports: mov edi, 7
    call err
    lea rdi, [rip + text]
    call error
    ret
    fails: mov edi, 1
    call exit
    never: nop
    err: mov eax, edi
    ret
    exit: mov eax, 60
    syscall
    again: jmp again
    error: mov eax, -1
    ret
    .section .rodata
    text: .byte 65, 0
    .att_syntax";

#[test]
fn own_functions_with_names_of_the_library_return_if_their_code_does() {
    for program in assembly("own_names", OWN_NAMES) {
        for (symbol, expected) in [("reports", vec![true, true]), ("fails", vec![false])] {
            let calls = program.calls_of(symbol);
            let returns: Vec<_> = calls.iter().map(|call| call.may_return).collect();
            assert_eq!(returns, expected, "{}: {symbol}", program.name);
        }
    }
}
