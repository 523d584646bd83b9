//! `(code) -> instructions`
//!
//! Linear-sweep disassembly of every executable section.
//!
//! *Problem.* Decode all code in parallel, with the same result for any number of threads, and without holding the
//! large table in memory.
//!
//! *Notation.* A region is an executable section, a position an offset in it. An anchor is a position at which the file
//! declares a function start.
//!
//! *Algorithm.*
//!  1. Sweep (`sweep.rs`): the first instruction is at the start of the region, each next one at the end of the
//!     previous. A byte at which no valid instruction starts is an invalid row of size 1. An instruction that would
//!     span an anchor is truncated there, and is invalid.
//!  2. Parallelism: chunks of 256 KiB are swept speculatively, each from its own start. Then, in order, each chunk is
//!     swept again from the true end of its predecessor, until both sweeps have an instruction start in common.
//!  3. Data in code is identified (`data.rs`) and becomes data rows; the sweep resumes after it. This is repeated while
//!     there is more, at most twice, because the code after data may access more.
//!  4. Branches whose flow depends on the instructions around them get that flow (`context.rs`), for later passes; the
//!     column `flow` states that of the encoding.
//!  5. The result (`ir.rs`) keeps a bitmap of instruction starts, the branches, and the constant addresses in other
//!     instructions. Rows of the table have about 100 bytes each; they are decoded again for the requested range of
//!     code (`rows.rs`), which is cheaper than holding them.
//!
//! *Invariants.* Rows are sorted by address, do not overlap, and cover their region. The result is that of one
//! sequential sweep, for any chunk size.
//!
//! *Cost.* Linear in the bytes: each is decoded at most twice, plus the bytes around data, up to three times.
//!
//! *Approximation.* Each byte has one reading: of overlapping instructions, only those that the sweep meets are
//! decoded.
//!
//! Diagnostics: `undecoded_code`, `overlapping_code`, `invalid_instructions`, `instruction_over_start`.
//!
//! *Reference.* B. Schwarz, S. Debray, G. Andrews (2002), Disassembly of executable code revisited.

mod between_functions;
mod context;
mod data;
mod ir;
mod ranges;
mod register_targets;
mod roles;
mod rows;
mod sweep;

pub use ir::InstructionsIr;
pub(crate) use ir::{Branches, Closure, RegionInstructions};
pub use ranges::{code_ranges, row_count};
pub(in crate::code) use rows::decode;
pub use rows::{effects, ops};

use crate::code::regions::{Code, CodeRegion};
use crate::diagnostics::{Collector, DiagnosticLocation};
use binframe_ir::tables::{DiagnosticCode, DiagnosticPass, Flow, Severity};
use context::Context;
use sweep::{CHUNK_SIZE, sweep};

/// Rounds in which data is looked for. Code after data that was found may access more.
const DATA_ROUNDS_MAX: usize = 3;

/// Disassembles the code.
pub fn run(code: &Code) -> InstructionsIr {
    let anchors: Vec<_> = code.regions.iter().map(|region| anchors(code, region)).collect();
    let swept = code.regions.iter().zip(&anchors).map(|(region, anchors)| sweep(region, anchors, CHUNK_SIZE));
    let mut regions: Vec<_> = swept.collect();
    let mut context = Context::find(code, &regions, &anchors);
    context.swap(&mut regions);
    for _ in 0..DATA_ROUNDS_MAX {
        let found = data::find(code, &regions, &anchors, &context.data);
        if !data::is_new(&found, &regions) {
            break;
        }
        context.swap(&mut regions);
        for (index, found) in found.into_iter().enumerate().filter(|(_, found)| !found.is_empty()) {
            let region = &code.regions[index];
            let swept = match regions[index].has_data() {
                true => sweep(region, &anchors[index], CHUNK_SIZE),
                false => std::mem::take(&mut regions[index]),
            };
            regions[index] = data::apply(region, &anchors[index], found, swept);
        }
        context = Context::find(code, &regions, &anchors);
        context.swap(&mut regions);
    }
    // Postcondition: rows with role `data` are known.
    let mut diagnostics = Collector::new(DiagnosticPass::Instructions);
    code.report(&mut diagnostics);
    for (region, instructions) in code.regions.iter().zip(&regions) {
        report_invalid(region, instructions, &mut diagnostics);
    }
    InstructionsIr::new(regions, diagnostics.finish())
}

/// The positions of a region at which functions are declared and instructions may start, sorted.
fn anchors(code: &Code, region: &CodeRegion) -> Vec<u32> {
    let from = code.starts.partition_point(|start| start.address < region.address);
    let inside = code.starts[from..].iter().take_while(|start| start.address < region.end_address());
    inside
        .filter(|start| start.address.is_multiple_of(region.isa.alignment() as u64))
        .map(|start| (start.address - region.address) as u32)
        .collect()
}

/// Reports every contiguous range of invalid rows that are not data.
fn report_invalid(region: &CodeRegion, instructions: &RegionInstructions, diagnostics: &mut Collector) {
    let branches = &instructions.branches;
    let is_invalid = |row: usize| {
        branches.flows[row] == Flow::Invalid && !instructions.is_data(branches.positions[row] as usize)
    };
    let mut row = 0;
    while row < branches.len() {
        if !is_invalid(row) {
            row += 1;
            continue;
        }
        let first = branches.positions[row] as usize;
        let mut end = branches.end(row);
        row += 1;
        while row < branches.len() && is_invalid(row) && branches.positions[row] as usize == end {
            end = branches.end(row);
            row += 1;
        }
        let location_address = region.address + first as u64;
        let location = DiagnosticLocation::Address(location_address);
        let (code, message) = match region.isa.instruction_size(&region.bytes[first..], location_address) {
            Some(size) => (
                DiagnosticCode::InstructionOverStart,
                format!("a function begins {} bytes into an instruction of {size}", end - first),
            ),
            None => {
                (DiagnosticCode::InvalidInstructions, format!("{} bytes are no instruction", end - first))
            }
        };
        diagnostics.report(Severity::Warning, code, location, &message);
    }
}
