//! Shifts and rotates. By 0 they leave all flags as they are.
//!
//! Flags: Intel SDM, volume 2, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD", "SHRD". Overflow is defined for shifts by 1
//! only. Carry is undefined for logical shifts of 8 and 16 bits by more than the width.

use super::arithmetic::is_immediate;
use super::emitter::{Emitter, constant, flag};
use crate::isa::ops::{Comparison, Flag, FlagSet, FlagsOf, Operand, Operation};

/// Zero, sign and parity.
const OF_VALUE: FlagSet = FlagSet::of(&[Flag::Zero, Flag::Sign, Flag::Parity]);

/// How far: the operand, modulo 32, or 64 for operands of 64 bits; 1 if there is no operand.
fn count(e: &mut Emitter<'_>, operand: u32, bits: u16) -> Operand {
    if operand >= e.instruction.op_count() {
        return constant(1, 8);
    }
    let mask = if bits == 64 { 63 } else { 31 };
    if is_immediate(e, operand) {
        return constant(e.instruction.immediate(operand) & mask, 8);
    }
    let count = e.read(operand);
    e.make(Operation::And, 8, &[count, constant(mask, 8)])
}

/// Appends ops that are done if the count is not 0.
fn unless_zero(e: &mut Emitter<'_>, count: Operand, ops: impl FnOnce(&mut Emitter<'_>)) {
    match count {
        Operand::Constant(0, _) => {}
        Operand::Constant(..) => ops(e),
        _ => {
            let is_some = e.compare(Comparison::Unequal, count, constant(0, 8));
            e.guarded(is_some, ops);
        }
    }
}

/// Sets overflow to a value of one bit if the count is 1; if it is more, nothing is promised.
fn overflow_of_one(e: &mut Emitter<'_>, count: Operand, value: Operand) {
    match count {
        Operand::Constant(1, _) => e.set_flag(Flag::Overflow, value),
        Operand::Constant(0, _) => {}
        Operand::Constant(..) => e.undefined(&[Flag::Overflow]),
        _ => {
            let is_one = e.compare(Comparison::Equal, count, constant(1, 8));
            let is_more = e.compare(Comparison::LessUnsigned, constant(1, 8), count);
            e.guarded(is_one, |e| e.set_flag(Flag::Overflow, value));
            e.guarded(is_more, |e| e.undefined(&[Flag::Overflow]));
        }
    }
}

/// `shl`, `shr`, `sar`.
pub(super) fn shift(e: &mut Emitter<'_>, operation: Operation) -> bool {
    let bits = e.bits(0);
    let old = e.read(0);
    let count = count(e, 1, bits);
    let old = e.make(Operation::Copy, bits, &[old]);
    let value = e.make(operation, bits, &[old, count]);
    // The last bit shifted out: what a shift by one less brings to the edge.
    let less = e.make(Operation::Subtract, 8, &[count, constant(1, 8)]);
    let last = e.make(operation, bits, &[old, less]);
    let carry = if operation == Operation::ShiftLeft { Emitter::sign(last) } else { last.part(0, 1) };
    let overflow = match operation {
        Operation::ShiftLeft => e.make(Operation::Xor, 1, &[Emitter::sign(value), carry]),
        Operation::ShiftRight => Emitter::sign(old),
        _ => constant(0, 1),
    };
    e.write_with_flags(value, |e| {
        unless_zero(e, count, |e| {
            e.flags(OF_VALUE, FlagsOf::Result, bits, &[value]);
            e.set_flag(Flag::Carry, carry);
            e.undefined(&[Flag::Adjust]);
        });
        if operation != Operation::ShiftRightSigned && bits < 32 {
            match count {
                Operand::Constant(number, _) if number > u64::from(bits) => e.undefined(&[Flag::Carry]),
                Operand::Constant(..) => {}
                _ => {
                    let is_far = e.compare(Comparison::LessUnsigned, constant(u64::from(bits), 8), count);
                    e.guarded(is_far, |e| e.undefined(&[Flag::Carry]));
                }
            }
        }
        overflow_of_one(e, count, overflow);
    });
    true
}

/// `rol`, `ror`, which define carry and overflow only.
pub(super) fn rotate(e: &mut Emitter<'_>, operation: Operation) -> bool {
    let bits = e.bits(0);
    let old = e.read(0);
    let count = count(e, 1, bits);
    let value = e.make(operation, bits, &[old, count]);
    let (carry, other) = match operation {
        Operation::RotateLeft => (value.part(0, 1), Emitter::sign(value)),
        _ => (Emitter::sign(value), value.part(bits - 2, 1)),
    };
    let overflow = e.make(Operation::Xor, 1, &[carry, other]);
    e.write_with_flags(value, |e| {
        unless_zero(e, count, |e| e.set_flag(Flag::Carry, carry));
        overflow_of_one(e, count, overflow);
    });
    true
}

