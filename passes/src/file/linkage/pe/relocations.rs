//! `binary_relocations`: the base relocations of a PE image, and the relocations of a COFF object's sections.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::pe::{Coff, ObjectHeader, Pe, architecture};
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{Architecture, BinaryRelocation, DiagnosticCode};
use object::LittleEndian as LE;
use object::pe::{self, BaseRelocationType, ImageRelocation, ImageSectionHeader, Machine, RelocationType};
use object::read::coff::{Symbol, SymbolTable};

/// Adds the base relocations of an image: blocks of a page each. Like the loader, this takes the next block where one
/// ends, whatever its alignment.
pub(super) fn push(pe: &Pe<'_>, linkage: &mut LinkageBuilder) {
    let Some((rva, size)) = pe.directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC) else { return };
    let location = DiagnosticLocation::Address(pe.address(rva));
    let Some((bytes, _)) = pe.bytes_from(rva) else {
        let message = "the base relocations are not in the file";
        return linkage.warning(DiagnosticCode::BrokenRelocation, location, message);
    };
    let mut writer =
        BaseRelocationWriter { pe, linkage, table_section_index: pe.section_index(rva), next_index: 0 };
    let mut rest = &bytes[..bytes.len().min(size as usize)];
    while let Some((header, _)) = rest.split_first_chunk::<8>() {
        let [page, block_size] =
            [0, 4].map(|at| u32::from_le_bytes(header[at..][..4].try_into().expect("four bytes")));
        // Zeros after the last block are padding.
        if rest.iter().all(|byte| *byte == 0) {
            return;
        }
        let Some(entries) = rest.get(8..block_size as usize) else {
            let first = writer.next_index;
            let message = format!(
                "the relocations after the first {first}: a block states a size of {block_size} bytes"
            );
            return linkage.warning(DiagnosticCode::BrokenRelocation, location, &message);
        };
        writer.push_block(page, entries);
        rest = &rest[block_size as usize..];
    }
}

struct BaseRelocationWriter<'a, 'd> {
    pe: &'a Pe<'d>,
    linkage: &'a mut LinkageBuilder,
    table_section_index: Option<u32>,
    next_index: u32,
}

impl BaseRelocationWriter<'_, '_> {
    /// Adds the relocations of a block. An entry has the type in the upper four bits, and the offset in the page.
    fn push_block(&mut self, page: u32, entries: &[u8]) {
        let mut entries = entries.as_chunks().0.iter().map(|entry| u16::from_le_bytes(*entry));
        while let Some(entry) = entries.next() {
            let relocation_type = BaseRelocationType(entry >> 12);
            // Padding entries relocate nothing.
            if relocation_type == pe::IMAGE_REL_BASED_ABSOLUTE {
                continue;
            }
            let rva = page.wrapping_add((entry & 0xfff).into());
            let unnamed = format!("{:#x}", relocation_type.0);
            self.linkage.relocations.push(BinaryRelocation {
                relocation_index: self.next_index,
                is_dynamic: true,
                table_section_index: self.table_section_index,
                section_index: self.pe.section_index(rva),
                address: self.pe.address(rva),
                relocation_type: base_name(self.pe.coff.machine, relocation_type).unwrap_or(&unnamed),
                is_symbol_dynamic: None,
                symbol_index: None,
                symbol_name: None,
                addend: None,
                ..BinaryRelocation::default()
            });
            self.next_index += 1;
            if relocation_type == pe::IMAGE_REL_BASED_HIGHADJ {
                // The next entry is no relocation, but the low half of the value.
                entries.next();
            }
        }
    }
}

fn base_name(machine: Machine, relocation_type: BaseRelocationType) -> Option<&'static str> {
    let names = match architecture(machine).0 {
        Architecture::Arm => &pe::NAMES_REL_BASED_ARM,
        Architecture::Mips => &pe::NAMES_REL_BASED_MIPS,
        Architecture::Itanium => &pe::NAMES_REL_BASED_IA64,
        Architecture::RiscV => &pe::NAMES_REL_BASED_RISCV,
        _ => BaseRelocationType::NAMES,
    };
    names.name(relocation_type)
}

