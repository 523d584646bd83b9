//! Instruction sets: the only code that knows what machine code means.
//!
//! Passes use what stands here, and name no instruction set: an [`Isa`] decodes code and says what depends on nothing but the
//! set, and functions of an [`Instruction`] say what it does. An [`Isa`] is a value and no trait, so that passes need no
//! parameters of types, and so that nothing is looked up for each instruction.

pub mod x86;

pub(crate) use x86::{
    AbstractInterpreter, CallingConvention, ConstantAddress, Decoder, Effects, FRAME_POINTER, Instruction,
    Lost, MemoryReference, RESULT, Resource, ResourceAccess, RowWriter, STACK_POINTER, State, add_effects,
    called, classify, constant_address, is_call, is_whole_move, popped_by_callee, refine_by_branch,
    stack_alignment, stored_register, target,
};

use binframe_ir::tables::Architecture;
use bytes::Bytes;

/// The longest instruction of any set, in bytes.
pub(crate) const INSTRUCTION_SIZE_MAX: usize = x86::INSTRUCTION_SIZE_MAX;

/// How machine code is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86 in 64-bit mode.
    X86_64,
    /// x86 in 32-bit mode.
    X86,
}

impl Isa {
    /// That of an architecture, if its code is decoded.
    pub fn of(architecture: Architecture) -> Option<Self> {
        match architecture {
            Architecture::X86_64 => Some(Self::X86_64),
            Architecture::X86 => Some(Self::X86),
            _ => None,
        }
    }

    /// Size of an address in bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::X86_64 => 64,
            Self::X86 => 32,
        }
    }

    /// A decoder of `bytes`, whose first lies at `address`.
    pub(crate) fn decoder(self, bytes: &[u8], address: u64) -> Decoder<'_> {
        Decoder::new(self.bits(), bytes, address)
    }

    /// A writer of the rows of about `count` instructions whose bytes lie in `code`.
    pub(crate) fn rows(self, code: &Bytes, count: usize) -> RowWriter {
        match self {
            Self::X86_64 | Self::X86 => RowWriter::new(code, count),
        }
    }

    /// The instruction that `bytes` begin with, as assembly; `(bad)` where they begin with none.
    pub fn disassemble(self, bytes: &[u8], address: u64) -> String {
        x86::disassemble(self, bytes, address)
    }

    /// The same in the syntax of AT&T and the GNU assembler.
    pub fn disassemble_att(self, bytes: &[u8], address: u64) -> String {
        x86::disassemble_att(self, bytes, address)
    }

    /// Whether the bytes are whole instructions that linkers and compilers put between functions, or zeros.
    pub fn is_padding(self, bytes: &[u8]) -> bool {
        x86::is_padding(self, bytes)
    }

    /// Whether a function can begin with the bytes: they need nothing that a caller does not hand over.
    pub(crate) fn may_begin_function(self, bytes: &[u8]) -> bool {
        x86::may_begin_function(self, bytes)
    }

    /// Whether code begins with what sets a frame up, or marks where an indirect call may go.
    pub(crate) fn is_prologue(self, bytes: &[u8]) -> bool {
        x86::is_prologue(self, bytes)
    }

    /// Whether code begins with keeping a register for its caller.
    pub(crate) fn keeps_register(self, bytes: &[u8]) -> bool {
        x86::keeps_register(self, bytes)
    }

    /// Whether code takes the stack frame down before it ends, and does nothing to the stack after that.
    pub(crate) fn ends_in_epilogue(self, bytes: &[u8]) -> bool {
        x86::ends_in_epilogue(self, bytes)
    }

    /// The register that a function puts its return address into, if that is all that the code at its start does.
    pub(crate) fn address_getter(self, code: &[u8]) -> Option<usize> {
        x86::address_getter(self, code)
    }
}
