//! `binary_headers` of an ELF file: from its header, program headers, dynamic section and notes.

use crate::file::formats::elf::{Elf, Header};
use crate::file::formats::hexadecimal;
use binframe_ir::Rows;
use binframe_ir::tables::{
    Architecture, BinaryHeader, BinaryHeaderBuilder, BinaryHeaders, BinaryKind, BinarySymbols, Endianness,
    Format, RelocationReadOnly,
};
use object::elf;
use object::read::elf::ProgramHeader;

/// Prefix of the symbols of the compiler's stack protector: `__stack_chk_fail`, `__stack_chk_fail_local`,
/// `__stack_chk_guard`.
const STACK_PROTECTOR: &str = "__stack_chk_";

pub(super) fn table<H: Header>(
    elf: &Elf<'_, H>,
    symbols: &Rows<BinarySymbols>,
    sha256: &[u8],
    member_index: u32,
) -> Rows<BinaryHeaders> {
    let (endian, header) = (elf.endian, elf.header);
    let entry = entry_address(elf);
    let notes = FileNotes::read(elf);
    let build_id = notes.build_id.map(hexadecimal);
    let interpreter = interpreter(elf);
    let kind = match header.e_type(endian) {
        elf::ET_EXEC => BinaryKind::Executable,
        elf::ET_DYN => BinaryKind::Dynamic,
        elf::ET_REL => BinaryKind::Relocatable,
        elf::ET_CORE => BinaryKind::CoreDump,
        _ => BinaryKind::Other,
    };
    let is_run = matches!(kind, BinaryKind::Executable | BinaryKind::Dynamic);
    let symbols = symbols.columns();
    let names_stack_protector =
        || (0..symbols.len()).any(|row| symbols.symbol_name.value(row).starts_with(STACK_PROTECTOR));
    let loaded = elf.program_headers.iter().filter(|header| header.p_type(endian) == elf::PT_LOAD);
    let mut rows = BinaryHeaderBuilder::default();
    rows.push(BinaryHeader {
        member_index,
        format: Format::Elf,
        architecture: Some(architecture(elf.machine)),
        machine: Some(u32::from(elf.machine.0)),
        bits: Some(if header.is_type_64() { 64 } else { 32 }),
        endianness: Some(if header.is_big_endian() { Endianness::Big } else { Endianness::Little }),
        kind,
        flags: u64::from(header.e_flags(endian).0),
        entry_address: (entry != 0).then_some(entry),
        image_address: loaded.map(|header| header.p_vaddr(endian).into()).min(),
        build_id: build_id.as_deref(),
        interpreter: interpreter.as_deref(),
        is_position_independent: is_run.then_some(kind == BinaryKind::Dynamic),
        has_no_execute: is_run.then(|| has_no_execute(elf)),
        relocation_read_only: is_run.then(|| relocation_read_only(elf)),
        has_stack_protector: is_run.then(names_stack_protector),
        has_branch_protection: is_run.then_some(notes.has_branch_protection),
        has_return_protection: is_run.then_some(notes.has_return_protection),
        has_signature: None,
        file_size: elf.file.len() as u64,
        sha256: &hexadecimal(sha256),
    });
    rows.finish()
}

pub(super) fn architecture(machine: elf::Machine) -> Architecture {
    match machine {
        elf::EM_X86_64 => Architecture::X86_64,
        elf::EM_386 | elf::EM_IAMCU => Architecture::X86,
        elf::EM_AARCH64 => Architecture::Aarch64,
        elf::EM_ARM => Architecture::Arm,
        elf::EM_RISCV => Architecture::RiscV,
        elf::EM_PPC => Architecture::PowerPc,
        elf::EM_PPC64 => Architecture::PowerPc64,
        elf::EM_MIPS => Architecture::Mips,
        elf::EM_S390 => Architecture::S390,
        elf::EM_SPARC | elf::EM_SPARC32PLUS | elf::EM_SPARCV9 => Architecture::Sparc,
        elf::EM_LOONGARCH => Architecture::LoongArch,
        elf::EM_68K => Architecture::M68k,
        elf::EM_BPF => Architecture::Bpf,
        elf::EM_IA_64 => Architecture::Itanium,
        _ => Architecture::Other,
    }
}

/// Whether the stack is not executable: what the last `PT_GNU_STACK` states. Without one, Linux decides by architecture.
///
/// Source: Linux, `fs/binfmt_elf.c` and `arch/*/include/asm/elf.h` (`elf_read_implies_exec`).
fn has_no_execute<H: Header>(elf: &Elf<'_, H>) -> bool {
    const PROTECTED: [elf::Machine; 5] =
        [elf::EM_X86_64, elf::EM_AARCH64, elf::EM_RISCV, elf::EM_S390, elf::EM_LOONGARCH];
    let mut headers = elf.program_headers.iter();
    match headers.rfind(|header| header.p_type(elf.endian) == elf::PT_GNU_STACK) {
        Some(header) => !header.p_flags(elf.endian).contains(elf::PF_X),
        None => PROTECTED.contains(&elf.machine),
    }
}

