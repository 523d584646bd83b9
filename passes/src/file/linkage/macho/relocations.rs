//! `binary_relocations` of a Mach-O file, from the tables of sections and of `LC_DYSYMTAB`.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::macho::{Header, MachO};
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{BinaryRelocation, BinarySymbolColumns, DiagnosticCode};
use object::macho::{self, Relocation, RelocationType, VM_PROT_WRITE, machine_names};
use object::read::macho::{FixupAuth, LoadCommandVariant, Section, Segment};
use object::{Endianness, ReadRef};

/// Keys of signed pointers, by number: two for code and two for data.
const KEYS: [&str; 4] = ["IA", "IB", "DA", "DB"];

/// Adds rows of relocations.
pub(super) struct RelocationWriter<'a, 'l, H: Header> {
    pub(super) macho: &'a MachO<'a, H>,
    pub(super) linkage: &'l mut LinkageBuilder,
    symbols: BinarySymbolColumns<'a>,
    next_index: u32,
    /// Rows that may still be added.
    rows_left: usize,
}

/// A table of relocations.
#[derive(Clone, Copy)]
struct RelocationTable {
    is_dynamic: bool,
    section_index: Option<u32>,
    /// Address that the offsets of fields are relative to.
    base: u64,
    file_offset: u64,
}

/// The columns of a row that its table states.
pub(super) struct RelocationRow<'r> {
    pub(super) is_dynamic: bool,
    pub(super) section_index: Option<u32>,
    pub(super) address: u64,
    pub(super) relocation_type: &'r str,
    pub(super) symbol_index: Option<u32>,
    pub(super) symbol_name: Option<&'r str>,
    pub(super) addend: Option<i64>,
    /// How the loader signs the pointer; `None` if it does not.
    pub(super) auth: Option<FixupAuth>,
}

impl<'a, 'l, H: Header> RelocationWriter<'a, 'l, H> {
    pub(super) fn new(
        macho: &'a MachO<'a, H>,
        sections: &'a SectionsIr,
        linkage: &'l mut LinkageBuilder,
    ) -> Self {
        // A relocation is in the file, or changes a field of at least four bytes that is.
        let rows_left = macho.file.len() / 4;
        Self { macho, linkage, symbols: sections.symbols.columns(), next_index: 0, rows_left }
    }

    /// Adds the relocations of sections and of `LC_DYSYMTAB`.
    pub(super) fn push_all(&mut self) {
        let macho = self.macho;
        let endian = macho.endian;
        for (section_index, _, header, _) in macho.sections() {
            // In an object, `address` is an offset in the section.
            let address: u64 = header.addr(endian).into();
            let base = if macho.is_relocatable() { 0 } else { address };
            let file_offset = header.reloff(endian).into();
            let table =
                RelocationTable { is_dynamic: false, section_index: Some(section_index), base, file_offset };
            self.push_table(table, header.nreloc(endian));
        }
        for (_, variant) in macho.variants() {
            let LoadCommandVariant::Dysymtab(table) = variant else { continue };
            let base = dynamic_base(macho);
            let tables = [
                (table.extreloff.get(endian), table.nextrel.get(endian)),
                (table.locreloff.get(endian), table.nlocrel.get(endian)),
            ];
            for (file_offset, count) in tables {
                let file_offset = file_offset.into();
                self.push_table(
                    RelocationTable { is_dynamic: true, section_index: None, base, file_offset },
                    count,
                );
            }
        }
    }

    fn push_table(&mut self, table: RelocationTable, count: u32) {
        let entries: Result<&[Relocation<Endianness>], ()> =
            self.macho.file.as_ref().read_slice_at(table.file_offset, count as usize);
        let pushed = match entries {
            Ok(entries) => self.push_entries(table, entries),
            Err(()) => Err("they are not in the file"),
        };
        if let Err(error) = pushed {
            self.report(DiagnosticLocation::FileOffset(table.file_offset), error);
        }
    }

