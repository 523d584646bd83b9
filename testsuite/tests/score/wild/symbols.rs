//! `(unstripped file) -> functions of the whole file`, from its symbol table.
//!
//! Every symbol of code is one of three: it starts a function; it is a fragment of one (`f.cold`); or it is open
//! whether a function starts there, because it is a label, an entry inside another function, or has no size. Symbols of
//! PE and Mach-O have no size: a function ends at the next symbol or at the end of the section.

use crate::statements::Statements;
use crate::truth;
use object::{BinaryFormat, Object, ObjectSection, ObjectSymbol, SectionKind, Symbol, SymbolKind};
use std::collections::BTreeSet;

/// Functions of a file whose compiled language is `language`.
pub(crate) fn of(file: &object::File<'_>, language: &str) -> Statements {
    let sections: Vec<_> = file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
        .map(|section| (section.index(), section.address(), section.address() + section.size()))
        .collect();
    let end_of = |symbol: &Symbol<'_, '_>| {
        let section = symbol.section_index()?;
        let (_, start, end) = sections.iter().find(|(index, ..)| *index == section)?;
        (*start..*end).contains(&symbol.address()).then_some(*end)
    };
    let is_elf = file.format() == BinaryFormat::Elf;
    // Labels that GCC's assembly has for the score's own sake say nothing about functions.
    let of_code = file
        .symbols()
        .filter(|symbol| end_of(symbol).is_some() && symbol.name().is_ok_and(|name| !name.starts_with(".L")));
    // The symbol of a section is where the code of another object starts, whose local symbols may be stripped.
    let boundaries: BTreeSet<u64> = of_code.map(|symbol| symbol.address()).collect();
    let mut statements = truth::of_functions(file, |symbol| {
        let end = end_of(symbol)?;
        let name = symbol.name().ok()?;
        let is_return_address = || is_return_address(file, symbol);
        if !is_function(symbol.kind(), name, language) || language == "haskell" && is_return_address() {
            return None;
        }
        if is_elf {
            return Some(symbol.size());
        }
        let next = boundaries.range(symbol.address() + 1..).next().map_or(end, |next| end.min(*next));
        Some(next - symbol.address())
    });
    // A fragment of an unknown function.
    statements.parts.retain(|part| part.start != part.function || !part.name.contains(".cold"));
    let starts: BTreeSet<u64> = statements.parts.iter().map(|part| part.start).collect();
    statements.open = boundaries.difference(&starts).copied().collect();
    statements
}

/// Whether a symbol of code says that a function starts there.
fn is_function(kind: SymbolKind, name: &str, language: &str) -> bool {
    // GHC's runtime declares its functions as objects: code is after the table that their name ends with.
    let is_haskell = language == "haskell" && kind == SymbolKind::Data && name.ends_with("_info");
    kind == SymbolKind::Text || is_haskell
}

/// Whether GHC's info table before the code of a symbol is that of a stack frame: control returns there.
fn is_return_address(file: &object::File<'_>, symbol: &Symbol<'_, '_>) -> bool {
    let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
    let kind = section.and_then(|section| section.data_range(symbol.address() - 8, 4).ok().flatten());
    let kind = kind.and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?)));
    symbol.name().is_ok_and(|name| name.ends_with("_info"))
        && kind.is_some_and(|kind| (29..=36).contains(&kind))
}
