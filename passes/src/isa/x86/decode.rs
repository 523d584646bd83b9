//! Decoding, and properties of an instruction that depend on the mode it was decoded in.

use crate::isa::instruction_set::{self, Decoder as _, Isa};
use iced_x86::{CodeSize, DecoderOptions, Instruction, OpKind, Register};
use std::ops::Range;

/// Decodes a range of code, one instruction at a time.
pub(crate) struct Decoder<'a> {
    decoder: iced_x86::Decoder<'a>,
    address: u64,
}

impl<'a> Decoder<'a> {
    /// A decoder of `bytes`, the first of which is at `address`, in 32-bit or 64-bit mode.
    pub(in crate::isa) fn new(isa: Isa, bytes: &'a [u8], address: u64) -> Self {
        let decoder = iced_x86::Decoder::with_ip(isa.bits(), bytes, address, DecoderOptions::NONE);
        Self { decoder, address }
    }

    /// The bytes of the last decoded instruction that encode an address relative to its end, and that address. `None`
    /// if it has no relative address.
    pub(super) fn relative_field(&self, instruction: &Instruction) -> Option<(Range<usize>, u64)> {
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

impl instruction_set::Decoder for Decoder<'_> {
    type Instruction = Instruction;

    fn seek(&mut self, offset: usize) {
        self.decoder.set_position(offset).expect("the offset is within the bytes");
        self.decoder.set_ip(self.address.wrapping_add(offset as u64));
    }

    #[inline]
    fn decode(&mut self, instruction: &mut Instruction) -> bool {
        self.decoder.decode_out(instruction);
        !instruction.is_invalid()
    }
}

/// Whether an instruction was decoded in 32-bit mode.
#[inline]
pub(super) fn is_32(instruction: &Instruction) -> bool {
    instruction.code_size() == CodeSize::Code32
}

/// The constant part of the address of a memory operand. In 32-bit mode it is sign-extended if there is a base
/// register; without one it is an absolute address.
#[inline]
pub(super) fn displacement(instruction: &Instruction) -> u64 {
    let displacement = instruction.memory_displacement64();
    match is_32(instruction) && instruction.memory_base() != Register::None {
        true => sign_extended(displacement),
        false => displacement,
    }
}

/// A 32-bit number, sign-extended.
pub(super) fn sign_extended(number: u64) -> u64 {
    i64::from(number as u32 as i32) as u64
}

/// The first instruction of some bytes; `None` if it is invalid.
pub(super) fn first(isa: Isa, bytes: &[u8]) -> Option<Instruction> {
    let mut instruction = Instruction::default();
    Decoder::new(isa, bytes, 0).decode(&mut instruction).then_some(instruction)
}
