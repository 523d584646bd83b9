//! How much memory a thread holds, counted where it is given out: a test that asks makes [`Counting`] its allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::thread;

/// The system's allocator, which counts what each thread holds and at most held.
pub struct Counting;

thread_local! {
    // Neither has to be made or dropped, which an allocator could not bear.
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST_HELD: Cell<usize> = const { Cell::new(0) };
}

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

/// Runs work, and says how much more memory than before this thread held at most. What the work gives to other threads is
/// not counted: run it [`alone`].
pub fn most_held<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.get();
    MOST_HELD.set(before);
    let result = work();
    (result, MOST_HELD.get() - before)
}

/// Runs work in a thread of its own, which does alone what passes would share with others.
pub fn alone<R: Send>(name: String, work: impl FnOnce() -> R + Send) -> thread::Result<R> {
    let work = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        pool.expect("the thread is in no pool yet").install(work)
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name).spawn_scoped(scope, work);
        thread.expect("the system has threads").join()
    })
}
