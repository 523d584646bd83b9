//! Ranges of basic blocks whose rows are computed together.

use crate::code::cfg::CfgIr;
use binframe_ir::parquet::ROW_GROUP_ROWS_MAX;
use std::ops::Range;

/// The blocks of a file, by their rows in `basic_blocks`, in ranges that hold about one row group of accesses each.
/// Blocks outside `addresses` are left out at both ends of a range.
pub fn block_ranges(cfg: &CfgIr, addresses: Option<&Range<u64>>) -> Vec<Range<usize>> {
    let blocks = cfg.basic_blocks.columns();
    let is_inside = |row: &usize| {
        let (start, end) = (blocks.address[*row], blocks.address[*row] + blocks.size[*row]);
        addresses.is_none_or(|range| start < range.end && range.start < end)
    };
    // Blocks are sorted by address: those inside `addresses` are contiguous.
    let inside = whole_ranges(blocks.instruction_count).into_iter().filter_map(|range| {
        let first = range.clone().find(is_inside)?;
        let last = range.rev().find(is_inside)?;
        Some(first..last + 1)
    });
    inside.collect()
}

/// Cuts all blocks where their instructions would exceed a row group.
fn whole_ranges(instruction_counts: &[u32]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut instructions) = (0, 0);
    for (row, added) in instruction_counts.iter().enumerate() {
        let added = *added as usize;
        if row > start && instructions + added > ROW_GROUP_ROWS_MAX {
            ranges.push(start..row);
            (start, instructions) = (row, 0);
        }
        instructions += added;
    }
    if start < instruction_counts.len() {
        ranges.push(start..instruction_counts.len());
    }
    ranges
}
