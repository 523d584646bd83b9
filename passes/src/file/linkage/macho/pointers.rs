//! Pointers that the loader writes to arrays of functions.

use std::collections::HashMap;

/// Address of the function by address of the pointer; `None` for a function of another file.
pub(super) type ArrayPointers = HashMap<u64, Option<u64>>;
