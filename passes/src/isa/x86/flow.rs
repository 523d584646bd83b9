//! Control flow of an instruction, and the constant addresses in it.

use super::decode::{Decoder, displacement, first, is_32};
use crate::isa::instruction_set::{ConstantAddress, Decoder as _, Isa};
use crate::isa::ops::Reg;
use binframe_ir::tables::Flow;
use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

/// The control flow of a valid instruction.
///
/// In user mode `hlt` raises an exception, as `int3` does, and `int 0x29` ends the process on Windows (`__fastfail`);
/// other software interrupts are system calls and return.
#[inline]
pub(super) fn classify(instruction: &Instruction) -> Flow {
    let has_target = || direct_target(instruction).is_some();
    match instruction.flow_control() {
        FlowControl::Next if instruction.mnemonic() == Mnemonic::Hlt => Flow::Trap,
        FlowControl::UnconditionalBranch => Flow::Jump,
        FlowControl::ConditionalBranch => Flow::CondJump,
        FlowControl::IndirectBranch => Flow::IndirectJump,
        FlowControl::Return => Flow::Ret,
        FlowControl::IndirectCall => Flow::IndirectCall,
        FlowControl::Call if has_target() => Flow::Call,
        // The operand of `xbegin` is the address at which execution continues after an abort.
        FlowControl::XbeginXabortXend if has_target() => Flow::CondJump,
        FlowControl::Exception => Flow::Trap,
        FlowControl::Interrupt if instruction.mnemonic() != Mnemonic::Int => Flow::Trap,
        FlowControl::Interrupt if instruction.immediate8() == FAST_FAIL => Flow::Trap,
        // iced classifies system calls and the like as calls.
        FlowControl::Next | FlowControl::Call | FlowControl::XbeginXabortXend | FlowControl::Interrupt => {
            Flow::Next
        }
    }
}

/// The interrupt by which a program of Windows ends itself at once.
const FAST_FAIL: u8 = 0x29;

/// The base register and the offset of the memory operand of the first instruction, if it has no index.
pub(super) fn based_operand(isa: Isa, bytes: &[u8]) -> Option<(Reg, u64)> {
    let instruction = first(isa, bytes)?;
    let base = instruction.memory_base();
    let is_based = base.is_gpr() && instruction.memory_index() == Register::None;
    is_based.then(|| (Reg(base.number() as u8), displacement(&instruction)))
}

/// The constant that the first instruction adds to a register; `None` if it does something else.
pub(super) fn added_constant(isa: Isa, bytes: &[u8], register: Reg) -> Option<u64> {
    let instruction = first(isa, bytes)?;
    let is_addition = instruction.mnemonic() == Mnemonic::Add
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().number() == usize::from(register.0);
    instruction.try_immediate(1).ok().filter(|_| is_addition)
}

/// Whether the first instruction has a memory operand with an index register.
pub(super) fn is_indexed(isa: Isa, bytes: &[u8]) -> bool {
    first(isa, bytes).is_some_and(|instruction| instruction.memory_index() != Register::None)
}

/// Whether code starts with the prefix `lock`, and the rest is the same instruction without it.
pub(super) fn has_atomic_prefix(isa: Isa, code: &[u8]) -> bool {
    const LOCK: u8 = 0xf0;
    let [LOCK, rest @ ..] = code else { return false };
    let locked = first(isa, code).filter(Instruction::has_lock_prefix);
    let (Some(locked), Some(plain)) = (locked, first(isa, rest)) else { return false };
    locked.mnemonic() == plain.mnemonic() && locked.len() == plain.len() + 1
}

/// The numbers of the system calls of Linux that end a process, `exit` and `exit_group`, if the instruction calls the
/// system; none for others. x32 marks the numbers of x86-64 with a bit.
///
/// Source: Linux, `arch/x86/entry/syscalls/syscall_64.tbl` and `syscall_32.tbl`.
#[inline]
pub(super) fn exit_calls(instruction: &Instruction) -> &'static [u32] {
    const X32_BIT: u32 = 0x4000_0000;
    match instruction.mnemonic() {
        Mnemonic::Syscall => &[60, 231, X32_BIT + 60, X32_BIT + 231],
        Mnemonic::Sysenter => &[1, 252],
        Mnemonic::Int if instruction.immediate8() == 0x80 => &[1, 252],
        _ => &[],
    }
}

/// The address that the last instruction of code pushes, if it pushes a constant of 32 bits; `None` otherwise.
#[inline]
pub(super) fn pushed_address(code: &[u8]) -> Option<u64> {
    match code {
        [.., 0x68, a, b, c, d] => Some(i64::from(i32::from_le_bytes([*a, *b, *c, *d])) as u64),
        _ => None,
    }
}

