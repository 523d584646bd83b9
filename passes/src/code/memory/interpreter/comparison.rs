//! The comparison that the flags come from, and what a branch on it says.

use super::evaluation::Interpreter;
use crate::domains::{
    AbstractState, AbstractValue, Base, Comparison, OperandLocation, Threshold, UNBOUNDED_HIGH, UNBOUNDED_LOW,
};
use crate::isa::ops::{Condition, Flag, FlagsOf, Op, Operand, Operation, Place, Predicate};

/// The comparison of an instruction, before its registers are written.
#[derive(Clone, Copy)]
pub(super) enum NewComparison {
    /// The flags come from no comparison.
    None,
    /// Flags of two operands.
    OfOperands(Comparison),
    /// Flags of a result, which is written to a register: only whether it is 0 is known.
    OfResult(u8, u32),
}

impl Interpreter<'_> {
    /// The comparison that the current instruction makes; `None` if it keeps the flags.
    pub(super) fn comparison(&self, state: &AbstractState) -> Option<NewComparison> {
        let ops = self.ops.as_slice();
        let writes_flags = |op: &&Op| {
            matches!(op.place, Place::Flags(_))
                || matches!(op.place, Place::Flag(flag) if flag != Flag::Direction)
        };
        if !ops.iter().any(|op| writes_flags(&op)) {
            let is_opaque =
                |op: &Op| self.ops.places(op).iter().any(|place| matches!(place, Place::Flags(_)));
            return ops.iter().any(is_opaque).then_some(NewComparison::None);
        }
        let flags = ops.iter().find_map(|op| match op.operation {
            Operation::Flags(of) if op.guard.is_none() => Some((of, op)),
            _ => None,
        });
        let Some((of, op)) = flags else { return Some(NewComparison::None) };
        Some(self.result_register(of, op).unwrap_or_else(|| {
            self.of_operands(state, of, op).map_or(NewComparison::None, NewComparison::OfOperands)
        }))
    }

    /// The register to which the value is written that the flags are about.
    fn result_register(&self, of: FlagsOf, flags: &Op) -> Option<NewComparison> {
        let is_result = |op: &&Op| match (of, op.operation) {
            (FlagsOf::Add, Operation::Add) | (FlagsOf::Subtract, Operation::Subtract) => {
                op.inputs == flags.inputs
            }
            _ => false,
        };
        // The value may pass through a temporary.
        let temporary = self.ops.as_slice().iter().filter(is_result).find_map(|op| match op.place {
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
        self.ops.as_slice().iter().find_map(|op| match op.place {
            Place::Register(register, _, _) if Self::is_general(register) => {
                let is_written =
                    is_result(&op) || (op.operation == Operation::Copy && is_value(op.inputs[0]));
                is_written.then_some(NewComparison::OfResult(register.0, u32::from(flags.bits)))
            }
            _ => None,
        })
    }

    /// The comparison of two operands, or of one with 0.
    fn of_operands(&self, state: &AbstractState, of: FlagsOf, op: &Op) -> Option<Comparison> {
        let [a, b, c, _] = op.inputs;
        let right = match of {
            FlagsOf::Subtract if c == Operand::None => self.read(state, b),
            // `test` of a value with itself.
            FlagsOf::Result if !matches!(a, Operand::Constant(..)) => AbstractValue::number(0),
            _ => return None,
        };
        let location = match a {
            Operand::Register(register, part)
                if Self::is_general(register) && part.low == 0 && part.bits >= 32 =>
            {
                OperandLocation::Register(register.0)
            }
            Operand::Temporary(index, _) => self.temporaries[usize::from(index)].location?,
            _ => return None,
        };
        // Memory that the instruction also writes has another value afterwards.
        let is_written = self.ops.as_slice().iter().any(|op| op.operation == Operation::Store);
        if is_written && matches!(location, OperandLocation::Stack(..)) {
            return None;
        }
        let left = self.read(state, a);
        Some(Comparison { location, left, right, bits: u32::from(op.bits), is_result: false })
    }

    /// The comparison after the registers are written.
    pub(super) fn settled(&self, state: &AbstractState, comparison: NewComparison) -> Option<Comparison> {
        match comparison {
            NewComparison::None => None,
            NewComparison::OfOperands(comparison) => Some(comparison),
            NewComparison::OfResult(register, bits) => Some(Comparison {
                location: OperandLocation::Register(register),
                left: self.low_bits(state.register(register), bits as u16),
                right: AbstractValue::number(0),
                bits,
                is_result: true,
            }),
        }
    }
}

/// Refines a state by the condition of a jump that is taken or not. Returns the right operand as a threshold for
/// widening, if it is exact.
pub(in crate::code::memory) fn refine_by_branch(
    state: &mut AbstractState,
    condition: Condition,
    is_taken: bool,
    address_bits: u16,
) -> Option<Threshold> {
    let comparison = state.comparison?;
    let relation = Relation::of(condition.predicate, is_taken != condition.is_negated)?;
    if comparison.is_result && !matches!(relation, Relation::Equal | Relation::Unequal) {
        return None;
    }
    let Comparison { location, left, right, bits, .. } = comparison;
    let threshold = right.exact_offset().map(|offset| (right.base, offset));
    let refined = refined(left, right, relation, bits);
    if refined == left {
        return threshold;
    }
    // A comparison of the low 32 bits refines a 64-bit register only if the upper half is known to be 0: `left` is
    // extended with zeros.
    let is_whole = match location {
        OperandLocation::Register(register) => {
            bits >= u32::from(address_bits) || state.register(register) == left
        }
        OperandLocation::Stack(..) => true,
    };
    if is_whole {
        state.refine(location, refined);
    }
    threshold
}

/// Relation of the left operand to the right one. `Below` and `Above` compare unsigned, `Less` and `Greater` signed
/// numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    Unequal,
    Below,
    BelowOrEqual,
    Above,
    AboveOrEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    /// What a predicate that holds, or does not, says after a comparison; `None` if it says nothing about the order.
    fn of(predicate: Predicate, holds: bool) -> Option<Self> {
        let (true_one, false_one) = match predicate {
            Predicate::Zero => (Self::Equal, Self::Unequal),
            Predicate::Carry => (Self::Below, Self::AboveOrEqual),
            Predicate::CarryOrZero => (Self::BelowOrEqual, Self::Above),
            Predicate::Less => (Self::Less, Self::GreaterOrEqual),
            Predicate::LessOrEqual => (Self::LessOrEqual, Self::Greater),
            _ => return None,
        };
        Some(if holds { true_one } else { false_one })
    }
}

