//! Data that stands among code: constants that instructions read, tables of jumps, long runs of zeros.
//!
//! A place holds data if an instruction reads it at a constant address and control does not come to it: no call, jump or start of
//! a function leads to it, nor to the code that would run into it, back to the last instruction that does not go on. Tables count
//! whose address an instruction takes or jumps through, and at least three of whose entries lead to instructions; zeros count
//! behind an instruction that does not go on. Data ends with what is known to be read, or where control comes to; what is then
//! swept anew begins behind it.

use super::{Branches, Constants, Piece, RegionInstructions};
use crate::bitmap::Bitmap;
use crate::code::regions::{Code, CodeRegion};
use crate::isa::Isa;
use binframe_ir::tables::Flow;
use std::ops::Range;

/// Zeros that are no alignment.
const ZEROS_MIN: usize = 8;

/// Entries of which a table has at least so many.
const ENTRIES_MIN: usize = 3;

/// Entries of a table that may lead to what seems to be no instruction, and bytes behind it in which that is so.
const ENTRIES_UNSURE_MAX: usize = 1 << 10;
const BEHIND_MAX: usize = 64;

/// How far entries lead.
const ENTRY_DISTANCE_MAX: i64 = 1 << 20;

/// Bytes that are looked at before data for what runs into it, and branches among them.
const BEFORE_MAX: usize = 1 << 12;
const BRANCHES_BEFORE_MAX: usize = 64;

/// Bytes of data in one row.
pub(super) const ROW_SIZE: usize = 8;

/// Bytes between two constants that belong to the same data.
const GAP_MAX: usize = 16;

/// Positions of a region that direct calls and jumps go to, for each region, but for what seem to be such in some data, which is in
/// order.
pub(super) fn targets(code: &Code, regions: &[RegionInstructions], data: &[Vec<Candidate>]) -> Vec<Bitmap> {
    let mut targets: Vec<_> = code.regions.iter().map(|region| Bitmap::new(region.bytes.len())).collect();
    for (index, branches) in regions.iter().map(|region| &region.branches).enumerate() {
        let mut data = data.get(index).map_or([].as_slice(), Vec::as_slice).iter().peekable();
        for row in 0..branches.flows.len() {
            if !matches!(branches.flows[row], Flow::Call | Flow::Jump | Flow::CondJump) {
                continue;
            }
            let position = branches.positions[row] as usize;
            while data.next_if(|(start, size)| start + size <= position).is_some() {}
            if data.peek().is_some_and(|(start, _)| *start <= position) {
                continue;
            }
            if let Some((region, position)) = code.locate(branches.targets[row]) {
                targets[region].insert(position);
            }
        }
    }
    targets
}

/// Bytes that may be data: a position, and how many.
pub(super) type Candidate = (usize, usize);

/// The positions of data in each region, in their order; `anchors` are those of the functions that the file states.
pub(super) fn find(
    code: &Code,
    regions: &[RegionInstructions],
    anchors: &[Vec<u32>],
) -> Vec<Vec<Range<usize>>> {
    let mut candidates: Vec<Vec<Candidate>> = vec![Vec::new(); regions.len()];
    for instructions in regions {
        add_named(code, regions, instructions, &mut candidates);
    }
    let tables = candidates.iter().zip(regions).map(|(candidates, region)| {
        let mut tables: Vec<_> =
            candidates.iter().copied().filter(|(position, _)| is_behind_jump(region, *position)).collect();
        tables.sort_unstable();
        tables
    });
    let tables: Vec<_> = tables.collect();
    for (candidates, (region, instructions)) in candidates.iter_mut().zip(code.regions.iter().zip(regions)) {
        add_zeros(region, &instructions.branches, candidates);
    }
    if candidates.iter().all(Vec::is_empty) {
        return Vec::new();
    }
    let targets = targets(code, regions, &tables);
    let found = candidates.into_iter().enumerate().map(|(index, mut candidates)| {
        candidates.sort_unstable();
        let (region, instructions) = (&code.regions[index], &regions[index]);
        Surroundings { region, instructions, anchors: &anchors[index], targets: &targets[index] }
            .runs(&candidates)
    });
    found.collect()
}

/// Adds what instructions read at constant addresses in code, and the tables whose addresses they take or jump through.
fn add_named(
    code: &Code,
    regions: &[RegionInstructions],
    from: &RegionInstructions,
    candidates: &mut [Vec<Candidate>],
) {
    let Constants { addresses, are_taken, sizes, .. } = &from.constants;
    for ((address, is_taken), size) in addresses.iter().zip(are_taken).zip(sizes) {
        let Some((index, position)) = code.locate(*address) else { continue };
        let size = match is_taken {
            true => table_size(&code.regions[index], &regions[index], position, Entries::Relative),
            false => usize::from(*size),
        };
        if size > 0 {
            candidates[index].push((position, size));
        }
    }
    let Branches { flows, targets, .. } = &from.branches;
    for (flow, target) in flows.iter().zip(targets) {
        if !matches!(flow, Flow::IndirectJump | Flow::IndirectCall) || *target == 0 {
            continue;
        }
        let Some((index, position)) = code.locate(*target) else { continue };
        let region = &code.regions[index];
        let table = match region.isa {
            Isa::X86 => table_size(region, &regions[index], position, Entries::Absolute),
            Isa::X86_64 => 0,
        };
        candidates[index].push((position, table.max(region.isa.bits() as usize / 8)));
    }
}

