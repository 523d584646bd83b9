//! One input of a session: an executable, analyzed when a query needs it, or a dataset.

use crate::options::Options;
use binframe::ir::{Stage, TableInfo};
use binframe::{CorpusFile, Database, Error, ManifestTable, Source};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An input and its name in SQL.
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    /// Prefix of the names of its binaries, which tells them apart from those of other inputs; mostly empty.
    prefix: String,
    pub(crate) kind: InputKind,
}

pub(crate) enum InputKind {
    /// A dataset, which is open.
    Dataset(Arc<OpenInput>),
    /// An executable or a container.
    Executable(CorpusFile),
}

/// The tables of an input, shared by the threads of a query.
pub(crate) struct OpenInput {
    /// `None` until an executable is first needed.
    pub(crate) source: Mutex<Option<Source>>,
    /// The passes that ran since [`take_passes`](Self::take_passes).
    passes: Arc<Mutex<Vec<String>>>,
}

impl Input {
    /// Opens a dataset. `known` holds the names of all binaries so far, and gets the names of these.
    pub(crate) fn dataset(path: &Path, known: &mut BTreeSet<String>) -> Result<Self, Error> {
        let source = Source::open(path)?;
        let prefix = prefix(path, &source.binaries(), known);
        let kind = InputKind::Dataset(Arc::new(OpenInput::new(Some(source))));
        Ok(Self { path: path.to_owned(), prefix, kind })
    }

    /// An executable, which is opened when a query needs it. `known` is as for [`dataset`](Self::dataset).
    pub(crate) fn executable(file: CorpusFile, known: &mut BTreeSet<String>) -> Self {
        let directory = file.path.parent().unwrap_or(&file.path);
        let prefix = prefix(directory, std::slice::from_ref(&file.name), known);
        Self { path: file.path.clone(), prefix, kind: InputKind::Executable(file) }
    }

    /// The estimated work of reading a table, relative to other inputs: bytes in a dataset, or of the executable.
    pub(crate) fn work(&self, table: &TableInfo) -> u64 {
        let size = match &self.kind {
            InputKind::Dataset(open) => open.in_manifest(table, |entry| entry.bytes),
            InputKind::Executable(file) => file.size,
        };
        size.max(1)
    }

    /// Whether it has a table, by its manifest; an executable, by the kind of table.
    pub(crate) fn has_table(&self, table: &TableInfo) -> bool {
        match &self.kind {
            InputKind::Dataset(open) => open.in_manifest(table, |_| 1) > 0,
            InputKind::Executable(_) => table.stage != Stage::Capture,
        }
    }

    /// The name in SQL of one of its binaries.
    pub(crate) fn sql_name(&self, binary: &str) -> String {
        format!("{}{binary}", self.prefix)
    }

    /// The name in this input of a binary with a name in SQL. `None` if the input cannot have it.
    pub(crate) fn own_name<'a>(&self, sql_name: &'a str) -> Option<&'a str> {
        let own = sql_name.strip_prefix(self.prefix.as_str())?;
        match &self.kind {
            // The names of a container's members begin with its name.
            InputKind::Executable(file) if !own.starts_with(&file.name) => None,
            _ => Some(own),
        }
    }
}

impl OpenInput {
    pub(crate) fn new(source: Option<Source>) -> Self {
        Self { source: Mutex::new(source), passes: Arc::default() }
    }

    /// Opens an executable, and records the passes that run on it.
    pub(crate) fn open(&self, file: &CorpusFile, options: &Options) -> Result<Source, Error> {
        let (passes, name, on_pass) =
            (Arc::clone(&self.passes), file.name.clone(), Arc::clone(&options.on_pass));
        let database = Database::with_log(move |pass| {
            on_pass(&name, &pass);
            lock(&passes).push(pass);
        });
        Source::of_file(file, &options.companions, database)
    }

    /// The passes that ran since the last call.
    pub(crate) fn take_passes(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.passes))
    }

    /// A number that the manifest of a dataset states for a table; 0 if the input is not a dataset or lacks the table.
    pub(crate) fn in_manifest(&self, table: &TableInfo, number: impl FnOnce(&ManifestTable) -> u64) -> u64 {
        match &*lock(&self.source) {
            Some(Source::Dataset(dataset)) => dataset.table(table).map_or(0, number),
            _ => 0,
        }
    }
}

/// A prefix that makes `names` differ from all `known` names: nothing, the name of the directory, or that and a number.
fn prefix(directory: &Path, names: &[String], known: &mut BTreeSet<String>) -> String {
    let directory = directory.file_name().unwrap_or(directory.as_os_str()).to_string_lossy();
    let is_taken = |prefix: &str| names.iter().any(|name| known.contains(&format!("{prefix}{name}")));
    let numbered = (2..).map(|number| format!("{directory}-{number}/"));
    let candidates = [String::new(), format!("{directory}/")].into_iter().chain(numbered);
    let prefix = candidates.into_iter().find(|prefix| !is_taken(prefix)).expect("numbers do not end");
    known.extend(names.iter().map(|name| format!("{prefix}{name}")));
    prefix
}

/// Locks a mutex, even if a thread panicked while it held it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
