//! `binframe dump`: rows of a table, or the control-flow graph of a function.

mod arguments;
mod graph;
mod rows;
mod selection;

pub(crate) use arguments::{DumpArguments, EXAMPLES};

use crate::failure::Failure;
use arguments::DumpTarget;
use std::process::ExitCode;

/// Prints rows of a table, or draws the graph of a function.
pub(crate) fn run(arguments: &DumpArguments) -> Result<ExitCode, Failure> {
    match arguments.target {
        DumpTarget::Table(table) => rows::run(arguments, table),
        DumpTarget::Cfg => graph::run(arguments),
    }
}
