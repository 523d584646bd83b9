//! Position-independent content: `(instructions, symbols, sections) -> a hash of each instruction, a fingerprint of
//! each function`.
//!
//! *Problem.* Two builds place a function and its references at different addresses, so that the bytes of calls, jumps
//! and operands relative to the instruction pointer differ although the code is the same.
//!
//! *Notation.* A symbolic address is an offset in the own function, a named function or variable with an offset, or a
//! section.
//!
//! *Algorithm.* (1) Hash the bytes of an instruction without a relative address. (2) Of other instructions, hash
//! mnemonic, operands without the address, and the symbolic address. (3) The fingerprint of a function combines the
//! hashes of its instructions in order. A second hash of each instruction omits offsets in the own function: an added
//! instruction changes the distance of every jump across it.
//!
//! *Approximation.* Unnamed functions and constants of a section are not distinguished, so that a changed reference
//! between them is missed. An absolute address in an instruction is compared as a number, so that a moved target is a
//! difference.

use super::edit_distance::edits;
use super::side::{ComparedFunction, Side};
use binframe::ir::tables::{BinarySections, BinarySymbols, Instruction, Instructions, SymbolType};
use binframe::ir::{Batch, Enumeration, Fingerprint, Rows, Table, integers};
use binframe::{Error, TablePart};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// Hashes of an instruction.
#[derive(Clone, Copy)]
pub(super) struct InstructionContent {
    exact: u64,
    /// Hash without the offset in the own function that the instruction refers to.
    without_distance: u64,
}

/// Fingerprints of all functions, which are sorted by address.
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

/// Contents of the instructions of the functions at the indexes `wanted`.
pub(super) fn sequences(
    side: &Side<'_>,
    functions: &[ComparedFunction],
    wanted: &[usize],
) -> Result<Vec<Vec<InstructionContent>>, Error> {
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

/// Calls `visit` for every instruction in a function, in order, with the index of the function and the content.
fn for_each_instruction(
    side: &Side<'_>,
    functions: &[ComparedFunction],
    addresses: Option<Range<u64>>,
    mut visit: impl FnMut(usize, InstructionContent),
) -> Result<(), Error> {
    let symbols = Symbols::new(side, functions)?;
    let parts = side.parts(Instructions::INFO, addresses)?;
    let contents = |part: &TablePart| Ok(contents(&part.rows()?, functions, &symbols));
    for window in parts.chunks(2 * rayon::current_num_threads()) {
        let contents: Vec<_> = window.par_iter().map(contents).collect::<Result<_, Error>>()?;
        contents.into_iter().flatten().for_each(|(function, content)| visit(function, content));
    }
    Ok(())
}

/// The index of the function and the content of every instruction of a batch that is in a function.
fn contents(
    batch: &Batch,
    functions: &[ComparedFunction],
    symbols: &Symbols,
) -> Vec<(usize, InstructionContent)> {
    let rows = Rows::<Instructions>::from_batch(batch.clone()).expect("a part of the table");
    let addresses = batch.column("mem_address");
    let mut contents = Vec::with_capacity(rows.len());
    for (instruction, mem_address) in rows.columns().iter().zip(integers(addresses)) {
        let address = instruction.address;
        let after = functions.partition_point(|function| function.addresses.start <= address);
        let Some(index) = after.checked_sub(1) else { continue };
        let own = &functions[index].addresses;
        if own.contains(&address) {
            // Without a base register, the address is a constant.
            let is_relative = instruction.mem_base.is_some();
            let address = instruction.target_address.or(mem_address.filter(|_| is_relative));
            let hash = |address: &SymbolicAddress<'_>| xxh3_64(&encode(&instruction, is_relative, address));
            let same = |hash| InstructionContent { exact: hash, without_distance: hash };
            let content = match address.map(|address| symbols.symbolic(address, own)) {
                None => same(xxh3_64(instruction.bytes)),
                Some(address @ SymbolicAddress::Inside(_)) => InstructionContent {
                    exact: hash(&address),
                    without_distance: hash(&SymbolicAddress::Inside(0)),
                },
                Some(address) => same(hash(&address)),
            };
            contents.push((index, content));
        }
    }
    contents
}

/// Encodes everything in an instruction but its address and the one that it refers to, and the symbolic address.
fn encode(instruction: &Instruction<'_>, is_relative: bool, address: &SymbolicAddress<'_>) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(64);
    let registers = [
        instruction.op0_register,
        instruction.op1_register,
        instruction.op2_register,
        instruction.op3_register,
        instruction.mem_segment,
        instruction.mem_base,
        instruction.mem_index,
    ];
    let (target_name, target_offset) = match address {
        SymbolicAddress::Inside(offset) => ("", *offset),
        SymbolicAddress::Named(name, offset) => (*name, *offset),
        SymbolicAddress::Section(name) => (*name, u64::MAX),
        SymbolicAddress::Unknown => ("", u64::MAX),
    };
    let registers = registers.into_iter().map(|register| register.map_or("", |register| register.0));
    for text in registers.chain([instruction.mnemonic.0, target_name]) {
        encoded.extend(text.as_bytes());
        encoded.push(0);
    }
    let kinds = [instruction.op0_kind, instruction.op1_kind, instruction.op2_kind, instruction.op3_kind];
    encoded.extend(kinds.map(|kind| kind.map_or(u8::MAX, Enumeration::code)));
    encoded.extend(instruction.mem_access.map(Enumeration::code));
    encoded.push(instruction.size);
    let displacement = instruction.mem_displacement.filter(|_| !is_relative).unwrap_or_default();
    let immediate = instruction.immediate.unwrap_or_default();
    let numbers =
        [target_offset, displacement as u64, immediate as u64, instruction.mem_size.unwrap_or(0).into()];
    encoded.extend(numbers.map(u64::to_le_bytes).as_flattened());
    encoded
}

