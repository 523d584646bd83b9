//! What registers and memory hold, as expressions over what is not known.
//!
//! Two values are the same expression if and only if they have the same number, so that comparing them is cheap. Constructors
//! simplify, so that the ways in which compilers write the same address or index come to the same expression.

use rustc_hash::FxHashMap;

/// A number of 64 bits: one that is not known, marked by [`UNKNOWN`], or a position among the expressions of [`Values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Value(u64);

/// Marks a value that is not known, of which there are too many to look each up.
const UNKNOWN: u64 = 1 << 63;

impl Value {
    /// The unknown value of a number, of which the highest bit does not count.
    #[inline]
    pub(crate) fn unknown(number: u64) -> Self {
        Self(number | UNKNOWN)
    }
}

/// How a value comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Expression {
    /// Not known. Unknown values with the same number are the same.
    Unknown(u64),
    Constant(u64),
    /// A value, which is no constant, plus a constant.
    Offset(Value, u64),
    /// Two values, of which none is a constant or has one added.
    Sum(Value, Value),
    /// A value times a power of two.
    Scaled(Value, u8),
    /// The low bits of a value, as a number without sign.
    Zero(Value, u8),
    /// The low bits of a value, as a number with sign.
    Sign(Value, u8),
    Masked(Value, u64),
    /// Bits of which the low ones are those of a value, and the others are not known.
    Low(Value, u8),
    /// What stands in memory, as a number without sign; equal epochs saw the same memory.
    Load {
        address: Value,
        size: u8,
        epoch: u64,
    },
}

use Expression::{Constant, Load, Low, Masked, Offset, Scaled, Sign, Sum, Unknown, Zero};

/// All expressions that were made.
#[derive(Debug, Default)]
pub(crate) struct Values {
    expressions: Vec<Expression>,
    numbers: FxHashMap<Expression, Value>,
}

impl Values {
    /// Forgets all. Much room is given back: to clear it costs more than to ask for it again.
    pub(crate) fn clear(&mut self) {
        const KEPT_MAX: usize = 1 << 12;
        if self.expressions.len() > KEPT_MAX {
            *self = Self::default();
        }
        self.expressions.clear();
        self.numbers.clear();
    }

    #[inline]
    pub(crate) fn get(&self, value: Value) -> Expression {
        match value.0 & UNKNOWN {
            0 => self.expressions[value.0 as usize],
            _ => Unknown(value.0 & !UNKNOWN),
        }
    }

    fn make(&mut self, expression: Expression) -> Value {
        let next = Value(self.expressions.len() as u64);
        let value = *self.numbers.entry(expression).or_insert(next);
        if value == next {
            self.expressions.push(expression);
        }
        value
    }

    pub(crate) fn constant(&mut self, number: u64) -> Value {
        self.make(Constant(number))
    }

