//! Flags: what they follow from, and conditions on them.

use super::float;
use super::integer;
use super::state::State;
use super::value::{Value, mask, signed};
use binframe::passes::isa::ops::{Comparison, Condition, Flag, FlagSet, FlagsOf, Operation, Predicate};

/// Whether a condition holds; `None` if a flag that it asks for is undefined.
pub(super) fn holds(state: &State, condition: Condition) -> Option<bool> {
    let flag = |flag| state.flag(flag);
    let less = || Some(flag(Flag::Sign)? != flag(Flag::Overflow)?);
    let holds = match condition.predicate {
        Predicate::Overflow => flag(Flag::Overflow)?,
        Predicate::Carry => flag(Flag::Carry)?,
        Predicate::Zero => flag(Flag::Zero)?,
        Predicate::CarryOrZero => flag(Flag::Carry)? | flag(Flag::Zero)?,
        Predicate::Sign => flag(Flag::Sign)?,
        Predicate::Parity => flag(Flag::Parity)?,
        Predicate::Less => less()?,
        Predicate::LessOrEqual => flag(Flag::Zero)? | less()?,
        Predicate::CarryAndNotZero => flag(Flag::Carry)? & !flag(Flag::Zero)?,
    };
    Some(holds != condition.is_negated)
}

/// The flags that a condition reads.
pub fn flags_of_condition(condition: Condition) -> FlagSet {
    match condition.predicate {
        Predicate::Overflow => FlagSet::of(&[Flag::Overflow]),
        Predicate::Carry => FlagSet::of(&[Flag::Carry]),
        Predicate::Zero => FlagSet::of(&[Flag::Zero]),
        Predicate::CarryOrZero | Predicate::CarryAndNotZero => FlagSet::of(&[Flag::Carry, Flag::Zero]),
        Predicate::Sign => FlagSet::of(&[Flag::Sign]),
        Predicate::Parity => FlagSet::of(&[Flag::Parity]),
        Predicate::Less => FlagSet::of(&[Flag::Sign, Flag::Overflow]),
        Predicate::LessOrEqual => FlagSet::of(&[Flag::Zero, Flag::Sign, Flag::Overflow]),
    }
}

/// Writes flags as they follow from the inputs, which are of `bits`.
pub(super) fn define(state: &mut State, flags: FlagSet, of: FlagsOf, bits: u16, inputs: &[Value]) {
    if inputs.iter().any(Value::is_undefined) {
        state.forget_flags(flags);
        return;
    }
    let a = inputs[0].low();
    let b = inputs.get(1).map_or(0, Value::low);
    let carry = u128::from(inputs.get(2).is_some_and(Value::is_true));
    let values = match of {
        FlagsOf::FloatCompare => {
            let is = |comparison| float::compare(comparison, bits, a, b);
            let is_unordered = is(Comparison::FloatUnordered);
            Values {
                zero: is(Comparison::FloatEqual) || is_unordered,
                carry: is(Comparison::FloatLess) || is_unordered,
                parity: is_unordered,
                ..Values::default()
            }
        }
        FlagsOf::Result => Values::of_result(a, bits),
        FlagsOf::Add => {
            let result = a.wrapping_add(b).wrapping_add(carry) & mask(bits);
            Values {
                carry: integer::carry(bits, a, b, carry),
                adjust: (a & 15) + (b & 15) + carry > 15,
                overflow: signed(!(a ^ b) & (a ^ result), bits) < 0,
                ..Values::of_result(result, bits)
            }
        }
        FlagsOf::Subtract | FlagsOf::SubtractInverted => {
            let result = a.wrapping_sub(b).wrapping_sub(carry) & mask(bits);
            let borrow = a < b || (a == b && carry == 1);
            Values {
                carry: borrow != (of == FlagsOf::SubtractInverted),
                adjust: (a & 15) < (b & 15) + carry,
                overflow: signed((a ^ b) & (a ^ result), bits) < 0,
                ..Values::of_result(result, bits)
            }
        }
    };
    for flag in flags.iter() {
        let value = match flag {
            Flag::Carry => values.carry,
            Flag::Parity => values.parity,
            Flag::Adjust => values.adjust,
            Flag::Zero => values.zero,
            Flag::Sign => values.sign,
            Flag::Overflow => values.overflow,
            Flag::Direction => continue,
        };
        state.set_flag(flag, Some(value));
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag")]
struct Values {
    carry: bool,
    parity: bool,
    adjust: bool,
    zero: bool,
    sign: bool,
    overflow: bool,
}

impl Values {
    fn of_result(result: u128, bits: u16) -> Self {
        Self {
            parity: integer::lane(Operation::CountOnes, 8, result & 0xff, 0).is_multiple_of(2),
            zero: result == 0,
            sign: signed(result, bits) < 0,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{State, Value, define, holds};
    use binframe::passes::isa::ops::{Condition, Flag, FlagSet, FlagsOf, Predicate};

    #[test]
    fn predicates_compare_what_was_subtracted() {
        for (a, b) in [(1_u8, 2_u8), (2, 1), (5, 5), (0x80, 1), (1, 0x80), (0xff, 0)] {
            for of in [FlagsOf::Subtract, FlagsOf::SubtractInverted] {
                let mut state = State::default();
                let inputs = [Value::of(a.into(), 8), Value::of(b.into(), 8)];
                define(&mut state, FlagSet::of(&Flag::ALL), of, 8, &inputs);
                let is_inverted = of == FlagsOf::SubtractInverted;
                for (predicate, expected) in [
                    (Predicate::Carry, (a < b) != is_inverted),
                    (Predicate::Zero, a == b),
                    (Predicate::Less, (a as i8) < b as i8),
                    (Predicate::LessOrEqual, a as i8 <= b as i8),
                    (Predicate::Sign, (a.wrapping_sub(b) as i8) < 0),
                    (Predicate::Overflow, (a as i8).checked_sub(b as i8).is_none()),
                    (Predicate::Parity, a.wrapping_sub(b).count_ones() % 2 == 0),
                ] {
                    for is_negated in [false, true] {
                        let condition = Condition { predicate, is_negated };
                        assert_eq!(
                            holds(&state, condition),
                            Some(expected != is_negated),
                            "{predicate:?} {a} {b}"
                        );
                    }
                }
                let predicate = if is_inverted { Predicate::CarryAndNotZero } else { Predicate::CarryOrZero };
                let expected = if is_inverted { a > b } else { a <= b };
                let condition = Condition { predicate, is_negated: false };
                assert_eq!(holds(&state, condition), Some(expected), "{of:?} {a} {b}");
                state.set_flag(Flag::Zero, None);
                assert_eq!(holds(&state, condition), None);
            }
        }
    }
}
