//! x86 in 64-bit and 32-bit mode, decoded by iced-x86. An instruction knows the mode that it was decoded in.

pub(crate) mod abi;
mod decode;
mod effects;
mod flags;
mod flow;
mod prologue;
mod registers;
mod rows;
mod semantics;
#[cfg(test)]
mod tests;
mod text;

use crate::isa::abi::{Abi, CallingConvention};
use crate::isa::instruction_set::{Buffers, ConstantAddress, Effect, InstructionSet, Isa};
use crate::isa::ops::{Ops, Part, Reg};
use binframe_ir::tables::Flow;
use decode::Decoder;
use iced_x86::Instruction;
use std::ops::Range;

/// x86 in either mode.
#[derive(Debug)]
pub(crate) struct X86;

impl InstructionSet for X86 {
    type Instruction = Instruction;
    type Decoder<'a> = Decoder<'a>;
    type RowWriter = rows::RowWriter;

    const SIZE_MAX: usize = 15;
    const ALIGNMENT: usize = 1;

    fn decoder(isa: Isa, bytes: &[u8], address: u64) -> Decoder<'_> {
        Decoder::new(isa, bytes, address)
    }

    #[inline]
    fn size(instruction: &Instruction) -> usize {
        instruction.len()
    }

    #[inline]
    fn address(instruction: &Instruction) -> u64 {
        instruction.ip()
    }

    #[inline]
    fn classify(instruction: &Instruction) -> Flow {
        flow::classify(instruction)
    }

    #[inline]
    fn exit_calls(instruction: &Instruction) -> &'static [u32] {
        flow::exit_calls(instruction)
    }

    fn direct_call_target(instruction: &Instruction) -> Option<u64> {
        flow::direct_call_target(instruction)
    }

    #[inline]
    fn target(_: &Decoder<'_>, instruction: &Instruction, pointer_table: Option<u64>) -> Option<u64> {
        flow::target(instruction, pointer_table)
    }

    #[inline]
    fn constant_address(_: &Decoder<'_>, instruction: &Instruction) -> Option<ConstantAddress> {
        flow::constant_address(instruction)
    }

    fn relative_field(decoder: &Decoder<'_>, instruction: &Instruction) -> Option<(Range<usize>, u64)> {
        decoder.relative_field(instruction)
    }

    fn add_effects(instruction: &Instruction, buffers: &mut Buffers, effects: &mut Vec<Effect>) {
        effects::add_effects(instruction, &mut buffers.x86, effects);
    }

    fn lower(instruction: &Instruction, buffers: &mut Buffers, ops: &mut Ops) {
        semantics::lower(instruction, &mut buffers.x86, ops);
    }

    fn disassemble(isa: Isa, bytes: &[u8], address: u64) -> String {
        text::disassemble(isa, bytes, address)
    }

    fn disassemble_att(isa: Isa, bytes: &[u8], address: u64) -> String {
        text::disassemble_att(isa, bytes, address)
    }

    fn is_padding(isa: Isa, bytes: &[u8]) -> bool {
        flow::is_padding(isa, bytes)
    }

    fn ends_in_padding(bytes: &[u8]) -> bool {
        flow::ends_in_padding(bytes)
    }

    fn may_begin_function(isa: Isa, bytes: &[u8]) -> bool {
        prologue::may_begin_function(isa, bytes)
    }

    fn may_begin_pointed_function(isa: Isa, bytes: &[u8]) -> bool {
        prologue::may_begin_pointed_function(isa, bytes)
    }

    fn is_hot_patch_point(isa: Isa, bytes: &[u8]) -> bool {
        prologue::is_hot_patch_point(isa, bytes)
    }

    fn based_operand(isa: Isa, bytes: &[u8]) -> Option<(Reg, u64)> {
        flow::based_operand(isa, bytes)
    }

    fn added_constant(isa: Isa, bytes: &[u8], register: Reg) -> Option<u64> {
        flow::added_constant(isa, bytes, register)
    }

    fn is_indexed(isa: Isa, bytes: &[u8]) -> bool {
        flow::is_indexed(isa, bytes)
    }

    fn is_prologue(isa: Isa, bytes: &[u8]) -> bool {
        prologue::is_prologue(isa, bytes)
    }

    fn saves_register(isa: Isa, bytes: &[u8]) -> bool {
        prologue::saves_register(isa, bytes)
    }

    fn ends_in_epilogue(isa: Isa, bytes: &[u8]) -> bool {
        prologue::ends_in_epilogue(isa, bytes)
    }

    fn address_getter(isa: Isa, code: &[u8]) -> Option<Reg> {
        prologue::address_getter(isa, code)
    }

    fn sets_direction(isa: Isa, code: &[u8]) -> bool {
        flow::sets_direction(isa, code)
    }

    fn has_atomic_prefix(isa: Isa, code: &[u8]) -> bool {
        flow::has_atomic_prefix(isa, code)
    }

    #[inline]
    fn pushed_address(_: Isa, code: &[u8]) -> Option<u64> {
        flow::pushed_address(code)
    }

    fn moves_stack_by_variable(isa: Isa, code: &[u8]) -> bool {
        prologue::moves_stack_by_variable(isa, code)
    }

    fn abi(isa: Isa, address_bits: u32) -> Abi {
        abi::abi(isa, address_bits)
    }

    fn calling_convention(isa: Isa, is_windows: bool) -> CallingConvention {
        abi::calling_convention(isa, is_windows)
    }

    fn piece_count(register: Reg) -> u8 {
        registers::piece_count(register)
    }

    fn pieces(register: Reg, part: Part) -> Range<u8> {
        registers::pieces(register, part)
    }

    fn piece_name(isa: Isa, register: Reg, piece: u8) -> &'static str {
        registers::piece_name(isa, register, piece)
    }

    fn register_bits(register: Reg) -> u16 {
        registers::width(register)
    }

    fn register_name(register: Reg, part: Part) -> String {
        registers::part_name(register, part)
    }
}
