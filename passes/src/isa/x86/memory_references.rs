//! The memory that an instruction reads or writes, or whose address it computes; and the parameters that it reads.

use super::abstract_interpreter::AbstractInterpreter;
use super::calling_convention::STACK_POINTER;
use super::decoder::address_size;
use super::instruction_facts::{general_register, is_string_instruction, is_whole_move};
use super::operands::{access, is_memory};
use crate::domains::{AbstractState, AbstractValue, ParameterSet};
use binframe_ir::tables::Access;
use iced_x86::{Instruction, Mnemonic, OpAccess, OpKind, Register};

/// Memory that an instruction refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryReference {
    /// Whether it is not the first memory operand but the second, or the stack memory of a `push` or `pop`.
    pub(crate) is_implicit: bool,
    pub(crate) address: AbstractValue,
    /// Whether the operand has an index register.
    pub(crate) is_indexed: bool,
    /// Bytes accessed at once; `None` if only the address is computed, or if the size is not fixed.
    pub(crate) size: Option<u16>,
    pub(crate) access: Access,
}

impl AbstractInterpreter<'_> {
    /// The memory that an instruction refers to, given the state before it: its memory operand first, then the
    /// implicit reference.
    pub(crate) fn memory_references(
        &mut self,
        state: &AbstractState,
        instruction: &Instruction,
    ) -> [Option<MemoryReference>; 2] {
        let mut operands = (0..instruction.op_count()).filter(|index| is_memory(instruction.op_kind(*index)));
        let Some(first) = operands.next() else { return [None, stack_reference(state, instruction)] };
        // A long `nop` has a memory operand that it does not use.
        if instruction.mnemonic() == Mnemonic::Nop {
            return [None, None];
        }
        let second = operands.next().map(|operand| self.reference(state, instruction, operand, true));
        let first = self.reference(state, instruction, first, false);
        [Some(first), second.or_else(|| stack_reference(state, instruction))]
    }

    /// Parameters that an instruction reads, except those in `known`: it computes with a register that derives from
    /// the parameter, uses it in an address, or moves a part of it. A move of the whole register does not count.
    pub(crate) fn parameters_read(
        &mut self,
        state: &AbstractState,
        instruction: &Instruction,
        known: ParameterSet,
    ) -> ParameterSet {
        let mut read = ParameterSet::default();
        let parameter = |register: Register| {
            let value = general_register(register).map(|register| state.register(register));
            let parameter = value.map(|value| ParameterSet::of_base(value.base));
            parameter.filter(|parameter| !known.has(*parameter)).unwrap_or_default()
        };
        read.add(parameter(instruction.memory_base()));
        read.add(parameter(instruction.memory_index()));
        let is_move = is_whole_move(instruction);
        for operand in
            (0..instruction.op_count()).filter(|operand| instruction.op_kind(*operand) == OpKind::Register)
        {
            let register = instruction.op_register(operand);
            let parameter = parameter(register);
            if parameter == ParameterSet::default()
                || (is_move && register.size() == usize::from(address_size(instruction)))
            {
                continue;
            }
            if self.info.info(instruction).op_access(operand) != OpAccess::Write {
                read.add(parameter);
            }
        }
        read
    }

    fn reference(
        &mut self,
        state: &AbstractState,
        instruction: &Instruction,
        operand: u32,
        is_implicit: bool,
    ) -> MemoryReference {
        let access = access(&mut self.info, instruction, operand);
        let address = self.address(state, instruction, operand);
        let size = u16::try_from(instruction.memory_size().size()).unwrap_or(u16::MAX);
        let value = match is_string_instruction(instruction) {
            true => self.string_range(state, instruction, operand),
            false => address.value,
        };
        let size = (access != Access::Address).then_some(size).filter(|size| *size > 0);
        MemoryReference { is_implicit, address: value, is_indexed: address.is_indexed, size, access }
    }
}

/// The stack memory that a `push` writes or a `pop` reads; `None` for other instructions.
fn stack_reference(state: &AbstractState, instruction: &Instruction) -> Option<MemoryReference> {
    let increment = i64::from(instruction.stack_pointer_increment());
    let (offset, access) = match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => (increment, Access::Write),
        Mnemonic::Pop | Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq => (0, Access::Read),
        _ => return None,
    };
    let address = state.register(STACK_POINTER).plus(offset);
    let size = u16::try_from(increment.unsigned_abs()).ok();
    Some(MemoryReference { is_implicit: true, address, is_indexed: false, size, access })
}
