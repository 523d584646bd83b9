//! What operands hold, and where they lie, given what is known of registers and of the stack.

use super::convention::STACK_POINTER;
use super::interpret::Interpreter;
use super::operands::{MemoryOperand, is_memory};
use super::{address_size, displacement, immediate, is_32};
use crate::domains::{Base, Place, State, Value};
use binframe_ir::tables::UnknownReason;
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// The address of a memory operand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    pub(super) value: Value,
    /// Whether a register is added to another, or to an address.
    pub(super) is_indexed: bool,
}

impl Interpreter<'_> {
    /// The place that an operand names, if comparisons with it are to be remembered.
    pub(super) fn place(&self, state: &State, instruction: &Instruction, operand: u32) -> Option<Place> {
        let size = operand_size(instruction, operand);
        match instruction.op_kind(operand) {
            OpKind::Register if size >= 4 => number(instruction.op_register(operand)).map(Place::Register),
            kind if is_memory(kind) && (1..=8).contains(&size) => {
                let address = self.address(state, instruction, operand).value;
                State::exact_place(address).map(|place| Place::Stack(place, size))
            }
            _ => None,
        }
    }

    /// The address of a memory operand.
    pub(super) fn address(&self, state: &State, instruction: &Instruction, operand: u32) -> Address {
        let memory = MemoryOperand::of(instruction, operand);
        if matches!(memory.base, Register::RIP | Register::EIP) {
            let address = instruction.memory_displacement64();
            return Address { value: Value::at(Base::Global(address), 0), is_indexed: false };
        }
        let is_plain = instruction.op_kind(operand) == OpKind::Memory;
        let index = Some(memory.index).filter(|index| is_plain && *index != Register::None);
        let part = |register: Register| match number(register) {
            Some(number) if register.size() == 4 && !is_32(instruction) => {
                state.register(number).zero_extended(32)
            }
            Some(number) => state.register(number),
            // Registers of vectors gather from many places.
            None => Value::unknown(UnknownReason::Computed),
        };
        let added = if is_plain { displacement(instruction) as i64 } else { 0 };
        let mut sum = Value::number(added);
        if memory.base != Register::None {
            sum = self.sum(part(memory.base), sum);
            if instruction.mnemonic() == Mnemonic::Pop && number(memory.base) == Some(STACK_POINTER) {
                sum = sum.plus(i64::from(instruction.stack_pointer_increment()));
            }
        }
        if let Some(index) = index {
            let index = part(index);
            let scaled = match memory.scale {
                1 => index,
                scale => index.scaled(i64::from(scale)),
            };
            sum = self.sum(sum, scaled);
        }
        if memory.segment != Register::None {
            let offset = if sum.base == Base::Number { sum } else { Value::any(Base::Number, 0) };
            return Address { value: Value { base: Base::Thread, ..offset }, is_indexed: index.is_some() };
        }
        if sum.base == Base::Number && is_32(instruction) {
            sum = sum.zero_extended(32);
        }
        Address { value: sum, is_indexed: index.is_some() }
    }

    /// A sum, in which a number that is an address of the file stands for it where something unknown is added.
    pub(super) fn sum(&self, one: Value, other: Value) -> Value {
        let anchor = |value: Value, index: Value| {
            let is_index = index.is_unknown() || (index.base == Base::Number && index.exact().is_none());
            let address = value.constant().filter(|_| is_index)? as u64;
            let anchor = Value::at(Base::Global(address), 0).doubted(value.is_doubtful);
            (address >= super::flow::ADDRESS_MIN && (self.is_loaded)(address)).then(|| {
                match index.is_unknown() {
                    true => Value::any(Base::Global(address), 0).doubted(true),
                    false => anchor.sum(index),
                }
            })
        };
        anchor(one, other).or_else(|| anchor(other, one)).unwrap_or_else(|| one.sum(other))
    }

    /// An operand, as a number without sign.
    pub(super) fn read(&self, state: &State, instruction: &Instruction, operand: u32) -> Value {
        let kind = instruction.op_kind(operand);
        match kind {
            OpKind::Register => {
                let register = instruction.op_register(operand);
                match number(register) {
                    Some(index) if is_32(instruction) && register.size() == 4 => state.register(index),
                    Some(index) if !is_high_byte(register) => {
                        state.register(index).zero_extended(register.size() as u32 * 8)
                    }
                    Some(_) => Value::of_bits(8),
                    None => Value::unknown(UnknownReason::Computed),
                }
            }
            kind if is_memory(kind) => {
                let address = self.address(state, instruction, operand).value;
                let size = operand_size(instruction, operand);
                if address.base == Base::Thread && is_canary(instruction, address) {
                    return Value::at(Base::Canary, 0);
                }
                let value = state.load(address, size);
                let is_narrow = size < address_size(instruction);
                if is_narrow { value.zero_extended(u32::from(size) * 8) } else { value }
            }
            _ => {
                let number = Value::number(immediate(instruction, operand) as i64);
                let size = operand_size(instruction, 0);
                let is_wide = size == 8 || size == 0 || (is_32(instruction) && size == 4);
                if is_wide { number } else { number.zero_extended(u32::from(size) * 8) }
            }
        }
    }

    pub(super) fn write_operand(
        &self,
        state: &mut State,
        instruction: &Instruction,
        operand: u32,
        value: Value,
    ) {
        match instruction.op_kind(operand) {
            OpKind::Register => Self::write(state, instruction, instruction.op_register(operand), value),
            kind if is_memory(kind) => {
                let address = self.address(state, instruction, operand).value;
                let size = operand_size(instruction, operand);
                state.store(address, u16::from(size), value);
            }
            _ => {}
        }
    }

    pub(super) fn write(state: &mut State, instruction: &Instruction, register: Register, value: Value) {
        let Some(index) = number(register) else {
            state.lose(value);
            return;
        };
        let size = register.size();
        let value = match size {
            8 => value,
            4 if is_32(instruction) && value.base == Base::Number => value.zero_extended(32),
            4 if is_32(instruction) => value,
            4 => {
                state.lose(value);
                value.zero_extended(32)
            }
            _ => {
                let old = state.register(index);
                state.lose(old);
                state.lose(value);
                let bits = size as u32 * 8;
                let is_clear = old.base == Base::Number && old.low >= 0 && old.high < 1 << bits;
                match is_clear && !is_high_byte(register) {
                    true => value.zero_extended(bits),
                    false if old.base == Base::Number && old.low >= 0 && old.high < 1 << 32 => {
                        Value::of_bits(32)
                    }
                    false => Value::unknown(UnknownReason::Computed),
                }
            }
        };
        state.set_register(index, value);
    }
}

/// Whether a memory operand is where the system keeps the number that stands before return addresses.
fn is_canary(instruction: &Instruction, address: Value) -> bool {
    let (segment, offset) = if is_32(instruction) { (Register::GS, 0x14) } else { (Register::FS, 0x28) };
    instruction.memory_segment() == segment && address.exact() == Some(offset)
}

/// Number of a general register, of any size.
pub(super) fn number(register: Register) -> Option<u8> {
    let full = register.full_register();
    full.is_gpr64().then(|| full.number() as u8)
}

pub(super) fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}

pub(super) fn operand_size(instruction: &Instruction, operand: u32) -> u8 {
    match instruction.op_kind(operand) {
        OpKind::Register => instruction.op_register(operand).size() as u8,
        kind if is_memory(kind) => instruction.memory_size().size().min(64) as u8,
        _ => 0,
    }
}
