//! What may be known of a number in a register or in memory: what it counts from, between which bounds, in which steps.
//!
//! A value stands for the numbers `base + offset` with `low <= offset <= high` that differ from `base + origin` by multiples of
//! `stride`. [`UNBOUNDED_LOW`] and [`UNBOUNDED_HIGH`] are no bounds; numbers of 64 bits are taken to never pass them.
//!
//! Source: P. Cousot and R. Cousot (1977), intervals; P. Granger (1989), congruences; G. Balakrishnan and T. Reps (2004), value sets
//! of machine code, of which this keeps one base at a time.

use binframe_ir::tables::UnknownReason;

/// What a number counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing is known of the number, for a reason.
    Unknown(UnknownReason),
    /// Nothing: it is a plain number.
    Number,
    /// The stack pointer at the function's entry.
    Stack,
    /// The stack pointer where the function aligned it.
    Aligned,
    /// The stack pointer behind the instruction at an address, which moved it by an amount known at run time only.
    Dynamic(u64),
    /// What a register held at the function's entry.
    Register(u8),
    /// What the stack held at the function's entry, at an offset from the stack pointer.
    Argument(i32),
    /// What the call at an address returned.
    Returned(u64),
    /// Memory that the call at an address asked for.
    Heap(u64),
    /// An address in the file.
    Global(u64),
    /// The memory that every thread has a copy of.
    Thread,
    /// The number that functions keep between their variables and their return address.
    Canary,
}

impl Base {
    /// Whether numbers that count from it are addresses.
    fn is_pointer(self) -> bool {
        matches!(
            self,
            Self::Stack
                | Self::Aligned
                | Self::Dynamic(_)
                | Self::Heap(_)
                | Self::Returned(_)
                | Self::Global(_)
        )
    }

    /// Whether values that count from it may lead to memory whose content is followed, or whose use is of interest to callers.
    #[inline]
    pub(crate) fn is_followed(self) -> bool {
        matches!(self, Self::Stack | Self::Aligned | Self::Register(_) | Self::Argument(_))
    }
}

/// An offset that is not bounded below.
pub(crate) const UNBOUNDED_LOW: i64 = i64::MIN;
/// An offset that is not bounded above.
pub(crate) const UNBOUNDED_HIGH: i64 = i64::MAX;

/// A set of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) base: Base,
    pub(crate) low: i64,
    pub(crate) high: i64,
    /// The offset where indices are 0 and loops begin.
    pub(crate) origin: i64,
    /// 0 for a single number.
    pub(crate) stride: u32,
    /// Whether it holds only if programs stay within their variables.
    pub(crate) is_doubtful: bool,
    /// Whether the bounds are but those of a type.
    pub(crate) is_typed: bool,
}

impl Value {
    pub(crate) const fn unknown(reason: UnknownReason) -> Self {
        Self::any(Base::Unknown(reason), 0)
    }

    /// Any offset from a base.
    pub(crate) const fn any(base: Base, origin: i64) -> Self {
        Self { low: UNBOUNDED_LOW, high: UNBOUNDED_HIGH, stride: 1, ..Self::at(base, origin) }
    }

    pub(crate) const fn at(base: Base, offset: i64) -> Self {
        Self {
            base,
            low: offset,
            high: offset,
            origin: offset,
            stride: 0,
            is_doubtful: false,
            is_typed: false,
        }
    }

    pub(crate) const fn number(number: i64) -> Self {
        Self::at(Base::Number, number)
    }

    /// The numbers from `low` to `high`.
    pub(crate) const fn between(low: i64, high: i64) -> Self {
        let origin = if low <= 0 && high >= 0 { 0 } else { low };
        Self { low, high, stride: 1, ..Self::number(origin) }
    }

    /// The numbers that so many bits hold, without a sign.
    pub(crate) const fn of_bits(bits: u32) -> Self {
        match bits {
            64.. => Self::any(Base::Number, 0),
            63 => Self::between(0, UNBOUNDED_HIGH),
            bits => Self { is_typed: true, ..Self::between(0, (1 << bits) - 1) },
        }
    }

    pub(crate) fn is_unknown(self) -> bool {
        matches!(self.base, Base::Unknown(_))
    }

    /// The only offset, if there is but one.
    #[inline]
    pub(crate) fn exact(self) -> Option<i64> {
        (self.low == self.high).then_some(self.low)
    }

