//! Datasets on disk: one folder of Parquet files per table, and a manifest.

pub(crate) mod journal;
pub(crate) mod manifest;
pub(crate) mod reader;
mod staging;
pub(crate) mod writer;
