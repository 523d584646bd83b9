//! `debug_lines`: runs line number programs, and resolves the source files that they list.
//!
//! Units may share a program. It is run once, for the first unit that names it, on the bytes up to the start of the
//! next program, so that no byte is read twice.
//!
//! Source: DWARF 5, chapter 6.2.

use super::attributes::DwarfString;
use super::chunks::chunks;
use super::names::{self, NameShare};
use super::reports::Problem;
use super::units::{ProgramLocation, Unit, Units};
use crate::file::formats::EndianReader;
use crate::file::text_budget::TextBudget;
use binframe_ir::tables::{DebugLineBuilder, DebugLines, DiagnosticCode};
use binframe_ir::{NullableBuilder, Rows, Term, TermBuilder};
use gimli::{
    AttributeValue, ColumnType, DebugLine, DebugLineOffset, EndianSlice, FileEntry, IncompleteLineProgram,
    LineInstruction, LineProgramHeader, Reader as _, Section,
};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Size of the programs, in bytes, whose rows form one part. A row takes at least one byte, so that a part is at most
/// about a row group.
const CHUNK_SIZE: u64 = 1 << 18;

/// Number of entries in the dictionary of a column.
const PATHS_MAX: usize = 1 << 16;

/// A line number program.
struct LineProgram<'a> {
    location: ProgramLocation,
    /// The first unit that names it.
    unit_index: u32,
    size: u64,
    /// The program, or the error in its header.
    lines: gimli::Result<IncompleteLineProgram<EndianReader<'a>>>,
}

/// The line number programs.
pub(super) struct LinePrograms<'a>(BTreeMap<ProgramLocation, LineProgram<'a>>);

impl<'a> LinePrograms<'a> {
    /// Finds the programs that units name, and reads their headers.
    pub(super) fn find(units: &Units<'a>) -> Self {
        let mut first_units = BTreeMap::new();
        for (unit_index, unit) in (0..).zip(&units.all) {
            if let Some(location) = unit.program {
                first_units.entry(location).or_insert(unit_index);
            }
        }
        let ordered: Vec<_> = first_units.into_iter().collect();
        let next = |position: usize| ordered.get(position + 1).map(|(location, _)| *location);
        let read = |(position, (location, unit_index)): (usize, &(ProgramLocation, u32))| {
            let end = next(position).filter(|next| next.0 == location.0).map_or(usize::MAX, |next| next.1);
            let section = units.dwarfs[location.0].debug_line.reader();
            let content = section.slice().get(location.1..end.min(section.len())).unwrap_or_default();
            let unit = &units.all[*unit_index as usize].inner;
            let lines = DebugLine::from(EndianSlice::new(content, section.endian())).program(
                DebugLineOffset(0),
                unit.header.address_size(),
                unit.comp_dir,
                unit.name,
            );
            let size = content.len() as u64;
            (*location, LineProgram { location: *location, unit_index: *unit_index, size, lines })
        };
        Self(ordered.par_iter().enumerate().map(read).collect::<Vec<_>>().into_iter().collect())
    }

    /// The rows in parts, with the diagnostics of each part.
    pub(super) fn rows(
        &self,
        units: &Units<'a>,
        lowest_address: u64,
    ) -> Vec<(Rows<DebugLines>, Vec<Problem>)> {
        let mut programs: Vec<_> = self.0.values().collect();
        programs.sort_by_key(|program| program.unit_index);
        let share = NameShare::of(programs.iter().map(|program| program.size).sum());
        let chunks = chunks(&programs, CHUNK_SIZE, |program| program.size);
        let rows = |chunk| self.rows_of(units, &programs[chunk], share, lowest_address);
        chunks.into_par_iter().map(rows).collect()
    }

