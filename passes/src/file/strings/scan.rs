//! Finds sequences ("runs") of printable characters: `(bytes) -> runs`.
//!
//! *Notation.* A narrow character is a printable byte. A wide character is a printable byte and a zero byte, in the
//! byte order of the file. Bit *i* of a mask describes byte *i* of a block of 64 bytes.
//!
//! *Algorithm.* (1) Classify 64 bytes at a time into two masks: printable, zero. (2) Shift the masks over one another;
//! the bits that remain are the bytes where four characters in sequence start. In bytes that are not text, few remain.
//! (3) Such bits change from 0 to 1 where a run starts, and from 1 to 0 three characters before it ends.
//!
//! A part of the bytes yields the runs that start in it, so that parts can be searched in parallel. *Cost.* Linear.

use binframe_ir::tables::StringEncoding;
use std::ops::Range;

/// Number of characters in the shortest run.
pub(super) const CHARACTERS_MIN: usize = 4;

/// Number of bytes in a block.
const BLOCK_SIZE: usize = 64;

/// Byte that completes the last block: neither printable nor zero.
const FILLER: u8 = 0xff;

/// A sequence of printable characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CharacterRun {
    /// Its bytes.
    pub(super) range: Range<usize>,
    pub(super) encoding: StringEncoding,
}

/// The runs that start in `part`, sorted; they may end after it. `wide` is the encoding of characters of two bytes.
pub(super) fn runs(bytes: &[u8], part: Range<usize>, wide: StringEncoding) -> Vec<CharacterRun> {
    let mut scan = RunScanner { bytes, wide, runs: Vec::new() };
    scan.part(part);
    // Narrow and wide runs were found alternately.
    scan.runs.sort_unstable_by_key(|run| run.range.start);
    scan.runs
}

struct RunScanner<'a> {
    bytes: &'a [u8],
    wide: StringEncoding,
    runs: Vec<CharacterRun>,
}

/// Whether the current byte is in a run.
#[derive(Clone, Copy)]
enum RunState {
    Outside,
    /// In a run that starts before the part, and so belongs to the previous part.
    InPrevious,
    /// In a run that starts at this offset.
    In(usize),
}

