//! One executable, whose tables are made on demand.

use crate::database::{Database, Executable, Pass, lowered};
use crate::{Error, map_file};
use binframe_ir::parquet::ROW_GROUP_ROWS_MAX;
use binframe_ir::tables::{Binaries, Binary, BinaryBuilder, Diagnostics, Instructions, MemoryAccesses};
use binframe_ir::{Batch, Rows, Stage, Table, TableInfo};
use binframe_passes::cfg::CfgIr;
use binframe_passes::instructions::InstructionsIr;
use binframe_passes::memory::MemoryIr;
use binframe_passes::sections::SectionsIr;
use binframe_passes::{Code, CodeRange, Unsupported, instructions, memory};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An executable whose tables are made on demand.
pub struct LoweredFile {
    path: PathBuf,
    name: String,
    database: Database,
    file: Executable,
    sections: Pass<SectionsIr>,
}

/// Rows of a table that are made together, on any thread.
pub(crate) enum LoweredPart {
    /// These.
    Ready(Batch),
    /// Instructions of a range of code.
    Instructions(Pass<Code>, Pass<InstructionsIr>, CodeRange),
    /// Memory accesses of a run of functions.
    MemoryAccesses(Pass<Code>, Pass<CfgIr>, Range<usize>),
}

impl LoweredPart {
    /// Makes the rows.
    pub(crate) fn rows(&self) -> Batch {
        match self {
            Self::Ready(batch) => batch.clone(),
            Self::Instructions(code, instructions, range) => {
                instructions::decode(code, instructions, *range).batch().clone()
            }
            Self::MemoryAccesses(code, cfg, functions) => {
                memory::accesses(code, cfg, functions.clone()).batch().clone()
            }
        }
    }
}

impl LoweredFile {
    /// Maps a file and reads its structure.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let bytes = map_file(path)?;
        let database = Database::default();
        let file = Executable::new(&database, bytes);
        let sections = lowered::sections(&database, file);
        let sections = sections.map_err(|reason| Error::Unsupported { path: path.to_owned(), reason })?;
        Ok(Self { path: path.to_owned(), name: file_name(path), database, file, sections })
    }

    /// The last component of the path.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> crate::FileBytes {
        self.file.bytes(&self.database)
    }

    pub(crate) fn sections(&self) -> &Pass<SectionsIr> {
        &self.sections
    }

    pub(crate) fn code(&self) -> Result<Pass<Code>, Error> {
        self.checked(lowered::code(&self.database, self.file))
    }

    pub(crate) fn instructions(&self) -> Result<Pass<InstructionsIr>, Error> {
        self.checked(lowered::instructions(&self.database, self.file))
    }

    pub(crate) fn cfg(&self) -> Result<Pass<CfgIr>, Error> {
        self.checked(lowered::cfg(&self.database, self.file))
    }

    pub(crate) fn memory(&self) -> Result<Pass<MemoryIr>, Error> {
        self.checked(lowered::memory(&self.database, self.file))
    }

    fn checked<T>(&self, result: Result<T, Unsupported>) -> Result<T, Error> {
        result.map_err(|reason| Error::Unsupported { path: self.path.clone(), reason })
    }

    /// The parts of a table, of which those that surely have no row in `addresses` are left out. Tables that belong to
    /// no single stage speak of the stages up to `last`.
    pub(crate) fn parts(
        &self,
        table: &'static TableInfo,
        last: Stage,
        addresses: Option<&Range<u64>>,
    ) -> Result<Vec<LoweredPart>, Error> {
        if table == Instructions::INFO {
            return self.instruction_parts(addresses);
        }
        if table == MemoryAccesses::INFO {
            return self.access_parts(addresses);
        }
        let batch = self.table(table, last)?;
        let starts = (0..batch.rows()).step_by(ROW_GROUP_ROWS_MAX);
        let part = |start| batch.slice(start, ROW_GROUP_ROWS_MAX.min(batch.rows() - start));
        Ok(starts.map(part).map(LoweredPart::Ready).collect())
    }

    fn instruction_parts(&self, addresses: Option<&Range<u64>>) -> Result<Vec<LoweredPart>, Error> {
        let (code, instructions) = (self.code()?, self.instructions()?);
        let mut ranges = instructions.partitions(&code);
        for range in &mut ranges {
            code.narrow(range, addresses);
        }
        let kept = ranges.into_iter().filter(|range| range.start < range.end);
        let part = |range| LoweredPart::Instructions(code.clone(), instructions.clone(), range);
        Ok(kept.map(part).collect())
    }

    fn access_parts(&self, addresses: Option<&Range<u64>>) -> Result<Vec<LoweredPart>, Error> {
        let (code, cfg) = (self.code()?, self.cfg()?);
        let functions = cfg.functions.columns();
        let is_inside = |row: &usize| {
            let (start, end) = (functions.address[*row], functions.address[*row] + functions.size[*row]);
            addresses.is_none_or(|range| start < range.end && range.start < end)
        };
        // Functions stand in the order of their addresses: those inside a range are a run.
        let runs = memory::partitions(&cfg).into_iter().filter_map(|run| {
            let first = run.clone().find(is_inside)?;
            let last = run.rev().find(is_inside)?;
            Some(first..last + 1)
        });
        Ok(runs.map(|run| LoweredPart::MemoryAccesses(code.clone(), cfg.clone(), run)).collect())
    }

    /// A table that is held whole.
    fn table(&self, table: &'static TableInfo, last: Stage) -> Result<Batch, Error> {
        let find = |tables: &[&Batch]| tables.iter().find(|batch| batch.info() == table).copied().cloned();
        let found = match table.stage {
            Stage::Sections => find(&self.sections.tables()),
            Stage::Cfg => find(&self.cfg()?.tables()),
            Stage::Memory => find(&self.memory()?.tables()),
            Stage::Run if table == Diagnostics::INFO => Some(self.diagnostics(last)?),
            Stage::Run => find(&[self.binary(last).batch()]),
            Stage::Instructions => None,
        };
        Ok(found.unwrap_or_else(|| unreachable!("{} is made by no pass", table.name)))
    }

    /// The diagnostics of the passes up to a stage, in the order of their key.
    fn diagnostics(&self, last: Stage) -> Result<Batch, Error> {
        let mut batches = Vec::new();
        if last >= Stage::Cfg {
            batches.push(self.cfg()?.diagnostics.batch().clone());
        }
        if last >= Stage::Instructions {
            batches.push(self.instructions()?.diagnostics.batch().clone());
        }
        if last >= Stage::Memory {
            batches.push(self.memory()?.diagnostics.batch().clone());
        }
        batches.push(self.sections.diagnostics.batch().clone());
        Ok(Batch::concat(&batches))
    }

    fn binary(&self, last: Stage) -> Rows<Binaries> {
        let headers = self.sections.headers.columns();
        let path = self.path.to_string_lossy();
        let mut rows = BinaryBuilder::default();
        rows.extend(headers.iter().map(|header| Binary {
            path: &path,
            sha256: header.sha256,
            size: header.file_size,
            status: last.name(),
        }));
        rows.finish()
    }
}

/// The last component of a path.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
