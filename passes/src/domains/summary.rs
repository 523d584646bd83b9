//! What callers need to know of a function.

use super::Value;

/// Parameters, as a set: registers by their number, and all that is on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Parameters(pub(crate) u32);

impl Parameters {
    /// What the caller leaves on the stack.
    pub(crate) const STACK: Self = Self(1 << 16);
    pub(crate) const ALL: Self = Self((1 << 17) - 1);

    pub(crate) const fn register(register: u8) -> Self {
        Self(1 << register)
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What a call does to its caller, in terms of what the callee was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// How far above the return address the stack pointer is in the end; none where that is not known.
    pub(crate) popped: Option<i64>,
    /// Registers that may hold something else than before.
    pub(crate) changed: u16,
    /// Parameters that may be read.
    pub(crate) read: Parameters,
    /// Parameters that may be kept, or be given to who keeps them.
    pub(crate) kept: Parameters,
    /// Parameters that memory is written through.
    pub(crate) written: Parameters,
    /// Whether memory may be written through addresses that are neither parameters nor in the file.
    pub(crate) writes_elsewhere: bool,
    /// What is returned.
    pub(crate) returned: Value,
}
