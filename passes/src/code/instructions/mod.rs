//! `(code) -> instructions`
//!
//! A linear sweep over every executable section: the first instruction begins where the section does, the next where the
//! one before ends. A byte that begins no instruction stands alone, as an invalid row. Where the file says that a function
//! begins, an instruction does: one that would reach over such a place is cut there and invalid.
//!
//! Code is swept in pieces in parallel. A piece may begin inside an instruction, so pieces are joined in order: from where
//! the piece before really ended, instructions are decoded until one begins where the piece has one too. What comes out is
//! what one sweep from the start would give, whatever the size of pieces.
//!
//! Invariants: rows are in the order of their addresses, never overlap, and those of one section cover it.
//!
//! What later passes need at hand is small: a bit for every byte where an instruction begins, the instructions where control
//! leaves the straight line, and the constant addresses that others name ([`InstructionsIr`]). Rows of the table have a hundred bytes each and are decoded again
//! for the part of the code that is asked for ([`decode`]), which is cheaper than to hold them.
//!
//! Data among code is found once all is swept (`data`); its rows are no instructions, and the sweep begins anew behind it.
//!
//! What can go wrong: `overlapping_code`, `invalid_instructions`, `instruction_over_start`.

mod data;
mod ranges;
mod roles;

pub use ranges::{code_ranges, row_count};

use self::roles::Roles;
use crate::bitmap::Bitmap;
use crate::code::regions::{Code, CodeRange, CodeRegion};
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::isa::{ConstantAddress, Effects, Instruction, add_effects, classify, constant_address, target};
use binframe_ir::tables::{
    DiagnosticCode, DiagnosticPass, Diagnostics, Flow, InstructionEffect, InstructionEffectBuilder,
    InstructionEffects, Instructions, Severity,
};
use binframe_ir::{Enumeration, Fingerprint, Rows, Term};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

/// Bytes that are swept at a time; a multiple of 64.
const PIECE_SIZE: usize = 1 << 18;

/// Where instructions begin, and how control leaves the straight line.
#[derive(Debug, Clone)]
pub struct InstructionsIr {
    pub(crate) regions: Vec<RegionInstructions>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
    /// Where direct calls and jumps go to in each region, once something asked.
    targets: OnceLock<Vec<Bitmap>>,
    fingerprint: Fingerprint,
}

/// The instructions of one region, by their positions in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegionInstructions {
    pub(crate) starts: Bitmap,
    pub(crate) branches: Branches,
    pub(crate) constants: Constants,
    /// Where data stands, in the order of positions.
    data: Vec<Range<u32>>,
}

/// The constant addresses that instructions name which go on to the next, one in each row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Constants {
    pub(crate) positions: Vec<u32>,
    pub(crate) addresses: Vec<u64>,
    /// Whether the address itself is taken; otherwise, what stands there is read or written.
    pub(crate) are_taken: Vec<bool>,
    /// How many bytes are touched; 0 for an address that is taken.
    sizes: Vec<u8>,
}

/// The instructions whose flow is not `next`, one in each row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Branches {
    pub(crate) positions: Vec<u32>,
    pub(crate) sizes: Vec<u8>,
    pub(crate) flows: Vec<Flow>,
    /// Where a direct jump or call goes; for an indirect one, the address of the pointer that it reads, if that is constant; 0 for
    /// the others.
    pub(crate) targets: Vec<u64>,
}

