//! x86 in 64-bit and 32-bit mode, decoded by iced-x86. An instruction knows the mode that it was decoded in.

mod abstract_interpreter;
mod abstract_transfer;
mod branch_refinement;
pub(crate) mod calling_convention;
mod decoder;
mod effects;
mod flags;
mod flow;
mod instruction_facts;
mod memory_references;
mod operand_values;
mod operands;
mod prologue;
mod resources;
mod string_instructions;
mod symbolic_transfer;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use abstract_interpreter::AbstractInterpreter;
pub(crate) use branch_refinement::refine_by_branch;
pub(crate) use calling_convention::{CallingConvention, FRAME_POINTER, RESULT, STACK_POINTER};
pub(crate) use decoder::Decoder;
pub(super) use decoder::INSTRUCTION_SIZE_MAX;
pub(crate) use effects::add_effects;
pub(crate) use flow::{
    ConstantAddress, classify, constant_address, direct_call_target, is_call, is_padding, is_padding_byte,
    popped_by_callee, target,
};
pub(crate) use instruction_facts::{is_whole_move, stack_alignment, stored_register};
pub(crate) use memory_references::MemoryReference;
pub(crate) use operands::RowWriter;
pub(crate) use prologue::{ends_in_epilogue, is_prologue, may_begin_function, saves_register};
pub(crate) use resources::{Resource, ResourceAccess};
pub(crate) use symbolic_transfer::{MergedRegisters, SymbolicState, address_getter};
pub(crate) use text::{disassemble, disassemble_att};

pub(crate) use iced_x86::{Instruction, InstructionInfoFactory as Effects};
