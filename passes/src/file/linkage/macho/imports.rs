//! `binary_imports` of a Mach-O file: the symbols that the loader binds or, without a table of these, the undefined
//! symbols.

use super::super::ir::LinkageBuilder;
use crate::file::formats::macho::{Header, MachO};
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{BinaryImport, SymbolDefinition};
use object::macho::{self, BindDylib};
use object::read::macho::{LoadCommandVariant, Nlist, Section};
use std::collections::HashMap;
use std::ops::Range;

/// Disjoint address ranges, sorted.
pub(super) struct AddressRanges(Vec<Range<u64>>);

impl AddressRanges {
    pub(super) fn new(ranges: impl Iterator<Item = Range<u64>>) -> Self {
        let mut ranges: Vec<_> = ranges.collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        Self(ranges)
    }

    /// Whether one of the ranges contains an address.
    pub(super) fn contain(&self, address: u64) -> bool {
        let before = self.0.partition_point(|range| range.start <= address).checked_sub(1);
        before.is_some_and(|index| self.0[index].contains(&address))
    }
}

/// A symbol that the loader binds pointers to.
pub(super) struct BoundSymbol {
    pub(super) name: String,
    /// Index in the symbol table; `None` if it is not in it.
    pub(super) index: Option<u32>,
    /// Whether this file defines it too.
    is_defined: bool,
    /// Position in `Imports::all`.
    position: usize,
}

struct Import {
    name: String,
    symbol_index: Option<u32>,
    dylib: BindDylib,
    is_weak: bool,
    is_lazy: bool,
    /// Address of the import slot, and whether it is bound lazily.
    slot: Option<(u64, bool)>,
    /// Whether another file must define it.
    is_needed: bool,
}

/// The imports, while the loader's tables are read.
pub(super) struct Imports<'a> {
    /// Index in the symbol table and whether the symbol is defined, by name.
    by_name: HashMap<&'a str, (u32, bool)>,
    /// Positions in `all`, by name.
    positions: HashMap<&'a [u8], usize>,
    all: Vec<Import>,
    /// Address ranges of import slots.
    slots: AddressRanges,
    /// Whether the file has a table of bound symbols.
    pub(super) are_listed: bool,
}

impl<'a> Imports<'a> {
    pub(super) fn new<H: Header>(macho: &MachO<'_, H>, sections: &'a SectionsIr) -> Self {
        let symbols = sections.symbols.columns();
        let mut by_name = HashMap::new();
        for row in (0..symbols.len()).filter(|_| !macho.is_relocatable()) {
            let is_defined = match symbols.definition_kind.get(row) {
                SymbolDefinition::Undefined => false,
                SymbolDefinition::Section | SymbolDefinition::Absolute => true,
                _ => continue,
            };
            by_name.entry(symbols.symbol_name.value(row)).or_insert((symbols.symbol_index[row], is_defined));
        }
        let pointers = macho
            .sections()
            .filter(|(_, _, section, _)| has_import_slots(section.section_type(macho.endian)));
        let slots = pointers.map(|(_, _, section, _)| {
            let address: u64 = section.addr(macho.endian).into();
            address..address.saturating_add(section.size(macho.endian).into())
        });
        let slots = AddressRanges::new(slots);
        Self { by_name, positions: HashMap::new(), all: Vec::new(), slots, are_listed: false }
    }

    /// The symbol with a name.
    pub(super) fn symbol(&mut self, name: &'a [u8]) -> BoundSymbol {
        let text = String::from_utf8_lossy(name).into_owned();
        let found = self.by_name.get(text.as_str()).copied();
        let (symbol_index, is_defined) = (found.map(|found| found.0), found.is_some_and(|found| found.1));
        let next = self.all.len();
        let position = *self.positions.entry(name).or_insert(next);
        if position == next {
            self.all.push(Import {
                name: text.clone(),
                symbol_index,
                dylib: BindDylib(0),
                is_weak: true,
                is_lazy: true,
                slot: None,
                is_needed: false,
            });
        }
        BoundSymbol { name: text, index: symbol_index, is_defined, position }
    }

    /// Records that the loader binds a symbol of a library.
    pub(super) fn add(&mut self, symbol: &BoundSymbol, dylib: BindDylib, is_weak: bool, is_lazy: bool) {
        // A weak definition of this file may be replaced by that of another file, but need not be.
        let is_own = dylib == macho::BIND_SPECIAL_DYLIB_SELF
            || dylib == macho::BIND_SPECIAL_DYLIB_WEAK_LOOKUP && symbol.is_defined;
        let Some(import) = self.all.get_mut(symbol.position).filter(|_| !is_own) else { return };
        if !import.is_needed || dylib != macho::BIND_SPECIAL_DYLIB_WEAK_LOOKUP {
            import.dylib = dylib;
        }
        import.is_needed = true;
        import.is_weak &= is_weak;
        import.is_lazy &= is_lazy;
    }

