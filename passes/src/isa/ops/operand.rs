//! What ops read and write.

use super::registers::Reg;

/// Consecutive bits of a register or temporary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// The lowest bit.
    pub low: u16,
    /// Number of bits.
    pub bits: u16,
}

/// A value that an op reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// No operand.
    None,
    /// A number of the given width; its bits from 64 on are 0.
    Constant(u64, u16),
    /// An address in the binary, of the given width: the encoding states it relative to the instruction.
    Address(u64, u16),
    /// A part of a register.
    Register(Reg, Part),
    /// A part of a temporary.
    Temporary(u16, Part),
    /// A flag, one bit wide.
    Flag(Flag),
}

/// Where the result of an op goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The op has no result.
    None,
    /// A part of a register, and what becomes of the bits above it. Bits below it are kept.
    Register(Reg, Part, Rest),
    /// A whole temporary.
    Temporary(u16, u16),
    /// A flag.
    Flag(Flag),
    /// Several flags, by an operation that defines each of them.
    Flags(FlagSet),
}

/// What becomes of the bits of a register above a part that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// They keep their value.
    Kept,
    /// They become 0.
    Zeroed,
}

/// A flag: one bit of the state that conditions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flag {
    /// Carry or borrow out of the highest bit.
    Carry,
    /// Whether the lowest eight bits have an even number of ones.
    Parity,
    /// Carry or borrow out of bit 3.
    Adjust,
    /// Whether the result is 0.
    Zero,
    /// The highest bit of the result.
    Sign,
    /// Whether a signed result does not fit.
    Overflow,
    /// Whether string instructions run from high addresses to low ones.
    Direction,
}

impl Flag {
    /// Every flag, in the order of their bits in a [`FlagSet`].
    pub const ALL: [Self; 7] =
        [Self::Carry, Self::Parity, Self::Adjust, Self::Zero, Self::Sign, Self::Overflow, Self::Direction];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Carry => "cf",
            Self::Parity => "pf",
            Self::Adjust => "af",
            Self::Zero => "zf",
            Self::Sign => "sf",
            Self::Overflow => "of",
            Self::Direction => "df",
        }
    }
}

/// A set of flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FlagSet(u8);

impl FlagSet {
    /// The set of the given flags.
    pub const fn of(flags: &[Flag]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < flags.len() {
            bits |= 1 << flags[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    /// Whether a flag is in the set.
    pub const fn contains(self, flag: Flag) -> bool {
        self.0 >> flag as u8 & 1 == 1
    }

    /// The flags of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The flags in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags in the order of [`Flag::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.contains(*flag))
    }
}

impl Operand {
    /// Width in bits; 0 for no operand.
    pub fn bits(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Constant(_, bits)
            | Self::Address(_, bits)
            | Self::Register(_, Part { bits, .. })
            | Self::Temporary(_, Part { bits, .. }) => bits,
            Self::Flag(_) => 1,
        }
    }

    /// Bits `low..low + bits` of the operand.
    #[must_use]
    pub fn part(self, low: u16, bits: u16) -> Self {
        let within = |part: Part| Part { low: part.low + low, bits };
        match self {
            Self::Address(_, whole) if (low, bits) == (0, whole) => self,
            Self::Constant(number, _) | Self::Address(number, _) => {
                let shifted = number.checked_shr(u32::from(low)).unwrap_or(0);
                Self::Constant(if bits < 64 { shifted & ((1 << bits) - 1) } else { shifted }, bits)
            }
            Self::Register(register, part) => Self::Register(register, within(part)),
            Self::Temporary(index, part) => Self::Temporary(index, within(part)),
            Self::None | Self::Flag(_) => self,
        }
    }
}
