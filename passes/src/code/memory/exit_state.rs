//! Exit state: the effect of a function on registers and the stack pointer, joined over all its exits.
//!
//! *Exits* are returns, tail calls and unresolved indirect jumps. A tail call has the effect of its callee. An
//! unresolved jump is taken for a tail call to an unknown function that follows the calling convention.
//!
//! *Assumptions.* Some facts that the analysis lost are assumed to be as the calling convention demands:
//! - A callee-saved register that was loaded from memory that is not tracked is restored.
//! - A stack pointer that is unknown at a return is restored; on 32-bit Windows, only one that a call made unknown. In
//!   64-bit code this also holds if the stack pointer is known to be relative to something else (an aligned or moved
//!   stack pointer); 32-bit code has prologue helpers that really return so.
//! - A short function of 32-bit Windows that calls nothing and returns with a stack pointer that it computed from `eax`
//!   allocates `eax` bytes in its caller's frame, as `__chkstk` does ([`Summary::lowered_by`](crate::domains::Summary)).

use super::callees::Callee;
use super::program::Program;
use crate::domains::{AbstractState, AbstractValue, Base};
use crate::isa::ops::Reg;
use binframe_ir::tables::UnknownReason;

/// The join of the states at the exits of a function.
#[derive(Default)]
pub(super) struct ExitState {
    /// Registers that may hold another value than at entry.
    pub(super) clobbered: u16,
    /// Whether there is an exit.
    pub(super) returns: bool,
    /// See [`Summary::popped_bytes`](crate::domains::Summary::popped_bytes). `None` if unknown, or if exits differ.
    pub(super) popped_bytes: Option<i64>,
    /// Whether the stack pointer was computed from numbers at a return.
    pub(super) computes_stack_pointer: bool,
    /// The result; `None` without an exit.
    pub(super) returned: Option<AbstractValue>,
}

impl ExitState {
    /// Adds a return that pops `popped` bytes of arguments, given the state before it.
    pub(super) fn add_return(&mut self, program: &Program<'_>, state: &AbstractState, popped: i64) {
        let pointer = program.stack_pointer(state);
        let exact =
            pointer.exact_offset().filter(|_| pointer.base == Base::Stack).map(|offset| offset + popped);
        let is_lost = match program.convention.may_callees_pop {
            true => pointer.base == Base::Unknown(UnknownReason::Clobbered),
            false => pointer.is_unknown() || program.convention.address_size == 8,
        };
        self.add_popped_bytes(exact.or(is_lost.then_some(popped)));
        self.computes_stack_pointer |=
            matches!(pointer.base, Base::Number | Base::Unknown(UnknownReason::Computed));
        for register in AbstractState::REGISTERS.filter(|register| *register != program.abi.stack_pointer.0) {
            let value = state.register(register);
            let is_unchanged = value.base == Base::Register(register) && value.exact_offset() == Some(0);
            let is_preserved = program.convention.preserved.contains(Reg(register));
            let is_restored = is_preserved && value.base == Base::Unknown(UnknownReason::Loaded);
            if !is_unchanged && !is_restored {
                self.clobbered |= 1 << register;
            }
        }
        let returned = state.register(program.abi.result.0);
        self.returned = Some(self.returned.map_or(returned, |before| before.join(returned)));
    }

    /// Adds a tail call by the jump at an address, given the state before it.
    pub(super) fn add_tail_call(
        &mut self,
        program: &Program<'_>,
        mut state: AbstractState,
        address: u64,
        callee: &Callee<'_>,
    ) {
        // The callee finds this function's return address on the stack, where a call would have pushed one.
        let address_size = i64::from(program.convention.address_size);
        let stack_pointer = program.abi.stack_pointer.0;
        let before = program.stack_pointer(&state).plus(address_size);
        state.set_register(stack_pointer, before);
        program.apply_call(&mut state, &callee.summary, address);
        let after = program.stack_pointer(&state).plus(-address_size);
        state.set_register(stack_pointer, after);
        self.add_return(program, &state, 0);
    }

    /// Adds a jump to an unknown address.
    pub(super) fn add_unknown(&mut self, program: &Program<'_>) {
        let assumed = program.convention.summary();
        self.clobbered |= assumed.clobbered;
        self.add_popped_bytes(assumed.popped_bytes);
        self.returned = Some(assumed.returned);
    }

    fn add_popped_bytes(&mut self, popped: Option<i64>) {
        self.popped_bytes = match self.returns {
            true => self.popped_bytes.filter(|before| Some(*before) == popped),
            false => popped,
        };
        self.returns = true;
    }
}
