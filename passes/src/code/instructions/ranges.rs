//! Ranges of code whose rows are computed together.

use super::ir::InstructionsIr;
use crate::code::regions::{Code, CodeRange};
use binframe_ir::parquet::ROW_GROUP_ROWS_MAX;
use std::ops::Range;

/// Positions whose rows are counted at a time.
const STEP: usize = 4096;

/// The code as ranges of at most a row group's rows each, sorted by address, clipped to the positions at which instructions
/// may start that overlap `addresses`.
pub fn code_ranges(
    code: &Code,
    instructions: &InstructionsIr,
    addresses: Option<&Range<u64>>,
) -> Vec<CodeRange> {
    let mut ranges = Vec::new();
    for (region, instructions) in instructions.regions.iter().enumerate() {
        let length = code.regions[region].bytes.len();
        let (mut start, mut rows) = (0, 0);
        for step in (0..length).step_by(STEP) {
            let added = instructions.starts.count_in(step..(step + STEP).min(length));
            if rows + added > ROW_GROUP_ROWS_MAX {
                ranges.push(CodeRange { region, start, end: step });
                (start, rows) = (step, 0);
            }
            rows += added;
        }
        ranges.push(CodeRange { region, start, end: length });
    }
    for range in &mut ranges {
        code.clip_range(range, addresses);
    }
    ranges.retain(|range| range.start < range.end);
    ranges
}

/// Number of instructions that start in a range.
pub fn row_count(instructions: &InstructionsIr, range: CodeRange) -> usize {
    instructions.regions[range.region].starts.count_in(range.start..range.end)
}
