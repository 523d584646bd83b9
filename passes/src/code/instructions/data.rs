//! Data in code: identifies constants, jump tables and runs of zeros inside executable sections.
//!
//! *Problem.* A linear sweep decodes data as instructions, and is out of step with the code after it.
//!
//! *Notation.* A position is an offset in a region, and a candidate a position and a size. A position is *reached* if a
//! direct jump or call targets it, or a function is declared at it (an anchor). A *terminator* is a valid instruction
//! that does not fall through.
//!
//! *Algorithm.*
//!  1. Candidates are: memory at constant addresses that an instruction accesses or an indirect branch reads; tables
//!     whose address is taken (signed 32-bit offsets from the table) or jumped through (absolute addresses, in 32-bit
//!     code), if they have at least 3 entries, half or more of which point to instruction starts, or are right after an
//!     indirect jump; and 8 or more zeros after an instruction or invalid bytes without fallthrough. A table ends at
//!     the lowest address after its start to which an entry points.
//!  2. Scan back from each candidate to the last terminator, at most 64 branches and 4 KiB. If no position from there
//!     to the candidate is reached, it is data: from the terminator, or from the candidate if only padding is between.
//!     Branches decoded inside a table that follows an indirect jump, or between the last terminator and an entered
//!     instruction, reach nothing.
//!  3. A data range ends with its candidate, or before the next reached position. Ranges at most 16 bytes apart are
//!     merged, unless a position between is reached. What the file declares to be data, a call passes the address of,
//!     or is between functions (`between_functions.rs`), is data up to the next reached position, and branches decoded
//!     inside it reach nothing.
//!  4. [`apply`] replaces the rows of each range by data rows of 8 bytes, and sweeps from its end until the new sweep
//!     and the old one have an instruction start in common.
//!
//! *Invariants.* Data ranges are sorted and disjoint. No reached position is in one.
//!
//! *Cost.* Linear in branches and candidates; every scan has a named limit.
//!
//! *Approximation.* A heuristic in favour of code: the target of a direct branch stays code. The opposite error: code
//! that is reached by indirect branches only, and is also read or follows zeros, is classified as data.

use super::between_functions::{self, ALIGNMENT, ZEROS_MIN};
use super::ir::{Branches, ConstantAddresses, RegionInstructions, branch_targets};
use super::sweep::SweepChunk;
use crate::bitmap::Bitmap;
use crate::code::regions::{Code, CodeRegion};
use binframe_ir::tables::Flow;
use std::ops::Range;

/// The least number of entries of a table that does not follow an indirect jump.
const ENTRIES_MIN: usize = 3;

/// How far entries may point to something other than an instruction start: entries from the start of the table, and
/// bytes after its end.
const ENTRIES_UNSURE_MAX: usize = 1 << 10;
const BYTES_AFTER_MAX: usize = 64;

/// The greatest distance in bytes from a table to the target of an entry.
const ENTRY_DISTANCE_MAX: i64 = 1 << 20;

/// Bytes before a candidate, and branches among them, in which its terminator is looked for.
const BYTES_BEFORE_MAX: usize = 1 << 12;
const BRANCHES_BEFORE_MAX: usize = 64;

/// Bytes of a data row.
const ROW_SIZE: usize = 8;

/// The greatest distance in bytes between candidates of one data range.
const GAP_MAX: usize = 16;

/// Bytes that may be data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    position: usize,
    size: usize,
}

