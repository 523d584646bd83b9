//! One executable, whose tables are made on demand.

use crate::companions;
use crate::corpus::UniqueNames;
use crate::database::{Companions, Database, Executable, Pass, lowered};
use crate::file::retried;
use crate::{CorpusFile, Error, FileBytes, map_file};
use arrow_array::BinaryViewArray;
use binframe_ir::parquet::ROW_GROUP_ROWS_MAX;
use binframe_ir::tables::{
    Binaries, Binary, BinaryBuilder, BinaryStrings, BinarySymbols, DataFlow, Diagnostics, ExceptionCallSites,
    FileExtents, Functions, InstructionEffects, Instructions, MemoryAccesses,
};
use binframe_ir::{Batch, Rows, Stage, Table, TableInfo};
use binframe_passes::code::cfg::CfgIr;
use binframe_passes::code::instructions::InstructionsIr;
use binframe_passes::code::memory::{Image, MemoryIr};
use binframe_passes::file::debug::DebugIr;
use binframe_passes::file::exceptions::ExceptionsIr;
use binframe_passes::file::linkage::LinkageIr;
use binframe_passes::file::sections::SectionsIr;
use binframe_passes::file::strings::StringsIr;
use binframe_passes::{
    self as passes, Code, CodeRange, References, Unsupported,
    code::{instructions, memory},
};
use std::cell::OnceCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

/// Bytes of sections that are encoded and written together: what one thread holds at a time.
const ROW_GROUP_BYTES_MAX: usize = 1 << 24;

/// An executable whose tables are made on demand.
pub struct LoweredFile {
    path: PathBuf,
    name: String,
    container: Option<String>,
    database: Database,
    file: Executable,
    /// The other files that hold its debug information, once they were looked for.
    companions: OnceCell<Companions>,
}

/// Rows of a table that are made together, on any thread.
pub(crate) enum LoweredPart {
    /// These.
    Ready(Batch),
    /// These symbols, whose names are to be demangled.
    Symbols(Rows<BinarySymbols>),
    /// These functions, whose content is to be hashed.
    Functions(Pass<Code>, Pass<CfgIr>, Rows<Functions>),
    /// Instructions of a range of code.
    Instructions(Pass<Code>, Pass<InstructionsIr>, CodeRange),
    /// What instructions of a range of code do with registers and flags.
    Effects(Pass<Code>, Pass<InstructionsIr>, CodeRange),
    /// Memory accesses of a run of blocks.
    MemoryAccesses(Pass<Code>, Pass<CfgIr>, Pass<MemoryIr>, Range<usize>),
    /// Where what instructions of a run of blocks use is defined.
    DataFlow(Pass<Code>, Pass<CfgIr>, Pass<MemoryIr>, Range<usize>),
}

impl LoweredPart {
    /// Makes the rows.
    pub(crate) fn rows(&self) -> Batch {
        match self {
            Self::Ready(batch) => batch.clone(),
            Self::Symbols(symbols) => passes::file::sections::with_demangled_names(symbols).batch().clone(),
            Self::Functions(code, cfg, functions) => {
                passes::code::cfg::with_content_hashes(code, cfg, functions).batch().clone()
            }
            Self::Instructions(code, instructions, range) => {
                instructions::decode(code, instructions, *range).batch().clone()
            }
            Self::Effects(code, instructions, range) => {
                instructions::effects(code, instructions, *range).batch().clone()
            }
            Self::MemoryAccesses(code, cfg, memory, blocks) => {
                memory::accesses(code, cfg, &memory.surroundings, blocks.clone()).batch().clone()
            }
            Self::DataFlow(code, cfg, memory, blocks) => {
                memory::data_flow(code, cfg, &memory.surroundings, blocks.clone()).batch().clone()
            }
        }
    }

