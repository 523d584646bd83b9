//! What a conditional jump says of what was compared.

use super::is_32;
use crate::domains::{Base, Compared, Place, State, UNBOUNDED_HIGH, UNBOUNDED_LOW, Value};
use iced_x86::{ConditionCode, Instruction};

/// How a number stands to another.
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

/// Takes one way out of a conditional jump. Returns what something was compared with, if that is but one number or address.
pub(crate) fn narrow(state: &mut State, instruction: &Instruction, is_taken: bool) -> Option<(Base, i64)> {
    let compared = state.compared?;
    let relation = relation(instruction.condition_code(), is_taken)?;
    if compared.is_result && !matches!(relation, Relation::Equal | Relation::Unequal) {
        return None;
    }
    let Compared { place, left, right, bits, .. } = compared;
    let landmark = right.exact().map(|offset| (right.base, offset));
    let narrowed = narrowed(left, right, relation, bits);
    if narrowed == left {
        return landmark;
    }
    // What is said of the low half of a register says nothing of the other.
    let is_whole = match place {
        Place::Register(register) => {
            let held = state.register(register);
            bits == 64 || is_32(instruction) || held == left
        }
        Place::Stack(..) => true,
    };
    if is_whole {
        state.refine(place, narrowed);
    }
    landmark
}

fn relation(condition: ConditionCode, is_taken: bool) -> Option<Relation> {
    use Relation::{
        Above, AboveOrEqual, Below, BelowOrEqual, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Unequal,
    };
    let (taken, other) = match condition {
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
    Some(if is_taken { taken } else { other })
}

fn narrowed(left: Value, right: Value, relation: Relation, bits: u32) -> Value {
    if relation == Relation::Equal && right.exact().is_some() {
        let is_comparable = left.base == right.base || left.is_unknown();
        return if is_comparable { right.doubted(left.is_doubtful) } else { left };
    }
    if let (Relation::Unequal, Some(other)) = (relation, right.exact().filter(|_| left.base == right.base)) {
        return left.without(other);
    }
    let is_number = |value: Value| value.base == Base::Number;
    if !is_number(right) || !(is_number(left) || left.is_unknown()) {
        return left;
    }
    let largest = match bits {
        64 => i64::MAX,
        bits => (1 << (bits - 1)) - 1,
    };
    // The greatest and the least number that the other can be, where it has no sign.
    let (low, high) = (right.low, right.high);
    let above = |low: i64| left.clamped(low, UNBOUNDED_HIGH);
    let is_unsigned = low >= 0 && high != UNBOUNDED_HIGH;
    let has_no_sign = left.low >= 0 && left.high <= largest;
    match relation {
        Relation::Below if is_unsigned && high > 0 => left.clamped(0, high - 1),
        Relation::BelowOrEqual if is_unsigned => left.clamped(0, high),
        Relation::Above if left.low >= 0 && low >= 0 => above(low.saturating_add(1)),
        Relation::AboveOrEqual if left.low >= 0 && low >= 0 => above(low),
        // Numbers of less than 64 bits are kept without their sign.
        Relation::Greater if low >= -1 && low <= largest && low != UNBOUNDED_LOW => {
            left.clamped(low.saturating_add(1), largest)
        }
        Relation::GreaterOrEqual if low >= 0 && low <= largest => left.clamped(low, largest),
        Relation::Less | Relation::LessOrEqual
            if (bits == 64 || has_no_sign) && high <= largest && high != UNBOUNDED_HIGH =>
        {
            let is_strict = relation == Relation::Less;
            left.clamped(UNBOUNDED_LOW, if is_strict { high.saturating_sub(1) } else { high })
        }
        _ => left,
    }
}
