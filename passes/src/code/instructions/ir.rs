//! The result of the pass, which later passes read without decoding instructions again.
//!
//! [`InstructionsIr`] is a projection of the table `instructions`: the start of each instruction
//! ([`RegionInstructions::starts`]), the rows whose `flow` is not `next` ([`Branches`]), the constant addresses in
//! other rows ([`ConstantAddresses`]), and the rows with role `data` ([`RegionInstructions::is_data`]). Later passes
//! may read all of it, and nothing else of this pass. The fingerprint covers it.

use crate::bitmap::Bitmap;
use crate::code::closure_tables::{ClosureCode, TABLES_MIN, aligned_code, code_at, slow_entry};
use crate::code::regions::Code;
use crate::isa::ConstantAddress;
use binframe_ir::tables::{Diagnostics, Flow};
use binframe_ir::{Enumeration, Fingerprint, Rows};
use std::ops::Range;
use std::sync::OnceLock;

/// The instructions of all code regions, without their operands.
#[derive(Debug, Clone)]
pub struct InstructionsIr {
    /// The instructions of each region of [`Code`].
    pub(crate) regions: Vec<RegionInstructions>,
    /// Invalid instructions, and executable sections that are not decoded.
    pub diagnostics: Rows<Diagnostics>,
    /// The targets of direct branches in each region, computed on first use.
    branch_targets: OnceLock<Vec<Bitmap>>,
    fingerprint: Fingerprint,
}

/// Code that GHC compiled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closure {
    pub(crate) region: usize,
    pub(crate) position: usize,
    pub(crate) code: ClosureCode,
}

/// The instructions of one region. A position is an offset from the start of the region, in bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegionInstructions {
    /// The positions at which rows start: instructions, invalid bytes and data.
    pub(crate) starts: Bitmap,
    pub(crate) branches: Branches,
    pub(crate) constants: ConstantAddresses,
    /// The ranges of data, sorted and disjoint.
    pub(super) data: Vec<Range<u32>>,
    /// The rows of branches whose target is not encoded in the instruction, sorted: indirect ones whose target was found by
    /// the value of a register, and conditional jumps over a prefix of the next instruction.
    pub(super) inferred_targets: Vec<u32>,
}

/// The rows whose flow is not `next`, called branches here: jumps, calls, returns, traps, invalid bytes and data; and
/// system calls. Columns, sorted by position.
#[derive(Debug, Clone, Default)]
pub(crate) struct Branches {
    pub(crate) positions: Vec<u32>,
    /// Sizes in bytes.
    pub(crate) sizes: Vec<u8>,
    /// The flow in context (`context.rs`).
    pub(crate) flows: Vec<Flow>,
    /// The target of a direct jump or call; for an indirect one the constant address of the pointer that it reads. 0
    /// for all others.
    pub(crate) targets: Vec<u64>,
}

/// The constant addresses in instructions whose flow is `next`, one for each such instruction. Columns, sorted by
/// position.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConstantAddresses {
    pub(super) positions: Vec<u32>,
    pub(crate) addresses: Vec<u64>,
    /// Whether the instruction takes the address, rather than access the memory at it.
    pub(super) are_taken: Vec<bool>,
    /// Bytes that are accessed; 0 if the address is taken.
    pub(super) sizes: Vec<u8>,
}

impl PartialEq for InstructionsIr {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for InstructionsIr {}

impl InstructionsIr {
    pub(super) fn new(regions: Vec<RegionInstructions>, diagnostics: Rows<Diagnostics>) -> Self {
        let fingerprints = regions.iter().flat_map(RegionInstructions::fingerprints);
        let fingerprint = Fingerprint::of_all(fingerprints.chain([diagnostics.batch().fingerprint()]));
        Self { regions, diagnostics, branch_targets: OnceLock::new(), fingerprint }
    }

    /// Equal for equal instructions.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The addresses that instructions take, in no order and with duplicates.
    pub(crate) fn taken_addresses(&self) -> impl Iterator<Item = u64> {
        self.regions.iter().flat_map(|region| {
            let ConstantAddresses { addresses, are_taken, .. } = &region.constants;
            let taken = addresses.iter().zip(are_taken).filter(|(_, is_taken)| **is_taken);
            taken.map(|(address, _)| *address)
        })
    }

