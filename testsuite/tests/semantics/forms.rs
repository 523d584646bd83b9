//! `(programs) -> forms`: the forms of instructions in the programs of this machine, with encodings of each.
//!
//! A form is what instructions share that differ in registers, constants and addresses only: mnemonic, prefixes, and kind
//! and size of each operand.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind,
    Register,
};
use object::{Object, ObjectSection, SectionKind};
use std::collections::BTreeMap;
use std::path::Path;

/// The instructions of one form.
#[derive(Default)]
pub(crate) struct Form {
    /// How many instructions of the programs have it.
    pub(crate) count: usize,
    /// Different encodings, from the programs.
    pub(crate) encodings: Vec<Vec<u8>>,
    /// Why it is not run; empty if it is.
    pub(crate) skipped: &'static str,
}

/// The forms of 32-bit or 64-bit programs, by name.
pub(crate) struct Forms {
    pub(crate) is_32: bool,
    pub(crate) by_name: BTreeMap<String, Form>,
}

/// What tells forms apart, cheaply.
type Key = (Code, [u8; 5], u8);

/// How many instructions have a key, encodings of them, and the registers of each.
type Seen = (usize, Vec<Vec<u8>>, Vec<u64>);

/// The most encodings of a form that are kept.
const ENCODINGS_MAX: usize = 24;

/// Decodes one instruction; `None` if it is invalid.
pub(crate) fn decode(bytes: &[u8], address: u64, is_32: bool) -> Option<Instruction> {
    let bits = if is_32 { 32 } else { 64 };
    let instruction = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// Collects the forms of the executable sections of ELF files that are of one mode. Files that are missing or of the
/// other mode are left out.
pub(crate) fn collect(paths: &[&Path], is_32: bool) -> Forms {
    let mut counts: BTreeMap<Key, Seen> = BTreeMap::new();
    for path in paths {
        let Ok(bytes) = std::fs::read(path) else { continue };
        let Ok(file) = object::File::parse(bytes.as_slice()) else { continue };
        if file.is_64() == is_32 {
            continue;
        }
        for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
            let Ok(code) = section.data() else { continue };
            let bits = if is_32 { 32 } else { 64 };
            let mut decoder = Decoder::with_ip(bits, code, section.address(), DecoderOptions::NONE);
            while decoder.can_decode() {
                let start = decoder.position();
                let instruction = decoder.decode();
                if instruction.is_invalid() {
                    continue;
                }
                let (count, encodings, registers) = counts.entry(key(&instruction)).or_default();
                *count += 1;
                let of_this = registers_of(&instruction);
                if encodings.len() < ENCODINGS_MAX && !registers.contains(&of_this) {
                    registers.push(of_this);
                    encodings.push(code[start..start + instruction.len()].to_vec());
                }
            }
        }
    }
    let mut by_name: BTreeMap<String, Form> = BTreeMap::new();
    for (count, encodings, _) in counts.into_values() {
        let Some(first) = decode(&encodings[0], 0, is_32) else { continue };
        let form = by_name.entry(name(&first)).or_default();
        form.count += count;
        form.encodings.extend(encodings);
        form.skipped = reason_to_skip(&first, is_32).unwrap_or_default();
    }
    Forms { is_32, by_name }
}

/// The registers of an instruction, as a number.
fn registers_of(instruction: &Instruction) -> u64 {
    let operands = (0..instruction.op_count()).map(|operand| instruction.op_register(operand));
    let all = operands.chain([instruction.memory_base(), instruction.memory_index()]);
    all.fold(0, |sum, register| sum << 8 | register as u64)
}

fn segment(instruction: &Instruction) -> Register {
    match instruction.segment_prefix() {
        register @ (Register::FS | Register::GS) if instruction.mnemonic() != Mnemonic::Lea => register,
        _ => Register::None,
    }
}

/// Whether addresses are narrower than in this mode.
fn has_narrow_address(instruction: &Instruction) -> bool {
    let narrow = match instruction.code_size() {
        iced_x86::CodeSize::Code64 => 4,
        _ => 2,
    };
    let registers = [instruction.memory_base(), instruction.memory_index()];
    let is_narrow = |kind: OpKind| match kind {
        OpKind::MemorySegSI | OpKind::MemorySegDI | OpKind::MemoryESDI => true,
        OpKind::MemorySegESI | OpKind::MemorySegEDI | OpKind::MemoryESEDI => narrow == 4,
        OpKind::Memory => registers.iter().any(|register| {
            register.is_gpr() && register.size() == narrow || *register == Register::EIP && narrow == 4
        }),
        _ => false,
    };
    (0..instruction.op_count()).any(|operand| is_narrow(instruction.op_kind(operand)))
}

fn key(instruction: &Instruction) -> Key {
    let mut kinds = [0; 5];
    for operand in 0..instruction.op_count() {
        let register = instruction.op_register(operand);
        kinds[operand as usize] = match instruction.op_kind(operand) {
            OpKind::Register => 0x40 | class(register).len() as u8 | (register.size() as u8) << 1,
            kind => kind as u8,
        };
    }
    let prefixes = [
        instruction.has_lock_prefix(),
        instruction.has_rep_prefix(),
        instruction.has_repne_prefix(),
        segment(instruction) == Register::FS,
        segment(instruction) == Register::GS,
        has_narrow_address(instruction),
    ];
    let prefixes = prefixes.iter().fold(0, |sum, has| sum << 1 | u8::from(*has));
    (instruction.code(), kinds, prefixes)
}

