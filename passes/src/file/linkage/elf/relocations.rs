//! `binary_relocations` of an ELF file.

use super::super::ir::LinkageBuilder;
use super::android_relocations::AndroidRelocations;
use super::function_arrays::FunctionArray;
use super::relocation_names;
use super::relocation_tables::{self, RelocationTable};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::elf::{Elf, Header, whole_entries};
use crate::file::sections::SectionsIr;
use crate::ranges;
use binframe_ir::tables::{BinaryRelocation, BinarySymbolColumns, DiagnosticCode};
use object::elf::{self, RelocationType, machine_names};
use object::read::elf::{Crel, CrelIterator, RelrIterator};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The pointers written by the loader that other tables refer to.
#[derive(Default)]
pub(super) struct LoaderWrites {
    /// Address of the pointer to a symbol of the dynamic table, by symbol index, and whether it is for calls only.
    pub(super) import_slots: HashMap<u32, (u64, bool)>,
    /// Index in the dynamic table of each variable that the loader copies from another file.
    pub(super) copied: HashSet<u32>,
    /// Addend and symbol index (`None` for a relative relocation) of a pointer in a function array, by address.
    pub(super) array_pointers: HashMap<u64, (i64, Option<u32>)>,
}

pub(super) fn push<H: Header>(
    elf: &Elf<'_, H>,
    sections: &SectionsIr,
    arrays: &[FunctionArray],
    linkage: &mut LinkageBuilder,
) -> LoaderWrites {
    let tables = relocation_tables::find(elf, linkage);
    let mut writer = RelocationWriter {
        machine: elf.machine,
        sections_count: elf.section_headers.len() as u32,
        arrays: merged_ranges(arrays),
        symbols: SymbolRows::new(sections),
        linkage,
        writes: LoaderWrites::default(),
        next_index: 0,
        // A relocation is in the file, or (RELR) its field of at least four bytes is.
        rows_left: elf.file.len() / 4,
    };
    for table in &tables {
        let read = writer.push_table(elf, table);
        if let Err(error) = read {
            let message = format!("relocations were left out: {error}");
            let location = DiagnosticLocation::FileOffset(table.file_offset);
            writer.linkage.warning(DiagnosticCode::BrokenRelocation, location, &message);
        }
    }
    writer.writes
}

struct RelocationWriter<'a> {
    machine: elf::Machine,
    sections_count: u32,
    /// Address ranges of function arrays, sorted and disjoint.
    arrays: Vec<Range<u64>>,
    symbols: SymbolRows<'a>,
    linkage: &'a mut LinkageBuilder,
    writes: LoaderWrites,
    next_index: u32,
    rows_left: usize,
}

