//! What can go wrong outside the passes.

use crate::store::SkippedFile;
use binframe_ir::parquet::ReadError;
use binframe_ir::{TableInfo, Violation};
use binframe_passes::Unsupported;
use parquet::errors::ParquetError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Files that were skipped which a message names.
const SKIPPED_SHOWN: usize = 10;

/// Why an operation failed. Every message names the file and the next step.
#[derive(Debug)]
pub enum Error {
    /// The system refused an operation on a file.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted, such as `read`.
        action: &'static str,
        /// The system's reason.
        error: io::Error,
    },
    /// A file is no executable that can be lowered.
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: Unsupported,
    },
    /// A path stands for no file that can be lowered.
    NoInput {
        /// The path, as it was given.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// Of several files, none can be lowered.
    NothingLowered {
        /// Each, and why.
        skipped: Vec<SkippedFile>,
    },
    /// A directory is no dataset.
    NotADataset {
        /// The directory.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// The place for a new dataset is taken by something else.
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// Another process writes a dataset to the same place.
    Busy {
        /// The place.
        path: PathBuf,
    },
    /// A file of a dataset cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ReadError,
    },
    /// A file of a dataset cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ParquetError,
    },
    /// Rows break what their tables declare: a defect of binframe.
    Violations(Vec<Violation>),
    /// A dataset was made without a table that is needed.
    MissingTable {
        /// The dataset.
        path: PathBuf,
        /// The table.
        table: &'static TableInfo,
    },
    /// A dataset has no input of the name that was asked for, or has several and none was asked for.
    NoSuchBinary {
        /// The dataset.
        path: PathBuf,
        /// The name that was asked for.
        asked: Option<String>,
        /// The inputs that are files of their own.
        known: Vec<String>,
    },
    /// Rows of a dataset contradict each other.
    Disagreement {
        /// The dataset.
        path: PathBuf,
        /// The table of the row that disagrees.
        table: &'static str,
        /// The input that the row belongs to.
        binary: String,
        /// The row, counted from the first of the input.
        row: usize,
        /// What it says, and what others say.
        message: String,
    },
    /// No function has the name that was asked for.
    NoSuchFunction {
        /// The name.
        name: String,
        /// Names that resemble it.
        similar: Vec<String>,
    },
    /// No function has code at the address that was asked for.
    NoFunctionAt {
        /// The address.
        address: u64,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, action, error }
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
            Self::Occupied { path } => write!(
                formatter,
                "{}: exists and is no dataset; remove it or choose another place",
                path.display()
            ),
            Self::Busy { path } => {
                write!(
                    formatter,
                    "{}: another binframe is writing there; wait for it or choose another place",
                    path.display()
                )
            }
            Self::Read { path, error } => write!(formatter, "{}: {error}", path.display()),
            Self::Write { path, error } => write!(formatter, "{}: cannot write: {error}", path.display()),
            Self::Violations(violations) => {
                write!(formatter, "rows break what their tables declare; this is a defect of binframe:")?;
                violations.iter().try_for_each(|violation| write!(formatter, "\n  {violation}"))
            }
            Self::MissingTable { path, table } => write!(
                formatter,
                "{}: has no table {}; lower the file again with --emit {}",
                path.display(),
                table.name,
                table.stage.name()
            ),
            Self::NoSuchBinary { path, asked, known } => {
                const SHOWN: usize = 10;
                write!(formatter, "{}: ", path.display())?;
                match asked {
                    Some(asked) => write!(formatter, "has no input `{asked}`; it has ")?,
                    None => write!(formatter, "has {} inputs; choose one with --binary: ", known.len())?,
                }
                let shown: Vec<_> = known.iter().take(SHOWN).map(String::as_str).collect();
                let rest = if known.len() > SHOWN { ", …" } else { "" };
                write!(formatter, "{}{rest}", shown.join(", "))
            }
            Self::Disagreement { path, table, binary, row, message } => {
                let path = path.display();
                write!(formatter, "{path}: {table}, row {row} of {binary}: {message}; lower the file again")
            }
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