/// The data ranges of each region, sorted, with those that the regions have; empty if there is no candidate. `anchors` are the positions of declared
/// functions, `passed` the data whose addresses calls pass.
pub(super) fn find(
    code: &Code,
    regions: &[RegionInstructions],
    anchors: &[Vec<u32>],
    passed: &[Vec<Range<usize>>],
) -> Vec<Vec<Range<usize>>> {
    let mut candidates: Vec<Vec<Candidate>> = vec![Vec::new(); regions.len()];
    for (own, instructions) in code.regions.iter().zip(regions) {
        add_referenced(code, regions, (own, instructions), &mut candidates);
    }
    let mut declared: Vec<_> = code.regions.iter().map(|region| declared_candidates(code, region)).collect();
    let between = between_functions::find(code, regions, anchors);
    for (((declared, passed), between), region) in declared.iter_mut().zip(passed).zip(&between).zip(regions)
    {
        let candidate = |range: &Range<usize>| Candidate { position: range.start, size: range.len() };
        declared.extend(passed.iter().chain(&between.data).map(candidate));
        // What was found before stays data, and code between two ranges of it stays code.
        let before = region.data.iter();
        declared.extend(before.map(|range| Candidate { position: range.start as usize, size: range.len() }));
        declared.sort_unstable();
    }
    let entered = entered_data(code, regions);
    let tables = candidates.iter().zip(regions).zip(&declared).map(|((candidates, region), declared)| {
        let tables = candidates.iter().filter(|candidate| follows_indirect_jump(region, candidate.position));
        let tables = tables.chain(declared);
        tables.map(|Candidate { position, size }| *position..position + size).collect()
    });
    let mut tables: Vec<Vec<Range<usize>>> = tables.collect();
    for ((tables, entered), between) in tables.iter_mut().zip(&entered).zip(between) {
        tables.extend(between.misread);
        tables.extend(entered.iter().map(|(span, _)| span.clone()));
        tables.sort_unstable_by_key(|range| (range.start, range.end));
    }
    for (candidates, (region, instructions)) in candidates.iter_mut().zip(code.regions.iter().zip(regions)) {
        add_zeros(region, &instructions.branches, candidates);
    }
    for (candidates, entered) in candidates.iter_mut().zip(&entered) {
        candidates.extend(entered.iter().map(|(_, candidate)| *candidate));
    }
    if candidates.iter().chain(&declared).all(Vec::is_empty) {
        return Vec::new();
    }
    let targets = branch_targets(code, regions, &tables);
    let found = candidates.into_iter().enumerate().map(|(index, mut candidates)| {
        candidates.sort_unstable();
        let (region, instructions) = (&code.regions[index], &regions[index]);
        let reach = RegionReach { region, instructions, anchors: &anchors[index], targets: &targets[index] };
        reach.with_declared(&declared[index], reach.data_ranges(&candidates))
    });
    found.collect()
}

/// Whether there is more data than the regions have.
pub(super) fn is_new(found: &[Vec<Range<usize>>], regions: &[RegionInstructions]) -> bool {
    let size = |ranges: &[Range<usize>]| ranges.iter().map(Range::len).sum::<usize>();
    let old_size = |data: &[Range<u32>]| data.iter().map(ExactSizeIterator::len).sum::<usize>();
    found.iter().zip(regions).any(|(found, region)| size(found) > old_size(&region.data))
}

/// What the file declares to be data in a region.
fn declared_candidates(code: &Code, region: &CodeRegion) -> Vec<Candidate> {
    let first = code.declared_data.partition_point(|range| range.start < region.address);
    let own = code.declared_data[first..].iter().take_while(|range| range.start < region.end_address());
    own.map(|range| {
        let position = (range.start - region.address) as usize;
        Candidate { position, size: (range.end - range.start) as usize }
    })
    .collect()
}

