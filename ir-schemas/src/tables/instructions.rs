//! The table of the `instructions` stage.

use crate::enumeration::enumeration;
use crate::{Table, Term};

enumeration! {
    /// The control flow of an instruction.
    Flow {
        /// Falls through to the next instruction.
        Next = "next",
        /// Jumps to `target_address`.
        Jump = "jump",
        /// Jumps to `target_address` or falls through.
        CondJump = "cond_jump",
        /// Calls `target_address`; resumes at the next instruction when the callee returns.
        Call = "call",
        /// Returns to the caller.
        Ret = "ret",
        /// Jumps to an address in a register or in memory.
        IndirectJump = "indirect_jump",
        /// Calls an address in a register or in memory; resumes at the next instruction when the callee returns.
        IndirectCall = "indirect_call",
        /// Raises an exception.
        Trap = "trap",
        /// Invalid: the bytes are not an instruction.
        Invalid = "invalid",
    }
}

impl Flow {
    /// Whether the next instruction may be executed after this one.
    pub fn continues(self) -> bool {
        matches!(self, Self::Next | Self::CondJump | Self::Call | Self::IndirectCall)
    }

    /// Whether the instruction ends a basic block, even if calls return.
    pub fn ends_block(self) -> bool {
        !matches!(self, Self::Next | Self::Call | Self::IndirectCall)
    }
}

enumeration! {
    /// The kind of an operand.
    OperandKind {
        /// Register.
        Register = "register",
        /// Constant in the instruction.
        Immediate = "immediate",
        /// Memory, described by the `mem_` columns.
        Memory = "memory",
        /// Branch target, in `target_address`.
        Branch = "branch",
        /// Far branch target: a segment selector (`far_selector`) and an offset (`target_address`).
        FarBranch = "far_branch",
    }
}

enumeration! {
    /// How an instruction uses memory.
    Access {
        /// Read.
        Read = "read",
        /// Write.
        Write = "write",
        /// Read and write.
        ReadWrite = "read_write",
        /// No access: only the address is computed.
        Address = "address",
    }
}

enumeration! {
    /// A rounding mode in the encoding of an instruction. Each of them also suppresses floating-point exceptions.
    Rounding {
        /// To nearest.
        Nearest = "nearest",
        /// Down.
        Down = "down",
        /// Up.
        Up = "up",
        /// Towards zero.
        Zero = "zero",
        /// As in the control register; only exceptions are suppressed.
        Suppressed = "suppressed",
    }
}

enumeration! {
    /// A prefix that changes the execution of an instruction. It is listed even for instructions that it has no effect
    /// on.
    InstructionPrefix {
        /// Atomic read-modify-write.
        Lock = "lock",
        /// Repeated; comparisons are repeated while equal.
        Rep = "rep",
        /// Repeated while not equal; on a branch, preserves bounds (MPX).
        Repne = "repne",
        /// Starts lock elision.
        Xacquire = "xacquire",
        /// Ends lock elision.
        Xrelease = "xrelease",
        /// Both `xacquire` and `lock`.
        XacquireLock = "xacquire lock",
        /// Both `xrelease` and `lock`.
        XreleaseLock = "xrelease lock",
    }
}

enumeration! {
    /// The purpose of bytes in an executable section.
    Role {
        /// Code; the default, if neither of the others is recognized.
        Code = "code",
        /// Padding: zeros or instructions without effect, after an instruction that does not fall through, and not the
        /// target of a branch or the start of a function.
        Padding = "padding",
        /// Data: constants that instructions read, jump tables, and sequences of at least eight zeros.
        Data = "data",
    }
}

