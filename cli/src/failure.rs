//! Why a command does not succeed, and its exit code.

use crate::escape::escaped_lines;
use arrow_schema::ArrowError;
use parquet::errors::ParquetError;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments contradict each other. Exit code 2, as for arguments that clap rejects.
    Usage(String),
    /// Anything else that the message describes. Exit code 1.
    Failed(String),
    /// The user pressed Ctrl-C. Exit code 130, as in shells.
    #[cfg(feature = "sql")]
    Interrupted,
    /// The reader of the output closed the pipe, as `head` does. Success.
    OutputClosed,
}

impl Failure {
    /// Prints the message, if there is one, and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (message, code) = match self {
            Self::OutputClosed => return ExitCode::SUCCESS,
            #[cfg(feature = "sql")]
            Self::Interrupted => ("interrupted".to_owned(), ExitCode::from(130)),
            Self::Usage(message) => (message, ExitCode::from(2)),
            Self::Failed(message) => (message, ExitCode::FAILURE),
        };
        // If stderr is closed too, the exit code has to suffice.
        _ = writeln!(io::stderr(), "binframe: {}", escaped_lines(&message));
        code
    }

    /// A failure to write the output.
    fn output(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if kind == Some(io::ErrorKind::BrokenPipe) {
                return Self::OutputClosed;
            }
            cause = error.source();
        }
        Self::Failed(format!("cannot write the output: {error}"))
    }
}

impl From<binframe::Error> for Failure {
    fn from(error: binframe::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::output(&error)
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self::output(&error)
    }
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        Self::output(&error)
    }
}