impl RunScanner<'_> {
    fn part(&mut self, part: Range<usize>) {
        // Whether a character starts `distance` bytes before the part, as bits that precede those of the first block.
        let precedes = |distance, is_character: &dyn Fn(usize) -> bool| {
            u64::from(part.start.checked_sub(distance).is_some_and(is_character))
        };
        let mut narrow_before = precedes(1, &|offset| is_printable(self.bytes[offset]));
        let mut wide_before =
            precedes(2, &|offset| self.is_wide(offset)) | precedes(1, &|offset| self.is_wide(offset)) << 1;
        let initial = |before| if before == 0 { RunState::Outside } else { RunState::InPrevious };
        let (mut narrow, mut wide) = (initial(narrow_before), initial(wide_before));
        let mut next = ByteClasses::read(self.bytes, part.start);
        for start in part.clone().step_by(BLOCK_SIZE) {
            let block = next;
            next = ByteClasses::read(self.bytes, start + BLOCK_SIZE);
            let within = u64::MAX >> BLOCK_SIZE.saturating_sub(part.end - start);
            let printable = u128::from(block.printable) | u128::from(next.printable) << BLOCK_SIZE;
            let zero = u128::from(block.zero) | u128::from(next.zero) << BLOCK_SIZE;
            // `long` has a bit for each byte where four characters in sequence start.
            let pairs = printable & printable >> 1;
            let long = (pairs & pairs >> 2) as u64;
            let changes = (long ^ (long << 1 | narrow_before)) & within;
            narrow_before = long >> 63;
            self.apply_changes(&mut narrow, changes, start, StringEncoding::Ascii);
            let characters = match self.wide {
                StringEncoding::Utf16Be => zero & printable >> 1,
                _ => printable & zero >> 1,
            };
            let pairs = characters & characters >> 2;
            let long = (pairs & pairs >> 4) as u64;
            let changes = (long ^ (long << 2 | wide_before)) & within;
            wide_before = long >> 62;
            self.apply_changes(&mut wide, changes, start, self.wide);
        }
        if let RunState::In(start) = narrow {
            let rest = self.bytes[part.end..].iter().take_while(|byte| is_printable(**byte));
            let end = part.end + rest.count();
            self.runs.push(CharacterRun { range: start..end, encoding: StringEncoding::Ascii });
        }
        if let RunState::In(start) = wide {
            let known = start + (part.end - start) / 2 * 2;
            let rest = (known..).step_by(2).take_while(|offset| self.is_wide(*offset));
            let end = known + 2 * rest.count();
            self.runs.push(CharacterRun { range: start..end, encoding: self.wide });
        }
    }

    /// Starts or ends a run at each set bit of `changes`, the mask of the block at `start`.
    #[inline]
    fn apply_changes(
        &mut self,
        state: &mut RunState,
        mut changes: u64,
        start: usize,
        encoding: StringEncoding,
    ) {
        while changes != 0 {
            let offset = start + changes.trailing_zeros() as usize;
            changes &= changes - 1;
            *state = match *state {
                RunState::Outside => RunState::In(offset),
                RunState::InPrevious => RunState::Outside,
                RunState::In(start) => {
                    let end = offset + (CHARACTERS_MIN - 1) * character_size(encoding);
                    self.runs.push(CharacterRun { range: start..end, encoding });
                    RunState::Outside
                }
            };
        }
    }

    /// Whether a wide character starts at an offset. Wide characters cannot overlap, and neither can runs of them: one
    /// byte of each is zero, the other is not.
    fn is_wide(&self, offset: usize) -> bool {
        let Some(&[first, second]) = self.bytes.get(offset..offset + 2) else { return false };
        match self.wide {
            StringEncoding::Utf16Be => first == 0 && is_printable(second),
            _ => is_printable(first) && second == 0,
        }
    }
}

/// Size of a character, in bytes.
pub(super) fn character_size(encoding: StringEncoding) -> usize {
    match encoding {
        StringEncoding::Ascii => 1,
        StringEncoding::Utf16Le | StringEncoding::Utf16Be => 2,
    }
}

/// Whether a byte is printable ASCII or a tab.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t')
}

/// The classes of 64 bytes, one bit per byte.
#[derive(Clone, Copy)]
struct ByteClasses {
    printable: u64,
    zero: u64,
}

impl ByteClasses {
    /// The classes of the bytes at `start`, which may be at or after the end.
    #[inline]
    fn read(bytes: &[u8], start: usize) -> Self {
        match bytes.get(start..).and_then(|rest| rest.first_chunk()) {
            Some(block) => Self::of(block),
            None => {
                let rest = bytes.get(start..).unwrap_or_default();
                let mut block = [FILLER; BLOCK_SIZE];
                block[..rest.len()].copy_from_slice(rest);
                Self::of(&block)
            }
        }
    }

    /// Classifies eight bytes at a time: sets the highest bit of each byte of a word if the byte is of the class.
    #[inline]
    fn of(bytes: &[u8; BLOCK_SIZE]) -> Self {
        const fn each(byte: u8) -> u64 {
            u64::from_le_bytes([byte; 8])
        }
        const HIGH: u64 = each(0x80);
        let (mut printable, mut zero) = (0, 0);
        for word in bytes.as_chunks::<8>().0 {
            let word = u64::from_le_bytes(*word);
            // No sum exceeds 0xff, so that none carries into the next byte.
            let low = word & !HIGH;
            let is_space_or_above = low + each(0x80 - b' ');
            let is_delete = low + each(0x80 - 0x7f);
            let is_not_tab = (low ^ each(b'\t')) + each(0x7f);
            let is_not_zero = (low + each(0x7f)) | word;
            // After eight words, the bits of the first are the lowest of each byte.
            printable = printable >> 1 | (is_space_or_above & !is_delete | !is_not_tab) & !word & HIGH;
            zero = zero >> 1 | !is_not_zero & HIGH;
        }
        Self { printable: transpose(printable), zero: transpose(zero) }
    }
}

