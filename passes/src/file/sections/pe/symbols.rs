//! `binary_symbols` of a PE image or COFF object, from the COFF symbol table. Auxiliary records belong to the symbol
//! before them.

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::pe::{Coff, ObjectHeader};
use crate::file::names::{is_go, language};
use crate::file::text_budget::NameBudget;
use binframe_ir::tables::{
    BinarySectionColumns, BinarySections, BinarySymbol, BinarySymbolBuilder, BinarySymbols, DiagnosticCode,
    SymbolBinding, SymbolDefinition, SymbolType, SymbolVisibility,
};
use binframe_ir::{Enumeration, Rows};
use object::pe;
use object::read::coff::{Symbol, SymbolTable};
use object::{LittleEndian as LE, SymbolIndex};
use std::borrow::Cow;

pub(super) fn table<H: ObjectHeader>(
    coff: &Coff<'_, H>,
    sections: &Rows<BinarySections>,
    diagnostics: &mut Collector,
) -> Rows<BinarySymbols> {
    let table = coff.symbols().unwrap_or_else(|error| {
        let location = DiagnosticLocation::FileOffset(coff.header.pointer_to_symbol_table().into());
        let message = format!("symbols were left out: {error}");
        diagnostics.error(DiagnosticCode::BrokenSymbolTable, location, &message);
        SymbolTable::default()
    });
    let mut writer = SymbolWriter {
        coff,
        table: &table,
        sections: sections.columns(),
        rows: BinarySymbolBuilder::default(),
        diagnostics,
        names: NameBudget::of_file(coff.file),
        is_go: is_go(sections),
    };
    writer.push_all();
    writer.rows.finish()
}

struct SymbolWriter<'a, 'd, H: ObjectHeader> {
    coff: &'a Coff<'d, H>,
    table: &'a SymbolTable<'d, &'d [u8], H>,
    sections: BinarySectionColumns<'a>,
    rows: BinarySymbolBuilder,
    diagnostics: &'a mut Collector,
    names: NameBudget,
    is_go: bool,
}

impl<H: ObjectHeader> SymbolWriter<'_, '_, H> {
    fn push_all(&mut self) {
        for (index, symbol) in self.table.iter() {
            let name = name(self.coff, self.table, index, symbol, &mut self.names).unwrap_or_else(|error| {
                let offset = u64::from(self.coff.header.pointer_to_symbol_table());
                let location =
                    DiagnosticLocation::FileOffset(offset + (index.0 * size_of::<H::SymbolBytes>()) as u64);
                let message = format!("symbol {index} has no name: {error}");
                self.diagnostics.warning(DiagnosticCode::BrokenName, location, &message);
                Cow::Borrowed("")
            });
            self.push(index, symbol, &name);
        }
    }

    fn push(&mut self, index: SymbolIndex, symbol: &H::Symbol, name: &str) {
        let number = symbol.section_number();
        let definition = definition(symbol);
        let section = (definition == SymbolDefinition::Section).then_some(number.0 as u32);
        let section_index = section.filter(|section| *section as usize <= self.sections.len());
        if let (Some(section), None) = (section, section_index) {
            let message = format!("symbol {index} lies in section {section}, of {}", self.sections.len());
            let code = DiagnosticCode::SymbolWithoutSection;
            self.diagnostics.warning(code, DiagnosticLocation::Address(symbol.value().into()), &message);
        }
        let section_row = section_index.map(|section| section as usize - 1);
        let section_address = section_row.map_or(0, |row| self.sections.address[row]);
        self.rows.push(BinarySymbol {
            symbol_name: name,
            symbol_type: symbol_type(symbol).name(),
            symbol_address: section_address.wrapping_add(symbol.value().into()),
            symbol_size: size(self.table, index, symbol, definition).into(),
            section_name: section_row.map(|row| self.sections.section_name.value(row)),
            demangled_name: None,
            language: language(name, self.is_go),
            binding: match symbol.storage_class() {
                pe::IMAGE_SYM_CLASS_EXTERNAL => SymbolBinding::Global,
                pe::IMAGE_SYM_CLASS_WEAK_EXTERNAL => SymbolBinding::Weak,
                _ => SymbolBinding::Local,
            },
            visibility: SymbolVisibility::Default,
            definition_kind: match section_index {
                None if section.is_some() => SymbolDefinition::Other,
                _ => definition,
            },
            is_dynamic: false,
            symbol_index: index.0 as u32,
            section_index,
            version: None,
            is_default_version: None,
        });
    }
}

/// The name of a symbol; for a source file, that in its auxiliary records.
fn name<'d, H: ObjectHeader>(
    coff: &Coff<'d, H>,
    table: &SymbolTable<'d, &'d [u8], H>,
    index: SymbolIndex,
    symbol: &'d H::Symbol,
    names: &mut NameBudget,
) -> Result<Cow<'d, str>, &'static str> {
    let mut stored: &[u8] = symbol.raw_name();
    if symbol.has_aux_file_name() {
        const OUTSIDE: &str = "it does not lie in the table";
        let count = symbol.number_of_aux_symbols();
        stored = table.aux_file_name(index, count).map_err(|_| OUTSIDE)?;
        // GNU assemblers write a long name to the string table.
        if stored.is_empty() {
            stored = table.get::<[u8; 8]>(index, 1).map_err(|_| OUTSIDE)?;
        }
    }
    coff.name(stored, names)
}

fn symbol_type<S: Symbol>(symbol: &S) -> SymbolType {
    match symbol.storage_class() {
        pe::IMAGE_SYM_CLASS_FILE => SymbolType::File,
        pe::IMAGE_SYM_CLASS_SECTION => SymbolType::Section,
        pe::IMAGE_SYM_CLASS_STATIC if symbol.has_aux_section() => SymbolType::Section,
        _ if symbol.derived_type() == pe::IMAGE_SYM_DTYPE_FUNCTION => SymbolType::Function,
        _ => SymbolType::Unknown,
    }
}

fn definition<S: Symbol>(symbol: &S) -> SymbolDefinition {
    match (symbol.section_number(), symbol.storage_class()) {
        (pe::IMAGE_SYM_UNDEFINED, pe::IMAGE_SYM_CLASS_EXTERNAL) if symbol.value() != 0 => {
            SymbolDefinition::Common
        }
        (pe::IMAGE_SYM_UNDEFINED, _) => SymbolDefinition::Undefined,
        (pe::IMAGE_SYM_ABSOLUTE, _) => SymbolDefinition::Absolute,
        (pe::IMAGE_SYM_DEBUG, _) => SymbolDefinition::Debug,
        (section, _) if section.0 > 0 => SymbolDefinition::Section,
        _ => SymbolDefinition::Other,
    }
}

/// Size of a section symbol, of a function with an auxiliary record, or of a common variable; 0 for others.
fn size<'d, H: ObjectHeader>(
    table: &SymbolTable<'d, &'d [u8], H>,
    index: SymbolIndex,
    symbol: &H::Symbol,
    definition: SymbolDefinition,
) -> u32 {
    let found = match definition {
        SymbolDefinition::Common => Ok(symbol.value()),
        _ if symbol.has_aux_section() => table.aux_section(index).map(|section| section.length.get(LE)),
        _ if symbol.has_aux_function() => {
            table.aux_function(index).map(|function| function.total_size.get(LE))
        }
        _ => Ok(0),
    };
    found.unwrap_or(0)
}
