//! The `binframe` command.

mod arguments;
mod commands;
mod drawing;
mod failure;
mod output;
mod row_writer;
mod table_text;

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
        Command::Schemas(arguments) => commands::schemas::run(arguments),
    };
    done.unwrap_or_else(failure::Failure::report)
}
