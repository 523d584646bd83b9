//! Arithmetic on abstract values: sums, differences, products with constants, and extension of narrow operands.
//!
//! Each operation returns a value that contains the result for every choice of operands, under the assumptions of
//! `abstract_value`.

use super::abstract_value::{AbstractValue, Base, UNBOUNDED_HIGH, UNBOUNDED_LOW, gcd};
use binframe_ir::tables::UnknownReason;

impl AbstractValue {
    /// The sum with a constant.
    pub(crate) fn plus(self, number: i64) -> Self {
        self.sum(Self::number(number))
    }

    /// The sum; unknown if both values have a base.
    pub(crate) fn sum(self, other: Self) -> Self {
        let (base, index) = match (self.base, other.base) {
            (_, Base::Number) => (self, other),
            (Base::Number, _) => (other, self),
            _ => {
                return Self::unknown(UnknownReason::Computed)
                    .assuming_in_bounds(self.assumes_in_bounds || other.assumes_in_bounds);
            }
        };
        if base.is_unknown() {
            return base.assuming_in_bounds(index.assumes_in_bounds);
        }
        let low = add_low(base.low, index.low);
        let high = add_high(base.high, index.high);
        let Some(index_zero) = base.index_zero.checked_add(index.index_zero) else {
            return Self::unbounded(base.base, 0);
        };
        let stride = gcd(base.stride, index.stride);
        Self {
            base: base.base,
            low,
            high,
            index_zero,
            stride,
            assumes_in_bounds: base.assumes_in_bounds || index.assumes_in_bounds,
            is_type_range: base.is_type_range || index.is_type_range,
        }
    }

    /// The negated number; `None` if the value has a base.
    pub(crate) fn negated(self) -> Option<Self> {
        let is_number = self.base == Base::Number;
        let opposite = |bound: i64| bound.checked_neg().unwrap_or(i64::MAX);
        let low = if self.high == UNBOUNDED_HIGH { UNBOUNDED_LOW } else { opposite(self.high) };
        let high = if self.low == UNBOUNDED_LOW { UNBOUNDED_HIGH } else { opposite(self.low) };
        is_number.then(|| Self { low, high, index_zero: opposite(self.index_zero), ..self })
    }

    /// The difference; a number if both values have the same base.
    pub(crate) fn difference(self, other: Self) -> Self {
        if let Some(negated) = other.negated() {
            return self.sum(negated);
        }
        if self.base != other.base || self.is_unknown() {
            return Self::unbounded(Base::Number, 0)
                .assuming_in_bounds(self.assumes_in_bounds || other.assumes_in_bounds);
        }
        let plain = |value: Self| Self { base: Base::Number, ..value };
        plain(self).difference(plain(other))
    }

    /// The product with a constant; unbounded if the value has a base or the factor is negative.
    pub(crate) fn scaled(self, factor: i64) -> Self {
        if self.base != Base::Number || factor < 0 {
            return Self::unbounded(Base::Number, 0).assuming_in_bounds(self.assumes_in_bounds);
        }
        if factor == 0 {
            return Self::number(0);
        }
        let low = if self.low == UNBOUNDED_LOW { None } else { self.low.checked_mul(factor) };
        let high = if self.high == UNBOUNDED_HIGH { None } else { self.high.checked_mul(factor) };
        let stride = u32::try_from(i64::from(self.stride).saturating_mul(factor)).unwrap_or(1);
        match self.index_zero.checked_mul(factor) {
            Some(index_zero) => Self {
                low: low.unwrap_or(UNBOUNDED_LOW),
                high: high.unwrap_or(UNBOUNDED_HIGH),
                index_zero,
                stride,
                ..self
            },
            None => Self::unbounded(Base::Number, 0).assuming_in_bounds(self.assumes_in_bounds),
        }
    }

    /// The low bits, zero-extended.
    pub(crate) fn zero_extended(self, bits: u32) -> Self {
        if bits == 0 || bits >= 63 {
            return self;
        }
        let size = 1_i64 << bits;
        if self.base != Base::Number {
            return Self::unsigned(bits).assuming_in_bounds(self.assumes_in_bounds);
        }
        if self.low >= 0 && self.high < size {
            return self;
        }
        let is_window =
            self.low != UNBOUNDED_LOW && self.high != UNBOUNDED_HIGH && self.low >> bits == self.high >> bits;
        if is_window {
            let base = self.low >> bits << bits;
            return Self {
                low: self.low - base,
                high: self.high - base,
                index_zero: self.index_zero.wrapping_sub(base),
                ..self
            };
        }
        let stride = 1 << self.stride.trailing_zeros().min(bits - 1).min(31);
        let index_zero = self.index_zero & (size - 1);
        Self { low: 0, high: size - 1, index_zero, stride, is_type_range: true, ..self }
    }

    /// The low bits, sign-extended.
    pub(crate) fn sign_extended(self, bits: u32) -> Self {
        if bits == 0 || bits >= 63 {
            return self;
        }
        let half = 1_i64 << (bits - 1);
        let value = self.zero_extended(bits);
        if value.high < half {
            return value;
        }
        if value.low >= half {
            return value.plus(-2 * half);
        }
        let index_zero =
            if value.index_zero >= half { value.index_zero - 2 * half } else { value.index_zero };
        Self { low: -half, high: half - 1, index_zero, is_type_range: true, ..value }
    }
}