/// The left operand, given its relation to the right one. Unchanged if the relation says nothing about the left
/// operand's bounds.
fn refined(left: AbstractValue, right: AbstractValue, relation: Relation, bits: u32) -> AbstractValue {
    if relation == Relation::Equal && right.exact_offset().is_some() {
        let is_comparable = left.base == right.base || left.is_unknown();
        return if is_comparable { right.assuming_in_bounds(left.assumes_in_bounds) } else { left };
    }
    if let (Relation::Unequal, Some(other)) =
        (relation, right.exact_offset().filter(|_| left.base == right.base))
    {
        return left.excluding(other);
    }
    let is_number = |value: AbstractValue| value.base == Base::Number;
    if !is_number(right) || !(is_number(left) || left.is_unknown()) {
        return left;
    }
    // The largest signed number of this width.
    let largest = match bits {
        64 => i64::MAX,
        bits => (1 << (bits - 1)) - 1,
    };
    let (low, high) = (right.low, right.high);
    let from = |low: i64| left.clamped(low, UNBOUNDED_HIGH);
    let is_right_bounded = low >= 0 && high != UNBOUNDED_HIGH;
    let is_left_positive = left.low >= 0 && left.high <= largest;
    match relation {
        Relation::Below if is_right_bounded && high > 0 => left.clamped(0, high - 1),
        Relation::BelowOrEqual if is_right_bounded => left.clamped(0, high),
        Relation::Above if left.low >= 0 && low >= 0 => from(low.saturating_add(1)),
        Relation::AboveOrEqual if left.low >= 0 && low >= 0 => from(low),
        // Narrow operands are zero-extended: signed relations refine them only among numbers up to `largest`.
        Relation::Greater if low >= -1 && low <= largest && low != UNBOUNDED_LOW => {
            left.clamped(low.saturating_add(1), largest)
        }
        Relation::GreaterOrEqual if low >= 0 && low <= largest => left.clamped(low, largest),
        Relation::Less | Relation::LessOrEqual
            if (bits == 64 || is_left_positive) && high <= largest && high != UNBOUNDED_HIGH =>
        {
            let is_strict = relation == Relation::Less;
            left.clamped(UNBOUNDED_LOW, if is_strict { high.saturating_sub(1) } else { high })
        }
        _ => left,
    }
}
