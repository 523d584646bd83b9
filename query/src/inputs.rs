//! The inputs of a session, their binaries, and the parts of their tables.
//!
//! Datasets are opened at once, executables when a query first needs one. An open executable keeps the results of its
//! passes, so that the next query finds them; the least recently used ones are closed when all of them together may take
//! more than half of the memory.

use crate::error::external;
use crate::input::{Input, InputKind, OpenInput, lock};
use crate::options::Options;
use crate::partition::{PartitionSlice, partition};
use binframe::ir::tables::Snapshots;
use binframe::ir::{Rows, Stage, Table, TableInfo};
use binframe::{Dataset, Error, Filter, Source, TablePart, find_files};
use datafusion::common::exec_err;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// All inputs of a session, in the order in which they were given.
pub struct Inputs {
    all: Vec<Input>,
    /// Open executables by the index of their input; the most recently used is last.
    open_executables: Mutex<VecDeque<(usize, Arc<OpenInput>)>>,
    /// Executables that could not be lowered and are left out, each with the reason.
    skipped: Mutex<BTreeSet<String>>,
    options: Options,
}

impl fmt::Debug for Inputs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.paths()).finish()
    }
}

/// Parts of a table of one input, and the passes that ran to determine them.
pub(crate) struct InputParts {
    pub(crate) parts: Vec<TablePart>,
    pub(crate) passes: Vec<String>,
}

/// Memory of an open executable, as a multiple of the size of its file.
const OPEN_BYTES_PER_BYTE: u64 = 12;

impl Inputs {
    /// Opens datasets, and finds the executables that paths, directories and patterns name.
    pub fn open(paths: &[PathBuf], options: Options) -> Result<Self, Error> {
        let mut inputs = Vec::new();
        let mut known = BTreeSet::new();
        let is_dataset = |path: &PathBuf| Dataset::is_at(path);
        for paths in paths.chunk_by(|one, next| !is_dataset(one) && !is_dataset(next)) {
            if is_dataset(&paths[0]) {
                inputs.push(Input::dataset(&paths[0], &mut known)?);
            } else {
                let files = find_files(paths)?.into_iter();
                inputs.extend(files.map(|file| Input::executable(file, &mut known)));
            }
        }
        let (open_executables, skipped) = (Mutex::default(), Mutex::default());
        Ok(Self { all: inputs, open_executables, skipped, options })
    }

