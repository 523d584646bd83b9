//! Datasets on disk: one folder of Parquet files per table, and a manifest.
//!
//! In reading order: `manifest` (what a dataset contains), `writer`, `staging` (atomic publication), `journal` (killed
//! runs), `reader`.

mod fingerprint_writer;
pub(crate) mod journal;
pub(crate) mod manifest;
pub(crate) mod reader;
mod staging;
pub(crate) mod writer;
