//! Where control goes after an instruction.

use super::{Isa, displacement, is_32};
use binframe_ir::tables::Flow;
use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

/// How control leaves a valid instruction.
///
/// In user mode `hlt` raises an exception, as `int3` does; other software interrupts are system calls and come back.
#[inline]
pub(crate) fn classify(instruction: &Instruction) -> Flow {
    let has_target = || direct_target(instruction).is_some();
    match instruction.flow_control() {
        FlowControl::Next if instruction.mnemonic() == Mnemonic::Hlt => Flow::Trap,
        FlowControl::UnconditionalBranch => Flow::Jump,
        FlowControl::ConditionalBranch => Flow::CondJump,
        FlowControl::IndirectBranch => Flow::IndirectJump,
        FlowControl::Return => Flow::Ret,
        FlowControl::IndirectCall => Flow::IndirectCall,
        FlowControl::Call if has_target() => Flow::Call,
        // `xbegin` names where an abort continues.
        FlowControl::XbeginXabortXend if has_target() => Flow::CondJump,
        FlowControl::Exception => Flow::Trap,
        FlowControl::Interrupt if instruction.mnemonic() != Mnemonic::Int => Flow::Trap,
        // iced counts system calls and the like as calls.
        FlowControl::Next | FlowControl::Call | FlowControl::XbeginXabortXend | FlowControl::Interrupt => {
            Flow::Next
        }
    }
}

/// Where a direct jump or call goes.
#[inline]
pub(super) fn direct_target(instruction: &Instruction) -> Option<u64> {
    match instruction.op0_kind() {
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
            Some(instruction.near_branch_target())
        }
        // Systems make segments of code begin at 0.
        OpKind::FarBranch16 => Some(u64::from(instruction.far_branch16())),
        OpKind::FarBranch32 => Some(u64::from(instruction.far_branch32())),
        _ => None,
    }
}

/// Where a direct call goes.
pub(crate) fn called(instruction: &Instruction) -> Option<u64> {
    direct_target(instruction).filter(|_| instruction.flow_control() == FlowControl::Call)
}

/// Where a direct jump or call goes, or the constant address of the pointer that an indirect one reads. In stubs of 32-bit mode
/// `ebx` holds the address of the table of such pointers.
#[inline]
pub(crate) fn target(instruction: &Instruction, table: Option<u64>) -> Option<u64> {
    direct_target(instruction).or_else(|| memory_address(instruction)).or_else(|| {
        let is_in_table = is_32(instruction)
            && instruction.memory_base() == Register::EBX
            && instruction.memory_index() == Register::None
            && instruction.op0_kind() == OpKind::Memory;
        let address = table.filter(|_| is_in_table)?.wrapping_add(displacement(instruction));
        Some(address & u64::from(u32::MAX))
    })
}

/// A constant address in an instruction that is no branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConstantAddress {
    pub(crate) address: u64,
    /// Whether the instruction computes the address, rather than touch what stands there.
    pub(crate) is_taken: bool,
    /// How many bytes are touched; 0 for an address that is taken.
    pub(crate) size: u8,
}

/// The constant address that an instruction names, if it names one. A large number that is moved or pushed may be an address.
#[inline]
pub(crate) fn constant_address(instruction: &Instruction) -> Option<ConstantAddress> {
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

/// The least number that is taken for an address where nothing says so: systems map nothing below.
pub(super) const ADDRESS_MIN: u64 = 0x1_0000;

/// The address of a memory operand that no register but the instruction pointer, and no index that is known to be 0, is part of.
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

/// Whether an instruction calls a function, and does not only push the address of what follows.
pub(crate) fn is_call(instruction: &Instruction) -> bool {
    let is_call = matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
        && instruction.mnemonic() == Mnemonic::Call;
    is_call && direct_target(instruction) != Some(instruction.next_ip())
}

/// The bytes of arguments that a function pops which ends with an instruction; none where it is no return.
pub(crate) fn popped_by_callee(instruction: &Instruction) -> Option<i64> {
    let is_return = matches!(instruction.mnemonic(), Mnemonic::Ret | Mnemonic::Retf);
    is_return.then(|| match instruction.op_count() {
        0 => 0,
        _ => i64::from(instruction.immediate16()),
    })
}

/// Whether the bytes are zeros, or instructions that do nothing.
pub(crate) fn is_padding(isa: Isa, bytes: &[u8]) -> bool {
    if bytes.iter().all(|byte| *byte == 0) {
        return true;
    }
    let mut decoder = isa.decoder(bytes, 0);
    let mut instruction = Instruction::default();
    let mut size = 0;
    while size < bytes.len() {
        if !decoder.decode(&mut instruction) || !does_nothing(&instruction) {
            return false;
        }
        size += instruction.len();
    }
    true
}

/// Whether an instruction is put between functions: `nop`, `int3`, and what stands for a longer `nop` in 32-bit mode.
fn does_nothing(instruction: &Instruction) -> bool {
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