impl PartialEq for InstructionsIr {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for InstructionsIr {}

/// Sweeps the code.
pub fn run(code: &Code) -> InstructionsIr {
    let anchors: Vec<_> = code.regions.iter().map(|region| anchors(code, region)).collect();
    let swept = code.regions.iter().zip(&anchors).map(|(region, anchors)| sweep(region, anchors, PIECE_SIZE));
    let mut regions: Vec<_> = swept.collect();
    let data = data::find(code, &regions, &anchors);
    // Beyond this point it is known what is no code.
    for (index, data) in data.into_iter().enumerate().filter(|(_, data)| !data.is_empty()) {
        let swept = std::mem::take(&mut regions[index]);
        regions[index] = data::apply(&code.regions[index], &anchors[index], data, swept);
    }
    let mut diagnostics = Collector::new(DiagnosticPass::Instructions);
    code.report(&mut diagnostics);
    for (region, instructions) in code.regions.iter().zip(&regions) {
        report_invalid(region, instructions, &mut diagnostics);
    }
    let diagnostics = diagnostics.finish();
    let fingerprint = Fingerprint::of_all(
        regions.iter().flat_map(RegionInstructions::fingerprints).chain([diagnostics.batch().fingerprint()]),
    );
    InstructionsIr { regions, diagnostics, targets: OnceLock::new(), fingerprint }
}

impl InstructionsIr {
    /// Equal for equal instructions.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Where direct calls and jumps go to in each region.
    fn targets(&self, code: &Code) -> &[Bitmap] {
        self.targets.get_or_init(|| data::targets(code, &self.regions, &[]))
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

/// The rows of the instructions that begin in a range.
pub fn decode(code: &Code, instructions: &InstructionsIr, range: CodeRange) -> Rows<Instructions> {
    let region = &code.regions[range.region];
    let mut rows = region.isa.rows(&region.bytes, row_count(instructions, range));
    let mut roles = Roles::before(code, instructions, range);
    each_row(code, instructions, range, |positions, instruction| {
        let address = region.address + positions.start as u64;
        let role = roles.next(positions.clone(), instruction);
        rows.push(address, region.section_index, &region.bytes[positions], instruction, role);
    });
    rows.finish()
}

/// What the instructions that begin in a range do with registers and flags.
pub fn effects(code: &Code, instructions: &InstructionsIr, range: CodeRange) -> Rows<InstructionEffects> {
    let mut rows = InstructionEffectBuilder::default();
    let mut info = Effects::new();
    let mut effects = Vec::new();
    each_row(code, instructions, range, |_, instruction| {
        let Some(instruction) = instruction else { return };
        effects.clear();
        add_effects(instruction, &mut info, &mut effects);
        rows.extend(effects.iter().map(|(resource, access, is_implicit)| InstructionEffect {
            instruction_address: instruction.ip(),
            resource: Term(resource),
            access: *access,
            is_implicit: *is_implicit,
        }));
    });
    rows.finish()
}

/// Calls `each` with the positions of every row that begins in a range, and its instruction; none where it is none.
fn each_row(
    code: &Code,
    instructions: &InstructionsIr,
    range: CodeRange,
    mut each: impl FnMut(Range<usize>, Option<&Instruction>),
) {
    let region = &code.regions[range.region];
    let swept = &instructions.regions[range.region];
    let starts = &swept.starts;
    let mut decoder = region.decoder();
    let mut instruction = Instruction::default();
    let mut next = starts.first_in(range.start..range.end);
    let mut decoded_to = usize::MAX;
    while let Some(position) = next.filter(|position| *position < range.end) {
        next = starts.first_in(position + 1..region.bytes.len());
        let end = next.unwrap_or(region.bytes.len());
        if decoded_to != position {
            decoder.seek(position);
        }
        let is_valid = decoder.decode(&mut instruction) && instruction.len() == end - position;
        decoded_to = if is_valid { end } else { usize::MAX };
        each(position..end, Some(&instruction).filter(|_| is_valid && !swept.is_data(position)));
    }
}

/// The positions of a region where functions are said to begin.
fn anchors(code: &Code, region: &CodeRegion) -> Vec<u32> {
    let from = code.starts.partition_point(|start| start.address < region.address);
    let inside = code.starts[from..].iter().take_while(|start| start.address < region.end_address());
    inside.map(|start| (start.address - region.address) as u32).collect()
}

fn sweep(region: &CodeRegion, anchors: &[u32], piece_size: usize) -> RegionInstructions {
    let length = region.bytes.len();
    let pieces = (0..length).into_par_iter().step_by(piece_size).map(|start| {
        let end = (start + piece_size).min(length);
        let mut piece = Piece::new(start, end);
        piece.end = piece.sweep(region, anchors, start, |position| position >= end);
        piece
    });
    let mut pieces: Vec<Piece> = pieces.collect();
    for index in 1..pieces.len() {
        let from = pieces[index - 1].end;
        pieces[index].join(region, anchors, from, ((index + 1) * piece_size).min(length));
    }
    let mut branches = Branches::with_capacity(pieces.iter().map(|piece| piece.branches.flows.len()).sum());
    let mut constants =
        Constants::with_capacity(pieces.iter().map(|piece| piece.constants.positions.len()).sum());
    let mut starts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        branches.append(piece.branches);
        constants.append(piece.constants);
        starts.push(piece.starts);
    }
    RegionInstructions { starts: Bitmap::concat(starts), branches, constants, data: Vec::new() }
}

/// The instructions that begin in a part of a region.
struct Piece {
    /// Position of the part in its region.
    start: usize,
    /// Positions of instructions, counted from `start`.
    starts: Bitmap,
    branches: Branches,
    constants: Constants,
    /// Where the last instruction ends.
    end: usize,
}

impl Piece {
    fn new(start: usize, end: usize) -> Self {
        let (branches, constants) = (Branches::default(), Constants::default());
        Self { start, starts: Bitmap::new(end - start), branches, constants, end: start }
    }

