//! Errors of reading inputs and of reading and writing datasets. Invalid input that a pass meets is a diagnostic, not
//! an error.

use binframe_ir::parquet::ReadError;
use binframe_ir::{SCHEMA_VERSION, Stage, TableInfo, Violation};
use binframe_passes::Unsupported;
use nix::unistd::Pid;
use parquet::errors::ParquetError;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Maximal number of skipped files in a message.
const SKIPPED_SHOWN: usize = 10;

/// Why an operation failed. Every message names the file or the item, and where possible the next step.
#[derive(Debug)]
pub enum Error {
    /// An operation on a file failed.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Attempted operation, such as `read`.
        action: &'static str,
        /// Error of the operating system.
        error: io::Error,
    },
    /// A file is not a supported executable.
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Offset, and what was expected there.
        reason: Unsupported,
    },
    /// Work on a file panicked: a defect of binframe, or the file changed while it was read.
    Panicked {
        /// The file.
        path: PathBuf,
        /// Message of the panic.
        message: String,
    },
    /// A path or pattern matches no file that can be lowered.
    NoInput {
        /// The path as given by the user.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// None of several files can be lowered.
    NothingLowered {
        /// The files, with reasons.
        skipped: Vec<SkippedFile>,
    },
    /// A directory is not a dataset.
    NotADataset {
        /// The directory.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// A path of a dataset that is to be written has something that must not be replaced.
    Occupied {
        /// The path.
        path: PathBuf,
        /// What is there, as a predicate of the path.
        found: String,
    },
    /// Another process is writing a dataset to the same target path.
    Busy {
        /// The target path.
        path: PathBuf,
    },
    /// A file of a dataset cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The reader's error.
        error: ReadError,
    },
    /// A file of a dataset has other columns than this binframe reads.
    Schema {
        /// The file.
        path: PathBuf,
        /// Version of the tables that the manifest of the dataset states.
        schema_version: u32,
        /// The differences.
        error: ReadError,
    },
    /// A file of a dataset cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// The writer's error.
        error: ParquetError,
    },
    /// A file of a dataset does not have the bytes that were written.
    Changed {
        /// The file.
        path: PathBuf,
        /// What differs from the manifest.
        found: String,
    },
    /// Rows violate the declarations of their tables: a defect of binframe.
    Violations(Vec<Violation>),
    /// A dataset does not have a table that is needed.
    MissingTable {
        /// The dataset.
        path: PathBuf,
        /// The table.
        table: &'static TableInfo,
    },
    /// A dataset has no binary of the requested name, or has several and no name was given.
    NoSuchBinary {
        /// The dataset.
        path: PathBuf,
        /// Requested name.
        requested: Option<String>,
        /// Names of the binaries that are not members of a container.
        available: Vec<String>,
    },
    /// Rows of a dataset contradict each other.
    Disagreement {
        /// The dataset.
        path: PathBuf,
        /// Table of the contradicting row.
        table: &'static str,
        /// Binary of the row.
        binary: String,
        /// Position of the row among the rows of the binary.
        row: usize,
        /// The contradicting values.
        message: String,
    },
    /// A process or core dump cannot be captured.
    Capture {
        /// The process or the file.
        subject: String,
        /// Why, and what may help.
        found: String,
    },
    /// No function has the requested name.
    NoSuchFunction {
        /// The name.
        name: String,
        /// Similar names.
        similar: Vec<String>,
    },
    /// No function has code at the requested address.
    NoFunctionAt {
        /// The address.
        address: u64,
    },
}

/// An input file that could not be lowered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFile {
    /// Path of the file.
    pub path: String,
    /// Error message.
    pub reason: String,
    /// Whether it could not be read, which may be temporary.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unreadable: bool,
}

impl fmt::Display for SkippedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.reason)
    }
}

