//! Answers about binaries, computed from their tables.
//!
//! [`trace`] finds every row about an address, [`explain`] says why the address is in its block and function, [`diff`] compares
//! two binaries or datasets, and [`FunctionGraph`] is the flow graph of one function. All of them read a `Source`, so an
//! executable and its dataset give the same answers.

mod diff;
mod explain;
mod function_graph;
mod trace;

pub use diff::{
    BinaryDifference, ChangedFunction, ComparedFunction, Difference, FunctionsDifference, RowDifference,
    RowsDifference, TableComparison, TableDifference, diff,
};
pub use explain::explain;
pub use function_graph::{FunctionGraph, GraphBlock, GraphEdge, GraphNode};
pub use trace::trace;
