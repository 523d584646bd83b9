//! The interpreter of x86 instructions over the domain of the memory stage.
//!
//! Its methods are grouped by file: `operand_values` evaluates operands, `abstract_transfer` and `string_instructions`
//! have the transfer functions, `memory_references` lists the memory that an instruction refers to, `resources` the
//! registers and flags that it uses.

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic};

/// Interprets instructions over abstract states.
pub(crate) struct AbstractInterpreter<'a> {
    pub(super) info: InstructionInfoFactory,
    /// Whether a number is the address of a byte that the loader maps, in a binary that is linked for fixed addresses.
    pub(super) is_fixed_address: &'a dyn Fn(u64) -> bool,
    /// Whether string instructions may run from high addresses to low ones.
    pub(super) may_run_backwards: bool,
}

impl<'a> AbstractInterpreter<'a> {
    /// An interpreter, given which numbers are addresses of the binary.
    pub(crate) fn new(is_fixed_address: &'a dyn Fn(u64) -> bool) -> Self {
        Self { info: InstructionInfoFactory::new(), is_fixed_address, may_run_backwards: false }
    }

    /// Prepares for the instructions of one function. String instructions may run backwards if it sets the direction
    /// flag anywhere.
    pub(crate) fn prepare(&mut self, instructions: &[Instruction]) {
        self.may_run_backwards =
            instructions.iter().any(|instruction| instruction.mnemonic() == Mnemonic::Std);
    }
}
