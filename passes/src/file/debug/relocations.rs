//! Applies the relocations of an object's debug section, as a linker would that leaves every section at address 0.
//!
//! Where linkers shorten code, the assembler cannot know a distance in it: two relocations of one field add the address of
//! its end and subtract that of its start. They are applied in their order, each to what the one before it left.
//!
//! Sources: the processor supplements of the System V ABI: x86-64, i386, Arm, AArch64, MIPS, Power, RISC-V, `LoongArch`,
//! s390x, SPARC ("thread-local storage": the offset of a variable in its block, less a bias on some processors).

use object::read::{Object, ObjectSection, ObjectSymbol, Relocation, RelocationKind, RelocationTarget};
use object::{Architecture, BinaryFormat, RelocationFlags, SectionIndex, elf};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Whether a section has relocations.
pub(super) fn has_any(object: &object::File<'_>, section: SectionIndex) -> bool {
    object.section_by_index(section).is_ok_and(|section| section.relocations().next().is_some())
}

/// Applies the relocations of a section. `bases` are the offsets of debug sections in those that they are concatenated to.
/// Returns the message of an error.
pub(super) fn apply(
    object: &object::File<'_>,
    section: SectionIndex,
    content: &mut Cow<'_, [u8]>,
    bases: &HashMap<SectionIndex, u64>,
) -> Option<String> {
    let section = object.section_by_index(section).ok()?;
    let base_of = |section: Option<SectionIndex>| section.and_then(|index| bases.get(&index)).copied();
    let (mut applied, mut skipped) = (0_u64, 0_u64);
    for (offset, relocation) in section.relocations() {
        let target = match relocation.target() {
            RelocationTarget::Symbol(symbol) => object
                .symbol_by_index(symbol)
                .ok()
                .map(|symbol| symbol.address().wrapping_add(base_of(symbol.section_index()).unwrap_or(0))),
            // In Mach-O, the field holds an address, to which that of the section was added already.
            RelocationTarget::Section(section) if object.format() == BinaryFormat::MachO => {
                Some(base_of(Some(section)).unwrap_or(0))
            }
            RelocationTarget::Section(section) => object
                .section_by_index(section)
                .ok()
                .map(|target| target.address().wrapping_add(base_of(Some(section)).unwrap_or(0))),
            _ => Some(0),
        };
        let is_applied =
            target.zip(Operation::of(object.architecture(), &relocation)).and_then(|(target, operation)| {
                let field = operation.field(offset, content)?;
                // SuperH's assembler leaves the addend in the field, whatever its relocations say.
                let stored =
                    relocation.has_implicit_addend() || object.architecture() == Architecture::SuperH;
                let value = target.wrapping_add(relocation.addend().cast_unsigned());
                operation.apply(&mut content.to_mut()[field], value, stored, object.is_little_endian());
                Some(())
            });
        let changes_nothing =
            relocation.kind() == RelocationKind::None || is_hint(object.architecture(), relocation.flags());
        applied += u64::from(is_applied.is_some());
        skipped += u64::from(is_applied.is_none() && !changes_nothing);
    }
    if skipped > 0 && applied == 0 {
        // Without any of them, names and addresses are those of other things.
        *content = Cow::Borrowed(&[]);
        return Some(format!("it was left out: none of its {skipped} relocations is of a known kind"));
    }
    (skipped > 0).then(|| format!("{skipped} relocations are of a kind that is not applied"))
}

/// Whether a relocation only says that code may be shortened, or must be aligned.
fn is_hint(architecture: Architecture, flags: RelocationFlags) -> bool {
    let RelocationFlags::Elf { r_type } = flags else { return false };
    match architecture {
        Architecture::Riscv32 | Architecture::Riscv64 => {
            [elf::R_RISCV_RELAX, elf::R_RISCV_ALIGN].contains(&r_type)
        }
        Architecture::LoongArch64 => [elf::R_LARCH_RELAX, elf::R_LARCH_ALIGN].contains(&r_type),
        _ => false,
    }
}

/// What a relocation does with its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Set,
    Add,
    Subtract,
}

/// Where a relocation writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    /// An integer of some bytes.
    Bytes(usize),
    /// The low six bits of a byte.
    SixBits,
    /// An unsigned LEB128, whose length is kept.
    Leb128,
}

#[derive(Clone, Copy)]
struct Operation {
    effect: Effect,
    field: Field,
    /// What is subtracted from the value.
    bias: u64,
}

