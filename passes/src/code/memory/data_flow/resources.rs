//! Resources: pieces of registers that instructions write separately, and flags. The units of reaching definitions.

use crate::isa::Isa;
use crate::isa::ops::{Flag, Part, Reg, RegSet};

/// A piece of a register, or a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resource(pub(super) u32);

/// The most pieces of a register.
const PIECES_MAX: u32 = 8;
const FLAGS_START: u32 = RegSet::REGISTERS_MAX as u32 * PIECES_MAX;

impl Resource {
    /// Number of resources.
    pub(super) const COUNT: u32 = FLAGS_START + Flag::ALL.len() as u32;

    fn piece(register: Reg, piece: u8) -> Self {
        Self(u32::from(register.0) * PIECES_MAX + u32::from(piece))
    }

    pub(super) fn flag(flag: Flag) -> Self {
        Self(FLAGS_START + flag as u32)
    }

    /// The pieces of a register.
    pub(super) fn of_register(isa: Isa, register: Reg) -> impl Iterator<Item = Self> {
        (0..isa.piece_count(register)).map(move |piece| Self::piece(register, piece))
    }

    /// The pieces that a part of a register overlaps.
    pub(super) fn of_part(isa: Isa, register: Reg, part: Part) -> impl Iterator<Item = Self> {
        isa.pieces(register, part).map(move |piece| Self::piece(register, piece))
    }

    /// The lowest pieces of registers.
    pub(super) fn lowest(registers: RegSet) -> impl Iterator<Item = Self> {
        registers.iter().map(|register| Self::piece(register, 0))
    }

    /// Name of the register that the resource is part of, or of the flag.
    pub(super) fn name(self, isa: Isa) -> &'static str {
        match self.0.checked_sub(FLAGS_START) {
            Some(flag) => Flag::ALL[flag as usize].name(),
            None => isa.piece_name(self.register(), (self.0 % PIECES_MAX) as u8),
        }
    }

    /// The register that the resource is part of.
    pub(super) fn register(self) -> Reg {
        Reg((self.0 / PIECES_MAX) as u8)
    }

    /// Whether the resource is a flag.
    pub(super) fn is_flag(self) -> bool {
        self.0 >= FLAGS_START
    }
}