impl RelocationWriter<'_> {
    fn push_table<H: Header>(&mut self, elf: &Elf<'_, H>, table: &RelocationTable<'_>) -> Result<(), String> {
        let endian = elf.endian;
        let is_mips64el = elf.header.is_mips64el(endian);
        match table.section_type {
            elf::SHT_REL => {
                let entries = whole_entries::<H::Rel>(table.data);
                entries.iter().try_for_each(|entry| {
                    let mut entry = Crel::from_rel(entry, endian);
                    if is_mips64el {
                        (entry.r_sym, entry.r_type) = mips64el_info(&entry);
                    }
                    self.push(table, &entry, false)
                })
            }
            elf::SHT_RELA => {
                let entries = whole_entries::<H::Rela>(table.data);
                let crel = |entry| Crel::from_rela(entry, endian, is_mips64el);
                entries.iter().try_for_each(|entry| self.push(table, &crel(entry), true))
            }
            elf::SHT_CREL => {
                let mut entries = CrelIterator::new(table.data).map_err(|error| error.to_string())?;
                let has_addend = entries.is_rela();
                entries.try_for_each(|entry| {
                    self.push(table, &entry.map_err(|error| error.to_string())?, has_addend)
                })
            }
            elf::SHT_ANDROID_REL | elf::SHT_ANDROID_RELA => {
                let has_addend = table.section_type == elf::SHT_ANDROID_RELA;
                let mut entries = AndroidRelocations::new(table.data, elf.header.is_type_64())?;
                entries.try_for_each(|entry| self.push(table, &entry?, has_addend))
            }
            _ => {
                let entries = whole_entries::<H::Relr>(table.data);
                RelrIterator::<H>::new(endian, entries)
                    .try_for_each(|address| self.push_row(table, address.into(), "RELR", None, None))
            }
        }?;
        match table.odd_bytes() {
            0 => Ok(()),
            odd => Err(format!("the table ends with {odd} bytes of an entry")),
        }
    }

    fn push(&mut self, table: &RelocationTable<'_>, entry: &Crel, has_addend: bool) -> Result<(), String> {
        let symbol_index = entry.symbol().map(|symbol| symbol.0 as u32);
        let r_type = entry.r_type;
        let addend = has_addend.then_some(entry.r_addend);
        if table.is_dynamic {
            self.record_write(entry.r_offset, r_type, symbol_index, addend);
        }
        let unnamed;
        let name = match type_name(self.machine, r_type) {
            Some(name) => name,
            None => {
                unnamed = composite_name(self.machine, r_type).unwrap_or_else(|| format!("{:#x}", r_type.0));
                &unnamed
            }
        };
        if table.is_dynamic && name.ends_with("_COPY") {
            self.writes.copied.extend(symbol_index);
        }
        self.push_row(table, entry.r_offset, name, symbol_index, addend)
    }

    /// Records the pointer that a dynamic relocation writes, if other tables state it.
    fn record_write(
        &mut self,
        address: u64,
        r_type: RelocationType,
        symbol: Option<u32>,
        addend: Option<i64>,
    ) {
        let array = self.arrays.partition_point(|array| array.end <= address);
        if self.arrays.get(array).is_some_and(|array| array.contains(&address)) {
            self.writes.array_pointers.insert(address, (addend.unwrap_or_default(), symbol));
        }
        if let (Some(is_for_calls), Some(symbol)) = (import_slot(self.machine, r_type), symbol) {
            self.writes.import_slots.entry(symbol).or_insert((address, is_for_calls));
        }
    }

    fn push_row(
        &mut self,
        table: &RelocationTable<'_>,
        address: u64,
        relocation_type: &str,
        symbol_index: Option<u32>,
        addend: Option<i64>,
    ) -> Result<(), String> {
        self.rows_left = self.rows_left.checked_sub(1).ok_or("there are more than places in the file")?;
        let row = symbol_index.and_then(|index| self.symbols.find(table.has_dynamic_symbols, index));
        let name = row.map(|row| self.symbols.columns.symbol_name.value(row));
        let exists = |index: &u32| *index < self.sections_count;
        self.linkage.relocations.push(BinaryRelocation {
            relocation_index: self.next_index,
            is_dynamic: table.is_dynamic,
            table_section_index: table.section_index,
            section_index: table.target_section_index.filter(exists),
            address,
            relocation_type,
            is_symbol_dynamic: row.map(|_| table.has_dynamic_symbols),
            symbol_index,
            symbol_name: name.and_then(|name| self.linkage.names.take(name)),
            addend,
            ..BinaryRelocation::default()
        });
        self.next_index += 1;
        Ok(())
    }
}

/// The address ranges of function arrays, sorted; ranges that touch are merged.
fn merged_ranges(arrays: &[FunctionArray]) -> Vec<Range<u64>> {
    let mut merged: Vec<_> = arrays.iter().map(|array| array.addresses.clone()).collect();
    ranges::merge(&mut merged);
    merged
}

/// The rows of the static and the dynamic symbol table, by symbol index.
pub(super) struct SymbolRows<'a> {
    pub(super) columns: BinarySymbolColumns<'a>,
    /// Number of rows of the static table, which come first.
    static_count: usize,
}

