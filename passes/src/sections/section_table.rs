//! `binary_sections`, from the section headers or, where there are none, from the loadable segments.

use super::{ENDIAN, Elf, bytes_at, permissions};
use crate::diagnostics::{Collector, Place};
use binframe_ir::Rows;
use binframe_ir::tables::{
    BinarySection, BinarySectionBuilder, BinarySections, DiagnosticCode, SectionKind, Severity,
};
use object::elf::{self, SectionHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

/// Arrow's limit for one value.
const CONTENT_SIZE_MAX: usize = i32::MAX as usize;

/// Sections of an honest file share no bytes. Those of all sections together may be this many times the file.
const CONTENT_PER_FILE_SIZE_MAX: usize = 4;

/// Takes the content of sections out of the file.
struct Contents<'a, 'd> {
    elf: &'a Elf<'a>,
    diagnostics: &'d mut Collector,
    left: usize,
}

pub(super) fn table(elf: &Elf<'_>, diagnostics: &mut Collector) -> Rows<BinarySections> {
    let names = elf.header.section_strings(ENDIAN, elf.file.as_ref(), elf.section_headers);
    let names = names.unwrap_or_else(|error| {
        let place = Place::FileOffset(elf.header.e_shoff(ENDIAN));
        let message = format!("sections have no names: {error}");
        diagnostics.report(Severity::Error, DiagnosticCode::BrokenSectionTable, place, &message);
        object::StringTable::default()
    });
    let mut contents = Contents::new(elf, diagnostics);
    let mut rows = BinarySectionBuilder::default();
    rows.content.refer_to(elf.file);
    for (section_index, header) in (0..).zip(elf.section_headers) {
        let name = header.name(ENDIAN, names).unwrap_or_else(|error| {
            let place = Place::FileOffset(elf.header.e_shoff(ENDIAN) + 64 * u64::from(section_index));
            let message = format!("section {section_index} has no name: {error}");
            contents.diagnostics.report(Severity::Warning, DiagnosticCode::BrokenName, place, &message);
            b""
        });
        let name = String::from_utf8_lossy(name);
        let (file_offset, file_size) = match header.file_range(ENDIAN) {
            Some((offset, size)) if header.sh_type(ENDIAN) != elf::SHT_NULL => (offset, size),
            _ => (header.sh_offset(ENDIAN), 0),
        };
        let flags = header.sh_flags(ENDIAN);
        let is_loaded = flags.contains(elf::SHF_ALLOC);
        let is_writable = is_loaded && flags.contains(elf::SHF_WRITE);
        let is_executable = is_loaded && flags.contains(elf::SHF_EXECINSTR);
        rows.push(BinarySection {
            section_name: &name,
            address: if is_loaded { header.sh_addr(ENDIAN) } else { 0 },
            size: header.sh_size(ENDIAN),
            content: contents.take(section_index, file_offset, file_size),
            permissions: permissions(is_loaded, is_writable, is_executable),
            is_executable,
            is_writable,
            is_readable: is_loaded,
            section_index,
            file_offset,
            file_size,
            alignment: header.sh_addralign(ENDIAN),
            kind: kind(header, &name),
            flags: flags.0,
        });
    }
    rows.finish()
}

pub(super) fn from_segments(elf: &Elf<'_>, diagnostics: &mut Collector) -> Rows<BinarySections> {
    let place = Place::FileOffset(40);
    let message = "no section headers: loadable segments stand for sections";
    diagnostics.report(Severity::Note, DiagnosticCode::NoSectionTable, place, message);
    let mut contents = Contents::new(elf, diagnostics);
    let mut rows = BinarySectionBuilder::default();
    rows.content.refer_to(elf.file);
    let loaded = elf.program_headers.iter().filter(|header| header.p_type(ENDIAN) == elf::PT_LOAD);
    for (section_index, header) in (0..).zip(loaded) {
        let flags = header.p_flags(ENDIAN);
        let [is_readable, is_writable, is_executable] =
            [elf::PF_R, elf::PF_W, elf::PF_X].map(|flag| flags.contains(flag));
        let (file_offset, file_size) = (header.p_offset(ENDIAN), header.p_filesz(ENDIAN));
        rows.push(BinarySection {
            section_name: "",
            address: header.p_vaddr(ENDIAN),
            size: header.p_memsz(ENDIAN),
            content: contents.take(section_index, file_offset, file_size),
            permissions: permissions(is_readable, is_writable, is_executable),
            is_executable,
            is_writable,
            is_readable,
            section_index,
            file_offset,
            file_size,
            alignment: header.p_align(ENDIAN),
            kind: if is_executable { SectionKind::Code } else { SectionKind::Data },
            flags: 0,
        });
    }
    rows.finish()
}

impl<'a, 'd> Contents<'a, 'd> {
    fn new(elf: &'a Elf<'a>, diagnostics: &'d mut Collector) -> Self {
        Self { elf, diagnostics, left: elf.file.len().saturating_mul(CONTENT_PER_FILE_SIZE_MAX) }
    }

    fn take(&mut self, section_index: u32, file_offset: u64, file_size: u64) -> &'a [u8] {
        let (content, is_whole) = bytes_at(self.elf.file, file_offset, file_size);
        let place = Place::FileOffset(file_offset);
        if !is_whole {
            let message = format!(
                "section {section_index} has {file_size} bytes, of which {} are there",
                content.len()
            );
            self.diagnostics.report(Severity::Error, DiagnosticCode::SectionOutOfBounds, place, &message);
        }
        if content.len() > CONTENT_SIZE_MAX || content.len() > self.left {
            let message = format!("the {} bytes of section {section_index} were left out", content.len());
            self.diagnostics.report(Severity::Error, DiagnosticCode::SectionTooLarge, place, &message);
            return &[];
        }
        self.left -= content.len();
        content
    }
}

fn kind(header: &SectionHeader64<object::Endianness>, name: &str) -> SectionKind {
    let flags = header.sh_flags(ENDIAN);
    let is_loaded = flags.contains(elf::SHF_ALLOC);
    match header.sh_type(ENDIAN) {
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