/// Adds the relocations of an object's sections.
pub(super) fn push_object<H: ObjectHeader>(
    coff: &Coff<'_, H>,
    sections: &SectionsIr,
    linkage: &mut LinkageBuilder,
) {
    let mut writer = ObjectRelocationWriter {
        coff,
        symbols: coff.symbols().unwrap_or_default(),
        symbol_indexes: sections.symbols.columns().symbol_index,
        machine: names_machine(coff.machine),
        linkage,
        relocation_index: 0,
        rows_left: coff.file.len() / size_of::<ImageRelocation>(),
    };
    for (section_index, section) in (1..).zip(coff.section_headers) {
        let relocations = section.coff_relocations(coff.file.as_ref()).map_err(|error| error.to_string());
        let read = relocations.and_then(|relocations| {
            relocations.iter().try_for_each(|entry| writer.push(section_index, section, entry))
        });
        if let Err(error) = read {
            let location = DiagnosticLocation::FileOffset(section.pointer_to_relocations.get(LE).into());
            let message = format!("the rest of the relocations of section {section_index}: {error}");
            writer.linkage.warning(DiagnosticCode::BrokenRelocation, location, &message);
        }
    }
}

/// The machine whose relocation names a machine uses.
fn names_machine(machine: Machine) -> Machine {
    match machine {
        pe::IMAGE_FILE_MACHINE_ARM64EC | pe::IMAGE_FILE_MACHINE_ARM64X => pe::IMAGE_FILE_MACHINE_ARM64,
        pe::IMAGE_FILE_MACHINE_ARMNT | pe::IMAGE_FILE_MACHINE_THUMB => pe::IMAGE_FILE_MACHINE_ARM,
        machine => machine,
    }
}

struct ObjectRelocationWriter<'a, 'd, H: ObjectHeader> {
    coff: &'a Coff<'d, H>,
    symbols: SymbolTable<'d, &'d [u8], H>,
    /// Positions of the rows of symbols, sorted.
    symbol_indexes: &'a [u32],
    machine: Machine,
    linkage: &'a mut LinkageBuilder,
    relocation_index: u32,
    /// Rows that may still be added: sections of a broken file may share tables.
    rows_left: usize,
}

impl<H: ObjectHeader> ObjectRelocationWriter<'_, '_, H> {
    fn push(
        &mut self,
        section_index: u32,
        section: &ImageSectionHeader,
        entry: &ImageRelocation,
    ) -> Result<(), String> {
        self.rows_left = self.rows_left.checked_sub(1).ok_or("there are more than fit in the file")?;
        let r_type = entry.typ.get(LE);
        let index = entry.symbol();
        let symbol = self.symbols.symbol(index).map_err(|error| error.to_string())?;
        let name = self.coff.name(symbol.raw_name(), &mut self.linkage.names)?;
        let unnamed = format!("{:#x}", r_type.0);
        self.linkage.relocations.push(BinaryRelocation {
            relocation_index: self.relocation_index,
            is_dynamic: false,
            table_section_index: None,
            section_index: Some(section_index),
            address: entry.virtual_address.get(LE).wrapping_sub(section.virtual_address.get(LE)).into(),
            relocation_type: type_name(self.machine, r_type).unwrap_or(&unnamed),
            is_symbol_dynamic: self.symbol_indexes.binary_search(&(index.0 as u32)).is_ok().then_some(false),
            symbol_index: Some(index.0 as u32),
            symbol_name: Some(&name),
            addend: None,
            ..BinaryRelocation::default()
        });
        self.relocation_index += 1;
        Ok(())
    }
}

fn type_name(machine: Machine, r_type: RelocationType) -> Option<&'static str> {
    let (bits, name) = pe::machine_names(machine).rel.name(r_type)?;
    // Some machines store flags in the type; only the exact value has a name.
    (bits == r_type).then_some(name)
}
