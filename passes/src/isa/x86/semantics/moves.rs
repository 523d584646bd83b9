//! Moves, extensions, exchanges, conditional moves and sets, and the stack.

use super::super::registers::{FRAME_POINTER, OTHER_FLAGS, STACK_POINTER};
use super::emitter::{Emitter, constant, flag, low};
use crate::isa::ops::{AtomicOperation, Flag, Operand, Operation, Part};
use iced_x86::{Mnemonic, OpKind, Register};

/// `mov` between general registers, memory and immediates. A selector that is read fills a wider register with zeros.
pub(super) fn mov(e: &mut Emitter<'_>) -> bool {
    let registers = (0..2).filter(|operand| e.instruction.op_kind(*operand) == OpKind::Register);
    if registers.map(|operand| e.instruction.op_register(operand)).any(|register| !register.is_gpr()) {
        return false;
    }
    let bits = e.bits(0);
    let value = e.read(1);
    e.write_result(0, Operation::Copy, bits, &[value]);
    true
}

/// `movzx`, `movsx`, `movsxd`.
pub(super) fn extend(e: &mut Emitter<'_>, operation: Operation) -> bool {
    let bits = e.bits(0);
    let value = e.read(1);
    let operation = if value.bits() == bits { Operation::Copy } else { operation };
    e.write_result(0, operation, bits, &[value]);
    true
}

/// `lea`. An address that is wider than the register loses its high bits.
pub(super) fn lea(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let address = e.effective_address();
    let address = match address.bits() < bits {
        true => e.make(Operation::ZeroExtend, bits, &[address]),
        false => address,
    };
    e.write_result(0, Operation::Address, bits, &[address]);
    true
}

/// `xchg`: in one step if an operand is memory.
pub(super) fn xchg(e: &mut Emitter<'_>) -> bool {
    if e.is_memory(0) {
        let value = e.read(1);
        let old = e.atomic(AtomicOperation::Exchange, value);
        e.write(1, old);
        return true;
    }
    let (bits, first, second) = (e.bits(0), e.read(0), e.read(1));
    let old = e.make(Operation::Copy, bits, &[first]);
    e.write(0, second);
    e.write(1, old);
    true
}

/// `movbe` and `bswap`.
pub(super) fn reverse_bytes(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let source = e.instruction.op_count() - 1;
    if e.instruction.mnemonic() == Mnemonic::Bswap && bits == 16 {
        // The manual leaves the result undefined.
        return false;
    }
    let value = e.read(source);
    e.write_result(0, Operation::ReverseBytes, bits, &[value]);
    true
}

/// `cmovcc`. The source is read, and the rest of a 32-bit register becomes 0, whether or not the condition holds.
pub(super) fn conditional_move(e: &mut Emitter<'_>) -> bool {
    let bits = e.bits(0);
    let (value, old) = (e.read(1), e.read(0));
    let condition = e.condition();
    e.write_result(0, Operation::Select, bits, &[condition, value, old]);
    true
}

/// `setcc`.
pub(super) fn conditional_set(e: &mut Emitter<'_>) -> bool {
    let condition = e.condition();
    e.write_result(0, Operation::ZeroExtend, 8, &[condition]);
    true
}

/// `cbw`, `cwde`, `cdqe`: the accumulator, from half its width.
pub(super) fn extend_accumulator(e: &mut Emitter<'_>, bits: u16) -> bool {
    let half = e.general(0, bits / 2);
    let value = e.make(Operation::SignExtend, bits, &[half]);
    e.set_general(0, value);
    true
}

/// `cwd`, `cdq`, `cqo`: `rdx` becomes copies of the sign of `rax`.
pub(super) fn extend_to_data(e: &mut Emitter<'_>, bits: u16) -> bool {
    let shift = constant(u64::from(bits - 1), 8);
    let accumulator = e.general(0, bits);
    let value = e.make(Operation::ShiftRightSigned, bits, &[accumulator, shift]);
    e.set_general(2, value);
    true
}

/// `xlatb`: `al` is an index into a table of bytes at `rbx`.
pub(super) fn translate(e: &mut Emitter<'_>) -> bool {
    let address = e.table_address();
    let value = e.make(Operation::Load, 8, &[address]);
    e.set_general(0, value);
    true
}

/// Width of what a stack instruction pushes or pops.
fn stack_bits(e: &Emitter<'_>) -> u16 {
    (e.instruction.stack_pointer_increment().unsigned_abs() * 8) as u16
}

/// `push` of a register, immediate or memory. A selector is extended with zeros.
pub(super) fn push(e: &mut Emitter<'_>) -> bool {
    let bits = stack_bits(e);
    let value = match e.instruction.op0_kind() {
        OpKind::Register | OpKind::Memory => e.read(0),
        _ => constant(e.instruction.immediate(0), bits),
    };
    let value = match value.bits() < bits {
        true => e.make(Operation::ZeroExtend, bits, &[value]),
        false => value,
    };
    let pointer = e.store_pushed(value, bits);
    e.set_stack_pointer(pointer);
    true
}