/// The instructions of each region that a direct branch enters elsewhere than at their start, so that the bytes before
/// its target are no code: each as the range from the last terminator to the target, and as a candidate.
///
/// The branch is outside of that range, or else two instructions overlap. Only calls and jumps with a wide displacement
/// count, and jumps over the range: those that are decoded in data by accident rarely lead to code.
fn entered_data(code: &Code, regions: &[RegionInstructions]) -> Vec<Vec<(Range<usize>, Candidate)>> {
    /// Bytes of a branch with a wide displacement.
    const WIDE_MIN: u8 = 5;
    let mut found = vec![Vec::new(); regions.len()];
    if code.regions.iter().all(|region| region.isa.alignment() > 1) {
        return found;
    }
    for (source, instructions) in regions.iter().enumerate() {
        let Branches { positions, sizes, flows, targets } = &instructions.branches;
        for row in 0..flows.len() {
            if !matches!(flows[row], Flow::Call | Flow::Jump | Flow::CondJump) {
                continue;
            }
            let Some((index, target)) = code.locate(targets[row]) else { continue };
            let swept = &regions[index];
            if swept.starts.contains(target) || swept.is_data(target) {
                continue;
            }
            let Some(position) = swept.starts.last_in(0..target) else { continue };
            let before = swept.branches.first_at(position);
            let rows = (before.saturating_sub(BRANCHES_BEFORE_MAX)..before).rev();
            let terminator = rows.clone().find(|row| is_terminator(&swept.branches, *row, position));
            let Some(start) = terminator.map(|row| swept.branches.end(row)) else { continue };
            let is_over =
                source == index && flows[row] == Flow::Jump && instructions.branches.end(row) == start;
            let is_outside = source != index || !(start..target).contains(&(positions[row] as usize));
            if is_outside && (is_over || sizes[row] >= WIDE_MIN) {
                found[index].push((start..target, Candidate { position, size: target - position }));
            }
        }
    }
    found
}

/// Whether the branch in a row is a valid instruction that ends at or before a position and does not fall through.
fn is_terminator(branches: &Branches, row: usize, position: usize) -> bool {
    let flow = branches.flows[row];
    !flow.continues() && flow != Flow::Invalid && branches.end(row) <= position
}

/// Adds the memory in code that instructions access at constant addresses, and the tables whose addresses they take or
/// jump through.
fn add_referenced(
    code: &Code,
    regions: &[RegionInstructions],
    (own, from): (&CodeRegion, &RegionInstructions),
    candidates: &mut [Vec<Candidate>],
) {
    let ConstantAddresses { addresses, are_taken, sizes, .. } = &from.constants;
    for ((address, is_taken), size) in addresses.iter().zip(are_taken).zip(sizes) {
        let Some((index, position)) = code.locate(*address) else { continue };
        let size = match is_taken {
            true => table_size(&code.regions[index], &regions[index], position, Entries::Relative),
            false => usize::from(*size),
        };
        if size > 0 {
            candidates[index].push(Candidate { position, size });
        }
    }
    let Branches { positions, flows, targets, .. } = &from.branches;
    for ((flow, target), source) in flows.iter().zip(targets).zip(positions) {
        if !matches!(flow, Flow::IndirectJump | Flow::IndirectCall) || *target == 0 {
            continue;
        }
        let Some((index, position)) = code.locate(*target) else { continue };
        let region = &code.regions[index];
        let table = match region.isa.has_absolute_tables() {
            true => table_size(region, &regions[index], position, Entries::Absolute),
            false => 0,
        };
        // The entry at index 0 may not be used.
        let is_indexed = || own.isa.is_indexed(&own.bytes[*source as usize..]);
        let pointer = if table > 0 || is_indexed() { 0 } else { region.isa.bits() as usize / 8 };
        if table.max(pointer) > 0 {
            candidates[index].push(Candidate { position, size: table.max(pointer) });
        }
    }
}

/// Adds long runs of zeros after instructions that do not fall through, except alignment.
fn add_zeros(region: &CodeRegion, branches: &Branches, candidates: &mut Vec<Candidate>) {
    let mut scanned_to = 0;
    for row in 0..branches.len() {
        let end = branches.end(row);
        if branches.flows[row].continues() || end < scanned_to || region.bytes.get(end) != Some(&0) {
            continue;
        }
        let zeros = region.bytes[end..].iter().take_while(|byte| **byte == 0).count();
        scanned_to = end + zeros;
        let is_alignment = branches.flows[row] != Flow::Invalid
            && zeros < ALIGNMENT as usize
            && region.address.wrapping_add(scanned_to as u64).is_multiple_of(ALIGNMENT);
        if zeros >= ZEROS_MIN && !is_alignment {
            candidates.push(Candidate { position: end, size: zeros });
        }
    }
}

