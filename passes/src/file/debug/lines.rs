//! `line_table`, and the source files that line number programs list.
//!
//! A program is read once, for the first unit that names it, and no further than where the next one begins: a broken file cannot
//! have the same bytes read for every unit.
//!
//! Source: DWARF 5, chapter 6.2.

use super::attributes::Text;
use super::names::{NameShare, Names};
use super::units::{ProgramPlace, Unit, Units};
use super::{Problem, Reader, runs};
use binframe_ir::tables::{DiagnosticCode, LineRowBuilder, LineTable};
use binframe_ir::{NullableBuilder, Rows, Term, TermBuilder};
use gimli::{
    AttributeValue, ColumnType, DebugLine, DebugLineOffset, EndianSlice, FileEntry, IncompleteLineProgram,
    LineInstruction, LineProgramHeader, Reader as _, Section,
};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes of programs whose rows are made together: about as many as a row group holds, since a row takes a byte or more.
const RUN_SIZE: u64 = 1 << 18;

/// Words that a column of terms can have.
const WORDS_MAX: usize = 1 << 16;

/// A program, or what is wrong with its header.
struct Program<'a> {
    place: ProgramPlace,
    /// The first unit that names it.
    unit_index: u32,
    size: u64,
    lines: gimli::Result<IncompleteLineProgram<Reader<'a>>>,
}

/// The line number programs.
pub(super) struct Programs<'a>(BTreeMap<ProgramPlace, Program<'a>>);

impl<'a> Programs<'a> {
    /// Finds the programs that units name, and reads their headers.
    pub(super) fn find(units: &Units<'a>) -> Self {
        let mut places = BTreeMap::new();
        for (unit_index, unit) in (0..).zip(&units.all) {
            if let Some(place) = unit.program {
                places.entry(place).or_insert(unit_index);
            }
        }
        let ordered: Vec<_> = places.into_iter().collect();
        let next = |position: usize| ordered.get(position + 1).map(|(place, _)| *place);
        let read = |(position, (place, unit_index)): (usize, &(ProgramPlace, u32))| {
            let end = next(position).filter(|next| next.0 == place.0).map_or(usize::MAX, |next| next.1);
            let section = units.dwarfs[place.0].debug_line.reader();
            let content = section.slice().get(place.1..end.min(section.len())).unwrap_or_default();
            let unit = &units.all[*unit_index as usize].inner;
            let lines = DebugLine::from(EndianSlice::new(content, section.endian())).program(
                DebugLineOffset(0),
                unit.header.address_size(),
                unit.comp_dir,
                unit.name,
            );
            let size = content.len() as u64;
            (*place, Program { place: *place, unit_index: *unit_index, size, lines })
        };
        Self(ordered.par_iter().enumerate().map(read).collect::<Vec<_>>().into_iter().collect())
    }

    /// The rows, in parts that hold about as many as a row group does.
    pub(super) fn rows(&self, units: &Units<'a>, least_address: u64) -> Vec<(Rows<LineTable>, Vec<Problem>)> {
        let mut programs: Vec<_> = self.0.values().collect();
        programs.sort_by_key(|program| program.unit_index);
        let share = NameShare::of(programs.iter().map(|program| program.size).sum());
        let runs = runs(&programs, RUN_SIZE, |program| program.size);
        runs.into_par_iter().map(|run| self.rows_of(units, &programs[run], share, least_address)).collect()
    }

    fn rows_of(
        &self,
        units: &Units<'a>,
        programs: &[&Program<'a>],
        share: NameShare,
        least_address: u64,
    ) -> (Rows<LineTable>, Vec<Problem>) {
        let mut names = share.names(programs.iter().map(|program| program.size).sum());
        let mut files = SourceFiles::default();
        for program in programs {
            files.add(units, self, program.place, &mut names);
        }
        let mut rows = LineRowBuilder { file: files.column(), ..LineRowBuilder::default() };
        let mut problems: Vec<_> = names.problem().into_iter().collect();
        for program in programs {
            let mut writer = Writer {
                unit_index: program.unit_index,
                row_index: 0,
                last: None,
                least_address,
                rows: &mut rows,
            };
            let result = program
                .lines
                .clone()
                .and_then(|lines| writer.run(lines, |file| files.code(Some(program.place), file)));
            writer.flush(None);
            let read = writer.row_index;
            problems.extend(result.err().map(|error| {
                let (offset, code) = (program.place.1, DiagnosticCode::BrokenLineProgram);
                (code, format!("the line number program at {offset:#x}, after {read} rows: {error}"))
            }));
        }
        (rows.finish(), problems)
    }

    fn header(&self, place: ProgramPlace) -> Option<(u32, &LineProgramHeader<Reader<'a>>)> {
        let program = self.0.get(&place)?;
        Some((program.unit_index, program.lines.as_ref().ok()?.header()))
    }
}

/// A row whose size is not known yet.
#[derive(Clone, Copy)]
struct Pending {
    row: gimli::LineRow,
    file: Option<u16>,
}

struct Writer<'r> {
    unit_index: u32,
    row_index: u32,
    last: Option<Pending>,
    /// The least address of code.
    least_address: u64,
    rows: &'r mut LineRowBuilder,
}

