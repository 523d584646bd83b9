//! Tables of the `memory` stage: regions, stack frames, objects, what calls do, and accesses.

use crate::enumeration::enumeration;
use crate::tables::{Access, Confidence};
use crate::{Table, Term, Timestamp};

enumeration! {
    /// Kinds of memory regions.
    RegionType {
        /// The stack of a thread.
        Stack = "stack",
        /// Memory that is asked for at run time.
        Heap = "heap",
        /// Constants and variables of the file.
        Global = "global",
        /// Machine code.
        Code = "code",
    }
}

/// A region of the memory that the file implies (static view) or that a process had (captured view).
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "memory_regions", stage = Memory, key(region_id), span(start_address, size))]
pub struct MemoryRegion<'a> {
    /// Position in the table.
    pub region_id: u64,
    /// What the region is for.
    #[column(one_of = RegionType)]
    pub r#type: &'a str,
    /// Address of the first byte; null for a stack or heap that is placed at run time.
    #[column(unit = "address")]
    pub start_address: Option<u64>,
    /// Address after the last byte; null for a stack or heap that is placed at run time.
    #[column(unit = "address")]
    pub end_address: Option<u64>,
    /// Size; 0 for a stack or heap whose size is known at run time only.
    #[column(unit = "bytes")]
    pub size: u64,
    /// What the memory held when captured; null in the static view, where `binary_sections` has the content.
    pub content_snapshot: Option<&'a [u8]>,
    /// When the memory was captured; null in the static view.
    pub timestamp: Option<Timestamp>,
    /// The thread that a captured stack belongs to; null otherwise.
    pub thread_id: Option<u64>,
    /// The function that asks for a heap region, or with which the thread of a stack begins; null where it belongs to none, or to
    /// one without a name.
    pub function_name: Option<&'a str>,
    /// What made the region: a section (`section .data`), a segment (`segment PT_GNU_STACK`), a system service, or the call that
    /// asks for memory or begins a thread (`0x401234: malloc`).
    pub allocation_site: Option<&'a str>,
}

enumeration! {
    /// What is known of a function's use of the stack.
    FrameStatus {
        /// The stack pointer is known at every call and wherever the function is left.
        Exact = "exact",
        /// The frame grows by an amount known at run time only; `frame_size` is its known part.
        Dynamic = "dynamic",
        /// The stack pointer is not known at some call or where the function is left; `frame_size` is the most that is known.
        Conflicting = "conflicting",
    }
}

enumeration! {
    /// Why the greatest depth of the stack below a function is known, or is not.
    StackDepthLimit {
        /// It is known.
        Bounded = "bounded",
        /// Frames of the function itself, or of one that it calls, are of a size known at run time only, or not known.
        Dynamic = "dynamic",
        /// Functions call each other in a circle.
        Recursive = "recursive",
        /// Something is called through an address held in a register or in memory.
        Indirect = "indirect",
        /// A function of another file is called.
        External = "external",
    }
}

/// How one function uses the stack. Offsets count from the stack pointer at the function's entry, where the return address is.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "stack_frames", stage = Memory, key(function_address))]
pub struct StackFrame<'a> {
    /// The function.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// How far below the return address the stack pointer goes: saved registers, locals, outgoing arguments. Where the stack is
    /// aligned, at most.
    #[column(unit = "bytes")]
    pub frame_size: u64,
    /// Registers that the function saves for its callers, in the order of the alphabet, separated by commas; `memory_objects` says
    /// where.
    pub saved_registers: &'a str,
    /// Whether the frame pointer (`rbp`, in 32-bit code `ebp`) points into the frame.
    pub uses_frame_pointer: bool,
    /// Offset of the number that is compared before the function returns, to notice that its variables overflowed; null where there
    /// is none.
    #[column(unit = "bytes")]
    pub canary_offset: Option<i64>,
    /// What the stack pointer is made a multiple of; null where it is taken as it comes.
    #[column(unit = "bytes")]
    pub alignment: Option<u32>,
    /// How far below the stack pointer memory is used.
    #[column(unit = "bytes")]
    pub red_zone_size: u64,
    /// Bytes at the bottom of the frame that are used to pass arguments.
    #[column(unit = "bytes")]
    pub outgoing_argument_size: u64,
    /// What is known of the stack pointer.
    pub status: FrameStatus,
    /// How far below the return address the stack is used at most, by the function and all that it calls; null where that is not
    /// bounded.
    #[column(unit = "bytes")]
    pub stack_depth: Option<u64>,
    /// Whether it is bounded, or why not.
    pub stack_depth_limit: StackDepthLimit,
    /// The function that is called where the stack is deepest: the next one on the way there, or on the way to what makes it
    /// unbounded. Null where the function itself is the last.
    #[column(unit = "address", references = "functions.address")]
    pub deepest_callee_address: Option<u64>,
}

