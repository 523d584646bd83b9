//! Call summaries: the effect of a call on its caller, in terms of the callee's parameters.

use super::abstract_value::{AbstractValue, Base};

/// A set of parameters: one bit for each register, and one for all arguments on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ParameterSet(pub(crate) u32);

impl ParameterSet {
    /// The arguments on the stack.
    pub(crate) const STACK: Self = Self(1 << 16);
    /// All registers, and the arguments on the stack.
    pub(crate) const ALL: Self = Self((1 << 17) - 1);

    /// The parameter in a register.
    pub(crate) const fn register(register: u8) -> Self {
        Self(1 << register)
    }

    /// The parameter that values with a base derive from; empty if they derive from none.
    pub(crate) fn of_base(base: Base) -> Self {
        match base {
            Base::Register(register) => Self::register(register),
            Base::Argument(_) => Self::STACK,
            _ => Self::default(),
        }
    }

    /// Whether the sets have a parameter in common.
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds the parameters of another set.
    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The effect of a call on its caller. All sets over-approximate (may), except for the assumptions of `AbstractState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// By how much the stack pointer is higher after the call than before: the argument bytes that the callee pops
    /// (`ret n`); negative if it allocates stack memory for its caller. `None` if unknown.
    pub(crate) popped_bytes: Option<i64>,
    /// The register whose value at the call is the number of bytes by which the stack pointer is lower afterwards, as
    /// `__chkstk` of 32-bit Windows does. `popped_bytes` is then `None`.
    pub(crate) lowered_by: Option<u8>,
    /// Registers that may hold another value afterwards.
    pub(crate) clobbered: u16,
    /// Parameters that may be read.
    pub(crate) read: ParameterSet,
    /// Parameters that may be captured: stored, or passed to a callee that captures them.
    pub(crate) captured: ParameterSet,
    /// Parameters through which memory may be written.
    pub(crate) written: ParameterSet,
    /// Whether memory may be written through addresses of unknown origin.
    pub(crate) writes_unknown_memory: bool,
    /// The result.
    pub(crate) returned: AbstractValue,
}
