//! What is asked: executables, lowered when a query needs them, and datasets.

use crate::error::external;
use binframe::ir::{Rows, Table, TableInfo};
use binframe::{CorpusFile, Database, Dataset, Error, Filter, ManifestTable, Source, TablePart, find_files};
use datafusion::common::exec_err;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Everything that the plain names of tables speak of, in the order in which it was given.
pub struct Inputs {
    all: Vec<Input>,
    /// Executables whose passes' results are kept, the one that was used last at the end.
    lowered: Mutex<VecDeque<(usize, Arc<Opened>)>>,
    /// Executables that could not be lowered and are left out, each with its reason.
    skipped: Mutex<BTreeSet<String>>,
    options: Options,
}

/// Called with the name of an executable and the pass that begins to run on it.
pub type OnPass = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// How inputs are treated.
#[derive(Clone)]
pub struct Options {
    /// Threads that a query works on.
    pub threads: usize,
    /// Bytes that a query may take.
    pub memory: u64,
    /// Called when a pass begins to run.
    pub on_pass: OnPass,
}

impl fmt::Debug for Inputs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.all.iter().map(|input| &input.path)).finish()
    }
}

/// One input.
struct Input {
    path: PathBuf,
    /// What distinguishes its names from those of the inputs before it.
    prefix: String,
    kind: Kind,
}

enum Kind {
    /// A dataset, opened.
    Dataset(Arc<Opened>),
    /// An executable or a container.
    Executable(CorpusFile),
}

/// Where tables of one input come from, once it is open.
struct Opened {
    source: Mutex<Option<Source>>,
    /// The passes that ran since they were last asked for.
    passes: Arc<Mutex<Vec<String>>>,
}

/// Parts of a table of one input, and the passes that had to run to know them.
pub(crate) struct Parts {
    pub(crate) parts: Vec<TablePart>,
    pub(crate) passes: Vec<String>,
}

/// A share of one input's parts of a table: those between two places on a line as long as `length`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) input: usize,
    start: u64,
    end: u64,
    length: u64,
}

impl Share {
    /// The parts of `count` that belong to the share. Shares that meet on the line leave none between them.
    pub(crate) fn of(self, count: usize) -> std::ops::Range<usize> {
        let place = |at: u64| (count as u128 * u128::from(at) / u128::from(self.length)) as usize;
        place(self.start)..place(self.end)
    }
}

/// What a lowered executable takes in memory, as a multiple of its file's size.
const LOWERED_BYTES_PER_BYTE: u64 = 12;

impl Inputs {
    /// Opens datasets, and finds the executables that paths, directories and patterns stand for. They are opened when a query
    /// needs them.
    pub fn open(paths: &[PathBuf], options: Options) -> Result<Self, Error> {
        let mut inputs = Vec::new();
        let mut known = BTreeSet::new();
        let is_dataset = |path: &PathBuf| Dataset::is_at(path);
        for run in paths.chunk_by(|one, other| !is_dataset(one) && !is_dataset(other)) {
            if is_dataset(&run[0]) {
                inputs.push(Input::dataset(&run[0], &mut known)?);
            } else {
                inputs.extend(find_files(run)?.into_iter().map(|file| Input::executable(file, &mut known)));
            }
        }
        let (lowered, skipped) = (Mutex::default(), Mutex::default());
        Ok(Self { all: inputs, lowered, skipped, options })
    }

