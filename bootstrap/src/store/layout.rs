//! Where the files of a dataset are: `OUT/<table>/part-00000.parquet` …, and `OUT/_binframe/manifest.json`, which is written last. A
//! directory without it is no dataset.

use std::path::{Path, PathBuf};

/// Raised whenever the layout of datasets changes.
pub(crate) const LAYOUT_VERSION: u32 = 1;

pub(super) fn manifest_path(directory: &Path) -> PathBuf {
    directory.join("_binframe").join("manifest.json")
}

pub(super) fn part_path(directory: &Path, table: &str, part: u32) -> PathBuf {
    directory.join(table).join(format!("part-{part:05}.parquet"))
}
