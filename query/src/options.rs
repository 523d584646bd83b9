//! Options of a session.

use binframe::CompanionSearch;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

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

impl Default for Options {
    /// All processors, half of the machine's memory, no other files.
    fn default() -> Self {
        Self {
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            memory: binframe::default_memory(),
            allowed_directories: Vec::new(),
            companions: CompanionSearch::Standard,
            on_pass: Arc::new(|_, _| {}),
        }
    }
}
