//! The seam between passes and instruction sets: which there are, and what passes ask of each.

use super::abi::{Abi, CallingConvention};
use super::ops::{Ops, Part, Reg};
use binframe_ir::tables::{Architecture, EffectAccess, Flow, InstructionBuilder, Instructions, Role};
use binframe_ir::{Enumeration, Rows};
use bytes::Bytes;
use std::ops::Range;

/// An instruction set, including the processor mode. The default one stands for that of a binary without code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isa {
    /// x86 in 64-bit mode.
    #[default]
    X86_64,
    /// x86 in 32-bit mode.
    X86,
    /// Arm's A64, the instruction set of 64-bit mode.
    AArch64,
}

impl Isa {
    /// The instruction set of an architecture; `None` if its code is not decoded.
    pub fn of(architecture: Architecture) -> Option<Self> {
        match architecture {
            Architecture::X86_64 => Some(Self::X86_64),
            Architecture::X86 => Some(Self::X86),
            Architecture::Aarch64 => Some(Self::AArch64),
            _ => None,
        }
    }

    /// Size of an address in bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::X86_64 | Self::AArch64 => 64,
            Self::X86 => 32,
        }
    }
}

/// What passes ask of an instruction set.
///
/// A loop over instructions is a function that is generic over the instruction set;
/// [`with_instruction_set`](super::with_instruction_set) chooses it once for a range of code. So each set has a loop of
/// its own, compiled for its decoder and its instructions, and no instruction costs a choice.
pub(crate) trait InstructionSet {
    /// A decoded instruction. The default one is a buffer for [`Decoder::decode`].
    type Instruction: Default;
    /// Decodes a range of code.
    type Decoder<'a>: Decoder<Instruction = Self::Instruction>;
    /// Writes rows of `instructions`.
    type RowWriter: RowWriter<Instruction = Self::Instruction>;

    /// The longest instruction, in bytes.
    const SIZE_MAX: usize;
    /// The number of which addresses of instructions are multiples.
    const ALIGNMENT: usize;

    // Of one instruction.

    /// A decoder of `bytes`, the first of which is at `address`.
    fn decoder(isa: Isa, bytes: &[u8], address: u64) -> Self::Decoder<'_>;
    /// Size in bytes.
    fn size(instruction: &Self::Instruction) -> usize;
    /// Address of the first byte.
    fn address(instruction: &Self::Instruction) -> u64;
    /// The control flow of a valid instruction.
    fn classify(instruction: &Self::Instruction) -> Flow;
    /// The numbers of the system calls that end a process, if the instruction calls the system; none for others.
    fn exit_calls(_: &Self::Instruction) -> &'static [u32] {
        &[]
    }
    /// The target of a direct call; `None` for other instructions.
    fn direct_call_target(instruction: &Self::Instruction) -> Option<u64>;
    /// The target of a direct jump or call, or the constant address of the pointer that an indirect one reads; `None`
    /// for other instructions. The decoder has just decoded the instruction. `pointer_table` is the table of such
    /// pointers (GOT), for stubs that have its address in a register.
    fn target(
        decoder: &Self::Decoder<'_>,
        instruction: &Self::Instruction,
        pointer_table: Option<u64>,
    ) -> Option<u64>;
    /// The constant address in an instruction that is not a branch; `None` if it has none. The decoder has just decoded
    /// the instruction.
    fn constant_address(
        decoder: &Self::Decoder<'_>,
        instruction: &Self::Instruction,
    ) -> Option<ConstantAddress>;
    /// The bytes of the last decoded instruction that hold a relative address, and the address; `None` if it has none.
    fn relative_field(
        decoder: &Self::Decoder<'_>,
        instruction: &Self::Instruction,
    ) -> Option<(Range<usize>, u64)>;
    /// Adds the effects on registers and flags, sorted by name, without duplicates.
    fn add_effects(instruction: &Self::Instruction, buffers: &mut Buffers, effects: &mut Vec<Effect>);
    /// Appends the ops of a valid instruction.
    fn lower(instruction: &Self::Instruction, buffers: &mut Buffers, ops: &mut Ops);

    // Of bytes.

    /// The first instruction as text; `(bad)` if it is invalid.
    fn disassemble(isa: Isa, bytes: &[u8], address: u64) -> String;
    /// The first instruction as the GNU assembler reads it; `(bad)` if it is invalid.
    fn disassemble_att(isa: Isa, bytes: &[u8], address: u64) -> String;
    /// Whether the bytes are padding: all zeros, or whole instructions that linkers and compilers put between functions.
    fn is_padding(isa: Isa, bytes: &[u8]) -> bool;
    /// Whether code ends with common padding between functions.
    fn ends_in_padding(bytes: &[u8]) -> bool;
    /// Whether code can be the start of a function: it reads nothing that a caller does not pass.
    fn may_begin_function(isa: Isa, bytes: &[u8]) -> bool;
    /// The same of code to which a pointer leads, in any calling convention.
    fn may_begin_pointed_function(isa: Isa, bytes: &[u8]) -> bool {
        Self::may_begin_function(isa, bytes)
    }
    /// Whether code starts with instructions that mark a function which can be patched while it runs.
    fn is_hot_patch_point(_: Isa, _: &[u8]) -> bool {
        false
    }
    /// The base register and the offset of the memory operand of the first instruction, if it has no index.
    fn based_operand(_: Isa, _: &[u8]) -> Option<(Reg, u64)> {
        None
    }
    /// The constant that the first instruction adds to a register; `None` if it does something else.
    fn added_constant(_: Isa, _: &[u8], _: Reg) -> Option<u64> {
        None
    }
    /// Whether the first instruction has a memory operand with an index register.
    fn is_indexed(_: Isa, _: &[u8]) -> bool {
        false
    }
    /// Whether the first instruction sets up a stack frame, or marks a target of indirect calls.
    fn is_prologue(isa: Isa, bytes: &[u8]) -> bool;
    /// Whether code saves a callee-saved register first.
    fn saves_register(isa: Isa, bytes: &[u8]) -> bool;
    /// Whether code ends with its stack frame removed: no later instruction moves the stack pointer.
    fn ends_in_epilogue(isa: Isa, bytes: &[u8]) -> bool;
    /// Whether string instructions after code may run from high addresses to low ones.
    fn sets_direction(isa: Isa, code: &[u8]) -> bool;
    /// The register into which a function loads its return address, if the code at its start does nothing else.
    fn address_getter(isa: Isa, code: &[u8]) -> Option<Reg>;
    /// Whether code starts with a prefix that makes the first instruction atomic, and that a jump may pass over: the rest
    /// is the same instruction without it.
    fn has_atomic_prefix(_: Isa, _: &[u8]) -> bool {
        false
    }
    /// The address that the last instruction of code pushes, if it is a constant; `None` otherwise.
    fn pushed_address(_: Isa, _: &[u8]) -> Option<u64> {
        None
    }
    /// Whether straight-line code moves the stack pointer by a variable and then at most pops.
    fn moves_stack_by_variable(_: Isa, _: &[u8]) -> bool {
        false
    }

    // Of the set.

    /// What all ABIs of the instruction set with the given width of addresses have in common.
    fn abi(isa: Isa, address_bits: u32) -> Abi;
    /// The calling convention of code.
    fn calling_convention(isa: Isa, is_windows: bool) -> CallingConvention;
    /// Number of the pieces of a register that instructions write separately, for data flow; 0 if it is not tracked.
    fn piece_count(register: Reg) -> u8;
    /// The pieces that a part of a register overlaps.
    fn pieces(register: Reg, part: Part) -> Range<u8>;
    /// The name of the register that a piece is in.
    fn piece_name(isa: Isa, register: Reg, piece: u8) -> &'static str;
    /// Width in bits of a register that ops refer to.
    fn register_bits(register: Reg) -> u16;
    /// The name of a part of a register that ops refer to.
    fn register_name(register: Reg, part: Part) -> String;
}

