//! A call on a stack.

/// Calls of a thread; a stack that is deeper is cut.
pub(super) const DEPTH_MAX: usize = 1 << 16;

/// A call on a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The program counter, or the return address.
    pub(super) program_counter: u64,
    /// An address in the instruction that runs or calls.
    pub(super) code_address: u64,
    /// The stack pointer before the call of the function.
    pub(super) stack_pointer: Option<u64>,
}
