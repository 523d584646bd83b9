//! The tables of the `instructions` and `effects` stages.

use crate::enumeration::enumeration;
use crate::{Table, Term};

enumeration! {
    /// Where control goes after an instruction.
    Flow {
        /// To the next instruction.
        Next = "next",
        /// To `target`.
        Jump = "jump",
        /// To `target` or to the next instruction.
        CondJump = "cond_jump",
        /// To `target`, and later back to the next instruction.
        Call = "call",
        /// To the caller.
        Ret = "ret",
        /// To an address held in a register or in memory.
        IndirectJump = "indirect_jump",
        /// To an address held in a register or in memory, and later back to the next instruction.
        IndirectCall = "indirect_call",
        /// Nowhere: the processor raises an exception.
        Trap = "trap",
        /// The bytes are no instruction.
        Invalid = "invalid",
    }
}

impl Flow {
    /// Whether the instruction after this one can be reached through this one.
    pub fn continues(self) -> bool {
        matches!(self, Self::Next | Self::CondJump | Self::Call | Self::IndirectCall)
    }

    /// Whether control leaves the straight line here other than by a call.
    pub fn ends_block(self) -> bool {
        !matches!(self, Self::Next | Self::Call | Self::IndirectCall)
    }
}

enumeration! {
    /// Kinds of operands.
    OperandKind {
        /// A register.
        Register = "register",
        /// A constant in the instruction.
        Immediate = "immediate",
        /// Memory, addressed by the `mem_` columns.
        Memory = "memory",
        /// The address in `target`.
        Branch = "branch",
        /// A segment and an offset.
        FarBranch = "far_branch",
    }
}

enumeration! {
    /// What an instruction does with memory.
    Access {
        /// Reads it.
        Read = "read",
        /// Writes it.
        Write = "write",
        /// Reads and writes it.
        ReadWrite = "read_write",
        /// Touches nothing: names or computes the address alone.
        Address = "address",
    }
}

enumeration! {
    /// How an instruction rounds. All of these also raise no exception.
    Rounding {
        /// To the nearest number.
        Nearest = "nearest",
        /// Down.
        Down = "down",
        /// Up.
        Up = "up",
        /// Towards zero.
        Zero = "zero",
        /// As the control register says: exceptions alone are suppressed.
        Suppressed = "suppressed",
    }
}

enumeration! {
    /// Prefixes that change how an instruction is run. Before instructions that they do nothing to, they stand all the same.
    InstructionPrefix {
        /// Its memory is read and written at once.
        Lock = "lock",
        /// It is repeated, while equal where it compares.
        Rep = "rep",
        /// It is repeated while not equal; before a branch, bounds are kept.
        Repne = "repne",
        /// It begins to elide a lock.
        Xacquire = "xacquire",
        /// It ends to elide a lock.
        Xrelease = "xrelease",
        /// Both `xacquire` and `lock`.
        XacquireLock = "xacquire lock",
        /// Both `xrelease` and `lock`.
        XreleaseLock = "xrelease lock",
    }
}

enumeration! {
    /// What bytes among code are there for.
    Role {
        /// To be run, for all that is known.
        Code = "code",
        /// To fill the space up to the next function: zeros or instructions that do nothing, behind an instruction that does not
        /// go on, with no call, jump or function's start in front of them.
        Padding = "padding",
        /// To be read: constants at addresses that instructions read, tables of jumps, and runs of eight and more zeros.
        Data = "data",
    }
}

