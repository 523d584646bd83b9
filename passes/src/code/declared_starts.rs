//! `(binary_headers, binary_sections, binary_symbols, binary_unwind_entries, binary_relocations) -> declared starts`
//!
//! A function start is declared by a symbol, by the function table of a Go program, by an unwind entry outside of the
//! functions of both, or by the entry point. Of several declarations of one address, the one with the most reliable
//! evidence counts.

use crate::code::go_functions::{BrokenPart, ListedFunction, listed_functions};
use crate::code::loaded_data::loaded_data;
use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use binframe_ir::Enumeration;
use binframe_ir::tables::{
    BinaryUnwindEntry, FunctionEvidence, FunctionNameKind, SymbolBinding, SymbolType, UnwindSource,
};
use bytes::Bytes;
use std::cmp::Reverse;
use std::ops::Range;

/// A function start that the file declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionStart {
    /// Address of the first byte.
    pub address: u64,
    /// Size in bytes; 0 if the file does not declare it.
    pub size: u64,
    /// What declares it.
    pub evidence: FunctionEvidence,
    /// Whether it is declared to be the start of a fragment: code of a function that starts elsewhere.
    pub is_fragment: bool,
    /// What gives its name: a symbol, a function table, or nothing.
    pub name_kind: FunctionNameKind,
    /// Range in the text of all names; `None` if it has no name.
    pub(super) name: Option<Range<u32>>,
}

/// The declared function starts of a file, and the names that its function table gives.
#[derive(Debug, Clone, Default)]
pub(super) struct DeclaredStarts {
    /// Sorted by address, and unique.
    pub(super) starts: Vec<FunctionStart>,
    /// The addresses of the functions that a function table names, sorted, and the ranges of their names.
    pub(super) listed_names: Vec<(u64, Range<u32>)>,
    /// The text of all names.
    pub(super) names: String,
    /// What is broken in a function table.
    pub(super) broken: Vec<BrokenPart>,
}

/// The text of names.
#[derive(Default)]
struct Names(String);

impl Names {
    /// Appends a name; `None` if it is empty, or if there is too much text.
    fn push(&mut self, name: &str) -> Option<Range<u32>> {
        let start = u32::try_from(self.0.len()).ok()?;
        let end = start.checked_add(u32::try_from(name.len()).ok()?)?;
        self.0.push_str(name);
        (start < end).then_some(start..end)
    }
}

/// The declared function starts in code, which `is_code` tells.
pub(super) fn declared_starts(
    sections: &SectionsIr,
    linkage: &LinkageIr,
    file: &Bytes,
    is_code: &dyn Fn(u64) -> bool,
) -> DeclaredStarts {
    let mut names = Names::default();
    let mut starts = symbol_starts(sections, is_code, &mut names);
    let data = loaded_data(sections, file);
    let (listed, broken) = listed_functions(sections, linkage, &data, is_code);
    let listed_names = add_listed_starts(&listed, &mut starts, &mut names);
    add_unwind_starts(sections, is_code, &mut starts);
    let entry = sections.headers.columns().iter().find_map(|header| header.entry_address);
    if let Some(address) = entry.filter(|address| is_code(*address)) {
        starts.push(FunctionStart {
            address,
            size: 0,
            evidence: FunctionEvidence::Entry,
            is_fragment: false,
            name_kind: FunctionNameKind::None,
            name: None,
        });
    }
    // Of several declarations of one address, the most reliable counts; of several unwind entries, the largest.
    starts.sort_by_key(|start| (start.address, start.evidence, Reverse(start.size)));
    starts.dedup_by_key(|start| start.address);
    DeclaredStarts { starts, listed_names, names: names.0, broken }
}

