//! Measures memory that a thread allocates. A test installs [`CountingAllocator`] as its global allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::thread;

/// The system allocator, which also records current and peak memory of each thread.
pub struct CountingAllocator;

thread_local! {
    // Neither is lazily initialized or dropped, since an allocator cannot allocate for them.
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe")]
// SAFETY: all calls are forwarded to the system allocator; counting does not access the memory.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let allocated = ALLOCATED.get().wrapping_add(layout.size());
        ALLOCATED.set(allocated);
        PEAK.set(PEAK.get().max(allocated));
        // SAFETY: the caller upholds the contract of the same function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.set(ALLOCATED.get().saturating_sub(layout.size()));
        // SAFETY: the caller upholds the contract of the same function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `work` and returns the peak of the additional memory of this thread. Memory of other threads is not counted:
/// use [`on_own_thread`].
pub fn peak_memory<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = ALLOCATED.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get() - before)
}

/// Runs `work` in a new thread that is its own rayon pool, so that all work runs in that thread.
pub fn on_own_thread<R: Send>(name: String, work: impl FnOnce() -> R + Send) -> thread::Result<R> {
    let work = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        pool.expect("the thread is in no pool yet").install(work)
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name).spawn_scoped(scope, work);
        thread.expect("the system has threads").join()
    })
}
