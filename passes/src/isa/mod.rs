//! Instruction sets: the only code that knows what machine code means.

pub mod x86;
