//! Finds runs of printable characters in bytes.
//!
//! Bytes are looked at in blocks of 64, as bits: which are printable, and which are zero. A run of characters that is long
//! enough is a run of bits once the bits have been shifted over one another, and few bits are left that way in bytes that
//! are no text.

use binframe_ir::tables::StringEncoding;
use std::ops::Range;

/// Characters that a run has at least.
pub(super) const CHARACTERS_MIN: usize = 4;

/// Bytes whose bits are looked at together.
const BLOCK_SIZE: usize = 64;

/// What follows the last byte: neither printable nor zero.
const FILLER: u8 = 0xff;

/// Text in some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Its place.
    pub(super) range: Range<usize>,
    /// A byte for each character, or two.
    pub(super) encoding: StringEncoding,
}

/// The runs that begin in a part of the bytes, in their order. They may end behind it. `wide` is the encoding of characters
/// of two bytes.
pub(super) fn runs(bytes: &[u8], part: Range<usize>, wide: StringEncoding) -> Vec<Run> {
    let mut scan = Scan { bytes, wide, runs: Vec::new() };
    scan.part(part);
    // Runs of both kinds were found side by side.
    scan.runs.sort_unstable_by_key(|run| run.range.start);
    scan.runs
}

struct Scan<'a> {
    bytes: &'a [u8],
    wide: StringEncoding,
    runs: Vec<Run>,
}

/// The run that is being followed.
#[derive(Clone, Copy)]
enum Open {
    No,
    /// It began before the part: it is a run of the part before.
    Before,
    From(usize),
}

impl Scan<'_> {
    fn part(&mut self, part: Range<usize>) {
        // Whether a character stands right before, as bits that precede those of the next block.
        let is_before = |distance, is_character: &dyn Fn(usize) -> bool| {
            u64::from(part.start.checked_sub(distance).is_some_and(is_character))
        };
        let mut narrow_before = is_before(1, &|place| is_printable(self.bytes[place]));
        let mut wide_before =
            is_before(2, &|place| self.is_wide(place)) | is_before(1, &|place| self.is_wide(place)) << 1;
        let open = |before| if before == 0 { Open::No } else { Open::Before };
        let (mut narrow, mut wide) = (open(narrow_before), open(wide_before));
        let mut next = Block::read(self.bytes, part.start);
        for start in part.clone().step_by(BLOCK_SIZE) {
            let block = next;
            next = Block::read(self.bytes, start + BLOCK_SIZE);
            let within = u64::MAX >> BLOCK_SIZE.saturating_sub(part.end - start);
            let printable = u128::from(block.printable) | u128::from(next.printable) << BLOCK_SIZE;
            let zero = u128::from(block.zero) | u128::from(next.zero) << BLOCK_SIZE;
            // A bit for every place where four characters follow one another. They change where runs begin, and three
            // characters before runs end.
            let pairs = printable & printable >> 1;
            let long = (pairs & pairs >> 2) as u64;
            let changes = (long ^ (long << 1 | narrow_before)) & within;
            narrow_before = long >> 63;
            self.follow(&mut narrow, changes, start, StringEncoding::Ascii);
            let characters = match self.wide {
                StringEncoding::Utf16Be => zero & printable >> 1,
                _ => printable & zero >> 1,
            };
            let pairs = characters & characters >> 2;
            let long = (pairs & pairs >> 4) as u64;
            let changes = (long ^ (long << 2 | wide_before)) & within;
            wide_before = long >> 62;
            self.follow(&mut wide, changes, start, self.wide);
        }
        if let Open::From(start) = narrow {
            let rest = self.bytes[part.end..].iter().take_while(|byte| is_printable(**byte));
            let end = part.end + rest.count();
            self.runs.push(Run { range: start..end, encoding: StringEncoding::Ascii });
        }
        if let Open::From(start) = wide {
            let known = start + (part.end - start) / 2 * 2;
            let rest = (known..).step_by(2).take_while(|place| self.is_wide(*place));
            let end = known + 2 * rest.count();
            self.runs.push(Run { range: start..end, encoding: self.wide });
        }
    }

    /// Begins or ends a run at each change.
    #[inline]
    fn follow(&mut self, open: &mut Open, mut changes: u64, start: usize, encoding: StringEncoding) {
        while changes != 0 {
            let place = start + changes.trailing_zeros() as usize;
            changes &= changes - 1;
            *open = match *open {
                Open::No => Open::From(place),
                Open::Before => Open::No,
                Open::From(start) => {
                    let end = place + (CHARACTERS_MIN - 1) * character_size(encoding);
                    self.runs.push(Run { range: start..end, encoding });
                    Open::No
                }
            };
        }
    }

    /// Whether a character of two bytes stands at a place. None stands right behind another's first byte, so that runs of them
    /// never overlap.
    fn is_wide(&self, place: usize) -> bool {
        let Some(&[first, second]) = self.bytes.get(place..place + 2) else { return false };
        match self.wide {
            StringEncoding::Utf16Be => first == 0 && is_printable(second),
            _ => is_printable(first) && second == 0,
        }
    }
}

