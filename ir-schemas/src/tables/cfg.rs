//! Tables of the `cfg` stage: functions, basic blocks, edges, loops, calls and jump tables.

use crate::Table;
use crate::enumeration::enumeration;
use crate::tables::FunctionNameKind;

enumeration! {
    /// How the start of a function was identified, the most reliable first.
    FunctionEvidence {
        /// A symbol names it.
        Symbol = "symbol",
        /// The function table of a Go program lists it.
        FunctionTable = "function_table",
        /// Unwind information describes it.
        Unwind = "unwind",
        /// It is the entry point of the file.
        Entry = "entry",
        /// It is exported.
        Export = "export",
        /// The loader calls it as an initializer.
        Initializer = "initializer",
        /// It is the target of a direct call.
        CallTarget = "call_target",
        /// It is the target of a direct jump from another function (a tail call).
        JumpTarget = "jump_target",
        /// An instruction takes its address.
        AddressTaken = "address_taken",
        /// A pointer in data holds its address.
        Pointer = "pointer",
        /// It is the first code after the end of a function, and nothing refers to it.
        Gap = "gap",
    }
}

enumeration! {
    /// How reliable a row is, given its `evidence`. The column `confidence` of each table states the criteria.
    Confidence {
        /// Follows from declarations in the file (symbols, unwind and exception tables, relocations) and from the
        /// encoding of instructions. Assumes that the declarations are true, that functions keep to the calling
        /// convention, including the registers that they preserve, and that a pointer which may be null is not null
        /// when it is used.
        Certain = "certain",
        /// Follows if, in addition, the code is as compilers usually generate it.
        Likely = "likely",
        /// The most plausible of several interpretations, or a claim that holds only if unproven assumptions about
        /// other code do.
        Guess = "guess",
    }
}

/// A function: code with one entry that is called, identified by its `evidence`. Function ranges do not overlap; the blocks
/// of a function are in its range or in its fragments (`function_parts`).
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "functions", stage = Cfg, key(address), span(address, size), file_bytes_per_row = 500)]
pub struct Function<'a> {
    /// Entry address.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the contiguous range at `address`, including padding and data between blocks; fragments are not
    /// included.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Address after the last byte of the range.
    #[column(unit = "address")]
    pub end_address: u64,
    /// Name as stored, usually mangled; null if `name_kind` is `none`. All names are in `function_names`.
    #[column(bloom_filter)]
    pub function_name: Option<&'a str>,
    /// What gives the name.
    pub name_kind: FunctionNameKind,
    /// Section that contains `address`.
    #[column(references = "binary_sections.section_index")]
    pub section_index: u32,
    /// How the start was identified; of several reasons, the most reliable.
    pub evidence: FunctionEvidence,
    /// Confidence in start and size. `certain`: symbol, function table or unwind information with a
    /// size; `guess`: start identified by
    /// a jump, an address taken in code, or a gap; otherwise `likely`.
    pub confidence: Confidence,
    /// Whether a path from the entry reaches a return, a tail call that may return, or an unknown target; false for
    /// functions known by name not to return.
    pub may_return: bool,
    /// Whether the control-flow graph is reducible: each cycle that is reached from the entry has one entry block.
    pub is_reducible: bool,
    /// Number of basic blocks, including those of fragments and unreached (`gap`) ones.
    pub block_count: u32,
    /// Number of instructions in these blocks.
    pub instruction_count: u32,
    /// Number of natural loops (`loops`).
    pub loop_count: u32,
    /// Lowest function address in its cycle of known calls (call-graph SCC); equal for mutually recursive functions;
    /// null if the function is not known to be recursive.
    #[column(unit = "address", references = "functions.address")]
    pub recursion_group_address: Option<u64>,
    /// Hash, as 16 hexadecimal digits, of the instruction bytes of all blocks in address order, with relative addresses that point outside
    /// `address..address+size` zeroed; equal for relocated copies.
    #[column(bloom_filter)]
    pub content_hash: &'a str,
}

enumeration! {
    /// How a function fragment was identified.
    PartEvidence {
        /// Its symbol name is that of a fragment, such as `main.cold`.
        Symbol = "symbol",
        /// An unwind entry describes it.
        Unwind = "unwind",
        /// A jump leaves this function alone to it: a conditional one, or to code that cannot start a function.
        JumpTarget = "jump_target",
    }
}

/// A function fragment: a range of code outside its function's range, such as a cold fragment split off by hot/cold
/// splitting.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "function_parts", stage = Cfg, key(address), span(address, size))]
pub struct FunctionPart {
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the range.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Address after the last byte.
    #[column(unit = "address")]
    pub end_address: u64,
    /// Function that the fragment belongs to.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// How the fragment was identified.
    pub evidence: PartEvidence,
}

