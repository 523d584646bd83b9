//! `binary_symbols` of an ELF file, from the static and the dynamic symbol table.

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::elf::{Elf, Header};
use crate::file::formats::{elf_dynamic_tables, elf_versions};
use crate::file::text_budget::NameBudget;
use binframe_ir::tables::{
    BinarySectionColumns, BinarySections, BinarySymbol, BinarySymbolBuilder, BinarySymbols, DiagnosticCode,
    SymbolBinding, SymbolDefinition, SymbolType, SymbolVisibility,
};
use binframe_ir::{Enumeration, Rows};
use object::read::elf::{SectionHeader, SectionTable, Sym, SymbolTable, VersionTable};
use object::{StringTable, SymbolIndex, elf};
use std::borrow::Cow;

pub(super) fn table<H: Header>(
    elf: &Elf<'_, H>,
    sections: &Rows<BinarySections>,
    diagnostics: &mut Collector,
) -> Rows<BinarySymbols> {
    let (endian, file) = (elf.endian, elf.file.as_ref());
    let mut writer = SymbolWriter {
        elf,
        sections: sections.columns(),
        rows: BinarySymbolBuilder::default(),
        diagnostics,
        names: NameBudget::of_file(file),
    };
    let dynamic_headers = elf_dynamic_tables::headers(elf);
    let versions = elf_versions::read(elf, &dynamic_headers).unwrap_or_else(|error| {
        let message = format!("versions of symbols were left out: {error}");
        writer.report_table(elf::SHT_GNU_VERSYM, &message);
        None
    });
    let versions = versions.unwrap_or_default();
    match elf.section_table().symbols(endian, file, elf::SHT_SYMTAB) {
        Ok(table) => writer.push_table(&table, elf.section_headers, None),
        Err(error) => writer.report_table(elf::SHT_SYMTAB, &format!("symbols were left out: {error}")),
    }
    let dynamic = SectionTable::<H>::new(&dynamic_headers, StringTable::default());
    match dynamic.symbols(endian, file, elf::SHT_DYNSYM) {
        Ok(table) => writer.push_table(&table, &dynamic_headers, Some(&versions)),
        Err(error) => writer.report_table(elf::SHT_DYNSYM, &format!("symbols were left out: {error}")),
    }
    writer.rows.finish()
}

struct SymbolWriter<'a, H: Header> {
    elf: &'a Elf<'a, H>,
    sections: BinarySectionColumns<'a>,
    rows: BinarySymbolBuilder,
    diagnostics: &'a mut Collector,
    names: NameBudget,
}

