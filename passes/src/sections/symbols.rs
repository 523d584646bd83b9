//! `binary_symbols`, from the static and the dynamic symbol table.

use super::{ENDIAN, Elf};
use crate::diagnostics::{Collector, Place};
use binframe_ir::tables::{
    BinarySections, BinarySymbol, BinarySymbolBuilder, BinarySymbols, DiagnosticCode, Severity,
    SymbolBinding, SymbolType, SymbolVisibility,
};
use binframe_ir::{Enumeration, Rows};
use object::elf::{self, FileHeader64, Sym64};
use object::read::elf::{SectionHeader, SectionTable, Sym, SymbolTable};
use object::{Endianness, SymbolIndex};
use rayon::prelude::*;
use std::borrow::Cow;
use std::fmt::Write;

/// What demangling one name may write. Mangled names can stand for far longer ones.
const DEMANGLED_SIZE_MAX: usize = 16 << 10;

/// All names together may be this many times the file: string tables share the ends of names, but no honest one more.
const NAMES_PER_FILE_SIZE_MAX: usize = 16;

/// Arrow's limit for the text of one column, less a margin for names that stand in no file.
const NAMES_SIZE_MAX: usize = 1 << 30;

type Table<'a> = SymbolTable<'a, FileHeader64<Endianness>, &'a [u8]>;

pub(super) fn table(
    elf: &Elf<'_>,
    sections: &Rows<BinarySections>,
    diagnostics: &mut Collector,
) -> Rows<BinarySymbols> {
    let mut writer = Writer {
        sections,
        rows: BinarySymbolBuilder::default(),
        diagnostics,
        left: elf.file.len().saturating_mul(NAMES_PER_FILE_SIZE_MAX).min(NAMES_SIZE_MAX),
    };
    let file: &[u8] = elf.file;
    let headers =
        SectionTable::<FileHeader64<Endianness>>::new(elf.section_headers, object::StringTable::default());
    for (section_type, is_dynamic) in [(elf::SHT_SYMTAB, false), (elf::SHT_DYNSYM, true)] {
        match headers.symbols(ENDIAN, file, section_type) {
            Ok(table) => writer.push_table(&table, is_dynamic),
            Err(error) => {
                let header = elf.section_headers.iter().find(|header| header.sh_type(ENDIAN) == section_type);
                let place = Place::FileOffset(header.map_or(0, |header| header.sh_offset(ENDIAN)));
                let message = format!("symbols were left out: {error}");
                writer.diagnostics.report(
                    Severity::Error,
                    DiagnosticCode::BrokenSymbolTable,
                    place,
                    &message,
                );
            }
        }
    }
    writer.rows.finish()
}

struct Writer<'a> {
    sections: &'a Rows<BinarySections>,
    rows: BinarySymbolBuilder,
    diagnostics: &'a mut Collector,
    /// Bytes of names that may still be written.
    left: usize,
}

