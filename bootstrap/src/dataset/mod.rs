//! Datasets: directories of Parquet files, a folder for each table.
//!
//! `OUT/<table>/part-00000.parquet` …, and `OUT/_binframe/manifest.json`, which is written last: without it, a directory is
//! no dataset.

mod reader;
mod writer;

pub use reader::Dataset;
pub(crate) use reader::StoredPart;
pub(crate) use writer::{DatasetWriter, TableFiles};

use crate::Timing;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Raised whenever the layout of datasets changes.
pub(crate) const LAYOUT_VERSION: u32 = 1;

/// What a dataset holds and how it was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub layout: u32,
    /// Version of binframe that made it.
    pub binframe: String,
    /// The stages whose tables are there.
    pub stages: Vec<String>,
    /// The inputs.
    pub binaries: Vec<ManifestBinary>,
    /// The tables.
    pub tables: Vec<ManifestTable>,
    /// How long each step took, over all inputs.
    pub timings: Vec<Timing>,
}

/// One input of a dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManifestBinary {
    /// Its name in the column `binary`.
    pub binary: String,
    /// Its path, as it was given.
    pub path: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The passes that ran.
    pub passes: Vec<ManifestPass>,
}

/// One run of a pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManifestPass {
    /// Its name.
    pub pass: String,
    /// Its version.
    pub version: u32,
    /// Fingerprint of what it read.
    pub input: String,
    /// Fingerprint of what it made.
    pub output: String,
}

/// One table of a dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManifestTable {
    /// Its name.
    pub table: String,
    /// Fingerprint of its declaration.
    pub schema: String,
    /// Number of rows.
    pub rows: u64,
    /// Size of its files in bytes.
    pub bytes: u64,
    /// Number of files.
    pub parts: u32,
}

fn manifest_path(directory: &Path) -> PathBuf {
    directory.join("_binframe").join("manifest.json")
}

fn part_path(directory: &Path, table: &str, part: u32) -> PathBuf {
    directory.join(table).join(format!("part-{part:05}.parquet"))
}
