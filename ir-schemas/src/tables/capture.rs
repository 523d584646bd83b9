//! Tables of a capture: the memory of a process or of a core dump at one or several moments, and what it is joined by.
//!
//! The regions of memory are in `memory_regions`, with those that are implied by a file.

use crate::enumeration::enumeration;
use crate::{Table, Term, Timestamp};

enumeration! {
    /// Why a snapshot was taken.
    SnapshotReason {
        /// The capture started.
        Start = "start",
        /// The time between two snapshots was over.
        Interval = "interval",
        /// A thread reached the function that the capture waits for.
        Function = "function",
        /// The process was about to exit.
        Exit = "exit",
        /// The process was stopped and written to a core dump, by a system or another tool.
        CoreDump = "core_dump",
        /// The process crashed, or was stopped, and wrote a minidump.
        Minidump = "minidump",
    }
}

enumeration! {
    /// How the pages were found that changed since the previous snapshot.
    ChangeDetection {
        /// All memory was read, and each page compared with its digest.
        FullRead = "full_read",
        /// The system told which pages of memory without a file were written (Linux 6.7: `PAGEMAP_SCAN` after userfaultfd
        /// write protection); the rest was read and compared.
        PagemapScan = "pagemap_scan",
    }
}

/// A moment at which all threads of a process were stopped, and its memory was read.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "snapshots", stage = Capture, key(snapshot_id))]
pub struct Snapshot {
    /// Position among the snapshots of the capture, from 1.
    pub snapshot_id: u32,
    /// Time at which the process was stopped; of a core dump, at which the file was last changed; of a minidump, as
    /// it states.
    pub timestamp: Timestamp,
    /// Why the snapshot was taken.
    pub reason: SnapshotReason,
    /// The thread that reached the function; null for other reasons.
    pub thread_id: Option<u64>,
    /// How changed pages were found.
    pub change_detection: ChangeDetection,
    /// Time from the stop of the first thread to the release of the last, in nanoseconds; null for a core dump or
    /// minidump.
    pub pause_nanoseconds: Option<u64>,
    /// Size of all regions.
    #[column(unit = "bytes")]
    pub mapped_bytes: u64,
    /// Size of the memory that was read.
    #[column(unit = "bytes")]
    pub read_bytes: u64,
    /// Size of the pages that are new or have another content than in the previous snapshot.
    #[column(unit = "bytes")]
    pub changed_bytes: u64,
}

/// A page whose content changed, with the new content. The content before the first change is in `memory_regions`, but for
/// regions of more than 1 GiB, all of whose pages are here.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "memory_pages", stage = Capture, key(until_snapshot, address), span(address, size))]
pub struct MemoryPage {
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the page.
    #[column(unit = "bytes")]
    pub size: u32,
    /// The first snapshot in which the page has this content.
    #[column(references = "snapshots.snapshot_id")]
    pub from_snapshot: u32,
    /// The last of the consecutive snapshots in which it has this content.
    #[column(references = "snapshots.snapshot_id")]
    pub until_snapshot: u32,
    /// Its content.
    #[column(references = "page_contents.content_id")]
    pub content_id: u64,
}

/// A content of changed pages. Each distinct content has one row, unless it comes again after a million others.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "page_contents", stage = Capture, key(content_id))]
pub struct PageContent<'a> {
    /// Position among the distinct contents, in the order in which they were read.
    pub content_id: u64,
    /// The bytes; null if the capture is without content.
    pub content: Option<&'a [u8]>,
    /// XXH3 of the bytes, 128 bits in hexadecimal.
    pub content_hash: &'a str,
}

/// An executable or library that is mapped in the memory of the process.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "loaded_modules", stage = Capture, key(snapshot_id, address), span(address, size))]
pub struct LoadedModule<'a> {
    /// The snapshot.
    #[column(references = "snapshots.snapshot_id")]
    pub snapshot_id: u32,
    /// Address of its first mapping.
    #[column(unit = "address")]
    pub address: u64,
    /// Distance from the first to the end of the last mapping.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Number that is added to an address in the file (`address` of `binary_sections`, `functions`, …) to get one in
    /// memory; null if a minidump states the module, and its file is not at hand.
    #[column(unit = "address")]
    pub load_bias: Option<u64>,
    /// Path of the file.
    pub module_path: &'a str,
    /// Its build id, in hexadecimal: equal to the one of the file's dataset (`binary_notes`); null if it has none.
    pub build_id: Option<&'a str>,
    /// Whether it is the program, and not a library.
    pub is_program: bool,
}