impl Operation {
    /// The operation of a relocation; `None` if it is not known.
    fn of(architecture: Architecture, relocation: &Relocation) -> Option<Self> {
        let size = usize::from(relocation.size() / 8);
        let is_address =
            matches!(relocation.kind(), RelocationKind::Absolute | RelocationKind::SectionOffset);
        if is_address {
            return [4, 8].contains(&size).then_some(Self {
                effect: Effect::Set,
                field: Field::Bytes(size),
                bias: 0,
            });
        }
        let RelocationFlags::Elf { r_type } = relocation.flags() else { return None };
        let mut thread_local = THREAD_LOCAL.iter();
        if let Some((.., size, bias)) = thread_local.find(|row| (row.0, row.1) == (architecture, r_type)) {
            return Some(Self { effect: Effect::Set, field: Field::Bytes(*size), bias: *bias });
        }
        let distances: &[_] = match architecture {
            Architecture::Riscv32 | Architecture::Riscv64 => &RISCV,
            Architecture::LoongArch64 => &LOONGARCH,
            _ => &[],
        };
        let (_, effect, field) = distances.iter().find(|row| row.0 == r_type)?;
        Some(Self { effect: *effect, field: *field, bias: 0 })
    }

    /// The bytes of the field at an offset; `None` if they are not in the section.
    fn field(self, offset: u64, content: &[u8]) -> Option<Range<usize>> {
        let start = usize::try_from(offset).ok()?;
        let rest = content.get(start..)?;
        let size = match self.field {
            Field::Bytes(size) => size,
            Field::SixBits => 1,
            Field::Leb128 => rest.iter().position(|byte| *byte < 0x80)? + 1,
        };
        (size <= rest.len()).then_some(start..start + size)
    }

    fn apply(self, bytes: &mut [u8], value: u64, adds_stored: bool, is_little: bool) {
        let stored = match self.field {
            Field::Bytes(_) => number(bytes, is_little),
            Field::SixBits => u64::from(bytes[0] & 0x3f),
            Field::Leb128 => {
                bytes.iter().rev().fold(0, |number, byte| (number << 7) | u64::from(byte & 0x7f))
            }
        };
        let value = value.wrapping_sub(self.bias);
        let result = match self.effect {
            Effect::Set if adds_stored => stored.wrapping_add(value),
            Effect::Set => value,
            Effect::Add => stored.wrapping_add(value),
            Effect::Subtract => stored.wrapping_sub(value),
        };
        match self.field {
            Field::Bytes(size) if is_little => bytes.copy_from_slice(&result.to_le_bytes()[..size]),
            Field::Bytes(size) => bytes.copy_from_slice(&result.to_be_bytes()[8 - size..]),
            Field::SixBits => bytes[0] = (bytes[0] & 0xc0) | (result as u8 & 0x3f),
            Field::Leb128 => {
                let last = bytes.len() - 1;
                for (position, byte) in bytes.iter_mut().enumerate() {
                    let part = result.checked_shr(7 * position as u32).unwrap_or(0) as u8 & 0x7f;
                    *byte = if position < last { part | 0x80 } else { part };
                }
            }
        }
    }
}

/// Relocations that write the offset of a thread-local variable, with the size of their field and their bias.
const THREAD_LOCAL: [(Architecture, elf::RelocationType, usize, u64); 23] = [
    (Architecture::X86_64, elf::R_X86_64_DTPOFF32, 4, 0),
    (Architecture::X86_64, elf::R_X86_64_DTPOFF64, 8, 0),
    (Architecture::X86_64_X32, elf::R_X86_64_DTPOFF32, 4, 0),
    (Architecture::I386, elf::R_386_TLS_LDO_32, 4, 0),
    (Architecture::Arm, elf::R_ARM_TLS_LDO32, 4, 0),
    (Architecture::Aarch64, elf::R_AARCH64_TLS_DTPREL, 8, 0),
    (Architecture::Mips, elf::R_MIPS_TLS_DTPREL32, 4, 0x8000),
    (Architecture::Mips64, elf::R_MIPS_TLS_DTPREL32, 4, 0x8000),
    (Architecture::Mips64, elf::R_MIPS_TLS_DTPREL64, 8, 0x8000),
    (Architecture::PowerPc, elf::R_PPC_DTPREL32, 4, 0x8000),
    (Architecture::PowerPc64, elf::R_PPC64_DTPREL64, 8, 0x8000),
    (Architecture::Riscv32, elf::R_RISCV_TLS_DTPREL32, 4, 0x800),
    (Architecture::Riscv64, elf::R_RISCV_TLS_DTPREL32, 4, 0x800),
    (Architecture::Riscv64, elf::R_RISCV_TLS_DTPREL64, 8, 0x800),
    (Architecture::LoongArch64, elf::R_LARCH_TLS_DTPREL32, 4, 0),
    (Architecture::LoongArch64, elf::R_LARCH_TLS_DTPREL64, 8, 0),
    (Architecture::S390x, elf::R_390_TLS_LDO32, 4, 0),
    (Architecture::S390x, elf::R_390_TLS_LDO64, 8, 0),
    (Architecture::Sparc, elf::R_SPARC_TLS_DTPOFF32, 4, 0),
    (Architecture::Sparc32Plus, elf::R_SPARC_TLS_DTPOFF32, 4, 0),
    (Architecture::Sparc64, elf::R_SPARC_TLS_DTPOFF64, 8, 0),
    (Architecture::M68k, elf::R_68K_TLS_LDO32, 4, 0x8000),
    (Architecture::SuperH, elf::R_SH_TLS_LDO_32, 4, 0),
];

