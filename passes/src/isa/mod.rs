//! Instruction sets: the only code that knows what machine code means.
//!
//! Passes use this interface and name no instruction set: the methods of [`Isa`] decode code and answer what depends
//! only on the instruction set and bytes; functions of an [`Instruction`] answer what that instruction does. [`Isa`] is
//! an enumeration, not a trait, so passes need no type parameter and no instruction costs a dynamic call.

mod instruction_set;
pub mod x86;

pub use instruction_set::Isa;
pub(crate) use x86::{
    AbstractInterpreter, CallingConvention, ConstantAddress, Decoder, Effects, FRAME_POINTER, Instruction,
    MemoryReference, MergedRegisters, RESULT, Resource, ResourceAccess, RowWriter, STACK_POINTER,
    SymbolicState, add_effects, classify, constant_address, direct_call_target, is_call, is_whole_move,
    popped_by_callee, refine_by_branch, stack_alignment, stored_register, target,
};

use bytes::Bytes;

/// The longest instruction of any instruction set, in bytes.
pub(crate) const INSTRUCTION_SIZE_MAX: usize = x86::INSTRUCTION_SIZE_MAX;

impl Isa {
    /// A decoder of `bytes`, the first of which is at `address`.
    pub(crate) fn decoder(self, bytes: &[u8], address: u64) -> Decoder<'_> {
        Decoder::new(self.bits(), bytes, address)
    }

    /// A writer of the rows of about `count` instructions whose bytes are in `code`.
    pub(crate) fn rows(self, code: &Bytes, count: usize) -> RowWriter {
        match self {
            Self::X86_64 | Self::X86 => RowWriter::new(code, count),
        }
    }

    /// The first instruction of `bytes` in Intel syntax; `(bad)` if it is invalid.
    pub fn disassemble(self, bytes: &[u8], address: u64) -> String {
        x86::disassemble(self, bytes, address)
    }

    /// The first instruction of `bytes` in AT&T syntax, as the GNU assembler reads it; `(bad)` if it is invalid.
    pub fn disassemble_att(self, bytes: &[u8], address: u64) -> String {
        x86::disassemble_att(self, bytes, address)
    }

    /// Whether the bytes are padding: all zeros, or whole instructions without effect that linkers and compilers put
    /// between functions.
    pub fn is_padding(self, bytes: &[u8]) -> bool {
        x86::is_padding(self, bytes)
    }

    /// Whether a byte is the last of common padding between functions.
    pub(crate) fn is_padding_byte(self, byte: u8) -> bool {
        match self {
            Self::X86_64 | Self::X86 => x86::is_padding_byte(byte),
        }
    }

    /// Whether jump tables in code may hold absolute addresses of 32 bits.
    pub(crate) fn has_absolute_tables(self) -> bool {
        self == Self::X86
    }

    /// Whether code can be the start of a function: it reads nothing that a caller does not pass.
    pub(crate) fn may_begin_function(self, bytes: &[u8]) -> bool {
        x86::may_begin_function(self, bytes)
    }

    /// Whether the first instruction sets up a stack frame, or marks a target of indirect calls.
    pub(crate) fn is_prologue(self, bytes: &[u8]) -> bool {
        x86::is_prologue(self, bytes)
    }

    /// Whether the first instruction saves a callee-saved register.
    pub(crate) fn saves_register(self, bytes: &[u8]) -> bool {
        x86::saves_register(self, bytes)
    }

    /// Whether code ends with its stack frame removed: no later instruction moves the stack pointer.
    pub(crate) fn ends_in_epilogue(self, bytes: &[u8]) -> bool {
        x86::ends_in_epilogue(self, bytes)
    }

    /// The register into which a function loads its return address, if the code at its start does nothing else; `None`
    /// otherwise.
    pub(crate) fn address_getter(self, code: &[u8]) -> Option<usize> {
        x86::address_getter(self, code)
    }
}
