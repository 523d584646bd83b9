//! `debug_functions`: functions and inlined calls that have code.

use super::entries::FunctionEntry;
use super::index::Index;
use super::lines::{Programs, SourceFiles};
use super::names::Names;
use binframe_ir::Rows;
use binframe_ir::tables::{DebugFunctionBuilder, DebugFunctions};
use std::borrow::Cow;
use std::ops::Range;

/// What an entry says of a function, or the entries that it is a copy or the completion of.
#[derive(Default)]
struct Said<'a> {
    name: Option<Cow<'a, str>>,
    linkage_name: Option<Cow<'a, str>>,
    /// The word of the source file that declares it, and the line.
    declaration_file: Option<u16>,
    declaration_line: Option<u64>,
    return_type: Option<u32>,
}

/// The rows of a run of units.
pub(super) fn rows<'a>(
    index: &Index<'a>,
    programs: &Programs<'a>,
    run: Range<usize>,
    names: &mut Names,
) -> Rows<DebugFunctions> {
    let mut files = SourceFiles::default();
    let mut rows = DebugFunctionBuilder::default();
    // The words of paths, which become columns when all are known.
    let (mut call_files, mut declaration_files) = (Vec::new(), Vec::new());
    for unit in run {
        let (entries, unit_index) = (&index.entries[unit], unit as u32);
        for function in &entries.functions {
            let Some(number) = function.number else { continue };
            let said = said(index, programs, unit_index, function, &mut files, names);
            let call_file = function
                .call_file
                .and_then(|file| code(index, programs, unit_index, file, &mut files, names));
            let base = index.function_bases[unit];
            for (range_index, range) in (0..).zip(&entries.ranges[function.ranges.clone()]) {
                rows.function_index.push(base + number);
                rows.range_index.push(range_index);
                rows.address.push(range.begin);
                rows.size.push(range.end - range.begin);
                rows.name.push(said.name.as_deref());
                rows.linkage_name.push(said.linkage_name.as_deref());
                rows.parent_function_index.push(function.parent.map(|parent| base + parent));
                rows.depth.push(function.depth);
                rows.is_inlined.push(function.is_inlined);
                call_files.push(call_file);
                rows.call_line.push(small(function.call_line));
                rows.call_column.push(small(function.call_column));
                declaration_files.push(said.declaration_file);
                rows.declaration_line.push(small(said.declaration_line));
                rows.return_type_index.push(said.return_type);
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

fn said<'a>(
    index: &Index<'a>,
    programs: &Programs<'a>,
    unit_index: u32,
    function: &FunctionEntry<'a>,
    files: &mut SourceFiles,
    names: &mut Names,
) -> Said<'a> {
    let mut said = Said::default();
    let (mut name, mut linkage_name) = (None, None);
    for (unit, entry) in index.function_origins(unit_index, function) {
        name = name.or(entry.name);
        linkage_name = linkage_name.or(entry.linkage_name);
        if said.declaration_line.is_none() {
            said.declaration_line = entry.declaration_line;
            said.declaration_file =
                entry.declaration_file.and_then(|file| code(index, programs, unit, file, files, names));
        }
        let return_type = entry.return_type.and_then(|reference| index.type_of(unit, reference));
        said.return_type = said.return_type.or(return_type);
    }
    said.name = names.take_text(name);
    said.linkage_name = names.take_text(linkage_name);
    said
}

/// The word of a source file that an entry of a unit names.
fn code<'a>(
    index: &Index<'a>,
    programs: &Programs<'a>,
    unit_index: u32,
    file: u64,
    files: &mut SourceFiles,
    names: &mut Names,
) -> Option<u16> {
    let unit = &index.units.all[unit_index as usize];
    let place = unit.program?;
    // Before DWARF 5, 0 said that there is none.
    if file == 0 && unit.inner.header.version() < 5 {
        return None;
    }
    files.add(index.units, programs, place, names);
    files.code(Some(place), file)
}

/// A line or column. Compilers write 0 for none.
fn small(number: Option<u64>) -> Option<u32> {
    number.filter(|number| *number > 0).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}
