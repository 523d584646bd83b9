//! A bit for every byte of a code region.

use std::ops::Range;

/// A set of positions below a fixed length. It answers "the next one", "how many in this range" in whole words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    /// The empty set of positions below `length`.
    pub(crate) fn new(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(64)] }
    }

    /// Sets that stand end to end; each but the last holds a multiple of 64 positions.
    pub(crate) fn concat(parts: impl IntoIterator<Item = Self>) -> Self {
        Self { words: parts.into_iter().flat_map(|part| part.words).collect() }
    }

    pub(crate) fn insert(&mut self, position: usize) {
        self.words[position / 64] |= 1 << (position % 64);
    }

    /// Removes all positions below `end`.
    pub(crate) fn clear_below(&mut self, end: usize) {
        let whole = (end / 64).min(self.words.len());
        self.words[..whole].fill(0);
        if let Some(word) = self.words.get_mut(whole) {
            *word &= u64::MAX << (end % 64);
        }
    }

    pub(crate) fn contains(&self, position: usize) -> bool {
        self.words.get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    /// The least member in the range.
    pub(crate) fn first_in(&self, range: Range<usize>) -> Option<usize> {
        let mut index = range.start / 64;
        let mut word = self.words.get(index)? & (u64::MAX << (range.start % 64));
        while word == 0 {
            index += 1;
            if index * 64 >= range.end {
                return None;
            }
            word = *self.words.get(index)?;
        }
        let position = index * 64 + word.trailing_zeros() as usize;
        (position < range.end).then_some(position)
    }

    /// Number of members.
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Number of members in the range.
    pub(crate) fn count_in(&self, range: Range<usize>) -> usize {
        if range.is_empty() {
            return 0;
        }
        let (first, last) = (range.start / 64, (range.end - 1) / 64);
        let head = u64::MAX << (range.start % 64);
        let tail = u64::MAX >> (63 - (range.end - 1) % 64);
        let words = &self.words[first..=last];
        let count = |word: u64| word.count_ones() as usize;
        match words {
            [only] => count(only & head & tail),
            [start, between @ .., end] => {
                count(start & head)
                    + between.iter().map(|word| count(*word)).sum::<usize>()
                    + count(end & tail)
            }
            [] => 0,
        }
    }

    /// The members in the range, in their order.
    pub(crate) fn iter_in(&self, range: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        let next = move |from: usize| self.first_in(from..range.end);
        std::iter::successors(next(range.start), move |position| next(position + 1))
    }

    /// The words, for a fingerprint.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }
}

#[cfg(test)]
mod tests {
    use super::Bitmap;

    #[test]
    fn agrees_with_a_list_of_positions() {
        let positions = [0, 1, 63, 64, 65, 127, 128, 300, 511];
        let mut bitmap = Bitmap::new(512);
        for position in positions {
            bitmap.insert(position);
        }
        for start in 0..512 {
            for end in [start, start + 1, start + 64, 512] {
                let end = end.min(512);
                let expected: Vec<_> = positions.into_iter().filter(|p| (start..end).contains(p)).collect();
                assert_eq!(bitmap.iter_in(start..end).collect::<Vec<_>>(), expected);
                assert_eq!(bitmap.count_in(start..end), expected.len());
            }
            let mut rest = bitmap.clone();
            rest.clear_below(start);
            assert_eq!(rest.first_in(0..512), bitmap.first_in(start..512));
        }
    }
}
