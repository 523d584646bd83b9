//! `binframe schemas`: the meaning of tables and columns.

use crate::failure::Failure;
use crate::output::destination;
use crate::value_parsers::{table_names, table_parser};
use binframe::ir::{TableInfo, schemas_markdown, schemas_text};
use clap::Args;
use std::io::Write;
use std::process::ExitCode;

pub(crate) const EXAMPLES: &str = "\
EXAMPLES:
  binframe schemas                            all tables and their columns
  binframe schemas call_edges                 one table
  binframe schemas --markdown > SCHEMAS.md    the page docs/SCHEMAS.md";

/// Arguments of `binframe schemas`.
#[derive(Debug, Args)]
pub(crate) struct SchemasArguments {
    /// Table to describe [default: all]
    #[arg(
        value_parser = table_parser(),
        hide_possible_values = true,
        long_help = format!("Table to describe [default: all]\n\nTables: {}", table_names())
    )]
    table: Option<&'static TableInfo>,
    /// Print Markdown, as in docs/SCHEMAS.md
    #[arg(long)]
    markdown: bool,
}

/// Describes one table or all.
pub(crate) fn run(arguments: &SchemasArguments) -> Result<ExitCode, Failure> {
    let page = if arguments.markdown { schemas_markdown } else { schemas_text };
    let mut out = destination::stdout();
    out.write_all(page(arguments.table).as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
