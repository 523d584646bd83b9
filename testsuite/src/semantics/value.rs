//! Values of up to 1024 bits.

/// The widest value is two vector registers, concatenated.
const WORDS: usize = 16;

/// A number of a given width, or an undefined value of that width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    words: [u64; WORDS],
    bits: u16,
    is_undefined: bool,
}

/// Ones in the low bits.
pub(super) fn mask(bits: u16) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

/// The low bits as a signed number.
pub(super) fn signed(number: u128, bits: u16) -> i128 {
    let shift = 128 - u32::from(bits);
    ((number << shift) as i128) >> shift
}

impl Value {
    /// A value of the given width whose bits are 0.
    pub fn zero(bits: u16) -> Self {
        assert!(usize::from(bits) <= WORDS * 64, "a value of {bits} bits");
        Self { words: [0; WORDS], bits, is_undefined: false }
    }

    /// An undefined value of the given width.
    pub fn undefined(bits: u16) -> Self {
        Self { is_undefined: true, ..Self::zero(bits) }
    }

    /// The low bits of a number.
    pub fn of(number: u128, bits: u16) -> Self {
        let mut value = Self::zero(bits);
        value.set(0, bits.min(128), number);
        value
    }

    /// The low bits of words in ascending order.
    pub fn of_words(words: &[u64], bits: u16) -> Self {
        let mut value = Self::zero(bits);
        let count = words.len().min(WORDS);
        value.words[..count].copy_from_slice(&words[..count]);
        value.clear_above();
        value
    }

    /// The bytes in little-endian order.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut value = Self::zero(bytes.len() as u16 * 8);
        for (word, chunk) in value.words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(whole);
        }
        value
    }

    /// Width in bits.
    pub fn bits(&self) -> u16 {
        self.bits
    }

    /// Whether nothing is known about it.
    pub fn is_undefined(&self) -> bool {
        self.is_undefined
    }

    /// The words in ascending order.
    pub fn words(&self) -> &[u64] {
        &self.words[..usize::from(self.bits).div_ceil(64)]
    }

    /// The bytes in little-endian order.
    pub fn bytes(&self) -> impl Iterator<Item = u8> {
        let count = usize::from(self.bits / 8);
        self.words.into_iter().flat_map(u64::to_le_bytes).take(count)
    }

    /// The low 128 bits.
    pub fn low(&self) -> u128 {
        u128::from(self.words[1]) << 64 | u128::from(self.words[0])
    }

    /// Whether the lowest bit is 1.
    pub fn is_true(&self) -> bool {
        self.words[0] & 1 == 1
    }

    /// At most 128 bits from bit `low`; zeros beyond the width.
    pub fn get(&self, low: u16, bits: u16) -> u128 {
        let (word, shift) = (usize::from(low / 64), u32::from(low % 64));
        let at = |index: usize| u128::from(self.words.get(index).copied().unwrap_or(0));
        let mut number = at(word) >> shift | at(word + 1) << (64 - shift);
        if shift > 0 {
            number |= at(word + 2).checked_shl(128 - shift).unwrap_or(0);
        }
        number & mask(bits)
    }

    /// Lane `index` of the given width.
    pub fn lane(&self, index: u16, bits: u16) -> u128 {
        self.get(index * bits, bits)
    }

    /// Sets at most 128 bits from bit `low`.
    pub fn set(&mut self, low: u16, bits: u16, number: u128) {
        let mut done = 0;
        while done < bits {
            let at = low + done;
            let (word, shift) = (usize::from(at / 64), at % 64);
            let count = (64 - shift).min(bits - done);
            let ones = (mask(count) as u64) << shift;
            let part = ((number >> done) as u64) << shift;
            self.words[word] = self.words[word] & !ones | part & ones;
            done += count;
        }
    }

    /// Bits `low..low + bits` as a value.
    #[must_use]
    pub fn part(&self, low: u16, bits: u16) -> Self {
        let mut value = self.shifted_right(low);
        value.bits = bits;
        value.clear_above();
        value
    }

    /// Replaces the bits from `low` on by those of a value.
    pub fn insert(&mut self, low: u16, value: &Self) {
        for at in (0..value.bits).step_by(64) {
            let bits = 64.min(value.bits - at);
            self.set(low + at, bits, value.get(at, bits));
        }
        self.is_undefined |= value.is_undefined;
    }

    /// The same number with another width; new bits are 0.
    #[must_use]
    pub fn resized(&self, bits: u16) -> Self {
        let mut value = Self { bits, ..*self };
        value.clear_above();
        value
    }

    /// Applies an operation on words to two values of one width.
    pub(super) fn map(&self, other: &Self, operation: impl Fn(u64, u64) -> u64) -> Self {
        let mut value = *self;
        for (word, other) in value.words.iter_mut().zip(other.words) {
            *word = operation(*word, other);
        }
        value.clear_above();
        value
    }

    /// The number, shifted to higher bits.
    pub(super) fn shifted_left(&self, count: u16) -> Self {
        let mut value = Self { words: [0; WORDS], ..*self };
        for at in (count..self.bits).step_by(64) {
            let bits = 64.min(self.bits - at);
            value.set(at, bits, self.get(at - count, bits));
        }
        value
    }

    /// The number, shifted to lower bits.
    pub(super) fn shifted_right(&self, count: u16) -> Self {
        let mut value = Self { words: [0; WORDS], ..*self };
        for at in (count..self.bits).step_by(64) {
            value.words[usize::from((at - count) / 64)] = self.get(at, 64) as u64;
        }
        value.clear_above();
        value
    }

    fn clear_above(&mut self) {
        let (word, rest) = (usize::from(self.bits / 64), self.bits % 64);
        if word < WORDS {
            self.words[word] &= mask(rest) as u64;
            self.words[word + 1..].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn parts_cross_words() {
        let mut value = Value::zero(512);
        value.set(60, 80, 0x1234_5678_9abc_def0_1122);
        assert_eq!(value.get(60, 80), 0x1234_5678_9abc_def0_1122);
        assert_eq!(value.part(64, 16).low(), 0x0112);
        assert_eq!(value.shifted_left(100).get(160, 80), 0x1234_5678_9abc_def0_1122);
        assert_eq!(value.shifted_right(60).low(), 0x1234_5678_9abc_def0_1122);
        let mut other = Value::zero(160);
        other.insert(80, &value.part(60, 80));
        assert_eq!(other.get(80, 80), 0x1234_5678_9abc_def0_1122);
        assert_eq!(other.get(70, 20), 0x122 << 10 & 0xfffff);
        assert_eq!(Value::of_bytes(&[1, 2, 3]).low(), 0x03_0201);
    }
}
