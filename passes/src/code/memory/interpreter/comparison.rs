//! The comparison that the flags come from, and what a branch on it says.

use super::comparison_source::ComparisonSource;
use super::evaluation::Interpreter;
use super::instruction::{InstructionOps, is_general};
use crate::domains::{
    AbstractState, AbstractValue, Base, Comparison, OperandLocation, Threshold, UNBOUNDED_HIGH, UNBOUNDED_LOW,
};
use crate::isa::ops::{Condition, Operand, Predicate};

/// The comparison of an instruction, before its registers are written.
#[derive(Clone, Copy)]
pub(super) enum NewComparison {
    Of(Option<Comparison>),
    /// See [`ComparisonSource::Result`].
    OfResult(u8, u32),
}

impl Interpreter<'_> {
    /// The comparison that an instruction makes; `None` if it keeps the flags.
    pub(super) fn comparison(
        &self,
        instruction: InstructionOps<'_>,
        state: &AbstractState,
    ) -> Option<NewComparison> {
        Some(match instruction.facts.comparison? {
            ComparisonSource::None => NewComparison::Of(None),
            ComparisonSource::Result(register, bits) => NewComparison::OfResult(register, bits),
            ComparisonSource::Operands(left, right, bits, stores) => {
                let location = self.location(left).filter(|location| {
                    // Memory that the instruction also writes has another value afterwards.
                    !stores || matches!(location, OperandLocation::Register(_))
                });
                NewComparison::Of(location.map(|location| Comparison {
                    location,
                    left: self.read(state, left),
                    right: match right {
                        Operand::None => AbstractValue::number(0),
                        right => self.read(state, right),
                    },
                    bits: u32::from(bits),
                    is_result: false,
                }))
            }
        })
    }

    /// Where an operand is, if a comparison with it can refine that.
    fn location(&self, operand: Operand) -> Option<OperandLocation> {
        match operand {
            Operand::Register(register, part) if is_general(register) && part.low == 0 && part.bits >= 32 => {
                Some(OperandLocation::Register(register.0))
            }
            Operand::Temporary(index, _) => self.temporaries[usize::from(index)].location,
            _ => None,
        }
    }

    /// The comparison after the registers are written.
    pub(super) fn settled(&self, state: &AbstractState, comparison: NewComparison) -> Option<Comparison> {
        match comparison {
            NewComparison::Of(comparison) => comparison,
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
    register_bits: u16,
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
            bits >= u32::from(register_bits) || state.register(register) == left
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
