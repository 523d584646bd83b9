//! Whether standard output was closed when the process started.
//!
//! Before `main`, Rust opens `/dev/null` in place of a closed standard output, and what a command prints would be lost
//! without an error. Therefore the state is recorded earlier, by an initializer.

use rustix::io::fcntl_getfd;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether standard output was closed when the process started.
pub(super) fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}

extern "C" fn record() {
    WAS_CLOSED.store(fcntl_getfd(io::stdout()).is_err(), Ordering::Relaxed);
}

// SAFETY: the section is an array of pointers to functions with the signature of `record`, which the system calls before
// `main`. `record` needs nothing that is set up later: it asks the system for the flags of a descriptor.
#[used]
#[unsafe(link_section = ".init_array")]
#[expect(unsafe_code, reason = "placing a static in a section is unsafe")]
static BEFORE_MAIN: extern "C" fn() = record;