/// Transposes an 8×8 bit matrix: bit `m` of byte `n` becomes bit `n` of byte `m`.
///
/// Source: H. S. Warren, Hacker's Delight, section 7-3.
#[inline]
fn transpose(mut bits: u64) -> u64 {
    for (distance, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0xf0f0_f0f0)] {
        let swapped = (bits ^ bits >> distance) & mask;
        bits ^= swapped ^ swapped << distance;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of a run, byte by byte.
    fn naive(bytes: &[u8], wide: StringEncoding) -> Vec<CharacterRun> {
        let mut runs = Vec::new();
        for (encoding, size) in [(StringEncoding::Ascii, 1), (wide, 2)] {
            let is_character = |offset: usize| match (encoding, bytes.get(offset..offset + size)) {
                (_, None) => false,
                (StringEncoding::Ascii, Some(byte)) => is_printable(byte[0]),
                (StringEncoding::Utf16Le, Some(pair)) => is_printable(pair[0]) && pair[1] == 0,
                (StringEncoding::Utf16Be, Some(pair)) => pair[0] == 0 && is_printable(pair[1]),
            };
            for start in 0..bytes.len() {
                let is_first = start.checked_sub(size).is_none_or(|before| !is_character(before));
                let count = (start..).step_by(size).take_while(|offset| is_character(*offset)).count();
                if is_first && count >= CHARACTERS_MIN {
                    runs.push(CharacterRun { range: start..start + count * size, encoding });
                }
            }
        }
        runs.sort_by_key(|run| run.range.start);
        runs
    }

    /// Pseudorandom bytes with many characters, zeros and other bytes.
    fn bytes(seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut bytes = Vec::new();
        let size = random() % 700;
        while (bytes.len() as u64) < size {
            let count = 1 + random() % 12;
            match random() % 5 {
                0 => bytes.extend((0..count).map(|_| b'a' + (random() % 26) as u8)),
                1 => bytes.extend((0..count).flat_map(|_| [0x20 + (random() % 0x5f) as u8, 0])),
                2 => bytes.extend((0..count).flat_map(|_| [0, b'\t'])),
                3 => bytes.extend((0..count % 3).map(|_| 0)),
                _ => bytes.extend((0..count % 4).map(|_| (random() % 256) as u8)),
            }
        }
        bytes
    }

    #[test]
    fn every_byte_is_classified_at_every_offset_of_a_block() {
        for byte in 0..=u8::MAX {
            for offset in 0..BLOCK_SIZE {
                let mut block = [FILLER; BLOCK_SIZE];
                block[offset] = byte;
                let found = ByteClasses::of(&block);
                assert_eq!(found.printable, u64::from(is_printable(byte)) << offset, "{byte:#x} at {offset}");
                assert_eq!(found.zero, u64::from(byte == 0) << offset, "{byte:#x} at {offset}");
            }
        }
    }

    #[test]
    fn runs_match_the_definition_for_any_size_of_parts() {
        for seed in 0..400 {
            let bytes = bytes(seed);
            for wide in [StringEncoding::Utf16Le, StringEncoding::Utf16Be] {
                let expected = naive(&bytes, wide);
                for part_size in [1, 2, 3, 5, 63, 64, 65, 128, 200, 1000] {
                    let parts = (0..bytes.len()).step_by(part_size);
                    let parts = parts.map(|start| start..(start + part_size).min(bytes.len()));
                    let found: Vec<_> = parts.flat_map(|part| runs(&bytes, part, wide)).collect();
                    assert_eq!(found, expected, "seed {seed}, parts of {part_size}, {wide:?}");
                }
            }
        }
    }
}
