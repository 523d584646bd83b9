//! Answers questions about executables from their tables.
//!
//! - [`trace`] finds the rows of all tables about an address, and [`explain`] describes the address in sentences with
//!   the evidence.
//! - [`diff`] compares two executables or datasets: functions by position-independent content, other tables row by row.
//! - [`FunctionGraph`] is the control-flow graph of one function with disassembled instructions, ready to be drawn.
//!
//! All of them read a [`Source`](binframe::Source), so that an executable and its dataset give the same answers.
//!
//! Not here: analysis (every answer is derived from rows that a user can query), SQL (`binframe_query`), and printing
//! or drawing (`binframe_cli`).
//!
//! ```no_run
//! use binframe::{Error, Source};
//! use std::path::Path;
//!
//! fn main() -> Result<(), Error> {
//!     let source = Source::open(Path::new("/usr/bin/env"))?;
//!     println!("{}", binframe_inspect::explain(&source, "env", 0x2030)?);
//!     let other = Source::open(Path::new("/usr/bin/printenv"))?;
//!     let difference = binframe_inspect::diff(&source, &other, 10)?;
//!     if let Some(functions) = &difference.binaries[0].functions {
//!         println!("{} functions are unchanged", functions.unchanged);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Why it is fast
//!
//! - A filter by address skips the parts of a table without rows at the address; of an executable, they are not
//!   computed.
//! - A comparison merges sorted parts and has two of them in memory. It skips equal columns without looking at values,
//!   and hashes instructions on all threads.

mod diff;
mod explain;
mod facts;
mod function_graph;
mod trace;

pub use diff::functions::{ChangedFunction, FunctionsDifference};
pub use diff::rows::{RowDifference, RowsDifference};
pub use diff::side::ComparedFunction;
pub use diff::{BinaryDifference, Difference, TableComparison, TableDifference, diff};
pub use explain::explain;
pub use function_graph::{FunctionGraph, GraphBlock, GraphEdge, GraphNode};
pub use trace::trace;