enumeration! {
    /// How a basic block ends.
    Terminator {
        /// Falls through: the next instruction is a jump target and starts another block.
        Fallthrough = "fallthrough",
        /// Ends with a call that returns; the next instruction is a jump target and starts another block.
        Call = "call",
        /// Ends with a call that does not return.
        CallNoReturn = "call_noreturn",
        /// Ends with a direct jump; or with a call whose callee takes its return address, or a return to a constant that
        /// was pushed, which are jumps.
        Jump = "jump",
        /// Ends with a conditional jump.
        CondJump = "cond_jump",
        /// Ends with a return.
        Ret = "ret",
        /// Ends with a jump to an address in a register or in memory, or with a return to an address that replaces the
        /// return address.
        IndirectJump = "indirect_jump",
        /// Ends with an instruction that raises an exception, or a system call that ends the process.
        Trap = "trap",
        /// Ends with invalid bytes.
        Invalid = "invalid",
        /// Falls through at the end of the function's range.
        End = "end",
    }
}

enumeration! {
    /// Whether a basic block is reached in the recovered control-flow graph.
    BlockEvidence {
        /// Reached from the function's entry along known edges.
        Flow = "flow",
        /// Inside the function's range, but not reached along known edges.
        Gap = "gap",
    }
}

/// A basic block: a contiguous sequence of instructions that is entered at the first and left at the last one. A call
/// that returns does not end a block.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "basic_blocks", stage = Cfg, key(address), span(address, size), file_bytes_per_row = 40)]
pub struct BasicBlock {
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the block.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Address after the last byte.
    #[column(unit = "address")]
    pub end_address: u64,
    /// Function that the block belongs to.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Number of instructions.
    pub instruction_count: u32,
    /// How the block ends.
    pub terminator: Terminator,
    /// Whether the block is reached in the recovered control-flow graph.
    pub evidence: BlockEvidence,
    /// Closest other block on every path from the function's entry to this block; null for the entry block and for
    /// unreached blocks.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub immediate_dominator_address: Option<u64>,
    /// Closest other block on every path from this block to an exit of the function; null if there is none.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub immediate_post_dominator_address: Option<u64>,
    /// Header of the innermost loop that contains the block; null if it is in no loop.
    #[column(unit = "address", references = "loops.header_address")]
    pub loop_header_address: Option<u64>,
    /// Number of loops that contain the block.
    pub loop_depth: u32,
}

/// A natural loop: a header, and the blocks that it dominates and that have a path back to it through such blocks.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "loops", stage = Cfg, key(header_address))]
pub struct Loop {
    /// Header: the only block at which the loop is entered.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub header_address: u64,
    /// Function that contains the loop.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Header of the smallest enclosing loop; null if there is none.
    #[column(unit = "address", references = "loops.header_address")]
    pub parent_header_address: Option<u64>,
    /// Nesting depth: number of loops that contain the header, including this one.
    pub depth: u32,
    /// Number of blocks, including those of inner loops.
    pub block_count: u32,
    /// Number of back edges: edges from a block of the loop to its header.
    pub back_edge_count: u32,
}

enumeration! {
    /// The kind of a control-flow edge. Declared in alphabetical order, which is the order of the rows.
    EdgeKind {
        /// From a block that ends with a returning call to the next block.
        CallReturn = "call_return",
        /// To the next block, without a jump or past a conditional jump that is not taken.
        Fallthrough = "fallthrough",
        /// By a jump to an address in a register or in memory.
        Indirect = "indirect",
        /// By a direct jump, or by one to a constant address in a register.
        Jump = "jump",
        /// To a landing pad, if a call in the block throws an exception.
        LandingPad = "landing_pad",
        /// By a return to the caller.
        Return = "return",
        /// By a conditional jump that is taken.
        Taken = "taken",
    }
}

enumeration! {
    /// How the target of an edge or call was identified.
    EdgeEvidence {
        /// Encoded in the instruction.
        Encoding = "encoding",
        /// Listed in an exception table of the file.
        ExceptionTable = "exception_table",
        /// Entry of a jump table (`jump_tables`).
        JumpTable = "jump_table",
        /// Address taken, and inside a function that has an indirect jump with unknown targets.
        AddressTaken = "address_taken",
        /// Read from an import slot, which the loader sets to an address in another file.
        Import = "import",
        /// Read from a pointer into this file that is constant after loading.
        Pointer = "pointer",
        /// The value of a register, which the instructions before set to a constant.
        Register = "register",
        /// Unknown target.
        Unresolved = "unresolved",
    }
}

/// A control-flow edge: a possible transfer of control from a basic block to another block, or out of the function.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "cfg_edges", stage = Cfg, key(source_address, kind, target_address), file_bytes_per_row = 40)]
pub struct CfgEdge {
    /// Block that the edge leaves.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub source_address: u64,
    /// Block that the edge enters, which may belong to another function; null for a return, and for an indirect jump to
    /// another function or to an unknown target (evidence `import`, `pointer` or `unresolved`). A direct jump to an
    /// address at which no block starts has no row.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub target_address: Option<u64>,
    /// Kind of edge.
    pub kind: EdgeKind,
    /// How the target was identified.
    pub evidence: EdgeEvidence,
    /// `certain`: encoded in the instruction, listed in an exception table, or read from a pointer that the loader sets
    /// or that is constant; `likely`: resumption after a call, the value of a register, or a jump over the prefix that
    /// makes the next instruction atomic, which goes to its block; `guess`: address taken, or unresolved. For a jump
    /// table, see `jump_tables`.
    pub confidence: Confidence,
}

