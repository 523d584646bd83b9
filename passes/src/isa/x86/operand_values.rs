//! Evaluates operands over an abstract state: addresses, loads and stores.

use super::abstract_interpreter::AbstractInterpreter;
use super::calling_convention::STACK_POINTER;
use super::decoder::{address_size, displacement, immediate, is_32};
use super::flow::ADDRESS_MIN;
use super::instruction_facts::{general_register, is_high_byte, operand_size};
use super::operands::{MemoryOperand, is_memory};
use crate::domains::{AbstractState, AbstractValue, Base, OperandLocation, frame_offset};
use binframe_ir::tables::UnknownReason;
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// The address of a memory operand.
#[derive(Debug, Clone, Copy)]
pub(super) struct OperandAddress {
    pub(super) value: AbstractValue,
    /// Whether the operand has an index register.
    pub(super) is_indexed: bool,
}

impl AbstractInterpreter<'_> {
    /// Location of a compared operand; `None` if a branch on the comparison cannot refine it: registers of less than
    /// 32 bits, and memory other than up to 8 bytes at a known frame offset.
    pub(super) fn location(
        &self,
        state: &AbstractState,
        instruction: &Instruction,
        operand: u32,
    ) -> Option<OperandLocation> {
        let size = operand_size(instruction, operand);
        match instruction.op_kind(operand) {
            OpKind::Register if size >= 4 => {
                general_register(instruction.op_register(operand)).map(OperandLocation::Register)
            }
            kind if is_memory(kind) && (1..=8).contains(&size) => {
                let address = self.address(state, instruction, operand).value;
                frame_offset::of_address(address).map(|start| OperandLocation::Stack(start, size))
            }
            _ => None,
        }
    }

    /// Address of a memory operand.
    pub(super) fn address(
        &self,
        state: &AbstractState,
        instruction: &Instruction,
        operand: u32,
    ) -> OperandAddress {
        let memory = MemoryOperand::of(instruction, operand);
        if matches!(memory.base, Register::RIP | Register::EIP) {
            let address = instruction.memory_displacement64();
            return OperandAddress { value: AbstractValue::at(Base::Global(address), 0), is_indexed: false };
        }
        let is_plain = instruction.op_kind(operand) == OpKind::Memory;
        let index = Some(memory.index).filter(|index| is_plain && *index != Register::None);
        let part = |register: Register| match general_register(register) {
            Some(number) if register.size() == 4 && !is_32(instruction) => {
                state.register(number).zero_extended(32)
            }
            Some(number) => state.register(number),
            // A vector register of a gather or scatter holds several indexes.
            None => AbstractValue::unknown(UnknownReason::Computed),
        };
        let added = if is_plain { displacement(instruction) as i64 } else { 0 };
        let mut sum = AbstractValue::number(added);
        if memory.base != Register::None {
            sum = self.sum(part(memory.base), sum);
            // `pop [rsp+x]` computes its address after it has moved the stack pointer.
            if instruction.mnemonic() == Mnemonic::Pop && general_register(memory.base) == Some(STACK_POINTER)
            {
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
            let offset =
                if sum.base == Base::Number { sum } else { AbstractValue::unbounded(Base::Number, 0) };
            return OperandAddress {
                value: AbstractValue { base: Base::Thread, ..offset },
                is_indexed: index.is_some(),
            };
        }
        if sum.base == Base::Number && is_32(instruction) {
            sum = sum.zero_extended(32);
        }
        OperandAddress { value: sum, is_indexed: index.is_some() }
    }

    /// A sum in an address computation. A constant that is an address of the binary becomes the base if an index is
    /// added to it. If the other operand is unknown, it is assumed to be an index within the array at that address.
    pub(super) fn sum(&self, one: AbstractValue, other: AbstractValue) -> AbstractValue {
        let global = |value: AbstractValue, index: AbstractValue| {
            let is_index =
                index.is_unknown() || (index.base == Base::Number && index.exact_offset().is_none());
            let address = value.constant().filter(|_| is_index)? as u64;
            let start =
                AbstractValue::at(Base::Global(address), 0).assuming_in_bounds(value.assumes_in_bounds);
            (address >= ADDRESS_MIN && (self.is_fixed_address)(address)).then(|| match index.is_unknown() {
                true => AbstractValue::unbounded(Base::Global(address), 0).assuming_in_bounds(true),
                false => start.sum(index),
            })
        };
        global(one, other).or_else(|| global(other, one)).unwrap_or_else(|| one.sum(other))
    }

    /// Value of an operand, zero-extended.
    pub(super) fn read(
        &self,
        state: &AbstractState,
        instruction: &Instruction,
        operand: u32,
    ) -> AbstractValue {
        let kind = instruction.op_kind(operand);
        match kind {
            OpKind::Register => {
                let register = instruction.op_register(operand);
                match general_register(register) {
                    Some(index) if is_32(instruction) && register.size() == 4 => state.register(index),
                    Some(index) if !is_high_byte(register) => {
                        state.register(index).zero_extended(register.size() as u32 * 8)
                    }
                    Some(_) => AbstractValue::unsigned(8),
                    None => AbstractValue::unknown(UnknownReason::Computed),
                }
            }
            kind if is_memory(kind) => {
                let address = self.address(state, instruction, operand).value;
                let size = operand_size(instruction, operand);
                if address.base == Base::Thread && is_canary(instruction, address) {
                    return AbstractValue::at(Base::Canary, 0);
                }
                let value = state.load(address, size);
                let is_narrow = size < address_size(instruction);
                if is_narrow { value.zero_extended(u32::from(size) * 8) } else { value }
            }
            _ => {
                let number = AbstractValue::number(immediate(instruction, operand) as i64);
                let size = operand_size(instruction, 0);
                let is_wide = size == 8 || size == 0 || (is_32(instruction) && size == 4);
                if is_wide { number } else { number.zero_extended(u32::from(size) * 8) }
            }
        }
    }

    /// Writes a value to an operand.
    pub(super) fn write_operand(
        &self,
        state: &mut AbstractState,
        instruction: &Instruction,
        operand: u32,
        value: AbstractValue,
    ) {
        match instruction.op_kind(operand) {
            OpKind::Register => {
                Self::write_register(state, instruction, instruction.op_register(operand), value);
            }
            kind if is_memory(kind) => {
                let address = self.address(state, instruction, operand).value;
                let size = operand_size(instruction, operand);
                state.store(address, u16::from(size), value);
            }
            _ => {}
        }
    }

    /// Writes a value to a register. A value that does not fit, or whose register is not tracked, escapes.
    pub(super) fn write_register(
        state: &mut AbstractState,
        instruction: &Instruction,
        register: Register,
        value: AbstractValue,
    ) {
        let Some(index) = general_register(register) else {
            state.escape(value);
            return;
        };
        let size = register.size();
        let value = match size {
            8 => value,
            4 if is_32(instruction) && value.base == Base::Number => value.zero_extended(32),
            4 if is_32(instruction) => value,
            4 => {
                state.escape(value);
                value.zero_extended(32)
            }
            // Writes to 8 and 16 bits leave the rest of the register unchanged.
            _ => {
                let old = state.register(index);
                state.escape(old);
                state.escape(value);
                let bits = size as u32 * 8;
                let is_clear = old.base == Base::Number && old.low >= 0 && old.high < 1 << bits;
                match is_clear && !is_high_byte(register) {
                    true => value.zero_extended(bits),
                    false if old.base == Base::Number && old.low >= 0 && old.high < 1 << 32 => {
                        AbstractValue::unsigned(32)
                    }
                    false => AbstractValue::unknown(UnknownReason::Computed),
                }
            }
        };
        state.set_register(index, value);
    }
}

/// Whether a memory operand is the system's stack canary in thread-local storage.
fn is_canary(instruction: &Instruction, address: AbstractValue) -> bool {
    let (segment, offset) = if is_32(instruction) { (Register::GS, 0x14) } else { (Register::FS, 0x28) };
    instruction.memory_segment() == segment && address.exact_offset() == Some(offset)
}
