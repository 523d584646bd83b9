//! Conversions between integers and floating-point numbers, and between widths.

use super::super::emitter::Emitter;
use crate::isa::ops::{FloatRange, Operation, Rounding};

/// To signed integers by the current mode, or toward zero (`cvtt`). What does not fit is the indefinite integer.
pub(super) const TO_SIGNED: Operation = Operation::FloatToSigned(Rounding::Current, FloatRange::Indefinite);
pub(super) const TO_SIGNED_TRUNCATED: Operation =
    Operation::FloatToSigned(Rounding::Zero, FloatRange::Indefinite);
pub(super) const TO_UNSIGNED: Operation =
    Operation::FloatToUnsigned(Rounding::Current, FloatRange::Indefinite);
pub(super) const TO_UNSIGNED_TRUNCATED: Operation =
    Operation::FloatToUnsigned(Rounding::Zero, FloatRange::Indefinite);

/// Lanes of `from` bits to lanes of `to` bits: as many as fit in the wider of both vectors.
pub(super) fn lanes(e: &mut Emitter<'_>, operation: Operation, from: u16, to: u16) -> Option<()> {
    if from > to && e.instruction.is_broadcast() {
        // The result does not say how many lanes there are.
        return None;
    }
    let count = e.bits(0).max(e.bits(1)) / from.max(to);
    let value = e.lanes(1, from, count * from)?;
    e.result_of(operation, to, count, &[value])
}

/// `cvtsi2sd` and the like: an integer of a general register or memory to a scalar.
pub(super) fn from_integer(e: &mut Emitter<'_>, operation: Operation, bits: u16) -> Option<()> {
    let last = e.last();
    let value = e.read(last);
    let value = e.make(operation, bits, &[value]);
    e.write_scalar(value, 1)
}

/// `cvtsd2si` and the like: a scalar to a general register.
pub(super) fn to_integer(e: &mut Emitter<'_>, operation: Operation, from: u16) -> Option<()> {
    let value = e.low_bits(1, from);
    let bits = e.bits(0);
    let place = e.place(0);
    e.set(place, operation, bits, &[value]);
    Some(())
}

/// `cvtss2sd`, `cvtsd2ss`.
pub(super) fn scalar(e: &mut Emitter<'_>, from: u16, to: u16) -> Option<()> {
    let last = e.last();
    let value = e.lanes(last, from, from)?;
    let value = e.make(Operation::FloatConvert, to, &[value]);
    e.write_scalar(value, 1)
}

/// `vcvtps2ph`, if it rounds by the current mode.
pub(super) fn to_half(e: &mut Emitter<'_>) -> Option<()> {
    if e.immediate() & 4 == 0 {
        return None;
    }
    let value = e.read(1);
    let value = e.make_lanes(Operation::FloatConvert, 16, (value.bits() / 32) as u8, &[value]);
    e.write_lanes(value, 16)
}

/// `pmovzx`, `pmovsx`: lanes of `from` bits to lanes of `to` bits.
pub(super) fn extend(e: &mut Emitter<'_>, operation: Operation, from: u16, to: u16) -> Option<()> {
    let count = e.bits(0) / to;
    let value = e.lanes(1, from, count * from)?;
    e.result_of(operation, to, count, &[value])
}

/// `vpmovqd` and the like: the low bits of lanes.
pub(super) fn truncate(e: &mut Emitter<'_>, from: u16, to: u16) -> Option<()> {
    let value = e.read(1);
    let count = value.bits() / from;
    let value = e.make_lanes(Operation::Truncate, to, count as u8, &[value]);
    e.write_lanes(value, to)
}