/// A decoded machine instruction, or bytes that are invalid or data. Rows do not overlap, and those of a section cover
/// it.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "instructions", stage = Instructions, key(address), span(address, size), file_bytes_per_row = 8)]
pub struct Instruction<'a> {
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the encoded instruction.
    #[column(unit = "bytes", range = 1..=15)]
    pub size: u8,
    /// Address after the last byte.
    #[column(unit = "address")]
    pub end_address: u64,
    /// Function whose range or fragment contains the instruction; null if none does. Padding and data inside of the
    /// range have a function, but no block.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: Option<u64>,
    /// Basic block that contains the instruction; null if none does.
    #[column(unit = "address", references = "basic_blocks.address")]
    pub block_address: Option<u64>,
    /// Section that contains the instruction.
    #[column(references = "binary_sections.section_index")]
    pub section_index: u32,
    /// Encoded instruction.
    pub bytes: &'a [u8],
    /// Name of the operation, in lower case, with the condition of a branch on AArch64 (`b.eq`); `(bad)` for invalid
    /// bytes, `(data)` for data.
    pub mnemonic: Term<'a>,
    /// Control flow of the instruction.
    pub flow: Flow,
    /// Target of a direct jump or call, an offset in the segment `far_selector` if that is not null; null for other
    /// instructions.
    #[column(unit = "address")]
    pub target_address: Option<u64>,
    /// Kind of the first operand; null if there is none.
    pub op0_kind: Option<OperandKind>,
    /// Kind of the second operand; null if there is none.
    pub op1_kind: Option<OperandKind>,
    /// Kind of the third operand; null if there is none.
    pub op2_kind: Option<OperandKind>,
    /// Kind of the fourth operand; null if there is none.
    pub op3_kind: Option<OperandKind>,
    /// Kind of the fifth operand, which is always an immediate on x86; null if there is none.
    pub op4_kind: Option<OperandKind>,
    /// Register of the first operand, the first one of a list; null if it is not a register.
    pub op0_register: Option<Term<'a>>,
    /// Register of the second operand; null if it is not a register.
    pub op1_register: Option<Term<'a>>,
    /// Register of the third operand; null if it is not a register.
    pub op2_register: Option<Term<'a>>,
    /// Register of the fourth operand; null if it is not a register.
    pub op3_register: Option<Term<'a>>,
    /// First immediate operand, extended to 64 bits as the instruction does; null if there is none. A floating-point one is
    /// the bits of a 64-bit number; a condition, system register or system operation is its number in the encoding.
    pub immediate: Option<i64>,
    /// Second immediate operand, as of `enter`; null if there is none.
    pub immediate2: Option<i64>,
    /// Segment selector of a direct far jump or call; null for other instructions.
    pub far_selector: Option<u16>,
    /// Segment register (`fs` or `gs`) whose base is added to the address of the (first) memory operand; null if there
    /// is none.
    pub mem_segment: Option<Term<'a>>,
    /// Base register of the memory operand; null if there is none.
    pub mem_base: Option<Term<'a>>,
    /// Index register of the memory operand; null if there is none.
    pub mem_index: Option<Term<'a>>,
    /// Factor that the index register is multiplied by; null if there is no index register.
    #[column(range = 1..=16)]
    pub mem_scale: Option<u8>,
    /// Constant part of the address of the memory operand (relative to the end of the instruction if the base is
    /// `rip`); null if there is no memory operand, or if it is a multiple of the length of vectors. What is added to the
    /// base after the access is an operand of its own.
    pub mem_displacement: Option<i64>,
    /// Address of the memory operand, if the encoding alone determines it: without registers, or relative to the
    /// instruction pointer; null for other instructions.
    #[column(unit = "address")]
    pub mem_address: Option<u64>,
    /// Size of the memory operand; null if there is none, if only its address is computed, or if the processor or a
    /// register determines it.
    #[column(unit = "bytes")]
    pub mem_size: Option<u16>,
    /// How the memory operand is used; null if there is none.
    pub mem_access: Option<Access>,
    /// Whether the memory operand is a single element that is broadcast to all elements of a vector; null if there is
    /// no memory operand.
    pub mem_is_broadcast: Option<bool>,
    /// Segment register of the second memory operand; null if there is none.
    pub mem2_segment: Option<Term<'a>>,
    /// Base register of the second memory operand, which only string instructions such as `movs` have, and which has no
    /// index and no displacement; null if there is none.
    pub mem2_base: Option<Term<'a>>,
    /// How the second memory operand is used; null if there is none.
    pub mem2_access: Option<Access>,
    /// Mask register that selects the vector elements to write; null if all are written.
    pub mask_register: Option<Term<'a>>,
    /// Whether vector elements that the mask excludes become zero instead of keeping their value; null if there is no
    /// mask.
    pub is_zeroing: Option<bool>,
    /// Rounding mode in the encoding; null if the control register determines it.
    pub rounding: Option<Rounding>,
    /// Prefix that changes the execution of the instruction; null if there is none.
    pub prefix: Option<InstructionPrefix>,
    /// Whether the bytes are a valid instruction.
    pub is_valid: bool,
    /// Purpose of the bytes.
    pub role: Role,
}