/// An address relative to what it belongs to.
enum SymbolicAddress<'a> {
    /// Offset in the own function.
    Inside(u64),
    /// Name of another function or of a variable, and offset in it.
    Named(&'a str, u64),
    /// Name of a section.
    Section(&'a str),
    /// An address in no section.
    Unknown,
}

/// Named functions, variables and sections by address.
struct Symbols {
    /// Start, size and name; starts are distinct and ascending.
    named: Vec<(u64, u64, String)>,
    /// Start, size and name of the loaded sections; starts are ascending.
    sections: Vec<(u64, u64, String)>,
}

impl Symbols {
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
        named.dedup_by_key(|symbol| symbol.0);
        sections.sort_unstable();
        Ok(Self { named, sections })
    }

    /// The symbolic form of an address in the code of the function at `own`.
    fn symbolic(&self, address: u64, own: &Range<u64>) -> SymbolicAddress<'_> {
        if own.contains(&address) {
            return SymbolicAddress::Inside(address - own.start);
        }
        let covering = |ranges: &[(u64, u64, String)]| {
            let index = ranges.partition_point(|range| range.0 <= address).checked_sub(1)?;
            (address - ranges[index].0 < ranges[index].1).then_some(index)
        };
        if let Some(index) = covering(&self.named) {
            return SymbolicAddress::Named(&self.named[index].2, address - self.named[index].0);
        }
        let section = covering(&self.sections);
        section.map_or(SymbolicAddress::Unknown, |index| SymbolicAddress::Section(&self.sections[index].2))
    }
}

/// The numbers of instructions to remove from `old`, and to add, to get `new`. Jumps that differ only in their distance
/// count if there is no other difference.
pub(super) fn edit_count(old: &[InstructionContent], new: &[InstructionContent]) -> (usize, usize) {
    let without_distances = |contents: &[InstructionContent]| -> Vec<u64> {
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

#[cfg(test)]
mod tests {
    use super::{InstructionContent, edit_count};

    #[test]
    fn jumps_count_only_if_nothing_else_differs() {
        let plain = |hash| InstructionContent { exact: hash, without_distance: hash };
        let jump = |distance: u64| InstructionContent { exact: 100 + distance, without_distance: 99 };
        let old = [plain(1), jump(2), plain(2), plain(3)];
        assert_eq!(edit_count(&old, &[plain(1), jump(3), plain(2), plain(7), plain(3)]), (0, 1));
        assert_eq!(edit_count(&old, &[plain(1), jump(1), plain(2), plain(3)]), (1, 1));
    }
}
