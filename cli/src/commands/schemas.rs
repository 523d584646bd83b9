//! `binframe schemas`

use crate::arguments::SchemasArguments;
use crate::failure::Failure;
use crate::output;
use binframe::ir::{schemas_markdown, schemas_text};
use std::io::Write;
use std::process::ExitCode;

/// Prints what tables and columns mean.
pub(crate) fn run(arguments: &SchemasArguments) -> Result<ExitCode, Failure> {
    let page = if arguments.markdown { schemas_markdown } else { schemas_text };
    let mut out = output::stdout();
    out.write_all(page(arguments.table).as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
