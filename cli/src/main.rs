//! The `binframe` command.

#[cfg(feature = "sql")]
mod answer_writer;
mod arguments;
mod commands;
mod drawing;
mod failure;
mod output;
#[cfg(feature = "sql")]
mod pass_progress;
mod progress_bar;
mod row_writer;
#[cfg(feature = "sql")]
mod shell;
#[cfg(feature = "sql")]
mod sql_arguments;
mod table_text;
mod text_rows;

use arguments::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Command::Lower(arguments) => commands::lower::run(arguments),
        Command::Rebuild(arguments) => commands::rebuild::run(arguments),
        Command::Dump(arguments) => commands::dump::run(arguments),
        Command::Trace(arguments) => commands::trace::run(arguments),
        Command::Diff(arguments) => commands::diff::run(arguments),
        #[cfg(feature = "sql")]
        Command::Sql(arguments) => commands::sql::run(arguments),
        Command::Schemas(arguments) => commands::schemas::run(arguments),
    };
    done.unwrap_or_else(failure::Failure::report)
}
