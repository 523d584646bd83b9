//! Instruction sets: the only code that knows what machine code means.
//!
//! Passes name no instruction set. Loops over instructions are generic over `InstructionSet`, and
//! `with_instruction_set` chooses the set once for a range of code; the methods of [`Isa`] answer what depends only on
//! the instruction set and bytes. Each set has a folder, and the folders are twins: `decode`, `flow`, `rows`, `prologue`,
//! `effects`, `text`, `abi`, `registers`.
//!
//! The memory stage leaves out code of a set whose instructions have no ops yet.

pub(crate) mod aarch64;
mod abi;
mod instruction_set;
mod op_rows;
pub mod ops;
pub mod x86;

pub(crate) use abi::{Abi, CallingConvention};
pub use instruction_set::Isa;
pub(crate) use instruction_set::{Buffers, ConstantAddress, Decoder, InstructionSet, RowPlace, RowWriter};
pub(crate) use op_rows::OpRowWriter;

use ops::Ops;
use std::ops::Range;

/// Evaluates an expression with a type name bound to the [`InstructionSet`] of an [`Isa`].
macro_rules! with_instruction_set {
    ($isa:expr, $set:ident => $body:expr) => {
        match $isa {
            $crate::isa::Isa::X86_64 | $crate::isa::Isa::X86 => {
                type $set = $crate::isa::x86::X86;
                $body
            }
            $crate::isa::Isa::AArch64 => {
                type $set = $crate::isa::aarch64::AArch64;
                $body
            }
        }
    };
}
pub(crate) use with_instruction_set;

impl Isa {
    /// The longest instruction, in bytes.
    pub(crate) fn instruction_size_max(self) -> usize {
        with_instruction_set!(self, S => S::SIZE_MAX)
    }

    /// The number of which addresses of instructions are multiples.
    pub(crate) fn alignment(self) -> usize {
        with_instruction_set!(self, S => S::ALIGNMENT)
    }

    /// The size of the first instruction of `bytes`; `None` if it is invalid.
    pub fn instruction_size(self, bytes: &[u8], address: u64) -> Option<usize> {
        with_instruction_set!(self, S => {
            let mut instruction = <S as InstructionSet>::Instruction::default();
            S::decoder(self, bytes, address).decode(&mut instruction).then(|| S::size(&instruction))
        })
    }

    /// The first instruction of `bytes`, in Intel syntax for x86; `(bad)` if it is invalid.
    pub fn disassemble(self, bytes: &[u8], address: u64) -> String {
        with_instruction_set!(self, S => S::disassemble(self, bytes, address))
    }

    /// The first instruction of `bytes`, in AT&T syntax for x86, as the GNU assembler reads it; `(bad)` if it is invalid.
    pub fn disassemble_att(self, bytes: &[u8], address: u64) -> String {
        with_instruction_set!(self, S => S::disassemble_att(self, bytes, address))
    }

    /// Writes the ops of the first instruction of `bytes` into a buffer; its size, or `None` if it is invalid.
    pub fn ops(self, bytes: &[u8], address: u64, ops: &mut Ops) -> Option<usize> {
        ops.clear();
        with_instruction_set!(self, S => {
            let mut instruction = <S as InstructionSet>::Instruction::default();
            let is_valid = S::decoder(self, bytes, address).decode(&mut instruction);
            is_valid.then(|| {
                S::lower(&instruction, &mut Buffers::default(), ops);
                S::size(&instruction)
            })
        })
    }

    /// Width in bits of a register that ops refer to.
    pub fn register_bits(self, register: ops::Reg) -> u16 {
        with_instruction_set!(self, S => S::register_bits(register))
    }

    /// The name of a part of a register that ops refer to.
    pub fn register_name(self, register: ops::Reg, part: ops::Part) -> String {
        with_instruction_set!(self, S => S::register_name(register, part))
    }

    /// Whether the bytes are padding: all zeros, or whole instructions that linkers and compilers put between functions.
    pub fn is_padding(self, bytes: &[u8]) -> bool {
        with_instruction_set!(self, S => S::is_padding(self, bytes))
    }

    /// Whether code ends with common padding between functions.
    pub(crate) fn ends_in_padding(self, bytes: &[u8]) -> bool {
        with_instruction_set!(self, S => S::ends_in_padding(bytes))
    }

    /// Whether jump tables in code may hold absolute addresses of 32 bits.
    pub(crate) fn has_absolute_tables(self) -> bool {
        self.bits() == 32
    }

    /// Whether symbols `$d` and `$x` tell data in code from instructions.
    pub(crate) fn has_mapping_symbols(self) -> bool {
        self == Self::AArch64
    }

    /// Whether the memory stage analyzes code of this set.
    pub(crate) fn is_analyzed_by_memory(self) -> bool {
        matches!(self, Self::X86_64 | Self::X86)
    }

    /// Whether code can be the start of a function: it reads nothing that a caller does not pass.
    pub(crate) fn may_begin_function(self, bytes: &[u8]) -> bool {
        with_instruction_set!(self, S => S::may_begin_function(self, bytes))
    }

