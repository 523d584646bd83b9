//! How much memory a thread holds, counted where it is given out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Memory that a file may take with all of its tables, per byte of it.
pub(crate) const PER_FILE_SIZE_MAX: usize = 300;
/// Memory that any file may take.
pub(crate) const BASE: usize = 4 << 20;

/// The system's allocator, which counts what each thread holds and at most held.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST_HELD: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe")]
// SAFETY: the system's allocator does the work; counting touches nothing of what it gives.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.get().wrapping_add(layout.size());
        HELD.set(held);
        MOST_HELD.set(MOST_HELD.get().max(held));
        // SAFETY: the caller keeps the promises of the same function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().saturating_sub(layout.size()));
        // SAFETY: the caller keeps the promises of the same function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs work in this thread, and says how much more memory than before the thread held at most.
pub(crate) fn most_held<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.get();
    MOST_HELD.set(before);
    let result = work();
    (result, MOST_HELD.get() - before)
}
