//! Rows of instructions with rare operands; effects of instructions.

use super::effects::add_effects;
use super::{Decoder, Instruction, rows::RowWriter};
use crate::isa::{Decoder as _, Isa, RowPlace, RowWriter as _};
use binframe_ir::tables::{
    Access, Flow, Instruction as Row, InstructionPrefix, Instructions, OperandKind, Role, Rounding,
};
use binframe_ir::{Enumeration, Rows, Term};
use bytes::Bytes;

fn decoded(isa: Isa, bytes: &[u8]) -> Rows<Instructions> {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut rows = RowWriter::new(&bytes, 1);
    let mut instruction = Instruction::default();
    assert!(Decoder::new(isa, &bytes, 0x1000).decode(&mut instruction), "{bytes:02x?}");
    assert_eq!(instruction.len(), bytes.len(), "{bytes:02x?}");
    let (role, owner) = (Role::Code, (None, None));
    rows.push(RowPlace { address: 0x1000, section_index: 1, bytes: &bytes, role, owner }, Some(&instruction));
    rows.finish()
}

/// Checks the row of an instruction.
fn check(isa: Isa, bytes: &[u8], is_true: impl Fn(Row<'_>) -> bool) {
    let rows = decoded(isa, bytes);
    let row = rows.columns().row(0);
    assert!(is_true(row), "{row:?}");
}

#[test]
fn vectors_with_masks_broadcasts_and_rounding() {
    // vaddps zmm1{k2}{z}, zmm3, [rax]{1to16}
    check(Isa::X86_64, &[0x62, 0xf1, 0x64, 0xda, 0x58, 0x08], |row| {
        row.mask_register == Some(Term("k2"))
            && row.is_zeroing == Some(true)
            && row.mem_is_broadcast == Some(true)
            && row.mem_size == Some(4)
            && row.mem_access == Some(Access::Read)
    });
    // vaddps zmm1, zmm3, zmm4, {rz-sae}
    check(Isa::X86_64, &[0x62, 0xf1, 0x64, 0x78, 0x58, 0xcc], |row| {
        row.rounding == Some(Rounding::Zero) && row.mask_register.is_none() && row.is_zeroing.is_none()
    });
    // vcmpps k1, zmm3, zmm4, {sae}, 0
    check(Isa::X86_64, &[0x62, 0xf1, 0x64, 0x18, 0xc2, 0xcc, 0x00], |row| {
        row.rounding == Some(Rounding::Suppressed)
    });
    // vgatherdps zmm1{k1}, [rax+zmm2*4+0x40]
    check(Isa::X86_64, &[0x62, 0xf2, 0x7d, 0x49, 0x92, 0x4c, 0x90, 0x10], |row| {
        row.mem_index == Some(Term("zmm2")) && row.mem_scale == Some(4) && row.mem_displacement == Some(0x40)
    });
    // vpermil2ps xmm1, xmm2, xmm3, xmm4, 1
    check(Isa::X86_64, &[0xc4, 0xe3, 0x69, 0x48, 0xcb, 0x41], |row| {
        row.op3_register == Some(Term("xmm4"))
            && row.op4_kind == Some(OperandKind::Immediate)
            && row.immediate == Some(1)
    });
}

#[test]
fn constants_and_far_branches() {
    let enter = &[0xc8, 0x10, 0x00, 0x02];
    check(Isa::X86_64, enter, |row| row.immediate == Some(16) && row.immediate2 == Some(2));
    // extrq xmm1, 5, 6
    check(Isa::X86_64, &[0x66, 0x0f, 0x78, 0xc1, 5, 6], |row| {
        row.immediate == Some(5) && row.immediate2 == Some(6)
    });
    // jmp 0x33:0x12345678
    check(Isa::X86, &[0xea, 0x78, 0x56, 0x34, 0x12, 0x33, 0x00], |row| {
        row.flow == Flow::Jump && row.target_address == Some(0x1234_5678) && row.far_selector == Some(0x33)
    });
    check(Isa::X86, &[0x9a, 0x78, 0x56, 0x34, 0x12, 0x07, 0x00], |row| {
        row.flow == Flow::Call && row.far_selector == Some(7)
    });
    // mov eax, [0x88776655]
    check(Isa::X86, &[0xa1, 0x55, 0x66, 0x77, 0x88], |row| row.mem_displacement == Some(0x8877_6655));
    // mov eax, [ebp-8]
    check(Isa::X86, &[0x8b, 0x45, 0xf8], |row| {
        row.mem_displacement == Some(-8) && row.mem_base == Some(Term("ebp"))
    });
    // movabs al, [0x1122334455667788]
    check(Isa::X86_64, &[0xa0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11], |row| {
        row.mem_displacement == Some(0x1122_3344_5566_7788) && row.mem_base.is_none()
    });
}

#[test]
fn prefixes_and_implicit_operands() {
    check(Isa::X86_64, &[0xf0, 0x48, 0x0f, 0xb1, 0x0a], |row| row.prefix == Some(InstructionPrefix::Lock));
    check(Isa::X86_64, &[0xf2, 0xf0, 0x48, 0x01, 0x0a], |row| {
        row.prefix == Some(InstructionPrefix::XacquireLock)
    });
    check(Isa::X86_64, &[0xf2, 0xae], |row| row.prefix == Some(InstructionPrefix::Repne));
    // rep movsb, from fs: the destination has no segment prefix.
    check(Isa::X86_64, &[0x64, 0xf3, 0xa4], |row| {
        row.prefix == Some(InstructionPrefix::Rep)
            && row.mem_base == Some(Term("rdi"))
            && row.mem_segment.is_none()
    });
    // xlat
    check(Isa::X86_64, &[0xd7], |row| row.mem_base == Some(Term("rbx")) && row.mem_index == Some(Term("al")));
    // maskmovq mm1, mm2
    check(Isa::X86_64, &[0x0f, 0xf7, 0xca], |row| {
        row.mem_base == Some(Term("rdi")) && row.mem_access == Some(Access::Write)
    });
    // bound eax, [ebx]; les eax, [ebx]
    check(Isa::X86, &[0x62, 0x03], |row| row.mem_size == Some(8) && row.mem_access == Some(Access::Read));
    check(Isa::X86, &[0xc4, 0x03], |row| row.mem_size == Some(6));
    // out dx, al; in eax, 0x60
    check(Isa::X86_64, &[0xee], |row| {
        row.op0_register == Some(Term("dx")) && row.op1_register == Some(Term("al"))
    });
    check(Isa::X86_64, &[0xe5, 0x60], |row| row.immediate == Some(0x60));
}

/// Random bytes with many prefixes and escapes, as instructions have them.
fn random_instruction(state: &mut u64, bytes: &mut [u8; 15]) {
    const LEADING: [&[u8]; 16] = [
        &[],
        &[],
        &[0x66],
        &[0xf2],
        &[0xf3],
        &[0x48],
        &[0x0f],
        &[0x66, 0x0f],
        &[0xf3, 0x0f],
        &[0xf2, 0x0f],
        &[0x0f, 0x38],
        &[0x0f, 0x3a],
        &[0xc4],
        &[0xc5],
        &[0x62],
        &[0x8f],
    ];
    let mut next = || {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as usize
    };
    let leading = LEADING[next() % LEADING.len()];
    for byte in &mut bytes[..] {
        *byte = next() as u8;
    }
    bytes[..leading.len()].copy_from_slice(leading);
    // What says which table of instructions is meant, and bits that are fixed.
    match leading {
        [0x62] => {
            bytes[1] = bytes[1] & 0xf0 | [1, 2, 3, 5, 6][next() % 5];
            bytes[2] |= 4;
        }
        [0xc4] => bytes[1] = bytes[1] & 0xe0 | [1, 2, 3][next() % 3],
        [0x8f] => bytes[1] = bytes[1] & 0xe0 | [8, 9, 10][next() % 3],
        _ => {}
    }
}

#[test]
fn rows_of_three_thousand_instructions_have_all_operands() {
    let mut seen = std::collections::BTreeSet::new();
    let mut state = 1;
    let mut bytes = [0; 15];
    for round in 0..1_500_000 {
        random_instruction(&mut state, &mut bytes);
        let isa = if round % 2 == 0 { Isa::X86_64 } else { Isa::X86 };
        let mut instruction = Instruction::default();
        if !Decoder::new(isa, &bytes, 0x1000).decode(&mut instruction)
            || !seen.insert(instruction.code() as u16)
        {
            continue;
        }
        let size = instruction.len();
        check(isa, &bytes[..size], |row| {
            let kinds = [row.op0_kind, row.op1_kind, row.op2_kind, row.op3_kind, row.op4_kind];
            let registers = [row.op0_register, row.op1_register, row.op2_register, row.op3_register];
            let constants = kinds.iter().filter(|kind| **kind == Some(OperandKind::Immediate)).count();
            let has = |kind| kinds.contains(&Some(kind));
            kinds.iter().flatten().count() == instruction.op_count() as usize
                && kinds
                    .iter()
                    .zip(registers)
                    .all(|(kind, name)| name.is_some() == (*kind == Some(OperandKind::Register)))
                && constants <= 2
                && row.immediate.is_some() == (constants > 0)
                && row.immediate2.is_some() == (constants > 1)
                && row.mem_access.is_some() == has(OperandKind::Memory)
                && row.target_address.is_some() == (has(OperandKind::Branch) || has(OperandKind::FarBranch))
                && row.far_selector.is_some() == has(OperandKind::FarBranch)
        });
    }
    assert!(seen.len() > 3_000, "{} instructions", seen.len());
}

/// Each effect is `resource:access`, with `*` if it is implicit. The expected effects are those of Intel's manual.
#[test]
fn effects_agree_with_the_manual() {
    let cases: [(&str, &[u8], &str); 12] = [
        ("push rbp", &[0x55], "rbp:read rsp:read* rsp:write*"),
        ("pop rcx", &[0x59], "rcx:write rsp:read* rsp:write*"),
        (
            "div rcx",
            &[0x48, 0xf7, 0xf1],
            "af:undefined* cf:undefined* of:undefined* pf:undefined* rax:read* rax:write* rcx:read rdx:read* \
             rdx:write* sf:undefined* zf:undefined*",
        ),
        (
            "cmp eax, ebx",
            &[0x39, 0xd8],
            "af:write* cf:write* eax:read ebx:read of:write* pf:write* sf:write* zf:write*",
        ),
        ("inc eax", &[0xff, 0xc0], "af:write* eax:read of:write* pf:write* rax:write sf:write* zf:write*"),
        (
            "adc al, 1",
            &[0x14, 0x01],
            "af:write* al:read al:write cf:read* cf:write* of:write* pf:write* sf:write* zf:write*",
        ),
        ("cmovz eax, [rbx]", &[0x0f, 0x44, 0x03], "eax:read rax:write rbx:read zf:read*"),
        ("clc", &[0xf8], "cf:clear*"),
        ("std", &[0xfd], "df:set*"),
        (
            "and eax, ecx",
            &[0x21, 0xc8],
            "af:undefined* cf:clear* eax:read ecx:read of:clear* pf:write* rax:write sf:write* zf:write*",
        ),
        ("lea rax, [rbx+rcx]", &[0x48, 0x8d, 0x04, 0x0b], "rax:write rbx:read rcx:read"),
        ("cpuid", &[0x0f, 0xa2], "eax:read* ecx:cond_read* rax:write* rbx:write* rcx:write* rdx:write*"),
    ];
    let mut factory = iced_x86::InstructionInfoFactory::new();
    for (name, bytes, expected) in cases {
        let mut instruction = Instruction::default();
        assert!(Decoder::new(Isa::X86_64, bytes, 0x1000).decode(&mut instruction), "{name}");
        let mut effects = Vec::new();
        add_effects(&instruction, &mut factory, &mut effects);
        let found = effects.iter().map(|(resource, access, is_implicit)| {
            format!("{resource}:{}{}", access.name(), if *is_implicit { "*" } else { "" })
        });
        assert_eq!(found.collect::<Vec<_>>().join(" "), expected, "{name}");
    }
}
