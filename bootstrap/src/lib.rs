//! When and where binframe's tables are computed.
//!
//! [`lower`] lowers executables into a dataset: a directory of Parquet files that appears whole or not at all. [`Source`]
//! opens an executable or a dataset as tables, for whoever asks for some of their rows. [`Database`] holds the passes as
//! queries that run again only when what they read has changed. [`rebuild`] writes an input of a dataset back, byte for byte.

mod addresses;
mod companions;
mod corpus;
mod database;
mod dataset;
mod diff;
mod error;
mod explain;
mod file;
mod function_graph;
mod lower;
mod lowered_file;
mod lowering;
mod machine;
mod rebuild;
mod source;
mod timing;
mod trace;
mod unit;
mod verify;

pub use addresses::{address_column, rows_in};
pub use corpus::{CorpusFile, find_files};
pub use database::{Database, Executable, Pass, lowered};
pub use dataset::{Dataset, Manifest, ManifestTable, SkippedFile};
pub use diff::{
    BinaryDifference, ChangedFunction, ComparedFunction, Difference, FunctionsDifference, RowDifference,
    RowsDifference, TableComparison, TableDifference, diff,
};
pub use error::Error;
pub use explain::explain;
pub use file::{FileBytes, NewFile, map_file};
pub use function_graph::{FunctionGraph, GraphBlock, GraphEdge, GraphNode};
pub use lower::{Progress, Request, lower};
pub use lowered_file::LoweredFile;
pub use machine::default_memory;
pub use rebuild::{Rebuilt, rebuild};
pub use source::{Filter, Part, Source};
pub use timing::Timing;
pub use trace::trace;
pub use verify::verify;

pub use binframe_ir as ir;
pub use binframe_passes as passes;
pub use binframe_passes::graph;