    /// Records that the pointer at an address is bound to a symbol. If the symbol has several import slots, a lazy one,
    /// which calls use, is preferred.
    pub(super) fn set_slot(&mut self, symbol: &BoundSymbol, address: u64, is_lazy: bool) {
        let is_slot = self.slots.contain(address);
        let Some(import) = self.all.get_mut(symbol.position).filter(|_| is_slot) else { return };
        if import.slot.is_none_or(|(_, was_lazy)| is_lazy && !was_lazy) {
            import.slot = Some((address, is_lazy));
        }
    }

    /// Adds the rows.
    pub(super) fn push<H: Header>(
        mut self,
        macho: &MachO<'_, H>,
        sections: &SectionsIr,
        libraries: &[String],
        linkage: &mut LinkageBuilder,
    ) {
        if !self.are_listed && !macho.is_relocatable() {
            self.all = undefined_symbols(macho, sections);
        }
        let imports = self.all.into_iter().filter(|import| import.is_needed);
        for (import_index, import) in (0..).zip(imports) {
            let library = import.dylib.index().and_then(|number| library(libraries, number));
            let library_name = library.and_then(|name| linkage.names.take(name));
            let Some(name) = linkage.names.take(import.name.as_str()) else { return };
            linkage.imports.push(BinaryImport {
                import_index,
                library_name,
                import_name: Some(name),
                ordinal: None,
                version: None,
                slot_address: import.slot.map(|slot| slot.0),
                is_symbol_dynamic: import.symbol_index.map(|_| false),
                symbol_index: import.symbol_index,
                is_weak: import.is_weak,
                is_delayed: import.is_lazy,
            });
        }
    }
}

/// Name of a library; the first has number 1.
pub(super) fn library(libraries: &[String], number: u32) -> Option<&str> {
    libraries.get((number as usize).checked_sub(1)?).map(String::as_str)
}

/// Whether sections of a type contain import slots.
fn has_import_slots(section_type: macho::SectionType) -> bool {
    [macho::S_NON_LAZY_SYMBOL_POINTERS, macho::S_LAZY_SYMBOL_POINTERS, macho::S_LAZY_DYLIB_SYMBOL_POINTERS]
        .contains(&section_type)
}

/// The undefined symbols, with import slots from the table of indirect symbols.
fn undefined_symbols<H: Header>(macho: &MachO<'_, H>, sections: &SectionsIr) -> Vec<Import> {
    let endian = macho.endian;
    let symbols = macho.symtab().and_then(|symtab| symtab.symbols::<H, _>(endian, macho.file.as_ref()).ok());
    let Some(symbols) = symbols else { return Vec::new() };
    let names = sections.symbols.columns();
    let has_libraries = macho.header.flags(endian).contains(macho::MH_TWOLEVEL);
    let slots = indirect_slots(macho);
    let undefined = (0..).zip(symbols.iter()).filter(|(_, symbol)| symbol.is_undefined());
    let import = |(symbol_index, symbol): (u32, &H::Nlist)| {
        let description = symbol.n_desc(endian);
        let number = description.library().index().filter(|_| has_libraries);
        let slot = slots.get(&symbol_index).copied();
        Some(Import {
            name: ((symbol_index as usize) < names.len())
                .then(|| names.symbol_name.value(symbol_index as usize).to_owned())?,
            symbol_index: Some(symbol_index),
            dylib: BindDylib(number.unwrap_or(0).into()),
            is_weak: description.contains(macho::N_WEAK_REF),
            is_lazy: slot.is_some_and(|slot| slot.1),
            slot,
            is_needed: true,
        })
    };
    undefined.filter_map(import).collect()
}

/// Address of the import slot and whether it is bound lazily, by symbol index.
fn indirect_slots<H: Header>(macho: &MachO<'_, H>) -> HashMap<u32, (u64, bool)> {
    let endian = macho.endian;
    let mut slots = HashMap::new();
    let table = macho.variants().find_map(|(_, variant)| match variant {
        LoadCommandVariant::Dysymtab(table) => table.indirect_symbols(endian, macho.file.as_ref()).ok(),
        _ => None,
    });
    let Some(table) = table else { return slots };
    // Sections of a valid file share no entries of the table.
    let mut entries_left = table.len();
    for (_, _, section, _) in macho.sections() {
        let section_type = section.section_type(endian);
        let Ok(entries) = section.indirect_symbols(endian, table) else { continue };
        if !has_import_slots(section_type) || entries.len() > entries_left {
            continue;
        }
        entries_left -= entries.len();
        let is_lazy = section_type != macho::S_NON_LAZY_SYMBOL_POINTERS;
        let mut address: u64 = section.addr(endian).into();
        for entry in entries {
            if let Some(symbol_index) = entry.get(endian).index() {
                slots.entry(symbol_index).or_insert((address, is_lazy));
            }
            address = address.wrapping_add(H::pointer_size().into());
        }
    }
    slots
}
