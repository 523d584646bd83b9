//! Files that hold debug information of another file.

use bytes::Bytes;

/// The content of a companion file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanionKind {
    /// The split unit of one compilation (`.dwo`).
    Split,
    /// The split units of all compilations (`.dwp`).
    Package,
    /// All debug information, stripped from the file.
    Separate,
    /// What the debug information of several files shares (`dwz`).
    Supplementary,
}

/// A file that may hold debug information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// Its content.
    pub kind: CompanionKind,
    /// The name by which debug information refers to it.
    pub name: String,
    /// Paths to search, in order; the first file that exists is used.
    pub paths: Vec<String>,
}

/// A companion file that was found.
#[derive(Debug, Clone)]
pub struct CompanionFile {
    /// Its content.
    pub kind: CompanionKind,
    /// The name by which debug information refers to it.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}
