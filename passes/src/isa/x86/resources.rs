//! Resources: parts of registers that instructions write separately, and flags. The units of reaching definitions.

use super::abi::{CallingConvention, RESULT};
use super::flags::{FLAGS, TRACKED_FLAGS};
use super::instruction_facts::{is_high_byte, is_system_call};
use super::rows::register_name;
use iced_x86::{Instruction, InstructionInfoFactory, InstructionInfoOptions, OpAccess, OpKind, Register};
use std::ops::Range;

/// A part of a register that instructions write separately, or a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource(pub(crate) u32);

/// Access of an instruction to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResourceAccess {
    Read,
    /// Read only as part of an address.
    ReadAddress,
    Write,
    /// Written under a condition.
    MayWrite,
}

/// Parts of a general register: its lowest byte, the second byte, and the rest.
const GENERAL_PARTS: u32 = 3;
/// Parts of a vector register: the low 16 bytes, and the rest.
const VECTOR_PARTS: u32 = 2;
/// Number of the first part of a vector register. Resources are numbered by class, and by register in it.
const VECTORS: u32 = 16 * GENERAL_PARTS;
const MASKS: u32 = VECTORS + 32 * VECTOR_PARTS;
const MMX: u32 = MASKS + 8;
const FLAGS_START: u32 = MMX + 8;

impl Resource {
    /// Number of resources.
    pub(crate) const COUNT: u32 = FLAGS_START + TRACKED_FLAGS as u32;

    /// Name of the register that the resource is part of, or of the flag.
    pub(crate) fn name(self, convention: CallingConvention) -> &'static str {
        let register = |first: u32, parts: u32| (self.0 - first) / parts;
        match self.0 {
            ..VECTORS => convention.register_name(register(0, GENERAL_PARTS) as u8),
            VECTORS..MASKS => register_name(Register::ZMM0 + register(VECTORS, VECTOR_PARTS)),
            MASKS..MMX => register_name(Register::K0 + register(MASKS, 1)),
            MMX..FLAGS_START => register_name(Register::MM0 + register(MMX, 1)),
            _ => FLAGS[register(FLAGS_START, 1) as usize].1,
        }
    }

    /// Whether the resource is part of a general register.
    pub(crate) fn is_general(self) -> bool {
        self.0 < VECTORS
    }

    /// Whether the resource is a flag.
    pub(crate) fn is_flag(self) -> bool {
        self.0 >= FLAGS_START
    }

    /// Resources in which functions return integers, addresses and floating-point numbers.
    pub(crate) fn results() -> impl Iterator<Item = Self> {
        Self::general(RESULT).chain(Self::vectors(1))
    }

    /// The parts of a general register.
    pub(crate) fn general(register: u8) -> impl Iterator<Item = Self> {
        let first = u32::from(register) * GENERAL_PARTS;
        (first..first + GENERAL_PARTS).map(Self)
    }

    /// The low parts of the first vector registers.
    pub(crate) fn vectors(count: u32) -> impl Iterator<Item = Self> {
        (0..count).map(|number| Self(VECTORS + number * VECTOR_PARTS))
    }

    /// Resources other than general registers that calls may clobber.
    pub(crate) fn clobbered_by_calls(convention: CallingConvention) -> impl Iterator<Item = Self> {
        let (first, end) = convention.preserved_vectors;
        let preserved = VECTORS + first * VECTOR_PARTS..VECTORS + end * VECTOR_PARTS;
        // No convention preserves the upper parts of vector registers.
        let is_preserved = move |part: u32| preserved.contains(&part) && part.is_multiple_of(VECTOR_PARTS);
        let is_direction = |part: u32| part >= FLAGS_START && FLAGS[(part - FLAGS_START) as usize].1 == "df";
        (VECTORS..Self::COUNT).filter(move |part| !is_preserved(*part) && !is_direction(*part)).map(Self)
    }

    /// The resources of a register; empty for the stack pointer and for registers that are not tracked.
    fn parts(register: Register) -> Range<u32> {
        let full = register.full_register();
        let number = full.number() as u32;
        if full.is_gpr64() {
            let first = number * GENERAL_PARTS;
            return match register.size() {
                _ if full == Register::RSP => 0..0,
                1 if is_high_byte(register) => first + 1..first + 2,
                1 => first..first + 1,
                2 => first..first + 2,
                _ => first..first + GENERAL_PARTS,
            };
        }
        let whole = |first: u32, parts: u32| first + number * parts..first + (number + 1) * parts;
        match full {
            _ if register.is_xmm() => VECTORS + number * VECTOR_PARTS..VECTORS + number * VECTOR_PARTS + 1,
            _ if full.is_zmm() => whole(VECTORS, VECTOR_PARTS),
            _ if full.is_k() => whole(MASKS, 1),
            _ if full.is_mm() => whole(MMX, 1),
            _ => 0..0,
        }
    }
}

/// Calls `each` for every access of an instruction to a resource; reads come first.
pub(crate) fn each_resource(
    instruction: &Instruction,
    info: &mut InstructionInfoFactory,
    mut each: impl FnMut(Resource, ResourceAccess),
) {
    let used = info.info_options(instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
    let flags = |bits: u32| {
        let set = (FLAGS_START..Resource::COUNT).zip(FLAGS).filter(move |(_, (bit, _))| bits & bit != 0);
        set.map(|(index, _)| Resource(index))
    };
    for register in used.used_registers() {
        use OpAccess::{CondRead, Read, ReadCondWrite, ReadWrite};
        if !matches!(register.access(), Read | CondRead | ReadWrite | ReadCondWrite) {
            continue;
        }
        let full = register.register().full_register();
        let is_part = |part: Register| part != Register::None && part.full_register() == full;
        let is_operand = (0..instruction.op_count()).any(|operand| {
            instruction.op_kind(operand) == OpKind::Register
                && is_part(instruction.op_register(operand))
                && used.op_access(operand) != OpAccess::Write
        });
        let is_address = is_part(instruction.memory_base()) || is_part(instruction.memory_index());
        let access =
            if is_address && !is_operand { ResourceAccess::ReadAddress } else { ResourceAccess::Read };
        Resource::parts(register.register()).for_each(|part| each(Resource(part), access));
    }
    flags(instruction.rflags_read()).for_each(|flag| each(flag, ResourceAccess::Read));
    // The number of the system call, and its result.
    if is_system_call(instruction) {
        Resource::general(RESULT).for_each(|part| each(part, ResourceAccess::Read));
        Resource::general(RESULT).for_each(|part| each(part, ResourceAccess::Write));
    }
    for register in used.used_registers() {
        let access = match register.access() {
            OpAccess::Write | OpAccess::ReadWrite => ResourceAccess::Write,
            OpAccess::CondWrite | OpAccess::ReadCondWrite => ResourceAccess::MayWrite,
            _ => continue,
        };
        Resource::parts(register.register()).for_each(|part| each(Resource(part), access));
    }
    flags(instruction.rflags_modified()).for_each(|flag| each(flag, ResourceAccess::Write));
}
