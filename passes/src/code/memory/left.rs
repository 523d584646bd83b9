//! What holds where a function is left: what its callers see of it.

use super::context::Context;
use super::follow::Callee;
use crate::domains::{AbstractState, AbstractValue, Base};
use crate::isa::{RESULT, STACK_POINTER};
use binframe_ir::tables::UnknownReason;

/// What holds where a function is left.
#[derive(Default)]
pub(super) struct Left {
    pub(super) changed: u16,
    /// Whether there is a way out.
    pub(super) returns: bool,
    pub(super) popped: Option<i64>,
    pub(super) returned: Option<AbstractValue>,
}

impl Left {
    /// One of the ways out of the function pops so much.
    fn leave(&mut self, popped: Option<i64>) {
        self.popped =
            if self.returns { self.popped.filter(|before| Some(*before) == popped) } else { popped };
        self.returns = true;
    }

    /// The function returns, and pops arguments.
    pub(super) fn add(&mut self, context: &Context<'_>, state: &AbstractState, popped: i64) {
        let pointer = state.register(STACK_POINTER);
        let exact =
            pointer.exact_offset().filter(|_| pointer.base == Base::Stack).map(|offset| offset + popped);
        // What was lost sight of, functions put back as they are expected to; helpers of 32-bit code make room for their callers.
        let is_expected = pointer.is_unknown() || context.convention.address_size == 8;
        let expected = context.convention.summary().popped_bytes.filter(|_| is_expected).map(|_| popped);
        let popped = exact.or(expected);
        self.leave(popped);
        for register in (0..16).filter(|register| *register != STACK_POINTER) {
            let value = state.register(register);
            let is_same = value.base == Base::Register(register) && value.exact_offset() == Some(0);
            // What was lost sight of on the stack, functions restore as they are expected to.
            let is_preserved = context.convention.preserved >> register & 1 == 1;
            let is_restored = is_preserved && value.base == Base::Unknown(UnknownReason::Loaded);
            if !is_same && !is_restored {
                self.changed |= 1 << register;
            }
        }
        let returned = state.register(RESULT);
        self.returned = Some(self.returned.map_or(returned, |before| before.join(returned)));
    }

    /// The function ends with a jump to another, which returns for it.
    pub(super) fn add_tail_call(
        &mut self,
        context: &Context<'_>,
        mut state: AbstractState,
        address: u64,
        callee: &Callee<'_>,
    ) {
        let slot = i64::from(context.convention.address_size);
        let above = state.register(STACK_POINTER).plus(slot);
        state.set_register(STACK_POINTER, above);
        state.apply_call(&callee.summary, address, STACK_POINTER, RESULT, slot);
        let back = state.register(STACK_POINTER).plus(-slot);
        state.set_register(STACK_POINTER, back);
        self.add(context, &state, 0);
    }

    /// The function goes where nobody knows, and comes back as is expected.
    pub(super) fn add_unknown(&mut self, context: &Context<'_>) {
        let expected = context.convention.summary();
        self.changed |= expected.clobbered;
        self.leave(expected.popped_bytes);
        self.returned = Some(expected.returned);
    }
}
