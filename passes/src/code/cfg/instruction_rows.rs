//! `(code, instructions, cfg) -> instructions`, the rows of a range of code with the function and the block of each.

use super::ir::CfgIr;
use crate::code::instructions::{self, InstructionsIr};
use crate::code::regions::{Code, CodeRange};
use binframe_ir::Rows;
use binframe_ir::tables::Instructions;

/// The rows of the instructions that start in a range.
pub fn instruction_rows(
    code: &Code,
    instructions: &InstructionsIr,
    cfg: &CfgIr,
    range: CodeRange,
) -> Rows<Instructions> {
    let (functions, parts) = (cfg.functions.columns(), cfg.function_parts.columns());
    let blocks = cfg.basic_blocks.columns();
    let mut function = Cursor::new(functions.address, functions.size);
    let mut part = Cursor::new(parts.address, parts.size);
    let mut block = Cursor::new(blocks.address, blocks.size);
    instructions::decode(code, instructions, range, |address| {
        let in_part = part.row_at(address).map(|row| parts.function_address[row]);
        let function = in_part.or_else(|| function.row_at(address).map(|row| functions.address[row]));
        (function, block.row_at(address).map(|row| blocks.address[row]))
    })
}

/// Finds ascending addresses in ranges that are sorted and disjoint.
struct Cursor<'a> {
    starts: &'a [u64],
    sizes: &'a [u64],
    /// Number of ranges that start at or before the last address; `None` before the first.
    next: Option<usize>,
}

impl<'a> Cursor<'a> {
    fn new(starts: &'a [u64], sizes: &'a [u64]) -> Self {
        Self { starts, sizes, next: None }
    }

    /// The row of the range that contains an address.
    fn row_at(&mut self, address: u64) -> Option<usize> {
        let search = || self.starts.partition_point(|start| *start <= address);
        let mut next = self.next.unwrap_or_else(search);
        while self.starts.get(next).is_some_and(|start| *start <= address) {
            next += 1;
        }
        self.next = Some(next);
        let row = next.checked_sub(1)?;
        (address - self.starts[row] < self.sizes[row]).then_some(row)
    }
}