    /// The number, if it is known.
    pub(crate) fn constant(self) -> Option<i64> {
        self.exact().filter(|_| self.base == Base::Number)
    }

    fn is_null(self) -> bool {
        self.constant() == Some(0)
    }

    /// The address in the file, if it is known.
    pub(crate) fn address(self) -> Option<u64> {
        match (self.base, self.exact()?) {
            (Base::Global(anchor), offset) => Some(anchor.wrapping_add_signed(offset)),
            (Base::Number, number) => Some(number as u64),
            _ => None,
        }
    }

    /// Whether the offsets lie so close together that no type of an index alone says so.
    pub(crate) fn is_bounded(self) -> bool {
        self.low != UNBOUNDED_LOW && self.high != UNBOUNDED_HIGH && self.high.abs_diff(self.low) < 1 << 31
    }

    pub(crate) fn doubted(self, is_doubtful: bool) -> Self {
        Self { is_doubtful: (self.is_doubtful || is_doubtful) && !self.is_unknown(), ..self }
    }

    pub(crate) fn plus(self, number: i64) -> Self {
        self.sum(Self::number(number))
    }

    /// The sum, of which at most one part is an address.
    pub(crate) fn sum(self, other: Self) -> Self {
        let (base, index) = match (self.base, other.base) {
            (_, Base::Number) => (self, other),
            (Base::Number, _) => (other, self),
            _ => {
                return Self::unknown(UnknownReason::Computed).doubted(self.is_doubtful || other.is_doubtful);
            }
        };
        if base.is_unknown() {
            return base.doubted(index.is_doubtful);
        }
        let low = plus_low(base.low, index.low);
        let high = plus_high(base.high, index.high);
        let Some(origin) = base.origin.checked_add(index.origin) else { return Self::any(base.base, 0) };
        let stride = gcd(base.stride, index.stride);
        Self {
            base: base.base,
            low,
            high,
            origin,
            stride,
            is_doubtful: base.is_doubtful || index.is_doubtful,
            is_typed: base.is_typed || index.is_typed,
        }
    }

    /// The number with the other sign.
    pub(crate) fn negated(self) -> Option<Self> {
        let is_number = self.base == Base::Number;
        let opposite = |bound: i64| bound.checked_neg().unwrap_or(i64::MAX);
        let low = if self.high == UNBOUNDED_HIGH { UNBOUNDED_LOW } else { opposite(self.high) };
        let high = if self.low == UNBOUNDED_LOW { UNBOUNDED_HIGH } else { opposite(self.low) };
        is_number.then(|| Self { low, high, origin: opposite(self.origin), ..self })
    }

    /// The difference; that of addresses with one base is a number.
    pub(crate) fn difference(self, other: Self) -> Self {
        if let Some(negated) = other.negated() {
            return self.sum(negated);
        }
        if self.base != other.base || self.is_unknown() {
            return Self::any(Base::Number, 0).doubted(self.is_doubtful || other.is_doubtful);
        }
        let plain = |value: Self| Self { base: Base::Number, ..value };
        plain(self).difference(plain(other))
    }

    /// The product with a number that is not negative.
    pub(crate) fn scaled(self, factor: i64) -> Self {
        if self.base != Base::Number || factor < 0 {
            return Self::any(Base::Number, 0).doubted(self.is_doubtful);
        }
        if factor == 0 {
            return Self::number(0);
        }
        let low = if self.low == UNBOUNDED_LOW { None } else { self.low.checked_mul(factor) };
        let high = if self.high == UNBOUNDED_HIGH { None } else { self.high.checked_mul(factor) };
        let stride = u32::try_from(i64::from(self.stride).saturating_mul(factor)).unwrap_or(1);
        match self.origin.checked_mul(factor) {
            Some(origin) => Self {
                low: low.unwrap_or(UNBOUNDED_LOW),
                high: high.unwrap_or(UNBOUNDED_HIGH),
                origin,
                stride,
                ..self
            },
            None => Self::any(Base::Number, 0).doubted(self.is_doubtful),
        }
    }

    /// What is not outside of bounds.
    pub(crate) fn clamped(self, low: i64, high: i64) -> Self {
        if self.base != Base::Number && !self.is_unknown() {
            return self;
        }
        let low = if low > self.low { self.in_step(low, true) } else { self.low };
        let high = if high < self.high { self.in_step(high, false) } else { self.high };
        // A way that cannot be gone says nothing.
        if low > high {
            return self;
        }
        if low == high {
            return Self::number(low).doubted(self.is_doubtful);
        }
        if self.is_unknown() {
            return Self::between(low, high).doubted(self.is_doubtful);
        }
        let is_typed = self.is_typed && high == self.high;
        Self { low, high, is_typed, ..self }
    }

