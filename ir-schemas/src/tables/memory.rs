//! Tables of the `memory` stage: regions, stack frames, effects of calls, objects and accesses.

use crate::enumeration::enumeration;
use crate::tables::{Access, Confidence};
use crate::{Table, Term, Terms, Timestamp};

enumeration! {
    /// The kind of a memory region.
    RegionType {
        /// Stack of a thread.
        Stack = "stack",
        /// Memory allocated at run time.
        Heap = "heap",
        /// Constants and variables of the file.
        Global = "global",
        /// Machine code.
        Code = "code",
    }
}

/// A memory region: static, as implied by the file, or captured from a process.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "memory_regions", stage = Memory, key(snapshot_id, r#type, region_id), span(start_address, size))]
pub struct MemoryRegion<'a> {
    /// What tells the region from others of its type: its start address; of a stack or heap without one, the call that
    /// starts the thread or allocates the memory, or 0 for the stack and the heap of the process.
    #[column(unit = "address")]
    pub region_id: u64,
    /// Kind of region.
    #[column(one_of = RegionType)]
    pub r#type: &'a str,
    /// Address of the first byte; null for a stack or heap that is placed at run time.
    #[column(unit = "address")]
    pub start_address: Option<u64>,
    /// Address after the last byte; null for a stack or heap that is placed at run time.
    #[column(unit = "address")]
    pub end_address: Option<u64>,
    /// Size of the region; 0 for a stack or heap whose size is determined at run time.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Content of the memory when it was captured, as far as it can be read; null for a static region, whose content is in
    /// `binary_sections`, for a region that was not read, and for one that an earlier snapshot has: changes since are in
    /// `memory_pages`.
    pub content_snapshot: Option<&'a [u8]>,
    /// Time of the capture; null for a static region.
    pub timestamp: Option<Timestamp>,
    /// Thread that owns a captured stack; null for other regions.
    pub thread_id: Option<u64>,
    /// Function that allocates a heap region, or start function of the thread that owns a stack; null for other
    /// regions, and if the function has no name.
    pub function_name: Option<&'a str>,
    /// Origin of the region: a section (`section .data`), a segment (`segment PT_GNU_STACK`), the system (`system: brk,
    /// mmap`), or the call that allocates it or starts the thread (`0x401234: malloc`).
    pub allocation_site: Option<&'a str>,
    /// Snapshot of a captured region; 0 for a static one.
    pub snapshot_id: u32,
    /// What may be done with a captured region, such as `rw-`; null if a core dump does not state it, and for a static
    /// region.
    pub permissions: Option<&'a str>,
    /// Path of the file that is mapped in a captured region; null for other regions.
    pub mapped_path: Option<&'a str>,
    /// Offset in that file of the first byte; null for other regions.
    #[column(unit = "file offset")]
    pub mapped_offset: Option<u64>,
    /// Digest of the content of a captured region: XXH3 (128 bits, in hexadecimal) of the XXH3 of its pages of 4096 bytes;
    /// null if it was not read, and for a static region.
    pub content_hash: Option<&'a str>,
}

enumeration! {
    /// How well the stack pointer of a function is known.
    FrameStatus {
        /// Known at every call and exit.
        Exact = "exact",
        /// Moved by an amount that is determined at run time; `frame_size` is the constant part.
        Dynamic = "dynamic",
        /// Unknown at a call or exit; `frame_size` is the largest known extent.
        Conflicting = "conflicting",
    }
}

enumeration! {
    /// Whether the stack depth of a function is bounded, or why it is not.
    StackDepthLimit {
        /// Bounded: `stack_depth` is known.
        Bounded = "bounded",
        /// The function, or one that it calls, has a frame whose size is determined at run time or unknown.
        Dynamic = "dynamic",
        /// Functions are mutually recursive.
        Recursive = "recursive",
        /// An unresolved indirect call or jump.
        Indirect = "indirect",
        /// A call of an imported function.
        External = "external",
    }
}

