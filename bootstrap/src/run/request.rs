//! What to lower, how far, and where to.

use binframe_ir::Stage;
use std::path::{Path, PathBuf};

/// Size of inputs that are lowered together, and whose rows share files: what is lost when a run is killed.
const UNIT_SIZE_MAX: u64 = 256 << 20;

/// What to lower, how far, and where to.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The executables: files, directories, patterns (see [`find_files`](crate::find_files)).
    pub inputs: &'a [PathBuf],
    /// The directory that will be the dataset.
    pub output: &'a Path,
    /// The stages whose tables are written. Only what they need is computed.
    pub stages: &'a [Stage],
    /// Whether to read everything back and check it against the tables' declarations.
    pub verify: bool,
    /// Bytes of memory up to which several files are worked on at one time. One that alone needs more is lowered all the same.
    pub memory: u64,
    /// Bytes of files that are lowered together. What is written depends on it.
    pub unit_size: u64,
}

impl<'a> Request<'a> {
    /// A request that takes half of the machine's memory, and verifies nothing.
    pub fn new(inputs: &'a [PathBuf], output: &'a Path, stages: &'a [Stage]) -> Self {
        let memory = default_memory();
        Self { inputs, output, stages, verify: false, memory, unit_size: UNIT_SIZE_MAX }
    }
}

/// Half of the machine's memory, in bytes: the limit where nobody set one.
pub fn default_memory() -> u64 {
    let system = rustix::system::sysinfo();
    u64::from(system.mem_unit).saturating_mul(system.totalram) / 2
}
