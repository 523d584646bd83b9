//! The worklist of data-flow analyses: numbered items, of which the lowest is taken first.

/// A set of numbers below a limit, as a bitmap.
#[derive(Debug)]
pub(crate) struct Worklist {
    words: Vec<u64>,
    /// No word before this one has a bit set.
    first_word: usize,
}

impl Worklist {
    /// An empty worklist for the numbers `0..count`.
    pub(crate) fn new(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)], first_word: 0 }
    }

    /// Adds a number, if it is not in the list yet.
    pub(crate) fn add(&mut self, number: u32) {
        let word = number as usize / 64;
        self.words[word] |= 1 << (number % 64);
        self.first_word = self.first_word.min(word);
    }

    /// Removes and returns the lowest number.
    pub(crate) fn take_first(&mut self) -> Option<u32> {
        while let Some(bits) = self.words.get_mut(self.first_word) {
            if *bits != 0 {
                let bit = bits.trailing_zeros();
                *bits &= *bits - 1;
                return Some(self.first_word as u32 * 64 + bit);
            }
            self.first_word += 1;
        }
        None
    }
}
