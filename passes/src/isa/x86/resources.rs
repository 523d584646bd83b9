//! Registers and flags, in the parts that instructions write apart from each other.

use super::convention::{Convention, RESULT};
use super::interpret::{Interpreter, is_service};
use super::operands::register_name;
use super::places::is_high_byte;
use iced_x86::{Instruction, InstructionInfoOptions, OpAccess, OpKind, Register, RflagsBits};
use std::ops::Range;

/// A part of a register that is written apart from the rest, or a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource(pub(crate) u32);

/// What an instruction does with a register or flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResourceUse {
    Read,
    /// It is read, but only as a part of an address.
    ReadAddress,
    Write,
    MayWrite,
}

/// The parts of a general register: its lowest byte, the next one, and the rest.
const GENERAL_PARTS: u32 = 3;
/// The parts of a vector register: the low 16 bytes, and the rest.
const VECTOR_PARTS: u32 = 2;
const VECTORS: u32 = 16 * GENERAL_PARTS;
const MASKS: u32 = VECTORS + 32 * VECTOR_PARTS;
const OLD_VECTORS: u32 = MASKS + 8;
const FLAGS_START: u32 = OLD_VECTORS + 8;
/// Flags by their bits.
const FLAGS: [(u32, &str); 7] = [
    (RflagsBits::AF, "af"),
    (RflagsBits::CF, "cf"),
    (RflagsBits::DF, "df"),
    (RflagsBits::OF, "of"),
    (RflagsBits::PF, "pf"),
    (RflagsBits::SF, "sf"),
    (RflagsBits::ZF, "zf"),
];

impl Resource {
    /// How many there are.
    pub(crate) const COUNT: u32 = FLAGS_START + FLAGS.len() as u32;

    /// The name of the register that it is a part of, or of the flag.
    pub(crate) fn name(self, convention: Convention) -> &'static str {
        let number = |first: u32, parts: u32| (self.0 - first) / parts;
        match self.0 {
            ..VECTORS => convention.register_name(number(0, GENERAL_PARTS) as u8),
            VECTORS..MASKS => register_name(Register::ZMM0 + number(VECTORS, VECTOR_PARTS)),
            MASKS..OLD_VECTORS => register_name(Register::K0 + number(MASKS, 1)),
            OLD_VECTORS..FLAGS_START => register_name(Register::MM0 + number(OLD_VECTORS, 1)),
            _ => FLAGS[number(FLAGS_START, 1) as usize].1,
        }
    }

    pub(crate) fn is_general(self) -> bool {
        self.0 < VECTORS
    }

    pub(crate) fn is_flag(self) -> bool {
        self.0 >= FLAGS_START
    }

    /// Where functions return numbers and addresses, and floating-point numbers.
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

    /// All that calls may change beside general registers.
    pub(crate) fn changed_by_calls(convention: Convention) -> impl Iterator<Item = Self> {
        let (first, end) = convention.preserved_vectors;
        let preserved = VECTORS + first * VECTOR_PARTS..VECTORS + end * VECTOR_PARTS;
        // The upper parts of vectors are preserved by none.
        let is_kept = move |part: u32| preserved.contains(&part) && part.is_multiple_of(VECTOR_PARTS);
        let is_direction = |part: u32| part >= FLAGS_START && FLAGS[(part - FLAGS_START) as usize].1 == "df";
        (VECTORS..Self::COUNT).filter(move |part| !is_kept(*part) && !is_direction(*part)).map(Self)
    }

    /// The parts of which a register consists; none of the stack pointer, and of registers that are not followed.
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
            _ if full.is_mm() => whole(OLD_VECTORS, 1),
            _ => 0..0,
        }
    }
}

impl Interpreter<'_> {
    /// Calls `each` with all that an instruction does with registers and flags. What it reads comes first.
    pub(crate) fn each_resource(
        &mut self,
        instruction: &Instruction,
        mut each: impl FnMut(Resource, ResourceUse),
    ) {
        let used = self.info.info_options(instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
        let flags = |bits: u32| {
            let set = (FLAGS_START..).zip(FLAGS).filter(move |(_, (bit, _))| bits & bit != 0);
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
            let usage = if is_address && !is_operand { ResourceUse::ReadAddress } else { ResourceUse::Read };
            Resource::parts(register.register()).for_each(|part| each(Resource(part), usage));
        }
        flags(instruction.rflags_read()).for_each(|flag| each(flag, ResourceUse::Read));
        // The system finds there which service is asked for, and leaves its result.
        if is_service(instruction) {
            Resource::general(RESULT).for_each(|part| each(part, ResourceUse::Read));
            Resource::general(RESULT).for_each(|part| each(part, ResourceUse::Write));
        }
        for register in used.used_registers() {
            let usage = match register.access() {
                OpAccess::Write | OpAccess::ReadWrite => ResourceUse::Write,
                OpAccess::CondWrite | OpAccess::ReadCondWrite => ResourceUse::MayWrite,
                _ => continue,
            };
            Resource::parts(register.register()).for_each(|part| each(Resource(part), usage));
        }
        flags(instruction.rflags_modified()).for_each(|flag| each(flag, ResourceUse::Write));
    }
}
