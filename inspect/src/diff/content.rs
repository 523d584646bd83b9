//! What functions do, whatever their address.
//!
//! An instruction is its bytes, unless they depend on where it stands. Then it is what the bytes mean: a jump or call goes to
//! an offset in its own function, or to a named function or variable; an address relative to the instruction pointer is that
//! of a named function or variable. What has no name counts as its section: a call to another unnamed function, or another
//! unnamed constant, is no difference. Addresses that stand in instructions as constants are compared as the constants they are.

use super::{ComparedFunction, Side};
use binframe::ir::tables::{BinarySections, BinarySymbols, Instruction, Instructions, SymbolType};
use binframe::ir::{Batch, Enumeration, Fingerprint, Rows, Table};
use binframe::{Error, Part};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// What an instruction does, as numbers that are equal where it is.
#[derive(Clone, Copy)]
pub(super) struct Content {
    exact: u64,
    /// The same, but for how far a jump goes within its function: an instruction put in between makes it longer.
    without_distance: u64,
}

/// The content of every function; functions are in the order of their addresses.
pub(super) fn fingerprints(
    side: &Side<'_>,
    functions: &[ComparedFunction],
) -> Result<Vec<Fingerprint>, Error> {
    let mut fingerprints = vec![Fingerprint::of_bytes(&[]); functions.len()];
    for_each_instruction(side, functions, None, |function, content| {
        let so_far = fingerprints[function];
        fingerprints[function] = Fingerprint::of_all([so_far, Fingerprint(content.exact.into())]);
    })?;
    Ok(fingerprints)
}

/// The instructions of some functions.
pub(super) fn sequences(
    side: &Side<'_>,
    functions: &[ComparedFunction],
    wanted: &[usize],
) -> Result<Vec<Vec<Content>>, Error> {
    let positions: BTreeMap<usize, usize> =
        wanted.iter().enumerate().map(|(position, function)| (*function, position)).collect();
    let mut sequences = vec![Vec::new(); wanted.len()];
    let ranges = wanted.iter().map(|function| &functions[*function].addresses);
    let Some(start) = ranges.clone().map(|range| range.start).min() else { return Ok(sequences) };
    let end = ranges.map(|range| range.end).max().unwrap_or(start);
    for_each_instruction(side, functions, Some(start..end), |function, content| {
        if let Some(position) = positions.get(&function) {
            sequences[*position].push(content);
        }
    })?;
    Ok(sequences)
}

/// Calls `visit` with the function and the content of every instruction that lies in a function, in order.
fn for_each_instruction(
    side: &Side<'_>,
    functions: &[ComparedFunction],
    addresses: Option<Range<u64>>,
    mut visit: impl FnMut(usize, Content),
) -> Result<(), Error> {
    let places = Places::new(side, functions)?;
    let parts = side.parts(Instructions::INFO, addresses)?;
    let contents = |part: &Part| Ok(contents(&part.rows()?, functions, &places));
    for window in parts.chunks(2 * rayon::current_num_threads()) {
        let contents: Vec<_> = window.par_iter().map(contents).collect::<Result<_, Error>>()?;
        contents.into_iter().flatten().for_each(|(function, content)| visit(function, content));
    }
    Ok(())
}

/// The function and the content of every instruction of a batch.
fn contents(batch: &Batch, functions: &[ComparedFunction], places: &Places) -> Vec<(usize, Content)> {
    let rows = Rows::<Instructions>::from_batch(batch.clone()).expect("parts are of the table asked for");
    let addresses = batch.column("mem_address");
    let mut contents = Vec::with_capacity(rows.len());
    for (instruction, mem_address) in rows.columns().iter().zip(binframe::ir::integers(addresses)) {
        let address = instruction.address;
        let after = functions.partition_point(|function| function.addresses.start <= address);
        let Some(index) = after.checked_sub(1) else { continue };
        let own = &functions[index].addresses;
        if own.contains(&address) {
            // An address that does not depend on the instruction's is a constant.
            let is_relative = instruction.mem_base.is_some();
            let address = instruction.target.or(mem_address.filter(|_| is_relative));
            let hash = |place: &Place<'_>| xxh3_64(&meaning(&instruction, is_relative, place));
            let same = |hash| Content { exact: hash, without_distance: hash };
            let content = match address.map(|address| places.of(address, own)) {
                None => same(xxh3_64(instruction.bytes)),
                Some(place @ Place::Inside(_)) => {
                    Content { exact: hash(&place), without_distance: hash(&Place::Inside(0)) }
                }
                Some(place) => same(hash(&place)),
            };
            contents.push((index, content));
        }
    }
    contents
}