/// One decoded machine instruction. Rows never overlap, and those of one section cover it.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "instructions", stage = Instructions, key(address), span(address, size))]
#[derived(
    /// Address after the last byte.
    end_address: u64 = |address, size| address + u64::from(size)
)]
#[derived(
    /// Absolute address of the memory operand, for one relative to the instruction pointer or to nothing; null else.
    mem_address: Option<u64> = |address, size, mem_base, mem_index, mem_segment, mem_displacement| {
        match (mem_base, mem_index, mem_segment, mem_displacement) {
            (Some(Term("rip")), None, None, Some(displacement)) => {
                Some(address.wrapping_add(u64::from(size)).wrapping_add_signed(displacement))
            }
            (None, None, None, Some(displacement)) => Some(displacement as u64),
            _ => None,
        }
    }
)]
pub struct Instruction<'a> {
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Length of the encoded instruction.
    #[column(unit = "bytes", range = 1..=15)]
    pub size: u8,
    /// The section it lies in.
    #[column(references = "binary_sections.section_index")]
    pub section_index: u32,
    /// The encoded instruction.
    pub bytes: &'a [u8],
    /// Name of the operation, in lower case; `(bad)` where the bytes are no instruction, `(data)` where they are data.
    pub mnemonic: Term<'a>,
    /// Where control goes next.
    pub flow: Flow,
    /// Where a direct jump or call goes, in the segment `far_selector` if there is one; null for every other instruction.
    #[column(unit = "address")]
    pub target: Option<u64>,
    /// Kind of the first operand; null where there is none.
    pub op0_kind: Option<OperandKind>,
    /// Kind of the second operand; null where there is none.
    pub op1_kind: Option<OperandKind>,
    /// Kind of the third operand; null where there is none.
    pub op2_kind: Option<OperandKind>,
    /// Kind of the fourth operand; null where there is none.
    pub op3_kind: Option<OperandKind>,
    /// Kind of the fifth operand, which no instruction has but with a constant; null where there is none.
    pub op4_kind: Option<OperandKind>,
    /// Register of the first operand; null where it is no register.
    pub op0_register: Option<Term<'a>>,
    /// Register of the second operand; null where it is no register.
    pub op1_register: Option<Term<'a>>,
    /// Register of the third operand; null where it is no register.
    pub op2_register: Option<Term<'a>>,
    /// Register of the fourth operand; null where it is no register.
    pub op3_register: Option<Term<'a>>,
    /// The first constant operand, sign-extended as the instruction uses it; null where there is none.
    pub immediate: Option<i64>,
    /// The second constant operand, as of `enter`; null where there is none.
    pub immediate2: Option<i64>,
    /// The segment that a direct far jump or call goes to; null for every other instruction.
    pub far_selector: Option<u16>,
    /// Segment whose base is added to the (first) memory operand's address (`fs` or `gs`); null where none is.
    pub mem_segment: Option<Term<'a>>,
    /// Base register of the memory operand; null where there is none.
    pub mem_base: Option<Term<'a>>,
    /// Index register of the memory operand; null where there is none.
    pub mem_index: Option<Term<'a>>,
    /// What the index is multiplied by; null where there is no index.
    #[column(range = 1..=8)]
    pub mem_scale: Option<u8>,
    /// Constant part of the memory operand's address (from the instruction's end, for base `rip`); null where
    /// there is no memory operand.
    pub mem_displacement: Option<i64>,
    /// Size of the memory operand; null where there is none or where only its address is computed.
    #[column(unit = "bytes")]
    pub mem_size: Option<u16>,
    /// What is done with the memory operand; null where there is none.
    pub mem_access: Option<Access>,
    /// Whether the memory operand is one element that stands for all elements of a vector; null where there is no memory operand.
    pub mem_is_broadcast: Option<bool>,
    /// Register whose bits choose the elements of vectors that are written; null where all are.
    pub mask_register: Option<Term<'a>>,
    /// Whether elements that the mask does not choose become zero, rather than stay; null where there is no mask.
    pub is_zeroing: Option<bool>,
    /// How results are rounded, where the instruction says so rather than a control register; null otherwise.
    pub rounding: Option<Rounding>,
    /// What is written before the instruction and changes how it is run; null where nothing is.
    pub prefix: Option<InstructionPrefix>,
    /// Whether the bytes are an instruction.
    pub is_valid: bool,
    /// What the bytes are there for.
    pub role: Role,
}

enumeration! {
    /// What an instruction does with a register or flag.
    EffectAccess {
        /// What it holds is used.
        Read = "read",
        /// It may be used, depending on what else is found.
        CondRead = "cond_read",
        /// It gets another value.
        Write = "write",
        /// It may get another value.
        CondWrite = "cond_write",
        /// The flag becomes 0.
        Clear = "clear",
        /// The flag becomes 1.
        Set = "set",
        /// What the flag holds behind the instruction is not defined.
        Undefined = "undefined",
    }
}

/// One register or flag that an instruction uses, and how.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "instruction_effects", stage = Effects, key(instruction_address, resource, access))]
pub struct InstructionEffect<'a> {
    /// The instruction.
    #[column(unit = "address", references = "instructions.address")]
    pub instruction_address: u64,
    /// The register, as wide as it is used, or the flag: `cf`, `pf`, `af`, `zf`, `sf`, `if`, `df`, `of`, `ac`, `uif`, those of the
    /// floating-point unit `c0` to `c3`.
    pub resource: Term<'a>,
    /// What is done with it.
    pub access: EffectAccess,
    /// Whether no operand names it: flags, the stack pointer of `push`, `rdx` of `div`.
    pub is_implicit: bool,
}