/// Adds the functions of a function table that no symbol declares, and completes symbols without a size or a name.
/// Returns the names. Starts are sorted before and after.
fn add_listed_starts(
    listed: &[ListedFunction<'_>],
    starts: &mut Vec<FunctionStart>,
    names: &mut Names,
) -> Vec<(u64, Range<u32>)> {
    let declared = starts.len();
    let mut listed_names = Vec::new();
    for function in listed {
        let name = function.name.and_then(|name| names.push(name));
        listed_names.extend(name.clone().map(|name| (function.address, name)));
        let name_kind = if name.is_some() { FunctionNameKind::FunctionTable } else { FunctionNameKind::None };
        match starts[..declared].binary_search_by_key(&function.address, |start| start.address) {
            Ok(index) => {
                let start = &mut starts[index];
                if start.size == 0 {
                    start.size = function.size;
                }
                if start.name.is_none() {
                    (start.name, start.name_kind) = (name, name_kind);
                }
            }
            Err(_) => starts.push(FunctionStart {
                address: function.address,
                size: function.size,
                evidence: FunctionEvidence::FunctionTable,
                is_fragment: false,
                name_kind,
                name,
            }),
        }
    }
    starts.sort_by_key(|start| start.address);
    listed_names
}

/// Adds the starts of unwind entries outside of the functions that are declared already, and completes starts without a
/// size with the size of their unwind entry. A continuation entry extends the function of the previous entry if it is inside that
/// function or at its end.
fn add_unwind_starts(sections: &SectionsIr, is_code: &dyn Fn(u64) -> bool, starts: &mut Vec<FunctionStart>) {
    let declared = starts.len();
    let mut last: Option<usize> = None;
    let is_folded = is_folded(sections);
    for mut entry in sections.unwind_entries.columns().iter() {
        if is_folded && entry.unwind_kind == UnwindSource::CompactUnwind {
            entry.size = 0;
        }
        let Some((address, size)) = described_code(entry).filter(|range| is_code(range.0)) else { continue };
        if let Some(start) = last.filter(|_| entry.is_continuation).map(|last| &mut starts[last])
            && address - start.address <= start.size
        {
            start.size = start.size.max((address - start.address).saturating_add(size));
            continue;
        }
        let known = &starts[..declared];
        last = match known.binary_search_by_key(&address, |start| start.address) {
            Ok(index) if starts[index].size == 0 => {
                starts[index].size = size;
                Some(index)
            }
            Ok(_) => None,
            Err(next) => {
                let before = next.checked_sub(1).map(|index| &known[index]);
                let is_outside = before.is_none_or(|start| address - start.address >= start.size);
                is_outside.then(|| {
                    let (evidence, is_fragment) =
                        (FunctionEvidence::Unwind, entry.begins_in_frame == Some(true));
                    let (name, name_kind) = (None, FunctionNameKind::None);
                    starts.push(FunctionStart { address, size, evidence, is_fragment, name_kind, name });
                    starts.len() - 1
                })
            }
        };
    }
}

/// Whether an entry of compact unwind information may describe several functions: linkers fold entries of adjacent
/// functions, which are split again at the function starts that the file lists; without such a list, none is split.
fn is_folded(sections: &SectionsIr) -> bool {
    let entries = sections.unwind_entries.columns();
    let compact = || entries.iter().filter(|entry| entry.unwind_kind == UnwindSource::CompactUnwind);
    let is_split =
        compact().zip(compact().skip(1)).any(|(entry, next)| entry.entry_offset == next.entry_offset);
    !is_split
}

/// Address and size of the code that an unwind entry describes. An entry of a signal frame starts one byte before the
/// code, because unwinders look up the address before a return address, and a signal handler returns to the first
/// instruction.
fn described_code(entry: BinaryUnwindEntry) -> Option<(u64, u64)> {
    let skipped = u64::from(entry.is_signal_frame);
    Some((entry.address.checked_add(skipped)?, entry.size.saturating_sub(skipped)))
}

/// One start for each address of function symbols, named by the symbol with the widest binding.
fn symbol_starts(
    sections: &SectionsIr,
    is_code: &dyn Fn(u64) -> bool,
    names: &mut Names,
) -> Vec<FunctionStart> {
    let symbols = sections.symbols.columns();
    let types = [SymbolType::Function.name(), SymbolType::IndirectFunction.name()];
    let mut rows: Vec<_> = (0..symbols.len())
        .filter(|row| {
            symbols.section_index.is_valid(*row) && types.contains(&symbols.symbol_type.value(*row))
        })
        .filter(|row| is_code(symbols.symbol_address[*row]))
        .collect();
    let rank = |row: usize| match symbols.binding.get(row) {
        SymbolBinding::Global | SymbolBinding::Unique => 0,
        SymbolBinding::Weak => 1,
        SymbolBinding::Local | SymbolBinding::Other => 2,
    };
    rows.sort_by_key(|row| (symbols.symbol_address[*row], rank(*row), *row));
    let mut starts: Vec<FunctionStart> = Vec::new();
    for row in rows {
        let (address, size) = (symbols.symbol_address[row], symbols.symbol_size[row]);
        if let Some(last) = starts.last_mut().filter(|last| last.address == address) {
            last.size = last.size.max(size);
            continue;
        }
        let name = names.push(symbols.symbol_name.value(row));
        let (evidence, is_fragment) = (FunctionEvidence::Symbol, is_fragment(symbols.symbol_name.value(row)));
        let name_kind = if name.is_some() { FunctionNameKind::Symbol } else { FunctionNameKind::None };
        starts.push(FunctionStart { address, size, evidence, is_fragment, name_kind, name });
    }
    starts
}

/// Whether a symbol name is one that compilers give to a cold fragment, such as `main.cold` or `main.cold.3`.
fn is_fragment(name: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered =
        name.rsplit_once('.').filter(|(_, number)| is_number(number)).map_or(name, |(name, _)| name);
    numbered.rsplit_once('.').is_some_and(|(_, suffix)| suffix == "cold")
}
