//! Parameters of a capture.

use binframe_ir::Stage;
use binframe_ir::tables::RegionType;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is captured.
#[derive(Debug, Clone)]
pub enum CaptureTarget {
    /// A running process, by its identifier.
    Process(u32),
    /// A command that is started, with its arguments.
    Command(Vec<OsString>),
    /// A core dump.
    CoreDump(PathBuf),
    /// A minidump.
    Minidump(PathBuf),
}

/// Parameters of a capture.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct CaptureRequest<'a> {
    /// What is captured.
    pub target: CaptureTarget,
    /// File of the program of a core dump; `None` for the one whose path the core dump states.
    pub executable: Option<PathBuf>,
    /// Target path of the dataset.
    pub output: &'a Path,
    /// Time between the starts of two snapshots; `None` for a single one.
    pub every: Option<Duration>,
    /// The function at whose start snapshots are taken, by its name, or by its address in the file of the program in
    /// hexadecimal (`0x…`).
    pub at: Option<&'a str>,
    /// Number of snapshots, other than the one at the exit, after which the capture ends; `None` for no limit.
    pub count: Option<u32>,
    /// Whether a snapshot is taken when the process is about to exit.
    pub at_exit: bool,
    /// The types of regions whose content is read.
    pub types: &'a [RegionType],
    /// Limit of the bytes that are read for a snapshot.
    pub bytes_max: u64,
    /// Whether content is written, and not only its digests.
    pub has_content: bool,
    /// The stages whose tables are written for the executable and the libraries that are mapped; empty for none.
    pub file_stages: &'a [Stage],
    /// Whether the allocations of a command are recorded.
    pub has_heap: bool,
    /// Whether to verify all rows against the declarations of their tables before the dataset is published.
    pub verify: bool,
}

impl CaptureRequest<'_> {
    /// Whether there may be several snapshots, other than the one at the exit.
    pub(super) fn is_series(&self) -> bool {
        self.every.is_some() || self.at.is_some()
    }
}