impl<H: Header> SymbolWriter<'_, H> {
    /// Reports an error at the first section of a type.
    fn report_table(&mut self, section_type: elf::SectionType, message: &str) {
        let endian = self.elf.endian;
        let mut headers = self.elf.section_headers.iter();
        let header = headers.find(|header| header.sh_type(endian) == section_type);
        let location =
            DiagnosticLocation::FileOffset(header.map_or(0, |header| header.sh_offset(endian).into()));
        self.diagnostics.error(DiagnosticCode::BrokenSymbolTable, location, message);
    }

    /// Adds the rows of a table, given the section headers that it is of. `versions` is given for the dynamic table only.
    fn push_table<'d>(
        &mut self,
        table: &SymbolTable<'d, H>,
        headers: &[H::SectionHeader],
        versions: Option<&VersionTable<'d, H>>,
    ) {
        let endian = self.elf.endian;
        let strings = headers.get(table.string_section().0);
        let strings =
            strings.and_then(|header| header.data(endian, self.elf.file.as_ref()).ok()).unwrap_or(&[]);
        self.rows.reserve(table.len());
        // The first symbol is reserved: index 0 means "no symbol".
        for (index, symbol) in table.enumerate().skip(1) {
            let name = self.names.read(strings, symbol.st_name(endian).into());
            let name = name.unwrap_or_else(|error| {
                let message = format!("symbol {index} has no name: {error}");
                let location = DiagnosticLocation::Address(symbol.st_value(endian).into());
                self.diagnostics.warning(DiagnosticCode::BrokenName, location, &message);
                Cow::Borrowed("")
            });
            self.push(table, versions, index, symbol, &name);
        }
    }

    fn push<'d>(
        &mut self,
        table: &SymbolTable<'d, H>,
        versions: Option<&VersionTable<'d, H>>,
        index: SymbolIndex,
        symbol: &H::Sym,
        symbol_name: &str,
    ) {
        let endian = self.elf.endian;
        let shndx = symbol.st_shndx(endian);
        let section = match shndx {
            elf::SHN_XINDEX => table.shndx(endian, index),
            section if section.is_special() => None,
            // In a file without section headers, segments stand for sections.
            _ if self.elf.section_headers.is_empty() => self.segment_at(symbol),
            section => Some(u32::from(section.0)),
        };
        let section_index = section.filter(|section| (*section as usize) < self.sections.len());
        if let (Some(section), None) = (section, section_index) {
            let message =
                format!("symbol {index} lies in section {section}, of {} sections", self.sections.len());
            let location = DiagnosticLocation::Address(symbol.st_value(endian).into());
            self.diagnostics.warning(DiagnosticCode::SymbolWithoutSection, location, &message);
        }
        let version_index = versions.map(|versions| versions.version_index(endian, index));
        let version = versions
            .zip(version_index)
            .and_then(|(versions, index)| versions.version(index.index()).ok()?)
            .and_then(|version| Some((self.names.read(version.name(), 0).ok()?, version.file())));
        // A version that names another file is required from it, even by a copy-relocated symbol, which is defined
        // here.
        let is_default_version = version.as_ref().map(|(_, file)| {
            shndx != elf::SHN_UNDEF && file.is_none() && version_index.is_some_and(|index| !index.is_hidden())
        });
        self.rows.push(BinarySymbol {
            symbol_name,
            symbol_type: symbol_type(symbol.st_type()).name(),
            symbol_address: symbol.st_value(endian).into(),
            symbol_size: symbol.st_size(endian).into(),
            section_name: section_index.map(|section| self.sections.section_name.value(section as usize)),
            demangled_name: None,
            binding: match symbol.st_bind() {
                elf::STB_LOCAL => SymbolBinding::Local,
                elf::STB_GLOBAL => SymbolBinding::Global,
                elf::STB_WEAK => SymbolBinding::Weak,
                elf::STB_GNU_UNIQUE => SymbolBinding::Unique,
                _ => SymbolBinding::Other,
            },
            visibility: match symbol.st_visibility() {
                elf::STV_INTERNAL => SymbolVisibility::Internal,
                elf::STV_HIDDEN => SymbolVisibility::Hidden,
                elf::STV_PROTECTED => SymbolVisibility::Protected,
                _ => SymbolVisibility::Default,
            },
            definition_kind: match shndx {
                elf::SHN_UNDEF => SymbolDefinition::Undefined,
                elf::SHN_ABS => SymbolDefinition::Absolute,
                elf::SHN_COMMON => SymbolDefinition::Common,
                _ if section_index.is_some() => SymbolDefinition::Section,
                _ => SymbolDefinition::Other,
            },
            is_dynamic: versions.is_some(),
            symbol_index: index.0 as u32,
            section_index,
            version: version.as_ref().map(|(name, _)| name.as_ref()),
            is_default_version,
        });
    }
}

impl<H: Header> SymbolWriter<'_, H> {
    /// Index of the loaded segment that a symbol is in.
    fn segment_at(&self, symbol: &H::Sym) -> Option<u32> {
        let address: u64 = symbol.st_value(self.elf.endian).into();
        let is_at = |row: &usize| {
            let offset = address.checked_sub(self.sections.address[*row]);
            offset.is_some_and(|offset| offset < self.sections.size[*row])
        };
        let row = (0..self.sections.len()).find(is_at).filter(|_| symbol.st_type() != elf::STT_TLS)?;
        Some(self.sections.section_index[row])
    }
}

fn symbol_type(symbol_type: elf::SymbolType) -> SymbolType {
    match symbol_type {
        elf::STT_FUNC => SymbolType::Function,
        elf::STT_OBJECT | elf::STT_COMMON => SymbolType::Variable,
        elf::STT_SECTION => SymbolType::Section,
        elf::STT_FILE => SymbolType::File,
        elf::STT_TLS => SymbolType::Tls,
        elf::STT_GNU_IFUNC => SymbolType::IndirectFunction,
        _ => SymbolType::Unknown,
    }
}
