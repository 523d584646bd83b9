//! Control flow of an instruction, and the constant addresses in it.

use super::decode::{Decoder, WORD_SIZE};
use super::memory_size::memory_size;
use crate::isa::instruction_set::ConstantAddress;
use binframe_ir::tables::Flow;
use fARM64::{Condition, FlowControl, Instruction, Mnemonic, Operand};
use std::ops::Range;

/// The words before an instruction in which the address is looked for that a register holds.
const WORDS_BEFORE_MAX: usize = 8;

/// The control flow of a valid instruction.
///
/// In user mode `brk`, `hlt` and `udf` raise an exception; system calls (`svc`, `hvc`, `smc`) return.
#[inline]
pub(super) fn classify(instruction: &Instruction) -> Flow {
    match instruction.flow_control() {
        FlowControl::UnconditionalBranch => Flow::Jump,
        // With these conditions `b.cond` always jumps.
        FlowControl::ConditionalBranch
            if matches!(instruction.op(0), Operand::Cond(Condition::Al | Condition::Nv)) =>
        {
            Flow::Jump
        }
        FlowControl::ConditionalBranch => Flow::CondJump,
        FlowControl::IndirectBranch => Flow::IndirectJump,
        FlowControl::Call => Flow::Call,
        FlowControl::IndirectCall => Flow::IndirectCall,
        FlowControl::Return => Flow::Ret,
        FlowControl::Exception => match instruction.mnemonic() {
            Mnemonic::Svc | Mnemonic::Hvc | Mnemonic::Smc => Flow::Next,
            _ => Flow::Trap,
        },
        FlowControl::Next if instruction.mnemonic() == Mnemonic::Udf => Flow::Trap,
        FlowControl::Next => Flow::Next,
    }
}

/// The target of a direct jump or call; `None` for other instructions.
#[inline]
pub(super) fn direct_target(instruction: &Instruction) -> Option<u64> {
    matches!(classify(instruction), Flow::Jump | Flow::CondJump | Flow::Call)
        .then(|| instruction.near_branch_target())
}

/// The target of a direct call; `None` for other instructions.
pub(super) fn direct_call_target(instruction: &Instruction) -> Option<u64> {
    direct_target(instruction).filter(|_| instruction.flow_control() == FlowControl::Call)
}

/// The target of a direct jump or call; for an indirect one the constant address of the pointer that an instruction
/// shortly before loads into its register, as in stubs of imported functions; `None` for other instructions.
#[inline]
pub(super) fn target(decoder: &Decoder<'_>, instruction: &Instruction) -> Option<u64> {
    match classify(instruction) {
        Flow::Jump | Flow::CondJump | Flow::Call => Some(instruction.near_branch_target()),
        Flow::IndirectJump | Flow::IndirectCall => {
            let mut before = decoder.words_before(instruction.ip()).take(WORDS_BEFORE_MAX);
            let (_, load) = writer(&mut before, base_register(instruction.word()))?;
            let displacement = u64::from(load >> 10 & 0xfff) * 8;
            let base = is_load_of_address(load).then(|| register_value(before, base_register(load)))??;
            Some(base.wrapping_add(displacement))
        }
        _ => None,
    }
}

/// The constant address in an instruction that is not a branch; `None` if it has none. Instructions of two or more, such
/// as `adrp` and `add`, have it at the last.
#[inline]
pub(super) fn constant_address(decoder: &Decoder<'_>, instruction: &Instruction) -> Option<ConstantAddress> {
    let word = instruction.word();
    let accessed = |address, size| Some(ConstantAddress { address, is_taken: false, size });
    let base =
        || register_value(decoder.words_before(instruction.ip()).take(WORDS_BEFORE_MAX), base_register(word));
    if is_adr(word) {
        return Some(ConstantAddress { address: label(instruction)?, is_taken: true, size: 0 });
    }
    if is_literal_load(word) {
        return accessed(label(instruction)?, literal_size(word));
    }
    if let Some(added) = added_constant(word) {
        return Some(ConstantAddress { address: base()?.wrapping_add(added), is_taken: true, size: 0 });
    }
    if !is_access_with_offset(word) {
        return None;
    }
    let address = base()?.wrapping_add(instruction.memory_displacement64() as u64);
    accessed(address, memory_size(instruction).map_or(0, |size| size as u8))
}

/// The bytes that hold a relative address, alone or with instructions before, and that address. Fields do not end at
/// bytes, so these are all.
pub(super) fn relative_field(
    decoder: &Decoder<'_>,
    instruction: &Instruction,
) -> Option<(Range<usize>, u64)> {
    let address = direct_target(instruction)
        .or_else(|| label(instruction))
        .or_else(|| constant_address(decoder, instruction).map(|constant| constant.address));
    address.map(|address| (0..WORD_SIZE, address))
}

