//! Tables of a recorded heap: the allocations of a program, and the calls that made them.

use crate::{Table, Timestamp};

/// An allocation of a recorded program. It is made by `malloc` or one of its relatives (`calloc`, `realloc`,
/// `posix_memalign`, …), which `new` of C++ calls. A reallocation ends one allocation and starts another, also at the same
/// address.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "heap_allocations", stage = Capture, key(allocation_id))]
pub struct HeapAllocation {
    /// Position among the allocations, from 1, in the order in which they ended; those that did not end come last.
    pub allocation_id: u64,
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size that the program asked for.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Time of the allocation in steps of a millisecond. Within a step, allocations and releases are numbered by
    /// nanoseconds, so times are distinct and in the order of the events.
    pub allocated_at: Timestamp,
    /// Time at which the memory was released, counted like `allocated_at`, or at which the process executed another program;
    /// null if it was not released until the end of the capture.
    pub freed_at: Option<Timestamp>,
    /// Identifier of the thread that allocated (Linux: TID).
    pub thread_id: u64,
    /// The call of the allocating function, with its callers.
    #[column(references = "heap_call_sites.call_site_id")]
    pub call_site_id: u32,
}

/// A call in a stack of calls that allocates, once for each stack of callers. Calls with the same callers share them, so
/// the rows are trees.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "heap_call_sites", stage = Capture, key(call_site_id))]
pub struct HeapCallSite<'a> {
    /// Position among the calls, from 1, in the order in which they were seen first.
    pub call_site_id: u32,
    /// The call of the function that makes this call; null for the start of a thread.
    #[column(references = "heap_call_sites.call_site_id")]
    pub parent_id: Option<u32>,
    /// Number of callers.
    pub depth: u32,
    /// The return address of the call.
    #[column(unit = "address")]
    pub program_counter: u64,
    /// Path of the module that contains the code; null for code outside modules.
    pub module_path: Option<&'a str>,
    /// Build id of the module, in hexadecimal; null if it has none.
    pub build_id: Option<&'a str>,
    /// Return address in the file of the module: an address of its dataset.
    #[column(unit = "address")]
    pub module_address: Option<u64>,
    /// Address of the calling function in the file of the module: `functions.address` of its dataset; null if no symbol or
    /// unwind entry states it.
    #[column(unit = "address")]
    pub function_address: Option<u64>,
    /// Name of the calling function; null if no symbol states it.
    pub function_name: Option<&'a str>,
    /// Source file of the call; null if no debug information states it.
    pub source_file: Option<&'a str>,
    /// Line of the call; null if no debug information states it.
    pub source_line: Option<u32>,
    /// Whether callers are missing: the stack is deeper than 64 KiB, or unwinding ended in code without unwind information.
    pub is_cut: bool,
}
