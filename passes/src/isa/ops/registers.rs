//! Registers by number, and sets of them.

/// A register: of those that overlap, the widest. Its number has a meaning within one instruction set, which also names
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(pub u8);

/// A set of registers, one bit for each of at most 128.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RegSet(pub u128);

impl RegSet {
    /// The most registers of an instruction set.
    pub const REGISTERS_MAX: u8 = 128;

    /// The set of the given registers.
    pub const fn of(registers: &[Reg]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < registers.len() {
            bits |= 1 << registers[index].0;
            index += 1;
        }
        Self(bits)
    }

    /// Whether a register is in the set.
    pub fn contains(self, register: Reg) -> bool {
        self.0 >> register.0 & 1 == 1
    }

    /// Adds a register.
    pub fn insert(&mut self, register: Reg) {
        self.0 |= 1 << register.0;
    }

    /// The registers in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Reg> {
        (0..Self::REGISTERS_MAX).map(Reg).filter(move |register| self.contains(*register))
    }
}
