//! Abstract values: sets of numbers that a register or a stack cell may hold at one program point.
//!
//! *Elements.* A value is a symbolic [`Base`] and a strided interval of offsets from it: all numbers `base + offset`
//! with `low <= offset <= high` and `offset = index_zero + k * stride` for an integer `k`. A stride of 0 means a
//! single number. [`UNBOUNDED_LOW`] and [`UNBOUNDED_HIGH`] stand for minus and plus infinity. Plain numbers have the
//! base [`Base::Number`]. The top element is [`Base::Unknown`], which records why nothing is known. There is no bottom
//! element: an unreached point has no state.
//!
//! *Order.* `a <= b` if `b` is unknown, or if both have the same base and `b` contains every offset of `a`.
//!
//! *Join.* With equal bases: the smallest interval that contains both; the stride is the greatest common divisor of
//! both strides and of the distance between both `index_zero` (1 if the distance exceeds 32 bits). With different
//! bases: unknown. The join deviates from a least upper bound twice:
//! - A pointer joined with the number 0 stays that pointer, so the result does not contain 0. That is right for memory
//!   accesses, since access through a null pointer faults. It is an assumption for [`Base::Returned`], which may also
//!   be a number.
//! - `index_zero` is that of the left operand, which is the state that reached the join point first. Any member of the
//!   residue class would do; the first one is most often the start of an array or the first value of a loop counter,
//!   and is reported as such. It need not lie between the bounds.
//!
//! *Widening.* A bound that moved since the previous visit becomes the nearest threshold with the same base, at or
//! beyond it, or infinite ([`AbstractValue::widened`]).
//!
//! *Height.* A bound can move 2^64 times, so the solver widens (`memory/fixpoint`): to thresholds at first, then to
//! infinity, after which the bound is stable. The stride only changes to a proper divisor: at most 32 times.
//!
//! *Assumptions.* 64-bit arithmetic does not wrap around: a bound that overflows becomes infinite. A value with
//! `assumes_in_bounds` contains the real number only if the program keeps its accesses within its variables.
//!
//! *References.* P. Cousot, R. Cousot (1977), Abstract interpretation (intervals); P. Granger (1989), Static analysis of
//! arithmetical congruences; G. Balakrishnan, T. Reps (2004), Analyzing memory accesses in x86 executables (value
//! sets; here with one base each).

use binframe_ir::Enumeration;
use binframe_ir::tables::UnknownReason;

/// The symbolic base that the offsets of a value are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Unknown (top), with the reason.
    Unknown(UnknownReason),
    /// None: the value is a plain number.
    Number,
    /// The stack pointer at function entry.
    Stack,
    /// The stack pointer after the instruction that aligned it.
    Aligned,
    /// The stack pointer after the instruction at this address, which moved it by an unknown amount. Repeated
    /// executions of the instruction share the base, although the stack pointer differs.
    Dynamic(u64),
    /// The content of a register at function entry.
    Register(u8),
    /// The content of the stack at function entry, at this offset from the stack pointer.
    Argument(i32),
    /// The result of the call at this address.
    Returned(u64),
    /// The memory that the call at this address allocated. Repeated executions of the call share the base.
    Heap(u64),
    /// An address in the binary.
    Global(u64),
    /// The thread-local storage of the running thread.
    Thread,
    /// The stack canary (stack protector cookie).
    Canary,
    /// The address of the stack canary, a variable that is perhaps in another binary.
    CanaryAddress,
}

impl Base {
    /// Whether values relative to the base are treated as addresses.
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

    /// Kind and content as numbers, for a fingerprint.
    pub(crate) fn words(self) -> (u64, u64) {
        match self {
            Self::Unknown(reason) => (0, u64::from(reason.code())),
            Self::Number => (1, 0),
            Self::Stack => (2, 0),
            Self::Aligned => (3, 0),
            Self::Dynamic(address) => (4, address),
            Self::Register(register) => (5, u64::from(register)),
            Self::Argument(offset) => (6, i64::from(offset) as u64),
            Self::Returned(call) => (7, call),
            Self::Heap(call) => (8, call),
            Self::Global(address) => (9, address),
            Self::Thread => (10, 0),
            Self::Canary => (11, 0),
            Self::CanaryAddress => (12, 0),
        }
    }

    /// Whether it matters that values relative to the base escape: such a value may point into the frame, or derive
    /// from a parameter.
    #[inline]
    pub(crate) fn escape_matters(self) -> bool {
        matches!(self, Self::Stack | Self::Aligned | Self::Register(_) | Self::Argument(_))
    }
}