/// Terms of distances in RISC-V objects.
const RISCV: [(elf::RelocationType, Effect, Field); 15] = [
    (elf::R_RISCV_SET6, Effect::Set, Field::SixBits),
    (elf::R_RISCV_SUB6, Effect::Subtract, Field::SixBits),
    (elf::R_RISCV_SET8, Effect::Set, Field::Bytes(1)),
    (elf::R_RISCV_SET16, Effect::Set, Field::Bytes(2)),
    (elf::R_RISCV_SET32, Effect::Set, Field::Bytes(4)),
    (elf::R_RISCV_SET_ULEB128, Effect::Set, Field::Leb128),
    (elf::R_RISCV_SUB_ULEB128, Effect::Subtract, Field::Leb128),
    (elf::R_RISCV_ADD8, Effect::Add, Field::Bytes(1)),
    (elf::R_RISCV_ADD16, Effect::Add, Field::Bytes(2)),
    (elf::R_RISCV_ADD32, Effect::Add, Field::Bytes(4)),
    (elf::R_RISCV_ADD64, Effect::Add, Field::Bytes(8)),
    (elf::R_RISCV_SUB8, Effect::Subtract, Field::Bytes(1)),
    (elf::R_RISCV_SUB16, Effect::Subtract, Field::Bytes(2)),
    (elf::R_RISCV_SUB32, Effect::Subtract, Field::Bytes(4)),
    (elf::R_RISCV_SUB64, Effect::Subtract, Field::Bytes(8)),
];

/// Terms of distances in `LoongArch` objects.
const LOONGARCH: [(elf::RelocationType, Effect, Field); 14] = [
    (elf::R_LARCH_ADD6, Effect::Add, Field::SixBits),
    (elf::R_LARCH_SUB6, Effect::Subtract, Field::SixBits),
    (elf::R_LARCH_ADD_ULEB128, Effect::Add, Field::Leb128),
    (elf::R_LARCH_SUB_ULEB128, Effect::Subtract, Field::Leb128),
    (elf::R_LARCH_ADD8, Effect::Add, Field::Bytes(1)),
    (elf::R_LARCH_ADD16, Effect::Add, Field::Bytes(2)),
    (elf::R_LARCH_ADD24, Effect::Add, Field::Bytes(3)),
    (elf::R_LARCH_ADD32, Effect::Add, Field::Bytes(4)),
    (elf::R_LARCH_ADD64, Effect::Add, Field::Bytes(8)),
    (elf::R_LARCH_SUB8, Effect::Subtract, Field::Bytes(1)),
    (elf::R_LARCH_SUB16, Effect::Subtract, Field::Bytes(2)),
    (elf::R_LARCH_SUB24, Effect::Subtract, Field::Bytes(3)),
    (elf::R_LARCH_SUB32, Effect::Subtract, Field::Bytes(4)),
    (elf::R_LARCH_SUB64, Effect::Subtract, Field::Bytes(8)),
];

/// The unsigned integer in `bytes`.
fn number(bytes: &[u8], is_little: bool) -> u64 {
    let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
    match is_little {
        true => bytes.iter().rev().fold(0, add),
        false => bytes.iter().fold(0, add),
    }
}