    /// The straight-line code that ends with a branch: no direct branch targets it after its first instruction.
    pub(crate) fn straight_line<'c>(&self, code: &'c Code, region: usize, row: usize) -> &'c [u8] {
        let (own, branches) = (&self.regions[region], &self.regions[region].branches);
        let targets = &self.branch_targets(code)[region];
        let start = straight_line_start(own, targets, row, branches.positions[row] as usize);
        &code.regions[region].bytes[start..branches.end(row)]
    }

    /// The targets of direct branches in each region.
    pub(super) fn branch_targets(&self, code: &Code) -> &[Bitmap] {
        self.branch_targets.get_or_init(|| branch_targets(code, &self.regions, &[]))
    }

    /// The code of GHC, sorted: that after info tables, that to which they refer, and other aligned code. Empty if there
    /// are too few tables.
    pub(crate) fn closures(&self, code: &Code) -> Vec<Closure> {
        let regions = self.regions.iter().zip(&code.regions).enumerate();
        let of_tables = regions.clone().flat_map(|(region, (instructions, own))| {
            let ends = instructions.data.iter().map(|range| range.end as usize);
            ends.filter_map(move |position| Some(Closure { region, position, code: code_at(own, position)? }))
        });
        let mut closures: Vec<_> = of_tables.collect();
        if closures.len() < TABLES_MIN {
            return Vec::new();
        }
        let slow = closures.clone().into_iter().filter(|closure| closure.code == ClosureCode::Entry);
        closures.extend(slow.filter_map(|Closure { region, position, code: entry }| {
            let position = slow_entry(&code.regions[region], position)?;
            Some(Closure { region, position, code: entry })
        }));
        for (region, (instructions, own)) in regions {
            let Branches { flows, .. } = &instructions.branches;
            let last =
                (0..flows.len()).filter(|row| !flows[*row].continues() && flows[*row] != Flow::Invalid);
            let aligned = last.filter_map(|row| aligned_code(own, instructions.branches.end(row)));
            let aligned = aligned.filter(|position| !instructions.is_data(*position));
            closures.extend(aligned.map(|position| Closure { region, position, code: ClosureCode::Entry }));
        }
        closures.sort_unstable_by_key(|closure| (closure.region, closure.position));
        closures.dedup_by_key(|closure| (closure.region, closure.position));
        closures
    }

    /// Number of instructions.
    pub fn len(&self) -> usize {
        self.regions.iter().map(|region| region.starts.count()).sum()
    }

    /// Whether there is no code.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }
}

impl RegionInstructions {
    /// Whether the row at a position is data.
    pub(crate) fn is_data(&self, position: usize) -> bool {
        let before = self.data.partition_point(|range| range.start as usize <= position).checked_sub(1);
        before.is_some_and(|before| position < self.data[before].end as usize)
    }

    /// Whether there are rows with role `data`.
    pub(super) fn has_data(&self) -> bool {
        !self.data.is_empty()
    }

    /// Whether the target of a branch is not encoded in the instruction.
    pub(crate) fn has_inferred_target(&self, row: usize) -> bool {
        self.inferred_targets.binary_search(&(row as u32)).is_ok()
    }

    pub(super) fn fingerprints(&self) -> [Fingerprint; 6] {
        // Positions and sizes of branches follow from the starts, sizes of accesses and `inferred_targets` from the bytes.
        let flows: Vec<u8> = self.branches.flows.iter().map(|flow| flow.code()).collect();
        let constants = self.constants.positions.iter().zip(&self.constants.are_taken);
        let constants: Vec<_> =
            constants.map(|(position, is_taken)| u64::from(*position) << 1 | u64::from(*is_taken)).collect();
        let data = self.data.iter().flat_map(|range| [u64::from(range.start), u64::from(range.end)]);
        [
            Fingerprint::of_numbers(&self.starts.words()),
            Fingerprint::of_numbers(&self.branches.targets),
            Fingerprint::of_bytes(&flows),
            Fingerprint::of_numbers(&constants),
            Fingerprint::of_numbers(&self.constants.addresses),
            Fingerprint::of_numbers(&data.collect::<Vec<_>>()),
        ]
    }
}

/// The targets of direct jumps and calls, as positions in each region. Branches inside `excluded` do not count; it has
/// sorted ranges for each region, or is empty.
pub(super) fn branch_targets(
    code: &Code,
    regions: &[RegionInstructions],
    excluded: &[Vec<Range<usize>>],
) -> Vec<Bitmap> {
    let mut targets: Vec<_> = code.regions.iter().map(|region| Bitmap::new(region.bytes.len())).collect();
    for (index, branches) in regions.iter().map(|region| &region.branches).enumerate() {
        let mut excluded = excluded.get(index).map_or([].as_slice(), Vec::as_slice).iter().peekable();
        for row in 0..branches.flows.len() {
            if !matches!(branches.flows[row], Flow::Call | Flow::Jump | Flow::CondJump) {
                continue;
            }
            let position = branches.positions[row] as usize;
            while excluded.next_if(|range| range.end <= position).is_some() {}
            if excluded.peek().is_some_and(|range| range.start <= position) {
                continue;
            }
            if let Some((region, position)) = code.locate(branches.targets[row]) {
                targets[region].insert(position);
            }
        }
    }
    targets
}