/// Minus infinity: the lower bound of an offset without one.
pub(crate) const UNBOUNDED_LOW: i64 = i64::MIN;
/// Plus infinity: the upper bound of an offset without one.
pub(crate) const UNBOUNDED_HIGH: i64 = i64::MAX;

/// A number or address that the function compares with: a candidate for the bound of a loop counter.
pub(crate) type Threshold = (Base, i64);

/// A set of numbers: a base and a strided interval of offsets from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AbstractValue {
    pub(crate) base: Base,
    pub(crate) low: i64,
    pub(crate) high: i64,
    /// An offset from which all others differ by a multiple of `stride`; presumably that of the element with index 0.
    pub(crate) index_zero: i64,
    /// Distance between neighbouring numbers; 0 for a single number.
    pub(crate) stride: u32,
    /// Whether the value holds only if the program accesses its variables in bounds.
    pub(crate) assumes_in_bounds: bool,
    /// Whether a bound is implied by the operand width alone, and says nothing about the size of an array.
    pub(crate) is_type_range: bool,
}

impl AbstractValue {
    /// The unknown value (top).
    pub(crate) const fn unknown(reason: UnknownReason) -> Self {
        Self::unbounded(Base::Unknown(reason), 0)
    }

    /// All offsets from a base, with the given `index_zero`.
    pub(crate) const fn unbounded(base: Base, index_zero: i64) -> Self {
        Self { low: UNBOUNDED_LOW, high: UNBOUNDED_HIGH, stride: 1, ..Self::at(base, index_zero) }
    }

    /// The single number `base + offset`.
    pub(crate) const fn at(base: Base, offset: i64) -> Self {
        Self {
            base,
            low: offset,
            high: offset,
            index_zero: offset,
            stride: 0,
            assumes_in_bounds: false,
            is_type_range: false,
        }
    }

    /// A constant.
    pub(crate) const fn number(number: i64) -> Self {
        Self::at(Base::Number, number)
    }

    /// The numbers from `low` to `high`.
    pub(crate) const fn between(low: i64, high: i64) -> Self {
        let index_zero = if low <= 0 && high >= 0 { 0 } else { low };
        Self { low, high, stride: 1, ..Self::number(index_zero) }
    }

    /// The unsigned numbers of `bits` bits.
    pub(crate) const fn unsigned(bits: u32) -> Self {
        match bits {
            64.. => Self::unbounded(Base::Number, 0),
            63 => Self::between(0, UNBOUNDED_HIGH),
            bits => Self { is_type_range: true, ..Self::between(0, (1 << bits) - 1) },
        }
    }

    /// All fields as numbers, for a fingerprint.
    pub(crate) fn words(&self) -> [u64; 7] {
        let Self { base, low, high, index_zero, stride, assumes_in_bounds, is_type_range } = *self;
        let (base, of_base) = base.words();
        let flags = u64::from(assumes_in_bounds) | u64::from(is_type_range) << 1;
        [base, of_base, low as u64, high as u64, index_zero as u64, u64::from(stride), flags]
    }

    /// Whether the value is top.
    pub(crate) fn is_unknown(self) -> bool {
        matches!(self.base, Base::Unknown(_))
    }

    /// The offset; `None` if there are several.
    #[inline]
    pub(crate) fn exact_offset(self) -> Option<i64> {
        (self.low == self.high).then_some(self.low)
    }

    /// The constant; `None` if the value has a base or several numbers.
    pub(crate) fn constant(self) -> Option<i64> {
        self.exact_offset().filter(|_| self.base == Base::Number)
    }

    fn is_null(self) -> bool {
        self.constant() == Some(0)
    }

    /// The absolute address; `None` if there are several, or if it is relative to something unknown.
    pub(crate) fn address(self) -> Option<u64> {
        match (self.base, self.exact_offset()?) {
            (Base::Global(anchor), offset) => Some(anchor.wrapping_add_signed(offset)),
            (Base::Number, number) => Some(number as u64),
            _ => None,
        }
    }

    /// Whether neither bound is infinite.
    pub(crate) fn is_finite(self) -> bool {
        self.low != UNBOUNDED_LOW && self.high != UNBOUNDED_HIGH
    }

    /// Whether the value is finite, with bounds less than 2^31 apart. A wider range is implied by the width of an
    /// index, and does not count as bounded.
    pub(crate) fn is_bounded(self) -> bool {
        self.is_finite() && self.high.abs_diff(self.low) < 1 << 31
    }

