//! Facts about one instruction that the memory stage needs, and that depend on no state.

use super::calling_convention::STACK_POINTER;
use super::decoder::{address_size, immediate};
use super::operands::is_memory;
use iced_x86::{ConditionCode, Instruction, Mnemonic, OpKind, Register};

/// Number of the general register that a register is or is part of; `None` for other registers.
pub(super) fn general_register(register: Register) -> Option<u8> {
    let full = register.full_register();
    full.is_gpr64().then(|| full.number() as u8)
}

/// Whether a register is the second byte of a general register.
pub(super) fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}

/// Size of an operand in bytes, at most 64; 0 if it is neither a register nor memory.
pub(super) fn operand_size(instruction: &Instruction, operand: u32) -> u8 {
    match instruction.op_kind(operand) {
        OpKind::Register => instruction.op_register(operand).size() as u8,
        kind if is_memory(kind) => instruction.memory_size().size().min(64) as u8,
        _ => 0,
    }
}

/// Whether all register operands are general registers.
pub(super) fn has_general_operands(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).all(|operand| {
        instruction.op_kind(operand) != OpKind::Register
            || general_register(instruction.op_register(operand)).is_some()
    })
}

/// Whether the effect of an instruction depends on flags.
pub(super) fn is_conditional(instruction: &Instruction) -> bool {
    instruction.condition_code() != ConditionCode::None
}

/// Whether an instruction is a system call.
pub(super) fn is_system_call(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Syscall | Mnemonic::Sysenter | Mnemonic::Int)
}

/// Whether an instruction moves, fills, compares or searches memory that fixed registers point to.
pub(super) fn is_string_instruction(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|operand| {
        let kind = instruction.op_kind(operand);
        kind != OpKind::Memory && is_memory(kind)
    })
}

/// Whether an instruction only copies a whole register to or from memory or another register.
pub(crate) fn is_whole_move(instruction: &Instruction) -> bool {
    let is_move = matches!(
        instruction.mnemonic(),
        Mnemonic::Mov
            | Mnemonic::Push
            | Mnemonic::Pop
            | Mnemonic::Movss
            | Mnemonic::Movsd
            | Mnemonic::Movq
            | Mnemonic::Movd
            | Mnemonic::Movaps
            | Mnemonic::Movups
            | Mnemonic::Movapd
            | Mnemonic::Movupd
            | Mnemonic::Movdqa
            | Mnemonic::Movdqu
            | Mnemonic::Vmovss
            | Mnemonic::Vmovsd
            | Mnemonic::Vmovaps
            | Mnemonic::Vmovups
            | Mnemonic::Vmovdqa
            | Mnemonic::Vmovdqu
            | Mnemonic::Fld
            | Mnemonic::Fstp
    );
    is_move
        && (0..instruction.op_count()).all(|operand| {
            let kind = instruction.op_kind(operand);
            kind == OpKind::Register || is_memory(kind)
        })
}

/// The general register that an instruction stores whole to memory; `None` if it does not, or if it does more.
pub(crate) fn stored_register(instruction: &Instruction) -> Option<u8> {
    let operand = match instruction.mnemonic() {
        Mnemonic::Push => 0,
        Mnemonic::Mov if is_memory(instruction.op0_kind()) => 1,
        _ => return None,
    };
    let is_whole = instruction.op_kind(operand) == OpKind::Register
        && instruction.op_register(operand).size() == usize::from(address_size(instruction));
    general_register(instruction.op_register(operand)).filter(|_| is_whole)
}

/// The power of two that an instruction aligns the stack pointer to; `None` if it does not align it.
pub(crate) fn stack_alignment(instruction: &Instruction) -> Option<u32> {
    let is_mask = instruction.mnemonic() == Mnemonic::And
        && instruction.op0_kind() == OpKind::Register
        && general_register(instruction.op0_register()) == Some(STACK_POINTER)
        && instruction.op1_kind() != OpKind::Register
        && !is_memory(instruction.op1_kind());
    let size = is_mask.then(|| (immediate(instruction, 1) as i64).unsigned_abs())?;
    u32::try_from(size).ok().filter(|size| size.is_power_of_two())
}