enumeration! {
    /// How a function calls another.
    CallKind {
        /// By a call instruction that encodes the target.
        Direct = "direct",
        /// By a call of an imported function, through its import slot or a stub that jumps through it.
        Import = "import",
        /// By a call of an address in a register or in memory.
        Indirect = "indirect",
        /// By a jump to another function (tail call), which returns to the caller's caller.
        Tail = "tail",
    }
}

enumeration! {
    /// How the callee of a call was identified.
    CallEvidence {
        /// Encoded in the instruction.
        Encoding = "encoding",
        /// The loader writes the address of an imported function to a known address, from which it is read.
        Import = "import",
        /// Read from a pointer that is constant once the file is loaded.
        Pointer = "pointer",
        /// The value of a register, which the instructions before set to a constant, or load from such a pointer or
        /// import slot.
        Register = "register",
        /// Unknown: computed at run time.
        Unresolved = "unresolved",
    }
}

/// A call site: an instruction by which a function calls another.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "call_edges", stage = Cfg, key(call_address), file_bytes_per_row = 100)]
pub struct CallEdge<'a> {
    /// Address of the calling instruction.
    #[column(unit = "address", references = "instructions.address")]
    pub call_address: u64,
    /// Calling function.
    #[column(unit = "address", references = "functions.address")]
    pub caller_address: u64,
    /// Called function (for an import, the stub in this file); null if the target is unknown, outside of the known
    /// functions, or read from an import slot.
    #[column(unit = "address", references = "functions.address")]
    pub callee_address: Option<u64>,
    /// Imported function that is called, directly or through a stub; null if none is known.
    #[column(references = "binary_imports.import_index")]
    pub import_index: Option<u32>,
    /// Name of the function that the loader looks up and that is called, directly or through a stub; null if there is no
    /// such name.
    #[column(bloom_filter)]
    pub import_name: Option<&'a str>,
    /// How the function is called.
    pub kind: CallKind,
    /// Whether the call may return, given the exit status that it passes to `error` of glibc; for a tail call, whether the callee may (if it is imported: whether the caller
    /// may).
    pub may_return: bool,
    /// How the callee was identified; `unresolved` if it is unknown.
    pub evidence: CallEvidence,
    /// `certain`: direct call, or callee read from an import slot or a constant pointer; `likely`: the value of a
    /// register, or jump to another function, taken to be a tail call; `guess`: unresolved.
    pub confidence: Confidence,
}

enumeration! {
    /// The encoding of the entries of a jump table.
    JumpTableKind {
        /// Addresses.
        Absolute = "absolute",
        /// Signed offsets from `base_address`.
        Relative = "relative",
        /// Unsigned offsets from `base_address`.
        RelativeUnsigned = "relative_unsigned",
        /// Distances that are subtracted from `base_address`.
        Subtracted = "subtracted",
    }
}

enumeration! {
    /// How the number of entries of a jump table was determined.
    BoundEvidence {
        /// The index is compared with a constant before the jump.
        Compare = "compare",
        /// The index is masked, shifted to the right, or an element of a table of bytes.
        Mask = "mask",
        /// The next entry is not the start of an instruction of the function, code refers to its address as something
        /// else, or another table starts there.
        Content = "content",
    }
}

/// A jump table: the constants from which an indirect jump reads its target.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "jump_tables", stage = Cfg, key(jump_address))]
pub struct JumpTable {
    /// Address of the indirect jump.
    #[column(unit = "address", references = "instructions.address")]
    pub jump_address: u64,
    /// Function that contains the jump.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Address of the first entry.
    #[column(unit = "address")]
    pub table_address: u64,
    /// Encoding of the entries.
    pub kind: JumpTableKind,
    /// Size of an entry.
    #[column(unit = "bytes")]
    pub entry_size: u8,
    /// Address that entries are relative to; null for absolute entries.
    #[column(unit = "address")]
    pub base_address: Option<u64>,
    /// Address of the index table of a two-level jump table: bytes, each the position of an entry; null for a one-level
    /// table.
    #[column(unit = "address")]
    pub index_table_address: Option<u64>,
    /// Number of entries.
    pub entry_count: u32,
    /// How the number of entries was determined.
    pub bound_evidence: BoundEvidence,
    /// Confidence in the targets, given by `bound_evidence`. `certain`: `compare`; `likely`: `mask`; `guess`:
    /// `content`.
    pub confidence: Confidence,
}

/// An entry of a jump table. Entries that point to the end of the function, as compilers generate for impossible cases,
/// and an invalid first entry, which an index that is never 0 leaves, have no row.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "jump_table_entries", stage = Cfg, key(jump_address, entry_index))]
pub struct JumpTableEntry {
    /// Address of the indirect jump.
    #[column(unit = "address", references = "jump_tables.jump_address")]
    pub jump_address: u64,
    /// Position in the table.
    pub entry_index: u32,
    /// Target of the jump.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub target_address: u64,
}
