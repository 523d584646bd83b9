//! Single bits, counts of bits, and the bit manipulations of BMI.

use super::arithmetic::{is_immediate, result_flags};
use super::emitter::{Emitter, constant};
use crate::isa::ops::{AtomicOperation, Comparison, Flag, FlagSet, FlagsOf, Operand, Operation};

/// What becomes of a bit that is tested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BitChange {
    None,
    Set,
    Reset,
    Complement,
}

/// `bt`, `bts`, `btr`, `btc`: the bit goes to the carry. A bit number in a register reaches beyond a memory operand.
pub(super) fn test_bit(e: &mut Emitter<'_>, change: BitChange) -> bool {
    let bits = e.bits(0);
    let mask = constant(u64::from(bits) - 1, bits);
    let number = match is_immediate(e, 1) {
        true => constant(e.instruction.immediate(1), bits),
        false => e.read(1),
    };
    let within = e.make(Operation::And, bits, &[number, mask]);
    let selected = e.make(Operation::ShiftLeft, bits, &[constant(1, bits), within]);
    let address = e.is_memory(0).then(|| {
        let address = e.address(0);
        if is_immediate(e, 1) {
            return address;
        }
        let wide = address.bits();
        let shift = constant(u64::from(bits.trailing_zeros()), 8);
        let element = e.make(Operation::ShiftRightSigned, bits, &[number, shift]);
        let element = match bits.cmp(&wide) {
            std::cmp::Ordering::Less => e.make(Operation::SignExtend, wide, &[element]),
            std::cmp::Ordering::Equal => element,
            std::cmp::Ordering::Greater => element.part(0, wide),
        };
        e.make(Operation::AddScaled((bits / 8).trailing_zeros() as u8), wide, &[address, element])
    });
    let (operation, atomic) = match change {
        BitChange::None | BitChange::Set => (Operation::Or, AtomicOperation::Or),
        BitChange::Reset => (Operation::And, AtomicOperation::And),
        BitChange::Complement => (Operation::Xor, AtomicOperation::Xor),
    };
    let changing = match change {
        BitChange::Reset => e.make(Operation::Not, bits, &[selected]),
        _ => selected,
    };
    let old = match address {
        Some(address) if e.is_atomic() => e.make(Operation::Atomic(atomic), bits, &[address, changing]),
        Some(address) => e.make(Operation::Load, bits, &[address]),
        None => e.read(0),
    };
    let shifted = e.make(Operation::ShiftRight, bits, &[old, within]);
    let value = e.make(operation, bits, &[old, changing]);
    let is_stored = change != BitChange::None && !e.is_atomic();
    if let Some(address) = address.filter(|_| is_stored) {
        e.store(address, value, bits);
    }
    e.set_flag(Flag::Carry, shifted.part(0, 1));
    e.undefined(&[Flag::Overflow, Flag::Sign, Flag::Adjust, Flag::Parity]);
    if is_stored && address.is_none() {
        e.write(0, value);
    }
    true
}

/// `bsf`, `bsr`: the number of the lowest or highest one. If there is none, the register keeps its value: AMD states so,
/// and Intel's processors do so.
pub(super) fn scan(e: &mut Emitter<'_>, operation: Operation) -> bool {
    let bits = e.bits(0);
    let value = e.read(1);
    let count = e.make(operation, bits, &[value]);
    let number = match operation {
        Operation::CountLeadingZeros => {
            e.make(Operation::Subtract, bits, &[constant(u64::from(bits) - 1, bits), count])
        }
        _ => count,
    };
    let is_some = e.compare(Comparison::Unequal, value, constant(0, bits));
    let is_none = e.make(Operation::Not, 1, &[is_some]);
    e.set_flag(Flag::Zero, is_none);
    e.undefined(&[Flag::Carry, Flag::Overflow, Flag::Sign, Flag::Adjust, Flag::Parity]);
    e.guarded(is_some, |e| e.write(0, number));
    true
}

/// `tzcnt`, `lzcnt`: the width if there is no one, which the carry tells.
pub(super) fn count_zeros(e: &mut Emitter<'_>, operation: Operation) -> bool {
    let bits = e.bits(0);
    let value = e.read(1);
    let count = e.make(operation, bits, &[value]);
    let is_none = e.compare(Comparison::Equal, value, constant(0, bits));
    let is_zero = e.compare(Comparison::Equal, count, constant(0, bits));
    e.set_flag(Flag::Carry, is_none);
    e.set_flag(Flag::Zero, is_zero);
    e.undefined(&[Flag::Overflow, Flag::Sign, Flag::Adjust, Flag::Parity]);
    e.write(0, count);
    true
}

