//! Integer arithmetic and logic of two operands, with their flags; products and quotients.

use super::super::registers::general;
use super::emitter::{ARITHMETIC, Emitter, constant, flag, low_place};
use crate::isa::ops::{
    AtomicOperation, Comparison, Flag, FlagSet, FlagsOf, Operand, Operation, Part, Place, Rest, TrapKind,
};
use iced_x86::OpKind;

/// The flags that logic defines; adjust is undefined.
const LOGIC: FlagSet = ARITHMETIC.without(FlagSet::of(&[Flag::Adjust]));

/// `add`, `sub`, `adc`, `sbb`: with the carry if `has_carry`.
pub(super) fn add(e: &mut Emitter<'_>, is_subtraction: bool, has_carry: bool) -> bool {
    let (operation, flags_of, atomic) = match is_subtraction {
        false => (Operation::Add, FlagsOf::Add, AtomicOperation::Add),
        true => (Operation::Subtract, FlagsOf::Subtract, AtomicOperation::Subtract),
    };
    let bits = e.bits(0);
    let other = e.read(1);
    if e.is_atomic() {
        if has_carry {
            return false;
        }
        let old = e.atomic(atomic, other);
        e.flags(ARITHMETIC, flags_of, bits, &[old, other]);
        return true;
    }
    let old = e.read(0);
    let with_carry = [old, other, flag(Flag::Carry)];
    let inputs = if has_carry { &with_carry[..] } else { &with_carry[..2] };
    write_with_flags(e, operation, inputs, |e| e.flags(ARITHMETIC, flags_of, bits, inputs));
    true
}

