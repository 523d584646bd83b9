//! x86 in 64-bit and 32-bit mode, as iced-x86 decodes it. An instruction knows the mode that it was decoded in.

pub(crate) mod convention;
mod effects;
mod evaluate;
mod flow;
mod interpret;
mod narrow;
mod operands;
mod places;
mod prologue;
mod resources;
mod strings;
#[cfg(test)]
mod tests;
mod text;
mod touches;

pub(crate) use convention::{Convention, FRAME_POINTER, RESULT, STACK_POINTER};
pub(crate) use effects::add_effects;
pub(crate) use evaluate::{Lost, State, address_getter};
pub(crate) use flow::{
    ConstantAddress, called, classify, constant_address, is_call, is_padding, popped_by_callee, target,
};
pub(crate) use interpret::{Interpreter, is_whole_move, stack_alignment, stored_register};
pub(crate) use narrow::narrow;
pub(crate) use operands::RowWriter;
pub(crate) use prologue::{ends_in_epilogue, is_prologue, keeps_register, may_begin_function};
pub(crate) use resources::{Resource, ResourceUse};
pub(crate) use text::{disassemble, disassemble_att};
pub(crate) use touches::Touch;

pub(crate) use iced_x86::{Instruction, InstructionInfoFactory as Effects};

use super::Isa;
use iced_x86::{CodeSize, DecoderOptions, OpKind, Register};
use std::ops::Range;

/// The longest instruction that the processor accepts, in bytes.
pub(super) const INSTRUCTION_SIZE_MAX: usize = 15;

/// Decodes one instruction after another out of a stretch of code.
pub(crate) struct Decoder<'a> {
    decoder: iced_x86::Decoder<'a>,
    address: u64,
}

impl<'a> Decoder<'a> {
    /// A decoder of `bytes`, whose first lies at `address`.
    pub(super) fn new(bits: u32, bytes: &'a [u8], address: u64) -> Self {
        Self { decoder: iced_x86::Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE), address }
    }

    /// Goes to an offset within the bytes.
    pub(crate) fn seek(&mut self, offset: usize) {
        self.decoder.set_position(offset).expect("the offset is within the bytes");
        self.decoder.set_ip(self.address.wrapping_add(offset as u64));
    }

    /// Decodes the next instruction; false when the bytes there are none.
    #[inline]
    pub(crate) fn decode(&mut self, instruction: &mut Instruction) -> bool {
        self.decoder.decode_out(instruction);
        !instruction.is_invalid()
    }

    /// Where in the instruction that was decoded last an address stands that counts from its end, and the address meant.
    pub(crate) fn relative_field(&self, instruction: &Instruction) -> Option<(Range<usize>, u64)> {
        let is_branch = matches!(
            instruction.op0_kind(),
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
        );
        let offsets = self.decoder.get_constant_offsets(instruction);
        let (offset, size, target) = if is_branch {
            (offsets.immediate_offset(), offsets.immediate_size(), instruction.near_branch_target())
        } else if instruction.is_ip_rel_memory_operand() {
            (offsets.displacement_offset(), offsets.displacement_size(), instruction.ip_rel_memory_address())
        } else {
            return None;
        };
        Some((offset..offset + size, target))
    }
}

/// Whether an instruction was decoded in 32-bit mode.
#[inline]
fn is_32(instruction: &Instruction) -> bool {
    instruction.code_size() == CodeSize::Code32
}

/// Size in bytes of an address, and of a slot of the stack.
fn address_size(instruction: &Instruction) -> u8 {
    if is_32(instruction) { 4 } else { 8 }
}

/// The constant part of the address of a memory operand. In 32-bit mode it is an address where it stands alone or is only indexed,
/// and counts up or down from a base register.
#[inline]
fn displacement(instruction: &Instruction) -> u64 {
    let displacement = instruction.memory_displacement64();
    match is_32(instruction) && instruction.memory_base() != Register::None {
        true => sign_extended(displacement),
        false => displacement,
    }
}

/// A number of 32 bits with its sign.
fn sign_extended(number: u64) -> u64 {
    i64::from(number as u32 as i32) as u64
}

/// A constant operand as a number that is added, with its sign.
fn immediate(instruction: &Instruction, operand: u32) -> u64 {
    let number = instruction.immediate(operand);
    if is_32(instruction) { sign_extended(number) } else { number }
}
