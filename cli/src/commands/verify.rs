//! `binframe verify`: whether a dataset is as it was written.

use crate::failure::Failure;
use crate::memory_limit::limit_for_datasets;
use crate::output::destination;
use binframe::{Dataset, verify};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) const EXAMPLES: &str = "\
Compares the files of a dataset with the fingerprints in its manifest, and all rows with the declarations of their tables: \
sorted and unique keys, references between tables, ranges and enumerated values. A dataset from a stranger may have been \
forged together with its manifest; `binframe rebuild` compares the bytes of an input with its SHA-256.

EXAMPLES:
  binframe lower app -o app.tables && binframe verify app.tables";

/// Arguments of `binframe verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Dataset that `binframe lower` wrote
    #[arg(value_name = "DATASET")]
    dataset: PathBuf,
}

/// Checks a dataset, and prints what it has.
pub(crate) fn run(arguments: &VerifyArguments) -> Result<ExitCode, Failure> {
    limit_for_datasets(&[&arguments.dataset]);
    let dataset = Dataset::open(&arguments.dataset)?;
    let violations = verify(&arguments.dataset)?;
    if !violations.is_empty() {
        return Err(binframe::Error::Violations(violations).into());
    }
    let manifest = dataset.manifest();
    let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
    let (tables, binaries) = (manifest.tables.len(), manifest.binaries.len());
    let binaries = if binaries == 1 { "1 binary".to_owned() } else { format!("{binaries} binaries") };
    let mut out = destination::stdout();
    writeln!(out, "{rows} rows of {tables} tables from {binaries}: no violation")?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
