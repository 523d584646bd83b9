//! A64, the instruction set of Arm's 64-bit mode, decoded by fARM64.
//!
//! What an instruction means is not written here yet: [`InstructionSet::lower`] gives no ops. So jump tables are not
//! found, and the memory stage leaves this code out.
//!
//! Source: Arm, "Arm Architecture Reference Manual for A-profile architecture" (DDI 0487), chapter C.

mod abi;
mod decode;
mod effects;
mod flow;
mod memory_size;
mod prologue;
mod registers;
mod rows;
#[cfg(test)]
mod tests;
mod text;

use crate::isa::abi::{Abi, CallingConvention};
use crate::isa::instruction_set::{Buffers, ConstantAddress, Effect, InstructionSet, Isa};
use crate::isa::ops::{Ops, Part, Reg};
use binframe_ir::tables::Flow;
use decode::{Decoder, WORD_SIZE};
use fARM64::Instruction;
use std::ops::Range;

/// A64.
#[derive(Debug)]
pub(crate) struct AArch64;

impl InstructionSet for AArch64 {
    type Instruction = Instruction;
    type Decoder<'a> = Decoder<'a>;
    type RowWriter = rows::RowWriter;

    const SIZE_MAX: usize = WORD_SIZE;
    const ALIGNMENT: usize = WORD_SIZE;

    fn decoder(_: Isa, bytes: &[u8], address: u64) -> Decoder<'_> {
        Decoder::new(bytes, address)
    }

    #[inline]
    fn size(_: &Instruction) -> usize {
        WORD_SIZE
    }

    #[inline]
    fn address(instruction: &Instruction) -> u64 {
        instruction.ip()
    }

    #[inline]
    fn classify(instruction: &Instruction) -> Flow {
        flow::classify(instruction)
    }

    fn direct_call_target(instruction: &Instruction) -> Option<u64> {
        flow::direct_call_target(instruction)
    }

    #[inline]
    fn target(decoder: &Decoder<'_>, instruction: &Instruction, _: Option<u64>) -> Option<u64> {
        flow::target(decoder, instruction)
    }

    #[inline]
    fn constant_address(decoder: &Decoder<'_>, instruction: &Instruction) -> Option<ConstantAddress> {
        flow::constant_address(decoder, instruction)
    }

    fn relative_field(decoder: &Decoder<'_>, instruction: &Instruction) -> Option<(Range<usize>, u64)> {
        flow::relative_field(decoder, instruction)
    }

    fn add_effects(instruction: &Instruction, _: &mut Buffers, effects: &mut Vec<Effect>) {
        effects::add_effects(instruction, effects);
    }

    fn lower(_: &Instruction, _: &mut Buffers, _: &mut Ops) {}

    fn disassemble(_: Isa, bytes: &[u8], address: u64) -> String {
        text::disassemble(bytes, address)
    }

    fn disassemble_att(_: Isa, bytes: &[u8], address: u64) -> String {
        text::disassemble(bytes, address)
    }

    fn is_padding(_: Isa, bytes: &[u8]) -> bool {
        flow::is_padding(bytes)
    }

    fn ends_in_padding(bytes: &[u8]) -> bool {
        flow::ends_in_padding(bytes)
    }

    fn may_begin_function(_: Isa, bytes: &[u8]) -> bool {
        prologue::may_begin_function(bytes)
    }

    fn is_prologue(_: Isa, bytes: &[u8]) -> bool {
        prologue::is_prologue(bytes)
    }

    fn saves_register(_: Isa, bytes: &[u8]) -> bool {
        prologue::saves_register(bytes)
    }

    fn ends_in_epilogue(_: Isa, bytes: &[u8]) -> bool {
        prologue::ends_in_epilogue(bytes)
    }

    /// `adr` reads the address of an instruction: no function is needed for that.
    fn address_getter(_: Isa, _: &[u8]) -> Option<Reg> {
        None
    }

    fn sets_direction(_: Isa, _: &[u8]) -> bool {
        false
    }

    fn abi(isa: Isa, _: u32) -> Abi {
        abi::abi(isa)
    }

    fn calling_convention(_: Isa, _: bool) -> CallingConvention {
        abi::calling_convention()
    }

    fn piece_count(_: Reg) -> u8 {
        0
    }

    fn pieces(_: Reg, _: Part) -> Range<u8> {
        0..0
    }

    fn piece_name(_: Isa, _: Reg, _: u8) -> &'static str {
        ""
    }

    fn register_bits(register: Reg) -> u16 {
        registers::width(register)
    }

    fn register_name(register: Reg, part: Part) -> String {
        registers::part_name(register, part)
    }
}
