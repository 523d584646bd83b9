//! `binary_sections`, from the section headers or, where there are none, from the loadable segments.

use super::super::contents::Contents;
use super::super::permissions;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::elf::{Elf, Header};
use crate::file::names::NameBudget;
use binframe_ir::Rows;
use binframe_ir::tables::{BinarySection, BinarySectionBuilder, BinarySections, DiagnosticCode, SectionKind};
use object::Endianness;
use object::elf::{self, machine_names};
use object::read::elf::{ProgramHeader, SectionHeader};
use std::borrow::Cow;

pub(super) fn table<H: Header>(elf: &Elf<'_, H>, diagnostics: &mut Collector) -> Rows<BinarySections> {
    let endian = elf.endian;
    let types = machine_names(elf.machine).sht;
    let strings = elf.section_names().unwrap_or_else(|error| {
        let location = DiagnosticLocation::FileOffset(elf.section_header_offset(0));
        let message = format!("sections have no names: {error}");
        diagnostics.error(DiagnosticCode::BrokenSectionTable, location, &message);
        &[]
    });
    let mut names = NameBudget::of_file(elf.file);
    let mut contents = Contents::new(elf.file, diagnostics);
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
            section_type: Some(types.name(section_type).unwrap_or(&unnamed)),
            link: Some(header.sh_link(endian)),
            info: Some(header.sh_info(endian)),
            entry_size: Some(header.sh_entsize(endian).into()),
        });
    }
    rows.finish()
}

pub(super) fn from_segments<H: Header>(
    elf: &Elf<'_, H>,
    diagnostics: &mut Collector,
) -> Rows<BinarySections> {
    let endian = elf.endian;
    let location = DiagnosticLocation::FileOffset(40);
    let message = "no section headers: loadable segments stand for sections";
    diagnostics.note(DiagnosticCode::NoSectionTable, location, message);
    let mut contents = Contents::new(elf.file, diagnostics);
    let mut rows = BinarySectionBuilder::default();
    rows.content.refer_to(elf.file);
    let loaded = elf.program_headers.iter().filter(|header| header.p_type(endian) == elf::PT_LOAD);
    for (section_index, header) in (0..).zip(loaded) {
        let flags = header.p_flags(endian);
        let [is_readable, is_writable, is_executable] =
            [elf::PF_R, elf::PF_W, elf::PF_X].map(|flag| flags.contains(flag));
        let (file_offset, file_size) = (header.p_offset(endian).into(), header.p_filesz(endian).into());
        rows.push(BinarySection {
            section_name: "",
            address: header.p_vaddr(endian).into(),
            size: header.p_memsz(endian).into(),
            content: contents.take(section_index, file_offset, file_size),
            permissions: permissions(is_readable, is_writable, is_executable),
            is_executable,
            is_writable,
            is_readable,
            section_index,
            file_offset,
            file_size,
            alignment: header.p_align(endian).into(),
            kind: if is_executable { SectionKind::Code } else { SectionKind::Data },
            flags: 0,
            section_type: None,
            link: None,
            info: None,
            entry_size: None,
        });
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
        elf::SHT_REL | elf::SHT_RELA | elf::SHT_RELR => SectionKind::Relocations,
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