/// `pop`. The address of a memory operand is computed with the stack pointer after the pop.
pub(super) fn pop(e: &mut Emitter<'_>) -> bool {
    let (bits, mode) = (stack_bits(e), e.mode_bits());
    if e.instruction.op0_kind() == OpKind::Register && !e.instruction.op0_register().is_gpr() {
        return false;
    }
    let is_relative_to_stack = e.is_memory(0)
        && [e.instruction.memory_base(), e.instruction.memory_index()]
            .iter()
            .any(|register| register.full_register() == Register::RSP);
    if is_relative_to_stack
        && e.instruction.memory_base() != Register::RSP
        && e.instruction.memory_base() != Register::ESP
    {
        return false;
    }
    let pointer = e.stack_pointer();
    let value = e.make(Operation::Load, bits, &[pointer]);
    let size = constant(u64::from(bits / 8), mode);
    if e.is_memory(0) {
        if is_relative_to_stack {
            let address = e.address(0);
            let address =
                e.make(Operation::Add, address.bits(), &[address, size.part(0, address.bits().min(mode))]);
            e.store(address, value, bits);
        } else {
            e.write(0, value);
        }
        let pointer = e.make(Operation::Add, mode, &[pointer, size]);
        e.set_stack_pointer(pointer);
        return true;
    }
    let pointer = e.make(Operation::Add, mode, &[pointer, size]);
    e.set_stack_pointer(pointer);
    e.write(0, value);
    true
}

/// `leave`: the stack pointer becomes the frame pointer, which is popped.
pub(super) fn leave(e: &mut Emitter<'_>) -> bool {
    let (bits, mode) = (stack_bits_of_leave(e), e.mode_bits());
    let frame = low(FRAME_POINTER, mode);
    let value = e.make(Operation::Load, bits, &[frame]);
    let pointer = e.make(Operation::Add, mode, &[frame, constant(u64::from(bits / 8), mode)]);
    e.set_stack_pointer(pointer);
    e.set_general(FRAME_POINTER.0, value);
    true
}

/// Width of the frame pointer that `leave` pops: 16 bits with an operand size prefix.
fn stack_bits_of_leave(e: &Emitter<'_>) -> u16 {
    if e.instruction.code() == iced_x86::Code::Leavew { 16 } else { e.mode_bits() }
}

/// `pushf`: flags at their bits; those that are not modelled come from a register of their own.
pub(super) fn push_flags(e: &mut Emitter<'_>) -> bool {
    let bits = stack_bits(e);
    let mut value = e.make(Operation::ZeroExtend, bits.max(64), &[low(OTHER_FLAGS, 32)]);
    for (position, name) in FLAG_POSITIONS {
        let bit = e.make(Operation::ZeroExtend, bits.max(64), &[flag(name)]);
        let shifted = e.make(Operation::ShiftLeft, bits.max(64), &[bit, constant(position, 8)]);
        value = e.make(Operation::Or, bits.max(64), &[value, shifted]);
    }
    let pointer = e.store_pushed(value.part(0, bits), bits);
    e.set_stack_pointer(pointer);
    true
}

/// `lahf`: the low byte of the flags; bit 1 is always 1.
pub(super) fn load_flags(e: &mut Emitter<'_>) -> bool {
    let mut value = constant(2, 8);
    for (position, name) in FLAG_POSITIONS.into_iter().filter(|(position, _)| *position < 8) {
        let bit = e.make(Operation::ZeroExtend, 8, &[flag(name)]);
        let shifted = e.make(Operation::ShiftLeft, 8, &[bit, constant(position, 8)]);
        value = e.make(Operation::Or, 8, &[value, shifted]);
    }
    e.set_high_byte(0, value);
    true
}

/// `sahf`: flags from `ah`.
pub(super) fn store_flags(e: &mut Emitter<'_>) -> bool {
    let byte = Operand::Register(super::super::registers::general(0), Part { low: 8, bits: 8 });
    for (position, name) in FLAG_POSITIONS.into_iter().filter(|(position, _)| *position < 8) {
        e.set_flag(name, byte.part(position as u16, 1));
    }
    true
}

/// Bits of the flags in the flags register (Intel SDM, volume 1, section 3.4.3).
const FLAG_POSITIONS: [(u64, Flag); 7] = [
    (0, Flag::Carry),
    (2, Flag::Parity),
    (4, Flag::Adjust),
    (6, Flag::Zero),
    (7, Flag::Sign),
    (10, Flag::Direction),
    (11, Flag::Overflow),
];

/// `enter` without nesting: pushes the frame pointer, sets it, and reserves bytes.
pub(super) fn enter(e: &mut Emitter<'_>) -> bool {
    let mode = e.mode_bits();
    if e.instruction.immediate8_2nd() != 0 || stack_bits_of_leave(e) != mode {
        return false;
    }
    let pointer = e.store_pushed(low(FRAME_POINTER, mode), mode);
    let reserved = constant(u64::from(e.instruction.immediate16()), mode);
    let end = e.make(Operation::Subtract, mode, &[pointer, reserved]);
    e.set_general(FRAME_POINTER.0, pointer);
    e.set_general(STACK_POINTER.0, end);
    true
}
