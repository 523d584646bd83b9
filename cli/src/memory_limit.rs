//! Limits of the writable memory of the process. What needs more ends the process instead of filling the memory of the
//! machine.

use binframe::Dataset;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::path::Path;

/// Memory for reading a dataset. A small file may decompress to much; a row has the bytes of at most one section, which
/// are fewer than 1 GiB, and reading it takes a few times its size.
const DATASET_MEMORY: u64 = 8 << 30;

/// Limits the memory to a number of bytes.
pub(crate) fn limit(bytes: u64) {
    let mut current = getrlimit(Resource::Data);
    current.current = Some(current.current.map_or(bytes, |current| current.min(bytes)));
    // A limit can always be lowered; if that fails nevertheless, the command runs without it.
    _ = setrlimit(Resource::Data, current);
}

/// Limits the memory if all inputs are datasets.
pub(crate) fn limit_for_datasets(inputs: &[&Path]) {
    if inputs.iter().all(|input| Dataset::is_at(input)) {
        limit(DATASET_MEMORY);
    }
}