    /// The next offset up or down that is a multiple of the stride from the origin.
    fn in_step(self, offset: i64, is_up: bool) -> i64 {
        let stride = i64::from(self.stride.max(1));
        let Some(beyond) = offset.checked_sub(self.origin).map(|distance| distance.rem_euclid(stride)) else {
            return offset;
        };
        match (is_up, beyond) {
            (true, 0) => offset,
            (true, _) => offset.saturating_add(stride - beyond),
            (false, _) => offset.saturating_sub(beyond),
        }
    }

    /// What is left without one offset.
    pub(crate) fn without(self, offset: i64) -> Self {
        let step = i64::from(self.stride.max(1));
        match self.exact() {
            None if self.low == offset => Self { low: offset.saturating_add(step).min(self.high), ..self },
            None if self.high == offset => Self { high: offset.saturating_sub(step).max(self.low), ..self },
            // A way that cannot be gone says nothing.
            _ => self,
        }
    }

    /// The low bits, as a number without sign.
    pub(crate) fn zero_extended(self, bits: u32) -> Self {
        if bits == 0 || bits >= 63 {
            return self;
        }
        let size = 1_i64 << bits;
        if self.base != Base::Number {
            return Self::of_bits(bits).doubted(self.is_doubtful);
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
                origin: self.origin.wrapping_sub(base),
                ..self
            };
        }
        let stride = 1 << self.stride.trailing_zeros().min(bits - 1).min(31);
        let origin = self.origin & (size - 1);
        Self { low: 0, high: size - 1, origin, stride, is_typed: true, ..self }
    }

    /// The low bits, as a number with its sign.
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
        let origin = if value.origin >= half { value.origin - 2 * half } else { value.origin };
        Self { low: -half, high: half - 1, origin, is_typed: true, ..value }
    }

    /// Both sets.
    pub(crate) fn join(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let is_doubtful = self.is_doubtful || other.is_doubtful;
        // No address is 0: a pointer that may be null leads to what it leads to.
        if self.is_null() && other.base.is_pointer() {
            return other.doubted(is_doubtful);
        }
        if other.is_null() && self.base.is_pointer() {
            return self.doubted(is_doubtful);
        }
        if self.base != other.base {
            return match (self.base, other.base) {
                // What is loaded on one way and a number on the other is as unknown as before.
                (Base::Unknown(reason), _) | (_, Base::Unknown(reason)) => Self::unknown(reason),
                _ => Self::unknown(UnknownReason::Merged),
            }
            .doubted(is_doubtful);
        }
        let apart = u32::try_from(self.origin.abs_diff(other.origin)).unwrap_or(1);
        Self {
            base: self.base,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            origin: self.origin,
            stride: gcd(gcd(self.stride, other.stride), apart),
            is_doubtful,
            is_typed: self.is_typed || other.is_typed,
        }
    }

    /// Gives up the bounds that have moved since an earlier value, but for the next landmark: loops mostly end at what something is
    /// compared with, or a step before it.
    pub(crate) fn widened(self, earlier: Self, landmarks: &[(Base, i64)]) -> Self {
        let near = |step: i64| {
            let own = landmarks.iter().filter(|(base, _)| *base == self.base).map(|(_, offset)| *offset);
            own.flat_map(move |offset| [offset, offset.saturating_sub(step)])
        };
        let (mut low, mut high) = (self.low, self.high);
        if low < earlier.low {
            let step = low.saturating_sub(earlier.low);
            low = near(step).filter(|offset| *offset <= low).max().unwrap_or(UNBOUNDED_LOW);
        }
        if high > earlier.high {
            let step = high.saturating_sub(earlier.high);
            high = near(step).filter(|offset| *offset >= high).min().unwrap_or(UNBOUNDED_HIGH);
        }
        Self { low, high, ..self }
    }
}

fn plus_low(one: i64, other: i64) -> i64 {
    match one == UNBOUNDED_LOW || other == UNBOUNDED_LOW {
        true => UNBOUNDED_LOW,
        false => one.checked_add(other).unwrap_or(UNBOUNDED_LOW),
    }
}

