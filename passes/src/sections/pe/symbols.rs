//! `binary_symbols`, from the COFF symbol table. What stands in auxiliary records is part of the symbol before them.

use crate::diagnostics::{Collector, Place};
use crate::formats::pe::{Coff, ObjectHeader};
use crate::names::NameBudget;
use binframe_ir::tables::{
    BinarySectionColumns, BinarySections, BinarySymbol, BinarySymbolBuilder, BinarySymbols, DiagnosticCode,
    Severity, SymbolBinding, SymbolDefinition, SymbolType, SymbolVisibility,
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
        let place = Place::FileOffset(coff.header.pointer_to_symbol_table().into());
        let message = format!("symbols were left out: {error}");
        diagnostics.report(Severity::Error, DiagnosticCode::BrokenSymbolTable, place, &message);
        SymbolTable::default()
    });
    let mut writer = Writer {
        coff,
        table: &table,
        sections: sections.columns(),
        rows: BinarySymbolBuilder::default(),
        diagnostics,
        names: NameBudget::of_file(coff.file),
    };
    writer.push_all();
    writer.rows.finish()
}

struct Writer<'a, 'd, H: ObjectHeader> {
    coff: &'a Coff<'d, H>,
    table: &'a SymbolTable<'d, &'d [u8], H>,
    sections: BinarySectionColumns<'a>,
    rows: BinarySymbolBuilder,
    diagnostics: &'a mut Collector,
    names: NameBudget,
}

impl<'d, H: ObjectHeader> Writer<'_, 'd, H> {
    fn push_all(&mut self) {
        for (index, symbol) in self.table.iter() {
            let name = name(self.table, index, symbol).map(String::from_utf8_lossy);
            let name = self.within_limit(index, name);
            self.push(index, symbol, &name);
        }
    }

    /// The name, or an empty one and a diagnostic.
    fn within_limit<'n>(&mut self, index: SymbolIndex, name: Result<Cow<'n, str>, String>) -> Cow<'n, str> {
        let name =
            name.and_then(|name| self.names.take(name).ok_or("all names together are too long".to_owned()));
        name.unwrap_or_else(|error| {
            let offset = u64::from(self.coff.header.pointer_to_symbol_table());
            let place = Place::FileOffset(offset + (index.0 * size_of::<H::SymbolBytes>()) as u64);
            let message = format!("symbol {index} has no name: {error}");
            self.diagnostics.report(Severity::Warning, DiagnosticCode::BrokenName, place, &message);
            Cow::Borrowed("")
        })
    }

    fn push(&mut self, index: SymbolIndex, symbol: &H::Symbol, name: &str) {
        let number = symbol.section_number();
        let definition = definition(symbol);
        let section = (definition == SymbolDefinition::Section).then_some(number.0 as u32);
        let section_index = section.filter(|section| *section as usize <= self.sections.len());
        if let (Some(section), None) = (section, section_index) {
            let message = format!("symbol {index} lies in section {section}, of {}", self.sections.len());
            let (severity, code) = (Severity::Warning, DiagnosticCode::SymbolWithoutSection);
            self.diagnostics.report(severity, code, Place::Address(symbol.value().into()), &message);
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
            binding: match symbol.storage_class() {
                pe::IMAGE_SYM_CLASS_EXTERNAL => SymbolBinding::Global,
                pe::IMAGE_SYM_CLASS_WEAK_EXTERNAL => SymbolBinding::Weak,
                _ => SymbolBinding::Local,
            },
            visibility: SymbolVisibility::Default,
            definition: match section_index {
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

/// The name; that of a source file stands in the records behind.
fn name<'d, H: ObjectHeader>(
    table: &SymbolTable<'d, &'d [u8], H>,
    index: SymbolIndex,
    symbol: &'d H::Symbol,
) -> Result<&'d [u8], String> {
    let text = |error: object::Error| error.to_string();
    if !symbol.has_aux_file_name() {
        return symbol.name(table.strings()).map_err(text);
    }
    let name = table.aux_file_name(index, symbol.number_of_aux_symbols()).map_err(text)?;
    // GNU assemblers put a long name with those of symbols, and four zeros and its offset here.
    match table.get::<[u8; 8]>(index, 1).map_err(text)? {
        [0, 0, 0, 0, offset @ ..] if *offset != [0; 4] => {
            let offset = u32::from_le_bytes(*offset);
            table.strings().get(offset).map_err(|()| format!("no text stands at {offset:#x}"))
        }
        _ => Ok(name),
    }
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

/// The size of a section, of a function that says so, or of a variable that the linker makes room for.
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