fn add_low(one: i64, other: i64) -> i64 {
    match one == UNBOUNDED_LOW || other == UNBOUNDED_LOW {
        true => UNBOUNDED_LOW,
        false => one.checked_add(other).unwrap_or(UNBOUNDED_LOW),
    }
}

fn add_high(one: i64, other: i64) -> i64 {
    match one == UNBOUNDED_HIGH || other == UNBOUNDED_HIGH {
        true => UNBOUNDED_HIGH,
        false => one.checked_add(other).unwrap_or(UNBOUNDED_HIGH),
    }
}

#[cfg(test)]
mod tests {
    use crate::domains::abstract_value::{AbstractValue, Base, UNBOUNDED_HIGH};

    fn contains(value: AbstractValue, number: i64) -> bool {
        let stride = i128::from(value.stride);
        let is_on_stride = match stride {
            0 => number == value.low,
            stride => (i128::from(number) - i128::from(value.index_zero)) % stride == 0,
        };
        value.base != Base::Number || (value.low..=value.high).contains(&number) && is_on_stride
    }

    /// Abstract values, each with some of the numbers that it contains.
    fn samples() -> Vec<(AbstractValue, Vec<i64>)> {
        let mut samples = Vec::new();
        for number in [-129, -1, 0, 1, 7, 127, 128, 255, 256, 65_535, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            samples.push((AbstractValue::number(number), vec![number]));
        }
        for (low, high) in
            [(-3, 5), (0, 100), (120, 130), (250, 260), (-200, -100), (0xffff_fff0, 0x1_0000_0010)]
        {
            samples.push((AbstractValue::between(low, high), (low..=high.min(low + 300)).collect()));
        }
        for (count, step, start) in [(10, 8, 0), (5, 24, -48), (40, 3, 200), (9, 1 << 28, 0)] {
            let value = AbstractValue::between(0, count).scaled(step).plus(start);
            samples.push((value, (0..=count).map(|index| index * step + start).collect()));
        }
        let upwards = AbstractValue { high: UNBOUNDED_HIGH, ..AbstractValue::between(4, 8) };
        samples.push((upwards, vec![4, 5, 1000, 1 << 40]));
        samples
    }

    #[test]
    fn results_contain_the_results_of_concrete_numbers() {
        for (value, numbers) in samples() {
            for number in &numbers {
                assert!(contains(value, *number), "{number} in {value:?}");
                for bits in [8, 16, 32] {
                    let low = number & ((1 << bits) - 1);
                    assert!(contains(value.zero_extended(bits), low), "{bits} bits of {number} in {value:?}");
                    let signed = low << (64 - bits) >> (64 - bits);
                    assert!(
                        contains(value.sign_extended(bits), signed),
                        "{bits} bits of {number} in {value:?}"
                    );
                }
                assert!(contains(value.scaled(12), number * 12), "12 times {number} in {value:?}");
            }
            for (other, others) in samples() {
                let (sum, difference, joined) =
                    (value.sum(other), value.difference(other), value.join(other));
                let widened = joined.widened(value, &[(Base::Number, 300)]);
                for (one, two) in numbers.iter().flat_map(|one| others.iter().map(move |two| (*one, *two))) {
                    assert!(contains(sum, one + two), "{one} + {two} in {value:?} + {other:?}");
                    assert!(contains(difference, one - two), "{one} - {two} in {value:?} - {other:?}");
                    assert!(contains(joined, one) && contains(joined, two), "{one}, {two} in {joined:?}");
                    assert!(contains(widened, one) && contains(widened, two), "{one}, {two} in {widened:?}");
                }
            }
        }
    }

    #[test]
    fn constraints_keep_the_numbers_that_satisfy_them() {
        for (value, numbers) in samples() {
            let missing = *numbers.last().expect("none is empty");
            let excluding = value.excluding(missing);
            for number in numbers.iter().filter(|number| **number != missing) {
                assert!(contains(excluding, *number), "{number} in {excluding:?}");
            }
            let clamped = value.clamped(3, 300);
            for number in numbers.into_iter().filter(|number| (3..=300).contains(number)) {
                assert!(contains(clamped, number), "{number} in {clamped:?}");
            }
        }
    }

    #[test]
    fn addresses_keep_their_base() {
        let array = AbstractValue::at(Base::Stack, -64);
        let element = array.sum(AbstractValue::between(0, 7).scaled(8));
        assert_eq!((element.base, element.low, element.high, element.stride), (Base::Stack, -64, -8, 8));
        assert_eq!(
            element.difference(array),
            AbstractValue { base: Base::Number, low: 0, high: 56, index_zero: 0, ..element }
        );
        let elsewhere = AbstractValue::at(Base::Heap(0x1000), 0);
        assert!(array.join(elsewhere).is_unknown());
        // A pointer that may be null is treated as the pointer.
        assert_eq!(elsewhere.join(AbstractValue::number(0)), elsewhere);
    }
}
