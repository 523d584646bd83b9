//! Bitmaps: sets of positions in a code region, or of its branches.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A set of positions below a fixed length. Searches and counts work on words of 64 positions. Threads may add positions to a
/// shared set; other threads see them at some later time (relaxed ordering).
#[derive(Debug, Default)]
pub(crate) struct Bitmap {
    words: Vec<AtomicU64>,
}

impl Bitmap {
    /// The empty set of positions below `length`.
    pub(crate) fn new(length: usize) -> Self {
        Self { words: std::iter::repeat_with(AtomicU64::default).take(length.div_ceil(64)).collect() }
    }

    /// The concatenation of sets; the length of each but the last is a multiple of 64.
    pub(crate) fn concat(parts: impl IntoIterator<Item = Self>) -> Self {
        Self { words: parts.into_iter().flat_map(|part| part.words).collect() }
    }

    pub(crate) fn insert(&mut self, position: usize) {
        *self.words[position / 64].get_mut() |= 1 << (position % 64);
    }

    /// Adds a position to a shared set; returns whether it is new.
    pub(crate) fn insert_shared(&self, position: usize) -> bool {
        let bit = 1 << (position % 64);
        !self.contains(position) && self.words[position / 64].fetch_or(bit, Relaxed) & bit == 0
    }

    /// Removes all positions below `end`.
    pub(crate) fn clear_below(&mut self, end: usize) {
        let whole = (end / 64).min(self.words.len());
        self.words[..whole].iter_mut().for_each(|word| *word.get_mut() = 0);
        if let Some(word) = self.words.get_mut(whole) {
            *word.get_mut() &= u64::MAX << (end % 64);
        }
    }

    /// Removes all positions in the range.
    pub(crate) fn clear(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let (first, last) = (range.start / 64, (range.end - 1) / 64);
        for index in first..=last {
            let head = if index == first { u64::MAX << (range.start % 64) } else { u64::MAX };
            let tail = if index == last { u64::MAX >> (63 - (range.end - 1) % 64) } else { u64::MAX };
            *self.words[index].get_mut() &= !(head & tail);
        }
    }

    pub(crate) fn contains(&self, position: usize) -> bool {
        self.word(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    fn word(&self, index: usize) -> Option<u64> {
        self.words.get(index).map(|word| word.load(Relaxed))
    }

    /// The lowest position of the set in the range; `None` if there is none.
    pub(crate) fn first_in(&self, range: Range<usize>) -> Option<usize> {
        let mut index = range.start / 64;
        let mut word = self.word(index)? & (u64::MAX << (range.start % 64));
        while word == 0 {
            index += 1;
            if index * 64 >= range.end {
                return None;
            }
            word = self.word(index)?;
        }
        let position = index * 64 + word.trailing_zeros() as usize;
        (position < range.end).then_some(position)
    }

    /// The highest position of the set in the range; `None` if there is none.
    pub(crate) fn last_in(&self, range: Range<usize>) -> Option<usize> {
        let last = range.end.checked_sub(1)?;
        let mut index = last / 64;
        let mut word = self.word(index)? & (u64::MAX >> (63 - last % 64));
        while word == 0 {
            index = index.checked_sub(1).filter(|index| (index + 1) * 64 > range.start)?;
            word = self.word(index)?;
        }
        let position = index * 64 + 63 - word.leading_zeros() as usize;
        (position >= range.start).then_some(position)
    }

    /// Number of positions in the set.
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.load(Relaxed).count_ones() as usize).sum()
    }

    /// Number of positions of the set in the range.
    pub(crate) fn count_in(&self, range: Range<usize>) -> usize {
        if range.is_empty() {
            return 0;
        }
        let (first, last) = (range.start / 64, (range.end - 1) / 64);
        let head = u64::MAX << (range.start % 64);
        let tail = u64::MAX >> (63 - (range.end - 1) % 64);
        let words = &self.words[first..=last];
        let count = |word: &AtomicU64, mask: u64| (word.load(Relaxed) & mask).count_ones() as usize;
        match words {
            [only] => count(only, head & tail),
            [start, between @ .., end] => {
                count(start, head)
                    + between.iter().map(|word| count(word, u64::MAX)).sum::<usize>()
                    + count(end, tail)
            }
            [] => 0,
        }
    }

    /// The positions of the set in the range, ascending.
    pub(crate) fn iter_in(&self, range: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        let next = move |from: usize| self.first_in(from..range.end);
        std::iter::successors(next(range.start), move |position| next(position + 1))
    }

    /// The words, for a fingerprint.
    pub(crate) fn words(&self) -> Vec<u64> {
        self.words.iter().map(|word| word.load(Relaxed)).collect()
    }
}

impl Clone for Bitmap {
    fn clone(&self) -> Self {
        Self { words: self.words().into_iter().map(AtomicU64::new).collect() }
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
            for end in start..512 {
                let mut rest = bitmap.clone();
                rest.clear(start..end);
                let outside = bitmap.count() - bitmap.count_in(start..end);
                assert_eq!((rest.count(), rest.count_in(start..end)), (outside, 0));
                let last = positions.into_iter().rfind(|p| (start..end).contains(p));
                assert_eq!(bitmap.last_in(start..end), last);
            }
            let mut rest = bitmap.clone();
            rest.clear_below(start);
            assert_eq!(rest.first_in(0..512), bitmap.first_in(start..512));
        }
    }
}
