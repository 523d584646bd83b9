//! The results of the analysis of one function, from which the tables are made.

use super::function_record::FunctionRecord;
use super::slots::StackSlot;
use super::stack_depth::StackDepth;
use crate::domains::Summary;
use binframe_ir::tables::FrameStatus;

/// The results of the analysis of one function.
#[derive(Debug)]
pub(super) struct FunctionAnalysis {
    pub(super) frame: StackFrameFacts,
    pub(super) depth: StackDepth,
    pub(super) summary: Summary,
    pub(super) slots: Vec<StackSlot>,
    /// Sorted by call.
    pub(super) allocations: Vec<Allocation>,
    /// Sorted by call.
    pub(super) threads: Vec<ThreadStart>,
    pub(super) global_accesses: Vec<GlobalAccess>,
    pub(super) record: FunctionRecord,
    /// Whether the fixpoint iteration was cut short ([`FunctionAnalyzer`](super::fixpoint::FunctionAnalyzer)).
    pub(super) is_too_complex: bool,
}

/// The frame of a function: a row of `stack_frames` without its depth and saved registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct StackFrameFacts {
    pub(super) size: u64,
    pub(super) uses_frame_pointer: bool,
    pub(super) canary_offset: Option<i64>,
    pub(super) alignment: Option<u32>,
    pub(super) red_zone_size: u64,
    pub(super) outgoing_argument_size: u64,
    pub(super) status: FrameStatus,
}

/// A call that allocates memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allocation {
    pub(super) call_address: u64,
    /// Size in bytes; `None` if it is not constant.
    pub(super) size: Option<u64>,
}

/// A call that starts a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ThreadStart {
    pub(super) call_address: u64,
    /// The function that the thread runs.
    pub(super) function_address: u64,
}

/// A reference of an instruction to data of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GlobalAccess {
    /// Address of the data; that at index 0 if inexact.
    pub(super) address: u64,
    /// Bytes accessed at once; 0 if only the address is computed.
    pub(super) size: u16,
    /// Whether the address is one of several.
    pub(super) is_inexact: bool,
}

impl GlobalAccess {
    /// A reference that only takes the address.
    pub(super) fn taken_address(address: u64) -> Self {
        Self { address, size: 0, is_inexact: false }
    }
}