/// A thread of the process.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "threads", stage = Capture, key(snapshot_id, thread_id))]
pub struct Thread<'a> {
    /// The snapshot.
    #[column(references = "snapshots.snapshot_id")]
    pub snapshot_id: u32,
    /// Identifier of the thread (Linux: TID).
    pub thread_id: u64,
    /// Its name; null if a core dump does not state it.
    pub thread_name: Option<&'a str>,
    /// Whether it is the first thread of the process.
    pub is_main: bool,
    /// Number of the signal that it had received, or of the exception in a minidump of Windows or macOS; null for none,
    /// and in a live process.
    pub signal: Option<u32>,
    /// Why that signal was sent (`si_code`), or the flags of the exception; null if it is not stated.
    pub signal_code: Option<i64>,
    /// Address whose access caused that signal; null if there is none.
    #[column(unit = "address")]
    pub fault_address: Option<u64>,
    /// Value of the program counter.
    #[column(unit = "address")]
    pub program_counter: u64,
    /// Value of the stack pointer.
    #[column(unit = "address")]
    pub stack_pointer: u64,
}

/// An integer or control register of a thread.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "thread_registers", stage = Capture, key(snapshot_id, thread_id, register_index))]
pub struct ThreadRegister<'a> {
    /// The snapshot.
    #[column(references = "snapshots.snapshot_id")]
    pub snapshot_id: u32,
    /// The thread.
    pub thread_id: u64,
    /// Position of the register.
    pub register_index: u32,
    /// Name of the register, such as `rip`.
    pub register_name: &'a str,
    /// Value of the register.
    pub value: u64,
}

/// A call on the stack of a thread. A function that the compiler inlined has a row of its own, before the one of the function
/// that it is part of.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "call_stacks", stage = Capture, key(snapshot_id, thread_id, depth))]
pub struct CallStack<'a> {
    /// The snapshot.
    #[column(references = "snapshots.snapshot_id")]
    pub snapshot_id: u32,
    /// The thread.
    pub thread_id: u64,
    /// Number of calls that are more recent, inlined ones included; 0 for the function that runs.
    pub depth: u32,
    /// The program counter, or the return address.
    #[column(unit = "address")]
    pub program_counter: u64,
    /// Value of the stack pointer before the call (canonical frame address, CFA): slots of `stack_frames` have their
    /// offset from the return address just below it. Null if it is not known.
    #[column(unit = "address")]
    pub frame_address: Option<u64>,
    /// Address of the module that contains the code; null for code outside modules.
    #[column(unit = "address")]
    pub module_address: Option<u64>,
    /// Address of the function in the file of the module: `functions.address` of its dataset; null if no symbol states
    /// it.
    #[column(unit = "address")]
    pub function_address: Option<u64>,
    /// Name of the function; null if no symbol states it, or of an inlined function no debug information.
    pub function_name: Option<&'a str>,
    /// Whether the function is inlined: `function_address` is then that of the function that it is part of.
    pub is_inlined: bool,
    /// Source file of the instruction that runs or calls; null without debug information.
    pub source_file: Option<Term<'a>>,
    /// Line in the source file; null if not stated.
    pub source_line: Option<u32>,
}

enumeration! {
    /// What a chunk of the heap is used for.
    ChunkState {
        /// Allocated by the program.
        InUse = "in_use",
        /// Free, in a bin of its arena.
        Free = "free",
        /// Free, in a fast bin of its arena.
        FastBin = "fastbin",
        /// Free, in the cache of a thread.
        ThreadCache = "tcache",
        /// The rest of the heap, from which new chunks are cut.
        Top = "top",
        /// Allocated by the program, in a mapping of its own.
        Mapped = "mmapped",
    }
}

/// A chunk of the heap of glibc's `malloc`: memory that the program has allocated, or that is free. Found in the
/// captured memory, without a record of the calls; other allocators have no rows.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "heap_chunks", stage = Capture, key(snapshot_id, address), span(address, size))]
pub struct HeapChunk {
    /// The snapshot.
    #[column(references = "snapshots.snapshot_id")]
    pub snapshot_id: u32,
    /// Address of the first byte that the program can use: what `malloc` returned.
    #[column(unit = "address")]
    pub address: u64,
    /// Number of bytes that the program can use (`malloc_usable_size`): at least as many as it asked for.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Address of the arena (`struct malloc_state`); null for a chunk in a mapping of its own.
    #[column(unit = "address")]
    pub arena_address: Option<u64>,
    /// What the chunk is used for.
    pub state: ChunkState,
}