/// What an instruction means that refers to a place.
fn meaning(instruction: &Instruction<'_>, is_relative: bool, place: &Place<'_>) -> Vec<u8> {
    let mut meaning = Vec::with_capacity(64);
    let registers = [
        instruction.op0_register,
        instruction.op1_register,
        instruction.op2_register,
        instruction.op3_register,
        instruction.mem_segment,
        instruction.mem_base,
        instruction.mem_index,
    ];
    let (place_name, place_offset) = match place {
        Place::Inside(offset) => ("", *offset),
        Place::Named(name, offset) => (*name, *offset),
        Place::Section(name) => (*name, u64::MAX),
        Place::Unknown => ("", u64::MAX),
    };
    let registers = registers.into_iter().map(|register| register.map_or("", |register| register.0));
    for text in registers.chain([instruction.mnemonic.0, place_name]) {
        meaning.extend(text.as_bytes());
        meaning.push(0);
    }
    let kinds = [instruction.op0_kind, instruction.op1_kind, instruction.op2_kind, instruction.op3_kind];
    meaning.extend(kinds.map(|kind| kind.map_or(u8::MAX, Enumeration::code)));
    meaning.extend(instruction.mem_access.map(Enumeration::code));
    meaning.push(instruction.size);
    let displacement = instruction.mem_displacement.filter(|_| !is_relative).unwrap_or_default();
    let immediate = instruction.immediate.unwrap_or_default();
    let numbers =
        [place_offset, displacement as u64, immediate as u64, instruction.mem_size.unwrap_or(0).into()];
    meaning.extend(numbers.map(u64::to_le_bytes).as_flattened());
    meaning
}

/// What an address means to a function.
enum Place<'a> {
    /// An offset in the function.
    Inside(u64),
    /// An offset in another function or a variable.
    Named(&'a str, u64),
    /// Somewhere in a section.
    Section(&'a str),
    /// Nothing that the file tells.
    Unknown,
}

/// Functions, variables and sections by address.
struct Places {
    /// Start, size and name; starts are distinct and ascending.
    named: Vec<(u64, u64, String)>,
    sections: Vec<(u64, u64, String)>,
}

impl Places {
    fn new(side: &Side<'_>, functions: &[ComparedFunction]) -> Result<Self, Error> {
        let mut named: Vec<_> = functions
            .iter()
            .filter_map(|function| {
                let Range { start, end } = function.addresses;
                Some((start, end - start, function.name.clone()?))
            })
            .collect();
        for rows in side.all::<BinarySymbols>()? {
            let variable = SymbolType::Variable.name();
            let symbols = rows.columns();
            let variables = symbols
                .iter()
                .filter(|symbol| symbol.symbol_type == variable && symbol.section_index.is_some());
            named.extend(variables.map(|symbol| {
                (symbol.symbol_address, symbol.symbol_size.max(1), symbol.symbol_name.to_owned())
            }));
        }
        let mut sections = Vec::new();
        for rows in side.all::<BinarySections>()? {
            let loaded = rows.columns();
            let loaded = loaded.iter().filter(|section| section.is_readable);
            sections.extend(
                loaded.map(|section| (section.address, section.size, section.section_name.to_owned())),
            );
        }
        named.sort_unstable_by(|left, right| (left.0, &left.2).cmp(&(right.0, &right.2)));
        named.dedup_by_key(|place| place.0);
        sections.sort_unstable();
        Ok(Self { named, sections })
    }

    fn of(&self, address: u64, own: &Range<u64>) -> Place<'_> {
        if own.contains(&address) {
            return Place::Inside(address - own.start);
        }
        let covering = |places: &'_ [(u64, u64, String)]| {
            let index = places.partition_point(|place| place.0 <= address).checked_sub(1)?;
            (address - places[index].0 < places[index].1).then_some(index)
        };
        if let Some(index) = covering(&self.named) {
            return Place::Named(&self.named[index].2, address - self.named[index].0);
        }
        covering(&self.sections).map_or(Place::Unknown, |index| Place::Section(&self.sections[index].2))
    }
}