    fn rows_of(
        &self,
        units: &Units<'a>,
        programs: &[&LineProgram<'a>],
        share: NameShare,
        lowest_address: u64,
    ) -> (Rows<DebugLines>, Vec<Problem>) {
        let mut names = share.budget(programs.iter().map(|program| program.size).sum());
        let mut files = SourceFiles::default();
        for program in programs {
            files.add(units, self, program.location, &mut names);
        }
        let mut rows = DebugLineBuilder { source_file: files.column(), ..DebugLineBuilder::default() };
        let mut problems: Vec<_> = names::problem(&names).into_iter().collect();
        for program in programs {
            let mut writer = LineWriter {
                unit_index: program.unit_index,
                row_index: 0,
                pending: None,
                lowest_address,
                rows: &mut rows,
            };
            let result = program
                .lines
                .clone()
                .and_then(|lines| writer.run(lines, |file| files.code(Some(program.location), file)));
            writer.flush(None);
            let read = writer.row_index;
            problems.extend(result.err().map(|error| {
                let (offset, code) = (program.location.1, DiagnosticCode::BrokenLineProgram);
                (code, format!("the line number program at {offset:#x}, after {read} rows: {error}"))
            }));
        }
        (rows.finish(), problems)
    }

    /// The first unit that names a program, and the header of the program; `None` if that cannot be read.
    fn header(&self, location: ProgramLocation) -> Option<(u32, &LineProgramHeader<EndianReader<'a>>)> {
        let program = self.0.get(&location)?;
        Some((program.unit_index, program.lines.as_ref().ok()?.header()))
    }
}

/// A row whose size is not known yet.
#[derive(Clone, Copy)]
struct PendingRow {
    row: gimli::LineRow,
    file: Option<u16>,
}

struct LineWriter<'r> {
    unit_index: u32,
    row_index: u32,
    pending: Option<PendingRow>,
    /// The lowest address of code.
    lowest_address: u64,
    rows: &'r mut DebugLineBuilder,
}

impl LineWriter<'_> {
    /// Runs a program and adds its rows, without those of code that the linker discarded.
    fn run(
        &mut self,
        mut program: IncompleteLineProgram<EndianReader<'_>>,
        code: impl Fn(u64) -> Option<u16>,
    ) -> gimli::Result<()> {
        let header = program.header().clone();
        let least_tombstone = (u64::MAX >> (64 - 8 * u32::from(header.address_size().clamp(1, 8)))) - 1;
        let mut instructions = header.instructions();
        let mut row = gimli::LineRow::new(&header);
        let mut is_discarded = false;
        while let Some(instruction) = instructions.next_instruction(&header)? {
            if let LineInstruction::SetAddress(address) = instruction {
                // Code that the linker discarded has a tombstone address, or one below that of the previous row.
                is_discarded = address < row.address().max(self.lowest_address) || address >= least_tombstone;
            }
            if !row.execute(instruction, &mut program)? {
                continue;
            }
            if row.end_sequence() {
                self.flush(Some(row.address()));
                is_discarded = false;
            } else if !is_discarded {
                self.flush(Some(row.address()));
                self.pending = Some(PendingRow { row, file: code(row.file_index()) });
            }
            row.reset(&header);
        }
        Ok(())
    }

    /// Writes the pending row, given the address of the next one.
    fn flush(&mut self, next_address: Option<u64>) {
        let Some(PendingRow { row, file }) = self.pending.take() else { return };
        let address = row.address();
        let line = row.line().map(|line| u32::try_from(line.get()).unwrap_or(u32::MAX));
        let column = match row.column() {
            ColumnType::LeftEdge => None,
            ColumnType::Column(column) => Some(u32::try_from(column.get()).unwrap_or(u32::MAX)),
        };
        match file {
            Some(code) => self.rows.source_file.push_code(code),
            None => self.rows.source_file.push_null(),
        }
        self.rows.unit_index.push(self.unit_index);
        self.rows.row_index.push(self.row_index);
        self.rows.address.push(address);
        self.rows.size.push(next_address.map_or(0, |next| next.saturating_sub(address)));
        self.rows.source_line.push(line);
        self.rows.source_column.push(column);
        self.rows.discriminator.push(u32::try_from(row.discriminator()).unwrap_or(u32::MAX));
        self.rows.is_statement.push(row.is_stmt());
        self.rows.is_prologue_end.push(row.prologue_end());
        self.rows.is_epilogue_begin.push(row.epilogue_begin());
        self.row_index += 1;
    }
}