/// How a function uses the stack. Offsets are relative to the stack pointer at function entry, which points to the
/// return address.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "stack_frames", stage = Memory, key(function_address), file_bytes_per_row = 500)]
pub struct StackFrame<'a> {
    /// Function that uses the stack.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Greatest distance of the stack pointer below the return address: saved registers, locals and outgoing arguments;
    /// if the stack pointer is aligned, an upper bound.
    #[column(unit = "bytes")]
    pub frame_size: u64,
    /// Callee-saved registers that the function saves on the stack, in alphabetical order.
    pub saved_registers: Terms<'a>,
    /// Whether the frame pointer (`rbp`; in 32-bit code `ebp`) points into the frame.
    pub uses_frame_pointer: bool,
    /// Offset of the stack canary (stack protector cookie); null if there is none.
    #[column(unit = "bytes")]
    pub canary_offset: Option<i64>,
    /// Alignment that the function establishes for the stack pointer; null if it establishes none.
    #[column(unit = "bytes")]
    pub alignment: Option<u32>,
    /// Size of the memory used below the stack pointer (red zone).
    #[column(unit = "bytes")]
    pub red_zone_size: u64,
    /// Size of the arguments passed at the bottom of the frame.
    #[column(unit = "bytes")]
    pub outgoing_argument_size: u64,
    /// How well the stack pointer is known.
    pub status: FrameStatus,
    /// Greatest stack use below the return address, by the function and all functions that it calls; null if unbounded.
    #[column(unit = "bytes")]
    pub stack_depth: Option<u64>,
    /// Whether the stack depth is bounded, or why it is not.
    pub stack_depth_kind: StackDepthLimit,
    /// Callee on the deepest call path, or on the path to the cause of unboundedness; null if the function itself is
    /// the last one on that path.
    #[column(unit = "address", references = "functions.address")]
    pub deepest_callee_address: Option<u64>,
}

enumeration! {
    /// What a function returns.
    ReturnedValue {
        /// Any other value, or none.
        Other = "other",
        /// A number with known bounds.
        Number = "number",
        /// A parameter plus an offset.
        Parameter = "parameter",
        /// An address in the file.
        Global = "global",
        /// A pointer to newly allocated memory.
        Heap = "heap",
    }
}

/// The effects of a call of a function on its caller, including the functions called in turn.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "function_effects", stage = Memory, key(function_address))]
pub struct FunctionEffect<'a> {
    /// Called function.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Size of the stack arguments popped by the function (`ret n`); null if the stack pointer at its exits is unknown.
    #[column(unit = "bytes")]
    pub popped_size: Option<u32>,
    /// Registers that may have another value after the call, in the order of their encodings.
    pub changed_registers: Terms<'a>,
    /// Parameters that the function may read, itself or through its callees: registers, and `stack` for any stack
    /// argument. An argument register that is unchanged at a call of an unknown function counts.
    pub read_parameters: Terms<'a>,
    /// Parameters through which the function may write memory; listed as in `read_parameters`.
    pub written_parameters: Terms<'a>,
    /// Parameters that may be captured: stored, or passed to an unknown function; listed as in `read_parameters`.
    pub kept_parameters: Terms<'a>,
    /// Whether the function may write memory other than its own frame, the file's data, and memory that its parameters
    /// point to.
    pub writes_elsewhere: bool,
    /// Kind of the returned value.
    pub returned_kind: ReturnedValue,
    /// Parameter that the returned value is relative to: a register, or `stack`; null if `returned_kind` is not `parameter`.
    pub returned_parameter: Option<Term<'a>>,
    /// Lower bound of the returned number or address, or of its offset from the parameter or allocation; null if
    /// unbounded, and for other values.
    pub returned_low: Option<i64>,
    /// Upper bound of the returned number or address, or of its offset from the parameter or allocation; null if
    /// unbounded, and for other values.
    pub returned_high: Option<i64>,
}

