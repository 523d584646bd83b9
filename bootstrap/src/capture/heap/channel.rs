//! Memory that the recorder inside a program and the reader in binframe share.
//!
//! Each thread of the program claims a slot, which is a ring of records with one writer and one reader. Positions in a
//! ring count words since its start and never decrease; a record is contiguous, and a [`SKIP`] fills the end of the ring
//! before a record that does not fit. The first word of a record has its kind in the lowest byte, and above it the number
//! of words.
//!
//! *Order.* A release is published before memory is released, and an allocation after memory was allocated, each with a
//! time that was read before it was published. So if one record depends on another, that other was published before the
//! time of the first.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// The variable of the environment whose value is the path of the channel.
pub const VARIABLE: &str = "BINFRAME_HEAP_CHANNEL";

/// The name of the shared memory in the mappings of processes.
pub const MEMORY_NAME: &str = "binframe-heap-channel";

/// Threads that are recorded at a time.
pub const THREADS_MAX: usize = 512;

/// Words of a ring.
pub const RING_WORDS: usize = 1 << 16;

/// Bytes of the stack that are recorded at most, from the stack pointer on.
pub const WINDOW: usize = 1 << 16;

/// Kind of a record: the rest of the ring is not used.
pub const SKIP: u64 = 0;
/// Kind of a record: `[_, time, address, size, program counter, stack pointer, frame pointer, extents, masks…, words…]`.
/// The words are those of the stack that differ from the copy of the stack, which reader and writer have both, and the
/// masks have a bit for each word that was compared, from the stack pointer on. The lower half of the extents is the number
/// of words that were compared; the upper half the number that is recorded. The words after those that were compared are in
/// the copy.
pub const ALLOCATION: u64 = 1;
/// Kind of a record: `[_, time, address]`.
pub const RELEASE: u64 = 2;
/// Kind of a record: `[_, time]`. The memory of the last release was not released, because `realloc` failed.
pub const RETRACTION: u64 = 3;
/// Kind of a record: `[_, time, length, text…]`, the text of `/proc/self/maps`.
pub const MAPPINGS: u64 = 4;

/// Words of an allocation before its masks.
pub const ALLOCATION_WORDS: usize = 8;

/// The shared memory. It is zero at first, but for what the reader sets.
#[repr(C, align(4096))]
pub struct Channel {
    /// Identifier of the process of the reader: it records the program that it started.
    pub reader: AtomicU32,
    /// Whether events are recorded. A writer that waits in vain for the reader ends that.
    pub is_open: AtomicU32,
    /// Number of programs that the process has executed and that are recorded.
    pub programs: AtomicU32,
    /// Number of events that were not recorded.
    pub dropped: AtomicU64,
    /// Grows while the reader lives.
    pub heartbeat: Position,
    /// The thread that owns each slot: the number of its program in the upper half, and its identifier; 0 for a free slot.
    /// The writer claims it, and the reader frees it when the thread has ended.
    pub owners: [AtomicU64; THREADS_MAX],
    /// One slot for each thread.
    pub slots: [Slot; THREADS_MAX],
}

/// A counter in a cache line of its own.
#[repr(align(64))]
pub struct Position(pub AtomicU64);

/// The ring of a thread.
#[repr(C, align(4096))]
pub struct Slot {
    /// End of the stack of the thread, as the reader found it; 0 if it is not known.
    pub stack_end: AtomicU64,
    /// Position after the last record.
    pub written: Position,
    /// Position of the first record that was not read.
    pub read: Position,
    /// Copy of the stack as it was recorded, by the lower bits of the address. Only the writer uses it.
    pub stack: [AtomicU64; WINDOW / 8],
    /// The records.
    pub ring: [AtomicU64; RING_WORDS],
}
