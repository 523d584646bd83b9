//! What every caller on a platform relies on, in registers that ops refer to.

use super::ops::{Reg, RegSet};
use crate::domains::{AbstractValue, ParameterSet, Summary};
use binframe_ir::tables::UnknownReason;

/// The part of the calling convention that does not depend on parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abi {
    /// Width of an address in bits.
    pub(crate) address_bits: u16,
    /// Width in bits of a general register and of a stack slot; greater than that of an address in code of x32.
    pub(crate) register_bits: u16,
    /// The stack pointer.
    pub(crate) stack_pointer: Reg,
    /// The register that functions with a frame pointer use for it.
    pub(crate) frame_pointer: Reg,
    /// The register that integers and addresses are returned in.
    pub(crate) result: Reg,
    /// Whether a call stores the return address on the stack, and a return removes it.
    pub(crate) is_return_address_pushed: bool,
    /// General registers that a call may change in some ABI of the instruction set.
    pub(crate) clobbered: RegSet,
    /// Registers that hold the address of the running thread's storage.
    pub(crate) thread_bases: RegSet,
    /// Offset of the stack canary in that storage; `None` if it is elsewhere.
    pub(crate) canary_offset: Option<i64>,
    /// The register with the number of a system call.
    pub(crate) service_number: Reg,
    /// Registers of the arguments of system calls, in order.
    pub(crate) service_arguments: &'static [Reg],
}

/// A calling convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallingConvention {
    /// Size of an address in bytes.
    pub(crate) address_size: u8,
    /// Callee-saved general registers.
    pub(crate) preserved: RegSet,
    /// Registers of the first integer parameters, in order.
    pub(crate) parameters: &'static [Reg],
    /// Vector registers of the first floating-point parameters.
    pub(crate) vector_parameters: RegSet,
    /// The vector register that floating-point numbers are returned in.
    pub(crate) vector_result: Reg,
    /// The register that tells a variadic function how many vector registers hold arguments.
    pub(crate) vector_count: Option<Reg>,
    /// Vector registers whose lowest piece is callee-saved.
    pub(crate) preserved_vectors: RegSet,
    /// Bytes above the return address in which the callee may store its register parameters (home space, shadow
    /// space).
    pub(crate) home_size: i64,
    /// Whether a callee may pop its arguments (`stdcall`).
    pub(crate) may_callees_pop: bool,
    /// The register with the number of bytes by which a helper of function prologues lowers the stack pointer of its
    /// caller (`__chkstk`); `None` if helpers leave the stack pointer alone.
    pub(crate) allocation_size: Option<Reg>,
    /// Whether landing pads run in the frame of the function that they belong to, with the stack pointer as it was at
    /// the call.
    pub(crate) has_landing_pads: bool,
    /// Bytes below the stack pointer that signal handlers leave unchanged (red zone).
    pub(crate) red_zone_size: i64,
}

impl CallingConvention {
    /// Caller-saved registers: those of the tracked ones that are not callee-saved.
    pub(crate) fn clobbered(self) -> u16 {
        !(self.preserved.0 as u16)
    }

    /// The summary of an unknown function that follows the convention.
    pub(crate) fn summary(self) -> Summary {
        Summary {
            popped_bytes: (!self.may_callees_pop).then_some(0),
            lowered_by: None,
            clobbered: self.clobbered(),
            read: ParameterSet::ALL,
            captured: ParameterSet::ALL,
            written: ParameterSet::ALL,
            writes_unknown_memory: true,
            returned: AbstractValue::unknown(UnknownReason::Clobbered),
        }
    }
}
