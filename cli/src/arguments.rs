//! What the command line accepts.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZero;
use std::path::PathBuf;

/// Lowers executables into tables that anyone can query.
#[derive(Debug, Parser)]
#[command(name = "binframe", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lower executables into a dataset of Parquet files
    Lower(LowerArguments),
}

/// Arguments of `binframe lower`.
#[derive(Debug, Args)]
pub(crate) struct LowerArguments {
    /// Executables to lower
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Directory of the dataset; one that is there already is replaced at the end
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Stages whose tables are written
    #[arg(long, value_enum, value_delimiter = ',', default_value = "sections,instructions,cfg,memory")]
    pub(crate) emit: Vec<StageName>,
    /// Threads to work on [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<usize>>,
    /// Print what each step took
    #[arg(long)]
    pub(crate) timings: bool,
    /// Read everything back and check it against the tables' declarations
    #[arg(long)]
    pub(crate) verify: bool,
}

/// A stage of the pipeline.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StageName {
    /// The file's own structure
    Sections,
    /// Decoded machine instructions
    Instructions,
    /// Functions, basic blocks and edges
    Cfg,
    /// Memory regions, stack frames and accesses
    Memory,
}
