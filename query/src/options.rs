//! Options of a session.

use binframe::CompanionSearch;
use std::path::PathBuf;
use std::sync::Arc;

/// Called when a pass starts, with the name of the executable and of the pass.
pub type OnPass = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Resources of a session.
#[derive(Clone)]
pub struct Options {
    /// Threads of a query.
    pub threads: usize,
    /// Bytes of memory for a query.
    pub memory: u64,
    /// Directories whose files a query may name, beside the inputs.
    pub allowed_directories: Vec<PathBuf>,
    /// Where companion files are searched for.
    pub companions: CompanionSearch,
    /// Called when a pass starts.
    pub on_pass: OnPass,
}