    /// Rows in which only some columns, stored or derived, are what they are.
    pub(crate) fn rows_for(&self, names: &[&str]) -> Batch {
        match self {
            Self::Symbols(symbols) if !names.contains(&"demangled_name") => symbols.batch().clone(),
            Self::Functions(_, _, functions) if !names.contains(&"content_hash") => functions.batch().clone(),
            _ => self.rows(),
        }
    }

    /// The number of rows; those that are decoded on demand are counted by where instructions begin.
    pub(crate) fn row_count(&self) -> usize {
        match self {
            Self::Ready(batch) => batch.rows(),
            Self::Symbols(symbols) => symbols.len(),
            Self::Functions(_, _, functions) => functions.len(),
            Self::Instructions(_, instructions, range) => instructions.count_in(*range),
            Self::Effects(..) | Self::MemoryAccesses(..) | Self::DataFlow(..) => self.rows().rows(),
        }
    }
}

impl LoweredFile {
    /// Maps a file, whose passes are queries of the database. A container is followed by its members, whose names,
    /// `container(member)`, differ from each other.
    pub fn open(corpus_file: &CorpusFile, database: Database) -> Result<Vec<Self>, Error> {
        let bytes = retried(|| map_file(&corpus_file.path), thread::sleep)?;
        let file = Executable::new(&database, bytes, 0);
        let opened = Self {
            path: corpus_file.path.clone(),
            name: corpus_file.name.clone(),
            container: None,
            database,
            file,
            companions: OnceCell::new(),
        };
        let mut files = Vec::new();
        opened.push_with_members(&mut UniqueNames::default(), &mut files);
        Ok(files)
    }

    fn push_with_members(self, names: &mut UniqueNames, files: &mut Vec<Self>) {
        let members = (0..).zip(passes::file::sections::members(&self.bytes().0)).map(|(index, member)| {
            // What is made of a member goes with it, not with the last of all.
            let database = Database::default();
            Self {
                path: self.path.clone(),
                name: names.add(&format!("{}({})", self.name, member.name)),
                container: Some(self.name.clone()),
                file: Executable::new(&database, member.bytes.into(), index),
                database,
                companions: OnceCell::new(),
            }
        });
        let members: Vec<_> = members.collect();
        files.push(self);
        for member in members {
            member.push_with_members(names, files);
        }
    }

