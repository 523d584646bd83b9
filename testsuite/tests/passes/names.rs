//! Shows addresses as `symbol+0x10`, so that rows can be read and do not depend on the linker.

use binframe::ir::TableInfo;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::ops::Range;

/// What the names begin with that linkers give to addresses of their own.
const OF_LINKER: [&str; 6] = ["__bss_start", "_edata", "_end", "_GLOBAL_OFFSET_TABLE_", "_DYNAMIC", "___"];

pub(crate) struct Names {
    /// Address and name, sorted; one for each address.
    symbols: Vec<(u64, String)>,
    sections: Vec<(Range<u64>, String)>,
}

impl Names {
    /// The names of a linked file with symbols.
    pub(crate) fn new(named: &[u8]) -> Self {
        let mut names = Self { symbols: Vec::new(), sections: Vec::new() };
        if let Ok(file) = object::File::parse(named) {
            let sections = file.sections().filter(|section| section.address() > 0 && section.size() > 0);
            names.sections = sections
                .map(|section| {
                    (
                        section.address()..section.address() + section.size(),
                        section.name().unwrap_or("?").to_owned(),
                    )
                })
                .collect();
            let symbols = file.symbols().chain(file.dynamic_symbols()).filter_map(|symbol| {
                let name = symbol.name().ok().filter(|name| {
                    !name.is_empty() && !OF_LINKER.iter().any(|prefix| name.starts_with(prefix))
                })?;
                let section = file.section_by_index(symbol.section_index()?).ok()?;
                let offset = symbol.address().checked_sub(section.address())?;
                let is_label = matches!(symbol.kind(), SymbolKind::Label | SymbolKind::Unknown);
                (offset < section.size()).then(|| (symbol.address(), is_label, name.to_owned()))
            });
            let mut symbols: Vec<_> = symbols.collect();
            symbols.sort_unstable();
            symbols.dedup_by_key(|(address, ..)| *address);
            names.symbols = symbols.into_iter().map(|(address, _, name)| (address, name)).collect();
        }
        names
    }

    /// Replaces addresses in the cells of a row.
    pub(crate) fn show(&self, table: &TableInfo, row: &mut [String]) {
        for (column, cell) in table.columns.iter().zip(row) {
            if column.is_address() || column.one_of.is_none() {
                *cell = self.with_symbols(cell);
            }
        }
    }

    /// Text with symbols for its hexadecimal numbers, as far as those are addresses in sections.
    fn with_symbols(&self, text: &str) -> String {
        let mut parts = text.split("0x");
        let mut shown = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(part.len());
            let symbol = u64::from_str_radix(&part[..end], 16).ok().and_then(|address| self.symbol(address));
            shown += &symbol.unwrap_or_else(|| format!("0x{}", &part[..end]));
            shown += &part[end..];
        }
        shown
    }

    /// The last symbol of the section at or before an address, or the section.
    fn symbol(&self, address: u64) -> Option<String> {
        let (range, section) = self.section(address)?;
        let before = self.symbols.partition_point(|(start, _)| *start <= address).checked_sub(1);
        let symbol = before.map(|index| &self.symbols[index]).filter(|(start, _)| range.contains(start));
        let (start, name) = symbol.map_or((range.start, section), |(start, name)| (*start, name));
        Some(if start == address { name.clone() } else { format!("{name}+{:#x}", address - start) })
    }

    fn section(&self, address: u64) -> Option<(Range<u64>, &String)> {
        let section = self.sections.iter().find(|(range, _)| range.contains(&address));
        section.map(|(range, name)| (range.clone(), name))
    }
}
