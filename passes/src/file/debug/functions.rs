//! `debug_functions`: functions and inlined calls with code.

use super::entries::FunctionEntry;
use super::index::EntryIndex;
use super::lines::{LinePrograms, SourceFiles};
use super::names::take_text;
use crate::file::text_budget::TextBudget;
use binframe_ir::Rows;
use binframe_ir::tables::{DebugFunctionBuilder, DebugFunctions};
use std::borrow::Cow;
use std::ops::Range;

/// The facts about a function that its entry, or one of its origins, states.
#[derive(Default)]
struct Declaration<'a> {
    name: Option<Cow<'a, str>>,
    linkage_name: Option<Cow<'a, str>>,
    /// Dictionary code of the source file.
    file: Option<u16>,
    line: Option<u64>,
    /// Row index of the type.
    return_type: Option<u32>,
}

/// The rows of a chunk of units.
pub(super) fn rows<'a>(
    index: &EntryIndex<'a>,
    programs: &LinePrograms<'a>,
    chunk: Range<usize>,
    names: &mut TextBudget,
) -> Rows<DebugFunctions> {
    let mut files = SourceFiles::default();
    let mut rows = DebugFunctionBuilder::default();
    // Dictionary codes of paths, which become columns once the dictionary is complete.
    let (mut call_files, mut declaration_files) = (Vec::new(), Vec::new());
    for unit in chunk {
        let (entries, unit_index) = (&index.entries[unit], unit as u32);
        for function in &entries.functions {
            let Some(number) = function.number else { continue };
            let declaration = declaration(index, programs, unit_index, function, &mut files, names);
            let call_file = function
                .call_file
                .and_then(|file| file_code(index, programs, unit_index, file, &mut files, names));
            let base = index.function_bases[unit];
            for (range_index, range) in (0..).zip(&entries.ranges[function.ranges.clone()]) {
                rows.function_index.push(base + number);
                rows.range_index.push(range_index);
                rows.address.push(range.begin);
                rows.size.push(range.end - range.begin);
                rows.function_name.push(declaration.name.as_deref());
                rows.linkage_name.push(declaration.linkage_name.as_deref());
                rows.parent_function_index.push(function.parent.map(|parent| base + parent));
                rows.depth.push(function.depth);
                rows.is_inlined.push(function.is_inlined);
                call_files.push(call_file);
                rows.call_line.push(nonzero_u32(function.call_line));
                rows.call_column.push(nonzero_u32(function.call_column));
                declaration_files.push(declaration.file);
                rows.declaration_line.push(nonzero_u32(declaration.line));
                rows.return_type_index.push(declaration.return_type);
                rows.unit_index.push(unit_index);
                rows.entry_offset.push(function.offset);
            }
        }
    }
    for (column, codes) in
        [(&mut rows.call_file, call_files), (&mut rows.declaration_file, declaration_files)]
    {
        *column = files.column();
        for code in codes {
            match code {
                Some(code) => column.push_code(code),
                None => column.push_null(),
            }
        }
    }
    rows.finish()
}

/// Collects the declaration of a function; its entry takes precedence over its origins.
fn declaration<'a>(
    index: &EntryIndex<'a>,
    programs: &LinePrograms<'a>,
    unit_index: u32,
    function: &FunctionEntry<'a>,
    files: &mut SourceFiles,
    names: &mut TextBudget,
) -> Declaration<'a> {
    let mut declaration = Declaration::default();
    let (mut name, mut linkage_name) = (None, None);
    for (unit, entry) in index.function_origins(unit_index, function) {
        name = name.or(entry.name);
        linkage_name = linkage_name.or(entry.linkage_name);
        if declaration.line.is_none() {
            declaration.line = entry.declaration_line;
            declaration.file =
                entry.declaration_file.and_then(|file| file_code(index, programs, unit, file, files, names));
        }
        let return_type = entry.return_type.and_then(|reference| index.type_of(unit, reference));
        declaration.return_type = declaration.return_type.or(return_type);
    }
    declaration.name = take_text(names, name);
    declaration.linkage_name = take_text(names, linkage_name);
    declaration
}

/// Dictionary code of a source file that an entry of a unit refers to by number.
fn file_code<'a>(
    index: &EntryIndex<'a>,
    programs: &LinePrograms<'a>,
    unit_index: u32,
    file: u64,
    files: &mut SourceFiles,
    names: &mut TextBudget,
) -> Option<u16> {
    let unit = &index.units.all[unit_index as usize];
    let program = unit.program?;
    // Before DWARF 5, file 0 means none.
    if file == 0 && unit.inner.header.version() < 5 {
        return None;
    }
    files.add(index.units, programs, program, names);
    files.code(Some(program), file)
}

/// A line or column; `None` for 0, which compilers write if there is none.
fn nonzero_u32(number: Option<u64>) -> Option<u32> {
    number.filter(|number| *number > 0).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}
