//! Arithmetic and logic on lanes.

use super::super::emitter::Emitter;
use super::operands::pieces;
use super::shuffles::shuffle;
use crate::isa::ops::{Comparison, Operand, Operation};

/// An operation on each lane of two sources.
pub(super) fn binary(e: &mut Emitter<'_>, operation: Operation, lane_bits: u16) -> Option<()> {
    let (a, b) = e.pair(lane_bits)?;
    e.result(operation, lane_bits, &[a, b])
}

/// An operation on each lane of one source.
pub(super) fn unary(e: &mut Emitter<'_>, operation: Operation, lane_bits: u16) -> Option<()> {
    let (last, bits) = (e.last(), e.bits(0));
    let value = e.lanes(last, lane_bits, bits)?;
    e.result(operation, lane_bits, &[value])
}

/// `pxor` and the like: of a register with itself, 0.
pub(super) fn xor(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let (a, b) = e.pair(lane_bits)?;
    if a == b {
        return e.write_lanes(Operand::Constant(0, a.bits()), lane_bits);
    }
    e.result(Operation::Xor, lane_bits, &[a, b])
}

/// `pandn` and the like: the second source without the bits of the first.
pub(super) fn and_not(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let (a, b) = e.pair(lane_bits)?;
    let inverted = e.make(Operation::Not, a.bits(), &[a]);
    e.result(Operation::And, lane_bits, &[inverted, b])
}

/// `vpternlog`: any function of three bits. Bit `4a + 2b + c` of the constant is its value.
pub(super) fn ternary(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let (b, c) = e.pair(lane_bits)?;
    let (a, table) = (e.read(0), e.immediate());
    let with_a = of_two(e, table >> 4, b, c);
    let without_a = of_two(e, table & 15, b, c);
    match with_a == without_a {
        true => e.write_lanes(with_a, lane_bits),
        false => e.result(Operation::SelectBits, lane_bits, &[a, with_a, without_a]),
    }
}

/// A function of two bits: bit `2b + c` of the table is its value.
fn of_two(e: &mut Emitter<'_>, table: u16, b: Operand, c: Operand) -> Operand {
    use Operation::{And, Not, Or, Xor};
    let bits = b.bits();
    let zero = Operand::Constant(0, bits);
    // Of the functions that are 0 for two zeros, the one that this is, or is the opposite of.
    let is_inverted = table & 1 == 1;
    let positive = if is_inverted { !table & 15 } else { table };
    let without = |e: &mut Emitter<'_>, value: Operand, other: Operand| {
        let inverted = e.make(Not, bits, &[other]);
        e.make(And, bits, &[value, inverted])
    };
    let value = match positive {
        0 => zero,
        2 => without(e, c, b),
        4 => without(e, b, c),
        6 => e.make(Xor, bits, &[b, c]),
        8 => e.make(And, bits, &[b, c]),
        10 => c,
        12 => b,
        _ => e.make(Or, bits, &[b, c]),
    };
    if is_inverted { e.make(Not, bits, &[value]) } else { value }
}

/// `pmuludq`, `pmuldq`: the products of the low halves of lanes of 64 bits.
pub(super) fn multiply_low_halves(e: &mut Emitter<'_>, extend: Operation) -> Option<()> {
    let (a, b) = e.pair(64)?;
    let lanes = (a.bits() / 64) as u8;
    let [a, b] = [a, b].map(|value| {
        let half = e.make_lanes(Operation::Truncate, 32, lanes, &[value]);
        e.make_lanes(extend, 64, lanes, &[half])
    });
    e.result(Operation::Multiply, 64, &[a, b])
}

/// `vpmadd52`: adds the low or high 52 bits of a product of 52 bits to lanes of 64.
pub(super) fn multiply_add_52(e: &mut Emitter<'_>, is_high: bool) -> Option<()> {
    let (a, b) = e.pair(64)?;
    let bits = a.bits();
    let [a, b] = [a, b].map(|value| {
        let count = Operand::Constant(12, 8);
        let shifted = e.lanewise(Operation::ShiftLeft, 64, &[value, count]);
        // The high half of the product of both, shifted by 6 each, begins with bit 52.
        let count = Operand::Constant(if is_high { 6 } else { 12 }, 8);
        e.lanewise(Operation::ShiftRight, 64, &[shifted, count])
    });
    let product = match is_high {
        true => e.lanewise(Operation::MultiplyHighUnsigned, 64, &[a, b]),
        false => {
            let product = e.lanewise(Operation::Multiply, 64, &[a, b]);
            let ones = e.splat((1 << 52) - 1, 64, bits);
            e.lanewise(Operation::And, 64, &[product, ones])
        }
    };
    let old = e.read(0);
    e.result(Operation::Add, 64, &[old, product])
}

