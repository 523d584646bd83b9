//! The register file of x86: iced's registers as parts of the widest registers that overlap.

use crate::isa::instruction_set::Isa;
use crate::isa::ops::{Part, Reg};
use iced_x86::Register;
use std::ops::Range;

/// `rax` to `r15`, in the order of their numbers in instructions.
pub(crate) const GENERAL: u8 = 0;
/// Bases of the segments `fs` and `gs`.
pub(crate) const FS_BASE: Reg = Reg(16);
pub(crate) const GS_BASE: Reg = Reg(17);
/// Control and status of SSE.
pub(crate) const MXCSR: Reg = Reg(18);
/// The x87 stack, and the MMX registers in it: 8 registers of 80 bits, by their numbers relative to the top.
pub(crate) const X87_STACK: Reg = Reg(19);
/// Control word, status word and tags of x87.
pub(crate) const X87_STATUS: Reg = Reg(20);
/// Flags that are no [`Flag`](crate::isa::ops::Flag).
pub(crate) const OTHER_FLAGS: Reg = Reg(21);
/// Control, debug and model-specific registers, and whatever else only the operating system sets.
pub(crate) const SYSTEM: Reg = Reg(22);
/// Registers of extensions that are not modelled: bounds, tiles.
pub(crate) const EXTENSIONS: Reg = Reg(23);
/// Segment selectors `es`, `cs`, `ss`, `ds`, `fs`, `gs`.
const SEGMENTS: u8 = 24;
/// `zmm0` to `zmm31`.
pub(crate) const VECTORS: u8 = 32;
/// `k0` to `k7`.
const MASKS: u8 = 64;
/// Number of registers.
pub(crate) const COUNT: u8 = 72;

/// Bits between the registers of the x87 stack.
const X87_BITS: u16 = 80;

/// The stack pointer and the frame pointer.
pub(crate) const STACK_POINTER: Reg = Reg(4);
pub(crate) const FRAME_POINTER: Reg = Reg(5);

/// A general register by its number.
pub(crate) const fn general(number: u8) -> Reg {
    Reg(GENERAL + number)
}

/// Width of a register in bits.
pub(crate) fn width(register: Reg) -> u16 {
    match register.0 {
        0..=17 | MASKS..COUNT => 64,
        VECTORS..MASKS => 512,
        SEGMENTS..=29 => 16,
        19 => 8 * X87_BITS,
        18 | 21 => 32,
        _ => 64,
    }
}

/// The register that an iced register is, or is part of, and which part. `rip` is no register: it is a constant.
pub(crate) fn part_of(register: Register) -> (Reg, Part) {
    let number = register.number() as u8;
    let bits = (register.size() * 8) as u16;
    let low = |reg: Reg| (reg, Part { low: 0, bits });
    match register {
        Register::AH | Register::CH | Register::DH | Register::BH => {
            (general(register.full_register().number() as u8), Part { low: 8, bits: 8 })
        }
        _ if register.is_gpr() => low(general(register.full_register().number() as u8)),
        _ if register.is_vector_register() => low(Reg(VECTORS + number)),
        _ if register.is_k() => low(Reg(MASKS + number)),
        _ if register.is_segment_register() => (Reg(SEGMENTS + number), Part { low: 0, bits: 16 }),
        _ if register.is_st() => (X87_STACK, Part { low: X87_BITS * u16::from(number), bits: X87_BITS }),
        _ if register.is_mm() => (X87_STACK, Part { low: X87_BITS * u16::from(number), bits: 64 }),
        _ if register.is_cr() || register.is_dr() || register.is_tr() => (SYSTEM, Part { low: 0, bits: 64 }),
        _ => (EXTENSIONS, Part { low: 0, bits: 64 }),
    }
}

/// Pieces of general registers: the lowest byte, the second byte, and the rest. Of vector registers: the low 16 bytes,
/// and the rest.
const GENERAL_PIECES: u8 = 3;
const VECTOR_PIECES: u8 = 2;
/// MMX registers, each a piece of the x87 stack.
const MMX_PIECES: u8 = 8;