    /// The value, which also assumes accesses in bounds if the argument is true.
    pub(crate) fn assuming_in_bounds(self, assumes_in_bounds: bool) -> Self {
        Self {
            assumes_in_bounds: (self.assumes_in_bounds || assumes_in_bounds) && !self.is_unknown(),
            ..self
        }
    }

    /// The numbers of the value from `low` to `high`. Unchanged if it has a symbolic base, or if there are no such
    /// numbers.
    pub(crate) fn clamped(self, low: i64, high: i64) -> Self {
        if self.base != Base::Number && !self.is_unknown() {
            return self;
        }
        let low = if low > self.low { self.on_stride(low, true) } else { self.low };
        let high = if high < self.high { self.on_stride(high, false) } else { self.high };
        // An infeasible path adds no constraint.
        if low > high {
            return self;
        }
        if low == high {
            return Self::number(low).assuming_in_bounds(self.assumes_in_bounds);
        }
        if self.is_unknown() {
            return Self::between(low, high).assuming_in_bounds(self.assumes_in_bounds);
        }
        let is_type_range = self.is_type_range && high == self.high;
        Self { low, high, is_type_range, ..self }
    }

    /// The nearest offset on the stride, at or above `offset` if `is_up`, else at or below it.
    fn on_stride(self, offset: i64, is_up: bool) -> i64 {
        let stride = i64::from(self.stride.max(1));
        let Some(beyond) = offset.checked_sub(self.index_zero).map(|distance| distance.rem_euclid(stride))
        else {
            return offset;
        };
        match (is_up, beyond) {
            (true, 0) => offset,
            (true, _) => offset.saturating_add(stride - beyond),
            (false, _) => offset.saturating_sub(beyond),
        }
    }

    /// The value without one offset, if that is its first or last.
    pub(crate) fn excluding(self, offset: i64) -> Self {
        let step = i64::from(self.stride.max(1));
        match self.exact_offset() {
            None if self.low == offset => Self { low: offset.saturating_add(step).min(self.high), ..self },
            None if self.high == offset => Self { high: offset.saturating_sub(step).max(self.low), ..self },
            // An infeasible path adds no constraint.
            _ => self,
        }
    }

    /// The join: contains the numbers of both values, except for the null of a pointer that may be null.
    pub(crate) fn join(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let assumes_in_bounds = self.assumes_in_bounds || other.assumes_in_bounds;
        // No address is 0: a pointer that may be null is treated as the pointer.
        if self.is_null() && other.base.is_pointer() {
            return other.assuming_in_bounds(assumes_in_bounds);
        }
        if other.is_null() && self.base.is_pointer() {
            return self.assuming_in_bounds(assumes_in_bounds);
        }
        if self.base != other.base {
            return match (self.base, other.base) {
                // The reason of the operand that was unknown already is kept.
                (Base::Unknown(reason), _) | (_, Base::Unknown(reason)) => Self::unknown(reason),
                _ => Self::unknown(UnknownReason::Merged),
            }
            .assuming_in_bounds(assumes_in_bounds);
        }
        let apart = u32::try_from(self.index_zero.abs_diff(other.index_zero)).unwrap_or(1);
        Self {
            base: self.base,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            index_zero: self.index_zero,
            stride: gcd(gcd(self.stride, other.stride), apart),
            assumes_in_bounds,
            is_type_range: self.is_type_range || other.is_type_range,
        }
    }

    /// The value with each bound that has moved since `earlier` set to the nearest threshold with the same base, at or
    /// beyond it, or to infinity. The number one step before a threshold is one too, the step being the distance that
    /// the bound moved: a loop that compares its counter with `n` after the increment starts its last iteration one
    /// step before `n`. Bounds are compared as offsets even if the base changed, as when a null became a pointer.
    pub(crate) fn widened(self, earlier: Self, thresholds: &[Threshold]) -> Self {
        let candidates = |step: i64| {
            let own = thresholds.iter().filter(|(base, _)| *base == self.base).map(|(_, offset)| *offset);
            own.flat_map(move |offset| [offset, offset.saturating_sub(step)])
        };
        let (mut low, mut high) = (self.low, self.high);
        if low < earlier.low {
            let step = low.saturating_sub(earlier.low);
            low = candidates(step).filter(|offset| *offset <= low).max().unwrap_or(UNBOUNDED_LOW);
        }
        if high > earlier.high {
            let step = high.saturating_sub(earlier.high);
            high = candidates(step).filter(|offset| *offset >= high).min().unwrap_or(UNBOUNDED_HIGH);
        }
        Self { low, high, ..self }
    }
}

pub(super) fn gcd(mut one: u32, mut other: u32) -> u32 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
