//! The `binframe` command.

mod arguments;
mod commands;

use arguments::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Command::Lower(arguments) => commands::lower::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("binframe: {error}");
            ExitCode::FAILURE
        }
    }
}