    fn push_entries(
        &mut self,
        table: RelocationTable,
        entries: &[Relocation<Endianness>],
    ) -> Result<(), &'static str> {
        let (endian, cpu_type) = (self.macho.endian, self.macho.cpu_type);
        let types = machine_names(cpu_type).reloc;
        let mut last_address = table.base;
        let mut next_addend = None;
        for entry in entries {
            let (r_type, offset, symbol_index) = if entry.r_scattered(endian, cpu_type) {
                let info = entry.scattered_info(endian);
                (info.r_type, info.r_address, None)
            } else {
                let info = entry.info(endian);
                if is_arm64(cpu_type) && info.r_type == macho::ARM64_RELOC_ADDEND {
                    // A signed 24-bit addend of the next entry.
                    next_addend = Some(i64::from((info.r_symbolnum << 8) as i32 >> 8));
                    continue;
                }
                (info.r_type, info.r_address, info.r_extern.then_some(info.r_symbolnum))
            };
            // The second entry of a pair has the other half of the value instead of an offset.
            let address = match is_second_of_pair(cpu_type, r_type) {
                true => last_address,
                false => table.base.wrapping_add(offset.into()),
            };
            last_address = address;
            let unnamed = format!("{:#x}", r_type.0);
            let row = symbol_index.map(|index| index as usize).filter(|row| *row < self.symbols.len());
            let symbol_name = row.map(|row| self.symbols.symbol_name.value(row));
            self.push_row(&RelocationRow {
                is_dynamic: table.is_dynamic,
                section_index: table.section_index,
                address,
                relocation_type: types.name(r_type).unwrap_or(&unnamed),
                symbol_index,
                symbol_name,
                addend: next_addend.take(),
                auth: None,
            })?;
        }
        Ok(())
    }

    /// Adds a row; an error if there are more rows than fields in the file.
    pub(super) fn push_row(&mut self, row: &RelocationRow<'_>) -> Result<(), &'static str> {
        self.rows_left = self.rows_left.checked_sub(1).ok_or("there are more than places in the file")?;
        self.linkage.relocations.push(BinaryRelocation {
            relocation_index: self.next_index,
            is_dynamic: row.is_dynamic,
            table_section_index: None,
            section_index: row.section_index,
            address: row.address,
            relocation_type: row.relocation_type,
            is_symbol_dynamic: row
                .symbol_index
                .filter(|index| (*index as usize) < self.symbols.len())
                .map(|_| false),
            symbol_index: row.symbol_index,
            symbol_name: row.symbol_name.and_then(|name| self.linkage.names.take(name)),
            addend: row.addend,
            signing_key: row.auth.map(|auth| KEYS[auth.key as usize]),
            signing_diversity: row.auth.map(|auth| auth.diversity),
            is_address_signed: row.auth.map(|auth| auth.addr_div),
        });
        self.next_index += 1;
        Ok(())
    }

    /// Reports that relocations were omitted.
    pub(super) fn report(&mut self, location: DiagnosticLocation, error: impl std::fmt::Display) {
        let message = format!("relocations were left out: {error}");
        self.linkage.warning(DiagnosticCode::BrokenRelocation, location, &message);
    }
}

fn is_arm64(cpu_type: macho::CpuType) -> bool {
    [macho::CPU_TYPE_ARM64, macho::CPU_TYPE_ARM64_32].contains(&cpu_type)
}

fn is_second_of_pair(cpu_type: macho::CpuType, r_type: RelocationType) -> bool {
    match cpu_type {
        macho::CPU_TYPE_X86 => r_type == macho::GENERIC_RELOC_PAIR,
        macho::CPU_TYPE_ARM => r_type == macho::ARM_RELOC_PAIR,
        macho::CPU_TYPE_POWERPC | macho::CPU_TYPE_POWERPC64 => r_type == macho::PPC_RELOC_PAIR,
        _ => false,
    }
}

/// Address that the offsets of `LC_DYSYMTAB` relocations are relative to: that of the first segment or, if segments may
/// be far apart, of the first writable segment.
fn dynamic_base<H: Header>(macho: &MachO<'_, H>) -> u64 {
    let endian = macho.endian;
    let is_split = macho.header.flags(endian).contains(macho::MH_SPLIT_SEGS);
    let from_writable = is_split || macho.cpu_type == macho::CPU_TYPE_X86_64;
    let mut segments = macho.segments.iter().map(|segment| segment.header);
    let base = segments.find(|segment| !from_writable || segment.initprot(endian).contains(VM_PROT_WRITE));
    base.map_or(0, |segment| segment.vmaddr(endian).into())
}
