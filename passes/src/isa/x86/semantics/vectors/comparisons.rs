//! Comparisons of lanes, to vectors or to masks.

use super::super::emitter::{Emitter, constant};
use crate::isa::ops::{Comparison, Flag, Operand, Operation, Place};

/// Writes lanes of ones and zeros: as they are, or as a mask, in which lanes that another mask does not select are 0.
fn write(e: &mut Emitter<'_>, value: Operand, lane_bits: u16) -> Option<()> {
    if !e.instruction.op0_register().is_k() {
        return e.write_lanes(value, lane_bits);
    }
    let mut bits = e.lanewise(Operation::SignBits, lane_bits, &[value]);
    if e.has_mask() {
        let mask = e.mask_bits(bits.bits());
        bits = e.make(Operation::And, bits.bits(), &[bits, mask]);
    }
    write_mask(e, bits)
}

/// Writes bits to a mask register, with zeros above.
pub(super) fn write_mask(e: &mut Emitter<'_>, value: Operand) -> Option<()> {
    let place = e.place(0);
    match value.bits() {
        64 => e.set(place, Operation::Copy, 64, &[value]),
        _ => e.set(place, Operation::ZeroExtend, 64, &[value]),
    }
    Some(())
}

fn compare(e: &mut Emitter<'_>, comparison: Comparison, lane_bits: u16, a: Operand, b: Operand) -> Operand {
    e.lanewise(Operation::CompareLanes(comparison), lane_bits, &[a, b])
}

/// `pcmpeq`, and `pcmpgt`, which is a comparison of the second source with the first.
pub(super) fn integers(
    e: &mut Emitter<'_>,
    comparison: Comparison,
    lane_bits: u16,
    is_swapped: bool,
) -> Option<()> {
    let (a, b) = e.pair(lane_bits)?;
    let (a, b) = if is_swapped { (b, a) } else { (a, b) };
    if e.instruction.op0_register().is_k() {
        let value = compare(e, comparison, lane_bits, a, b);
        return write(e, value, lane_bits);
    }
    e.result(Operation::CompareLanes(comparison), lane_bits, &[a, b])
}

/// `vpcmp`, `vpcmpu`: the immediate names the comparison.
pub(super) fn integers_by_predicate(e: &mut Emitter<'_>, lane_bits: u16, is_signed: bool) -> Option<()> {
    let (less, less_or_equal) = match is_signed {
        true => (Comparison::LessSigned, Comparison::LessOrEqualSigned),
        false => (Comparison::LessUnsigned, Comparison::LessOrEqualUnsigned),
    };
    let (a, b) = e.pair(lane_bits)?;
    let bits = a.bits();
    let value = match e.immediate() & 7 {
        0 => compare(e, Comparison::Equal, lane_bits, a, b),
        1 => compare(e, less, lane_bits, a, b),
        2 => compare(e, less_or_equal, lane_bits, a, b),
        3 => Operand::Constant(0, bits),
        4 => compare(e, Comparison::Unequal, lane_bits, a, b),
        5 => compare(e, less_or_equal, lane_bits, b, a),
        6 => compare(e, less, lane_bits, b, a),
        _ => e.make(Operation::Not, bits, &[Operand::Constant(0, bits)]),
    };
    write(e, value, lane_bits)
}

/// `vptestm`, `vptestnm`: which lanes have ones, or none, in both sources.
pub(super) fn test(e: &mut Emitter<'_>, comparison: Comparison, lane_bits: u16) -> Option<()> {
    let (a, b) = e.pair(lane_bits)?;
    let both = e.make(Operation::And, a.bits(), &[a, b]);
    let value = compare(e, comparison, lane_bits, both, Operand::Constant(0, a.bits()));
    write(e, value, lane_bits)
}

/// Lanes that compare as the immediate of `cmpps` says. Predicates that differ in bit 4 differ in exceptions only; SSE
/// has but the first eight.
fn floats_by_predicate(e: &mut Emitter<'_>, lane_bits: u16, a: Operand, b: Operand) -> Operand {
    use Comparison::FloatUnordered as Unordered;
    use Comparison::{FloatEqual as Equal, FloatLess as Less, FloatLessOrEqual as LessOrEqual};
    let bits = a.bits();
    let predicate = e.immediate() & if e.is_legacy() { 7 } else { 15 };
    let not = |e: &mut Emitter<'_>, value| e.make(Operation::Not, bits, &[value]);
    let either = |e: &mut Emitter<'_>, first, second| {
        let first = compare(e, first, lane_bits, a, b);
        // Less the other way round: of two numbers that differ, one is less.
        let second = if second == Less {
            compare(e, second, lane_bits, b, a)
        } else {
            compare(e, second, lane_bits, a, b)
        };
        e.make(Operation::Or, bits, &[first, second])
    };
    let (comparison, a, b, is_negated) = match predicate {
        0 => (Equal, a, b, false),
        1 => (Less, a, b, false),
        2 => (LessOrEqual, a, b, false),
        3 => (Unordered, a, b, false),
        4 => (Equal, a, b, true),
        5 => (Less, a, b, true),
        6 => (LessOrEqual, a, b, true),
        7 => (Unordered, a, b, true),
        8 => return either(e, Equal, Unordered),
        9 => (LessOrEqual, b, a, true),
        10 => (Less, b, a, true),
        11 => return Operand::Constant(0, bits),
        12 => return either(e, Less, Less),
        13 => (LessOrEqual, b, a, false),
        14 => (Less, b, a, false),
        _ => return not(e, Operand::Constant(0, bits)),
    };
    let value = compare(e, comparison, lane_bits, a, b);
    if is_negated { not(e, value) } else { value }
}

/// `cmpps`, `cmppd`.
pub(super) fn floats(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let (a, b) = e.pair(lane_bits)?;
    let value = floats_by_predicate(e, lane_bits, a, b);
    write(e, value, lane_bits)
}

/// `cmpss`, `cmpsd`.
pub(super) fn scalars(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let last = e.last();
    let b = e.lanes(last, bits, bits)?;
    let a = e.low_bits(last - 1, bits);
    let value = floats_by_predicate(e, bits, a, b);
    match e.instruction.op0_register().is_k() {
        true => write(e, value, bits),
        false => e.write_scalar(value, 1),
    }
}

/// `ptest`, `vtestps`, `vtestpd`: zero if no bit is in both, carry if none is only in the second. With lanes, only their
/// highest bits count.
pub(super) fn test_bits(e: &mut Emitter<'_>, lane_bits: Option<u16>) -> Option<()> {
    let (a, b) = (e.read(0), e.read(1));
    let [zero, carry] = [false, true].map(|is_inverted| {
        let a = if is_inverted { e.make(Operation::Not, a.bits(), &[a]) } else { a };
        let both = e.make(Operation::And, a.bits(), &[a, b]);
        let both = match lane_bits {
            Some(lane_bits) => e.lanewise(Operation::SignBits, lane_bits, &[both]),
            None => both,
        };
        e.compare(Comparison::Equal, both, Operand::Constant(0, both.bits()))
    });
    set_flags(e, zero, carry);
    Some(())
}

/// Sets zero and carry; the other flags of arithmetic become 0.
pub(super) fn set_flags(e: &mut Emitter<'_>, zero: Operand, carry: Operand) {
    e.set_flag(Flag::Zero, zero);
    e.set_flag(Flag::Carry, carry);
    for flag in [Flag::Parity, Flag::Adjust, Flag::Sign, Flag::Overflow] {
        e.push(Operation::Copy, 1, 1, Place::Flag(flag), &[constant(0, 1)]);
    }
}