    /// The number, of a constant.
    pub(crate) fn number(&self, value: Value) -> Option<u64> {
        match self.get(value) {
            Constant(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn offset(&mut self, value: Value, added: u64) -> Value {
        match self.get(value) {
            Constant(number) => self.constant(number.wrapping_add(added)),
            Offset(inner, already) => self.offset(inner, already.wrapping_add(added)),
            _ if added == 0 => value,
            _ => self.make(Offset(value, added)),
        }
    }

    pub(crate) fn sum(&mut self, one: Value, other: Value) -> Value {
        match (self.get(one), self.get(other)) {
            (Constant(number), _) => self.offset(other, number),
            (_, Constant(number)) => self.offset(one, number),
            (Offset(inner, added), _) => {
                let sum = self.sum(inner, other);
                self.offset(sum, added)
            }
            (_, Offset(inner, added)) => {
                let sum = self.sum(one, inner);
                self.offset(sum, added)
            }
            _ => self.make(Sum(one.min(other), one.max(other))),
        }
    }

    /// A value times two to the power of `shift`.
    pub(crate) fn scaled(&mut self, value: Value, shift: u8) -> Value {
        match self.get(value) {
            _ if shift == 0 => value,
            _ if shift > 63 => self.constant(0),
            Constant(number) => self.constant(number << shift),
            Offset(inner, added) => {
                let scaled = self.scaled(inner, shift);
                self.offset(scaled, added << shift)
            }
            Scaled(inner, already) if already + shift < 64 => self.make(Scaled(inner, already + shift)),
            _ => self.make(Scaled(value, shift)),
        }
    }

    /// The low `bits` of a value, as a number without sign.
    pub(crate) fn zero_extended(&mut self, value: Value, bits: u8) -> Value {
        match self.get(value) {
            _ if self.width(value) <= bits => value,
            Constant(number) => self.constant(number & mask(bits)),
            Zero(inner, wide) | Sign(inner, wide) | Low(inner, wide) if wide >= bits => {
                self.zero_extended(inner, bits)
            }
            // What is cut off has no part in the low bits of a sum.
            Offset(inner, added) => match self.get(inner) {
                Zero(innermost, wide) | Sign(innermost, wide) if wide >= bits => {
                    let offset = self.offset(innermost, added);
                    self.zero_extended(offset, bits)
                }
                _ => {
                    let offset = self.make(Offset(inner, added & mask(bits)));
                    self.make(Zero(offset, bits))
                }
            },
            _ => self.make(Zero(value, bits)),
        }
    }

    /// The low `bits` of a value, as a number with sign.
    pub(crate) fn sign_extended(&mut self, value: Value, bits: u8) -> Value {
        match self.get(value) {
            _ if bits >= 64 || self.width(value) < bits => value,
            Constant(number) => {
                let unused = 64 - u32::from(bits);
                self.constant((((number << unused) as i64) >> unused) as u64)
            }
            Zero(inner, wide) | Sign(inner, wide) | Low(inner, wide) if wide >= bits => {
                self.sign_extended(inner, bits)
            }
            _ => self.make(Sign(value, bits)),
        }
    }

    pub(crate) fn masked(&mut self, value: Value, mask: u64) -> Value {
        match self.get(value) {
            Constant(number) => self.constant(number & mask),
            _ if mask.trailing_ones() + mask.leading_zeros() == 64 && mask > 0 => {
                self.zero_extended(value, mask.trailing_ones() as u8)
            }
            _ => self.make(Masked(value, mask)),
        }
    }

    /// Bits of which the low ones are those of a value.
    pub(crate) fn low(&mut self, value: Value, bits: u8) -> Value {
        self.make(Low(value, bits))
    }

    pub(crate) fn load(&mut self, address: Value, size: u8, epoch: u64) -> Value {
        self.make(Load { address, size, epoch })
    }

    /// Number of bits that may be set.
    pub(crate) fn width(&self, value: Value) -> u8 {
        let bits = |number: u64| 64 - number.leading_zeros() as u8;
        match self.get(value) {
            Constant(number) | Masked(_, number) => bits(number),
            Zero(_, width) => width,
            Load { size, .. } if size <= 8 => size * 8,
            Scaled(inner, shift) => self.width(inner).saturating_add(shift).min(64),
            _ => 64,
        }
    }
}

fn mask(bits: u8) -> u64 {
    u64::MAX >> (64 - u32::from(bits.clamp(1, 64)))
}

/// What a comparison said of a value: it is at most so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) value: Value,
    pub(crate) maximum: u64,
}

/// The greatest number that comparisons say a value is.
pub(crate) fn compared_maximum(values: &Values, bounds: &[Bound], value: Value) -> Option<u64> {
    let stated =
        |value: Value| bounds.iter().filter(|bound| bound.value == value).map(|bound| bound.maximum).min();
    let narrowed = |bits: u8| {
        let same = |bound: &&Bound| matches!(values.get(bound.value), Zero(inner, width) if inner == value && width == bits);
        bounds.iter().find(same).map(|bound| bound.maximum)
    };
    let inner = match values.get(value) {
        Zero(inner, _) => stated(inner),
        // A number that is small without its sign has none.
        Sign(inner, bits) => {
            let same = |bound: &&Bound| match values.get(bound.value) {
                Zero(compared, width) => compared == inner && width == bits,
                _ => bound.value == inner,
            };
            bounds.iter().find(same).map(|bound| bound.maximum).filter(|maximum| *maximum < 1 << (bits - 1))
        }
        Offset(inner, added) => {
            let maximum = compared_maximum(values, bounds, inner);
            maximum.and_then(|maximum| maximum.checked_add(added))
        }
        // Compilers do not index with a register whose upper half they do not know.
        _ => narrowed(32),
    };
    stated(value).into_iter().chain(inner).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_write_one_index_are_one_expression() {
        let mut values = Values::default();
        let character = Value::unknown(1);
        // lea ecx, [rax-97]; movzx ecx, cl
        let sum = values.offset(character, -97_i64 as u64);
        let wide = values.zero_extended(sum, 32);
        let narrow = values.zero_extended(wide, 8);
        // sub al, 97
        let low = values.zero_extended(character, 8);
        let difference = values.offset(low, -97_i64 as u64);
        assert_eq!(values.zero_extended(difference, 8), narrow);
    }

    #[test]
    fn a_bound_holds_for_what_follows_from_it() {
        let mut values = Values::default();
        let index = Value::unknown(1);
        let compared = values.zero_extended(index, 32);
        let bounds = [Bound { value: compared, maximum: 5 }];
        let signed = values.sign_extended(index, 32);
        assert_eq!(compared_maximum(&values, &bounds, compared), Some(5));
        assert_eq!(compared_maximum(&values, &bounds, signed), Some(5));
        assert_eq!(compared_maximum(&values, &bounds, index), Some(5));
        let other = Value::unknown(2);
        assert_eq!(compared_maximum(&values, &bounds, other), None);
    }
}
