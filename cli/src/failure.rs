//! The one way in which a command does not succeed.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments do not go together: exit code 2, as for those that clap refuses.
    Usage(String),
    /// Something is wrong and the message says what: exit code 1.
    Failed(String),
    /// Somebody pressed Ctrl-C: exit code 130, as shells have it.
    #[cfg(feature = "sql")]
    Interrupted,
    /// Whoever read the output has seen enough, as `head` does: success.
    OutputClosed,
}

impl Failure {
    /// Prints what is left to say and turns the failure into an exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (message, code) = match self {
            Self::OutputClosed => return ExitCode::SUCCESS,
            #[cfg(feature = "sql")]
            Self::Interrupted => ("interrupted".to_owned(), ExitCode::from(130)),
            Self::Usage(message) => (message, ExitCode::from(2)),
            Self::Failed(message) => (message, ExitCode::FAILURE),
        };
        // Where errors cannot be written either, the exit code has to do.
        _ = writeln!(io::stderr(), "binframe: {message}");
        code
    }

    /// A failure to write rows or text.
    pub(crate) fn output(error: &(dyn Error + 'static)) -> Self {
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