/// `pmulhrsw`: the high bits of the product, rounded: `((a * b >> 14) + 1) >> 1`.
pub(super) fn multiply_high_rounded(e: &mut Emitter<'_>) -> Option<()> {
    let (a, b) = e.pair(16)?;
    let high = e.lanewise(Operation::MultiplyHighSigned, 16, &[a, b]);
    let high = e.lanewise(Operation::ShiftLeft, 16, &[high, Operand::Constant(1, 8)]);
    let low = e.lanewise(Operation::Multiply, 16, &[a, b]);
    let low = e.lanewise(Operation::ShiftRight, 16, &[low, Operand::Constant(14, 8)]);
    let low = e.lanewise(Operation::AverageUnsigned, 16, &[low, Operand::Constant(0, a.bits())]);
    e.result(Operation::Add, 16, &[high, low])
}

/// `pmaddubsw`: the sums of products of unsigned bytes with signed ones, as the nearest signed words.
pub(super) fn multiply_add_bytes(e: &mut Emitter<'_>) -> Option<()> {
    let (a, b) = e.pair(16)?;
    let products = [false, true].map(|is_odd| {
        let [a, b] = [(a, Operation::ShiftRight), (b, Operation::ShiftRightSigned)].map(|(value, right)| {
            let count = Operand::Constant(8, 8);
            let value = match is_odd {
                true => value,
                false => e.lanewise(Operation::ShiftLeft, 16, &[value, count]),
            };
            e.lanewise(right, 16, &[value, count])
        });
        e.lanewise(Operation::Multiply, 16, &[a, b])
    });
    e.result(Operation::AddSaturatingSigned, 16, &products)
}

/// `psign`: lanes negated where the second source is negative, and 0 if it is 0.
pub(super) fn apply_sign(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let (a, b) = e.pair(lane_bits)?;
    let zero = Operand::Constant(0, a.bits());
    let is_negative = e.lanewise(Operation::CompareLanes(Comparison::LessSigned), lane_bits, &[b, zero]);
    let is_some = e.lanewise(Operation::CompareLanes(Comparison::Unequal), lane_bits, &[b, zero]);
    let negated = e.lanewise(Operation::Negate, lane_bits, &[a]);
    let value = e.lanewise(Operation::SelectBits, lane_bits, &[is_negative, negated, a]);
    e.result(Operation::And, lane_bits, &[value, is_some])
}

/// `psadbw`.
pub(super) fn sum_differences(e: &mut Emitter<'_>) -> Option<()> {
    let (a, b) = e.whole_pair();
    e.result(Operation::SumAbsoluteDifferences, 64, &[a, b])
}

/// `pclmulqdq`: the product of one half of each 128 bits of both sources.
pub(super) fn multiply_carryless(e: &mut Emitter<'_>) -> Option<()> {
    let ((a, b), choice) = (e.whole_pair(), e.immediate());
    let products: Vec<Operand> = pieces(a)
        .zip(pieces(b))
        .map(|(a, b)| {
            let (a, b) = (a.part(64 * (choice & 1), 64), b.part(64 * (choice >> 4 & 1), 64));
            e.make(Operation::MultiplyCarryless, 128, &[a, b])
        })
        .collect();
    let value = e.concatenate(&products);
    e.write_lanes(value, 64)
}

/// `haddps`, `phaddd` and the like: an operation on even lanes with the odd ones next to them, of the first source, then
/// of the second, within each 128 bits.
pub(super) fn horizontal(e: &mut Emitter<'_>, operation: Operation, lane_bits: u16) -> Option<()> {
    let sources = e.whole_pair();
    let even = shuffle(e, sources, lane_bits, |_, lane| 2 * lane);
    let odd = shuffle(e, sources, lane_bits, |_, lane| 2 * lane + 1);
    e.result(operation, lane_bits, &[even, odd])
}
