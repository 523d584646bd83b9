//! Panics as errors, where code of others, or passes, work on bytes of which nothing is known.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `work`. If it panics, the error is the message. What `work` changed until then must not be used.
pub fn catching_panics<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown reason").to_owned()
    })
}