fn class(register: Register) -> &'static str {
    match register {
        _ if register.is_gpr8() => "r8",
        _ if register.is_gpr16() => "r16",
        _ if register.is_gpr32() => "r32",
        _ if register.is_gpr64() => "r64",
        _ if register.is_xmm() => "xmm",
        _ if register.is_ymm() => "ymm",
        _ if register.is_zmm() => "zmm",
        _ if register.is_mm() => "mm",
        _ if register.is_st() => "st",
        _ if register.is_k() => "k",
        _ if register.is_segment_register() => "sreg",
        _ => "other",
    }
}

/// The name of the form of an instruction.
pub(crate) fn name(instruction: &Instruction) -> String {
    let mut name = String::new();
    for (has, word) in [
        (instruction.has_lock_prefix(), "lock "),
        (instruction.has_rep_prefix(), "rep "),
        (instruction.has_repne_prefix(), "repne "),
        (has_narrow_address(instruction), "addr "),
    ] {
        name.push_str(if has { word } else { "" });
    }
    name.push_str(&format!("{:?}", instruction.mnemonic()).to_lowercase());
    let segment = match segment(instruction) {
        Register::FS => "fs:",
        Register::GS => "gs:",
        _ => "",
    };
    for operand in 0..instruction.op_count() {
        name.push_str(if operand == 0 { " " } else { ", " });
        match instruction.op_kind(operand) {
            OpKind::Register => name.push_str(class(instruction.op_register(operand))),
            OpKind::Memory
            | OpKind::MemorySegSI
            | OpKind::MemorySegESI
            | OpKind::MemorySegRSI
            | OpKind::MemorySegDI
            | OpKind::MemorySegEDI
            | OpKind::MemorySegRDI
            | OpKind::MemoryESDI
            | OpKind::MemoryESEDI
            | OpKind::MemoryESRDI => {
                name.push_str(&format!("{segment}m{}", instruction.memory_size().size() * 8));
            }
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => name.push_str("near"),
            OpKind::FarBranch16 | OpKind::FarBranch32 => name.push_str("far"),
            OpKind::Immediate8 | OpKind::Immediate8_2nd => name.push_str("imm8"),
            OpKind::Immediate16 => name.push_str("imm16"),
            OpKind::Immediate32 => name.push_str("imm32"),
            OpKind::Immediate64 => name.push_str("imm64"),
            _ => name.push_str("imm8 extended"),
        }
    }
    name
}

/// Whether an instruction loads a segment register.
fn loads_segment(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    let is_far = matches!(instruction.op0_kind(), OpKind::FarBranch16 | OpKind::FarBranch32)
        || instruction.is_jmp_far_indirect()
        || instruction.is_call_far_indirect();
    let returns_or_loads = matches!(
        instruction.mnemonic(),
        M::Retf | M::Iret | M::Iretd | M::Iretq | M::Lds | M::Les | M::Lfs | M::Lgs | M::Lss
    );
    let writes_segment = returns_or_loads
        || (instruction.op_count() > 0)
            && instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().is_segment_register();
    is_far || writes_segment
}

/// Why instructions of a form cannot be run, or give other results each time.
fn reason_to_skip(instruction: &Instruction, is_32: bool) -> Option<&'static str> {
    use Mnemonic as M;
    Some(match instruction.mnemonic() {
        _ if instruction.is_privileged() || instruction.mnemonic() == M::Hlt => {
            "only for the operating system"
        }
        M::Syscall | M::Sysenter | M::Int | M::Sysexit | M::Sysret => "calls the operating system",
        M::Rdtsc
        | M::Rdtscp
        | M::Cpuid
        | M::Rdrand
        | M::Rdseed
        | M::Xgetbv
        | M::Rdpid
        | M::Rdpmc
        | M::Rdpkru
        | M::Sgdt
        | M::Sidt
        | M::Sldt
        | M::Str
        | M::Smsw
        | M::Lar
        | M::Lsl
        | M::Verr
        | M::Verw => "depends on more than the state",
        M::Loope | M::Loopne if instruction.has_rep_prefix() || instruction.has_repne_prefix() => {
            "the prefix has no meaning"
        }
        M::Xbegin | M::Xend | M::Xtest | M::Xabort => "transactional",
        M::Popf | M::Popfd | M::Popfq => "may enable single-stepping and checks of alignment",
        _ if loads_segment(instruction) => "loads a segment register",
        M::Wrfsbase | M::Wrgsbase | M::Rdfsbase | M::Wrpkru | M::Ldmxcsr | M::Vldmxcsr => {
            "changes what this program needs"
        }
        M::Fxsave
        | M::Fxsave64
        | M::Fxrstor
        | M::Fxrstor64
        | M::Xsave
        | M::Xsave64
        | M::Xsavec
        | M::Xsavec64
        | M::Xsaveopt
        | M::Xsaveopt64
        | M::Xrstor
        | M::Xrstor64
        | M::Xsaves
        | M::Xrstors
        | M::Fnsave
        | M::Fnstenv
        | M::Frstor
        | M::Fldenv
        | M::Fsave
        | M::Fstenv => "saves or restores state that is not compared",
        _ if is_32 && segment(instruction) != Register::None => "the segments have no base in 32-bit code",
        _ if is_32 && has_narrow_address(instruction)
            || instruction.op_kinds().any(|kind| kind == OpKind::NearBranch16) =>
        {
            "nothing is mapped at addresses of 16 bits"
        }
        _ => return None,
    })
}

/// Whether an instruction may continue elsewhere than at the next one.
pub(crate) fn is_branch(instruction: &Instruction) -> bool {
    !matches!(instruction.flow_control(), FlowControl::Next | FlowControl::Exception | FlowControl::Interrupt)
}

/// A factory of what instructions read and write.
pub(crate) fn facts() -> InstructionInfoFactory {
    InstructionInfoFactory::new()
}