/// The address that an instruction has relative to its own.
pub(super) fn label(instruction: &Instruction) -> Option<u64> {
    (0..instruction.op_count()).find_map(|index| match instruction.op(index) {
        Operand::Label(address) => Some(address),
        _ => None,
    })
}

/// Whether the bytes are all zeros, or whole words of padding.
pub(super) fn is_padding(bytes: &[u8]) -> bool {
    let words = bytes.chunks_exact(WORD_SIZE);
    bytes.iter().all(|byte| *byte == 0)
        || words.remainder().is_empty()
            && words.filter_map(|word| word.try_into().ok()).map(u32::from_le_bytes).all(is_padding_word)
}

/// Whether the last word is padding.
pub(super) fn ends_in_padding(bytes: &[u8]) -> bool {
    bytes.last_chunk().is_some_and(|word| is_padding_word(u32::from_le_bytes(*word)))
}

/// Whether a word is 0, `nop` or `brk`, with which linkers fill gaps.
fn is_padding_word(word: u32) -> bool {
    const NOP: u32 = 0xd503_201f;
    const BRK: u32 = 0xd420_0000;
    word == 0 || word == NOP || word & 0xffe0_001f == BRK
}

// Encodings, from the words: they are looked at for every instruction, and before it.

/// The constant that a register holds before an instruction, given the words before that, the last one first.
fn register_value(mut before: impl Iterator<Item = (u64, u32)>, mut register: u32) -> Option<u64> {
    let mut added: u64 = 0;
    loop {
        let (address, word) = writer(&mut before, register)?;
        if is_adr(word) || is_adrp(word) {
            let field = (word >> 5 & 0x7_ffff) << 2 | word >> 29 & 3;
            let offset = (i64::from(field) << 43) >> 43;
            let start = match is_adrp(word) {
                true => (address & !0xfff).wrapping_add_signed(offset << 12),
                false => address.wrapping_add_signed(offset),
            };
            return Some(start.wrapping_add(added));
        }
        added = added.wrapping_add(added_constant(word)?);
        register = base_register(word);
    }
}

/// The last word that may write a general register, if no path from elsewhere joins visibly in between: a jump ends the
/// search, and so does a call if the ABI lets it change the register.
fn writer(before: &mut impl Iterator<Item = (u64, u32)>, register: u32) -> Option<(u64, u32)> {
    const FIRST_PRESERVED: u32 = 19;
    for (address, word) in before {
        let is_call = word >> 26 == 0b10_0101 || word & 0xffff_fc1f == 0xd63f_0000;
        let is_branch = word >> 26 & 0b1_1111 == 0b0_0101 || word >> 25 == 0b110_1011;
        if is_branch && !(is_call && register >= FIRST_PRESERVED) {
            return None;
        }
        // `ldp` writes a second register.
        let is_pair = word & 0x3a40_0000 == 0x2840_0000;
        if !is_branch && (word & 0x1f == register || is_pair && word >> 10 & 0x1f == register) {
            return Some((address, word));
        }
    }
    None
}

/// The register in the field of bits 5 to 9: the base of an address, the first source of an operation.
fn base_register(word: u32) -> u32 {
    word >> 5 & 0x1f
}

fn is_adr(word: u32) -> bool {
    word & 0x9f00_0000 == 0x1000_0000
}

fn is_adrp(word: u32) -> bool {
    word & 0x9f00_0000 == 0x9000_0000
}

/// The constant that `add x, x, constant` adds.
fn added_constant(word: u32) -> Option<u64> {
    let shift = if word & 0x40_0000 == 0 { 0 } else { 12 };
    (word & 0xff80_0000 == 0x9100_0000).then(|| u64::from(word >> 10 & 0xfff) << shift)
}

/// Whether a word loads an address from a register and an unsigned offset.
fn is_load_of_address(word: u32) -> bool {
    word & 0xffc0_0000 == 0xf940_0000
}

/// Whether a word accesses memory at a register, with an unsigned offset.
fn is_access_with_offset(word: u32) -> bool {
    word & 0x3b00_0000 == 0x3900_0000
}

/// Whether a word loads from an address relative to its own.
fn is_literal_load(word: u32) -> bool {
    word & 0x3b00_0000 == 0x1800_0000
}

/// Bytes that a literal load reads; 0 for a prefetch.
fn literal_size(word: u32) -> u8 {
    let is_vector = word & 0x400_0000 != 0;
    match (word >> 30, is_vector) {
        (0, _) | (2, false) => 4,
        (1, _) => 8,
        (2, true) => 16,
        _ => 0,
    }
}
