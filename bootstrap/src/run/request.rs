//! Parameters of a run, and reports of its progress.

use crate::companions::CompanionSearch;
use binframe_ir::Stage;
use std::path::{Path, PathBuf};

/// Default of [`Request::group_size_max`].
const GROUP_SIZE_MAX: u64 = 256 << 20;

/// Parameters of a run.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Inputs: files, directories and patterns (see [`find_files`](crate::find_files)).
    pub inputs: &'a [PathBuf],
    /// Target path of the dataset.
    pub output: &'a Path,
    /// Stages whose tables are written. Only the passes that these tables need are run.
    pub stages: &'a [Stage],
    /// Where companion files are searched for.
    pub companions: CompanionSearch,
    /// Whether to verify all rows against the declarations of their tables before the dataset is published.
    pub verify: bool,
    /// Limit in bytes for the estimated memory of files that are lowered at the same time, encoded rows included. A file
    /// whose estimate is larger runs while no other file runs.
    pub memory: u64,
    /// Maximal size in bytes of a checkpoint group. A larger file is a group of its own. After a killed run, the work of
    /// at most one group is repeated. The division of rows into Parquet files depends on this size.
    pub group_size_max: u64,
}

impl<'a> Request<'a> {
    /// A request with the default limits, without verification.
    pub fn new(inputs: &'a [PathBuf], output: &'a Path, stages: &'a [Stage]) -> Self {
        let memory = default_memory();
        Self {
            inputs,
            output,
            stages,
            companions: CompanionSearch::Standard,
            verify: false,
            memory,
            group_size_max: GROUP_SIZE_MAX,
        }
    }
}

/// Default memory limit in bytes: half of the machine's memory.
pub fn default_memory() -> u64 {
    let system = rustix::system::sysinfo();
    u64::from(system.mem_unit).saturating_mul(system.totalram) / 2
}

/// Progress of a run. Several inputs may be in progress.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Number of input files.
    pub files: usize,
    /// Size of all input files in bytes.
    pub bytes: u64,
    /// Number of finished input files, including those of a killed run that is resumed.
    pub files_done: usize,
    /// Size of the finished input files in bytes.
    pub bytes_done: u64,
    /// Position of the input file that this report is about.
    pub input: usize,
    /// Name of the binary: the file, or a member of it.
    pub binary: &'a str,
    /// Name of the pass that runs, or of the table that is written.
    pub step: &'a str,
    /// Number of finished units of the step: 0 or 1 of a pass, ranges of rows of a table.
    pub done: usize,
    /// Number of units of the step.
    pub parts: usize,
}