/// Decodes a range of code, one instruction at a time.
pub(crate) trait Decoder {
    /// A decoded instruction.
    type Instruction;

    /// Continues at an offset in the bytes.
    fn seek(&mut self, offset: usize);
    /// Decodes the next instruction; false if the bytes are invalid, or the end is reached.
    fn decode(&mut self, instruction: &mut Self::Instruction) -> bool;
}

/// Writes rows of `instructions`.
pub(crate) trait RowWriter {
    /// A decoded instruction.
    type Instruction;

    /// A writer of about `count` instructions whose bytes are in `code`.
    fn new(code: &Bytes, count: usize) -> Self;
    /// Appends a row; `None` if its bytes are invalid or data.
    fn push(&mut self, place: RowPlace<'_>, instruction: Option<&Self::Instruction>);
    /// The rows.
    fn finish(self) -> Rows<Instructions>;
}

/// What a row of `instructions` states besides the instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowPlace<'a> {
    pub(crate) address: u64,
    pub(crate) section_index: u32,
    pub(crate) bytes: &'a [u8],
    pub(crate) role: Role,
    /// The function and the block that contain it.
    pub(crate) owner: (Option<u64>, Option<u64>),
}

impl RowPlace<'_> {
    /// Appends to the columns that do not depend on the instruction.
    pub(super) fn push_to(&self, rows: &mut InstructionBuilder) {
        rows.address.push(self.address);
        rows.size.push(self.bytes.len() as u8);
        rows.end_address.push(self.address + self.bytes.len() as u64);
        rows.function_address.push(self.owner.0);
        rows.block_address.push(self.owner.1);
        rows.section_index.push(self.section_index);
        rows.bytes.push(self.bytes);
        rows.role.push(self.role);
    }
}

/// A constant address in an instruction that is not a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConstantAddress {
    pub(crate) address: u64,
    /// Whether the instruction takes the address, rather than access the memory at it.
    pub(crate) is_taken: bool,
    /// Bytes that are accessed; 0 if the address is taken.
    pub(crate) size: u8,
}

/// A register or flag, its access, and whether the access is implicit, that is, no operand names it.
pub(crate) type Effect = (&'static str, EffectAccess, bool);

/// Sorts the effects from a position on by name, and removes duplicates: an access that is both implicit and not is
/// not.
pub(super) fn sort_effects(effects: &mut Vec<Effect>, first: usize) {
    effects[first..].sort_unstable_by_key(|(name, access, is_implicit)| (*name, access.name(), *is_implicit));
    let mut kept = first;
    for index in first..effects.len() {
        if kept == first || (effects[kept - 1].0, effects[kept - 1].1) != (effects[index].0, effects[index].1)
        {
            effects[kept] = effects[index];
            kept += 1;
        }
    }
    effects.truncate(kept);
}

/// Buffers that instruction sets reuse from instruction to instruction.
pub(crate) struct Buffers {
    /// What iced computes about an instruction of x86.
    pub(super) x86: iced_x86::InstructionInfoFactory,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { x86: iced_x86::InstructionInfoFactory::new() }
    }
}
