//! The table of the `effects` stage.

use crate::enumeration::enumeration;
use crate::{Table, Term};

enumeration! {
    /// How an instruction uses a register or flag.
    EffectAccess {
        /// Reads the value.
        Read = "read",
        /// May read the value, depending on other operands.
        CondRead = "cond_read",
        /// Writes a value.
        Write = "write",
        /// May write a value, depending on other operands.
        CondWrite = "cond_write",
        /// Sets the flag to 0.
        Clear = "clear",
        /// Sets the flag to 1.
        Set = "set",
        /// Leaves the flag with an undefined value.
        Undefined = "undefined",
    }
}

/// A register or flag that an instruction reads or writes.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "instruction_effects", stage = Effects, key(instruction_address, resource, access), file_bytes_per_row = 2)]
pub struct InstructionEffect<'a> {
    /// Address of the instruction.
    #[column(unit = "address", references = "instructions.address")]
    pub instruction_address: u64,
    /// Register, in the width in which it is used, or flag: `cf`, `pf`, `af`, `zf`, `sf`, `if`, `df`, `of`, `ac`,
    /// `uif`, or `c0` to `c3` of the x87 floating-point unit.
    pub resource: Term<'a>,
    /// How the register or flag is used.
    pub access: EffectAccess,
    /// Whether no operand names it, such as flags, the stack pointer of `push` and `rdx` of `div`.
    pub is_implicit: bool,
}