/// How many instructions are to be removed from `old`, and added, to make `new` of it. Where only the distances of jumps
/// differ, those jumps count.
pub(super) fn instructions_changed(old: &[Content], new: &[Content]) -> (usize, usize) {
    let without_distances = |contents: &[Content]| -> Vec<u64> {
        contents.iter().map(|content| content.without_distance).collect()
    };
    match edits(&without_distances(old), &without_distances(new)) {
        (0, 0) => {
            let jumps = old.iter().zip(new).filter(|(old, new)| old.exact != new.exact).count();
            (jumps, jumps)
        }
        edits => edits,
    }
}

/// How many elements are to be removed from `old`, and added, to make `new` of it; the fewest, unless they are many.
fn edits(old: &[u64], new: &[u64]) -> (usize, usize) {
    /// Edits up to which the fewest are looked for; the time grows with their square.
    const EDITS_MAX: usize = 4096;
    let prefix = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[prefix..], &new[prefix..]);
    let suffix = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - suffix], &new[..new.len() - suffix]);
    // Myers' greedy algorithm: how far along each diagonal (old - new) so many edits lead.
    let limit = (old.len() + new.len()).min(EDITS_MAX);
    let mut reached = vec![0_usize; 2 * limit + 3];
    for count in 0..=limit {
        for diagonal in (0..=2 * count).step_by(2).map(|step| limit + 1 + step - count) {
            let is_down = diagonal + count == limit + 1
                || diagonal != limit + 1 + count && reached[diagonal - 1] < reached[diagonal + 1];
            let mut x = if is_down { reached[diagonal + 1] } else { reached[diagonal - 1] + 1 };
            let Some(mut y) = (x + limit + 1).checked_sub(diagonal) else { continue };
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            reached[diagonal] = x;
            if x >= old.len() && y >= new.len() {
                let removed = (count + old.len() - new.len()) / 2;
                return (removed, count - removed);
            }
        }
    }
    (old.len(), new.len())
}

#[cfg(test)]
mod tests {
    use super::{Content, edits, instructions_changed};

    #[test]
    fn jumps_that_grow_with_what_is_in_between_are_the_same() {
        let plain = |hash| Content { exact: hash, without_distance: hash };
        let jump = |distance: u64| Content { exact: 100 + distance, without_distance: 99 };
        let old = [plain(1), jump(2), plain(2), plain(3)];
        assert_eq!(instructions_changed(&old, &[plain(1), jump(3), plain(2), plain(7), plain(3)]), (0, 1));
        assert_eq!(instructions_changed(&old, &[plain(1), jump(1), plain(2), plain(3)]), (1, 1));
    }

    #[test]
    fn edits_are_the_fewest() {
        assert_eq!(edits(&[], &[]), (0, 0));
        assert_eq!(edits(&[1, 2, 3], &[1, 2, 3]), (0, 0));
        assert_eq!(edits(&[1, 2, 3], &[1, 9, 3]), (1, 1));
        assert_eq!(edits(&[1, 2, 3], &[]), (3, 0));
        assert_eq!(edits(&[], &[1, 2, 3]), (0, 3));
        assert_eq!(edits(&[1, 2, 3, 4], &[2, 3, 4, 5, 6]), (1, 2));
        assert_eq!(edits(&[1, 2, 3, 1, 2, 2, 1], &[3, 2, 1, 2, 1, 3]), (3, 2));
    }

    /// What the quadratic definition gives, over sequences of a small alphabet.
    #[test]
    fn edits_agree_with_the_longest_common_subsequence() {
        let mut state = 7_u64;
        let mut sequence = |length: usize| -> Vec<u64> {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 62
            };
            (0..length).map(|_| next()).collect()
        };
        for round in 0..200 {
            let (old, new) = (sequence(round % 13), sequence(round % 11));
            let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
            for i in 0..old.len() {
                for j in 0..new.len() {
                    common[i + 1][j + 1] = if old[i] == new[j] {
                        common[i][j] + 1
                    } else {
                        common[i][j + 1].max(common[i + 1][j])
                    };
                }
            }
            let common = common[old.len()][new.len()];
            assert_eq!(edits(&old, &new), (old.len() - common, new.len() - common), "{old:?} {new:?}");
        }
    }
}
