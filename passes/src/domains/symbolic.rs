//! The symbolic domain: contents of registers and memory as expressions over unknown symbols. Jump tables are found
//! with it.
//!
//! *Problem.* Compilers compute the same address or index by different instructions; recovery of jump tables must
//! recognize all of them by one pattern, and must tell cheaply whether two registers hold the same value.
//!
//! *Notation.* An expression is a 64-bit number, named by an [`ExprId`]. `Unknown(n)` is a symbol: a number about which
//! nothing is known, but which equals every other `Unknown(n)`. A [`Bound`] states `expression <= maximum`, both
//! unsigned.
//!
//! *Algorithm.* Expressions are hash-consed: [`ExprArena`] stores each one once, so two are structurally equal if and
//! only if their ids are equal. Constructors simplify: constants are folded; offsets are moved outwards
//! through sums and truncations; nested extensions are merged. Offsets stay inside of scales: `(x - 3) * 4 + table` is
//! the index `x - 3` into `table`.
//!
//! *Cost.* A constructor takes constant time, plus a few steps for each simplification. An arena grows with the
//! instructions that are evaluated, and is cleared before each evaluation.
//!
//! *Approximation.* Simplification preserves the number. [`upper_bound`] is unsound in one case, described there: it
//! takes a bound on the low 32 bits of a register as a bound on the whole register.

use rustc_hash::FxHashMap;

/// Names an expression: the number of an unknown symbol, marked by [`UNKNOWN`], or an index into [`ExprArena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ExprId(u64);

/// Marks a symbol. Symbols are too many to be worth a lookup each.
const UNKNOWN: u64 = 1 << 63;

impl ExprId {
    /// The symbol with a number, whose highest bit is ignored.
    #[inline]
    pub(crate) fn unknown(number: u64) -> Self {
        Self(number | UNKNOWN)
    }
}

/// An expression over other expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Expression {
    /// A symbol. Symbols with the same number are equal.
    Unknown(u64),
    /// A constant.
    Constant(u64),
    /// A non-constant expression plus a constant.
    Offset(ExprId, u64),
    /// The sum of two expressions that are neither `Constant` nor `Offset`.
    Sum(ExprId, ExprId),
    /// A non-constant expression, negated.
    Negated(ExprId),
    /// An expression shifted left by a number of bits.
    Scaled(ExprId, u8),
    /// An expression shifted right by a number of bits; zeros enter.
    ShiftedRight(ExprId, u8),
    /// The low bits of an expression, zero-extended.
    ZeroExtended(ExprId, u8),
    /// The low bits of an expression, sign-extended.
    SignExtended(ExprId, u8),
    /// The bitwise conjunction of an expression and a mask.
    Masked(ExprId, u64),
    /// A number whose low bits are those of an expression, and whose other bits are unknown.
    LowBits(ExprId, u8),
    /// A load of `size` bytes, zero-extended. Loads of the same address, size and epoch are equal.
    Load { address: ExprId, size: u8, epoch: u64 },
}

use Expression::{
    Constant, Load, LowBits, Masked, Negated, Offset, Scaled, ShiftedRight, SignExtended, Sum, Unknown,
    ZeroExtended,
};

/// Stores expressions, each once.
#[derive(Debug, Default)]
pub(crate) struct ExprArena {
    expressions: Vec<Expression>,
    ids: FxHashMap<Expression, ExprId>,
    /// The numbers that some symbols are known to be.
    symbol_numbers: FxHashMap<ExprId, u64>,
}

impl ExprArena {
    /// Removes all expressions. A large arena is freed, because clearing its hash table costs more than a new
    /// allocation.
    pub(crate) fn clear(&mut self) {
        const REUSED_MAX: usize = 1 << 12;
        if self.expressions.len() > REUSED_MAX {
            *self = Self::default();
        }
        self.expressions.clear();
        self.ids.clear();
        self.symbol_numbers.clear();
    }

    /// The expression that an id names.
    #[inline]
    pub(crate) fn get(&self, value: ExprId) -> Expression {
        match value.0 & UNKNOWN {
            0 => self.expressions[value.0 as usize],
            _ => Unknown(value.0 & !UNKNOWN),
        }
    }

    fn make(&mut self, expression: Expression) -> ExprId {
        let next = ExprId(self.expressions.len() as u64);
        let value = *self.ids.entry(expression).or_insert(next);
        if value == next {
            self.expressions.push(expression);
        }
        value
    }

    /// A constant.
    pub(crate) fn constant(&mut self, number: u64) -> ExprId {
        self.make(Constant(number))
    }