impl Error {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, action, error }
    }

    /// Whether the error is not about the file: this process or the machine has run out of something, or the disk fails.
    pub(crate) fn is_of_process(&self) -> bool {
        let Self::Io { error, .. } = self else { return false };
        let of_process = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO];
        of_process.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    }

    /// The error with the path `to` in place of `from`.
    pub(crate) fn at(mut self, from: &Path, to: &Path) -> Self {
        if let Self::Io { path, .. }
        | Self::Read { path, .. }
        | Self::Schema { path, .. }
        | Self::Write { path, .. }
        | Self::Changed { path, .. }
        | Self::NotADataset { path, .. }
        | Self::Occupied { path, .. } = &mut self
            && let Ok(rest) = path.strip_prefix(from)
        {
            *path = to.iter().chain(rest).collect();
        }
        self
    }

    pub(crate) fn errno(process: Pid, action: &'static str) -> impl FnOnce(nix::Error) -> Self {
        move |errno| Self::Capture {
            subject: format!("process {process}"),
            found: format!("cannot {action} it: {}", errno.desc()),
        }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(ReadError) -> Self {
        let path = path.to_owned();
        move |error| Self::Read { path, error }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(ParquetError) -> Self {
        let path = path.to_owned();
        move |error| Self::Write { path, error }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, action, error } => {
                write!(formatter, "{}: cannot {action}: {error}", path.display())
            }
            Self::Unsupported { path, reason } => write!(formatter, "{}: {reason}", path.display()),
            Self::Panicked { path, message } => write!(
                formatter,
                "{}: internal error: {message}; unless the file was changed meanwhile, please report this",
                path.display()
            ),
            Self::NoInput { path, found } => write!(
                formatter,
                "{}: {found}; name an executable, a directory that holds some, or a pattern such as 'bin/*.so'",
                path.display()
            ),
            Self::NothingLowered { skipped } => {
                write!(formatter, "none of {} files can be lowered:", skipped.len())?;
                let shown = skipped.iter().take(SKIPPED_SHOWN);
                shown.into_iter().try_for_each(|file| write!(formatter, "\n  {file}"))
            }
            Self::NotADataset { path, found } => write!(
                formatter,
                "{}: {found}; expected a dataset, as `binframe lower FILE -o DIR` makes one",
                path.display()
            ),
            Self::Occupied { path, found } => {
                write!(formatter, "{}: {found}; remove it or choose another path", path.display())
            }
            Self::Busy { path } => {
                write!(
                    formatter,
                    "{}: another binframe is writing there; wait for it or choose another place",
                    path.display()
                )
            }
            Self::Read { path, error } => write!(formatter, "{}: {error}", path.display()),
            Self::Schema { path, schema_version, error } => write!(
                formatter,
                "{}: {error} (the dataset has schema version {schema_version}, this binframe reads {SCHEMA_VERSION}; \
                 lower the files again)",
                path.display()
            ),
            Self::Write { path, error } => write!(formatter, "{}: cannot write: {error}", path.display()),
            Self::Changed { path, found } => {
                write!(formatter, "{}: {found}; lower the files again", path.display())
            }
            Self::Violations(violations) => {
                write!(formatter, "rows break what their tables declare; this is a defect of binframe:")?;
                violations.iter().try_for_each(|violation| write!(formatter, "\n  {violation}"))
            }
            Self::MissingTable { path, table } if table.stage == Stage::Capture => write!(
                formatter,
                "{}: has no table {}; `binframe capture` writes it",
                path.display(),
                table.name
            ),
            Self::MissingTable { path, table } => write!(
                formatter,
                "{}: has no table {}; lower the file again with --emit {}",
                path.display(),
                table.name,
                table.stage.name()
            ),
            Self::NoSuchBinary { path, requested, available } => {
                const SHOWN: usize = 10;
                write!(formatter, "{}: ", path.display())?;
                match requested {
                    Some(name) => write!(formatter, "has no input `{name}`; it has ")?,
                    None => write!(formatter, "has {} inputs; choose one with --binary: ", available.len())?,
                }
                let shown: Vec<_> = available.iter().take(SHOWN).map(String::as_str).collect();
                let rest = if available.len() > SHOWN { ", …" } else { "" };
                write!(formatter, "{}{rest}", shown.join(", "))
            }
            Self::Disagreement { path, table, binary, row, message } => {
                let path = path.display();
                write!(formatter, "{path}: {table}, row {row} of {binary}: {message}; lower the file again")
            }
            Self::Capture { subject, found } => write!(formatter, "{subject}: {found}"),
            Self::NoSuchFunction { name, similar } if similar.is_empty() => {
                write!(formatter, "no function is named `{name}`; `binframe dump functions` lists them")
            }
            Self::NoSuchFunction { name, similar } => {
                write!(formatter, "no function is named `{name}`; similar names: {}", similar.join(", "))
            }
            Self::NoFunctionAt { address } => write!(
                formatter,
                "no function has code at {address:#x}; `binframe trace {address:#x}` says what is there"
            ),
        }
    }
}

impl std::error::Error for Error {}
