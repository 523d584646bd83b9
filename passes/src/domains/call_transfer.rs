//! Transfer function of calls: applies a callee's summary to the state of its caller.

use super::abstract_state::{AbstractState, REGISTERS, is_saved_register};
use super::abstract_value::{AbstractValue, Base, UNBOUNDED_LOW};
use super::frame_offset;
use super::summary::{ParameterSet, Summary};
use binframe_ir::tables::UnknownReason;

/// How far above the stack pointer of a call its stack arguments reach, in bytes.
const ARGUMENTS_SIZE_MAX: i64 = 256;

impl AbstractState {
    /// Applies a call by the instruction at `address`. The stack pointer is that before the call, without a return
    /// address.
    pub(crate) fn apply_call(
        &mut self,
        callee: &Summary,
        address: u64,
        stack_pointer: u8,
        result: u8,
        address_size: i64,
    ) {
        let pointer = self.register(stack_pointer);
        let moved = self.stack_pointer_after(callee, address, pointer);
        let returned = self.call_result(callee.returned, address, pointer, address_size);
        let mut written_from = i64::MAX;
        let arguments: Vec<_> = self.tracked_arguments(callee, stack_pointer).collect();
        for (parameter, value) in arguments {
            self.pass_argument(value, parameter, callee, &mut written_from);
        }
        match frame_offset::of_address(pointer) {
            Some(end) => self.forget_below(end),
            None => self.forget_from(UNBOUNDED_LOW),
        }
        self.forget_from(written_from);
        if callee.writes_unknown_memory {
            self.writes_unknown_memory = true;
            self.forget_from(self.escaped_from);
        }
        self.clobber(callee.clobbered);
        self.comparison = None;
        self.set_register(result, returned);
        self.set_register(stack_pointer, moved);
    }

    /// The stack pointer after a call, given that before it, without a return address.
    fn stack_pointer_after(
        &self,
        callee: &Summary,
        call_address: u64,
        pointer: AbstractValue,
    ) -> AbstractValue {
        match (callee.popped_bytes, callee.lowered_by.map(|register| self.register(register).constant())) {
            (Some(popped), _) => pointer.plus(popped),
            (None, Some(Some(size))) => pointer.plus(-size),
            (None, Some(None)) => AbstractValue::at(Base::Dynamic(call_address), 0),
            (None, None) => AbstractValue::unknown(UnknownReason::Clobbered),
        }
    }

    /// The values that a callee receives and whose escape matters, each with its parameter: in registers, and on the
    /// stack. Of the registers, only those that the callee may clobber are considered; an argument in a register that
    /// it leaves unchanged is missed.
    pub(crate) fn tracked_arguments(
        &self,
        callee: &Summary,
        stack_pointer: u8,
    ) -> impl Iterator<Item = (ParameterSet, AbstractValue)> {
        let clobbered = callee.clobbered;
        let registers = (0..REGISTERS as u8)
            .filter(move |register| clobbered >> register & 1 == 1 && *register != stack_pointer)
            .map(|register| (ParameterSet::register(register), self.register(register)));
        let start = frame_offset::of_address(self.register(stack_pointer));
        let first = start
            .map_or(self.cells.len(), |start| self.cells.partition_point(|cell| cell.frame_offset < start));
        let end = start.map_or(0, |start| start.saturating_add(ARGUMENTS_SIZE_MAX));
        let cells = self.cells[first..].iter().take_while(move |cell| cell.frame_offset < end);
        let cells = cells.filter(|cell| !is_saved_register(self.preserved, cell.value));
        let stack = cells.map(|cell| (ParameterSet::STACK, cell.value));
        registers.chain(stack).filter(|(_, value)| value.base.escape_matters())
    }

    /// Passes a value to a callee. Lowers `written_from` to the frame offset from which the callee may write through
    /// it.
    fn pass_argument(
        &mut self,
        value: AbstractValue,
        parameter: ParameterSet,
        callee: &Summary,
        written_from: &mut i64,
    ) {
        if callee.written.has(parameter) {
            self.written.add(ParameterSet::of_base(value.base));
        }
        if callee.captured.has(parameter) {
            self.escape(value);
        }
        let Some(start) = frame_offset::of_base(value.base, value.low) else { return };
        if callee.written.has(parameter) {
            *written_from = start.min(*written_from);
        }
        // The callee can load the pointers stored there, and capture them.
        let reachable = self.cells.iter().filter(|cell| cell.frame_offset >= start).map(|cell| cell.value);
        let reachable: Vec<_> =
            reachable.filter(|value| !is_saved_register(self.preserved, *value)).collect();
        for value in reachable {
            self.escape(value);
        }
    }

    /// The result of a call, with the callee's parameters replaced by the caller's arguments.
    fn call_result(
        &self,
        returned: AbstractValue,
        call_address: u64,
        pointer: AbstractValue,
        address_size: i64,
    ) -> AbstractValue {
        let offset = AbstractValue { base: Base::Number, ..returned };
        match returned.base {
            Base::Register(register) => self.register(register).sum(offset),
            Base::Argument(entry_offset) => {
                // The callee's stack pointer at entry is below the caller's by the return address.
                let argument = pointer.plus(i64::from(entry_offset) - address_size);
                self.load(argument, address_size as u8).sum(offset)
            }
            Base::Heap(_) => AbstractValue { base: Base::Heap(call_address), ..returned },
            Base::Number if returned.is_bounded() => returned,
            Base::Global(_) => returned,
            _ => AbstractValue::at(Base::Returned(call_address), 0),
        }
    }
}