/// `rcl`, `rcr`: rotates through the carry, which is one bit more than the width. So a rotation of 8 or 16 bits by a
/// multiple of 9 or 17 changes nothing.
pub(super) fn rotate_through_carry(e: &mut Emitter<'_>, is_left: bool) -> bool {
    let bits = e.bits(0);
    let old = e.read(0);
    let masked = count(e, 1, bits);
    let total = constant(u64::from(bits) + 1, 8);
    let count = match masked {
        Operand::Constant(number, _) => constant(number % (u64::from(bits) + 1), 8),
        _ if bits < 32 => e.make(Operation::RemainderUnsigned, 8, &[masked, total]),
        _ => masked,
    };
    let old = e.make(Operation::Copy, bits, &[old]);
    let carry = e.make(Operation::ZeroExtend, bits, &[flag(Flag::Carry)]);
    // Shifts by the width or more are 0, so that no case is special, by 0 neither.
    let less = e.make(Operation::Subtract, 8, &[count, constant(1, 8)]);
    let back = e.make(Operation::Subtract, 8, &[total, count]);
    let (forth, other) = match is_left {
        true => (Operation::ShiftLeft, Operation::ShiftRight),
        false => (Operation::ShiftRight, Operation::ShiftLeft),
    };
    let shifted = e.make(forth, bits, &[old, count]);
    let rotated = e.make(other, bits, &[old, back]);
    let (carry_in, carry_out) = if is_left {
        let last = e.make(Operation::ShiftLeft, bits, &[old, less]);
        (e.make(Operation::ShiftLeft, bits, &[carry, less]), Emitter::sign(last))
    } else {
        let last = e.make(Operation::ShiftRight, bits, &[old, less]);
        let place = e.make(Operation::Subtract, 8, &[constant(u64::from(bits), 8), count]);
        (e.make(Operation::ShiftLeft, bits, &[carry, place]), last.part(0, 1))
    };
    let value = e.make(Operation::Or, bits, &[shifted, rotated]);
    let value = e.make(Operation::Or, bits, &[value, carry_in]);
    let edge = if is_left { carry_out } else { value.part(bits - 2, 1) };
    let overflow = e.make(Operation::Xor, 1, &[Emitter::sign(value), edge]);
    e.write_with_flags(value, |e| {
        unless_zero(e, count, |e| e.set_flag(Flag::Carry, carry_out));
        overflow_of_one(e, masked, overflow);
    });
    true
}

/// `shld`, `shrd`: a shift that takes its new bits from the second operand.
pub(super) fn double_shift(e: &mut Emitter<'_>, is_left: bool) -> bool {
    let bits = e.bits(0);
    let (old, filler) = (e.read(0), e.read(1));
    let count = count(e, 2, bits);
    // A count above 16 leaves a result of 16 bits undefined.
    if bits == 16 && !matches!(count, Operand::Constant(..=16, _)) {
        return false;
    }
    let old = e.make(Operation::Copy, bits, &[old]);
    let both = match is_left {
        true => e.make(Operation::Concatenate, bits * 2, &[old, filler]),
        false => e.make(Operation::Concatenate, bits * 2, &[filler, old]),
    };
    let less = e.make(Operation::Subtract, 8, &[count, constant(1, 8)]);
    let (value, carry) = if is_left {
        let shifted = e.make(Operation::ShiftLeft, bits * 2, &[both, count]);
        let last = e.make(Operation::ShiftLeft, bits, &[old, less]);
        (shifted.part(bits, bits), Emitter::sign(last))
    } else {
        let shifted = e.make(Operation::ShiftRight, bits * 2, &[both, count]);
        let last = e.make(Operation::ShiftRight, bits, &[old, less]);
        (shifted.part(0, bits), last.part(0, 1))
    };
    let overflow = e.make(Operation::Xor, 1, &[Emitter::sign(value), Emitter::sign(old)]);
    e.write_with_flags(value, |e| {
        unless_zero(e, count, |e| {
            e.flags(OF_VALUE, FlagsOf::Result, bits, &[value]);
            e.set_flag(Flag::Carry, carry);
            e.undefined(&[Flag::Adjust]);
        });
        overflow_of_one(e, count, overflow);
    });
    true
}

/// `shlx`, `shrx`, `sarx`: without flags.
pub(super) fn shift_without_flags(e: &mut Emitter<'_>, operation: Operation) -> bool {
    let bits = e.bits(0);
    let value = e.read(1);
    let mask = constant(u64::from(bits) - 1, 8);
    let count = e.read(2).part(0, 8);
    let count = e.make(Operation::And, 8, &[count, mask]);
    e.write_result(0, operation, bits, &[value, count]);
    true
}

/// `rorx`: by a constant, without flags.
pub(super) fn rotate_without_flags(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let value = e.read(1);
    let count = constant(u64::from(e.instruction.immediate8()) & (u64::from(bits) - 1), 8);
    e.write_result(0, Operation::RotateRight, bits, &[value, count]);
    true
}
