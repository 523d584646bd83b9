//! Datasets: directories of Parquet files, a folder for each table.

mod journal;
mod layout;
mod manifest;
mod reader;
mod staging;
mod writer;

pub(crate) use journal::{InputIdentity, RunIdentity, UnitRecord};
pub(crate) use layout::LAYOUT_VERSION;
pub use manifest::{Manifest, ManifestTable, SkippedFile};
pub(crate) use manifest::{ManifestBinary, ManifestPass};
pub use reader::Dataset;
pub(crate) use reader::StoredPart;
pub(crate) use writer::DatasetWriter;