/// The start of straight-line code that ends at a position: after the branch before the row of that position, and at or
/// after the last target of a direct branch.
pub(super) fn straight_line_start(
    instructions: &RegionInstructions,
    targets: &Bitmap,
    row: usize,
    position: usize,
) -> usize {
    /// Bytes before the position.
    const CODE_MAX: usize = 96;
    let after_branch = row.checked_sub(1).map_or(0, |before| instructions.branches.end(before));
    let near = after_branch.max(position.saturating_sub(CODE_MAX)).min(position);
    let near = instructions.starts.first_in(near..position + 1).unwrap_or(position);
    targets.last_in(near..position + 1).unwrap_or(near)
}

impl ConstantAddresses {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            positions: Vec::with_capacity(rows),
            addresses: Vec::with_capacity(rows),
            are_taken: Vec::with_capacity(rows),
            sizes: Vec::with_capacity(rows),
        }
    }

    /// The last address in a range of positions at which an instruction reads or writes that is chosen by its position.
    pub(crate) fn last_read(&self, range: Range<usize>, is_chosen: impl Fn(usize) -> bool) -> Option<u64> {
        let first = |position: usize| self.positions.partition_point(|own| (*own as usize) < position);
        let row = (first(range.start)..first(range.end)).rev();
        let row =
            row.into_iter().find(|row| !self.are_taken[*row] && is_chosen(self.positions[*row] as usize))?;
        Some(self.addresses[row])
    }

    pub(super) fn push(&mut self, position: u32, constant: ConstantAddress) {
        self.positions.push(position);
        self.addresses.push(constant.address);
        self.are_taken.push(constant.is_taken);
        self.sizes.push(constant.size);
    }

    /// Appends those rows of `other` that are in a range of positions.
    pub(super) fn append_range(&mut self, other: &Self, range: Range<usize>) {
        let first = |position: usize| other.positions.partition_point(|own| (*own as usize) < position);
        let rows = first(range.start)..first(range.end);
        self.positions.extend_from_slice(&other.positions[rows.clone()]);
        self.addresses.extend_from_slice(&other.addresses[rows.clone()]);
        self.are_taken.extend_from_slice(&other.are_taken[rows.clone()]);
        self.sizes.extend_from_slice(&other.sizes[rows]);
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.positions.append(&mut other.positions);
        self.addresses.append(&mut other.addresses);
        self.are_taken.append(&mut other.are_taken);
        self.sizes.append(&mut other.sizes);
    }

    /// The rows at and after a position.
    pub(super) fn split_off(mut self, position: usize) -> Self {
        let row = self.positions.partition_point(|other| (*other as usize) < position);
        Self {
            positions: self.positions.split_off(row),
            addresses: self.addresses.split_off(row),
            are_taken: self.are_taken.split_off(row),
            sizes: self.sizes.split_off(row),
        }
    }
}

impl Branches {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            positions: Vec::with_capacity(rows),
            sizes: Vec::with_capacity(rows),
            flows: Vec::with_capacity(rows),
            targets: Vec::with_capacity(rows),
        }
    }

    pub(super) fn push(&mut self, position: u32, size: u8, flow: Flow, target: u64) {
        self.positions.push(position);
        self.sizes.push(size);
        self.flows.push(flow);
        self.targets.push(target);
    }

    /// Appends those rows of `other` that are in a range of positions.
    pub(super) fn append_range(&mut self, other: &Self, range: Range<usize>) {
        let rows = other.first_at(range.start)..other.first_at(range.end);
        self.positions.extend_from_slice(&other.positions[rows.clone()]);
        self.sizes.extend_from_slice(&other.sizes[rows.clone()]);
        self.flows.extend_from_slice(&other.flows[rows.clone()]);
        self.targets.extend_from_slice(&other.targets[rows]);
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.positions.append(&mut other.positions);
        self.sizes.append(&mut other.sizes);
        self.flows.append(&mut other.flows);
        self.targets.append(&mut other.targets);
    }

    /// The rows at and after a position.
    pub(super) fn split_off(mut self, position: usize) -> Self {
        let row = self.first_at(position);
        Self {
            positions: self.positions.split_off(row),
            sizes: self.sizes.split_off(row),
            flows: self.flows.split_off(row),
            targets: self.targets.split_off(row),
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    /// The first row at or after a position.
    pub(crate) fn first_at(&self, position: usize) -> usize {
        self.positions.partition_point(|other| (*other as usize) < position)
    }

    /// Position after the instruction in a row.
    pub(crate) fn end(&self, row: usize) -> usize {
        self.positions[row] as usize + self.sizes[row] as usize
    }
}
