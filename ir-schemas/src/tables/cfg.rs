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
        /// Other files can call it by name or number.
        Export = "export",
        /// The loader calls it.
        Initializer = "initializer",
        /// A direct call goes there.
        CallTarget = "call_target",
        /// A direct jump from another function goes there, as a tail call.
        JumpTarget = "jump_target",
        /// An instruction takes its address.
        AddressTaken = "address_taken",
        /// A pointer in data holds its address.
        Pointer = "pointer",
        /// Code stands there that nothing known goes to, behind the end of a function.
        Gap = "gap",
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

/// One function. The ranges of functions never overlap; its blocks lie in its range and in its parts (`function_parts`).
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
    /// Size of the range that begins there, with whatever padding and data lie between its blocks.
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
    /// Whether some way leads from its start to a return, or to a place that is not known.
    pub may_return: bool,
    /// Whether every loop is entered at one block alone.
    pub is_reducible: bool,
    /// Number of basic blocks.
    pub block_count: u32,
    /// Number of instructions in them.
    pub instruction_count: u32,
    /// Number of loops.
    pub loop_count: u32,
    /// The first of the functions that call each other in a circle with this one; null where known calls lead to no such circle.
    #[column(unit = "address", references = "functions.address")]
    pub recursion_address: Option<u64>,
    /// The same for functions whose blocks hold the same instructions, wherever those and what they refer to lie: relative
    /// addresses count only within `size`.
    pub content_hash: u64,
}

enumeration! {
    /// Why a range of code belongs to a function that begins elsewhere.
    PartEvidence {
        /// Its symbol is that of a part, such as `main.cold`.
        Symbol = "symbol",
        /// Its unwinding information says that it begins in the midst of a function.
        Unwind = "unwind",
        /// The function alone goes there, and keeps its stack frame.
        JumpTarget = "jump_target",
    }
}

/// A range of code that belongs to a function which begins elsewhere, such as what a compiler moved away as seldom executed.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "function_parts", stage = Cfg, key(address), span(address, size))]
#[derived(
    /// Address after the last byte.
    end_address: u64 = |address, size| address + size
)]
pub struct FunctionPart {
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the range.
    #[column(unit = "bytes")]
    pub size: u64,
    /// The function that it belongs to.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Why it belongs to it.
    pub evidence: PartEvidence,
}

enumeration! {
    /// How a basic block ends.
    Terminator {
        /// The next instruction begins a block because something jumps there.
        Fallthrough = "fallthrough",
        /// The same, after a call that comes back.
        Call = "call",
        /// A call that never comes back.
        CallNoReturn = "call_noreturn",
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

enumeration! {
    /// How a basic block is known to be executed.
    BlockEvidence {
        /// Known ways lead to it from the function's start.
        Flow = "flow",
        /// It stands in the function's range, but no known way leads to it.
        Gap = "gap",
    }
}

/// A run of instructions that is entered at its first and left at its last. A call that comes back does not end a block.
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
    /// How it is known to be executed.
    pub evidence: BlockEvidence,
    /// The last block before it that is on every way from the function's start to it; null for the first, and for one that no
    /// known way leads to.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub immediate_dominator: Option<u64>,
    /// The first block after it that is on every way from it to where the function is left; null where there is none.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub immediate_post_dominator: Option<u64>,
    /// The header of the innermost loop that it is in; null where it is in none.
    #[column(unit = "address", references = "loops.header_address")]
    pub loop_header: Option<u64>,
    /// Number of loops that it is in.
    pub loop_depth: u32,
}

/// A natural loop: the blocks from which a header is reached again without leaving what the header dominates.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "loops", stage = Cfg, key(header_address))]
pub struct Loop {
    /// The block at which it is entered.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub header_address: u64,
    /// The function that it is in.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// The header of the next loop around it; null where it is in none.
    #[column(unit = "address", references = "loops.header_address")]
    pub parent_header_address: Option<u64>,
    /// Number of loops that its header is in, this one included.
    pub depth: u32,
    /// Number of blocks in it, with those of loops inside.
    pub block_count: u32,
    /// Number of edges that lead from it back to its header.
    pub back_edge_count: u32,
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
        /// A call in the block throws.
        LandingPad = "landing_pad",
        /// A return to the caller.
        Return = "return",
        /// A conditional jump whose condition holds; `fallthrough` is the other way.
        Taken = "taken",
    }
}