    /// How they are treated.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The paths of all.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.all.iter().map(|input| input.path.as_path())
    }

    /// What could not be lowered and was left out, a line each.
    pub fn skipped(&self) -> Vec<String> {
        lock(&self.skipped).iter().cloned().collect()
    }

    /// The work on a table in `partitions` runs of about the same size, in the order of the inputs.
    pub(crate) fn shares(&self, table: &TableInfo, partitions: usize) -> Vec<Vec<Share>> {
        let lengths: Vec<_> = self.all.iter().map(|input| input.length(table)).collect();
        let total: u128 = lengths.iter().map(|length| u128::from(*length)).sum();
        let border = |partition: usize| total * partition as u128 / partitions as u128;
        let of_partition = |partition: usize| {
            let (from, to) = (border(partition), border(partition + 1));
            let mut start = 0;
            let mut shares = Vec::new();
            for (input, length) in lengths.iter().enumerate() {
                let end = start + u128::from(*length);
                if start < to && from < end {
                    let (first, last) = (from.max(start) - start, to.min(end) - start);
                    shares.push(Share { input, start: first as u64, end: last as u64, length: *length });
                }
                start = end;
            }
            shares
        };
        (0..partitions).map(of_partition).collect()
    }

    /// The rows of a table, and whether that is more than a guess.
    pub(crate) fn row_count(&self, table: &TableInfo) -> (u64, bool) {
        let rows = self.all.iter().map(|input| match &input.kind {
            Kind::Dataset(opened) => (opened.in_manifest(table, |entry| entry.rows), true),
            Kind::Executable(file) => (file.size / bytes_per_row(table), false),
        });
        rows.fold((0, true), |(all, is_known), (rows, is_exact)| (all + rows, is_known && is_exact))
    }

    /// The parts of a table of one input that may hold what is asked for. An executable that cannot be lowered has none, unless
    /// it is the only input.
    pub(crate) fn parts(
        &self,
        input: usize,
        table: &'static TableInfo,
        filter: &Filter<'_>,
    ) -> Result<Parts, Error> {
        let opened = self.opened(input);
        let mut source = lock(&opened.source);
        let found = self.open_source(input, &opened, &mut source).and_then(|source| {
            if !source.has_table(table) {
                let (path, table) = (self.all[input].path.clone(), table);
                return Err(Error::MissingTable { path, table });
            }
            source.parts(table, filter)
        });
        let passes = std::mem::take(&mut *lock(&opened.passes));
        Ok(Parts { parts: self.unless_left_out(input, found)?, passes })
    }

    /// What was found in an input; nothing where it is an executable that cannot be lowered, one of several inputs, which is left
    /// out then.
    fn unless_left_out<T: Default>(&self, input: usize, found: Result<T, Error>) -> Result<T, Error> {
        match found {
            Err(error) if self.all.len() > 1 && matches!(self.all[input].kind, Kind::Executable(_)) => {
                lock(&self.skipped).insert(error.to_string());
                Ok(T::default())
            }
            found => found,
        }
    }

    /// The only binary, as SQL names it; none where there are several.
    pub(crate) fn only_binary(&self) -> Result<Option<String>, Error> {
        if self.all.len() > 1 {
            return Ok(None);
        }
        let mut all = Vec::new();
        for input in 0..self.all.len() {
            all.extend(self.binaries(input)?);
        }
        Ok(<[String; 1]>::try_from(all).ok().map(|[only]| self.shown_name(0, &only)))
    }

    /// The input that has a binary, as SQL names it, and the name that it has there.
    pub(crate) fn find(&self, shown: &str) -> datafusion::common::Result<(usize, String)> {
        for input in 0..self.all.len() {
            let Some(own) = self.own_name(input, shown) else { continue };
            if self.binaries(input).map_err(external)?.iter().any(|name| name == own) {
                return Ok((input, own.to_owned()));
            }
        }
        exec_err!("no binary is named `{shown}`; SELECT binary FROM binaries lists them")
    }

    fn binaries(&self, input: usize) -> Result<Vec<String>, Error> {
        let opened = self.opened(input);
        let mut source = lock(&opened.source);
        let source = self.open_source(input, &opened, &mut source);
        self.unless_left_out(input, source.map(Source::binaries))
    }

    /// All binaries, each with its input.
    pub(crate) fn all_binaries(&self) -> Result<Vec<(usize, String)>, Error> {
        let mut all = Vec::new();
        for input in 0..self.all.len() {
            all.extend(self.binaries(input)?.into_iter().map(|name| (input, name)));
        }
        Ok(all)
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
    pub(crate) fn all<T: Table>(&self, input: usize, binary: &str) -> Result<Vec<Rows<T>>, Error> {
        let parts = self.parts_of(input, binary, T::INFO)?;
        let rows =
            |part: TablePart| Ok(Rows::from_batch(part.rows()?).expect("parts are of the table asked for"));
        parts.into_iter().map(rows).collect()
    }

    /// The name that SQL has for an input's binary.
    pub(crate) fn shown_name(&self, input: usize, binary: &str) -> String {
        format!("{}{binary}", self.all[input].prefix)
    }

    /// The name that an input has for what SQL calls `shown`; none where it surely has no such binary.
    pub(crate) fn own_name<'a>(&self, input: usize, shown: &'a str) -> Option<&'a str> {
        let Input { prefix, kind, .. } = &self.all[input];
        let own = shown.strip_prefix(prefix.as_str())?;
        match kind {
            // A container has its members, too.
            Kind::Executable(file) if !own.starts_with(&file.name) => None,
            _ => Some(own),
        }
    }

    fn open_source<'a>(
        &self,
        input: usize,
        opened: &Opened,
        source: &'a mut Option<Source>,
    ) -> Result<&'a Source, Error> {
        if let (None, Kind::Executable(file)) = (&source, &self.all[input].kind) {
            let (on_pass, passes) = (Arc::clone(&self.options.on_pass), Arc::clone(&opened.passes));
            let name = file.name.clone();
            let database = Database::with_log(move |pass| {
                on_pass(&name, &pass);
                lock(&passes).push(pass);
            });
            *source = Some(Source::of_file(file, database)?);
        }
        Ok(source.as_ref().expect("a dataset is open, and an executable was opened above"))
    }

    /// The input as it was opened before, if it is still kept.
    fn opened(&self, input: usize) -> Arc<Opened> {
        if let Kind::Dataset(opened) = &self.all[input].kind {
            return Arc::clone(opened);
        }
        let mut lowered = lock(&self.lowered);
        let known = lowered.iter().position(|(index, _)| *index == input);
        let entry = known.and_then(|position| lowered.remove(position));
        let entry = entry.unwrap_or_else(|| (input, Arc::new(Opened::new(None))));
        let opened = Arc::clone(&entry.1);
        lowered.push_back(entry);
        self.forget_some(&mut lowered);
        opened
    }

    /// Keeps the executables that were used last, as many as half of the memory is enough for; queries hold what they use.
    fn forget_some(&self, lowered: &mut VecDeque<(usize, Arc<Opened>)>) {
        let size = |(input, _): &(usize, Arc<Opened>)| match &self.all[*input].kind {
            Kind::Executable(file) => file.size.saturating_mul(LOWERED_BYTES_PER_BYTE),
            Kind::Dataset(_) => 0,
        };
        let mut total: u64 = lowered.iter().map(size).sum();
        while lowered.len() > 1 && total > self.options.memory / 2 {
            total -= lowered.pop_front().as_ref().map_or(0, size);
        }
    }
}

