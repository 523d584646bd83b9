//! Floating-point arithmetic on lanes and scalars.

use super::super::emitter::{ARITHMETIC, Emitter};
use super::shuffles::shuffle;
use crate::isa::ops::{FlagsOf, Operand, Operation, Rounding};
use iced_x86::EncodingKind;

/// Both sources of a scalar instruction.
fn scalar_pair(e: &mut Emitter<'_>, bits: u16) -> Option<(Operand, Operand)> {
    let last = e.last();
    let b = e.lanes(last, bits, bits)?;
    Some((e.low_bits(last - 1, bits), b))
}

/// `addss` and the like.
pub(super) fn scalar(e: &mut Emitter<'_>, operation: Operation, bits: u16) -> Option<()> {
    let (a, b) = scalar_pair(e, bits)?;
    let value = e.make(operation, bits, &[a, b]);
    e.write_scalar(value, 1)
}

/// `sqrtss` and the like.
pub(super) fn scalar_of_one(e: &mut Emitter<'_>, operation: Operation, bits: u16) -> Option<()> {
    let last = e.last();
    let value = e.lanes(last, bits, bits)?;
    let value = e.make(operation, bits, &[value]);
    e.write_scalar(value, 1)
}

/// The rounding of `roundps` and the like, by the immediate; `None` if `vrndscale` keeps bits of the fraction.
fn rounding(e: &Emitter<'_>) -> Option<Rounding> {
    match e.immediate() {
        16.. if e.instruction.encoding() == EncodingKind::EVEX => None,
        mode if mode & 4 != 0 => Some(Rounding::Current),
        mode => Some(direction(mode)),
    }
}

/// The direction of rounding that two bits stand for.
fn direction(mode: u16) -> Rounding {
    match mode & 3 {
        0 => Rounding::Nearest,
        1 => Rounding::Down,
        2 => Rounding::Up,
        _ => Rounding::Zero,
    }
}

/// `roundps`, `roundpd`.
pub(super) fn round(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let rounding = rounding(e)?;
    super::lanes::unary(e, Operation::FloatRound(rounding), lane_bits)
}

/// `roundss`, `roundsd`.
pub(super) fn round_scalar(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let rounding = rounding(e)?;
    scalar_of_one(e, Operation::FloatRound(rounding), bits)
}

/// `ucomiss`, `comiss` and the like, which differ in exceptions only.
pub(super) fn compare(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let inputs = [e.low_bits(0, bits), e.low_bits(1, bits)];
    e.flags(ARITHMETIC, FlagsOf::FloatCompare, bits, &inputs);
    Some(())
}

/// `addsubps`, `addsubpd`: even lanes are subtracted, odd ones are added.
pub(super) fn add_and_subtract(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let (a, b) = e.pair(lane_bits)?;
    let difference = e.lanewise(Operation::FloatSubtract, lane_bits, &[a, b]);
    let sum = e.lanewise(Operation::FloatAdd, lane_bits, &[a, b]);
    let value = alternate(e, difference, sum, lane_bits);
    e.write_lanes(value, lane_bits)
}

/// The even lanes of one vector and the odd lanes of another.
pub(super) fn alternate(e: &mut Emitter<'_>, even: Operand, odd: Operand, lane_bits: u16) -> Operand {
    let in_piece = 128 / lane_bits;
    shuffle(e, (even, odd), lane_bits, |_, lane| lane + in_piece * (lane & 1))
}
