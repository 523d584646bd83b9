//! x86 in 64-bit mode, as iced-x86 decodes it.

mod evaluate;
mod flow;
mod operands;
mod prologue;
mod stack;
mod text;

pub(crate) use evaluate::{Lost, State};
pub(crate) use flow::{ConstantAddress, classify, constant_address, direct_target, is_padding, target};
pub(crate) use operands::RowWriter;
pub(crate) use prologue::may_begin_function;
pub(crate) use stack::{StackState, Touched, saved_register, touches};

pub use text::disassemble;

pub(crate) use iced_x86::{Instruction, InstructionInfoFactory};

use iced_x86::{Decoder, DecoderOptions};

/// The longest instruction that the processor accepts, in bytes.
pub const INSTRUCTION_SIZE_MAX: usize = 15;

/// Decodes one instruction after another out of a stretch of code.
pub(crate) struct CodeDecoder<'a> {
    decoder: Decoder<'a>,
    address: u64,
}

impl<'a> CodeDecoder<'a> {
    /// A decoder of `bytes`, whose first lies at `address`.
    pub(crate) fn new(bytes: &'a [u8], address: u64) -> Self {
        Self { decoder: Decoder::with_ip(64, bytes, address, DecoderOptions::NONE), address }
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
}