/// `popcnt`: all flags but zero become 0.
pub(super) fn count_ones(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let value = e.read(1);
    let count = e.make(Operation::CountOnes, bits, &[value]);
    let is_zero = e.compare(Comparison::Equal, value, constant(0, bits));
    e.set_flag(Flag::Zero, is_zero);
    for cleared in [Flag::Carry, Flag::Overflow, Flag::Sign, Flag::Adjust, Flag::Parity] {
        e.set_flag(cleared, constant(0, 1));
    }
    e.write(0, count);
    true
}

/// `andn`: the second operand where the first has zeros.
pub(super) fn and_not(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let (inverted, other) = (e.read(1), e.read(2));
    let inverted = e.make(Operation::Not, bits, &[inverted]);
    let value = e.make(Operation::And, bits, &[inverted, other]);
    result_flags(e, value);
    e.undefined(&[Flag::Parity]);
    e.write(0, value);
    true
}

/// `blsi`, `blsr`, `blsmsk`: the lowest one alone, without it, or with the zeros below it.
pub(super) fn lowest_one(e: &mut Emitter<'_>, operation: Operation) -> bool {
    let bits = e.bits(0);
    let value = e.read(1);
    let (other, is_isolating) = match operation {
        Operation::Negate => (e.make(Operation::Negate, bits, &[value]), true),
        _ => (e.make(Operation::Subtract, bits, &[value, constant(1, bits)]), false),
    };
    let combination = if operation == Operation::Xor { Operation::Xor } else { Operation::And };
    let result = e.make(combination, bits, &[value, other]);
    let comparison = if is_isolating { Comparison::Unequal } else { Comparison::Equal };
    let carry = e.compare(comparison, value, constant(0, bits));
    let flags = FlagSet::of(&[Flag::Zero, Flag::Sign, Flag::Overflow]);
    e.flags(flags, FlagsOf::Result, bits, &[result]);
    e.set_flag(Flag::Carry, carry);
    e.undefined(&[Flag::Adjust, Flag::Parity]);
    e.write(0, result);
    true
}

/// A mask of as many low ones as a count says, which is of `bits`; all ones if it is the width or more.
fn low_ones(e: &mut Emitter<'_>, count: Operand, bits: u16) -> Operand {
    let ones = constant(u64::MAX, bits);
    let above = e.make(Operation::ShiftLeft, bits, &[ones, count]);
    e.make(Operation::Not, bits, &[above])
}

/// `bzhi`: the bits below a number; the carry tells that the number is beyond the width.
pub(super) fn zero_high_bits(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let value = e.read(1);
    let count = e.read(2).part(0, 8);
    let mask = low_ones(e, count, bits);
    let result = e.make(Operation::And, bits, &[value, mask]);
    let is_beyond = e.compare(Comparison::LessUnsigned, constant(u64::from(bits) - 1, 8), count);
    let flags = FlagSet::of(&[Flag::Zero, Flag::Sign, Flag::Overflow]);
    e.flags(flags, FlagsOf::Result, bits, &[result]);
    e.set_flag(Flag::Carry, is_beyond);
    e.undefined(&[Flag::Adjust, Flag::Parity]);
    e.write(0, result);
    true
}

/// `bextr`: as many bits as bits 8 to 15 of the third operand say, from the one that bits 0 to 7 name.
pub(super) fn extract_field(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let (value, control) = (e.read(1), e.read(2));
    let shifted = e.make(Operation::ShiftRight, bits, &[value, control.part(0, 8)]);
    let mask = low_ones(e, control.part(8, 8), bits);
    let result = e.make(Operation::And, bits, &[shifted, mask]);
    let flags = FlagSet::of(&[Flag::Zero, Flag::Carry, Flag::Overflow]);
    e.flags(flags, FlagsOf::Result, bits, &[result]);
    e.undefined(&[Flag::Adjust, Flag::Parity, Flag::Sign]);
    e.write(0, result);
    true
}

/// `pdep`, `pext`.
pub(super) fn scatter(e: &mut Emitter<'_>, operation: Operation) -> bool {
    let bits = e.bits(0);
    let inputs = [e.read(1), e.read(2)];
    e.write_result(0, operation, bits, &inputs);
    true
}

/// `stc`, `clc`, `cmc`, `std`, `cld`.
pub(super) fn change_flag(e: &mut Emitter<'_>, flag: Flag, value: Option<bool>) -> bool {
    match value {
        Some(value) => e.set_flag(flag, constant(u64::from(value), 1)),
        None => {
            let value = e.make(Operation::Not, 1, &[Operand::Flag(flag)]);
            e.set_flag(flag, value);
        }
    }
    true
}
