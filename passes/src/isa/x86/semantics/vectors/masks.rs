//! Instructions of the mask registers. A result has zeros above its width.

use super::super::emitter::Emitter;
use super::comparisons::{set_flags, write_mask};
use crate::isa::ops::{Comparison, Operand, Operation, Operation as O};
use iced_x86::Mnemonic as M;

/// Writes the ops of an instruction of mask registers.
pub(super) fn lower(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Kandb => binary(e, O::And, 8),
        M::Kandw => binary(e, O::And, 16),
        M::Kandd => binary(e, O::And, 32),
        M::Kandq => binary(e, O::And, 64),
        M::Korb => binary(e, O::Or, 8),
        M::Korw => binary(e, O::Or, 16),
        M::Kord => binary(e, O::Or, 32),
        M::Korq => binary(e, O::Or, 64),
        M::Kxorb => binary(e, O::Xor, 8),
        M::Kxorw => binary(e, O::Xor, 16),
        M::Kxord => binary(e, O::Xor, 32),
        M::Kxorq => binary(e, O::Xor, 64),
        M::Kaddb => binary(e, O::Add, 8),
        M::Kaddw => binary(e, O::Add, 16),
        M::Kaddd => binary(e, O::Add, 32),
        M::Kaddq => binary(e, O::Add, 64),
        M::Kmovb => move_(e, 8),
        M::Kmovw => move_(e, 16),
        M::Kmovd => move_(e, 32),
        M::Kmovq => move_(e, 64),
        M::Kandnb => and_not(e, 8),
        M::Kandnw => and_not(e, 16),
        M::Kandnd => and_not(e, 32),
        M::Kandnq => and_not(e, 64),
        M::Kxnorb => xor_not(e, 8),
        M::Kxnorw => xor_not(e, 16),
        M::Kxnord => xor_not(e, 32),
        M::Kxnorq => xor_not(e, 64),
        M::Knotb => not(e, 8),
        M::Knotw => not(e, 16),
        M::Knotd => not(e, 32),
        M::Knotq => not(e, 64),
        M::Kortestb => or_test(e, 8),
        M::Kortestw => or_test(e, 16),
        M::Kortestd => or_test(e, 32),
        M::Kortestq => or_test(e, 64),
        M::Ktestb => and_test(e, 8),
        M::Ktestw => and_test(e, 16),
        M::Ktestd => and_test(e, 32),
        M::Ktestq => and_test(e, 64),
        M::Kshiftlb => shift(e, O::ShiftLeft, 8),
        M::Kshiftlw => shift(e, O::ShiftLeft, 16),
        M::Kshiftld => shift(e, O::ShiftLeft, 32),
        M::Kshiftlq => shift(e, O::ShiftLeft, 64),
        M::Kshiftrb => shift(e, O::ShiftRight, 8),
        M::Kshiftrw => shift(e, O::ShiftRight, 16),
        M::Kshiftrd => shift(e, O::ShiftRight, 32),
        M::Kshiftrq => shift(e, O::ShiftRight, 64),
        M::Kunpckbw => unpack(e, 8),
        M::Kunpckwd => unpack(e, 16),
        M::Kunpckdq => unpack(e, 32),
        M::Vpmovm2b => to_lanes(e, 8),
        M::Vpmovm2w => to_lanes(e, 16),
        M::Vpmovm2d => to_lanes(e, 32),
        M::Vpmovm2q => to_lanes(e, 64),
        M::Vpmovb2m => from_lanes(e, 8),
        M::Vpmovw2m => from_lanes(e, 16),
        M::Vpmovd2m => from_lanes(e, 32),
        M::Vpmovq2m => from_lanes(e, 64),
        M::Vpbroadcastmb2q => super::shuffles::broadcast_mask(e, 8, 64),
        M::Vpbroadcastmw2d => super::shuffles::broadcast_mask(e, 16, 32),
        _ => None,
    }
}

/// `kmov`: between masks, general registers and memory.
fn move_(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let value = e.low_bits(1, bits);
    match e.instruction.op0_register().is_k() {
        true => write_mask(e, value),
        false => e.write_lanes(value, bits),
    }
}

/// `kand`, `kadd` and the like; of the last source only, `knot`.
fn binary(e: &mut Emitter<'_>, operation: Operation, bits: u16) -> Option<()> {
    let (a, b) = (e.low_bits(1, bits), e.low_bits(2, bits));
    let value = e.make(operation, bits, &[a, b]);
    write_mask(e, value)
}

/// `knot`.
fn not(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let value = e.low_bits(1, bits);
    let value = e.make(Operation::Not, bits, &[value]);
    write_mask(e, value)
}

/// `kandn`: the second source without the bits of the first.
fn and_not(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let (a, b) = (e.low_bits(1, bits), e.low_bits(2, bits));
    let inverted = e.make(Operation::Not, bits, &[a]);
    let value = e.make(Operation::And, bits, &[inverted, b]);
    write_mask(e, value)
}

/// `kxnor`: bits in which both sources are the same.
fn xor_not(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let (a, b) = (e.low_bits(1, bits), e.low_bits(2, bits));
    let value = e.make(Operation::Xor, bits, &[a, b]);
    let value = e.make(Operation::Not, bits, &[value]);
    write_mask(e, value)
}

/// `kshiftl`, `kshiftr`.
fn shift(e: &mut Emitter<'_>, operation: Operation, bits: u16) -> Option<()> {
    let (value, count) = (e.low_bits(1, bits), e.immediate());
    let value = e.make(operation, bits, &[value, Operand::Constant(count.into(), 8)]);
    write_mask(e, value)
}

/// `kunpck`: the first source above the second.
fn unpack(e: &mut Emitter<'_>, half_bits: u16) -> Option<()> {
    let (a, b) = (e.low_bits(1, half_bits), e.low_bits(2, half_bits));
    let value = e.make(Operation::Concatenate, half_bits * 2, &[a, b]);
    write_mask(e, value)
}

/// `kortest`: zero if no bit is in either, carry if every bit is.
fn or_test(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let (a, b) = (e.low_bits(0, bits), e.low_bits(1, bits));
    let either = e.make(Operation::Or, bits, &[a, b]);
    let ones = super::super::emitter::constant(u64::MAX, bits);
    let zero = e.compare(Comparison::Equal, either, Operand::Constant(0, bits));
    let carry = e.compare(Comparison::Equal, either, ones);
    set_flags(e, zero, carry);
    Some(())
}

/// `ktest`: zero if no bit is in both, carry if none is only in the second.
fn and_test(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let (a, b) = (e.low_bits(0, bits), e.low_bits(1, bits));
    let both = e.make(Operation::And, bits, &[a, b]);
    let inverted = e.make(Operation::Not, bits, &[a]);
    let only = e.make(Operation::And, bits, &[inverted, b]);
    let zero = e.compare(Comparison::Equal, both, Operand::Constant(0, bits));
    let carry = e.compare(Comparison::Equal, only, Operand::Constant(0, bits));
    set_flags(e, zero, carry);
    Some(())
}

/// `vpmovm2b` and the like: lanes of ones and zeros from a mask.
fn to_lanes(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let lanes = e.bits(0) / lane_bits;
    let mask = e.low_bits(1, lanes);
    e.result_of(Operation::LanesOfBits, lane_bits, lanes, &[mask])
}

/// `vpmovb2m` and the like: a mask from the highest bits of lanes.
fn from_lanes(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let value = e.read(1);
    let bits = e.lanewise(Operation::SignBits, lane_bits, &[value]);
    write_mask(e, bits)
}
