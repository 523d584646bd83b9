//! Refines a state by the condition of a branch: on the edge that a conditional jump takes, the compared operand
//! satisfies the condition.

use super::decoder::is_32;
use crate::domains::{
    AbstractState, AbstractValue, Base, Comparison, OperandLocation, Threshold, UNBOUNDED_HIGH, UNBOUNDED_LOW,
};
use iced_x86::{ConditionCode, Instruction};

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

/// Refines a state by a conditional jump that is taken or not. Returns the right operand as a threshold for widening,
/// if it is exact.
pub(crate) fn refine_by_branch(
    state: &mut AbstractState,
    instruction: &Instruction,
    is_taken: bool,
) -> Option<Threshold> {
    let comparison = state.comparison?;
    let relation = relation(instruction.condition_code(), is_taken)?;
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
    // zero-extended.
    let is_whole = match location {
        OperandLocation::Register(register) => {
            bits == 64 || is_32(instruction) || state.register(register) == left
        }
        OperandLocation::Stack(..) => true,
    };
    if is_whole {
        state.refine(location, refined);
    }
    threshold
}

fn relation(condition: ConditionCode, is_taken: bool) -> Option<Relation> {
    use Relation::{
        Above, AboveOrEqual, Below, BelowOrEqual, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Unequal,
    };
    let (taken, not_taken) = match condition {
        ConditionCode::e => (Equal, Unequal),
        ConditionCode::ne => (Unequal, Equal),
        ConditionCode::b => (Below, AboveOrEqual),
        ConditionCode::be => (BelowOrEqual, Above),
        ConditionCode::a => (Above, BelowOrEqual),
        ConditionCode::ae => (AboveOrEqual, Below),
        ConditionCode::l => (Less, GreaterOrEqual),
        ConditionCode::le => (LessOrEqual, Greater),
        ConditionCode::g => (Greater, LessOrEqual),
        ConditionCode::ge => (GreaterOrEqual, Less),
        _ => return None,
    };
    Some(if is_taken { taken } else { not_taken })
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