    /// The options that they were opened with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The paths of all inputs.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.all.iter().map(|input| input.path.as_path())
    }

    /// The executables that could not be lowered and were left out: a line each, with the reason.
    pub fn skipped(&self) -> Vec<String> {
        lock(&self.skipped).iter().cloned().collect()
    }

    /// Whether a binary of an input is a captured process, and not a file.
    pub(crate) fn is_captured(&self, input: usize, binary: &str) -> Result<bool, Error> {
        Ok(self.all[input].has_table(Snapshots::INFO)
            && !self.parts_of(input, binary, Snapshots::INFO)?.is_empty())
    }

    /// Divides a table into partitions of about the same work, in the order of the inputs.
    pub(crate) fn partitions(&self, table: &TableInfo, partitions: usize) -> Vec<Vec<PartitionSlice>> {
        let works: Vec<_> = self.all.iter().map(|input| input.work(table)).collect();
        partition(&works, partitions)
    }

    /// An estimate of the number of rows of a table. A manifest is not trusted with an answer.
    pub(crate) fn row_count(&self, table: &TableInfo) -> u64 {
        let rows = self.all.iter().map(|input| match &input.kind {
            InputKind::Dataset(open) => open.in_manifest(table, |entry| entry.rows),
            InputKind::Executable(file) => file.size / table.file_bytes_per_row,
        });
        rows.fold(0, u64::saturating_add)
    }

    /// The parts of a table of one input that may contain rows that pass the filter. If the executable cannot be lowered
    /// and there are other inputs, it is left out and has no parts.
    pub(crate) fn parts(
        &self,
        input: usize,
        table: &'static TableInfo,
        filter: &Filter<'_>,
    ) -> Result<InputParts, Error> {
        // Before the source is locked, because this locks all of them, one after the other.
        let is_anywhere = self.all.iter().any(|other| other.has_table(table));
        let open = self.open_input(input);
        let parts = self.with_source(input, &open, |source| {
            if !source.has_table(table) {
                // Tables of files and of captures are joined; neither kind of input has those of the other.
                if is_anywhere && source.is_capture() != (table.stage == Stage::Capture) {
                    return Ok(Vec::new());
                }
                return Err(Error::MissingTable { path: self.all[input].path.clone(), table });
            }
            source.parts(table, filter)
        });
        let passes = open.take_passes();
        Ok(InputParts { parts: parts?, passes })
    }

    /// The parts of a table of one binary.
    pub(crate) fn parts_of(
        &self,
        input: usize,
        binary: &str,
        table: &'static TableInfo,
    ) -> Result<Vec<TablePart>, Error> {
        Ok(self.parts(input, table, &Filter::of(binary))?.parts)
    }

    /// All rows of a table of one binary.
    pub(crate) fn rows<T: Table>(&self, input: usize, binary: &str) -> Result<Vec<Rows<T>>, Error> {
        let parts = self.parts_of(input, binary, T::INFO)?;
        let rows =
            |part: TablePart| Ok(Rows::from_batch(part.rows()?).expect("parts are of the requested table"));
        parts.into_iter().map(rows).collect()
    }

    /// The names of an input's binaries.
    fn binaries(&self, input: usize) -> Result<Vec<String>, Error> {
        self.with_source(input, &self.open_input(input), |source| Ok(source.binaries()))
    }

    /// The names of all binaries, each with the index of its input.
    pub(crate) fn all_binaries(&self) -> Result<Vec<(usize, String)>, Error> {
        let mut all = Vec::new();
        for input in 0..self.all.len() {
            all.extend(self.binaries(input)?.into_iter().map(|name| (input, name)));
        }
        Ok(all)
    }

    /// The name in SQL of the only binary; `None` if there are none or several.
    pub(crate) fn only_binary(&self) -> Result<Option<String>, Error> {
        if self.all.len() > 1 {
            return Ok(None);
        }
        let all = self.all_binaries()?;
        Ok(<[_; 1]>::try_from(all).ok().map(|[(input, name)]| self.sql_name(input, &name)))
    }

    /// The input that has the binary with a name in SQL, and the binary's name there.
    pub(crate) fn find(&self, sql_name: &str) -> datafusion::common::Result<(usize, String)> {
        for input in 0..self.all.len() {
            let Some(own) = self.own_name(input, sql_name) else { continue };
            if self.binaries(input).map_err(external)?.iter().any(|name| name == own) {
                return Ok((input, own.to_owned()));
            }
        }
        exec_err!("no binary is named `{sql_name}`; SELECT binary_name FROM binaries lists them")
    }

    /// The name in SQL of a binary of an input.
    pub(crate) fn sql_name(&self, input: usize, binary: &str) -> String {
        self.all[input].sql_name(binary)
    }

    /// The name in an input of a binary with a name in SQL. `None` if the input cannot have it.
    pub(crate) fn own_name<'a>(&self, input: usize, sql_name: &'a str) -> Option<&'a str> {
        self.all[input].own_name(sql_name)
    }

    /// Calls `read` with the source of an input, which is opened first if necessary. If that fails, or `read` does, for an
    /// executable beside other inputs, the executable is left out and the result is empty.
    fn with_source<T: Default>(
        &self,
        input: usize,
        open: &OpenInput,
        read: impl FnOnce(&Source) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut source = lock(&open.source);
        let result = self.opened(input, open, &mut source).and_then(read);
        match result {
            Err(error) if self.all.len() > 1 && matches!(self.all[input].kind, InputKind::Executable(_)) => {
                lock(&self.skipped).insert(error.to_string());
                Ok(T::default())
            }
            result => result,
        }
    }

    fn opened<'a>(
        &self,
        input: usize,
        open: &OpenInput,
        source: &'a mut Option<Source>,
    ) -> Result<&'a Source, Error> {
        if let (None, InputKind::Executable(file)) = (&source, &self.all[input].kind) {
            *source = Some(open.open(file, &self.options)?);
        }
        Ok(source.as_ref().expect("a dataset is open, and an executable was opened above"))
    }

    /// The state of an input: open already, or to be opened. Makes it the most recently used one.
    fn open_input(&self, input: usize) -> Arc<OpenInput> {
        if let InputKind::Dataset(open) = &self.all[input].kind {
            return Arc::clone(open);
        }
        let mut all = lock(&self.open_executables);
        let known = all.iter().position(|(index, _)| *index == input);
        let entry = known.and_then(|position| all.remove(position));
        let entry = entry.unwrap_or_else(|| (input, Arc::new(OpenInput::new(None))));
        let open = Arc::clone(&entry.1);
        all.push_back(entry);
        self.close_least_recent(&mut all);
        open
    }

    /// Closes executables until the rest takes at most half of the memory. A query that reads one keeps it alive.
    fn close_least_recent(&self, all: &mut VecDeque<(usize, Arc<OpenInput>)>) {
        let size = |(input, _): &(usize, Arc<OpenInput>)| match &self.all[*input].kind {
            InputKind::Executable(file) => file.size.saturating_mul(OPEN_BYTES_PER_BYTE),
            InputKind::Dataset(_) => 0,
        };
        let mut total: u64 = all.iter().map(size).sum();
        while all.len() > 1 && total > self.options.memory / 2 {
            total -= all.pop_front().as_ref().map_or(0, size);
        }
    }
}
