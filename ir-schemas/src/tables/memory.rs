//! Tables of the `memory` stage: regions, stack frames and accesses.

use crate::enumeration::enumeration;
use crate::tables::Access;
use crate::{Table, Timestamp};

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
    /// Size; 0 for a stack or heap whose size the file leaves to the system.
    #[column(unit = "bytes")]
    pub size: u64,
    /// What the memory held when captured; null in the static view, where `binary_sections` has the content.
    pub content_snapshot: Option<&'a [u8]>,
    /// When the memory was captured; null in the static view.
    pub timestamp: Option<Timestamp>,
    /// The thread that a captured stack belongs to; null otherwise.
    pub thread_id: Option<u64>,
    /// The function that a region belongs to; null where it belongs to none.
    pub function_name: Option<&'a str>,
    /// What made the region: a section (`section .data`), a segment (`segment PT_GNU_STACK`) or a system service.
    pub allocation_site: Option<&'a str>,
}

enumeration! {
    /// What is known of a function's use of the stack.
    FrameStatus {
        /// The stack pointer is known at every instruction that is reached.
        Exact = "exact",
        /// The frame grows by an amount known at run time only; `frame_size` is its known part.
        Dynamic = "dynamic",
        /// Two ways to the same instruction disagree about the stack pointer; `frame_size` is the most that is known.
        Conflicting = "conflicting",
    }
}

/// How one function uses the stack.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "stack_frames", stage = Memory, key(function_address))]
pub struct StackFrame<'a> {
    /// The function.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// How far below the return address the stack pointer goes: saved registers, locals, outgoing arguments.
    #[column(unit = "bytes")]
    pub frame_size: u64,
    /// Callee-saved registers that the function pushes, in the order in which it does, separated by commas.
    pub saved_registers: &'a str,
    /// Whether the frame pointer (`rbp`, in 32-bit code `ebp`) points into the frame.
    pub uses_frame_pointer: bool,
    /// What is known of the stack pointer.
    pub status: FrameStatus,
}

enumeration! {
    /// What memory an instruction touches.
    AccessRegion {
        /// The function's own stack frame, or its caller's arguments above it.
        Stack = "stack",
        /// A fixed address.
        Global = "global",
        /// Not known.
        Unknown = "unknown",
    }
}

/// Memory that one instruction touches, or whose address it computes.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "memory_accesses", stage = Memory, key(instruction_address, is_implicit))]
pub struct MemoryAccess {
    /// The instruction.
    #[column(unit = "address", references = "instructions.address")]
    pub instruction_address: u64,
    /// Whether it is no `mem_` operand of the instruction, but the stack slot that a `push` or `pop` moves, or the second
    /// operand of a string instruction.
    pub is_implicit: bool,
    /// The function.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// What memory is touched.
    pub region: AccessRegion,
    /// Stack: offset from the stack pointer at the function's entry, where the return address is. Null otherwise.
    #[column(unit = "bytes")]
    pub stack_offset: Option<i64>,
    /// Global: the address. Null otherwise.
    #[column(unit = "address")]
    pub global_address: Option<u64>,
    /// Whether a register times a scale is added to the offset or address.
    pub is_indexed: bool,
    /// How many bytes are touched; null where only the address is computed.
    #[column(unit = "bytes")]
    pub size: Option<u16>,
    /// What is done.
    pub access: Access,
}