/// Number of the pieces of a register that instructions write separately, for data flow; 0 if it is not tracked.
pub(crate) fn piece_count(register: Reg) -> u8 {
    match register.0 {
        _ if register == STACK_POINTER => 0,
        0..16 => GENERAL_PIECES,
        19 => MMX_PIECES,
        VECTORS..MASKS => VECTOR_PIECES,
        MASKS..COUNT => 1,
        _ => 0,
    }
}

/// The pieces that a part of a register overlaps. Instructions of x87 access their whole stack, which is not tracked.
pub(crate) fn pieces(register: Reg, Part { low, bits }: Part) -> Range<u8> {
    let between = |ends: &[u16]| {
        let first = ends.partition_point(|end| *end <= low);
        let end = ends.partition_point(|end| *end < low + bits) + 1;
        first as u8..end as u8
    };
    match register.0 {
        _ if register == STACK_POINTER => 0..0,
        0..16 => between(&[8, 16, 64]),
        19 if bits <= X87_BITS => (low / X87_BITS) as u8..(low / X87_BITS) as u8 + 1,
        VECTORS..MASKS => between(&[128, 512]),
        MASKS..COUNT => 0..1,
        _ => 0..0,
    }
}

/// The name of the register that a piece is in.
pub(crate) fn piece_name(isa: Isa, register: Reg, piece: u8) -> &'static str {
    let number = u32::from(register.0);
    super::rows::register_name(match register.0 {
        8..16 if isa == Isa::X86 => return "",
        0..8 if isa == Isa::X86 => Register::EAX + number,
        0..16 => Register::RAX + number,
        19 => Register::MM0 + u32::from(piece),
        MASKS..COUNT => Register::K0 + (number - u32::from(MASKS)),
        _ => Register::ZMM0 + (number.saturating_sub(u32::from(VECTORS))).min(31),
    })
}

/// The name of a part of a register: as in assembly if it has one.
pub(crate) fn part_name(register: Reg, part: Part) -> String {
    let Part { low, bits } = part;
    let range = |name: String| format!("{name}[{low}..{}]", low + bits);
    let named = |base: Register| format!("{:?}", base + u32::from(register.0)).to_lowercase();
    match register.0 {
        0..16 => match (low, bits) {
            (0, 64) => named(Register::RAX),
            (0, 32) => named(Register::EAX),
            (0, 16) => named(Register::AX),
            (0, 8) => super::rows::register_name(LOW_BYTES[usize::from(register.0)]).to_owned(),
            (8, 8) if register.0 < 4 => format!("{}h", ["a", "c", "d", "b"][usize::from(register.0)]),
            _ => range(named(Register::RAX)),
        },
        VECTORS..MASKS => {
            let number = register.0 - VECTORS;
            match (low, bits) {
                (0, 128) => format!("xmm{number}"),
                (0, 256) => format!("ymm{number}"),
                (0, 512) => format!("zmm{number}"),
                _ => range(format!("zmm{number}")),
            }
        }
        MASKS..COUNT if (low, bits) == (0, 64) => format!("k{}", register.0 - MASKS),
        MASKS..COUNT => range(format!("k{}", register.0 - MASKS)),
        SEGMENTS..=29 => ["es", "cs", "ss", "ds", "fs", "gs"][usize::from(register.0 - SEGMENTS)].to_owned(),
        19 if low % X87_BITS == 0 && bits == X87_BITS => format!("st{}", low / X87_BITS),
        19 if low % X87_BITS == 0 && bits == 64 => format!("mm{}", low / X87_BITS),
        number => {
            let name = match number {
                16 => "fs_base",
                17 => "gs_base",
                18 => "mxcsr",
                19 => "x87_stack",
                20 => "x87_status",
                21 => "other_flags",
                22 => "system",
                _ => "extensions",
            };
            if (low, bits) == (0, width(register)) { name.to_owned() } else { range(name.to_owned()) }
        }
    }
}

/// The low bytes of the general registers.
const LOW_BYTES: [Register; 16] = [
    Register::AL,
    Register::CL,
    Register::DL,
    Register::BL,
    Register::SPL,
    Register::BPL,
    Register::SIL,
    Register::DIL,
    Register::R8L,
    Register::R9L,
    Register::R10L,
    Register::R11L,
    Register::R12L,
    Register::R13L,
    Register::R14L,
    Register::R15L,
];
