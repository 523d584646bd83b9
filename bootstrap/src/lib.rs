//! When and where binframe's tables are computed.
//!
//! [`lower`] lowers executables into a dataset: a directory of Parquet files that is written whole or not at all. [`Source`]
//! opens an executable or a dataset as tables, of which some rows can be asked for. [`Database`] holds the passes as
//! [`queries`] that run again only if what they read has changed. [`rebuild`] restores an input of a dataset, byte for byte.

mod addresses;
mod companions;
mod error;
mod file;
pub mod queries;
mod rebuild;
mod run;
mod source;
mod store;
mod timing;
mod verify;

pub use addresses::{address_column, rows_in};
pub use companions::LazyCompanions;
pub use error::Error;
pub use file::{FileBytes, NewFile, map_file};
pub use queries::{Database, Executable, Pass};
pub use rebuild::{Rebuilt, rebuild};
pub use run::{Progress, Request, default_memory, lower};
pub use source::binary::BinaryFile;
pub use source::corpus::{CorpusFile, find_files};
pub use source::{Filter, Part, Source};
pub use store::{Dataset, Manifest, ManifestTable, SkippedFile};
pub use timing::Timing;
pub use verify::verify;

pub use binframe_ir as ir;
pub use binframe_passes as passes;
pub use binframe_passes::graph;