/// Bytes of each character.
pub(super) fn character_size(encoding: StringEncoding) -> usize {
    match encoding {
        StringEncoding::Ascii => 1,
        StringEncoding::Utf16Le | StringEncoding::Utf16Be => 2,
    }
}

/// Whether a byte is a character: printable ASCII, or a tab.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t')
}

/// What 64 bytes are, a bit each.
#[derive(Clone, Copy)]
struct Block {
    printable: u64,
    zero: u64,
}

impl Block {
    /// The bytes at a place, which may be the end or behind it.
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

    /// Eight bytes at a time: the highest bit of each byte of a word is made to tell what the byte is.
    #[inline]
    fn of(bytes: &[u8; BLOCK_SIZE]) -> Self {
        const fn each(byte: u8) -> u64 {
            u64::from_le_bytes([byte; 8])
        }
        const HIGH: u64 = each(0x80);
        let (mut printable, mut zero) = (0, 0);
        for word in bytes.as_chunks::<8>().0 {
            let word = u64::from_le_bytes(*word);
            // Sums do not pass into the next byte, as none is above 0xff.
            let low = word & !HIGH;
            let is_space_or_above = low + each(0x80 - b' ');
            let is_delete = low + each(0x80 - 0x7f);
            let is_not_tab = (low ^ each(b'\t')) + each(0x7f);
            let is_not_zero = (low + each(0x7f)) | word;
            // Eight words later, bits of the first have become the lowest of each byte.
            printable = printable >> 1 | (is_space_or_above & !is_delete | !is_not_tab) & !word & HIGH;
            zero = zero >> 1 | !is_not_zero & HIGH;
        }
        Self { printable: transpose(printable), zero: transpose(zero) }
    }
}

/// Bit `m` of byte `n` becomes bit `n` of byte `m`. Source: Hacker's Delight, section 7-3.
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

    /// The definition, byte by byte.
    fn naive(bytes: &[u8], wide: StringEncoding) -> Vec<Run> {
        let mut runs = Vec::new();
        for (encoding, size) in [(StringEncoding::Ascii, 1), (wide, 2)] {
            let is_character = |place: usize| match (encoding, bytes.get(place..place + size)) {
                (_, None) => false,
                (StringEncoding::Ascii, Some(byte)) => is_printable(byte[0]),
                (StringEncoding::Utf16Le, Some(pair)) => is_printable(pair[0]) && pair[1] == 0,
                (StringEncoding::Utf16Be, Some(pair)) => pair[0] == 0 && is_printable(pair[1]),
            };
            for start in 0..bytes.len() {
                let is_first = start.checked_sub(size).is_none_or(|before| !is_character(before));
                let count = (start..).step_by(size).take_while(|place| is_character(*place)).count();
                if is_first && count >= CHARACTERS_MIN {
                    runs.push(Run { range: start..start + count * size, encoding });
                }
            }
        }
        runs.sort_by_key(|run| run.range.start);
        runs
    }

    /// Bytes in which characters, zeros and others are frequent, as a seed says.
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
    fn every_byte_is_what_it_is() {
        for byte in 0..=u8::MAX {
            for place in 0..BLOCK_SIZE {
                let mut block = [FILLER; BLOCK_SIZE];
                block[place] = byte;
                let found = Block::of(&block);
                assert_eq!(found.printable, u64::from(is_printable(byte)) << place, "{byte:#x} at {place}");
                assert_eq!(found.zero, u64::from(byte == 0) << place, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn runs_are_those_of_the_definition_whatever_the_parts_are() {
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