/// The target of a direct jump or call; `None` for other instructions.
#[inline]
pub(super) fn direct_target(instruction: &Instruction) -> Option<u64> {
    match instruction.op0_kind() {
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
            Some(instruction.near_branch_target())
        }
        // Operating systems use code segments with base 0.
        OpKind::FarBranch16 => Some(u64::from(instruction.far_branch16())),
        OpKind::FarBranch32 => Some(u64::from(instruction.far_branch32())),
        _ => None,
    }
}

/// The target of a direct call; `None` for other instructions.
pub(super) fn direct_call_target(instruction: &Instruction) -> Option<u64> {
    direct_target(instruction).filter(|_| instruction.flow_control() == FlowControl::Call)
}

/// The target of a direct jump or call, or the constant address of the pointer that an indirect one reads; `None` for
/// other instructions. `pointer_table` is the table of such pointers (GOT), whose address is in `ebx` in 32-bit stubs.
#[inline]
pub(super) fn target(instruction: &Instruction, pointer_table: Option<u64>) -> Option<u64> {
    direct_target(instruction).or_else(|| memory_address(instruction)).or_else(|| {
        let is_in_table = is_32(instruction)
            && instruction.memory_base() == Register::EBX
            && instruction.memory_index() == Register::None
            && instruction.op0_kind() == OpKind::Memory;
        let address = pointer_table.filter(|_| is_in_table)?.wrapping_add(displacement(instruction));
        Some(address & u64::from(u32::MAX))
    })
}

/// The constant address in an instruction; `None` if it has none. A large immediate that is moved or pushed is treated
/// as an address.
#[inline]
pub(super) fn constant_address(instruction: &Instruction) -> Option<ConstantAddress> {
    if let Some(address) = memory_address(instruction) {
        let is_taken = instruction.mnemonic() == Mnemonic::Lea;
        let size = if is_taken { 0 } else { instruction.memory_size().size().min(64) as u8 };
        return Some(ConstantAddress { address, is_taken, size });
    }
    let operand = match instruction.mnemonic() {
        Mnemonic::Mov => 1,
        Mnemonic::Push => 0,
        _ => return None,
    };
    let wide = [OpKind::Immediate32, OpKind::Immediate64, OpKind::Immediate32to64];
    let is_wide = wide.contains(&instruction.op_kind(operand));
    let address = is_wide.then(|| instruction.immediate(operand))?;
    (address >= ADDRESS_MIN).then_some(ConstantAddress { address, is_taken: true, size: 0 })
}

/// The lowest immediate that is treated as an address: operating systems map nothing below it.
pub(super) const ADDRESS_MIN: u64 = 0x1_0000;

/// The address of a memory operand without a base register other than the instruction pointer: with an index register,
/// the address at index 0. `None` for other instructions.
#[inline]
fn memory_address(instruction: &Instruction) -> Option<u64> {
    let is_constant = match instruction.memory_base() {
        Register::RIP | Register::EIP => true,
        Register::None => {
            instruction.memory_displ_size() >= 4
                && !matches!(instruction.segment_prefix(), Register::FS | Register::GS)
        }
        _ => false,
    };
    is_constant.then(|| instruction.memory_displacement64())
}

/// Whether code has the instruction `std`.
pub(super) fn sets_direction(isa: Isa, code: &[u8]) -> bool {
    if !code.contains(&0xfd) {
        return false;
    }
    let mut decoder = Decoder::new(isa, code, 0);
    let mut instruction = Instruction::default();
    let mut size = 0;
    while size < code.len() && decoder.decode(&mut instruction) {
        if instruction.mnemonic() == Mnemonic::Std {
            return true;
        }
        size += instruction.len();
    }
    false
}

/// Whether the bytes are all zeros, or whole instructions without effect.
pub(super) fn is_padding(isa: Isa, bytes: &[u8]) -> bool {
    if bytes.iter().all(|byte| *byte == 0) {
        return true;
    }
    let mut decoder = Decoder::new(isa, bytes, 0);
    let mut instruction = Instruction::default();
    let mut size = 0;
    while size < bytes.len() {
        if !decoder.decode(&mut instruction) || !has_no_effect(&instruction) {
            return false;
        }
        size += instruction.len();
    }
    true
}

/// Whether the last byte is zero, `nop` or `int3`.
pub(super) fn ends_in_padding(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(|byte| [0, 0x90, 0xcc].contains(byte))
}

/// Whether an instruction is padding between functions: `nop`, `int3`, or an instruction that 32-bit compilers use as a
/// longer `nop`.
fn has_no_effect(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Nop | Mnemonic::Int3 => true,
        Mnemonic::Lea if is_32(instruction) => {
            instruction.op0_register() == instruction.memory_base()
                && instruction.memory_index() == Register::None
                && instruction.memory_displacement64() == 0
        }
        Mnemonic::Mov if is_32(instruction) && instruction.op1_kind() == OpKind::Register => {
            instruction.op0_register() == instruction.op1_register()
        }
        _ => false,
    }
}