enumeration! {
    /// The kind of a memory object. Declared in the order of the rows: objects of the file, then those of each
    /// function.
    ObjectKind {
        /// Variable, constant or array of the file.
        Global = "global",
        /// Return address of a function.
        ReturnAddress = "return_address",
        /// Stack argument, stored by the caller.
        Argument = "argument",
        /// Callee-saved register, saved by the function.
        SavedRegister = "saved_register",
        /// Stack canary (stack protector cookie).
        Canary = "canary",
        /// Stack slot that is only copied from and to registers as a whole: a spilled register, or a variable that fits
        /// into one.
        Spill = "spill",
        /// Local variable, array or structure on the stack.
        Local = "local",
        /// Stack argument of a function that is called.
        OutgoingArgument = "outgoing_argument",
        /// Memory allocated by a call; one object for all executions of the call.
        Heap = "heap",
    }
}

enumeration! {
    /// How the location and the size of a memory object were determined.
    ObjectEvidence {
        /// A symbol names it; if the symbol has no size, it extends to the next object.
        Symbol = "symbol",
        /// Instructions access exactly these bytes.
        Access = "access",
        /// Its address is taken or indexed; it is assumed to extend to the next object.
        Address = "address",
        /// A call returns it.
        Call = "call",
        /// The calling convention defines it.
        Convention = "convention",
    }
}

enumeration! {
    /// The memory region that contains an object.
    ObjectRegion {
        /// Stack frame of a function that aligns its stack pointer, as far as it is known from there.
        AlignedStack = "aligned_stack",
        /// Data or code of the file.
        Global = "global",
        /// Memory allocated by a call.
        Heap = "heap",
        /// Stack frame of a function, and the stack arguments of its caller.
        Stack = "stack",
    }
}

/// A memory object: a variable of the file, a slot of a stack frame, or memory allocated by a call. Accesses of an object
/// have its `region`, `object_address` and `object_offset`.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "memory_objects", stage = Memory, key(region, object_address, object_offset), span(address, size))]
pub struct MemoryObject<'a> {
    /// Memory region that contains the object.
    pub region: ObjectRegion,
    /// Address by which the object is known. `global`: of its first byte; `heap`: of the call that allocates it; `stack`,
    /// `aligned_stack`: of the function whose frame contains it.
    #[column(unit = "address")]
    pub object_address: u64,
    /// Offset of the first byte. `stack`: from the stack pointer at function entry; `aligned_stack`: from the stack
    /// pointer after the function aligned it; otherwise 0.
    #[column(unit = "bytes")]
    pub object_offset: i64,
    /// Kind of object.
    pub kind: ObjectKind,
    /// Name of the symbol, of the saved register or of the allocating function; null if there is none.
    pub object_name: Option<&'a str>,
    /// Function whose frame contains the object or that allocates it; null for a global.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: Option<u64>,
    /// Address of the first byte; null for objects outside of the file.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Size of the object; 0 for an allocation whose size is determined at run time.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Section that contains the object; null for objects outside of the file.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// How location and size were determined.
    pub evidence: ObjectEvidence,
    /// Confidence in location and size, given by `evidence`. `likely`: `address`; otherwise `certain`.
    pub confidence: Confidence,
}

enumeration! {
    /// The memory region that an address is in.
    AccessRegion {
        /// Stack frame of the function, or the stack arguments of its caller.
        Stack = "stack",
        /// Stack frame, at a known distance from the stack pointer after the function aligned it.
        AlignedStack = "aligned_stack",
        /// Stack frame, at a known distance from the stack pointer after the function moved it by an unknown amount.
        DynamicStack = "dynamic_stack",
        /// Data or code of the file.
        Global = "global",
        /// Memory allocated by a call.
        Heap = "heap",
        /// Memory that a parameter, or another register set by the caller, points to.
        Parameter = "parameter",
        /// Memory that the result of a call points to.
        Returned = "returned",
        /// Thread-local storage.
        ThreadLocal = "thread_local",
        /// Unknown; `reason` states why.
        Unknown = "unknown",
    }
}

