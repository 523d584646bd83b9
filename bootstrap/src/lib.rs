//! Computes binframe's tables when they are needed, and stores them as datasets.
//!
//! The crate `binframe_passes` defines what is computed. This crate decides when a pass runs and where its rows go:
//!
//! - [`Source`] reads tables of an executable, computed on demand, or of a dataset. Both give the same rows.
//! - [`lower`] writes the tables of many files into a dataset: a directory with a folder of Parquet files per table,
//!   which is published atomically. A run that was killed is resumed.
//! - [`rebuild`] restores a file of a dataset byte for byte, and [`verify`] checks a dataset against the declarations
//!   of its tables.
//! - [`capture`] writes the memory of a process or core dump into a dataset.
//! - [`Database`] and [`queries`] are the passes as incremental queries, for programs whose inputs change.
//!
//! Not here: what a column means (`binframe_ir`), analysis (`binframe_passes`), SQL (`binframe_query`), and answers
//! that combine tables, such as a comparison of two executables (`binframe_inspect`).
//!
//! ```no_run
//! use binframe::ir::tables::Functions;
//! use binframe::{Error, Filter, Source};
//! use std::path::Path;
//!
//! fn main() -> Result<(), Error> {
//!     let source = Source::open(Path::new("/usr/bin/env"))?;
//!     for (binary, functions) in source.all::<Functions>(&Filter::default())? {
//!         for function in functions.columns().iter() {
//!             println!("{binary} {:#x} {}", function.address, function.function_name.unwrap_or("-"));
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Why it is fast
//!
//! - Only the passes that the requested tables need are run, and a filter skips the parts of a table without requested
//!   rows.
//! - The rows of the largest tables are computed and encoded one range at a time. Only encoded rows wait in memory.
//! - Small files run in parallel, each on one thread; large files run one at a time, each on all threads.
//! - Files are mapped. The bytes of a section are compressed from the mapping into the Parquet file.
//! - A query runs again only if an input was set, or if an output that it read has another fingerprint.

mod addresses;
mod capture;
mod companions;
mod error;
mod file;
mod mapped_file;
mod new_file;
pub mod queries;
mod rebuild;
mod run;
mod source;
mod store;
mod timing;
mod verify;

pub use addresses::{address_column, rows_in};
pub use capture::capture;
pub use capture::request::{CaptureRequest, CaptureTarget};
pub use companions::{CompanionSearch, LazyCompanions};
pub use error::{Error, SkippedFile};
pub use file::{FileBytes, read_file};
pub use mapped_file::report_truncated_files;
pub use new_file::NewFile;
pub use queries::{Database, Executable, Fingerprinted};
pub use rebuild::{Rebuilt, rebuild};
pub use run::driver::lower;
pub use run::request::{Progress, Request, default_memory};
pub use source::binary::BinaryFile;
pub use source::corpus::{CorpusFile, find_files};
pub use source::{Filter, Source, TablePart};
pub use store::manifest::{Manifest, ManifestTable};
pub use store::reader::Dataset;
pub use timing::Timing;
pub use verify::verify;

pub use binframe_ir as ir;
pub use binframe_passes as passes;
pub use binframe_passes::graph;
