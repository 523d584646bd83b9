//! `binframe rebuild`

use crate::arguments::RebuildArguments;
use crate::failure::Failure;
use binframe::{Dataset, Rebuilt, rebuild};
use indicatif::HumanBytes;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Writes an input of a dataset back.
pub(crate) fn run(arguments: &RebuildArguments) -> Result<ExitCode, Failure> {
    let dataset = Dataset::open(&arguments.dataset)?;
    let Rebuilt { binary, size, sha256 } = rebuild(&dataset, arguments.binary.as_deref(), &arguments.output)?;
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        // The file is there: that nobody is told so is no failure.
        _ = writeln!(
            stderr,
            "{}: {binary}, {}, sha256 {sha256}",
            arguments.output.display(),
            HumanBytes(size)
        );
    }
    Ok(ExitCode::SUCCESS)
}
