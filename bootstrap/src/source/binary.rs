//! An executable file whose tables are computed on demand.
//!
//! Connects the queries of one binary with its path and name, and divides tables into parts that become row groups.

use super::corpus::{CorpusFile, UniqueNames};
use crate::companions::{CompanionSearch, LazyCompanions, thin_members};
use crate::error::Error;
use crate::file::{FileBytes, read_file, retried};
use crate::queries::bodies;
use crate::queries::{self, Compute, ComputedPart, Database, Executable, Fingerprinted};
use arrow_array::BinaryViewArray;
use binframe_ir::parquet::ROW_GROUP_ROWS_MAX;
use binframe_ir::tables::{Binaries, Binary, BinaryBuilder, Diagnostics};
use binframe_ir::{Batch, Fingerprint, Rows, Stage, Table, TableInfo, Term, catching_panics};
use binframe_passes::file::sections::{SectionsIr, members};
use binframe_passes::{Code, PASSES, PassOutput, Unsupported, passes_for};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

/// Maximal size in bytes of the binary values of a part. It bounds the memory of a thread that encodes one.
const ROW_GROUP_BYTES_MAX: usize = 1 << 24;

/// An executable or a member of a container, whose tables are computed on demand.
pub struct BinaryFile {
    path: PathBuf,
    name: String,
    /// Name of the container that the file is a member of.
    container: Option<String>,
    database: Database,
    executable: Executable,
}

/// Rows of a table that one thread computes and encodes together.
pub(crate) enum BinaryPart {
    /// Rows in the output of a pass.
    Held(Batch),
    /// Rows in the output of a pass, of which one column is computed on demand.
    Incomplete { held: Batch, column: &'static str, complete: Compute },
    /// Rows that are computed on demand.
    Computed(ComputedPart),
}

impl BinaryPart {
    /// Computes the rows.
    pub(crate) fn rows(&self) -> Batch {
        match self {
            Self::Held(batch) => batch.clone(),
            Self::Incomplete { complete: compute, .. } | Self::Computed(ComputedPart { compute, .. }) => {
                compute()
            }
        }
    }

    /// Rows in which the named columns are complete. Other columns need not be.
    pub(crate) fn rows_for(&self, names: &[&str]) -> Batch {
        match self {
            Self::Incomplete { held, column, .. } if !names.contains(column) => held.clone(),
            _ => self.rows(),
        }
    }

    /// Number of rows. Computes the rows only if their number is not known otherwise.
    pub(crate) fn row_count(&self) -> usize {
        match self {
            Self::Held(held) | Self::Incomplete { held, .. } => held.rows(),
            Self::Computed(part) => part.row_count.unwrap_or_else(|| self.rows().rows()),
        }
    }
}

impl BinaryFile {
    /// Opens a file, whose passes are queries of `database`. If it is a container, its members follow it; each has a
    /// unique name `container(member)` and a database of its own.
    pub fn open(
        corpus_file: &CorpusFile,
        search: &CompanionSearch,
        database: Database,
    ) -> Result<Vec<Self>, Error> {
        let bytes = retried(|| read_file(&corpus_file.path), thread::sleep)?;
        let (path, name) = (corpus_file.path.clone(), corpus_file.name.clone());
        let file = Self::new(path, name, None, database, bytes, 0, search);
        let mut files = Vec::new();
        file.push_with_members(search, &mut UniqueNames::default(), &mut files);
        Ok(files)
    }

    fn new(
        path: PathBuf,
        name: String,
        container: Option<String>,
        database: Database,
        bytes: FileBytes,
        member_index: u32,
        search: &CompanionSearch,
    ) -> Self {
        let companions = LazyCompanions::of(&path, &bytes.0, search);
        let executable = Executable::new(&database, bytes, member_index, companions);
        Self { path, name, container, database, executable }
    }

    /// Appends the file and, recursively, its members.
    fn push_with_members(self, search: &CompanionSearch, names: &mut UniqueNames, files: &mut Vec<Self>) {
        let file = self.bytes().0;
        let inner = members(&file).into_iter().map(|member| (member.name, FileBytes::from(member.bytes)));
        let outer = thin_members(&self.path, &file, search);
        let members = (0..).zip(inner.chain(outer)).map(|(index, (name, bytes))| {
            let name = names.add(&format!("{}({name})", self.name));
            // A database of its own, so that the outputs of a member are freed with it.
            let database = Database::default();
            let container = Some(self.name.clone());
            Self::new(self.path.clone(), name, container, database, bytes, index, search)
        });
        let members: Vec<_> = members.collect();
        files.push(self);
        for member in members {
            member.push_with_members(search, names, files);
        }
    }

    /// Name of the binary: the last component of the path; for a member, its name in parentheses after the container's.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> FileBytes {
        self.executable.bytes(&self.database)
    }

    pub(crate) fn sections(&self) -> Result<Fingerprinted<SectionsIr>, Error> {
        self.checked(queries::sections(&self.database, self.executable))
    }

    /// Fingerprint of an input of the pipeline: `file`, `member_index` or `companions`.
    pub(crate) fn input_fingerprint(&self, input: &str) -> Fingerprint {
        match input {
            "file" => Fingerprint::of_bytes(&self.bytes().0),
            "member_index" => {
                Fingerprint::of_numbers(&[u64::from(self.executable.member_index(&self.database))])
            }
            "companions" => {
                let companions = self.executable.companions(&self.database);
                Fingerprint::of_all(companions.get().iter().map(|file| Fingerprint::of_bytes(&file.bytes)))
            }
            _ => unreachable!("{input} is no input of the pipeline"),
        }
    }