fn plus_high(one: i64, other: i64) -> i64 {
    match one == UNBOUNDED_HIGH || other == UNBOUNDED_HIGH {
        true => UNBOUNDED_HIGH,
        false => one.checked_add(other).unwrap_or(UNBOUNDED_HIGH),
    }
}

fn gcd(mut one: u32, mut other: u32) -> u32 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(value: Value, number: i64) -> bool {
        let stride = i128::from(value.stride);
        let is_in_step = match stride {
            0 => number == value.low,
            stride => (i128::from(number) - i128::from(value.origin)) % stride == 0,
        };
        value.base != Base::Number || (value.low..=value.high).contains(&number) && is_in_step
    }

    /// Sets of numbers, each with some that are in it.
    fn samples() -> Vec<(Value, Vec<i64>)> {
        let mut samples = Vec::new();
        for number in [-129, -1, 0, 1, 7, 127, 128, 255, 256, 65_535, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            samples.push((Value::number(number), vec![number]));
        }
        for (low, high) in
            [(-3, 5), (0, 100), (120, 130), (250, 260), (-200, -100), (0xffff_fff0, 0x1_0000_0010)]
        {
            samples.push((Value::between(low, high), (low..=high.min(low + 300)).collect()));
        }
        for (count, step, start) in [(10, 8, 0), (5, 24, -48), (40, 3, 200), (9, 1 << 28, 0)] {
            let value = Value::between(0, count).scaled(step).plus(start);
            samples.push((value, (0..=count).map(|index| index * step + start).collect()));
        }
        let upwards = Value { high: UNBOUNDED_HIGH, ..Value::between(4, 8) };
        samples.push((upwards, vec![4, 5, 1000, 1 << 40]));
        samples
    }

    #[test]
    fn what_is_computed_holds_what_numbers_give() {
        for (value, numbers) in samples() {
            for number in &numbers {
                assert!(holds(value, *number), "{number} in {value:?}");
                for bits in [8, 16, 32] {
                    let low = number & ((1 << bits) - 1);
                    assert!(holds(value.zero_extended(bits), low), "{bits} bits of {number} in {value:?}");
                    let signed = low << (64 - bits) >> (64 - bits);
                    assert!(holds(value.sign_extended(bits), signed), "{bits} bits of {number} in {value:?}");
                }
                assert!(holds(value.scaled(12), number * 12), "12 times {number} in {value:?}");
            }
            for (other, others) in samples() {
                let (sum, difference, joined) =
                    (value.sum(other), value.difference(other), value.join(other));
                let widened = joined.widened(value, &[(Base::Number, 300)]);
                for (one, two) in numbers.iter().flat_map(|one| others.iter().map(move |two| (*one, *two))) {
                    assert!(holds(sum, one + two), "{one} + {two} in {value:?} + {other:?}");
                    assert!(holds(difference, one - two), "{one} - {two} in {value:?} - {other:?}");
                    assert!(holds(joined, one) && holds(joined, two), "{one}, {two} in {joined:?}");
                    assert!(holds(widened, one) && holds(widened, two), "{one}, {two} in {widened:?}");
                }
            }
        }
    }

    #[test]
    fn bounds_leave_what_lies_between_them() {
        for (value, numbers) in samples() {
            let missing = *numbers.last().expect("none is empty");
            let without = value.without(missing);
            for number in numbers.iter().filter(|number| **number != missing) {
                assert!(holds(without, *number), "{number} in {without:?}");
            }
            let clamped = value.clamped(3, 300);
            for number in numbers.into_iter().filter(|number| (3..=300).contains(number)) {
                assert!(holds(clamped, number), "{number} in {clamped:?}");
            }
        }
    }

    #[test]
    fn addresses_keep_what_they_count_from() {
        let array = Value::at(Base::Stack, -64);
        let element = array.sum(Value::between(0, 7).scaled(8));
        assert_eq!((element.base, element.low, element.high, element.stride), (Base::Stack, -64, -8, 8));
        assert_eq!(
            element.difference(array),
            Value { base: Base::Number, low: 0, high: 56, origin: 0, ..element }
        );
        let elsewhere = Value::at(Base::Heap(0x1000), 0);
        assert!(array.join(elsewhere).is_unknown());
        // A pointer that may be null leads to what it leads to.
        assert_eq!(elsewhere.join(Value::number(0)), elsewhere);
    }
}