    /// The number, if the expression is a constant; `None` otherwise.
    pub(crate) fn number(&self, value: ExprId) -> Option<u64> {
        match self.get(value) {
            Constant(number) => Some(number),
            _ => None,
        }
    }

    /// Notes that a symbol is a number. Expressions keep the symbol.
    pub(crate) fn set_symbol_number(&mut self, symbol: ExprId, number: u64) {
        self.symbol_numbers.insert(symbol, number);
    }

    /// The number, if the expression is a constant, or the low bits of a symbol that is known to be one; `None`
    /// otherwise.
    pub(crate) fn known_number(&self, value: ExprId) -> Option<u64> {
        match self.get(value) {
            Constant(number) => Some(number),
            ZeroExtended(inner, bits) => Some(self.symbol_numbers.get(&inner)? & mask(bits)),
            _ => self.symbol_numbers.get(&value).copied(),
        }
    }

    /// An expression plus a constant.
    pub(crate) fn offset(&mut self, value: ExprId, added: u64) -> ExprId {
        match self.get(value) {
            Constant(number) => self.constant(number.wrapping_add(added)),
            Offset(inner, already) => self.offset(inner, already.wrapping_add(added)),
            _ if added == 0 => value,
            _ => self.make(Offset(value, added)),
        }
    }

    /// The sum of two expressions.
    pub(crate) fn sum(&mut self, one: ExprId, other: ExprId) -> ExprId {
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
            _ if one == other => self.scaled(one, 1),
            _ => self.make(Sum(one.min(other), one.max(other))),
        }
    }

    /// An expression, negated.
    pub(crate) fn negated(&mut self, value: ExprId) -> ExprId {
        match self.get(value) {
            Constant(number) => self.constant(number.wrapping_neg()),
            Negated(inner) => inner,
            _ => self.make(Negated(value)),
        }
    }

    /// An expression shifted left by `shift` bits.
    pub(crate) fn scaled(&mut self, value: ExprId, shift: u8) -> ExprId {
        match self.get(value) {
            _ if shift == 0 => value,
            _ if shift > 63 => self.constant(0),
            Constant(number) => self.constant(number << shift),
            Scaled(inner, already) if already + shift < 64 => self.make(Scaled(inner, already + shift)),
            _ => self.make(Scaled(value, shift)),
        }
    }

    /// An expression shifted right by `shift` bits; zeros enter.
    pub(crate) fn shifted_right(&mut self, value: ExprId, shift: u8) -> ExprId {
        match self.get(value) {
            _ if shift == 0 => value,
            _ if shift > 63 => self.constant(0),
            Constant(number) => self.constant(number >> shift),
            _ => self.make(ShiftedRight(value, shift)),
        }
    }

    /// The low `bits` of an expression, zero-extended.
    pub(crate) fn zero_extended(&mut self, value: ExprId, bits: u8) -> ExprId {
        match self.get(value) {
            _ if self.width(value) <= bits => value,
            Constant(number) => self.constant(number & mask(bits)),
            ZeroExtended(inner, wide) | SignExtended(inner, wide) | LowBits(inner, wide) if wide >= bits => {
                self.zero_extended(inner, bits)
            }
            // The truncated bits do not affect the low bits of a sum.
            Offset(inner, added) => match self.get(inner) {
                ZeroExtended(innermost, wide) | SignExtended(innermost, wide) if wide >= bits => {
                    let offset = self.offset(innermost, added);
                    self.zero_extended(offset, bits)
                }
                _ => {
                    let offset = self.make(Offset(inner, added & mask(bits)));
                    self.make(ZeroExtended(offset, bits))
                }
            },
            _ => self.make(ZeroExtended(value, bits)),
        }
    }

    /// The low `bits` of an expression, sign-extended.
    pub(crate) fn sign_extended(&mut self, value: ExprId, bits: u8) -> ExprId {
        match self.get(value) {
            _ if bits >= 64 || self.width(value) < bits => value,
            Constant(number) => {
                let unused = 64 - u32::from(bits);
                self.constant((((number << unused) as i64) >> unused) as u64)
            }
            ZeroExtended(inner, wide) | SignExtended(inner, wide) | LowBits(inner, wide) if wide >= bits => {
                self.sign_extended(inner, bits)
            }
            _ => self.make(SignExtended(value, bits)),
        }
    }

    /// The bitwise conjunction of an expression and a mask.
    pub(crate) fn masked(&mut self, value: ExprId, mask: u64) -> ExprId {
        match self.get(value) {
            Constant(number) => self.constant(number & mask),
            _ if mask.trailing_ones() + mask.leading_zeros() == 64 && mask > 0 => {
                self.zero_extended(value, mask.trailing_ones() as u8)
            }
            _ => self.make(Masked(value, mask)),
        }
    }

    /// A number whose low `bits` are those of an expression, and whose other bits are unknown.
    pub(crate) fn low_bits(&mut self, value: ExprId, bits: u8) -> ExprId {
        self.make(LowBits(value, bits))
    }

    /// A load of `size` bytes, zero-extended.
    pub(crate) fn load(&mut self, address: ExprId, size: u8, epoch: u64) -> ExprId {
        self.make(Load { address, size, epoch })
    }

    /// Number of low bits that may be set; all higher bits are zero.
    pub(crate) fn width(&self, value: ExprId) -> u8 {
        let bits = |number: u64| 64 - number.leading_zeros() as u8;
        match self.get(value) {
            Constant(number) | Masked(_, number) => bits(number),
            ZeroExtended(_, width) => width,
            Load { size, .. } if size <= 8 => size * 8,
            Scaled(inner, shift) => self.width(inner).saturating_add(shift).min(64),
            ShiftedRight(inner, shift) => self.width(inner).saturating_sub(shift),
            _ => 64,
        }
    }
}

