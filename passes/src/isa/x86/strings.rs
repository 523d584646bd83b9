//! Instructions that move, fill, compare or search runs of memory.

use super::convention::COUNTER;
use super::interpret::Interpreter;
use super::operands::{MemoryOperand, is_memory};
use super::places::number;
use crate::domains::{Base, State, UNBOUNDED_HIGH, Value};
use binframe_ir::tables::UnknownReason;
use iced_x86::{Instruction, Mnemonic, OpKind};

impl Interpreter<'_> {
    /// Moves, fills, compares or searches runs of memory.
    pub(super) fn step_string(&mut self, state: &mut State, instruction: &Instruction) {
        let size = instruction.memory_size().size() as u16;
        let count = repetitions(state, instruction);
        let count = match self.may_go_down {
            true => Value::between(-count.high, count.high).doubted(count.is_doubtful),
            false => count,
        };
        let moved_by = count.scaled(i64::from(size));
        let operands = (0..instruction.op_count()).filter(|operand| is_memory(instruction.op_kind(*operand)));
        let written = match instruction.op0_kind() {
            kind if is_memory(kind) && !compares(instruction) => Some(self.run(state, instruction, 0)),
            _ => None,
        };
        let moved: Vec<_> = operands
            .filter_map(|operand| {
                let register = number(MemoryOperand::of(instruction, operand).base)?;
                Some((register, state.register(register).sum(moved_by)))
            })
            .collect();
        for (register, value) in moved {
            state.set_register(register, value);
        }
        if is_repeated(instruction) {
            let left = match compares(instruction) {
                true => Value::between(0, UNBOUNDED_HIGH),
                false => Value::number(0),
            };
            state.set_register(COUNTER, left);
        }
        match written {
            // What is copied may be an address.
            Some(written) => state.store(written, size, Value::unknown(UnknownReason::Loaded)),
            None if instruction.op0_kind() == OpKind::Register => {
                self.write_operand(state, instruction, 0, Value::unknown(UnknownReason::Loaded));
            }
            None => {}
        }
    }

    /// The addresses of all that a string instruction touches with an operand.
    pub(super) fn run(&self, state: &State, instruction: &Instruction, operand: u32) -> Value {
        let first = self.address(state, instruction, operand).value;
        let last = repetitions(state, instruction).high.saturating_sub(1).max(0);
        let size = instruction.memory_size().size() as i64;
        let least = if self.may_go_down { -last } else { 0 };
        match last {
            0 => first,
            last => first.sum(Value::between(least, last).scaled(size)),
        }
    }
}

/// How often a string instruction is repeated.
fn repetitions(state: &State, instruction: &Instruction) -> Value {
    let count = state.register(COUNTER);
    match count.base {
        _ if !is_repeated(instruction) => Value::number(1),
        Base::Number if count.low >= 0 && compares(instruction) => Value::between(0, count.high),
        Base::Number if count.low >= 0 => count,
        _ => Value::between(0, UNBOUNDED_HIGH),
    }
}

fn is_repeated(instruction: &Instruction) -> bool {
    instruction.has_rep_prefix() || instruction.has_repne_prefix()
}

/// Whether an instruction moves, fills, compares or searches runs of memory.
pub(super) fn is_string(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|operand| {
        let kind = instruction.op_kind(operand);
        kind != OpKind::Memory && is_memory(kind)
    })
}

/// Whether a string instruction compares, and may end early.
fn compares(instruction: &Instruction) -> bool {
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