enumeration! {
    /// What a function returns.
    ReturnedValue {
        /// Something else, or nothing.
        Other = "other",
        /// A number between known bounds.
        Number = "number",
        /// A parameter, or an address at an offset from it.
        Parameter = "parameter",
        /// An address in the file.
        Global = "global",
        /// The address of memory that was asked for.
        Heap = "heap",
    }
}

/// What a call of a function does to its caller, with all that it calls in turn.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "function_effects", stage = Memory, key(function_address))]
pub struct FunctionEffect<'a> {
    /// The function.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Bytes of arguments that it takes off the stack; null where it is not known where the stack pointer is in the end.
    #[column(unit = "bytes")]
    pub popped_size: Option<u32>,
    /// Registers that may hold something else afterwards, in the order of their numbers, separated by commas.
    pub changed_registers: &'a str,
    /// Parameters, by their registers and `stack`, that it may read, itself or through what it calls. What it leaves untouched up to a
    /// call of which nothing is known counts.
    pub read_parameters: &'a str,
    /// Parameters through which it writes memory.
    pub written_parameters: &'a str,
    /// Parameters that it may store, or give to what is not known.
    pub kept_parameters: &'a str,
    /// Whether it may write memory that is neither its own, nor in the file, nor a parameter's.
    pub writes_elsewhere: bool,
    /// What it returns.
    pub returns: ReturnedValue,
    /// The parameter that it returns, by its register or `stack`; null where it returns none.
    pub returned_parameter: Option<&'a str>,
    /// Least offset of what it returns from the parameter or memory, or the least number or address; null for other values, and
    /// where it is not bounded.
    pub returned_low: Option<i64>,
    /// Greatest such offset, number or address.
    pub returned_high: Option<i64>,
}

enumeration! {
    /// Kinds of objects in memory. In the order of rows: of the file, then of each function.
    ObjectKind {
        /// A variable, constant or array in the file.
        Global = "global",
        /// The return address of a function.
        ReturnAddress = "return_address",
        /// An argument that the caller left on the stack.
        Argument = "argument",
        /// A register that the function saves for its caller.
        SavedRegister = "saved_register",
        /// What is compared before the function returns, to notice that its variables overflowed.
        Canary = "canary",
        /// What is moved to and from registers whole, and nothing else: a register put aside, or a variable that fits into one.
        Spill = "spill",
        /// A variable, array or structure on the stack.
        Local = "local",
        /// An argument for a function that is called.
        OutgoingArgument = "outgoing_argument",
        /// Memory that a call asks for, each time that it is reached.
        Heap = "heap",
    }
}

enumeration! {
    /// Why an object is taken to be where it is, and as large as it is.
    ObjectEvidence {
        /// A symbol names it.
        Symbol = "symbol",
        /// Instructions touch just these bytes.
        Access = "access",
        /// Its address is taken or an index is added to it: it is taken to reach up to the next object.
        Address = "address",
        /// A call returns it.
        Call = "call",
        /// The calling convention says so.
        Convention = "convention",
    }
}

/// Something in memory that instructions touch: a variable of the file, a slot of a stack frame, or what a call allocates.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "memory_objects", stage = Memory, key(object_id), span(address, size))]
pub struct MemoryObject<'a> {
    /// Position in the table.
    pub object_id: u64,
    /// What it is.
    pub kind: ObjectKind,
    /// Name of a symbol, of a saved register, or of the function that allocates; null where there is none.
    pub name: Option<&'a str>,
    /// The function whose frame it is part of, or which allocates it; null for what is in the file.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: Option<u64>,
    /// Address of the first byte; null for what is not in the file.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Offset of the first byte from the stack pointer at the function's entry, or in an aligned frame from the pointer that was
    /// aligned; null for what is not on the stack.
    #[column(unit = "bytes")]
    pub stack_offset: Option<i64>,
    /// Whether the offset counts from the stack pointer that the function aligned; null for what is not on the stack.
    pub is_aligned: Option<bool>,
    /// The call that allocates it; null for others.
    #[column(unit = "address", references = "instructions.address")]
    pub call_address: Option<u64>,
    /// Size; 0 for memory that is asked for with a size known at run time only.
    #[column(unit = "bytes")]
    pub size: u64,
    /// The section that it lies in; null for what is not in the file.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Why it is known.
    pub evidence: ObjectEvidence,
    /// How sure its bounds are.
    pub confidence: Confidence,
}

