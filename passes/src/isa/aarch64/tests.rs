//! Flow, constant addresses, ends of functions, and rows of instructions.

use super::decode::Decoder;
use super::flow::{classify, constant_address, target};
use super::rows::RowWriter;
use super::{AArch64, effects::add_effects};
use crate::isa::{ConstantAddress, Decoder as _, InstructionSet, Isa, RowPlace, RowWriter as _};
use binframe_ir::tables::{Access, Flow, Instruction as Row, OperandKind, Role};
use binframe_ir::{Enumeration, Term};
use bytes::Bytes;
use fARM64::Instruction;

const START: u64 = 0x1_0000;

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Calls `check` with the last of some instructions, and the decoder that has just decoded it.
fn last<T>(words: &[u32], check: impl FnOnce(&Decoder<'_>, &Instruction) -> T) -> T {
    let bytes = bytes(words);
    let mut decoder = Decoder::new(&bytes, START);
    let mut instruction = Instruction::default();
    decoder.seek(bytes.len() - 4);
    assert!(decoder.decode(&mut instruction), "{words:x?}");
    check(&decoder, &instruction)
}

/// Checks the row of an instruction.
fn check(word: u32, is_true: impl Fn(Row<'_>) -> bool) {
    let bytes = Bytes::from(bytes(&[word]));
    let mut rows = RowWriter::new(&bytes, 1);
    let place =
        RowPlace { address: START, section_index: 1, bytes: &bytes, role: Role::Code, owner: (None, None) };
    last(&[word], |_, instruction| rows.push(place, Some(instruction)));
    let rows = rows.finish();
    let row = rows.columns().row(0);
    assert!(is_true(row), "{row:?}");
}

#[test]
fn flows() {
    let cases = [
        (0x1400_0002, Flow::Jump),         // b .+8
        (0x5400_0040, Flow::CondJump),     // b.eq .+8
        (0x5400_004e, Flow::Jump),         // b.al .+8
        (0xb400_0040, Flow::CondJump),     // cbz x0, .+8
        (0x3600_0040, Flow::CondJump),     // tbz w0, 0, .+8
        (0x9400_0002, Flow::Call),         // bl .+8
        (0xd63f_0200, Flow::IndirectCall), // blr x16
        (0xd61f_0220, Flow::IndirectJump), // br x17
        (0xd71f_0a11, Flow::IndirectJump), // braa x16, x17
        (0xd65f_03c0, Flow::Ret),          // ret
        (0xd65f_0bff, Flow::Ret),          // retaa
        (0xd69f_03e0, Flow::Ret),          // eret
        (0xd400_0001, Flow::Next),         // svc 0
        (0xd420_0020, Flow::Trap),         // brk 1
        (0xd440_0000, Flow::Trap),         // hlt 0
        (0x0000_0000, Flow::Trap),         // udf 0
        (0xd503_201f, Flow::Next),         // nop
    ];
    for (word, flow) in cases {
        assert_eq!(last(&[word], |_, instruction| classify(instruction)), flow, "{word:x}");
    }
    assert_eq!(last(&[0x9400_0002], target), Some(START + 8));
    assert_eq!(last(&[0x17ff_ffff], target), Some(START - 4));
}

#[test]
fn constant_addresses_of_one_instruction_and_of_several() {
    let taken = |address| Some(ConstantAddress { address, is_taken: true, size: 0 });
    let accessed = |address, size| Some(ConstantAddress { address, is_taken: false, size });
    // adr x0, .+16
    assert_eq!(last(&[0x1000_0080], constant_address), taken(START + 16));
    // ldr x0, .+16; ldr w0, .+16; ldr q0, .+16; ldrsw x0, .+16
    for (word, size) in [(0x5800_0080, 8), (0x1800_0080, 4), (0x9c00_0080, 16), (0x9800_0080, 4)] {
        assert_eq!(last(&[word], constant_address), accessed(START + 16, size));
    }
    // adrp x0, 0x11000: a page is no address that the program means.
    assert_eq!(last(&[0xb000_0000], constant_address), None);
    // adrp x0, 0x11000; nop; add x1, x0, 0x123
    assert_eq!(last(&[0xb000_0000, 0xd503_201f, 0x9104_8c01], constant_address), taken(0x1_1123));
    // adrp x0, 0x11000; ldrh w1, [x0, 0x10]
    assert_eq!(last(&[0xb000_0000, 0x7940_2001], constant_address), accessed(0x1_1010, 2));
    // adrp x0, 0x11000; mov x0, x1; add x1, x0, 0x123
    assert_eq!(last(&[0xb000_0000, 0xaa01_03e0, 0x9104_8c01], constant_address), None);
    // adrp x0, 0x11000; bl .+8; add x1, x0, 0x123: a call may change x0, and not x19.
    assert_eq!(last(&[0xb000_0000, 0x9400_0002, 0x9104_8c01], constant_address), None);
    assert_eq!(last(&[0xb000_0013, 0x9400_0002, 0x9104_8e61], constant_address), taken(0x1_1123));
}

#[test]
fn stubs_of_imported_functions_jump_through_a_pointer() {
    // ELF: adrp x16, 0x20000; ldr x17, [x16, 0x18]; add x16, x16, 0x18; br x17
    let elf = [0x9000_0090, 0xf940_0e11, 0x9100_6210, 0xd61f_0220];
    assert_eq!(last(&elf, target), Some(0x2_0018));
    // Mach-O: adrp x16, 0x20000; ldr x16, [x16, 0x18]; br x16
    assert_eq!(last(&[0x9000_0090, 0xf940_0e10, 0xd61f_0200], target), Some(0x2_0018));
    // Mach-O with signed pointers: adrp x17, 0x20000; add x17, x17, 0x18; ldr x16, [x17]; braa x16, x17
    let signed = [0x9000_0091, 0x9100_6231, 0xf940_0230, 0xd71f_0a11];
    assert_eq!(last(&signed, target), Some(0x2_0018));
    assert_eq!(last(&[0xd61f_0200], target), None);
}

#[test]
fn instructions_are_aligned_words() {
    let bytes = bytes(&[0xd503_201f, 0xd503_201f]);
    let mut instruction = Instruction::default();
    assert!(Decoder::new(&bytes, START).decode(&mut instruction));
    assert!(!Decoder::new(&bytes, START + 2).decode(&mut instruction));
    assert!(!Decoder::new(&bytes[..3], START).decode(&mut instruction));
    // Apple's extensions are no instructions of Arm's.
    assert_eq!(Isa::AArch64.disassemble(&0x0020_1000_u32.to_le_bytes(), START), "(bad)");
}

#[test]
fn starts_and_ends_of_functions() {
    let (bti, paciasp, stp, sub) = (0xd503_245f, 0xd503_233f, 0xa9bf_7bfd, 0xd100_83ff);
    let (ldp, add, ret, nop) = (0xa8c1_7bfd, 0x9100_83ff, 0xd65f_03c0, 0xd503_201f);
    for first in [bti, paciasp, stp, sub] {
        assert!(AArch64::is_prologue(Isa::AArch64, &bytes(&[first, ret])), "{first:x}");
        assert!(AArch64::may_begin_function(Isa::AArch64, &bytes(&[first, ret])), "{first:x}");
    }
    assert!(!AArch64::is_prologue(Isa::AArch64, &bytes(&[ret])));
    assert!(AArch64::saves_register(Isa::AArch64, &bytes(&[bti, paciasp, stp])));
    for end in [ldp, add] {
        assert!(AArch64::ends_in_epilogue(Isa::AArch64, &bytes(&[end, nop, 0x1400_0040])), "{end:x}");
        assert!(!AArch64::may_begin_function(Isa::AArch64, &bytes(&[end, ret])), "{end:x}");
    }
    // cbz x0, .+8 tests a parameter; mov x0, x19 reads what no caller passes; b.eq reads flags.
    assert!(AArch64::may_begin_function(Isa::AArch64, &bytes(&[0xb400_0040])));
    assert!(!AArch64::may_begin_function(Isa::AArch64, &bytes(&[0xaa13_03e0, ret])));
    assert!(!AArch64::may_begin_function(Isa::AArch64, &bytes(&[0x5400_0040])));
    assert!(AArch64::is_padding(Isa::AArch64, &bytes(&[nop, 0, nop])));
    assert!(!AArch64::is_padding(Isa::AArch64, &bytes(&[nop, ret])));
    assert!(AArch64::ends_in_padding(&bytes(&[ret, nop])) && !AArch64::ends_in_padding(&bytes(&[ret])));
}

#[test]
fn rows_have_operands_and_memory() {
    // ldr x0, [x1, w2, sxtw 3]
    check(0xf862_d820, |row| {
        (row.mnemonic, row.mem_base, row.mem_index) == (Term("ldr"), Some(Term("x1")), Some(Term("w2")))
            && (row.mem_scale, row.mem_size, row.mem_access) == (Some(8), Some(8), Some(Access::Read))
    });
    // stp x29, x30, [sp, -16]!
    check(0xa9bf_7bfd, |row| {
        (row.op0_register, row.op1_register) == (Some(Term("x29")), Some(Term("x30")))
            && (row.mem_base, row.mem_displacement) == (Some(Term("sp")), Some(-16))
            && (row.mem_size, row.mem_access) == (Some(16), Some(Access::Write))
    });
    // ldrb w0, [x1], 1
    check(0x3840_1420, |row| {
        (row.mem_displacement, row.mem_size) == (Some(0), Some(1))
            && (row.op2_kind, row.immediate) == (Some(OperandKind::Immediate), Some(1))
    });
    // b.ne .+8
    check(0x5400_0041, |row| {
        (row.mnemonic, row.target_address) == (Term("b.ne"), Some(START + 8))
            && (row.op0_kind, row.op1_kind) == (Some(OperandKind::Branch), None)
    });
    // adrp x0, 0x11000
    check(0xb000_0000, |row| {
        (row.mem_address, row.mem_access, row.mem_size) == (Some(0x1_1000), Some(Access::Address), None)
    });
    // movk x0, 0x1234, lsl 16
    check(0xf2a2_4680, |row| row.immediate == Some(0x1234_0000));
    // ldadd w0, w1, [x2]
    check(0xb820_0041, |row| (row.mem_size, row.mem_access) == (Some(4), Some(Access::ReadWrite)));
    // stlxr w0, x1, [x2]
    check(0xc800_fc41, |row| (row.mem_size, row.mem_access) == (Some(8), Some(Access::Write)));
    // ld4 {v0.4s-v3.4s}, [x0]; ld1r {v0.8h}, [x0]
    check(0x4c40_0800, |row| (row.mem_size, row.mem_is_broadcast) == (Some(64), Some(false)));
    check(0x4d40_c400, |row| (row.mem_size, row.mem_is_broadcast) == (Some(2), Some(true)));
}

#[test]
fn rows_of_random_words_agree_with_themselves() {
    let mut state = 1_u64;
    let mut count = 0;
    for _ in 0..400_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (state >> 32) as u32;
        if Isa::AArch64.instruction_size(&word.to_le_bytes(), START).is_none() {
            continue;
        }
        count += 1;
        check(word, |row| {
            let kinds = [row.op0_kind, row.op1_kind, row.op2_kind, row.op3_kind, row.op4_kind];
            let registers = [row.op0_register, row.op1_register, row.op2_register, row.op3_register];
            let constants = kinds.iter().filter(|kind| **kind == Some(OperandKind::Immediate)).count();
            let has = |kind| kinds.contains(&Some(kind));
            kinds
                .iter()
                .zip(registers)
                .all(|(kind, name)| name.is_some() == (*kind == Some(OperandKind::Register)))
                && row.immediate.is_some() == (constants > 0)
                && row.immediate2.is_some() == (constants > 1)
                && row.mem_access.is_some() == has(OperandKind::Memory)
                && row.target_address.is_some() == has(OperandKind::Branch)
                && row.mem_scale.is_none_or(|scale| (1..=16).contains(&scale))
        });
    }
    assert!(count > 100_000, "{count}");
}

#[test]
fn effects_have_registers_and_flags() {
    let cases = [
        ("bl .+8", 0x9400_0002, "x30:write*"),
        ("ret", 0xd65f_03c0, "x30:read*"),
        ("adds x0, x1, x2", 0xab02_0020, "nzcv:write* x0:write x1:read x2:read"),
        ("ldr x0, [x1], 8", 0xf840_8420, "x0:write x1:read x1:write"),
        ("csel x0, x1, x2, eq", 0x9a82_0020, "nzcv:read* x0:write x1:read x2:read"),
        ("stp x29, x30, [sp, -16]!", 0xa9bf_7bfd, "sp:read sp:write x29:read x30:read"),
        ("mov x0, xzr", 0xaa1f_03e0, "x0:write"),
    ];
    for (name, word, expected) in cases {
        let mut effects = Vec::new();
        last(&[word], |_, instruction| add_effects(instruction, &mut effects));
        let found = effects.iter().map(|(resource, access, is_implicit)| {
            format!("{resource}:{}{}", access.name(), if *is_implicit { "*" } else { "" })
        });
        assert_eq!(found.collect::<Vec<_>>().join(" "), expected, "{name}");
    }
}