impl Writer<'_> {
    fn push_table(&mut self, table: &Table<'_>, is_dynamic: bool) {
        /// Symbols whose names are demangled at a time.
        const BATCH: usize = 1 << 14;
        // The first symbol is none: it stands for "no symbol".
        let symbols: Vec<_> = table.enumerate().skip(1).collect();
        for batch in symbols.chunks(BATCH) {
            let name = |&(_, symbol): &(SymbolIndex, &Sym64<Endianness>)| {
                let name = table.symbol_name(ENDIAN, symbol).map(String::from_utf8_lossy);
                let demangled = name.as_deref().ok().and_then(demangle);
                (name, demangled)
            };
            let names: Vec<_> = batch.par_iter().map(name).collect();
            for (&(index, symbol), (name, demangled)) in batch.iter().zip(names) {
                let place = Place::Address(symbol.st_value(ENDIAN));
                let name = self.within_limit(index, name.map_err(|error| error.to_string()), place);
                let demangled = demangled.filter(|text| text.len() <= self.left);
                self.left -= demangled.as_ref().map_or(0, String::len);
                self.push(table, is_dynamic, index, symbol, &name, demangled.as_deref());
            }
        }
    }

    /// The name, or an empty one and a diagnostic.
    fn within_limit<'n>(
        &mut self,
        index: SymbolIndex,
        name: Result<Cow<'n, str>, String>,
        place: Place,
    ) -> Cow<'n, str> {
        let name = name.and_then(|name| match name.len() <= self.left {
            true => Ok(name),
            false => Err("all names together are too long".to_owned()),
        });
        let name = name.unwrap_or_else(|error| {
            let message = format!("symbol {index} has no name: {error}");
            self.diagnostics.report(Severity::Warning, DiagnosticCode::BrokenName, place, &message);
            Cow::Borrowed("")
        });
        self.left -= name.len();
        name
    }

    fn push(
        &mut self,
        table: &Table<'_>,
        is_dynamic: bool,
        index: SymbolIndex,
        symbol: &Sym64<Endianness>,
        symbol_name: &str,
        demangled_name: Option<&str>,
    ) {
        let section = match symbol.st_shndx(ENDIAN) {
            elf::SHN_XINDEX => table.shndx(ENDIAN, index),
            section if section.is_special() => None,
            section => Some(u32::from(section.0)),
        };
        let columns = self.sections.columns();
        let section_index = section.filter(|section| (*section as usize) < columns.len());
        if let (Some(section), None) = (section, section_index) {
            let message = format!("symbol {index} lies in section {section}, of {} sections", columns.len());
            let place = Place::Address(symbol.st_value(ENDIAN));
            self.diagnostics.report(Severity::Warning, DiagnosticCode::SymbolWithoutSection, place, &message);
        }
        self.rows.push(BinarySymbol {
            symbol_name,
            symbol_type: symbol_type(symbol).name(),
            symbol_address: symbol.st_value(ENDIAN),
            symbol_size: symbol.st_size(ENDIAN),
            section_name: section_index.map(|section| columns.section_name.value(section as usize)),
            demangled_name,
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
            is_dynamic,
            symbol_index: index.0 as u32,
            section_index,
        });
    }
}

fn symbol_type(symbol: &Sym64<Endianness>) -> SymbolType {
    match symbol.st_type() {
        elf::STT_FUNC => SymbolType::Function,
        elf::STT_OBJECT | elf::STT_COMMON => SymbolType::Variable,
        elf::STT_SECTION => SymbolType::Section,
        elf::STT_FILE => SymbolType::File,
        elf::STT_TLS => SymbolType::Tls,
        elf::STT_GNU_IFUNC => SymbolType::IndirectFunction,
        _ => SymbolType::Unknown,
    }
}

/// The name as it was in Rust or C++ source; none for a name that was not mangled.
fn demangle(name: &str) -> Option<String> {
    // Versions stand after the name: `_ZdlPv@@GLIBCXX_3.4`.
    let mangled = name.split('@').next().unwrap_or(name);
    if !["_R", "_Z"].iter().any(|prefix| mangled.starts_with(prefix)) {
        return None;
    }
    let mut text = Limited(String::new());
    if let Ok(symbol) = rustc_demangle::try_demangle(mangled) {
        return write!(text, "{symbol:#}").is_ok().then_some(text.0);
    }
    let options = cpp_demangle::DemangleOptions::default();
    let symbol = cpp_demangle::Symbol::new(mangled).ok()?;
    symbol.structured_demangle(&mut text, &options).is_ok().then_some(text.0)
}

/// Text that does not grow beyond [`DEMANGLED_SIZE_MAX`].
struct Limited(String);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > DEMANGLED_SIZE_MAX {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::demangle;

    #[test]
    fn rust_and_cpp_names_are_demangled_and_others_are_not() {
        assert_eq!(
            demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE").unwrap(),
            "core::fmt::Write::write_fmt"
        );
        assert_eq!(demangle("_RNvC6_123foo3bar").unwrap(), "123foo::bar");
        assert_eq!(
            demangle("_ZNSt6vectorIiSaIiEE9push_backERKi").unwrap(),
            "std::vector<int, std::allocator<int> >::push_back(int const&)"
        );
        assert_eq!(demangle("main"), None);
        assert_eq!(demangle("_Zbroken"), None);
    }
}
