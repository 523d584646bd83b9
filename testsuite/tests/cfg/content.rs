//! `content_hash` is equal for functions with the same instructions, whatever their addresses and the addresses they
//! refer to.

use crate::assembly;
use binframe::passes::code::cfg::with_content_hashes;

const FUNCTIONS: &str = "
    .intel_syntax noprefix
    .text
    .globl _start
    _start: call one
    call two
    call jumps_elsewhere
    call other_constant
    call other_order
    ud2
    leaf: ret
    one: push rbx
    lea rdi, here[rip]
    call leaf
    test eax, eax
    je 1f
    mov eax, 1
    1: pop rbx
    ret
    nop
    nop
    nop
    two: push rbx
    lea rdi, there[rip]
    call other_leaf
    test eax, eax
    je 1f
    mov eax, 1
    1: pop rbx
    ret
    jumps_elsewhere: push rbx
    lea rdi, here[rip]
    call leaf
    test eax, eax
    je 1f
    mov eax, 1
    pop rbx
    1: ret
    other_constant: push rbx
    lea rdi, here[rip]
    call leaf
    test eax, eax
    je 1f
    mov eax, 2
    1: pop rbx
    ret
    other_order: push rbx
    call leaf
    lea rdi, here[rip]
    test eax, eax
    je 1f
    mov eax, 1
    1: pop rbx
    ret
    other_leaf: ret
    .data
    here: .quad 1
    there: .quad 2";

#[test]
fn content_hash_is_equal_only_for_equal_functions() {
    for program in assembly("content", FUNCTIONS) {
        let lowered = &program.tables.lowered;
        let hashed = with_content_hashes(&lowered.code, &lowered.cfg, &lowered.cfg.functions);
        let hash = |symbol: &str| {
            let address = program.address(symbol);
            let function = hashed.columns().iter().find(|function| function.address == address);
            function.unwrap_or_else(|| panic!("{} has no function {symbol}", program.name)).content_hash
        };
        assert_eq!(hash("one"), hash("two"), "{}", program.name);
        assert_eq!(hash("leaf"), hash("other_leaf"), "{}", program.name);
        for other in ["jumps_elsewhere", "other_constant", "other_order", "leaf"] {
            assert_ne!(hash("one"), hash(other), "{other} of {}", program.name);
        }
    }
}
