//! The state after an instruction: stores, escapes, writes of registers, and the comparison that flags come from.

use super::evaluation::{Interpreter, UNKNOWN};
use super::instruction::{InstructionOps, is_general};
use super::values::element_count;
use crate::domains::{AbstractState, AbstractValue, Base, UNBOUNDED_HIGH};
use crate::isa::ops::{Op, Operand, Operation, OtherMemory, Part, Place, Reg, Rest};
use binframe_ir::tables::UnknownReason;

impl Interpreter<'_> {
    /// Applies an instruction, which was evaluated in this state, and is not a call. Returns change nothing: the
    /// function's own summary has their effect (`exit_state`).
    pub(in crate::code::memory) fn transfer(
        &self,
        instruction: InstructionOps<'_>,
        state: &mut AbstractState,
    ) {
        if instruction.facts.is_return {
            return;
        }
        // All inputs are read in the state before: registers are not read after they are written.
        let comparison = self.comparison(instruction, state);
        for (op, value) in instruction.ops.iter().zip(&self.results) {
            self.apply(instruction, state, op, *value);
        }
        if let Some(comparison) = comparison {
            state.comparison = self.settled(state, comparison);
        }
    }

    fn apply(
        &self,
        instruction: InstructionOps<'_>,
        state: &mut AbstractState,
        op: &Op,
        value: AbstractValue,
    ) {
        let [a, b, c, _] = op.inputs;
        match op.operation {
            Operation::Store | Operation::Atomic(_) if instruction.facts.keeps_memory => {}
            Operation::Store => {
                let (address, value) = (self.read_address(state, a), self.read(state, b));
                state.store(address, op.width() / 8, value);
            }
            Operation::StoreLanes => {
                let address = self.read_address(state, a);
                state.store(address, op.width() / 8, UNKNOWN);
            }
            Operation::Atomic(_) | Operation::AtomicCompareExchange | Operation::StoreExclusive => {
                state.escape(self.read(state, b));
                state.escape(self.read(state, c));
                let address = self.read_address(state, a);
                state.store(address, op.bits / 8, UNKNOWN);
            }
            Operation::CopyElements | Operation::FillElements => {
                if op.operation == Operation::FillElements {
                    state.escape(self.read(state, b));
                }
                let range = self.element_range(state, op, a);
                // Copied bytes may be an address.
                state.store(range, op.bits / 8, AbstractValue::unknown(UnknownReason::Loaded));
            }
            Operation::Service => self.call_system(state),
            Operation::Opaque { memory, .. } => self.apply_opaque(instruction, state, op, memory),
            operation => {
                if Self::lets_escape(op, value) && instruction.is_data(op) {
                    for input in [a, b, c] {
                        self.escape(state, input);
                    }
                }
                if operation == Operation::And && value == AbstractValue::at(Base::Aligned, 0) {
                    state.is_aligned = true;
                }
            }
        }
        if let Place::Register(register, part, rest) = op.place {
            self.write(instruction, state, op, (register, part, rest), value);
        }
    }

    /// Marks the value of an operand as escaped, except the stack pointer itself.
    fn escape(&self, state: &mut AbstractState, operand: Operand) {
        let is_stack_pointer =
            matches!(operand, Operand::Register(register, _) if register == self.abi.stack_pointer);
        if !is_stack_pointer {
            state.escape(self.read(state, operand));
        }
    }

    /// Whether the inputs of an op are not tracked in its result.
    fn lets_escape(op: &Op, value: AbstractValue) -> bool {
        let [a, b, ..] = op.inputs;
        match op.operation {
            _ if op.lanes > 1 => true,
            Operation::Copy
            | Operation::ZeroExtend
            | Operation::Truncate
            | Operation::SignExtend
            | Operation::Address
            | Operation::Load
            | Operation::LoadLanes
            | Operation::LoadExclusive
            | Operation::Compare(_)
            | Operation::Condition(_)
            | Operation::Flags(_)
            | Operation::AddCarry
            | Operation::Undefined
            | Operation::CompareElements { .. }
            | Operation::ScanElements { .. }
            | Operation::Fence
            | Operation::Jump
            | Operation::Call
            | Operation::Return
            | Operation::Trap(_) => false,
            // A difference of two addresses cannot be used to access either.
            Operation::Subtract => value.is_unknown() && a != b,
            Operation::Add | Operation::AddScaled(_) => value.is_unknown() || value.base == Base::Number,
            Operation::And | Operation::Or | Operation::Xor => {
                value.is_unknown() || (value.base == Base::Number && a != b)
            }
            Operation::Select => value.is_unknown(),
            _ => true,
        }
    }

    /// Addresses of all elements that an op accesses from an address on.
    pub(super) fn element_range(&self, state: &AbstractState, op: &Op, address: Operand) -> AbstractValue {
        let first = self.read_address(state, address);
        let last = element_count(self.read(state, op.inputs[2])).high.saturating_sub(1).max(0);
        let least = if self.may_run_backwards { -last } else { 0 };
        match last {
            0 => first,
            last => first.sum(AbstractValue::between(least, last).scaled(i64::from(op.bits / 8))),
        }
    }

    /// Applies a system call: its arguments escape, memory at unknown addresses is written, the result is unknown.
    fn call_system(&self, state: &mut AbstractState) {
        for register in self.abi.service_arguments {
            state.escape(state.register(register.0));
        }
        let anywhere = AbstractValue::unknown(UnknownReason::Clobbered);
        state.store(anywhere, 1, AbstractValue::number(0));
        state.set_register(self.abi.result.0, AbstractValue::unknown(UnknownReason::Clobbered));
    }

    fn apply_opaque(
        &self,
        instruction: InstructionOps<'_>,
        state: &mut AbstractState,
        op: &Op,
        memory: OtherMemory,
    ) {
        for input in instruction.buffer.inputs(op) {
            if memory == OtherMemory::ReadsAndWrites {
                // It may write from any address that it is given.
                let address = self.read(state, *input);
                if !address.is_unknown() && address.base != Base::Number {
                    state.store(AbstractValue { high: UNBOUNDED_HIGH, ..address }, 1, UNKNOWN);
                }
            }
            self.escape(state, *input);
        }
        for place in instruction.buffer.places(op) {
            if let Place::Register(register, part, rest) = place {
                self.write(instruction, state, op, (*register, *part, *rest), UNKNOWN);
            }
        }
    }

    /// Writes a part of a register. A value that does not fit, or whose register is not tracked, escapes.
    fn write(
        &self,
        instruction: InstructionOps<'_>,
        state: &mut AbstractState,
        op: &Op,
        (register, part, rest): (Reg, Part, Rest),
        value: AbstractValue,
    ) {
        if !is_general(register) {
            state.escape(value);
            return;
        }
        let old = state.register(register.0);
        let bits = u32::from(part.bits);
        let is_address_wide = part.bits >= self.abi.address_bits;
        let is_clear = |bits: u32| old.base == Base::Number && old.low >= 0 && old.high < 1 << bits;
        let mut written = match part.low {
            0 if is_address_wide => self.low_bits(value, part.bits),
            0 if rest == Rest::Zeroed => {
                state.escape(value);
                value.zero_extended(bits)
            }
            low => {
                state.escape(old);
                state.escape(value);
                match low == 0 && is_clear(bits) {
                    true => value.zero_extended(bits),
                    false if is_clear(32) => AbstractValue::unsigned(32),
                    false => UNKNOWN,
                }
            }
        };
        if op.guard.is_some() {
            written = old.join(written);
        }
        let is_alloca = register == self.abi.stack_pointer
            && is_address_wide
            && instruction.is_arithmetic_result(op)
            && moves_by_unknown(old, written);
        if is_alloca {
            written = AbstractValue::at(Base::Dynamic(instruction.facts.address), 0);
        }
        state.set_register(register.0, written);
    }
}

/// Whether a stack pointer goes from a known to an unknown position (`alloca`): later offsets are relative to the stack
/// pointer after this instruction, also if an earlier one moved it by an unknown amount already. In an aligned frame,
/// the value stays relative to the aligned stack pointer, without a bound.
fn moves_by_unknown(old: AbstractValue, new: AbstractValue) -> bool {
    // After a loop that moves the stack pointer, it is relative to the one at entry, without a bound.
    let is_lost = matches!(old.base, Base::Stack | Base::Aligned) && new.base != old.base;
    new.exact_offset().is_none() && new.base != Base::Aligned && (old.exact_offset().is_some() || is_lost)
}
