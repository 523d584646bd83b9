//! Shifts and rotations of lanes, and shifts of whole vectors by bytes.

use super::super::arithmetic::is_immediate;
use super::super::emitter::Emitter;
use super::operands::pieces;
use crate::isa::ops::{Operand, Operation};

/// Shifts of all lanes by one number: an immediate, or the low 64 bits of the last source.
pub(super) fn uniform(e: &mut Emitter<'_>, operation: Operation, lane_bits: u16) -> Option<()> {
    let bits = e.bits(0);
    let count_operand = e.instruction.op_count() - 1;
    if is_immediate(e, count_operand) {
        let last = e.last();
        let value = e.lanes(last, lane_bits, bits)?;
        return e.result(operation, lane_bits, &[value, Operand::Constant(e.immediate().into(), 8)]);
    }
    let count = e.low_bits(count_operand, 64);
    let count = e.make(Operation::MinimumUnsigned, 64, &[count, Operand::Constant(64, 64)]);
    let value = e.low_bits(count_operand - 1, bits);
    e.result(operation, lane_bits, &[value, count.part(0, 8)])
}

/// Shifts by whole bytes within each 128 bits.
pub(super) fn bytes(e: &mut Emitter<'_>, operation: Operation) -> Option<()> {
    let (last, bits) = (e.last(), e.bits(0));
    let value = e.low_bits(last, bits);
    let count = Operand::Constant(u64::from(e.immediate()) * 8, 16);
    e.result(operation, 128, &[value, count])
}

/// `palignr`: bytes of both sources, the first above the second, within each 128 bits.
pub(super) fn align_bytes(e: &mut Emitter<'_>) -> Option<()> {
    let (a, b) = e.whole_pair();
    let count = Operand::Constant(u64::from(e.immediate()) * 8, 16);
    let aligned: Vec<Operand> = pieces(a)
        .zip(pieces(b))
        .map(|(a, b)| {
            let both = e.make(Operation::Concatenate, 256, &[a, b]);
            e.make(Operation::ShiftRight, 256, &[both, count]).part(0, 128)
        })
        .collect();
    let value = e.concatenate(&aligned);
    e.write_lanes(value, 8)
}

/// `valignd`, `valignq`: lanes of both sources, the first above the second.
pub(super) fn align_lanes(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let (a, b) = e.whole_pair();
    let bits = a.bits();
    let lanes = e.immediate() & (bits / lane_bits - 1);
    let both = e.make(Operation::Concatenate, bits * 2, &[a, b]);
    let count = Operand::Constant(u64::from(lanes * lane_bits), 16);
    let shifted = e.make(Operation::ShiftRight, bits * 2, &[both, count]);
    e.write_lanes(shifted.part(0, bits), lane_bits)
}

/// `vprot` of XOP by an immediate: to the right if it is negative.
pub(super) fn rotate_signed(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    if !is_immediate(e, 2) {
        return None;
    }
    let value = e.read(1);
    let count = Operand::Constant(u64::from(e.immediate() & (lane_bits - 1)), 8);
    e.result(Operation::RotateLeft, lane_bits, &[value, count])
}