    /// The last component of the path; in a container, with the member in parentheses.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> FileBytes {
        self.file.bytes(&self.database)
    }

    pub(crate) fn sections(&self) -> Result<Pass<SectionsIr>, Error> {
        self.checked(lowered::sections(&self.database, self.file))
    }

    pub(crate) fn linkage(&self) -> Result<Pass<LinkageIr>, Error> {
        self.checked(lowered::linkage(&self.database, self.file))
    }

    pub(crate) fn exceptions(&self) -> Result<Pass<ExceptionsIr>, Error> {
        self.checked(lowered::exceptions(&self.database, self.file))
    }

    pub(crate) fn strings(&self) -> Result<Pass<StringsIr>, Error> {
        self.checked(lowered::strings(&self.database, self.file))
    }

    pub(crate) fn extents(&self) -> Result<Pass<Rows<FileExtents>>, Error> {
        self.checked(lowered::extents(&self.database, self.file))
    }

    pub(crate) fn code(&self) -> Result<Pass<Code>, Error> {
        self.checked(lowered::code(&self.database, self.file))
    }

    pub(crate) fn references(&self) -> Result<Pass<References>, Error> {
        self.checked(lowered::references(&self.database, self.file))
    }

    pub(crate) fn instructions(&self) -> Result<Pass<InstructionsIr>, Error> {
        self.checked(lowered::instructions(&self.database, self.file))
    }

    pub(crate) fn cfg(&self) -> Result<Pass<CfgIr>, Error> {
        self.checked(lowered::cfg(&self.database, self.file))
    }

    pub(crate) fn image(&self) -> Result<Pass<Image>, Error> {
        self.checked(lowered::image(&self.database, self.file))
    }

    pub(crate) fn memory(&self) -> Result<Pass<MemoryIr>, Error> {
        self.checked(lowered::memory(&self.database, self.file))
    }

    pub(crate) fn debug(&self) -> Result<Pass<DebugIr>, Error> {
        let companions = self
            .companions
            .get_or_init(|| Companions::new(&self.database, companions::find(&self.path, &self.bytes().0)));
        self.checked(lowered::debug(&self.database, self.file, *companions))
    }

    fn checked<T>(&self, result: Result<T, Unsupported>) -> Result<T, Error> {
        result.map_err(|reason| Error::Unsupported { path: self.path.clone(), reason })
    }

    /// The parts of a table, of which those that surely have no row in `addresses` are left out. Tables that belong to
    /// no single stage speak of `stages` and of those that they need.
    pub(crate) fn parts(
        &self,
        table: &'static TableInfo,
        stages: &[Stage],
        addresses: Option<&Range<u64>>,
    ) -> Result<Vec<LoweredPart>, Error> {
        if table == Instructions::INFO {
            return self.instruction_parts(addresses, LoweredPart::Instructions);
        }
        if table == InstructionEffects::INFO {
            return self.instruction_parts(addresses, LoweredPart::Effects);
        }
        if table == MemoryAccesses::INFO {
            return self.block_parts(addresses, LoweredPart::MemoryAccesses);
        }
        if table == DataFlow::INFO {
            return self.block_parts(addresses, LoweredPart::DataFlow);
        }
        let batches = match table.stage {
            Stage::Debug => self.debug()?.parts(table),
            _ => vec![self.table(table, stages)?],
        };
        let batches = batches.iter().flat_map(partitions);
        if table == Functions::INFO {
            let (code, cfg) = (self.code()?, self.cfg()?);
            let part = |functions| LoweredPart::Functions(code.clone(), cfg.clone(), functions);
            return Ok(batches.filter_map(Rows::from_batch).map(part).collect());
        }
        let part = |batch: Batch| match Rows::from_batch(batch.clone()) {
            Some(symbols) => LoweredPart::Symbols(symbols),
            None => LoweredPart::Ready(batch),
        };
        Ok(batches.map(part).collect())
    }

    fn instruction_parts(
        &self,
        addresses: Option<&Range<u64>>,
        part: fn(Pass<Code>, Pass<InstructionsIr>, CodeRange) -> LoweredPart,
    ) -> Result<Vec<LoweredPart>, Error> {
        let (code, instructions) = (self.code()?, self.instructions()?);
        let mut ranges = instructions.partitions(&code);
        for range in &mut ranges {
            code.narrow(range, addresses);
        }
        let kept = ranges.into_iter().filter(|range| range.start < range.end);
        Ok(kept.map(|range| part(code.clone(), instructions.clone(), range)).collect())
    }

    fn block_parts(
        &self,
        addresses: Option<&Range<u64>>,
        part: impl Fn(Pass<Code>, Pass<CfgIr>, Pass<MemoryIr>, Range<usize>) -> LoweredPart,
    ) -> Result<Vec<LoweredPart>, Error> {
        let (code, cfg, memory) = (self.code()?, self.cfg()?, self.memory()?);
        let blocks = cfg.basic_blocks.columns();
        let is_inside = |row: &usize| {
            let (start, end) = (blocks.address[*row], blocks.address[*row] + blocks.size[*row]);
            addresses.is_none_or(|range| start < range.end && range.start < end)
        };
        // Blocks stand in the order of their addresses: those inside a range are a run.
        let runs = memory::partitions(&cfg).into_iter().filter_map(|run| {
            let first = run.clone().find(is_inside)?;
            let last = run.rev().find(is_inside)?;
            Some(first..last + 1)
        });
        Ok(runs.map(|run| part(code.clone(), cfg.clone(), memory.clone(), run)).collect())
    }

    /// A table that is held whole.
    fn table(&self, table: &'static TableInfo, stages: &[Stage]) -> Result<Batch, Error> {
        let find = |tables: &[&Batch]| tables.iter().find(|batch| batch.info() == table).copied().cloned();
        let found = match table.stage {
            Stage::Run if table == Diagnostics::INFO => Some(self.diagnostics(stages)?),
            Stage::Run => find(&[self.binary(stages)?.batch()]),
            Stage::Sections if table == BinaryStrings::INFO => find(&self.strings()?.tables()),
            Stage::Sections if table == FileExtents::INFO => find(&[self.extents()?.batch()]),
            Stage::Sections if table == ExceptionCallSites::INFO => find(&self.exceptions()?.tables()),
            Stage::Sections => match find(&self.sections()?.tables()) {
                None => find(&self.linkage()?.tables()),
                found => found,
            },
            Stage::Cfg => find(&self.cfg()?.tables()),
            Stage::Memory => find(&self.memory()?.tables()),
            Stage::DataFlow | Stage::Debug | Stage::Effects | Stage::Instructions => None,
        };
        Ok(found.unwrap_or_else(|| unreachable!("{} is made by no pass", table.name)))
    }

    /// The diagnostics of the passes that stages run, in the order of their key.
    fn diagnostics(&self, stages: &[Stage]) -> Result<Batch, Error> {
        let reaches = |stage: Stage| stages.iter().any(|asked| *asked >= stage);
        let has_sections = stages.contains(&Stage::Sections);
        let mut batches = Vec::new();
        if reaches(Stage::Cfg) {
            batches.push(self.cfg()?.diagnostics.batch().clone());
        }
        if stages.contains(&Stage::Debug) {
            batches.push(self.debug()?.diagnostics.batch().clone());
        }
        if has_sections || reaches(Stage::Cfg) {
            batches.push(self.exceptions()?.diagnostics.batch().clone());
        }
        if reaches(Stage::Instructions) {
            batches.push(self.instructions()?.diagnostics.batch().clone());
        }
        if has_sections || reaches(Stage::Cfg) {
            batches.push(self.linkage()?.diagnostics.batch().clone());
        }
        if reaches(Stage::Memory) {
            batches.push(self.memory()?.diagnostics.batch().clone());
        }
        batches.push(self.sections()?.diagnostics.batch().clone());
        if has_sections {
            batches.push(self.strings()?.diagnostics.batch().clone());
        }
        Ok(Batch::concat(&batches))
    }

    fn binary(&self, stages: &[Stage]) -> Result<Rows<Binaries>, Error> {
        let sections = self.sections()?;
        let path = self.path.to_string_lossy();
        // What stands beside the pipeline needs what stands before it.
        let is_reached = |stage: &Stage| stages.iter().any(|asked| asked >= stage);
        let status = Stage::PIPELINE.into_iter().rev().find(is_reached).unwrap_or(Stage::Sections).name();
        let mut rows = BinaryBuilder::default();
        rows.extend(sections.headers.columns().iter().map(|header| Binary {
            path: &path,
            container: self.container.as_deref(),
            sha256: header.sha256,
            size: header.file_size,
            status,
        }));
        Ok(rows.finish())
    }
}

/// Rows that are encoded and written together: not too many, and not with too many bytes in them.
fn partitions(batch: &Batch) -> Vec<Batch> {
    let mut sizes = vec![0; batch.rows()];
    for column in batch.columns() {
        if let Some(values) = column.as_any().downcast_ref::<BinaryViewArray>() {
            sizes.iter_mut().zip(values.lengths()).for_each(|(size, length)| *size += length as usize);
        }
    }
    let mut partitions = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (row, size) in sizes.into_iter().enumerate() {
        if row > start && (row - start >= ROW_GROUP_ROWS_MAX || bytes + size > ROW_GROUP_BYTES_MAX) {
            partitions.push(batch.slice(start, row - start));
            (start, bytes) = (row, 0);
        }
        bytes += size;
    }
    if start < batch.rows() {
        partitions.push(batch.slice(start, batch.rows() - start));
    }
    partitions
}