enumeration! {
    /// How an edge is known.
    EdgeEvidence {
        /// The instruction's encoding says so.
        Encoding = "encoding",
        /// The file's exception tables say so.
        ExceptionTable = "exception_table",
        /// A jump table has it (`jump_tables`).
        JumpTable = "jump_table",
        /// The address is taken, and an indirect jump of the function goes to an address that is not known.
        AddressTaken = "address_taken",
        /// The instruction reads a pointer that the loader sets.
        Import = "import",
        /// The instruction reads a pointer into the file that nothing changes once it is loaded.
        Pointer = "pointer",
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
    /// The block that is entered; null for a return, for what leaves the function, and for an edge whose evidence is `unresolved`.
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
        /// Through a pointer that the loader sets to a function of another file, there or in a stub.
        Import = "import",
        /// Through an address held in a register or in memory.
        Indirect = "indirect",
        /// By a jump that leaves the function for good.
        Tail = "tail",
    }
}

/// One instruction by which a function calls another.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "call_edges", stage = Cfg, key(call_address))]
pub struct CallEdge<'a> {
    /// Address of the calling instruction.
    #[column(unit = "address", references = "instructions.address")]
    pub call_address: u64,
    /// The function that calls.
    #[column(unit = "address", references = "functions.address")]
    pub caller_address: u64,
    /// The function that is called; null for an indirect call whose pointer may change, for one through a pointer that the loader
    /// sets to a function of another file, and for a call out of the known code.
    #[column(unit = "address", references = "functions.address")]
    pub callee_address: Option<u64>,
    /// Name of the function of another file that is called, in the end; null where none is, or where it has no name.
    pub import_name: Option<&'a str>,
    /// How it is called.
    pub kind: CallKind,
    /// Whether the call may come back; for a tail call, whether its callee may return.
    pub may_return: bool,
    /// How the callee is known.
    pub evidence: EdgeEvidence,
    /// How sure it is.
    pub confidence: Confidence,
}

enumeration! {
    /// What the entries of a jump table are.
    JumpTableKind {
        /// Addresses.
        Absolute = "absolute",
        /// Signed offsets from `base_address`.
        Relative = "relative",
        /// Unsigned offsets from `base_address`.
        RelativeUnsigned = "relative_unsigned",
    }
}

enumeration! {
    /// How the number of entries of a jump table is known.
    BoundEvidence {
        /// The index is compared with a constant before the jump.
        Compare = "compare",
        /// Bits of the index are masked out, or it comes from a table of bytes.
        Mask = "mask",
        /// The next entry leads to no instruction of the function, or something else is known to stand there.
        Content = "content",
    }
}

/// An indirect jump whose targets stand in a table.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "jump_tables", stage = Cfg, key(jump_address))]
pub struct JumpTable {
    /// Address of the indirect jump that reads the table.
    #[column(unit = "address", references = "instructions.address")]
    pub jump_address: u64,
    /// The function that it is in.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Address of the first entry.
    #[column(unit = "address")]
    pub table_address: u64,
    /// What entries are.
    pub kind: JumpTableKind,
    /// Size of an entry.
    #[column(unit = "bytes")]
    pub entry_size: u8,
    /// What entries are added to; null for addresses.
    #[column(unit = "address")]
    pub base_address: Option<u64>,
    /// Address of a table of bytes whose values are the positions of entries, for a table of two levels; null for others.
    #[column(unit = "address")]
    pub index_table_address: Option<u64>,
    /// Number of entries.
    pub entry_count: u32,
    /// How that is known.
    pub bound_evidence: BoundEvidence,
    /// How sure the targets are.
    pub confidence: Confidence,
}

/// One entry of a jump table. Entries that lead behind the function, where compilers let cases lead that cannot be, have no row.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "jump_table_entries", stage = Cfg, key(jump_address, entry_index))]
pub struct JumpTableEntry {
    /// Address of the indirect jump that reads the table.
    #[column(unit = "address", references = "jump_tables.jump_address")]
    pub jump_address: u64,
    /// Position in the table.
    pub entry_index: u32,
    /// Where the jump goes.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub target_address: u64,
}