    /// Decodes from a position of the region until `stop`, and returns where it stopped.
    fn sweep(
        &mut self,
        region: &CodeRegion,
        anchors: &[u32],
        from: usize,
        stop: impl Fn(usize) -> bool,
    ) -> usize {
        let mut decoder = region.decoder();
        decoder.seek(from);
        let mut instruction = Instruction::default();
        let mut anchors = anchors[anchors.partition_point(|anchor| *anchor as usize <= from)..].iter();
        let mut next_anchor = anchors.next().map_or(usize::MAX, |anchor| *anchor as usize);
        let mut position = from;
        while !stop(position) && position < region.bytes.len() {
            while next_anchor <= position {
                next_anchor = anchors.next().map_or(usize::MAX, |anchor| *anchor as usize);
            }
            let is_decoded = decoder.decode(&mut instruction);
            let end = position + instruction.len();
            let (size, flow) = match is_decoded {
                true if end <= next_anchor => (instruction.len(), classify(&instruction)),
                true => (next_anchor - position, Flow::Invalid),
                false => (1, Flow::Invalid),
            };
            self.starts.insert(position - self.start);
            match flow {
                Flow::Next => {
                    if let Some(constant) = constant_address(&instruction) {
                        self.constants.push(position as u32, constant);
                    }
                }
                Flow::Invalid => self.branches.push(position as u32, size as u8, flow, 0),
                _ => self.branches.push(
                    position as u32,
                    size as u8,
                    flow,
                    target(&instruction, region.pointer_table).unwrap_or(0),
                ),
            }
            position += size;
            if flow == Flow::Invalid {
                decoder.seek(position);
            }
        }
        position
    }

