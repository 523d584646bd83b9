//! The instruction sets that are decoded.

use binframe_ir::tables::Architecture;

/// An instruction set, including the processor mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86 in 64-bit mode.
    X86_64,
    /// x86 in 32-bit mode.
    X86,
}

impl Isa {
    /// The instruction set of an architecture; `None` if its code is not decoded.
    pub fn of(architecture: Architecture) -> Option<Self> {
        match architecture {
            Architecture::X86_64 => Some(Self::X86_64),
            Architecture::X86 => Some(Self::X86),
            _ => None,
        }
    }

    /// Size of an address in bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::X86_64 => 64,
            Self::X86 => 32,
        }
    }
}
