//! What the flags come from after an instruction, as its ops say.

use crate::domains::AbstractState;
use crate::isa::ops::{Flag, FlagsOf, Op, Operand, Operation, Ops, Place};

/// What the flags come from after an instruction.
#[derive(Debug, Clone, Copy)]
pub(super) enum ComparisonSource {
    /// No comparison.
    None,
    /// Two operands of some bits; without a right one, it is 0. The flag says whether the instruction also stores.
    Operands(Operand, Operand, u16, bool),
    /// A result of some bits, which is written to a register: only whether it is 0 is known.
    Result(u8, u32),
}

impl ComparisonSource {
    /// What the flags come from after an instruction; `None` if it keeps them.
    pub(super) fn of(buffer: &Ops, ops: &[Op]) -> Option<Self> {
        let writes_flags = |op: &Op| match op.place {
            Place::Flags(_) => true,
            Place::Flag(flag) => flag != Flag::Direction,
            Place::None => buffer.places(op).iter().any(|place| matches!(place, Place::Flags(_))),
            _ => false,
        };
        if !ops.iter().any(writes_flags) {
            return None;
        }
        let flags = ops.iter().find_map(|op| match op.operation {
            Operation::Flags(of) if op.guard.is_none() => Some((of, op)),
            _ => None,
        });
        let Some((of, op)) = flags else { return Some(Self::None) };
        Some(Self::of_result(ops, of, op).or_else(|| Self::of_operands(ops, of, op)).unwrap_or(Self::None))
    }

    fn of_operands(ops: &[Op], of: FlagsOf, flags: &Op) -> Option<Self> {
        let [a, b, c, _] = flags.inputs;
        let right = match of {
            FlagsOf::Subtract if c == Operand::None => b,
            // `test` of a value with itself.
            FlagsOf::Result if !matches!(a, Operand::Constant(..)) => Operand::None,
            _ => return None,
        };
        let stores = ops.iter().any(|op| op.operation == Operation::Store);
        Some(Self::Operands(a, right, flags.bits, stores))
    }

    /// The register to which the value is written that the flags are about.
    fn of_result(ops: &[Op], of: FlagsOf, flags: &Op) -> Option<Self> {
        let is_result = |op: &&Op| match (of, op.operation) {
            (FlagsOf::Add, Operation::Add) | (FlagsOf::Subtract, Operation::Subtract) => {
                op.inputs == flags.inputs
            }
            _ => false,
        };
        // The value may pass through a temporary.
        let temporary = ops.iter().filter(is_result).find_map(|op| match op.place {
            Place::Temporary(index, _) => Some(index),
            _ => None,
        });
        let is_value = |operand: Operand| match (of, operand) {
            (FlagsOf::Result, operand) => {
                operand == flags.inputs[0] && !matches!(operand, Operand::Register(..))
            }
            (_, Operand::Temporary(index, _)) => Some(index) == temporary,
            _ => false,
        };
        ops.iter().find_map(|op| match op.place {
            Place::Register(register, _, _) if AbstractState::tracks(register.0) => {
                let is_written =
                    is_result(&op) || (op.operation == Operation::Copy && is_value(op.inputs[0]));
                is_written.then_some(Self::Result(register.0, u32::from(flags.bits)))
            }
            _ => None,
        })
    }
}