/// Adds long runs of zeros behind instructions that do not go on.
fn add_zeros(region: &CodeRegion, branches: &Branches, candidates: &mut Vec<Candidate>) {
    let mut reached = 0;
    for row in 0..branches.flows.len() {
        let end = branches.end(row);
        if branches.flows[row].continues() || end < reached || region.bytes.get(end) != Some(&0) {
            continue;
        }
        let zeros = region.bytes[end..].iter().take_while(|byte| **byte == 0).count();
        reached = end + zeros;
        if zeros >= ZEROS_MIN {
            candidates.push((end, zeros));
        }
    }
}

/// What entries of tables hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entries {
    /// Distances from the table.
    Relative,
    /// Addresses.
    Absolute,
}

/// Size of the table of jumps at a position; 0 where there is none. It ends where an entry leads that lies behind it. What it
/// seems to be as instructions may run over the code behind it: entries that lead there count too, if others are surer.
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
    let is_long = count >= ENTRIES_MIN && sure * 2 >= count && farthest_unsure < end + BEHIND_MAX;
    let is_table = is_long || is_behind_jump(instructions, position);
    if is_table { end - position } else { 0 }
}

/// Whether an indirect jump stands right before a position, as Cranelift has it before its tables.
fn is_behind_jump(instructions: &RegionInstructions, position: usize) -> bool {
    let branches = &instructions.branches;
    let before = branches.first_at(position).checked_sub(1);
    before.is_some_and(|row| branches.end(row) == position && branches.flows[row] == Flow::IndirectJump)
}

/// One region, and where control comes to in it.
struct Surroundings<'a> {
    region: &'a CodeRegion,
    instructions: &'a RegionInstructions,
    anchors: &'a [u32],
    targets: &'a Bitmap,
}

impl Surroundings<'_> {
    /// The data that candidates, in their order, turn out to be.
    fn runs(&self, candidates: &[Candidate]) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (position, size) in candidates.iter().copied() {
            let end =
                self.next_reached(position + 1, position.saturating_add(size).min(self.region.bytes.len()));
            let last_end = runs.last().map_or(0, |run| run.end);
            let is_near = !runs.is_empty()
                && position <= last_end + GAP_MAX
                && self.next_reached(last_end, position + 1) > position;
            match runs.last_mut().filter(|_| is_near) {
                Some(run) => run.end = run.end.max(end),
                None => runs.extend(self.start_before(position, last_end).map(|start| start..end)),
            }
        }
        runs
    }

    /// The first position in a range that control comes to; the range's end if there is none.
    fn next_reached(&self, from: usize, end: usize) -> usize {
        let anchor = self.anchors.get(self.anchors.partition_point(|anchor| (*anchor as usize) < from));
        let anchor = anchor.map_or(end, |anchor| (*anchor as usize).min(end));
        self.targets.first_in(from..anchor.max(from)).unwrap_or(anchor)
    }

    /// Where the data begins that holds a position; none if control comes to it.
    fn start_before(&self, position: usize, last_end: usize) -> Option<usize> {
        let branches = &self.instructions.branches;
        let before = branches.first_at(position);
        let mut looked_at = (before.saturating_sub(BRANCHES_BEFORE_MAX)..before).rev();
        let ends_way = |row: &usize| {
            let flow = branches.flows[*row];
            !flow.continues() && flow != Flow::Invalid && branches.end(*row) <= position
        };
        let from = match looked_at.find(ends_way) {
            Some(row) => branches.end(row),
            None if before <= BRANCHES_BEFORE_MAX => 0,
            None => return None,
        };
        let from = from.max(last_end);
        let is_near = position - from <= BEFORE_MAX;
        if !is_near || self.next_reached(from, position + 1) <= position {
            return None;
        }
        let starts = &self.instructions.starts;
        let is_padded =
            starts.contains(position) && self.region.isa.is_padding(&self.region.bytes[from..position]);
        Some(if is_padded { position } else { from })
    }
}

/// What a region holds, given where its data is: rows for the data, and instructions that begin behind it.
pub(super) fn apply(
    region: &CodeRegion,
    anchors: &[u32],
    data: Vec<Range<usize>>,
    swept: RegionInstructions,
) -> RegionInstructions {
    /// Bytes that are swept anew at a time.
    const WINDOW: usize = 1 << 12;
    let RegionInstructions { mut starts, branches: old_branches, constants: old_constants, .. } = swept;
    let (mut branches, mut constants) = (Branches::default(), Constants::default());
    // Where data begins, an instruction does not go on.
    let mut stops: Vec<u32> =
        anchors.iter().copied().chain(data.iter().map(|run| run.start as u32)).collect();
    stops.sort_unstable();
    stops.dedup();
    let length = region.bytes.len();
    let mut kept = 0;
    for (index, run) in data.iter().enumerate() {
        branches.append_range(&old_branches, kept..run.start);
        constants.append_range(&old_constants, kept..run.start);
        let next_run = data.get(index + 1).map_or(length, |next| next.start);
        starts.clear(run.clone());
        for position in run.clone().step_by(ROW_SIZE) {
            starts.insert(position);
            branches.push(position as u32, (run.end - position).min(ROW_SIZE) as u8, Flow::Invalid, 0);
        }
        kept = run.end;
        while kept < next_run && !starts.contains(kept) {
            let end = (kept + WINDOW).min(next_run);
            let mut piece = Piece::new(kept, end);
            let joined =
                piece.sweep(region, &stops, kept, |position| position >= end || starts.contains(position));
            starts.clear(kept..joined.min(length));
            piece.starts.iter_in(0..end - kept).for_each(|position| starts.insert(kept + position));
            branches.append(piece.branches);
            constants.append(piece.constants);
            kept = joined;
        }
    }
    branches.append_range(&old_branches, kept..length);
    constants.append_range(&old_constants, kept..length);
    let data = data.into_iter().map(|run| run.start as u32..run.end as u32).collect();
    RegionInstructions { starts, branches, constants, data }
}