enumeration! {
    /// What memory an instruction touches.
    AccessRegion {
        /// The function's own stack frame, or its caller's arguments above it.
        Stack = "stack",
        /// A variable or constant of the file, or its code.
        Global = "global",
        /// Memory that a call asked for.
        Heap = "heap",
        /// What a parameter points to, or another register that the caller set.
        Parameter = "parameter",
        /// What the result of a call points to.
        Returned = "returned",
        /// Memory that every thread has a copy of.
        ThreadLocal = "thread_local",
        /// Not known.
        Unknown = "unknown",
    }
}

enumeration! {
    /// Why it is not known what memory an instruction touches.
    UnknownReason {
        /// The address was read from memory that is not followed.
        Loaded = "loaded",
        /// The address was computed in a way that is not followed.
        Computed = "computed",
        /// A call may have changed the register.
        Clobbered = "clobbered",
        /// Ways that lead there disagree.
        Merged = "merged",
        /// The address is a number that does not lie in the file.
        Number = "number",
        /// No known way leads to the instruction.
        Unreached = "unreached",
        /// Following the function took more steps than are taken.
        TooComplex = "too_complex",
    }
}

/// Memory that one instruction touches, or whose address it computes.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "memory_accesses", stage = Memory, key(instruction_address, is_implicit))]
pub struct MemoryAccess<'a> {
    /// The instruction.
    #[column(unit = "address", references = "instructions.address")]
    pub instruction_address: u64,
    /// Whether it is no `mem_` operand of the instruction, but the stack slot that a `push` or `pop` moves, or the second
    /// operand of a string instruction.
    pub is_implicit: bool,
    /// The block that the instruction is in.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub block_address: u64,
    /// The function.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// What memory is touched.
    pub region: AccessRegion,
    /// The object that is touched; where no bound is known, that of a symbol or of an allocation, in which indices begin. Null where
    /// none is known.
    #[column(references = "memory_objects.object_id")]
    pub object_id: Option<u64>,
    /// Parameter: the register that held the address at the function's entry, or `stack+8` for what the stack held there. Null
    /// otherwise.
    pub parameter: Option<Term<'a>>,
    /// Heap and returned: the call. Null otherwise.
    #[column(unit = "address", references = "instructions.address")]
    pub call_address: Option<u64>,
    /// Offset of the first byte that may be touched, or where indices are 0 and no bound is known. Stack: from the stack pointer at
    /// the function's entry, where the return address is, or from what moved it by an amount known at run time only. Heap, parameter,
    /// returned and thread-local: from that pointer. Null otherwise.
    #[column(unit = "bytes")]
    pub offset: Option<i64>,
    /// Global: address of the first byte that may be touched, or where indices are 0 and no bound is known. Null otherwise.
    #[column(unit = "address")]
    pub global_address: Option<u64>,
    /// Bytes from the first that may be touched to the last; null where no bound is known.
    #[column(unit = "bytes")]
    pub extent: Option<u64>,
    /// The places that are touched are multiples of so many bytes apart; null for one place alone, and where nothing is known of it.
    #[column(unit = "bytes")]
    pub stride: Option<u32>,
    /// Whether the instruction adds a register to another, or to an address.
    pub is_indexed: bool,
    /// How many bytes are touched at a time; null where only the address is computed.
    #[column(unit = "bytes")]
    pub size: Option<u16>,
    /// What is done.
    pub access: Access,
    /// How sure it is: `certain` where all that may be touched lies in the object, as far as one is named; `likely` where programs
    /// that stay within their variables do so, or where no bound of an index is known; `guess` where it is the best of several readings.
    pub confidence: Confidence,
    /// Why the memory is not known; null where it is.
    pub reason: Option<UnknownReason>,
}
