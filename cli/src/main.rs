//! The `binframe` command: executables as tables, from the command line.
//!
//! Each subcommand is one file (or folder) of [`commands`], with its arguments, its help and its examples beside the code
//! that runs it. A command opens its input, calls the library crates, and formats what they return. It computes nothing
//! itself: analysis is in `binframe`, SQL in `binframe-query`.
//!
//! Rows stream. A command holds one part of a table at a time, so memory does not grow with the size of a dataset; an
//! output file is written beside its destination and renamed when it is complete.
//!
//! ```text
//! binframe lower /bin/ls -o ls.tables
//! binframe dump functions ls.tables --limit 10
//! binframe sql "SELECT function_name, size FROM function_sizes LIMIT 10" ls.tables
//! ```
//!
//! Not here: a stable Rust interface. Programs use the library `binframe`, or read the Parquet files of a dataset.

mod commands;
mod companion_arguments;
mod drawing;
mod escape;
mod failure;
mod memory_limit;
mod output;
mod progress_bar;
mod value_parsers;

use clap::{Parser, Subcommand};
use commands::{capture, diff, dump, lower, rebuild, schemas, trace, verify};
use failure::Failure;
use std::panic::{self, Location};
use std::process::ExitCode;

/// Turns executables into tables that you can query.
#[derive(Debug, Parser)]
#[command(name = "binframe", version, max_term_width = 100, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
EXAMPLES:
  binframe lower /bin/ls -o ls.tables      write all tables of an executable as Parquet files
  binframe rebuild ls.tables -o ls         write the executable again, from the tables alone
  binframe capture --pid 42 -o 42.tables   write the memory of a process, its threads and stacks
  binframe dump functions /bin/ls          list the functions of an executable
  binframe dump cfg app --function main    draw a control-flow graph, for Graphviz or as SVG
  binframe trace 0x401000 /bin/ls          show every row about an address
  binframe diff old/app new/app            show the changes between two builds
  binframe sql \"SELECT * FROM functions\" app   query executables and datasets
  binframe schemas functions               describe a table and its columns

A command that reads tables accepts an executable or a dataset that `binframe lower` wrote. An \
executable is analyzed as far as the command needs.

Exit codes: 0 success, 1 failure, 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the tables of executables as a dataset of Parquet files
    #[command(after_help = lower::EXAMPLES)]
    Lower(lower::LowerArguments),
    /// Write an executable again, byte for byte, from the tables of a dataset
    #[command(after_help = rebuild::EXAMPLES)]
    Rebuild(rebuild::RebuildArguments),
    /// Write the memory of a process, core dump or minidump as a dataset of Parquet files
    #[command(after_help = capture::EXAMPLES)]
    Capture(capture::CaptureArguments),
    /// Print the rows of a table, or draw the control-flow graph of a function
    #[command(after_help = dump::EXAMPLES)]
    Dump(dump::DumpArguments),
    /// Explain an address, and print every row about it, stage by stage
    #[command(after_help = trace::EXAMPLES)]
    Trace(trace::TraceArguments),
    /// Print the differences between two executables or datasets, functions first
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::DiffArguments),
    /// Query executables and datasets in SQL
    #[cfg(feature = "sql")]
    #[command(after_help = commands::sql::EXAMPLES)]
    Sql(commands::sql::SqlArguments),
    /// Check that a dataset is as it was written
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArguments),
    /// Describe the tables and their columns
    #[command(after_help = schemas::EXAMPLES)]
    Schemas(schemas::SchemasArguments),
}

fn main() -> ExitCode {
    binframe::report_truncated_files();
    print_own_panics();
    let result = match &CommandLine::parse().command {
        Command::Lower(arguments) => lower::run(arguments),
        Command::Rebuild(arguments) => rebuild::run(arguments),
        Command::Capture(arguments) => capture::run(arguments),
        Command::Dump(arguments) => dump::run(arguments),
        Command::Trace(arguments) => trace::run(arguments),
        Command::Diff(arguments) => diff::run(arguments),
        #[cfg(feature = "sql")]
        Command::Sql(arguments) => commands::sql::run(arguments),
        Command::Schemas(arguments) => schemas::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
    };
    result.unwrap_or_else(Failure::report)
}

/// Prints no panics of the Parquet library, which become errors of the file that it reads.
fn print_own_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", Location::file);
        if !["/parquet-", "/arrow-"].iter().any(|library| file.contains(library)) {
            print(panic);
        }
    }));
}
