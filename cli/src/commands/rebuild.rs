//! `binframe rebuild`: an input of a dataset as a file again.

use crate::failure::Failure;
use crate::memory_limit::limit_for_datasets;
use binframe::{Dataset, Rebuilt, rebuild};
use clap::Args;
use indicatif::HumanBytes;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) const EXAMPLES: &str = "\
Every file that was lowered with the stage `sections` can be rebuilt, including archives and their members. All rows with \
bytes are checked against each other, and the file against its digest. A dataset that contradicts itself is rejected, and \
no file is written.

EXAMPLES:
  binframe lower app -o app.tables --emit sections && binframe rebuild app.tables -o app.rebuilt && cmp app app.rebuilt
  binframe rebuild all.tables --binary libm.a -o libm.a
  binframe rebuild all.tables --binary 'libm.a(s_sin.o)' -o s_sin.o";

/// Arguments of `binframe rebuild`.
#[derive(Debug, Args)]
pub(crate) struct RebuildArguments {
    /// Dataset that `binframe lower` wrote
    #[arg(value_name = "DATASET")]
    dataset: PathBuf,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Input to rebuild, as the column `binary_name` names it [default: the only input that is not a member of another]
    #[arg(long, value_name = "NAME")]
    binary: Option<String>,
}

/// Writes an input of a dataset as a file.
pub(crate) fn run(arguments: &RebuildArguments) -> Result<ExitCode, Failure> {
    limit_for_datasets(&[&arguments.dataset]);
    let dataset = Dataset::open(&arguments.dataset)?;
    let Rebuilt { binary, size, sha256 } = rebuild(&dataset, arguments.binary.as_deref(), &arguments.output)?;
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        let output = arguments.output.display();
        // The file is complete; a summary that cannot be printed is not a failure.
        _ = writeln!(stderr, "{output}: {binary}, {}, sha256 {sha256}", HumanBytes(size));
    }
    Ok(ExitCode::SUCCESS)
}