    pub(crate) fn code(&self) -> Result<Fingerprinted<Code>, Error> {
        self.checked(queries::code(&self.database, self.executable))
    }

    /// Output of the pass at a position of [`PASSES`].
    pub(crate) fn run_pass(&self, position: usize) -> Result<Fingerprinted<dyn PassOutput>, Error> {
        self.checked(bodies::run_pass(position, &self.database, self.executable))
    }

    fn checked<T>(&self, result: Result<T, Unsupported>) -> Result<T, Error> {
        result.map_err(|reason| Error::Unsupported { path: self.path.clone(), reason })
    }

    /// The parts of a table that may have rows in `addresses`. The tables that no single stage fills (`binaries`,
    /// `diagnostics`) have the rows of the passes that `stages` need.
    pub(crate) fn parts(
        &self,
        table: &'static TableInfo,
        stages: &[Stage],
        addresses: Option<&Range<u64>>,
    ) -> Result<Vec<BinaryPart>, Error> {
        let parts = || {
            let computed = bodies::computed_parts(table, addresses, &self.database, self.executable);
            if let Some(parts) = self.checked(computed)? {
                return Ok(parts.into_iter().map(BinaryPart::Computed).collect());
            }
            let held = self.held(table, stages)?;
            held.iter().flat_map(split).map(|batch| self.part_of(batch)).collect()
        };
        let panicked = |message| Error::Panicked { path: self.path.clone(), message };
        catching_panics(parts).map_err(panicked)?
    }

    fn part_of(&self, held: Batch) -> Result<BinaryPart, Error> {
        let column = bodies::computed_column(&held, &self.database, self.executable);
        Ok(match self.checked(column)? {
            Some((column, complete)) => BinaryPart::Incomplete { held, column, complete },
            None => BinaryPart::Held(held),
        })
    }

    /// The batches of a table that is in the output of a pass.
    fn held(&self, table: &'static TableInfo, stages: &[Stage]) -> Result<Vec<Batch>, Error> {
        if table == Binaries::INFO {
            return Ok(vec![self.binary(stages)?.batch().clone()]);
        }
        if table == Diagnostics::INFO {
            return self.diagnostics(stages);
        }
        let position = PASSES.iter().position(|pass| pass.tables.contains(&table));
        let position = position.unwrap_or_else(|| unreachable!("{} is filled by no pass", table.name));
        self.batches_of(position, table)
    }

    fn batches_of(&self, position: usize, table: &TableInfo) -> Result<Vec<Batch>, Error> {
        let output = self.run_pass(position)?;
        Ok(output.batches().into_iter().filter(|batch| batch.info() == table).cloned().collect())
    }

    /// The diagnostics of the passes that `stages` need, sorted by the name of the pass: the first column of the key.
    fn diagnostics(&self, stages: &[Stage]) -> Result<Vec<Batch>, Error> {
        let mut positions = passes_for(stages);
        positions.retain(|position| PASSES[*position].tables.contains(&Diagnostics::INFO));
        positions.sort_by_key(|position| PASSES[*position].name);
        let mut batches = Vec::new();
        for position in positions {
            batches.extend(self.batches_of(position, Diagnostics::INFO)?);
        }
        batches.retain(|batch| batch.rows() > 0);
        Ok(if batches.is_empty() { batches } else { vec![Batch::concat(&batches)] })
    }

    /// The row of this file in `binaries`.
    fn binary(&self, stages: &[Stage]) -> Result<Rows<Binaries>, Error> {
        let sections = self.sections()?;
        let path = self.path.to_string_lossy();
        let mut rows = BinaryBuilder::default();
        rows.extend(sections.headers.columns().iter().map(|header| Binary {
            path: &path,
            container: self.container.as_deref(),
            sha256: header.sha256,
            size: header.file_size,
            last_stage: Term(last_stage(stages).name()),
        }));
        Ok(rows.finish())
    }
}

/// The last stage of the pipeline that is complete when the passes that `stages` need have run.
fn last_stage(stages: &[Stage]) -> Stage {
    let ran = passes_for(stages);
    let is_complete = |stage: &Stage| passes_for(&[*stage]).iter().all(|position| ran.contains(position));
    Stage::PIPELINE.into_iter().rev().find(is_complete).unwrap_or(Stage::Sections)
}

/// Splits a batch into slices of at most [`ROW_GROUP_ROWS_MAX`] rows and, unless it is one row, [`ROW_GROUP_BYTES_MAX`]
/// bytes of binary values.
fn split(batch: &Batch) -> Vec<Batch> {
    let mut sizes = vec![0; batch.rows()];
    for column in batch.columns() {
        if let Some(values) = column.as_any().downcast_ref::<BinaryViewArray>() {
            sizes.iter_mut().zip(values.lengths()).for_each(|(size, length)| *size += length as usize);
        }
    }
    let mut slices = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (row, size) in sizes.into_iter().enumerate() {
        if row > start && (row - start >= ROW_GROUP_ROWS_MAX || bytes + size > ROW_GROUP_BYTES_MAX) {
            slices.push(batch.slice(start, row - start));
            (start, bytes) = (row, 0);
        }
        bytes += size;
    }
    if start < batch.rows() {
        slices.push(batch.slice(start, batch.rows() - start));
    }
    slices
}