/// The address of the first instruction. In the first ABI of 64-bit PowerPC, the header states the address of a function
/// descriptor in data, whose first word is the address of code.
fn entry_address<H: Header>(elf: &Elf<'_, H>) -> u64 {
    let entry: u64 = elf.header.e_entry(elf.endian).into();
    let is_code = |address: u64| {
        let mut code = elf.program_headers.iter().filter(|header| {
            header.p_type(elf.endian) == elf::PT_LOAD && header.p_flags(elf.endian).contains(elf::PF_X)
        });
        code.any(|header| {
            let (start, size): (u64, u64) =
                (header.p_vaddr(elf.endian).into(), header.p_memsz(elf.endian).into());
            address.checked_sub(start).is_some_and(|offset| offset < size)
        })
    };
    let has_descriptors = elf.machine == elf::EM_PPC64 && elf.header.e_flags(elf.endian).0 & 3 != 2;
    let descriptor = if has_descriptors && !is_code(entry) { elf.loaded(entry, 8) } else { None };
    let described = descriptor.and_then(|(bytes, _)| <[u8; 8]>::try_from(bytes).ok()).map(|word| {
        if elf.header.is_big_endian() { u64::from_be_bytes(word) } else { u64::from_le_bytes(word) }
    });
    described.filter(|address| is_code(*address)).unwrap_or(entry)
}

fn relocation_read_only<H: Header>(elf: &Elf<'_, H>) -> RelocationReadOnly {
    if elf.program_headers.iter().all(|header| header.p_type(elf.endian) != elf::PT_GNU_RELRO) {
        return RelocationReadOnly::None;
    }
    // A file without a dynamic section has no late binding.
    match matches!(elf.dynamic(), Ok(None)) || elf.binds_now() {
        true => RelocationReadOnly::Full,
        false => RelocationReadOnly::Partial,
    }
}

/// Notes on the file as a whole.
#[derive(Default)]
struct FileNotes<'a> {
    build_id: Option<&'a [u8]>,
    has_branch_protection: bool,
    has_return_protection: bool,
}

impl<'a> FileNotes<'a> {
    fn read<H: Header>(elf: &Elf<'a, H>) -> Self {
        let mut found = Self::default();
        for range in elf.notes() {
            // The pass `linkage` reports notes that cannot be read.
            let Ok(mut notes) = range.notes else { continue };
            while let Ok(Some(note)) = notes.next() {
                if note.name() == elf::ELF_NOTE_GNU {
                    found.take(elf, &note);
                }
            }
        }
        found
    }

    fn take<H: Header>(&mut self, elf: &Elf<'a, H>, note: &object::read::elf::Note<'a, H>) {
        let endian = elf.endian;
        if note.n_type(endian) == elf::NT_GNU_BUILD_ID {
            self.build_id.get_or_insert(note.desc());
        }
        let Some(mut properties) = note.gnu_properties(endian) else { return };
        while let Ok(Some(property)) = properties.next() {
            let (branch, returns) = match (elf.machine, property.pr_type()) {
                (elf::EM_X86_64 | elf::EM_386, elf::GNU_PROPERTY_X86_FEATURE_1_AND) => {
                    (elf::GNU_PROPERTY_X86_FEATURE_1_IBT, elf::GNU_PROPERTY_X86_FEATURE_1_SHSTK)
                }
                (elf::EM_AARCH64, elf::GNU_PROPERTY_AARCH64_FEATURE_1_AND) => {
                    (elf::GNU_PROPERTY_AARCH64_FEATURE_1_BTI, elf::GNU_PROPERTY_AARCH64_FEATURE_1_PAC)
                }
                _ => continue,
            };
            let features = property.data_u32(endian).unwrap_or_default();
            self.has_branch_protection |= features & branch != 0;
            self.has_return_protection |= features & returns != 0;
        }
    }
}

fn interpreter<H: Header>(elf: &Elf<'_, H>) -> Option<String> {
    /// Linux's `PATH_MAX`.
    const PATH_SIZE_MAX: usize = 4096;
    let path = |header: &H::ProgramHeader| header.interpreter(elf.endian, elf.file.as_ref()).ok()?;
    let path = elf.program_headers.iter().filter(|header| !elf.is_stripped(header)).find_map(path)?;
    Some(String::from_utf8_lossy(&path[..path.len().min(PATH_SIZE_MAX)]).into_owned())
}
