//! Comparisons, and the bounds that follow from conditions on their flags.

use crate::domains::symbolic::{Bound, ExprArena, ExprId};
use crate::isa::ops::Predicate;

/// A comparison of unsigned numbers of one word, or of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) one: ExprId,
    pub(super) other: ExprId,
    /// Width of a word in bits.
    pub(super) bits: u8,
    /// The high words of numbers of two words; then the flags are those of their difference, less the borrow of the low
    /// words.
    pub(super) high: Option<(ExprId, ExprId)>,
}

impl Comparison {
    /// The upper bound of one operand, if the other is a constant and a predicate on the flags is true or false; `None`
    /// if there is none.
    pub(super) fn bound(self, arena: &ExprArena, predicate: Predicate, is_true: bool) -> Option<Bound> {
        let Self { one, other, bits, high } = self;
        if let Some((one, other)) = high {
            // Only the borrow of the whole difference is used, and only if the high word of the constant is 0.
            let is_zero = |value| arena.known_number(value).is_some_and(|number| number & mask(bits) == 0);
            let constant = if is_true { other } else { one };
            if predicate != Predicate::Carry || !is_zero(constant) {
                return None;
            }
        }
        let number = |value| arena.known_number(value).map(|number| number & mask(bits));
        // Whether the sign bit is clear, so that signed comparisons bound the unsigned value.
        let is_positive = |value| arena.width(value) < bits;
        let bound = |value, maximum| Some(Bound { value, maximum });
        match (predicate, is_true) {
            (Predicate::CarryOrZero | Predicate::Zero, true) => bound(one, number(other)?),
            (Predicate::Carry, true) => bound(one, number(other)?.checked_sub(1)?),
            (Predicate::LessOrEqual, true) if is_positive(one) => bound(one, number(other)?),
            (Predicate::Less, true) if is_positive(one) => bound(one, number(other)?.checked_sub(1)?),
            (Predicate::Carry, false) => bound(other, number(one)?),
            (Predicate::CarryOrZero, false) => bound(other, number(one)?.checked_sub(1)?),
            (Predicate::Less, false) if is_positive(other) => bound(other, number(one)?),
            (Predicate::LessOrEqual, false) if is_positive(other) => {
                bound(other, number(one)?.checked_sub(1)?)
            }
            _ => None,
        }
    }
}

/// The largest number of some bits.
fn mask(bits: u8) -> u64 {
    u64::MAX >> (64 - u32::from(bits))
}