    /// Corrects the piece for a sweep that enters it at `from` rather than at its start.
    fn join(&mut self, region: &CodeRegion, anchors: &[u32], from: usize, end: usize) {
        let speculative = std::mem::take(&mut self.starts);
        let branches = std::mem::take(&mut self.branches);
        let constants = std::mem::take(&mut self.constants);
        self.starts = Bitmap::new(end - self.start);
        let start = self.start;
        let is_joined = |position: usize| position >= end || speculative.contains(position - start);
        let joined = self.sweep(region, anchors, from, is_joined);
        if joined >= end {
            self.end = joined;
            return;
        }
        let corrected = std::mem::replace(&mut self.starts, speculative);
        self.starts.clear_below(joined - start);
        corrected.iter_in(0..joined - start).for_each(|position| self.starts.insert(position));
        self.branches.append(branches.split_off(joined));
        self.constants.append(constants.split_off(joined));
    }
}

impl Constants {
    fn with_capacity(rows: usize) -> Self {
        Self {
            positions: Vec::with_capacity(rows),
            addresses: Vec::with_capacity(rows),
            are_taken: Vec::with_capacity(rows),
            sizes: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, position: u32, constant: ConstantAddress) {
        self.positions.push(position);
        self.addresses.push(constant.address);
        self.are_taken.push(constant.is_taken);
        self.sizes.push(constant.size);
    }

    /// Appends the rows of others at a range of positions.
    fn append_range(&mut self, other: &Self, range: Range<usize>) {
        let first = |position: usize| other.positions.partition_point(|own| (*own as usize) < position);
        let rows = first(range.start)..first(range.end);
        self.positions.extend_from_slice(&other.positions[rows.clone()]);
        self.addresses.extend_from_slice(&other.addresses[rows.clone()]);
        self.are_taken.extend_from_slice(&other.are_taken[rows.clone()]);
        self.sizes.extend_from_slice(&other.sizes[rows]);
    }

    fn append(&mut self, mut other: Self) {
        self.positions.append(&mut other.positions);
        self.addresses.append(&mut other.addresses);
        self.are_taken.append(&mut other.are_taken);
        self.sizes.append(&mut other.sizes);
    }

    /// The rows at and after a position.
    fn split_off(mut self, position: usize) -> Self {
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
    fn with_capacity(rows: usize) -> Self {
        Self {
            positions: Vec::with_capacity(rows),
            sizes: Vec::with_capacity(rows),
            flows: Vec::with_capacity(rows),
            targets: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, position: u32, size: u8, flow: Flow, target: u64) {
        self.positions.push(position);
        self.sizes.push(size);
        self.flows.push(flow);
        self.targets.push(target);
    }

    /// Appends the rows of others at a range of positions.
    fn append_range(&mut self, other: &Self, range: Range<usize>) {
        let rows = other.first_at(range.start)..other.first_at(range.end);
        self.positions.extend_from_slice(&other.positions[rows.clone()]);
        self.sizes.extend_from_slice(&other.sizes[rows.clone()]);
        self.flows.extend_from_slice(&other.flows[rows.clone()]);
        self.targets.extend_from_slice(&other.targets[rows]);
    }

    fn append(&mut self, mut other: Self) {
        self.positions.append(&mut other.positions);
        self.sizes.append(&mut other.sizes);
        self.flows.append(&mut other.flows);
        self.targets.append(&mut other.targets);
    }

    /// The rows at and after a position.
    fn split_off(mut self, position: usize) -> Self {
        let row = self.first_at(position);
        Self {
            positions: self.positions.split_off(row),
            sizes: self.sizes.split_off(row),
            flows: self.flows.split_off(row),
            targets: self.targets.split_off(row),
        }
    }

    /// The first row at or after a position.
    pub(crate) fn first_at(&self, position: usize) -> usize {
        self.positions.partition_point(|other| (*other as usize) < position)
    }

    /// Whether the instruction in a row goes elsewhere than to the next.
    pub(crate) fn leaves(&self, row: usize, region_address: u64) -> bool {
        self.targets[row] != region_address + self.end(row) as u64
    }

    /// Position after the instruction in a row.
    pub(crate) fn end(&self, row: usize) -> usize {
        self.positions[row] as usize + self.sizes[row] as usize
    }
}

impl RegionInstructions {
    /// Whether the row at a position is data.
    pub(crate) fn is_data(&self, position: usize) -> bool {
        let before = self.data.partition_point(|run| run.start as usize <= position).checked_sub(1);
        before.is_some_and(|before| position < self.data[before].end as usize)
    }

    fn fingerprints(&self) -> [Fingerprint; 6] {
        // Positions and sizes of branches follow from the starts.
        let flows: Vec<u8> = self.branches.flows.iter().map(|flow| flow.code()).collect();
        let constants = self.constants.positions.iter().zip(&self.constants.are_taken);
        let constants: Vec<_> =
            constants.map(|(position, is_taken)| u64::from(*position) << 1 | u64::from(*is_taken)).collect();
        let data = self.data.iter().flat_map(|run| [u64::from(run.start), u64::from(run.end)]);
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

/// Reports every run of invalid rows that are no data.
fn report_invalid(region: &CodeRegion, instructions: &RegionInstructions, diagnostics: &mut Collector) {
    let branches = &instructions.branches;
    let is_invalid = |row: usize| {
        branches.flows[row] == Flow::Invalid && !instructions.is_data(branches.positions[row] as usize)
    };
    let mut instruction = Instruction::default();
    let mut row = 0;
    while row < branches.flows.len() {
        if !is_invalid(row) {
            row += 1;
            continue;
        }
        let first = branches.positions[row] as usize;
        let mut end = branches.end(row);
        row += 1;
        while row < branches.flows.len() && is_invalid(row) && branches.positions[row] as usize == end {
            end = branches.end(row);
            row += 1;
        }
        let place = DiagnosticLocation::Address(region.address + first as u64);
        let mut decoder = region.decoder();
        decoder.seek(first);
        let (code, message) = match decoder.decode(&mut instruction) {
            true => (
                DiagnosticCode::InstructionOverStart,
                format!(
                    "a function begins {} bytes into an instruction of {}",
                    end - first,
                    instruction.len()
                ),
            ),
            false => {
                (DiagnosticCode::InvalidInstructions, format!("{} bytes are no instruction", end - first))
            }
        };
        diagnostics.report(Severity::Warning, code, place, &message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    fn region(bytes: Vec<u8>) -> CodeRegion {
        CodeRegion {
            isa: Isa::X86_64,
            address: 0x1000,
            section_index: 1,
            is_plt: false,
            pointer_table: None,
            bytes: bytes.into(),
        }
    }

    /// Bytes that decode to instructions of all lengths, and to none here and there.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn pieces_join_to_what_one_sweep_gives() {
        let region = region(noise(20_000));
        for anchors in [vec![], vec![0, 64, 700, 701, 19_999]] {
            let whole = sweep(&region, &anchors, 32_768);
            for piece_size in [64, 128, 4096] {
                let joined = sweep(&region, &anchors, piece_size);
                assert_eq!(joined.branches.positions, whole.branches.positions);
                assert_eq!(joined.fingerprints(), whole.fingerprints(), "pieces of {piece_size}");
            }
        }
    }

    #[test]
    fn an_instruction_is_cut_where_a_function_begins() {
        // mov eax, 0x90909090; a function is said to begin at its last byte.
        let swept = sweep(&region(vec![0xb8, 0x90, 0x90, 0x90, 0x90]), &[4], 64);
        assert_eq!(swept.starts.iter_in(0..5).collect::<Vec<_>>(), [0, 4]);
        assert_eq!(swept.branches.flows, [Flow::Invalid]);
        assert_eq!(swept.branches.sizes, [4]);
    }
}
