//! `binary_sections` of an ELF file: from the section headers or, if there are none, from the loadable segments.

use super::super::contents::SectionContents;
use super::super::rows::{permissions, segment_as_section};
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::elf::{Elf, Header};
use crate::file::text_budget::NameBudget;
use binframe_ir::Rows;
use binframe_ir::tables::{
    BinarySection, BinarySectionBuilder, BinarySections, BinarySegments, DiagnosticCode, SectionKind,
};
use object::Endianness;
use object::elf::{self, Machine, machine_names};
use object::read::elf::{ProgramHeader, SectionHeader};
use std::borrow::Cow;

pub(in crate::file::sections) fn table<H: Header>(
    elf: &Elf<'_, H>,
    diagnostics: &mut Collector,
) -> Rows<BinarySections> {
    let endian = elf.endian;
    let strings = elf.section_names().unwrap_or_else(|error| {
        let location = DiagnosticLocation::FileOffset(elf.section_header_offset(0));
        let message = format!("sections have no names: {error}");
        diagnostics.error(DiagnosticCode::BrokenSectionTable, location, &message);
        &[]
    });
    let mut names = NameBudget::of_file(elf.file);
    let mut contents = SectionContents::new(elf.file, diagnostics);
    let mut rows = BinarySectionBuilder::default();
    rows.content.refer_to(elf.file);
    for (section_index, header) in (0..).zip(elf.section_headers) {
        let name = names.read(strings, header.sh_name(endian).into()).unwrap_or_else(|error| {
            let location = DiagnosticLocation::FileOffset(elf.section_header_offset(section_index));
            let message = format!("section {section_index} has no name: {error}");
            contents.diagnostics.warning(DiagnosticCode::BrokenName, location, &message);
            Cow::Borrowed("")
        });
        let (file_offset, file_size) = match header.file_range(endian) {
            Some((offset, size)) if header.sh_type(endian) != elf::SHT_NULL => (offset, size),
            _ => (header.sh_offset(endian).into(), 0),
        };
        let section_type = header.sh_type(endian);
        let unnamed = format!("{:#x}", section_type.0);
        let flags = header.sh_flags(endian);
        let is_loaded = flags.contains(elf::SHF_ALLOC);
        let is_writable = is_loaded && flags.contains(elf::SHF_WRITE);
        let is_executable = is_loaded && flags.contains(elf::SHF_EXECINSTR);
        rows.push(BinarySection {
            section_name: &name,
            address: if is_loaded { header.sh_addr(endian).into() } else { 0 },
            size: header.sh_size(endian).into(),
            content: contents.take(section_index, file_offset, file_size),
            permissions: permissions(is_loaded, is_writable, is_executable),
            is_executable,
            is_writable,
            is_readable: is_loaded,
            section_index,
            file_offset,
            file_size,
            alignment: header.sh_addralign(endian).into(),
            kind: kind::<H>(header, endian, &name),
            flags: flags.0,
            section_type: Some(type_name(elf.machine, section_type).unwrap_or(&unnamed)),
            link: Some(header.sh_link(endian)),
            info: Some(header.sh_info(endian)),
            entry_size: Some(header.sh_entsize(endian).into()),
        });
    }
    rows.finish()
}

