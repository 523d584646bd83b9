//! Tables of the `cfg` stage: functions, basic blocks and edges.

use crate::Table;
use crate::enumeration::enumeration;

enumeration! {
    /// Why a function is taken to begin where it does, the strongest reason first.
    FunctionEvidence {
        /// A symbol names it.
        Symbol = "symbol",
        /// Unwinding information describes it.
        Unwind = "unwind",
        /// Execution of the file begins there.
        Entry = "entry",
        /// A direct call goes there.
        CallTarget = "call_target",
        /// A direct jump from another function goes there.
        JumpTarget = "jump_target",
    }
}

enumeration! {
    /// How sure a row is.
    Confidence {
        /// It follows from the file's own statements or from an instruction's encoding.
        Certain = "certain",
        /// Compilers' habits make it so.
        Likely = "likely",
        /// It is the best of several readings.
        Guess = "guess",
    }
}

/// One function. The ranges of functions never overlap; its blocks cover its range.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "functions", stage = Cfg, key(address), span(address, size))]
#[derived(
    /// Address after the last byte.
    end_address: u64 = |address, size| address + size
)]
pub struct Function<'a> {
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the code.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Name by which the symbol tables know it; null where they do not.
    pub name: Option<&'a str>,
    /// The section it lies in.
    #[column(references = "binary_sections.section_index")]
    pub section_index: u32,
    /// Why it is taken to begin at `address`.
    pub evidence: FunctionEvidence,
    /// How sure its existence and its size are.
    pub confidence: Confidence,
    /// Number of basic blocks.
    pub block_count: u32,
    /// Number of instructions.
    pub instruction_count: u32,
}

enumeration! {
    /// How a basic block ends.
    Terminator {
        /// The next instruction begins a block because something jumps there.
        Fallthrough = "fallthrough",
        /// The same, after a call that comes back.
        Call = "call",
        /// A direct jump.
        Jump = "jump",
        /// A conditional jump.
        CondJump = "cond_jump",
        /// A return.
        Ret = "ret",
        /// A jump to an address held in a register or in memory.
        IndirectJump = "indirect_jump",
        /// An instruction that raises an exception.
        Trap = "trap",
        /// Bytes that are no instruction.
        Invalid = "invalid",
        /// The function's range ends although control would go on.
        End = "end",
    }
}

/// A run of instructions that is entered at its first and left at its last. A call does not end a block.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "basic_blocks", stage = Cfg, key(address), span(address, size))]
#[derived(
    /// Address after the last byte.
    end_address: u64 = |address, size| address + size
)]
pub struct BasicBlock {
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the code.
    #[column(unit = "bytes")]
    pub size: u64,
    /// The function it is part of.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Number of instructions.
    pub instruction_count: u32,
    /// How it ends.
    pub terminator: Terminator,
}

enumeration! {
    /// Why control passes along an edge. In the order of the alphabet, which is the order of rows.
    EdgeKind {
        /// The block ends with a call, which comes back to the next block.
        CallReturn = "call_return",
        /// Nothing but the end of the block.
        Fallthrough = "fallthrough",
        /// A jump to an address held in a register or in memory.
        Indirect = "indirect",
        /// A direct jump.
        Jump = "jump",
        /// A return to the caller.
        Return = "return",
        /// A conditional jump whose condition holds; `fallthrough` is the other way.
        Taken = "taken",
    }
}

enumeration! {
    /// How an edge is known.
    EdgeEvidence {
        /// The last instruction's encoding says so.
        Encoding = "encoding",
        /// Something goes there, but where is not known.
        Unresolved = "unresolved",
    }
}

/// One way for control to leave a basic block.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "cfg_edges", stage = Cfg, key(source_address, kind, target_address))]
pub struct CfgEdge {
    /// The block that is left.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub source_address: u64,
    /// The block that is entered; null for a return and for an edge whose evidence is `unresolved`.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub target_address: Option<u64>,
    /// Why control passes.
    pub kind: EdgeKind,
    /// How the edge is known.
    pub evidence: EdgeEvidence,
    /// How sure it is.
    pub confidence: Confidence,
}

enumeration! {
    /// How one function calls another.
    CallKind {
        /// By an instruction that names the address.
        Direct = "direct",
        /// Through an address held in a register or in memory.
        Indirect = "indirect",
        /// By a direct jump that leaves the function for good.
        Tail = "tail",
    }
}

/// One instruction by which a function calls another.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "call_edges", stage = Cfg, key(call_address))]
pub struct CallEdge {
    /// Address of the calling instruction.
    #[column(unit = "address", references = "instructions.address")]
    pub call_address: u64,
    /// The function that calls.
    #[column(unit = "address", references = "functions.address")]
    pub caller_address: u64,
    /// The function that is called; null for an indirect call, or a call out of the known code.
    #[column(unit = "address", references = "functions.address")]
    pub callee_address: Option<u64>,
    /// How it is called.
    pub kind: CallKind,
    /// How the callee is known.
    pub evidence: EdgeEvidence,
    /// How sure it is.
    pub confidence: Confidence,
}