/// The paths of source files, each once: the dictionary of the path columns of one part.
#[derive(Default)]
pub(super) struct SourceFiles {
    paths: Vec<Arc<str>>,
    codes: HashMap<Arc<str>, u16>,
    /// Dictionary codes of the files that a program lists, by number.
    lists: HashMap<ProgramLocation, Vec<Option<u16>>>,
}

impl SourceFiles {
    /// Adds the files of a program.
    pub(super) fn add<'a>(
        &mut self,
        units: &Units<'a>,
        programs: &LinePrograms<'a>,
        location: ProgramLocation,
        names: &mut TextBudget,
    ) {
        if self.lists.contains_key(&location) {
            return;
        }
        let Some((unit_index, header)) = programs.header(location) else { return };
        let unit = &units.all[unit_index as usize];
        let first_listed = usize::from(header.version() <= 4);
        // No valid program lists more files than a dictionary can hold.
        let count = (header.file_names().len() + first_listed).min(PATHS_MAX);
        let list = (0..count).map(|index| {
            let file = header.file(index as u64)?;
            self.add_path(names.take(path(&units.dwarfs[location.0], unit, header, file)?)?)
        });
        let list = list.collect();
        self.lists.insert(location, list);
    }

    /// The code of a path; `None` if the dictionary is full.
    fn add_path(&mut self, path: String) -> Option<u16> {
        if let Some(code) = self.codes.get(path.as_str()) {
            return Some(*code);
        }
        let code = u16::try_from(self.paths.len()).ok().filter(|_| self.paths.len() < PATHS_MAX)?;
        let path: Arc<str> = path.into();
        self.paths.push(Arc::clone(&path));
        self.codes.insert(path, code);
        Some(code)
    }

    /// Dictionary code of a file, given its number in a program.
    pub(super) fn code(&self, location: Option<ProgramLocation>, file: u64) -> Option<u16> {
        *self.lists.get(&location?)?.get(usize::try_from(file).ok()?)?
    }

    /// An empty column with this dictionary.
    pub(super) fn column(&self) -> NullableBuilder<Term<'static>> {
        let paths = self.paths.iter().map(|path| Some(&**path)).collect::<arrow_array::StringArray>();
        NullableBuilder::over(TermBuilder::with_vocabulary(Arc::new(paths)))
    }
}

/// The path of a file. A relative path is prefixed with its directory and, if that is relative, with the compilation
/// directory.
fn path<'a>(
    dwarf: &gimli::Dwarf<EndianReader<'a>>,
    unit: &Unit<'a>,
    header: &LineProgramHeader<EndianReader<'a>>,
    file: &FileEntry<EndianReader<'a>>,
) -> Option<String> {
    let text = |value: &AttributeValue<EndianReader<'a>>| {
        let text = DwarfString::of(dwarf, &unit.inner, value)?;
        Some(String::from_utf8_lossy(text.bytes()).into_owned())
    };
    let mut path = text(&file.path_name())?;
    let directory = file.directory(header).as_ref().and_then(text);
    // Directory 0 is the compilation directory itself.
    let compilation_directory = unit.inner.comp_dir.filter(|_| file.directory_index() != 0);
    let compilation_directory =
        compilation_directory.map(|directory| String::from_utf8_lossy(directory.slice()).into_owned());
    for directory in [directory, compilation_directory].into_iter().flatten() {
        if is_absolute(&path) || directory.is_empty() {
            continue;
        }
        path = match directory.ends_with(['/', '\\']) {
            true => format!("{directory}{path}"),
            false => format!("{directory}/{path}"),
        };
    }
    Some(path)
}

/// Whether a path is absolute, on Unix or Windows.
fn is_absolute(path: &str) -> bool {
    path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':')
}