fn mask(bits: u8) -> u64 {
    u64::MAX >> (64 - u32::from(bits.clamp(1, 64)))
}

/// An upper bound of an expression, from a branch condition: `value <= maximum`, both unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) value: ExprId,
    pub(crate) maximum: u64,
}

/// The least upper bound of a value that follows from `bounds`; `None` if none follows.
///
/// Unsound in one case: a bound on the low 32 bits of a value is taken as a bound on the value. It holds for compilers'
/// code: a 64-bit register is an index only if its upper half is known to be zero, from the 32-bit instruction that
/// wrote it. That instruction may be outside the evaluated blocks, so that the expression does not show it.
/// Hand-written code may break it.
pub(crate) fn upper_bound(arena: &ExprArena, bounds: &[Bound], value: ExprId) -> Option<u64> {
    let bound_of =
        |value: ExprId| bounds.iter().filter(|bound| bound.value == value).map(|bound| bound.maximum).min();
    let bound_of_low_bits = |bits: u8| {
        let is_low = |bound: &&Bound| matches!(arena.get(bound.value), ZeroExtended(inner, width) if inner == value && width == bits);
        bounds.iter().find(is_low).map(|bound| bound.maximum)
    };
    let implied = match arena.get(value) {
        ZeroExtended(inner, _) => bound_of(inner),
        // If the zero-extended number is below the sign bit, sign extension gives the same number.
        SignExtended(inner, bits) => {
            let is_same = |bound: &&Bound| match arena.get(bound.value) {
                ZeroExtended(compared, width) => compared == inner && width == bits,
                _ => bound.value == inner,
            };
            bounds
                .iter()
                .find(is_same)
                .map(|bound| bound.maximum)
                .filter(|maximum| *maximum < 1 << (bits - 1))
        }
        ShiftedRight(inner, shift) => upper_bound(arena, bounds, inner).map(|maximum| maximum >> shift),
        Offset(inner, added) => {
            let maximum = upper_bound(arena, bounds, inner);
            maximum.and_then(|maximum| maximum.checked_add(added))
        }
        _ => bound_of_low_bits(32),
    };
    bound_of(value).into_iter().chain(implied).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_indices_become_one_expression() {
        let mut arena = ExprArena::default();
        let character = ExprId::unknown(1);
        // lea ecx, [rax-97]; movzx ecx, cl
        let sum = arena.offset(character, -97_i64 as u64);
        let wide = arena.zero_extended(sum, 32);
        let narrow = arena.zero_extended(wide, 8);
        // sub al, 97
        let low = arena.zero_extended(character, 8);
        let difference = arena.offset(low, -97_i64 as u64);
        assert_eq!(arena.zero_extended(difference, 8), narrow);
    }

    #[test]
    fn a_bound_of_the_low_bits_bounds_extensions_and_the_register() {
        let mut arena = ExprArena::default();
        let index = ExprId::unknown(1);
        let compared = arena.zero_extended(index, 32);
        let bounds = [Bound { value: compared, maximum: 5 }];
        let signed = arena.sign_extended(index, 32);
        assert_eq!(upper_bound(&arena, &bounds, compared), Some(5));
        assert_eq!(upper_bound(&arena, &bounds, signed), Some(5));
        assert_eq!(upper_bound(&arena, &bounds, index), Some(5));
        let other = ExprId::unknown(2);
        assert_eq!(upper_bound(&arena, &bounds, other), None);
    }
}
