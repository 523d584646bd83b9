//! Where control goes after an instruction.

use super::CodeDecoder;
use binframe_ir::tables::Flow;
use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind};

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
pub(crate) fn direct_target(instruction: &Instruction) -> Option<u64> {
    match instruction.op0_kind() {
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
            Some(instruction.near_branch_target())
        }
        _ => None,
    }
}

/// Whether the bytes are whole instructions that linkers and compilers put between functions: `nop`, `int3`, zeros.
pub(crate) fn is_padding(bytes: &[u8]) -> bool {
    if bytes.iter().all(|byte| *byte == 0) {
        return true;
    }
    let mut decoder = CodeDecoder::new(bytes, 0);
    let mut instruction = Instruction::default();
    let mut size = 0;
    while size < bytes.len() {
        if !decoder.decode(&mut instruction)
            || !matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
        {
            return false;
        }
        size += instruction.len();
    }
    true
}
