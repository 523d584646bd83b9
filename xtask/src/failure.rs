//! Why a task fails, and the exit code that follows.

use std::path::Path;
use std::process::ExitCode;

/// Why a task did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments make no sense: exit code 2.
    Usage(String),
    /// Something is wrong and the message says what: exit code 1.
    Failed(String),
    /// A program that was run has already said what is wrong: its exit code is passed on.
    Exited(u8),
}

impl Failure {
    /// A failed file operation: what was tried, on which path, and the system's reason.
    pub(crate) fn io(verb: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("cannot {verb} {}: {error}", path.display()))
    }

    /// Prints what is left to say and turns the failure into an exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                eprintln!("error: {message}");
                ExitCode::from(2)
            }
            Self::Failed(message) => {
                eprintln!("error: {message}");
                ExitCode::FAILURE
            }
            Self::Exited(code) => ExitCode::from(code),
        }
    }
}