/// The encoding of the 32-bit entries of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entries {
    /// Signed offsets from the start of the table.
    Relative,
    /// Addresses.
    Absolute,
}

/// Size in bytes of the jump table at a position; 0 if there is none. The table ends at the lowest address after its
/// start to which an entry points. The sweep that decoded the table may be out of step with the code after it, so
/// entries that point to no instruction start there count too, if others do point to one.
fn table_size(
    region: &CodeRegion,
    instructions: &RegionInstructions,
    position: usize,
    entries: Entries,
) -> usize {
    let table = region.address.wrapping_add(position as u64);
    let target = |entry: &[u8]| {
        let stored = entry.try_into().map_or(0, i32::from_le_bytes);
        let address = match entries {
            Entries::Relative => table.wrapping_add_signed(i64::from(stored)),
            Entries::Absolute => u64::from(stored as u32),
        };
        let distance = address.wrapping_sub(table) as i64;
        let is_near = distance != 0 && distance.unsigned_abs() <= ENTRY_DISTANCE_MAX as u64;
        let target = usize::try_from(address.wrapping_sub(region.address)).ok()?;
        (is_near && target < region.bytes.len()).then_some(target)
    };
    let (mut end, mut limit, mut sure, mut farthest_unsure) = (position, usize::MAX, 0, 0);
    for entry in region.bytes[position..].chunks_exact(4) {
        let Some(target) = target(entry) else { break };
        if instructions.starts.contains(target) {
            sure += 1;
        } else if (position..position + entry.len() * ENTRIES_UNSURE_MAX).contains(&target) {
            farthest_unsure = farthest_unsure.max(target);
        } else {
            break;
        }
        if target > position {
            limit = limit.min(target);
        }
        if end + entry.len() > limit {
            break;
        }
        end += entry.len();
    }
    let count = (end - position) / 4;
    let is_long = count >= ENTRIES_MIN && sure * 2 >= count && farthest_unsure < end + BYTES_AFTER_MAX;
    let is_table = is_long || follows_indirect_jump(instructions, position);
    if is_table { end - position } else { 0 }
}

/// Whether an indirect jump ends at a position. Cranelift puts tables right after their jumps.
fn follows_indirect_jump(instructions: &RegionInstructions, position: usize) -> bool {
    let branches = &instructions.branches;
    let before = branches.first_at(position).checked_sub(1);
    before.is_some_and(|row| branches.end(row) == position && branches.flows[row] == Flow::IndirectJump)
}

/// A region with its reached positions.
struct RegionReach<'a> {
    region: &'a CodeRegion,
    instructions: &'a RegionInstructions,
    anchors: &'a [u32],
    targets: &'a Bitmap,
}

