//! The state that ops read and write.

use super::memory::Memory;
use super::value::{Value, mask};
use binframe::passes::isa::ops::{Flag, FlagSet, Part, Reg, Rest, Rounding};

/// Words of a register: the x87 stack is the widest.
const REGISTER_WORDS: usize = 10;
const REGISTERS: usize = 128;

type Bits = [u64; REGISTER_WORDS];

/// Registers, flags, memory, and modes.
#[derive(Debug, Clone)]
pub struct State {
    registers: Vec<Bits>,
    /// Ones for the undefined bits of each register.
    undefined: Vec<Bits>,
    flags: u8,
    undefined_flags: u8,
    /// The regions of memory that can be accessed.
    pub memory: Memory,
    /// The current mode of rounding of floating point.
    pub rounding: Rounding,
    /// The sign of what is not a number, if it follows from inputs that are numbers.
    pub is_default_nan_negative: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            registers: vec![[0; REGISTER_WORDS]; REGISTERS],
            undefined: vec![[0; REGISTER_WORDS]; REGISTERS],
            flags: 0,
            undefined_flags: 0,
            memory: Memory::default(),
            rounding: Rounding::Nearest,
            is_default_nan_negative: true,
        }
    }
}

impl State {
    /// A part of a register; undefined if any of its bits is.
    pub fn register(&self, register: Reg, part: Part) -> Value {
        let index = usize::from(register.0);
        let undefined = Value::of_words(&self.undefined[index], 640).part(part.low, part.bits);
        if undefined.words().iter().any(|word| *word != 0) {
            return Value::undefined(part.bits);
        }
        Value::of_words(&self.registers[index], 640).part(part.low, part.bits)
    }

    /// All bits of a register, and ones for those that are undefined.
    pub fn whole(&self, register: Reg) -> (&[u64], &[u64]) {
        let index = usize::from(register.0);
        (&self.registers[index], &self.undefined[index])
    }

    /// Writes a part of a register.
    pub fn set_register(&mut self, register: Reg, part: Part, rest: Rest, value: &Value) {
        let index = usize::from(register.0);
        let end = part.low + part.bits;
        let ones = if value.is_undefined() { u128::MAX } else { 0 };
        for (bits, is_mark) in [(&mut self.registers[index], false), (&mut self.undefined[index], true)] {
            let mut whole = Value::of_words(bits, 640);
            for at in (0..part.bits).step_by(64) {
                let count = 64.min(part.bits - at);
                whole.set(part.low + at, count, if is_mark { ones } else { value.get(at, count) });
            }
            if rest == Rest::Zeroed {
                whole = whole.resized(end).resized(640);
            }
            bits.copy_from_slice(whole.words());
        }
    }

    /// A flag; `None` if it is undefined.
    pub fn flag(&self, flag: Flag) -> Option<bool> {
        let bit = 1 << flag as u8;
        (self.undefined_flags & bit == 0).then_some(self.flags & bit != 0)
    }

    /// Sets a flag; `None` makes it undefined.
    pub fn set_flag(&mut self, flag: Flag, value: Option<bool>) {
        let bit = 1 << flag as u8;
        self.flags &= !bit;
        self.undefined_flags &= !bit;
        match value {
            Some(true) => self.flags |= bit,
            Some(false) => {}
            None => self.undefined_flags |= bit,
        }
    }

    /// Makes flags undefined.
    pub fn forget_flags(&mut self, flags: FlagSet) {
        flags.iter().for_each(|flag| self.set_flag(flag, None));
    }

    /// Sets the low 64 bits of a register, and the others to 0.
    pub fn set_number(&mut self, register: Reg, number: u64) {
        let value = Value::of(u128::from(number), 64);
        self.set_register(register, Part { low: 0, bits: 64 }, Rest::Zeroed, &value);
    }

    /// The low 64 bits of a register, whether or not they are defined.
    pub fn number(&self, register: Reg) -> u64 {
        self.registers[usize::from(register.0)][0] & mask(64) as u64
    }

    /// Sets all bits of a register.
    pub fn set_words(&mut self, register: Reg, words: &[u64]) {
        self.registers[usize::from(register.0)][..words.len()].copy_from_slice(words);
    }
}
