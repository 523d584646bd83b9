//! `binary_symbols` of an ELF file, from the static and the dynamic symbol table.
//!
//! Where the static table was stripped, it may be in a compressed ELF file in `.gnu_debugdata`, whose section indexes are
//! its own. Sections are looked up by address then, as in a file without section headers.
//!
//! Source: GDB manual, "Debugging information in a special section" (`MiniDebugInfo`).

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::compression::decompress_xz;
use crate::file::formats::elf::{Elf, Header};
use crate::file::formats::{elf_dynamic_tables, elf_versions};
use crate::file::names::{is_go, language};
use crate::file::text_budget::NameBudget;
use binframe_ir::tables::{
    BinarySectionColumns, BinarySections, BinarySymbol, BinarySymbolBuilder, BinarySymbols, DiagnosticCode,
    SymbolBinding, SymbolDefinition, SymbolType, SymbolVisibility,
};
use binframe_ir::{Enumeration, Rows};
use bytes::Bytes;
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
        is_go: is_go(sections),
        sections_by_address: elf.section_headers.is_empty(),
    };
    let dynamic_headers = elf_dynamic_tables::headers(elf);
    let versions = elf_versions::read(elf, &dynamic_headers).unwrap_or_else(|error| {
        let message = format!("versions of symbols were left out: {error}");
        writer.report_table(elf::SHT_GNU_VERSYM, &message);
        None
    });
    let versions = versions.unwrap_or_default();
    match elf.section_table().symbols(endian, file, elf::SHT_SYMTAB) {
        Ok(table) if table.is_empty() => writer.push_compressed(),
        Ok(table) => writer.push_table(&table, strings(elf, elf.section_headers, &table), None),
        Err(error) => writer.report_table(elf::SHT_SYMTAB, &format!("symbols were left out: {error}")),
    }
    let dynamic = SectionTable::<H>::new(&dynamic_headers, StringTable::default());
    match dynamic.symbols(endian, file, elf::SHT_DYNSYM) {
        Ok(table) => writer.push_table(&table, strings(elf, &dynamic_headers, &table), Some(&versions)),
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
    is_go: bool,
    /// Whether the sections of symbols are those at their addresses.
    sections_by_address: bool,
}

/// The names of a symbol table, given the section headers that it is of.
fn strings<'d, H: Header>(
    elf: &Elf<'d, H>,
    headers: &[H::SectionHeader],
    table: &SymbolTable<'d, H>,
) -> &'d [u8] {
    let header = headers.get(table.string_section().0);
    header.and_then(|header| header.data(elf.endian, elf.file.as_ref()).ok()).unwrap_or(&[])
}

/// The static symbol table in `.gnu_debugdata` may be this many times the size of the file.
const COMPRESSED_PER_FILE_SIZE_MAX: u64 = 16;

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

    /// Adds the symbols of `.gnu_debugdata`, if the file has one.
    fn push_compressed(&mut self) {
        let sections = self.sections;
        let Some(section) = sections.iter().find(|section| section.section_name == ".gnu_debugdata") else {
            return;
        };
        let size_max = (self.elf.file.len() as u64).saturating_mul(COMPRESSED_PER_FILE_SIZE_MAX);
        let read = decompress_xz(section.content, size_max).and_then(|content| {
            let file = Bytes::from(content);
            if file.get(..5) != self.elf.file.get(..5) {
                return Err("it is no ELF file of the same class".to_owned());
            }
            let inner: Elf<'_, H> = Elf::find(&file).map_err(|error| error.to_string())?;
            let table = inner.section_table().symbols(inner.endian, file.as_ref(), elf::SHT_SYMTAB);
            let table = table.map_err(|error| error.to_string())?;
            let by_address = std::mem::replace(&mut self.sections_by_address, true);
            self.push_table(&table, strings(&inner, inner.section_headers, &table), None);
            self.sections_by_address = by_address;
            Ok(())
        });
        if let Err(error) = read {
            let message = format!("the symbols in .gnu_debugdata were left out: {error}");
            let location = DiagnosticLocation::FileOffset(section.file_offset);
            self.diagnostics.error(DiagnosticCode::BrokenSymbolTable, location, &message);
        }
    }

    /// Adds the rows of a table, given its names. `versions` is given for the dynamic table only.
    fn push_table<'d>(
        &mut self,
        table: &SymbolTable<'d, H>,
        strings: &[u8],
        versions: Option<&VersionTable<'d, H>>,
    ) {
        let endian = self.elf.endian;
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
            _ if self.sections_by_address => self.section_at(symbol),
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
            language: language(symbol_name, self.is_go),
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
    /// Index of the loaded section that a symbol is in.
    fn section_at(&self, symbol: &H::Sym) -> Option<u32> {
        let address: u64 = symbol.st_value(self.elf.endian).into();
        let is_at = |row: &usize| {
            let offset = address.checked_sub(self.sections.address[*row]);
            self.sections.is_readable.value(*row)
                && offset.is_some_and(|offset| offset < self.sections.size[*row])
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
