//! The tables of relocations of an ELF file: its sections of relocations, and the tables of the dynamic section that are
//! in no such section, since a loader reads only the latter.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::elf::{Elf, Header};
use binframe_ir::tables::DiagnosticCode;
use object::elf;
use object::read::elf::SectionHeader;
use std::ops::Range;

/// A table of relocations.
pub(super) struct RelocationTable<'a> {
    /// The format of its entries.
    pub(super) section_type: elf::SectionType,
    pub(super) data: &'a [u8],
    pub(super) file_offset: u64,
    /// Size of an entry; 1 for formats whose entries have different sizes.
    entry_size: usize,
    /// Index of the table's section; `None` for a table of the dynamic section.
    pub(super) section_index: Option<u32>,
    /// Index of the section whose fields are relocated; `None` if the table states none.
    pub(super) target_section_index: Option<u32>,
    pub(super) is_dynamic: bool,
    /// Whether symbol indexes refer to the dynamic symbol table.
    pub(super) has_dynamic_symbols: bool,
}

impl RelocationTable<'_> {
    /// Number of bytes after the last whole entry.
    pub(super) fn odd_bytes(&self) -> usize {
        self.data.len() % self.entry_size
    }

    fn file_range(&self) -> Range<u64> {
        self.file_offset..self.file_offset + self.data.len() as u64
    }
}

/// The tables of sections, in their order, and those of the dynamic section that share no bytes with them.
pub(super) fn find<'a, H: Header>(
    elf: &Elf<'a, H>,
    linkage: &mut LinkageBuilder,
) -> Vec<RelocationTable<'a>> {
    let mut tables = tables_of_sections(elf, linkage);
    for table in tables_of_dynamic(elf, linkage) {
        let range = table.file_range();
        let is_apart = |other: &RelocationTable<'_>| {
            let other = other.file_range();
            range.end <= other.start || other.end <= range.start
        };
        if tables.iter().all(is_apart) {
            tables.push(table);
        }
    }
    tables
}

/// Size of an entry of a format; `None` for sections that are no relocations.
fn entry_size<H: Header>(section_type: elf::SectionType) -> Option<usize> {
    match section_type {
        elf::SHT_REL => Some(size_of::<H::Rel>()),
        elf::SHT_RELA => Some(size_of::<H::Rela>()),
        elf::SHT_RELR | elf::SHT_ANDROID_RELR => Some(size_of::<H::Relr>()),
        elf::SHT_CREL | elf::SHT_ANDROID_REL | elf::SHT_ANDROID_RELA => Some(1),
        _ => None,
    }
}

fn tables_of_sections<'a, H: Header>(
    elf: &Elf<'a, H>,
    linkage: &mut LinkageBuilder,
) -> Vec<RelocationTable<'a>> {
    let endian = elf.endian;
    let is_relocatable = elf.is_relocatable();
    let mut tables = Vec::new();
    for (index, header) in (0..).zip(elf.section_headers) {
        let section_type = header.sh_type(endian);
        let Some(entry_size) = entry_size::<H>(section_type) else { continue };
        let file_offset = header.sh_offset(endian).into();
        let Ok(data) = header.data(endian, elf.file.as_ref()) else {
            let message = format!("the relocations of section {index} are not in the file");
            linkage.warning(
                DiagnosticCode::BrokenRelocation,
                DiagnosticLocation::FileOffset(file_offset),
                &message,
            );
            continue;
        };
        let (info, flags) = (header.sh_info(endian), header.sh_flags(endian));
        let names_target = info != 0 && (is_relocatable || flags.contains(elf::SHF_INFO_LINK));
        let symbols = elf.section_headers.get(header.sh_link(endian) as usize);
        tables.push(RelocationTable {
            section_type,
            data,
            file_offset,
            entry_size,
            section_index: Some(index),
            target_section_index: names_target.then_some(info),
            is_dynamic: !is_relocatable && flags.contains(elf::SHF_ALLOC),
            has_dynamic_symbols: symbols.is_some_and(|symbols| symbols.sh_type(endian) == elf::SHT_DYNSYM),
        });
    }
    tables
}

fn tables_of_dynamic<'a, H: Header>(
    elf: &Elf<'a, H>,
    linkage: &mut LinkageBuilder,
) -> Vec<RelocationTable<'a>> {
    let Ok(Some(dynamic)) = elf.dynamic() else { return Vec::new() };
    let of_calls = match dynamic.value(elf::DT_PLTREL) {
        Some(tag) if i64::try_from(tag) == Ok(elf::DT_REL.0) => elf::SHT_REL,
        _ => elf::SHT_RELA,
    };
    let candidates = [
        (elf::SHT_REL, elf::DT_REL, elf::DT_RELSZ),
        (elf::SHT_RELA, elf::DT_RELA, elf::DT_RELASZ),
        (elf::SHT_RELR, elf::DT_RELR, elf::DT_RELRSZ),
        (elf::SHT_ANDROID_REL, elf::DT_ANDROID_REL, elf::DT_ANDROID_RELSZ),
        (elf::SHT_ANDROID_RELA, elf::DT_ANDROID_RELA, elf::DT_ANDROID_RELASZ),
        (elf::SHT_ANDROID_RELR, elf::DT_ANDROID_RELR, elf::DT_ANDROID_RELRSZ),
        (of_calls, elf::DT_JMPREL, elf::DT_PLTRELSZ),
    ];
    let mut tables = Vec::new();
    for (section_type, address, size) in candidates {
        let Some((address, size)) = dynamic.value(address).zip(dynamic.value(size)) else { continue };
        let (Some(entry_size), true) = (entry_size::<H>(section_type), size > 0) else { continue };
        let Some((data, file_offset)) = elf.loaded(address, size) else {
            let message = format!("{size} bytes of relocations are not in the file");
            linkage.warning(DiagnosticCode::BrokenRelocation, DiagnosticLocation::Address(address), &message);
            continue;
        };
        tables.push(RelocationTable {
            section_type,
            data,
            file_offset,
            entry_size,
            section_index: None,
            target_section_index: None,
            is_dynamic: true,
            has_dynamic_symbols: true,
        });
    }
    tables
}