impl<'a> SymbolRows<'a> {
    pub(super) fn new(sections: &'a SectionsIr) -> Self {
        let columns = sections.symbols.columns();
        let static_count = columns.is_dynamic.iter().filter(|is_dynamic| *is_dynamic == Some(false)).count();
        Self { columns, static_count }
    }

    /// Row of a symbol of one of the tables. Symbol 0, which is reserved, has no row.
    pub(super) fn find(&self, is_dynamic: bool, symbol_index: u32) -> Option<usize> {
        let first = if is_dynamic { self.static_count } else { 0 };
        let row = first.checked_add((symbol_index as usize).checked_sub(1)?)?;
        (row < self.columns.len() && self.columns.is_dynamic.value(row) == is_dynamic).then_some(row)
    }
}

/// Symbol and type of an entry without addend of a 64-bit little-endian MIPS file, in which a 32-bit symbol and four
/// bytes follow each other: a special symbol, and the third, the second and the first type.
fn mips64el_info(entry: &Crel) -> (u32, RelocationType) {
    (entry.r_type.0, RelocationType(entry.r_sym.swap_bytes()))
}

/// The specification's name of a type; the first name in the table of `object` may be an older one.
fn type_name(machine: elf::Machine, r_type: RelocationType) -> Option<&'static str> {
    relocation_names::find(machine, r_type).or_else(|| machine_names(machine).r.name(r_type))
}

/// The names of up to three types that 64-bit MIPS applies one after the other; `None` for other machines, and for
/// types without a name.
fn composite_name(machine: elf::Machine, r_type: RelocationType) -> Option<String> {
    if machine != elf::EM_MIPS {
        return None;
    }
    let types = [r_type.0, r_type.0 >> 8, r_type.0 >> 16].map(|part| part & 0xff);
    let count = types.iter().rposition(|part| *part != 0)? + 1;
    let names = types[..count].iter().map(|part| machine_names(machine).r.name(RelocationType(*part)));
    Some(names.collect::<Option<Vec<_>>>()?.join("/"))
}

/// Whether a relocation type writes an import slot: `Some(true)` if code only calls through it, `Some(false)` if code
/// may load it; `None` for other types.
fn import_slot(machine: elf::Machine, r_type: RelocationType) -> Option<bool> {
    let (loads, calls) = match machine {
        elf::EM_X86_64 => (elf::R_X86_64_GLOB_DAT, elf::R_X86_64_JUMP_SLOT),
        elf::EM_386 => (elf::R_386_GLOB_DAT, elf::R_386_JMP_SLOT),
        elf::EM_AARCH64 => (elf::R_AARCH64_GLOB_DAT, elf::R_AARCH64_JUMP_SLOT),
        elf::EM_ARM => (elf::R_ARM_GLOB_DAT, elf::R_ARM_JUMP_SLOT),
        elf::EM_PPC => (elf::R_PPC_GLOB_DAT, elf::R_PPC_JMP_SLOT),
        elf::EM_PPC64 => (elf::R_PPC64_GLOB_DAT, elf::R_PPC64_JMP_SLOT),
        elf::EM_S390 => (elf::R_390_GLOB_DAT, elf::R_390_JMP_SLOT),
        elf::EM_SPARC | elf::EM_SPARCV9 => (elf::R_SPARC_GLOB_DAT, elf::R_SPARC_JMP_SLOT),
        elf::EM_LOONGARCH => (elf::R_LARCH_64, elf::R_LARCH_JUMP_SLOT),
        elf::EM_RISCV => (elf::R_RISCV_64, elf::R_RISCV_JUMP_SLOT),
        _ => return None,
    };
    match r_type {
        _ if r_type == calls => Some(true),
        _ if r_type == loads => Some(false),
        _ => None,
    }
}
