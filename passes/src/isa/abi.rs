//! What every caller on a platform relies on, in registers that ops refer to.

use super::ops::{Reg, RegSet};

/// The part of the calling convention that does not depend on parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abi {
    /// Width of an address in bits.
    pub(crate) address_bits: u16,
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
    /// Registers of the arguments of system calls, in order.
    pub(crate) service_arguments: &'static [Reg],
}
