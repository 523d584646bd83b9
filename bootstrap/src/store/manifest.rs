//! The manifest of a dataset: what it holds and how it was made. It is written last.

use crate::timing::Timing;
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// The files that were to be inputs, and could not be lowered.
    #[serde(default)]
    pub skipped: Vec<SkippedFile>,
    /// Files that a run which was killed had lowered, or skipped, before this one went on.
    #[serde(default)]
    pub resumed_files: usize,
    /// The tables.
    pub tables: Vec<ManifestTable>,
    /// How long each step took, over all inputs.
    pub timings: Vec<Timing>,
}

impl Manifest {
    /// Number of files that were lowered. A container and its members are one.
    pub fn lowered_files(&self) -> usize {
        self.binaries.chunk_by(|one, next| one.path == next.path).count()
    }
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

/// A file that could not be lowered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFile {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for SkippedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.reason)
    }
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