impl RegionReach<'_> {
    /// The data ranges, given the sorted candidates.
    fn data_ranges(&self, candidates: &[Candidate]) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for Candidate { position, size } in candidates.iter().copied() {
            let end = position.saturating_add(size).checked_next_multiple_of(self.region.isa.alignment());
            let end = end.unwrap_or(usize::MAX).min(self.region.bytes.len());
            let end = self.next_reached(position + 1, end);
            let last_end = ranges.last().map_or(0, |range| range.end);
            let is_near = !ranges.is_empty()
                && position <= last_end + GAP_MAX
                && self.next_reached(last_end, position + 1) > position;
            match ranges.last_mut().filter(|_| is_near) {
                Some(range) => range.end = range.end.max(end),
                None => ranges.extend(self.data_start(position, last_end).map(|start| start..end)),
            }
        }
        ranges
    }

    /// The given data ranges and the declared ones, merged where they overlap.
    fn with_declared(&self, declared: &[Candidate], mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
        if declared.is_empty() {
            return ranges;
        }
        for Candidate { position, size } in declared.iter().copied() {
            if self.next_reached(position, position + 1) > position {
                ranges.push(position..self.next_reached(position + 1, position + size));
            }
        }
        ranges.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            match merged.last_mut().filter(|last| range.start < last.end) {
                Some(last) => last.end = last.end.max(range.end),
                None => merged.push(range),
            }
        }
        merged
    }

    /// The first reached position in a range; its end if there is none.
    fn next_reached(&self, from: usize, end: usize) -> usize {
        let anchor = self.anchors.get(self.anchors.partition_point(|anchor| (*anchor as usize) < from));
        let anchor = anchor.map_or(end, |anchor| (*anchor as usize).min(end));
        self.targets.first_in(from..anchor.max(from)).unwrap_or(anchor)
    }

    /// The start of the data that contains a candidate's position; `None` if the candidate is not data.
    fn data_start(&self, position: usize, last_end: usize) -> Option<usize> {
        let branches = &self.instructions.branches;
        let before = branches.first_at(position);
        let mut scanned = (before.saturating_sub(BRANCHES_BEFORE_MAX)..before).rev();
        let from = match scanned.find(|row| is_terminator(branches, *row, position)) {
            Some(row) => branches.end(row),
            None if before <= BRANCHES_BEFORE_MAX => 0,
            None => return None,
        };
        let from = from.max(last_end);
        let is_near = position - from <= BYTES_BEFORE_MAX;
        if !is_near || self.next_reached(from, position + 1) <= position {
            return None;
        }
        let starts = &self.instructions.starts;
        let is_padded =
            starts.contains(position) && self.region.isa.is_padding(&self.region.bytes[from..position]);
        Some(if is_padded { position } else { from })
    }
}

/// The instructions of a region, given its data ranges: data rows in the ranges, and the sweep resynchronized after
/// each.
pub(super) fn apply(
    region: &CodeRegion,
    anchors: &[u32],
    data: Vec<Range<usize>>,
    swept: RegionInstructions,
) -> RegionInstructions {
    /// Bytes that are decoded again at a time.
    const WINDOW: usize = 1 << 12;
    let RegionInstructions { mut starts, branches: old_branches, constants: old_constants, .. } = swept;
    let (mut branches, mut constants) = (Branches::default(), ConstantAddresses::default());
    // An instruction is truncated also where data starts.
    let mut stops: Vec<u32> =
        anchors.iter().copied().chain(data.iter().map(|range| range.start as u32)).collect();
    stops.sort_unstable();
    stops.dedup();
    let length = region.bytes.len();
    let mut next = 0;
    for (index, range) in data.iter().enumerate() {
        branches.append_range(&old_branches, next..range.start);
        constants.append_range(&old_constants, next..range.start);
        let next_data = data.get(index + 1).map_or(length, |next| next.start);
        starts.clear(range.clone());
        for position in range.clone().step_by(ROW_SIZE) {
            starts.insert(position);
            branches.push(position as u32, (range.end - position).min(ROW_SIZE) as u8, Flow::Invalid, 0);
        }
        next = range.end;
        while next < next_data && !starts.contains(next) {
            let end = (next + WINDOW).min(next_data);
            let mut chunk = SweepChunk::new(next, end);
            let is_common = |position: usize| position >= end || starts.contains(position);
            let common = chunk.sweep(region, &stops, next, is_common);
            starts.clear(next..common.min(length));
            chunk.starts.iter_in(0..end - next).for_each(|position| starts.insert(next + position));
            branches.append(chunk.branches);
            constants.append(chunk.constants);
            next = common;
        }
    }
    branches.append_range(&old_branches, next..length);
    constants.append_range(&old_constants, next..length);
    let data = data.into_iter().map(|range| range.start as u32..range.end as u32).collect();
    RegionInstructions { starts, branches, constants, data, ..Default::default() }
}