impl Writer<'_> {
    /// Runs a program.
    fn run(
        &mut self,
        mut program: IncompleteLineProgram<Reader<'_>>,
        code: impl Fn(u64) -> Option<u16>,
    ) -> gimli::Result<()> {
        let header = program.header().clone();
        let least_tombstone = (u64::MAX >> (64 - 8 * u32::from(header.address_size().clamp(1, 8)))) - 1;
        let mut instructions = header.instructions();
        let mut row = gimli::LineRow::new(&header);
        let mut is_discarded = false;
        while let Some(instruction) = instructions.next_instruction(&header)? {
            if let LineInstruction::SetAddress(address) = instruction {
                // What a linker has discarded stands at an address that is none, or before what came before.
                is_discarded = address < row.address().max(self.least_address) || address >= least_tombstone;
            }
            if !row.execute(instruction, &mut program)? {
                continue;
            }
            if row.end_sequence() {
                self.flush(Some(row.address()));
                is_discarded = false;
            } else if !is_discarded {
                self.flush(Some(row.address()));
                self.last = Some(Pending { row, file: code(row.file_index()) });
            }
            row.reset(&header);
        }
        Ok(())
    }

    /// Writes the row that waits for the address after it.
    fn flush(&mut self, next_address: Option<u64>) {
        let Some(Pending { row, file }) = self.last.take() else { return };
        let address = row.address();
        let line = row.line().map(|line| u32::try_from(line.get()).unwrap_or(u32::MAX));
        let column = match row.column() {
            ColumnType::LeftEdge => None,
            ColumnType::Column(column) => Some(u32::try_from(column.get()).unwrap_or(u32::MAX)),
        };
        match file {
            Some(code) => self.rows.file.push_code(code),
            None => self.rows.file.push_null(),
        }
        self.rows.unit_index.push(self.unit_index);
        self.rows.row_index.push(self.row_index);
        self.rows.address.push(address);
        self.rows.size.push(next_address.map_or(0, |next| next.saturating_sub(address)));
        self.rows.line.push(line);
        self.rows.column.push(column);
        self.rows.discriminator.push(u32::try_from(row.discriminator()).unwrap_or(u32::MAX));
        self.rows.is_statement.push(row.is_stmt());
        self.rows.is_prologue_end.push(row.prologue_end());
        self.rows.is_epilogue_begin.push(row.epilogue_begin());
        self.row_index += 1;
    }
}

/// The paths of the source files of programs, each once: the words of the columns of one part.
#[derive(Default)]
pub(super) struct SourceFiles {
    words: Vec<Arc<str>>,
    known: HashMap<Arc<str>, u16>,
    /// The words of the files that a program lists.
    lists: HashMap<ProgramPlace, Vec<Option<u16>>>,
}

impl SourceFiles {
    /// Adds the files of a program.
    pub(super) fn add<'a>(
        &mut self,
        units: &Units<'a>,
        programs: &Programs<'a>,
        place: ProgramPlace,
        names: &mut Names,
    ) {
        if self.lists.contains_key(&place) {
            return;
        }
        let Some((unit_index, header)) = programs.header(place) else { return };
        let unit = &units.all[unit_index as usize];
        let first_listed = usize::from(header.version() <= 4);
        // No honest program lists more files than a column can name.
        let count = (header.file_names().len() + first_listed).min(WORDS_MAX);
        let list = (0..count).map(|index| {
            let file = header.file(index as u64)?;
            self.word(names.take(path(&units.dwarfs[place.0], unit, header, file)?)?)
        });
        let list = list.collect();
        self.lists.insert(place, list);
    }

    fn word(&mut self, path: String) -> Option<u16> {
        if let Some(code) = self.known.get(path.as_str()) {
            return Some(*code);
        }
        let code = u16::try_from(self.words.len()).ok().filter(|_| self.words.len() < WORDS_MAX)?;
        let path: Arc<str> = path.into();
        self.words.push(Arc::clone(&path));
        self.known.insert(path, code);
        Some(code)
    }

    /// The word of a file that a program lists.
    pub(super) fn code(&self, place: Option<ProgramPlace>, file: u64) -> Option<u16> {
        *self.lists.get(&place?)?.get(usize::try_from(file).ok()?)?
    }

    /// A column whose values are these paths.
    pub(super) fn column(&self) -> NullableBuilder<Term<'static>> {
        let words = self.words.iter().map(|word| Some(&**word)).collect::<arrow_array::StringArray>();
        NullableBuilder::over(TermBuilder::with_vocabulary(Arc::new(words)))
    }
}

/// The path of a file: with its directory and, where that is relative, with the one in which the compiler ran.
fn path<'a>(
    dwarf: &gimli::Dwarf<Reader<'a>>,
    unit: &Unit<'a>,
    header: &LineProgramHeader<Reader<'a>>,
    file: &FileEntry<Reader<'a>>,
) -> Option<String> {
    let text = |value: &AttributeValue<Reader<'a>>| {
        let text = Text::of(dwarf, &unit.inner, value)?;
        Some(String::from_utf8_lossy(text.bytes()).into_owned())
    };
    let mut path = text(&file.path_name())?;
    let directory = file.directory(header).as_ref().and_then(text);
    let compiled_in =
        unit.inner.comp_dir.map(|directory| String::from_utf8_lossy(directory.slice()).into_owned());
    for directory in [directory, compiled_in].into_iter().flatten() {
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

/// Whether a path begins at a root, of Unix or of Windows.
fn is_absolute(path: &str) -> bool {
    path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':')
}
