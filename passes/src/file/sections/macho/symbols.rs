//! `binary_symbols` of a Mach-O file, from the symbol table of `LC_SYMTAB`.

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::bytes_at;
use crate::file::formats::macho::{Header, MachO};
use crate::file::names::{is_go, language};
use crate::file::text_budget::NameBudget;
use binframe_ir::tables::{
    BinarySectionColumns, BinarySections, BinarySymbol, BinarySymbolBuilder, BinarySymbols, DiagnosticCode,
    SectionKind, SymbolBinding, SymbolDefinition, SymbolType, SymbolVisibility,
};
use binframe_ir::{Enumeration, Rows};
use object::macho;
use object::read::macho::Nlist;
use std::borrow::Cow;

pub(super) fn table<H: Header>(
    macho: &MachO<'_, H>,
    sections: &Rows<BinarySections>,
    diagnostics: &mut Collector,
) -> Rows<BinarySymbols> {
    let mut rows = BinarySymbolBuilder::default();
    let Some(symtab) = macho.symtab() else { return rows.finish() };
    let endian = macho.endian;
    let file_offset = symtab.symoff.get(endian).into();
    let symbols = match symtab.symbols::<H, _>(endian, macho.file.as_ref()) {
        Ok(symbols) => symbols,
        Err(error) => {
            let (message, location) =
                (format!("symbols were left out: {error}"), DiagnosticLocation::FileOffset(file_offset));
            diagnostics.error(DiagnosticCode::BrokenSymbolTable, location, &message);
            return rows.finish();
        }
    };
    let (strings, _) =
        bytes_at(macho.file, symtab.stroff.get(endian).into(), symtab.strsize.get(endian).into());
    let mut names = NameBudget::of_file(macho.file);
    let mut reader =
        SymbolReader { sections: sections.columns(), is_go: is_go(sections), diagnostics, file_offset };
    for (symbol_index, symbol) in (0..).zip(symbols.iter()) {
        let name = names.read(strings, symbol.n_strx(endian).into()).unwrap_or_else(|error| {
            let message = format!("symbol {symbol_index} has no name: {error}");
            let code = DiagnosticCode::BrokenName;
            reader.warning(code, symbol_index, size_of::<H::Nlist>(), &message);
            Cow::Borrowed("")
        });
        rows.push(reader.row::<H>(macho, symbol_index, symbol, &name));
    }
    rows.finish()
}

struct SymbolReader<'a, 'd> {
    sections: BinarySectionColumns<'a>,
    is_go: bool,
    diagnostics: &'d mut Collector,
    /// File offset of the symbol table.
    file_offset: u64,
}

impl<'a> SymbolReader<'a, '_> {
    /// Reports a warning at the entry of a symbol.
    fn warning(&mut self, code: DiagnosticCode, symbol_index: u32, symbol_size: usize, message: &str) {
        let offset = self.file_offset.saturating_add(u64::from(symbol_index) * symbol_size as u64);
        self.diagnostics.warning(code, DiagnosticLocation::FileOffset(offset), message);
    }

    /// The type of a symbol, from its section: Mach-O symbols have no type.
    fn symbol_type(&self, row: usize, address: u64) -> SymbolType {
        // The symbol of the Mach-O header refers to the first section, too, but is outside of it.
        let is_inside = address.wrapping_sub(self.sections.address[row]) < self.sections.size[row];
        match (self.sections.kind.get(row), self.sections.section_type.get(row)) {
            _ if !is_inside => SymbolType::Unknown,
            (SectionKind::Code | SectionKind::Plt, _) => SymbolType::Function,
            (SectionKind::ThreadLocal, _) | (_, Some("S_THREAD_LOCAL_VARIABLES")) => SymbolType::Tls,
            _ => SymbolType::Variable,
        }
    }

    fn row<'r, H: Header>(
        &mut self,
        macho: &MachO<'_, H>,
        symbol_index: u32,
        symbol: &H::Nlist,
        symbol_name: &'r str,
    ) -> BinarySymbol<'r>
    where
        'a: 'r,
    {
        let (flags, description) = (symbol.n_type(), symbol.n_desc(macho.endian));
        let value: u64 = symbol.n_value(macho.endian).into();
        // The first section has number 1.
        let row = usize::from(symbol.n_sect()).wrapping_sub(1);
        let row = (names_section(flags) && row < self.sections.len()).then_some(row);
        if names_section(flags) && row.is_none() && !flags.is_stab() {
            let (section, count) = (symbol.n_sect(), self.sections.len());
            let message = format!("symbol {symbol_index} lies in section {section}, of {count} sections");
            let code = DiagnosticCode::SymbolWithoutSection;
            self.warning(code, symbol_index, size_of::<H::Nlist>(), &message);
        }
        let is_inner = flags.typ() == macho::N_SECT && description.contains(macho::N_ALT_ENTRY);
        BinarySymbol {
            symbol_name,
            symbol_type: match flags.stab() {
                Some(stab) => stab_type(stab),
                None if symbol.is_common() => SymbolType::Variable,
                // An alternate entry inside a function.
                None if is_inner => SymbolType::Unknown,
                None => row.map_or(SymbolType::Unknown, |row| self.symbol_type(row, value)),
            }
            .name(),
            symbol_address: value,
            symbol_size: if symbol.is_common() { value } else { 0 },
            section_name: row.map(|row| self.sections.section_name.value(row)),
            demangled_name: None,
            language: language(symbol_name, self.is_go),
            binding: binding(flags, description),
            visibility: match flags.contains(macho::N_PEXT) && !flags.is_stab() {
                true => SymbolVisibility::Hidden,
                false => SymbolVisibility::Default,
            },
            definition_kind: definition(flags, symbol.is_common(), row.is_some()),
            is_dynamic: false,
            symbol_index,
            section_index: row.map(|row| self.sections.section_index[row]),
            version: None,
            is_default_version: None,
        }
    }
}

/// Whether `n_sect` of a symbol is a section index.
fn names_section(flags: macho::SymbolFlags) -> bool {
    match flags.stab() {
        Some(stab) => [macho::N_FUN, macho::N_STSYM, macho::N_LCSYM].contains(&stab),
        None => flags.typ() == macho::N_SECT,
    }
}

fn stab_type(stab: macho::SymbolStab) -> SymbolType {
    match stab {
        macho::N_FUN => SymbolType::Function,
        macho::N_GSYM | macho::N_STSYM | macho::N_LCSYM => SymbolType::Variable,
        macho::N_SO | macho::N_SOL | macho::N_OSO => SymbolType::File,
        _ => SymbolType::Unknown,
    }
}

fn binding(flags: macho::SymbolFlags, description: macho::SymbolDesc) -> SymbolBinding {
    let weak = match flags.typ() {
        macho::N_UNDF | macho::N_PBUD => macho::N_WEAK_REF,
        _ => macho::N_WEAK_DEF,
    };
    match () {
        () if flags.is_stab() || !flags.is_ext() => SymbolBinding::Local,
        () if description.contains(weak) => SymbolBinding::Weak,
        () => SymbolBinding::Global,
    }
}

fn definition(flags: macho::SymbolFlags, is_common: bool, has_section: bool) -> SymbolDefinition {
    match flags.typ() {
        _ if flags.is_stab() => SymbolDefinition::Debug,
        macho::N_UNDF if is_common => SymbolDefinition::Common,
        macho::N_UNDF | macho::N_PBUD => SymbolDefinition::Undefined,
        macho::N_ABS => SymbolDefinition::Absolute,
        macho::N_SECT if has_section => SymbolDefinition::Section,
        _ => SymbolDefinition::Other,
    }
}
