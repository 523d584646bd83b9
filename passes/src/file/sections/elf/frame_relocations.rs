//! Relocations of call frame information, in a relocatable ELF object.

use super::super::unwind::frames;
use crate::file::formats::elf::{Elf, Header};
use crate::file::formats::field_relocations::FieldRelocation;
use binframe_ir::Rows;
use binframe_ir::tables::BinarySections;
use object::elf::{self, Machine, RelocationType};
use object::read::elf::{Crel, SectionHeader, Sym, SymbolTable};

/// The relocations of all sections of call frames, sorted by section and offset; `None` for a linked file. Relocations
/// that cannot be read are omitted; the frames that need them are reported.
pub(super) fn read<H: Header>(
    elf: &Elf<'_, H>,
    sections: &Rows<BinarySections>,
) -> Option<Vec<FieldRelocation>> {
    let (endian, file) = (elf.endian, elf.file.as_ref());
    if !elf.is_relocatable() {
        return None;
    }
    let columns = sections.columns();
    let symbols = elf.section_table().symbols(endian, file, elf::SHT_SYMTAB).unwrap_or_default();
    let is_mips64el = elf.header.is_mips64el(endian);
    let mut relocations = Vec::new();
    for header in elf.section_headers {
        let field_section_index = header.sh_info(endian);
        let is_frames = (field_section_index as usize) < columns.len()
            && frames::source_of(columns.section_name.value(field_section_index as usize)).is_some();
        if !is_frames {
            continue;
        }
        let read =
            |entry: &Crel, adds_stored| relocation(elf, &symbols, field_section_index, entry, adds_stored);
        if let Ok(Some((entries, _))) = header.rel(endian, file) {
            relocations.extend(entries.iter().filter_map(|entry| read(&Crel::from_rel(entry, endian), true)));
        } else if let Ok(Some((entries, _))) = header.rela(endian, file) {
            let crel = |entry| Crel::from_rela(entry, endian, is_mips64el);
            relocations.extend(entries.iter().filter_map(|entry| read(&crel(entry), false)));
        } else if let Ok(Some((entries, _))) = header.crel(endian, file) {
            let adds_stored = !entries.is_rela();
            relocations.extend(entries.map_while(Result::ok).filter_map(|entry| read(&entry, adds_stored)));
        }
    }
    relocations
        .sort_by_key(|relocation: &FieldRelocation| (relocation.field_section_index, relocation.offset));
    Some(relocations)
}

/// A relocation as read from its table; `None` if it writes nothing or its symbol is invalid.
fn relocation<H: Header>(
    elf: &Elf<'_, H>,
    symbols: &SymbolTable<'_, H>,
    field_section_index: u32,
    entry: &Crel,
    adds_stored: bool,
) -> Option<FieldRelocation> {
    let endian = elf.endian;
    if entry.r_type == RelocationType(0) {
        return None;
    }
    let index = entry.symbol()?;
    let symbol = symbols.symbol(index).ok()?;
    let section_index = match symbol.st_shndx(endian) {
        elf::SHN_XINDEX => symbols.shndx(endian, index),
        section if section.is_special() => None,
        section => Some(u32::from(section.0)),
    };
    // SuperH's assembler leaves the addend in the field all the same.
    let adds_stored = adds_stored || elf.machine == elf::EM_SH;
    let addend = if adds_stored { 0 } else { entry.r_addend };
    Some(FieldRelocation {
        field_section_index,
        offset: entry.r_offset,
        symbol_index: entry.r_sym,
        section_index: section_index.filter(|index| (*index as usize) < elf.section_headers.len()),
        value: symbol.st_value(endian).into().wrapping_add(addend as u64),
        adds_stored,
        is_subtracted: is_subtracted(elf.machine, entry.r_type),
    })
}

/// Whether a relocation subtracts its value. Architectures whose linkers shorten code store sizes as the difference of
/// two symbols.
fn is_subtracted(machine: Machine, r_type: RelocationType) -> bool {
    match machine {
        elf::EM_RISCV => [elf::R_RISCV_SUB32, elf::R_RISCV_SUB64].contains(&r_type),
        elf::EM_LOONGARCH => [elf::R_LARCH_SUB32, elf::R_LARCH_SUB64].contains(&r_type),
        _ => false,
    }
}
