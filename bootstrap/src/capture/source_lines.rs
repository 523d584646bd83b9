//! `(file, address) -> calls`: the source positions of an instruction, with the calls that the compiler inlined, from the
//! tables of the `debug` stage.
//!
//! *Algorithm.* Functions that are not inlined are sorted by address, as are the rows of line tables; both are searched by
//! bisection. The inlined calls of a function follow it in their table, each with a larger depth, so those that contain the
//! address are found by reading on.

use binframe_ir::tables::{DebugFunctions, DebugLines};
use binframe_ir::{Batch, Rows, Table};
use binframe_passes::file::debug::{CompanionFile, run};
use binframe_passes::file::sections::SectionsIr;
use bytes::Bytes;

/// Ranges that may overlap the one that is searched, such as those of code that the linker removed.
const OVERLAPS_MAX: usize = 8;

/// A function that runs or calls at an instruction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SourceCall<'a> {
    /// Name of the function if it was inlined.
    pub(super) inlined_name: Option<&'a str>,
    pub(super) is_inlined: bool,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
}

/// The source positions of the code of a file.
pub(super) struct SourceLines {
    lines: Rows<DebugLines>,
    /// Positions in `lines`, sorted by address.
    lines_by_address: Vec<u32>,
    functions: Rows<DebugFunctions>,
    /// Positions in `functions` of those that are not inlined, sorted by address.
    functions_by_address: Vec<u32>,
}

impl SourceLines {
    /// Reads the debug information of a file and its companion files.
    pub(super) fn read(file: &Bytes, sections: &SectionsIr, companions: &[CompanionFile]) -> Self {
        let tables = run(file, sections, companions);
        let (lines, functions) =
            (rows::<DebugLines>(&tables.tables()), rows::<DebugFunctions>(&tables.tables()));
        let (line_columns, function_columns) = (lines.columns(), functions.columns());
        let mut lines_by_address: Vec<u32> = (0..lines.len() as u32).collect();
        lines_by_address.sort_by_key(|row| line_columns.row(*row as usize).address);
        let own = (0..).zip(function_columns.iter()).filter(|(_, function)| !function.is_inlined);
        let mut functions_by_address: Vec<u32> = own.map(|(row, _)| row).collect();
        functions_by_address.sort_by_key(|row| function_columns.row(*row as usize).address);
        Self { lines, lines_by_address, functions, functions_by_address }
    }

    /// The functions at an address of the file, the innermost inlined one first. The last one is not inlined.
    pub(super) fn calls_at(&self, address: u64) -> Vec<SourceCall<'_>> {
        let (mut file, mut line) = self.position(address).unwrap_or_default();
        let mut calls = Vec::new();
        for row in self.inlined_at(address).into_iter().rev() {
            let function = self.functions.columns().row(row);
            let inlined_name = function.linkage_name.or(function.function_name);
            calls.push(SourceCall { inlined_name, is_inlined: true, file, line });
            (file, line) = (function.call_file.map(|file| file.0), function.call_line);
        }
        calls.push(SourceCall { inlined_name: None, is_inlined: false, file, line });
        calls
    }

    /// File and line of an address.
    fn position(&self, address: u64) -> Option<(Option<&str>, Option<u32>)> {
        let columns = self.lines.columns();
        let row = |position: &u32| columns.row(*position as usize);
        let next = self.lines_by_address.partition_point(|position| row(position).address <= address);
        let mut rows = self.lines_by_address[..next].iter().rev().take(OVERLAPS_MAX).map(row);
        let found = rows.find(|row| address - row.address < row.size)?;
        Some((found.source_file.map(|file| file.0), found.source_line))
    }

    /// The rows of the inlined calls that contain an address, the outermost first.
    fn inlined_at(&self, address: u64) -> Vec<usize> {
        let columns = self.functions.columns();
        let row = |position: &u32| columns.row(*position as usize);
        let next = self.functions_by_address.partition_point(|position| row(position).address <= address);
        let candidates = self.functions_by_address[..next].iter().rev().take(OVERLAPS_MAX);
        let contains = |position: usize| {
            let range = columns.row(position);
            address.wrapping_sub(range.address) < range.size
        };
        let mut candidates = candidates.map(|position| *position as usize);
        let Some(function) = candidates.find(|row| contains(*row)) else {
            return Vec::new();
        };
        let depth = columns.row(function).depth;
        let inner = (function + 1..self.functions.len()).take_while(|position| {
            let own = columns.row(*position);
            own.depth > depth || own.function_index == columns.row(function).function_index
        });
        inner.filter(|position| columns.row(*position).is_inlined && contains(*position)).collect()
    }
}

fn rows<T: Table>(tables: &[&Batch]) -> Rows<T> {
    let own: Vec<Rows<T>> = tables.iter().filter_map(|table| Rows::from_batch((*table).clone())).collect();
    Rows::concat(&own)
}