enumeration! {
    /// Why the memory region of an address is unknown.
    UnknownReason {
        /// The address was loaded from memory whose content is not tracked.
        Loaded = "loaded",
        /// The address was computed by an operation that is not tracked.
        Computed = "computed",
        /// A call may have overwritten the register.
        Clobbered = "clobbered",
        /// Different addresses reach a join point of the control-flow graph.
        Merged = "merged",
        /// The address is a number outside of the file.
        Number = "number",
        /// The instruction is not reached in the recovered control-flow graph.
        Unreached = "unreached",
        /// The analysis of the function exceeded its limit.
        TooComplex = "too_complex",
    }
}

/// A memory reference of an instruction: bytes that it reads or writes, or an address that it computes.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "memory_accesses", stage = Memory, key(instruction_address, is_implicit), file_bytes_per_row = 20, references(memory_objects(region, object_address, object_offset)))]
pub struct MemoryAccess<'a> {
    /// Address of the instruction.
    #[column(unit = "address", references = "instructions.address")]
    pub instruction_address: u64,
    /// Whether this is not the operand in the `mem_` columns but the stack slot of a `push` or `pop`, or the second
    /// memory operand (string instructions).
    pub is_implicit: bool,
    /// Basic block of the instruction.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub block_address: u64,
    /// Function of the instruction.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Memory region that the address is in.
    pub region: AccessRegion,
    /// Object at the accessed address (at index 0 if unbounded), by the address that it is known by. If `confidence` is
    /// not `certain`, only an object that a symbol names or a call allocates; null if there is none.
    #[column(unit = "address")]
    pub object_address: Option<u64>,
    /// Offset that the object is known by; null if there is no object.
    #[column(unit = "bytes")]
    pub object_offset: Option<i64>,
    /// `parameter`: register that held the base pointer at function entry; null for a stack argument, and in other
    /// regions.
    pub parameter_register: Option<Term<'a>>,
    /// `parameter`: offset of the stack argument that is the base pointer, from the stack pointer at function entry; null
    /// for a register, and in other regions.
    #[column(unit = "bytes")]
    pub parameter_stack_offset: Option<i64>,
    /// `heap`, `returned`: call that returned the base pointer; null in other regions.
    #[column(unit = "address", references = "instructions.address")]
    pub call_address: Option<u64>,
    /// Offset of the first byte that may be accessed, or of the byte at index 0 if unbounded, from the base that the region
    /// states: a stack pointer, the base pointer, or the start of thread-local storage; null for `global` and `unknown`.
    #[column(unit = "bytes")]
    pub byte_offset: Option<i64>,
    /// `global`: address of the first byte that may be accessed, or of the byte at index 0 if unbounded; null in other
    /// regions.
    #[column(unit = "address")]
    pub global_address: Option<u64>,
    /// Size of the range of bytes that may be accessed; null if unbounded or 2 GiB and more.
    #[column(unit = "bytes")]
    pub span_size: Option<u64>,
    /// Possible addresses differ by multiples of this; null for a single address, or if no stride is known.
    #[column(unit = "bytes")]
    pub stride: Option<u32>,
    /// Whether the operand has an index register.
    pub is_indexed: bool,
    /// Size of a single access; null if only the address is computed.
    #[column(unit = "bytes")]
    pub size: Option<u16>,
    /// How the memory is used.
    pub access: Access,
    /// `certain`: bounded, and inside the object if one is known (also for region `unknown`, which claims nothing);
    /// `likely`: no bound, or the range exceeds the object; `guess`: the address is right only if stores elsewhere stay
    /// inside their variables, or if a constant is the base address of an array.
    pub confidence: Confidence,
    /// Why the region is unknown; null if it is known.
    pub reason: Option<UnknownReason>,
}
