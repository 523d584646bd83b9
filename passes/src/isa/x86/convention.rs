//! How functions are called.
//!
//! Sources: System V ABI, x86-64 supplement, section 3.2.1, and i386 supplement, section 2.2; Microsoft, "x64 calling convention" and
//! "Argument passing and naming conventions".

use super::Isa;
use crate::domains::{Parameters, Summary, Value};
use binframe_ir::tables::UnknownReason;

/// Numbers of registers, as instructions encode them.
pub(super) const COUNTER: u8 = 1;
pub(crate) const STACK_POINTER: u8 = 4;
pub(crate) const FRAME_POINTER: u8 = 5;
/// The register in which a function returns a number or an address.
pub(crate) const RESULT: u8 = 0;

/// A calling convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Convention {
    /// Size of an address in bytes.
    pub(crate) address_size: u8,
    /// Registers that a function leaves as they were.
    pub(crate) preserved: u16,
    /// Registers of the first parameters that are numbers or addresses, in their order.
    pub(crate) parameters: &'static [u8],
    /// How many vector registers hold the first parameters that are floating-point numbers.
    pub(crate) vector_parameters: u32,
    /// Vector registers whose low 16 bytes a function leaves as they were.
    pub(crate) preserved_vectors: (u32, u32),
    /// Bytes above the return address that callees may use for their registers.
    pub(crate) home_size: i64,
    /// Whether callees may pop their arguments.
    pub(crate) may_callees_pop: bool,
    /// Whether handlers of exceptions go on in the frame of the function that they belong to, as it was at the call.
    pub(crate) has_landing_pads: bool,
    /// Bytes below the stack pointer that nobody else touches.
    pub(crate) red_zone_size: i64,
}

impl Convention {
    /// That of a file's code.
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
        match (isa, is_windows) {
            (Isa::X86_64, false) => common,
            (Isa::X86_64, true) => Self {
                preserved: common.preserved | mask(&[6, 7]),
                parameters: &[1, 2, 8, 9],
                vector_parameters: 4,
                preserved_vectors: (6, 16),
                home_size: 32,
                has_landing_pads: false,
                red_zone_size: 0,
                ..common
            },
            (Isa::X86, _) => Self {
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

    /// Registers that a call may change.
    pub(crate) fn changed(self) -> u16 {
        !self.preserved
    }

    /// What may be expected of a function of which nothing is known but that it keeps to the convention.
    pub(crate) fn summary(self) -> Summary {
        Summary {
            popped: (!self.may_callees_pop).then_some(0),
            changed: self.changed(),
            read: Parameters::ALL,
            kept: Parameters::ALL,
            written: Parameters::ALL,
            writes_elsewhere: true,
            returned: Value::unknown(UnknownReason::Clobbered),
        }
    }

    /// Name of a register, as wide as an address.
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

const fn mask(registers: &[u8]) -> u16 {
    let (mut mask, mut index) = (0, 0);
    while index < registers.len() {
        mask |= 1 << registers[index];
        index += 1;
    }
    mask
}