/// Writes a result to operand 0, and flags, which may refer to the operands as they were.
fn write_with_flags(
    e: &mut Emitter<'_>,
    operation: Operation,
    inputs: &[Operand],
    flags: impl FnOnce(&mut Emitter<'_>),
) {
    let bits = e.bits(0);
    // A carry that is an input is read before the flags are written.
    if e.is_memory(0) || inputs.len() > 2 {
        let value = e.make(operation, bits, inputs);
        e.write_with_flags(value, flags);
    } else {
        flags(e);
        e.write_result(0, operation, bits, inputs);
    }
}

/// `inc` and `dec`, which keep the carry.
pub(super) fn increment(e: &mut Emitter<'_>, is_subtraction: bool) -> bool {
    let (operation, flags_of, atomic) = match is_subtraction {
        false => (Operation::Add, FlagsOf::Add, AtomicOperation::Add),
        true => (Operation::Subtract, FlagsOf::Subtract, AtomicOperation::Subtract),
    };
    let flags = ARITHMETIC.without(FlagSet::of(&[Flag::Carry]));
    let bits = e.bits(0);
    let one = constant(1, bits);
    if e.is_atomic() {
        let old = e.atomic(atomic, one);
        e.flags(flags, flags_of, bits, &[old, one]);
        return true;
    }
    let inputs = [e.read(0), one];
    write_with_flags(e, operation, &inputs, |e| e.flags(flags, flags_of, bits, &inputs));
    true
}

/// `cmp`: the flags of a difference.
pub(super) fn compare(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let inputs = [e.read(0), e.read(1)];
    e.flags(ARITHMETIC, FlagsOf::Subtract, bits, &inputs);
    true
}

/// `and`, `or`, `xor`, and `test`, which writes flags only. A register combined by `xor` with itself is 0.
pub(super) fn logic(e: &mut Emitter<'_>, operation: Operation, is_written: bool) -> bool {
    let bits = e.bits(0);
    let other = e.read(1);
    if e.is_atomic() {
        let atomic = match operation {
            Operation::And => AtomicOperation::And,
            Operation::Or => AtomicOperation::Or,
            _ => AtomicOperation::Xor,
        };
        let old = e.atomic(atomic, other);
        let value = e.make(operation, bits, &[old, other]);
        result_flags(e, value);
        return true;
    }
    let old = e.read(0);
    let value = match (operation, old == other) {
        (Operation::Xor, true) if !e.is_memory(0) => constant(0, bits),
        (Operation::And | Operation::Or, true) if !e.is_memory(0) => old,
        _ => e.make(operation, bits, &[old, other]),
    };
    if is_written {
        e.write_with_flags(value, |e| result_flags(e, value));
    } else {
        result_flags(e, value);
    }
    true
}

/// The flags of a logical result.
pub(super) fn result_flags(e: &mut Emitter<'_>, value: Operand) {
    e.flags(LOGIC, FlagsOf::Result, value.bits(), &[value]);
    e.undefined(&[Flag::Adjust]);
}

/// `neg`: the flags of a subtraction from 0.
pub(super) fn negate(e: &mut Emitter<'_>) -> bool {
    if e.is_atomic() {
        return false;
    }
    let bits = e.bits(0);
    let inputs = [constant(0, bits), e.read(0)];
    write_with_flags(e, Operation::Subtract, &inputs, |e| {
        e.flags(ARITHMETIC, FlagsOf::Subtract, bits, &inputs);
    });
    true
}

/// `not`, which keeps the flags.
pub(super) fn invert(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    if e.is_atomic() {
        e.atomic(AtomicOperation::Xor, constant(u64::MAX, bits));
        return true;
    }
    let old = e.read(0);
    e.write_result(0, Operation::Not, bits, &[old]);
    true
}

/// `adcx` and `adox`: a sum whose carry goes in and out of one flag.
pub(super) fn add_with_flag(e: &mut Emitter<'_>, carry: Flag) -> bool {
    let bits = e.bits(0);
    let inputs = [e.read(0), e.read(1), flag(carry)];
    let value = e.make(Operation::Add, bits, &inputs);
    let carry_out = e.make(Operation::AddCarry, bits, &inputs);
    e.set_flag(carry, carry_out);
    e.write(0, value);
    true
}

/// `imul` of two or three operands: carry and overflow say that the signed product does not fit.
pub(super) fn multiply_signed(e: &mut Emitter<'_>) -> bool {
    if e.instruction.op_count() == 1 {
        return multiply_accumulator(e, true);
    }
    let bits = e.bits(0);
    let first = u32::from(e.instruction.op_count() == 3);
    let (a, b) = (e.read(first), e.read(first + 1));
    let product = e.make(Operation::Multiply, bits, &[a, b]);
    let high = e.make(Operation::MultiplyHighSigned, bits, &[a, b]);
    signed_product_flags(e, product, high);
    e.write(0, product);
    true
}

fn signed_product_flags(e: &mut Emitter<'_>, product: Operand, high: Operand) {
    let bits = product.bits();
    let sign = e.make(Operation::ShiftRightSigned, bits, &[product, constant(u64::from(bits) - 1, 8)]);
    let is_lost = e.compare(Comparison::Unequal, high, sign);
    product_flags(e, is_lost);
}

fn product_flags(e: &mut Emitter<'_>, is_lost: Operand) {
    e.set_flag(Flag::Carry, is_lost);
    e.set_flag(Flag::Overflow, is_lost);
    e.undefined(&[Flag::Parity, Flag::Adjust, Flag::Zero, Flag::Sign]);
}

/// `mul`, and `imul` of one operand: the product of the accumulator, in it and in `rdx`, or in `ax`.
pub(super) fn multiply_accumulator(e: &mut Emitter<'_>, is_signed: bool) -> bool {
    let bits = e.bits(0);
    let (a, b) = (e.general(0, bits), e.read(0));
    let product = e.make(Operation::Multiply, bits, &[a, b]);
    let operation = if is_signed { Operation::MultiplyHighSigned } else { Operation::MultiplyHighUnsigned };
    let high = e.make(operation, bits, &[a, b]);
    if is_signed {
        signed_product_flags(e, product, high);
    } else {
        let is_lost = e.compare(Comparison::Unequal, high, constant(0, bits));
        product_flags(e, is_lost);
    }
    if bits == 8 {
        let both = e.make(Operation::Concatenate, 16, &[high, product]);
        e.set_general(0, both);
    } else {
        e.set_general(0, product);
        e.set_general(2, high);
    }
    true
}

/// `mulx`: the unsigned product of `rdx`, in two registers, without flags.
pub(super) fn multiply_extended(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let (a, b) = (e.general(2, bits), e.read(2));
    let product = e.make(Operation::Multiply, bits, &[a, b]);
    let high = e.make(Operation::MultiplyHighUnsigned, bits, &[a, b]);
    e.write(1, product);
    // The high half wins if both are one register.
    e.write(0, high);
    true
}

/// `div` and `idiv`: the accumulator and `rdx` by the operand. A quotient that does not fit raises an exception.
pub(super) fn divide(e: &mut Emitter<'_>, is_signed: bool) -> bool {
    let bits = e.bits(0);
    let divisor = e.read(0);
    let dividend = match bits {
        8 => e.general(0, 16),
        _ => {
            let inputs = [e.general(2, bits), e.general(0, bits)];
            e.make(Operation::Concatenate, bits * 2, &inputs)
        }
    };
    let (extend, quotient, remainder) = match is_signed {
        true => (Operation::SignExtend, Operation::DivideSigned, Operation::RemainderSigned),
        false => (Operation::ZeroExtend, Operation::DivideUnsigned, Operation::RemainderUnsigned),
    };
    let divisor = e.make(extend, bits * 2, &[divisor]);
    let quotient = e.make(quotient, bits * 2, &[dividend, divisor]);
    let remainder = e.make(remainder, bits * 2, &[dividend, divisor]);
    let fitting = e.make(extend, bits * 2, &[quotient.part(0, bits)]);
    let is_lost = e.compare(Comparison::Unequal, fitting, quotient);
    e.guarded(is_lost, |e| {
        e.push(Operation::Trap(TrapKind::Division), 0, 1, Place::None, &[]);
    });
    e.undefined(&[Flag::Carry, Flag::Parity, Flag::Adjust, Flag::Zero, Flag::Sign, Flag::Overflow]);
    if bits == 8 {
        let both = e.make(Operation::Concatenate, 16, &[remainder.part(0, 8), quotient.part(0, 8)]);
        e.set_general(0, both);
    } else {
        e.set(low_place(general(0), bits), Operation::Copy, bits, &[quotient.part(0, bits)]);
        e.set(low_place(general(2), bits), Operation::Copy, bits, &[remainder.part(0, bits)]);
    }
    true
}

/// `xadd`: the sum to the first operand, what that held to the second.
pub(super) fn exchange_add(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let other = e.read(1);
    if e.is_atomic() {
        let old = e.atomic(AtomicOperation::Add, other);
        e.flags(ARITHMETIC, FlagsOf::Add, bits, &[old, other]);
        e.write(1, old);
        return true;
    }
    let old = e.read(0);
    let sum = e.make(Operation::Add, bits, &[old, other]);
    let old = e.make(Operation::Copy, bits, &[old]);
    e.write_with_flags(sum, |e| {
        e.flags(ARITHMETIC, FlagsOf::Add, bits, &[old, other]);
        e.write(1, old);
    });
    true
}

/// `cmpxchg`: if the accumulator equals the first operand, that becomes the second; else the accumulator becomes it.
pub(super) fn compare_exchange(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let (expected, new) = (e.general(0, bits), e.read(1));
    if e.is_memory(0) {
        let address = e.address(0);
        let old = e.make(Operation::AtomicCompareExchange, bits, &[address, expected, new]);
        let is_other = e.compare(Comparison::Unequal, old, expected);
        e.flags(ARITHMETIC, FlagsOf::Subtract, bits, &[expected, old]);
        e.guarded(is_other, |e| e.set_general(0, old));
        return true;
    }
    let old = e.read(0);
    let old = e.make(Operation::Copy, bits, &[old]);
    let is_other = e.compare(Comparison::Unequal, old, expected);
    let value = e.make(Operation::Select, bits, &[is_other, old, new]);
    e.flags(ARITHMETIC, FlagsOf::Subtract, bits, &[expected, old]);
    if bits != 32 {
        let accumulator = e.make(Operation::Select, bits, &[is_other, old, expected]);
        e.set_general(0, accumulator);
        e.write(0, value);
        return true;
    }
    // An accumulator that is equal keeps its high half. The high half of the destination becomes 0 if it is equal; if
    // it is not, Intel writes it and AMD does not.
    let is_equal = e.make(Operation::Not, 1, &[is_other]);
    e.guarded(is_other, |e| {
        if let Place::Register(register, ..) = e.place(0) {
            let high = Place::Register(register, Part { low: 32, bits: 32 }, Rest::Kept);
            e.set(high, Operation::Undefined, 32, &[]);
        }
        e.set_general(0, old);
    });
    e.guarded(is_equal, |e| e.write(0, new));
    true
}

/// Whether an operand is an immediate.
pub(super) fn is_immediate(e: &Emitter<'_>, operand: u32) -> bool {
    !e.is_memory(operand) && e.instruction.op_kind(operand) != OpKind::Register
}