impl Input {
    fn dataset(path: &Path, known: &mut BTreeSet<String>) -> Result<Self, Error> {
        let source = Source::open(path)?;
        let prefix = prefix(path, &source.binaries(), known);
        Ok(Self { path: path.to_owned(), prefix, kind: Kind::Dataset(Arc::new(Opened::new(Some(source)))) })
    }

    fn executable(file: CorpusFile, known: &mut BTreeSet<String>) -> Self {
        let prefix =
            prefix(file.path.parent().unwrap_or(&file.path), std::slice::from_ref(&file.name), known);
        Self { path: file.path.clone(), prefix, kind: Kind::Executable(file) }
    }

    /// How much work a table of it is beside other inputs.
    fn length(&self, table: &TableInfo) -> u64 {
        let size = match &self.kind {
            Kind::Dataset(opened) => opened.in_manifest(table, |entry| entry.bytes),
            Kind::Executable(file) => file.size,
        };
        size.max(1)
    }
}

impl Opened {
    fn new(source: Option<Source>) -> Self {
        Self { source: Mutex::new(source), passes: Arc::default() }
    }

    /// What the manifest of a dataset says of a table; 0 where there is none.
    fn in_manifest(&self, table: &TableInfo, number: impl FnOnce(&ManifestTable) -> u64) -> u64 {
        match &*lock(&self.source) {
            Some(Source::Dataset(dataset)) => dataset.table(table).map_or(0, number),
            _ => 0,
        }
    }
}

/// What distinguishes names from those that are known: the name of their directory, where they are not different by themselves.
fn prefix(directory: &Path, names: &[String], known: &mut BTreeSet<String>) -> String {
    let directory = directory.file_name().unwrap_or(directory.as_os_str()).to_string_lossy();
    let is_taken = |prefix: &str| names.iter().any(|name| known.contains(&format!("{prefix}{name}")));
    let numbered = (2..).map(|number| format!("{directory}-{number}/"));
    let candidates = [String::new(), format!("{directory}/")].into_iter().chain(numbered);
    let prefix = candidates.into_iter().find(|prefix| !is_taken(prefix)).expect("numbers do not end");
    known.extend(names.iter().map(|name| format!("{prefix}{name}")));
    prefix
}

/// About how many bytes of a file there are for a row of a table: what the planner guesses from which side of a join is small.
fn bytes_per_row(table: &TableInfo) -> u64 {
    match table.name {
        "instructions" => 8,
        "instruction_effects" => 2,
        "data_flow" => 3,
        "memory_accesses" => 20,
        "basic_blocks" | "cfg_edges" => 40,
        "line_table" | "debug_variables" | "call_edges" => 100,
        "functions" | "stack_frames" | "unwind_entries" => 500,
        _ => 1000,
    }
}

/// What a mutex holds, also after a thread that held it has panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
