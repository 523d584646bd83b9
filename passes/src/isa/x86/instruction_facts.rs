//! Facts about one instruction that depend on no state.

use iced_x86::{Instruction, Mnemonic, Register};

/// Whether a register is the second byte of a general register.
pub(super) fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}

/// Whether an instruction is a system call.
pub(super) fn is_system_call(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Syscall | Mnemonic::Sysenter | Mnemonic::Int)
}
