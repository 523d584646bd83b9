//! Transfer function of string instructions, which move, fill, compare or search memory, repeated by a counter
//! register.

use super::abstract_interpreter::AbstractInterpreter;
use super::calling_convention::COUNTER;
use super::instruction_facts::general_register;
use super::operands::{MemoryOperand, is_memory};
use crate::domains::{AbstractState, AbstractValue, Base, UNBOUNDED_HIGH};
use binframe_ir::tables::UnknownReason;
use iced_x86::{Instruction, Mnemonic, OpKind};

impl AbstractInterpreter<'_> {
    /// Applies a string instruction: moves its pointers, counts down, and makes the written range unknown.
    pub(super) fn transfer_string(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        let size = instruction.memory_size().size() as u16;
        let count = repetitions(state, instruction);
        let count = match self.may_run_backwards {
            true => {
                AbstractValue::between(-count.high, count.high).assuming_in_bounds(count.assumes_in_bounds)
            }
            false => count,
        };
        let moved_by = count.scaled(i64::from(size));
        let operands = (0..instruction.op_count()).filter(|operand| is_memory(instruction.op_kind(*operand)));
        let written = match instruction.op0_kind() {
            kind if is_memory(kind) && !is_comparison(instruction) => {
                Some(self.string_range(state, instruction, 0))
            }
            _ => None,
        };
        let moved: Vec<_> = operands
            .filter_map(|operand| {
                let register = general_register(MemoryOperand::of(instruction, operand).base)?;
                Some((register, state.register(register).sum(moved_by)))
            })
            .collect();
        for (register, value) in moved {
            state.set_register(register, value);
        }
        if is_repeated(instruction) {
            let remaining = match is_comparison(instruction) {
                true => AbstractValue::between(0, UNBOUNDED_HIGH),
                false => AbstractValue::number(0),
            };
            state.set_register(COUNTER, remaining);
        }
        match written {
            // Copied bytes may be an address.
            Some(written) => state.store(written, size, AbstractValue::unknown(UnknownReason::Loaded)),
            None if instruction.op0_kind() == OpKind::Register => {
                self.write_operand(state, instruction, 0, AbstractValue::unknown(UnknownReason::Loaded));
            }
            None => {}
        }
    }

    /// Addresses of all elements that a string instruction accesses through an operand.
    pub(super) fn string_range(
        &self,
        state: &AbstractState,
        instruction: &Instruction,
        operand: u32,
    ) -> AbstractValue {
        let first = self.address(state, instruction, operand).value;
        let last = repetitions(state, instruction).high.saturating_sub(1).max(0);
        let size = instruction.memory_size().size() as i64;
        let least = if self.may_run_backwards { -last } else { 0 };
        match last {
            0 => first,
            last => first.sum(AbstractValue::between(least, last).scaled(size)),
        }
    }
}

/// Number of times that a string instruction is repeated.
fn repetitions(state: &AbstractState, instruction: &Instruction) -> AbstractValue {
    let count = state.register(COUNTER);
    match count.base {
        _ if !is_repeated(instruction) => AbstractValue::number(1),
        Base::Number if count.low >= 0 && is_comparison(instruction) => AbstractValue::between(0, count.high),
        Base::Number if count.low >= 0 => count,
        _ => AbstractValue::between(0, UNBOUNDED_HIGH),
    }
}

fn is_repeated(instruction: &Instruction) -> bool {
    instruction.has_rep_prefix() || instruction.has_repne_prefix()
}

/// Whether a string instruction compares, and may stop before the counter is 0.
fn is_comparison(instruction: &Instruction) -> bool {
    matches!(
        instruction.mnemonic(),
        Mnemonic::Cmpsb
            | Mnemonic::Cmpsw
            | Mnemonic::Cmpsd
            | Mnemonic::Cmpsq
            | Mnemonic::Scasb
            | Mnemonic::Scasw
            | Mnemonic::Scasd
            | Mnemonic::Scasq
    )
}
