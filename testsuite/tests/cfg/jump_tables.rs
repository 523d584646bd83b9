//! Jump tables of several encodings, in hand-written assembly.

use crate::assembly;
use binframe::ir::tables::{BoundEvidence, Confidence, JumpTableKind};

const TABLES: &str = "
    .intel_syntax noprefix
    .text
    .globl _start
    _start: call two_levels
    call masked
    call shifted
    call bytes
    ud2
    two_levels: cmp edi, 9
    ja 9f
    mov edi, edi
    lea rdx, positions[rip]
    movzx eax, byte ptr [rdx + rdi]
    lea rdx, offsets[rip]
    movsxd rax, dword ptr [rdx + rax*4]
    add rax, rdx
    two_levels_jump: notrack jmp rax
    a0: mov eax, 1
    ret
    a1: mov eax, 2
    ret
    a2: mov eax, 3
    ret
    9: xor eax, eax
    ret
    masked: and edi, 3
    masked_jump: jmp addresses[rdi*8]
    b0: mov eax, 1
    ret
    b1: mov eax, 2
    ret
    b2: mov eax, 3
    ret
    shifted: mov ecx, edi
    sub ecx, 100
    cmp ecx, 2
    ja 9f
    shifted_jump: jmp low[rcx*8]
    c0: mov eax, 1
    ret
    c1: mov eax, 2
    ret
    9: ret
    bytes: cmp rdi, 3
    jae 9f
    lea rdx, bytes_base[rip]
    movzx eax, byte ptr steps[rdi]
    add rax, rdx
    bytes_jump: jmp rax
    bytes_base: mov eax, 1
    ret
    d1: mov eax, 2
    ret
    d2: mov eax, 3
    9: ret
    .section .rodata
    positions: .byte 0, 1, 2, 0, 1, 1, 0, 2, 2, 0
    .balign 4
    offsets: .long a0 - offsets, a1 - offsets, a2 - offsets
    other: .long 1, 2, 3
    .balign 8
    addresses: .quad b0, b1, b2, b0
    low: .quad c0, c1, c0
    steps: .byte 0, d1 - bytes_base, d2 - bytes_base
    .att_syntax";

/// Expected jump table: jump, table address, encoding and targets.
struct Expected {
    jump: &'static str,
    table: &'static str,
    kind: JumpTableKind,
    entry_size: u8,
    base: Option<&'static str>,
    index_table: Option<&'static str>,
    bound: BoundEvidence,
    targets: &'static [&'static str],
}

const EXPECTED: [Expected; 4] = [
    Expected {
        jump: "two_levels_jump",
        table: "offsets",
        kind: JumpTableKind::Relative,
        entry_size: 4,
        base: Some("offsets"),
        index_table: Some("positions"),
        bound: BoundEvidence::Mask,
        targets: &["a0", "a1", "a2"],
    },
    Expected {
        jump: "masked_jump",
        table: "addresses",
        kind: JumpTableKind::Absolute,
        entry_size: 8,
        base: None,
        index_table: None,
        bound: BoundEvidence::Mask,
        targets: &["b0", "b1", "b2", "b0"],
    },
    Expected {
        jump: "shifted_jump",
        table: "low",
        kind: JumpTableKind::Absolute,
        entry_size: 8,
        base: None,
        index_table: None,
        bound: BoundEvidence::Compare,
        targets: &["c0", "c1", "c0"],
    },
    Expected {
        jump: "bytes_jump",
        table: "steps",
        kind: JumpTableKind::RelativeUnsigned,
        entry_size: 1,
        base: Some("bytes_base"),
        index_table: None,
        bound: BoundEvidence::Compare,
        targets: &["bytes_base", "d1", "d2"],
    },
];

#[test]
fn hand_written_jump_tables_are_recovered() {
    for program in assembly("tables", TABLES) {
        let cfg = &program.tables.lowered.cfg;
        let (tables, rows) = (cfg.jump_tables.columns(), cfg.jump_table_entries.columns());
        assert_eq!(tables.len(), EXPECTED.len(), "{}", program.name);
        for expected in &EXPECTED {
            let jump = program.address(expected.jump);
            let name = format!("{} {}", program.name, expected.jump);
            let row = tables.jump_address.binary_search(&jump).unwrap_or_else(|_| panic!("{name}: no table"));
            let table = tables.row(row);
            assert_eq!(table.table_address, program.address(expected.table), "{name}");
            assert_eq!((table.kind, table.entry_size), (expected.kind, expected.entry_size), "{name}");
            assert_eq!(table.base_address, expected.base.map(|base| program.address(base)), "{name}");
            assert_eq!(
                table.index_table_address,
                expected.index_table.map(|table| program.address(table)),
                "{name}"
            );
            assert_eq!(table.bound_evidence, expected.bound, "{name}");
            assert_ne!(table.confidence, Confidence::Guess, "{name}");
            let targets = rows.iter().filter(|row| row.jump_address == jump).map(|row| row.target_address);
            let expected: Vec<_> = expected.targets.iter().map(|target| program.address(target)).collect();
            assert_eq!(targets.collect::<Vec<_>>(), expected, "{name}");
            assert_eq!(table.entry_count as usize, expected.len(), "{name}");
        }
    }
}
