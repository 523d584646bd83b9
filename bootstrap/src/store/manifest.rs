//! Layout of a dataset, and its manifest.
//!
//! A dataset is a directory with the files `<table>/part-00000.parquet`, `<table>/part-00001.parquet`, … of every
//! table, and `_binframe/manifest.json`, which records what the dataset contains and how it was computed. The manifest
//! is written last: a directory without one is not a dataset.

use crate::error::SkippedFile;
use crate::file::read_file;
use crate::timing::Timing;
use binframe_ir::SCHEMA_VERSION;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Version of the layout; raised when the layout changes.
pub(crate) const LAYOUT_VERSION: u32 = 1;

/// Name of the directory of files that are not tables.
pub(super) const METADATA: &str = "_binframe";

/// Name of the manifest in that directory.
pub(super) const MANIFEST: &str = "manifest.json";

pub(super) fn metadata_directory(dataset: &Path) -> PathBuf {
    dataset.join(METADATA)
}

pub(super) fn manifest_path(dataset: &Path) -> PathBuf {
    metadata_directory(dataset).join(MANIFEST)
}

pub(super) fn file_path(dataset: &Path, table: &str, position: u32) -> PathBuf {
    dataset.join(table).join(format!("part-{position:05}.parquet"))
}

/// Contents of a dataset, and how they were computed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub layout: u32,
    /// Version of the tables ([`SCHEMA_VERSION`]). Datasets of version 1 do not state it.
    #[serde(default = "first_schema_version")]
    pub schema_version: u32,
    /// Version of binframe that wrote the dataset.
    pub binframe: String,
    /// Stages whose tables the dataset has.
    pub stages: Vec<String>,
    /// Binaries, in the order of their rows.
    pub binaries: Vec<ManifestBinary>,
    /// Input files that could not be lowered.
    #[serde(default)]
    pub skipped: Vec<SkippedFile>,
    /// What could not be recorded, as sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Number of input files that a killed run had finished, and that this run took over.
    #[serde(default)]
    pub resumed_files: usize,
    /// Tables.
    pub tables: Vec<ManifestTable>,
    /// Time of each step, summed over all inputs.
    pub timings: Vec<Timing>,
}

fn first_schema_version() -> u32 {
    1
}

impl Manifest {
    /// The manifest of a dataset without binaries.
    pub(crate) fn new(stages: Vec<String>) -> Self {
        Self {
            layout: LAYOUT_VERSION,
            schema_version: SCHEMA_VERSION,
            binframe: env!("CARGO_PKG_VERSION").to_owned(),
            stages,
            binaries: Vec::new(),
            skipped: Vec::new(),
            missing: Vec::new(),
            resumed_files: 0,
            tables: Vec::new(),
            timings: Vec::new(),
        }
    }

    /// Reads the manifest of a dataset.
    pub(super) fn read(dataset: &Path) -> Result<Self, String> {
        let path = manifest_path(dataset);
        let bytes = read_file(&path).map_err(|error| format!("its manifest cannot be read: {error}"))?;
        serde_json::from_slice(&bytes.0).map_err(|error| format!("its manifest cannot be read: {error}"))
    }

    /// Number of files that were lowered. A container and its members are one file.
    pub fn lowered_files(&self) -> usize {
        self.binaries.chunk_by(|one, next| one.path == next.path).count()
    }
}

/// A binary of a dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManifestBinary {
    /// Name, the value of the column `binary_name`.
    pub binary: String,
    /// Path of the file as given by the user.
    pub path: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Passes that ran, in pipeline order.
    pub passes: Vec<ManifestPass>,
}

/// One execution of a pass, recorded for the comparison of datasets. No run reads it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManifestPass {
    /// Name of the pass.
    pub pass: String,
    /// Version of the pass.
    pub version: u32,
    /// Fingerprint of all declared inputs of the pass; for `file`, of the whole file.
    pub input: String,
    /// Fingerprint of the output.
    pub output: String,
}

/// A table of a dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManifestTable {
    /// Name of the table.
    pub table: String,
    /// Fingerprint of the table's declaration.
    pub schema: String,
    /// Number of rows.
    pub rows: u64,
    /// Size of all files in bytes.
    pub bytes: u64,
    /// Number of files.
    pub parts: u32,
    /// Fingerprints of the bytes of the files. They detect damage, not forgery: whoever can change a file can also change
    /// the manifest.
    pub fingerprints: Vec<String>,
}
