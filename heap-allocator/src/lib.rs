//! An allocator for Rust programs whose allocations `binframe capture --heap` records.
//!
//! binframe records programs with a library that their loader loads. Statically linked programs (musl, or
//! `-C target-feature=+crt-static`) have no loader, and allocators such as jemalloc replace `malloc` under other names. A
//! program with this allocator records itself:
//!
//! ```
//! use binframe_heap_allocator::RecordingAllocator;
//! use std::alloc::System;
//!
//! #[global_allocator]
//! static ALLOCATOR: RecordingAllocator = RecordingAllocator::new(System);
//! # fn main() { drop(vec![1]) }
//! ```
//!
//! ```sh
//! binframe capture --heap -o heap.tables -- ./program
//! ```
//!
//! Without binframe, an allocation costs a comparison more. Programs are recorded on x86-64 Linux; elsewhere the allocator
//! only passes calls on.
//!
//! An allocation is recorded once: if the library of binframe records what the wrapped allocator does, because that calls
//! `malloc`, this one records nothing. One allocation at the start finds out.
//!
//! The crate is not on crates.io: name this repository in `Cargo.toml`.
//!
//! ```toml
//! [dependencies]
//! binframe-heap-allocator = { git = "https://github.com/binframe/binframe" }
//! ```

#![expect(unsafe_code, reason = "an allocator passes pointers on, and records to memory that it shares")]

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_pointer_width = "64"))]
mod recording;
#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_pointer_width = "64")))]
#[path = "silent.rs"]
mod recording;

use std::alloc::{GlobalAlloc, Layout, System};

/// Allocates with another allocator, and records what it does if binframe started the program.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordingAllocator<A = System> {
    allocator: A,
}

impl<A> RecordingAllocator<A> {
    /// Wraps an allocator.
    pub const fn new(allocator: A) -> Self {
        Self { allocator }
    }
}

impl<A: GlobalAlloc> RecordingAllocator<A> {
    /// Whether allocations are recorded. The first call finds out, after the first allocation, so that a library that
    /// records has started.
    #[inline]
    fn records(&self) -> bool {
        recording::is_on(|| {
            let layout = Layout::new::<[usize; 4]>();
            // SAFETY: the layout is not empty, and what is released was allocated with it.
            unsafe {
                let address = std::hint::black_box(self.allocator.alloc(layout));
                if !address.is_null() {
                    self.allocator.dealloc(address, layout);
                }
            }
        })
    }

    /// Records an allocation, and returns it.
    #[inline]
    fn record(&self, address: *mut u8, size: usize) -> *mut u8 {
        if self.records() {
            recording::allocated(address, size);
        }
        address
    }
}

// SAFETY: the wrapped allocator does all the work; recording neither allocates nor unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for RecordingAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the wrapped allocator, here and below.
        self.record(unsafe { self.allocator.alloc(layout) }, layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        // The address may be that of another thread right after the release.
        if self.records() {
            recording::releases(address);
        }
        // SAFETY: as above.
        unsafe { self.allocator.dealloc(address, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.record(unsafe { self.allocator.alloc_zeroed(layout) }, layout.size())
    }

    #[inline]
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let records = self.records();
        if records {
            recording::releases(old);
        }
        // SAFETY: as above.
        let new = unsafe { self.allocator.realloc(old, layout, size) };
        if records {
            match new.is_null() {
                true => recording::retracts(),
                false => recording::allocated(new, size),
            }
        }
        new
    }
}
