//! Calling conventions of x86: System V and Microsoft, 64-bit and 32-bit.
//!
//! Sources: System V ABI, x86-64 supplement, section 3.2.1, and i386 supplement, section 2.2; Microsoft, "x64 calling
//! convention" and "Argument passing and naming conventions".

use super::registers::{FS_BASE, GS_BASE};
use crate::domains::{AbstractValue, ParameterSet, Summary};
use crate::isa::abi::Abi;
use crate::isa::instruction_set::Isa;
use crate::isa::ops::{Reg, RegSet};
use binframe_ir::tables::UnknownReason;

/// Numbers of registers are those that instructions encode. Number of the stack pointer.
pub(crate) const STACK_POINTER: u8 = 4;
/// Number of the frame pointer.
pub(crate) const FRAME_POINTER: u8 = 5;
/// Number of the register that returns integers and addresses.
pub(crate) const RESULT: u8 = 0;

/// A calling convention. Sets of registers have a bit for each register number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallingConvention {
    /// Size of an address in bytes.
    pub(crate) address_size: u8,
    /// Callee-saved registers.
    pub(crate) preserved: u16,
    /// Registers of the first integer parameters, in order.
    pub(crate) parameters: &'static [u8],
    /// Number of vector registers that hold the first floating-point parameters.
    pub(crate) vector_parameters: u32,
    /// Vector registers whose low 16 bytes are callee-saved: the first, and the one after the last.
    pub(crate) preserved_vectors: (u32, u32),
    /// Bytes above the return address in which the callee may store its register parameters (home space, shadow
    /// space).
    pub(crate) home_size: i64,
    /// Whether a callee may pop its arguments (`stdcall`).
    pub(crate) may_callees_pop: bool,
    /// Whether landing pads run in the frame of the function that they belong to, with the stack pointer as it was at
    /// the call.
    pub(crate) has_landing_pads: bool,
    /// Bytes below the stack pointer that signal handlers leave unchanged (red zone).
    pub(crate) red_zone_size: i64,
}

/// What all ABIs of the instruction set have in common. Of the registers that System V lets a call change, Windows
/// preserves two. System calls and canaries are those of Linux.
pub(crate) fn abi(isa: Isa) -> Abi {
    let common = Abi {
        address_bits: 64,
        stack_pointer: Reg(STACK_POINTER),
        frame_pointer: Reg(FRAME_POINTER),
        result: Reg(RESULT),
        is_return_address_pushed: true,
        clobbered: RegSet::of(&[Reg(0), Reg(1), Reg(2), Reg(6), Reg(7), Reg(8), Reg(9), Reg(10), Reg(11)]),
        thread_bases: RegSet::of(&[FS_BASE, GS_BASE]),
        canary_offset: Some(0x28),
        service_arguments: &[Reg(7), Reg(6), Reg(2), Reg(10), Reg(8), Reg(9)],
    };
    match isa {
        Isa::X86 => Abi {
            address_bits: 32,
            clobbered: RegSet::of(&[Reg(0), Reg(1), Reg(2)]),
            canary_offset: Some(0x14),
            service_arguments: &[Reg(3), Reg(1), Reg(2), Reg(6), Reg(7), Reg(5)],
            ..common
        },
        _ => common,
    }
}

impl CallingConvention {
    /// The calling convention of a binary's code.
    pub(crate) fn of(isa: Isa, is_windows: bool) -> Self {
        let common = Self {
            address_size: 8,
            preserved: mask(&[3, 4, 5, 12, 13, 14, 15]),
            parameters: &[7, 6, 2, 1, 8, 9],
            vector_parameters: 8,
            preserved_vectors: (0, 0),
            home_size: 0,
            may_callees_pop: false,
            has_landing_pads: true,
            red_zone_size: 128,
        };
        match (isa == Isa::X86, is_windows) {
            (false, false) => common,
            (false, true) => Self {
                preserved: common.preserved | mask(&[6, 7]),
                parameters: &[1, 2, 8, 9],
                vector_parameters: 4,
                preserved_vectors: (6, 16),
                home_size: 32,
                has_landing_pads: false,
                red_zone_size: 0,
                ..common
            },
            (true, _) => Self {
                address_size: 4,
                preserved: mask(&[3, 4, 5, 6, 7]),
                parameters: &[],
                vector_parameters: 0,
                may_callees_pop: is_windows,
                has_landing_pads: !is_windows,
                red_zone_size: 0,
                ..common
            },
        }
    }

    /// Caller-saved registers.
    pub(crate) fn clobbered(self) -> u16 {
        !self.preserved
    }

    /// The summary of an unknown function that follows the convention.
    pub(crate) fn summary(self) -> Summary {
        Summary {
            popped_bytes: (!self.may_callees_pop).then_some(0),
            clobbered: self.clobbered(),
            read: ParameterSet::ALL,
            captured: ParameterSet::ALL,
            written: ParameterSet::ALL,
            writes_unknown_memory: true,
            returned: AbstractValue::unknown(UnknownReason::Clobbered),
        }
    }

    /// Name of an address-sized register; empty if the mode does not have it.
    pub(crate) fn register_name(self, register: u8) -> &'static str {
        const NAMES: [[&str; 16]; 2] = [
            ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "", "", "", "", "", "", "", ""],
            [
                "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
                "r13", "r14", "r15",
            ],
        ];
        NAMES[usize::from(self.address_size == 8)][usize::from(register)]
    }
}

/// The set of some registers.
const fn mask(registers: &[u8]) -> u16 {
    let (mut mask, mut index) = (0, 0);
    while index < registers.len() {
        mask |= 1 << registers[index];
        index += 1;
    }
    mask
}