/// The name of a section type.
fn type_name(machine: Machine, section_type: elf::SectionType) -> Option<&'static str> {
    /// Names that `object` does not have: of LLVM, and of machines.
    const LLVM: [(u32, &str); 13] = [
        (0x6fff_4c00, "SHT_LLVM_ODRTAB"),
        (0x6fff_4c01, "SHT_LLVM_LINKER_OPTIONS"),
        (0x6fff_4c03, "SHT_LLVM_ADDRSIG"),
        (0x6fff_4c04, "SHT_LLVM_DEPENDENT_LIBRARIES"),
        (0x6fff_4c05, "SHT_LLVM_SYMPART"),
        (0x6fff_4c06, "SHT_LLVM_PART_EHDR"),
        (0x6fff_4c07, "SHT_LLVM_PART_PHDR"),
        (0x6fff_4c08, "SHT_LLVM_BB_ADDR_MAP_V0"),
        (0x6fff_4c09, "SHT_LLVM_CALL_GRAPH_PROFILE"),
        (0x6fff_4c0a, "SHT_LLVM_BB_ADDR_MAP"),
        (0x6fff_4c0b, "SHT_LLVM_OFFLOADING"),
        (0x6fff_4c0c, "SHT_LLVM_LTO"),
        (0x6fff_4c0d, "SHT_LLVM_JT_SIZES"),
    ];
    const OF_MACHINES: [(Machine, u32, &str); 3] = [
        (elf::EM_MIPS, 0x7000_002a, "SHT_MIPS_ABIFLAGS"),
        (elf::EM_MIPS, 0x7000_002b, "SHT_MIPS_XHASH"),
        (elf::EM_HEXAGON, 0x7000_0003, "SHT_HEXAGON_ATTRIBUTES"),
    ];
    let of_llvm = LLVM.iter().find(|(number, _)| *number == section_type.0).map(|(_, name)| *name);
    let of_machine =
        OF_MACHINES.iter().find(|row| (row.0, row.1) == (machine, section_type.0)).map(|row| row.2);
    machine_names(machine).sht.name(section_type).or(of_llvm).or(of_machine)
}

/// The loadable segments as sections.
pub(super) fn from_segments<H: Header>(
    elf: &Elf<'_, H>,
    segments: &Rows<BinarySegments>,
    diagnostics: &mut Collector,
) -> Rows<BinarySections> {
    let location = DiagnosticLocation::FileOffset(40);
    let message = "no section headers: loadable segments stand for sections";
    diagnostics.note(DiagnosticCode::NoSectionTable, location, message);
    let mut contents = SectionContents::new(elf.file, diagnostics);
    let mut rows = BinarySectionBuilder::default();
    rows.content.refer_to(elf.file);
    let segments = elf.program_headers.iter().zip(segments.columns().iter());
    let loadable = segments.filter(|(header, _)| header.p_type(elf.endian) == elf::PT_LOAD);
    for (section_index, (_, segment)) in (0..).zip(loadable) {
        let content = contents.take(section_index, segment.file_offset, segment.file_size);
        rows.push(segment_as_section(section_index, &segment, content));
    }
    rows.finish()
}

fn kind<H: Header>(header: &H::SectionHeader, endian: Endianness, name: &str) -> SectionKind {
    let flags = header.sh_flags(endian);
    let is_loaded = flags.contains(elf::SHF_ALLOC);
    match header.sh_type(endian) {
        _ if is_loaded && flags.contains(elf::SHF_EXECINSTR) && name.starts_with(".plt") => SectionKind::Plt,
        _ if is_loaded && flags.contains(elf::SHF_EXECINSTR) => SectionKind::Code,
        _ if is_loaded && flags.contains(elf::SHF_TLS) => SectionKind::ThreadLocal,
        elf::SHT_NOBITS if is_loaded => SectionKind::Uninitialized,
        elf::SHT_SYMTAB
        | elf::SHT_DYNSYM
        | elf::SHT_STRTAB
        | elf::SHT_SYMTAB_SHNDX
        | elf::SHT_HASH
        | elf::SHT_GNU_HASH
        | elf::SHT_GNU_VERSYM
        | elf::SHT_GNU_VERDEF
        | elf::SHT_GNU_VERNEED => SectionKind::Symbols,
        elf::SHT_REL
        | elf::SHT_RELA
        | elf::SHT_RELR
        | elf::SHT_CREL
        | elf::SHT_ANDROID_REL
        | elf::SHT_ANDROID_RELA
        | elf::SHT_ANDROID_RELR => SectionKind::Relocations,
        elf::SHT_NOTE => SectionKind::Note,
        elf::SHT_DYNAMIC => SectionKind::Dynamic,
        elf::SHT_NULL => SectionKind::Other,
        _ if matches!(name, ".eh_frame" | ".eh_frame_hdr" | ".gcc_except_table") => SectionKind::Unwind,
        _ if is_loaded => SectionKind::Data,
        _ if [".debug_", ".zdebug_", ".gdb_index", ".stab"].iter().any(|prefix| name.starts_with(prefix)) => {
            SectionKind::Debug
        }
        _ => SectionKind::Other,
    }
}