    /// The same of code to which a pointer leads, in any calling convention.
    pub(crate) fn may_begin_pointed_function(self, bytes: &[u8]) -> bool {
        with_instruction_set!(self, S => S::may_begin_pointed_function(self, bytes))
    }

    /// Whether code starts with instructions that mark a function which can be patched while it runs.
    pub(crate) fn is_hot_patch_point(self, bytes: &[u8]) -> bool {
        with_instruction_set!(self, S => S::is_hot_patch_point(self, bytes))
    }

    /// The base register and the offset of the memory operand of the first instruction, if it has no index.
    pub(crate) fn based_operand(self, bytes: &[u8]) -> Option<(ops::Reg, u64)> {
        with_instruction_set!(self, S => S::based_operand(self, bytes))
    }

    /// The constant that the first instruction adds to a register; `None` if it does something else.
    pub(crate) fn added_constant(self, bytes: &[u8], register: ops::Reg) -> Option<u64> {
        with_instruction_set!(self, S => S::added_constant(self, bytes, register))
    }

    /// Whether the first instruction is padding.
    pub(crate) fn is_padding_at(self, bytes: &[u8]) -> bool {
        let size = self.instruction_size(bytes, 0);
        size.is_some_and(|size| self.is_padding(&bytes[..size]))
    }

    /// Whether the first instruction has a memory operand with an index register.
    pub(crate) fn is_indexed(self, bytes: &[u8]) -> bool {
        with_instruction_set!(self, S => S::is_indexed(self, bytes))
    }

    /// Whether the first instruction sets up a stack frame, or marks a target of indirect calls.
    pub(crate) fn is_prologue(self, bytes: &[u8]) -> bool {
        with_instruction_set!(self, S => S::is_prologue(self, bytes))
    }

    /// Whether code saves a callee-saved register first.
    pub(crate) fn saves_register(self, bytes: &[u8]) -> bool {
        with_instruction_set!(self, S => S::saves_register(self, bytes))
    }

    /// Whether code ends with its stack frame removed: no later instruction moves the stack pointer.
    pub(crate) fn ends_in_epilogue(self, bytes: &[u8]) -> bool {
        with_instruction_set!(self, S => S::ends_in_epilogue(self, bytes))
    }

    /// Whether string instructions after code may run from high addresses to low ones.
    pub(crate) fn sets_direction(self, code: &[u8]) -> bool {
        with_instruction_set!(self, S => S::sets_direction(self, code))
    }

    /// What all ABIs of the instruction set have in common whose addresses are as wide as registers.
    pub(crate) fn abi(self) -> Abi {
        self.abi_with_addresses(self.bits())
    }

    /// What all ABIs of the instruction set with the given width of addresses have in common.
    pub(crate) fn abi_with_addresses(self, address_bits: u32) -> Abi {
        with_instruction_set!(self, S => S::abi(self, address_bits))
    }

    /// The calling convention of code.
    pub(crate) fn calling_convention(self, is_windows: bool) -> CallingConvention {
        with_instruction_set!(self, S => S::calling_convention(self, is_windows))
    }

    /// Number of the pieces of a register that instructions write separately; 0 if it is not tracked.
    pub(crate) fn piece_count(self, register: ops::Reg) -> u8 {
        with_instruction_set!(self, S => S::piece_count(register))
    }

    /// The pieces that a part of a register overlaps.
    pub(crate) fn pieces(self, register: ops::Reg, part: ops::Part) -> Range<u8> {
        with_instruction_set!(self, S => S::pieces(register, part))
    }

    /// The name of the register that a piece is in.
    pub(crate) fn piece_name(self, register: ops::Reg, piece: u8) -> &'static str {
        with_instruction_set!(self, S => S::piece_name(self, register, piece))
    }

    /// The name of a general register.
    pub(crate) fn general_register_name(self, number: u8) -> &'static str {
        with_instruction_set!(self, S => S::piece_name(self, ops::Reg(number), 0))
    }

    /// The register into which a function loads its return address, if the code at its start does nothing else; `None`
    /// otherwise.
    pub(crate) fn address_getter(self, code: &[u8]) -> Option<ops::Reg> {
        with_instruction_set!(self, S => S::address_getter(self, code))
    }

    /// Whether code starts with a prefix that makes the first instruction atomic, and that a jump may pass over.
    pub(crate) fn has_atomic_prefix(self, code: &[u8]) -> bool {
        with_instruction_set!(self, S => S::has_atomic_prefix(self, code))
    }

    /// The address that the last instruction of code pushes, if it is a constant; `None` otherwise.
    pub(crate) fn pushed_address(self, code: &[u8]) -> Option<u64> {
        with_instruction_set!(self, S => S::pushed_address(self, code))
    }

    /// Whether straight-line code moves the stack pointer by a variable and then at most pops.
    pub(crate) fn moves_stack_by_variable(self, code: &[u8]) -> bool {
        with_instruction_set!(self, S => S::moves_stack_by_variable(self, code))
    }
}
