//! Which memory an instruction touches.

use super::address_size;
use super::convention::STACK_POINTER;
use super::interpret::{Interpreter, is_whole_move};
use super::operands::{access, is_memory};
use super::places::number;
use super::strings::is_string;
use crate::domains::{Parameters, State, Value};
use binframe_ir::tables::Access;
use iced_x86::{Instruction, Mnemonic, OpAccess, OpKind, Register};

/// Memory that an instruction touches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Touch {
    /// Whether no `mem_` operand names it.
    pub(crate) is_implicit: bool,
    /// Where it lies.
    pub(crate) address: Value,
    /// Whether a register is added to another, or to an address.
    pub(crate) is_indexed: bool,
    /// Size in bytes; none where only the address is computed.
    pub(crate) size: Option<u16>,
    /// What is done.
    pub(crate) access: Access,
}

impl Interpreter<'_> {
    /// The memory that an instruction touches, given the state before it: its memory operand first, then what it names
    /// implicitly (the slot of a `push` or `pop`, the second operand of a string instruction).
    pub(crate) fn touches(&mut self, state: &State, instruction: &Instruction) -> [Option<Touch>; 2] {
        let mut operands = (0..instruction.op_count()).filter(|index| is_memory(instruction.op_kind(*index)));
        let Some(first) = operands.next() else { return [None, implicit_slot(state, instruction)] };
        // A long `nop` names memory without touching it.
        if instruction.mnemonic() == Mnemonic::Nop {
            return [None, None];
        }
        let second = operands.next().map(|operand| self.touch(state, instruction, operand, true));
        let first = self.touch(state, instruction, first, false);
        [Some(first), second.or_else(|| implicit_slot(state, instruction))]
    }

    /// The parameters from which an instruction computes something, or that it moves where only a part of them is known, beside those
    /// of which that is known.
    pub(crate) fn parameters_read(
        &mut self,
        state: &State,
        instruction: &Instruction,
        known: Parameters,
    ) -> Parameters {
        let mut read = Parameters::default();
        let parameter = |register: Register| {
            let held = number(register).map(|register| State::parameter(state.register(register).base));
            held.filter(|parameter| !known.has(*parameter)).unwrap_or_default()
        };
        read.add(parameter(instruction.memory_base()));
        read.add(parameter(instruction.memory_index()));
        let is_move = is_whole_move(instruction);
        for operand in
            (0..instruction.op_count()).filter(|operand| instruction.op_kind(*operand) == OpKind::Register)
        {
            let register = instruction.op_register(operand);
            let held = parameter(register);
            if held == Parameters::default()
                || (is_move && register.size() == usize::from(address_size(instruction)))
            {
                continue;
            }
            if self.info.info(instruction).op_access(operand) != OpAccess::Write {
                read.add(held);
            }
        }
        read
    }

    fn touch(&mut self, state: &State, instruction: &Instruction, operand: u32, is_implicit: bool) -> Touch {
        let access = access(&mut self.info, instruction, operand);
        let address = self.address(state, instruction, operand);
        let size = u16::try_from(instruction.memory_size().size()).unwrap_or(u16::MAX);
        let value = match is_string(instruction) {
            true => self.run(state, instruction, operand),
            false => address.value,
        };
        let size = (access != Access::Address).then_some(size).filter(|size| *size > 0);
        Touch { is_implicit, address: value, is_indexed: address.is_indexed, size, access }
    }
}

/// The stack slot that a `push` or `pop` moves.
fn implicit_slot(state: &State, instruction: &Instruction) -> Option<Touch> {
    let increment = i64::from(instruction.stack_pointer_increment());
    let (offset, access) = match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => (increment, Access::Write),
        Mnemonic::Pop | Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq => (0, Access::Read),
        _ => return None,
    };
    let address = state.register(STACK_POINTER).plus(offset);
    let size = u16::try_from(increment.unsigned_abs()).ok();
    Some(Touch { is_implicit: true, address, is_indexed: false, size, access })
}
