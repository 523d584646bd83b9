//! `(code, sweep) -> data between functions`, which the sweep decodes together with code: alignment, and tables that are
//! right before functions.
//!
//! Some linkers fill up to the alignment of a function with zeros. An even number of them decodes as `add [rax], al`,
//! and the function starts with an instruction. The last of an odd number starts an instruction that includes the first
//! bytes of the function, and the sweep is out of step with its code. Such zeros are data if they are after an
//! instruction that does not fall through, extend to an aligned address, and are 8 or more, or no instruction of the sweep
//! starts there. Unlike other zeros, they are not merged with data nearby: a short function may be between.
//! The info tables of GHC (`closure_tables.rs`) are data in any case, if a program has several.
//!
//! The code after such data is decoded until it is in step with the sweep, since functions may be short, and may be
//! followed by such data in turn. Branches that the sweep decodes there reach nothing.

use super::ir::RegionInstructions;
use super::sweep::SweepChunk;
use crate::code::closure_tables::{TABLES_MIN, table_end};
use crate::code::regions::{Code, CodeRegion};
use binframe_ir::tables::Flow;
use rayon::prelude::*;
use std::ops::Range;

/// The least number of zeros that are data; fewer are taken for alignment.
pub(super) const ZEROS_MIN: usize = 8;

/// The alignment of functions in bytes.
pub(super) const ALIGNMENT: u64 = 16;

/// Bytes that are decoded after data.
const WINDOW: usize = 256;

/// Data between the functions of a region.
#[derive(Default)]
pub(super) struct DataBetween {
    /// The data, sorted.
    pub(super) data: Vec<Range<usize>>,
    /// The data with the code after it up to where it is in step with the sweep.
    pub(super) misread: Vec<Range<usize>>,
}

/// The data between the functions of each region. `anchors` are the positions of declared functions.
pub(super) fn find(code: &Code, regions: &[RegionInstructions], anchors: &[Vec<u32>]) -> Vec<DataBetween> {
    let all = || code.regions.par_iter().zip(regions).zip(anchors);
    let scan = |has_tables: bool| -> Vec<_> {
        let scanned = all().map(|((region, swept), anchors)| {
            if region.isa.alignment() > 1 && !has_tables {
                return DataBetween::default();
            }
            Scan { region, swept, anchors, has_tables }.find()
        });
        scanned.collect()
    };
    let is_table = |(region, between): (&CodeRegion, &DataBetween)| -> usize {
        between.data.iter().filter(|data| table_end(region, data.start) == Some(data.end)).count()
    };
    let with_tables = scan(true);
    let tables: usize = code.regions.iter().zip(&with_tables).map(is_table).sum();
    if tables >= TABLES_MIN { with_tables } else { scan(false) }
}

/// The scan of one region.
struct Scan<'a> {
    region: &'a CodeRegion,
    swept: &'a RegionInstructions,
    anchors: &'a [u32],
    /// Whether info tables are looked for.
    has_tables: bool,
}

impl Scan<'_> {
    fn find(&self) -> DataBetween {
        let mut found = DataBetween::default();
        let mut scanned_to = 0;
        let branches = &self.swept.branches;
        for row in 0..branches.len() {
            let end = branches.end(row);
            if end < scanned_to || !is_terminator(branches.flows[row]) {
                continue;
            }
            let mut next = self.data_at(end);
            while let Some(data) = next {
                scanned_to = data.end;
                let (in_step, after) = self.next_after(scanned_to);
                found.misread.push(data.start..in_step);
                found.data.push(data);
                next = after;
            }
        }
        found
    }

    /// The data right after an instruction that does not fall through.
    fn data_at(&self, position: usize) -> Option<Range<usize>> {
        let end = self.has_tables.then(|| table_end(self.region, position)).flatten();
        let end = end.or_else(|| self.alignment_end(position))?;
        Some(position..end)
    }

    /// The next aligned address, if there are only zeros before it, many or such that the sweep has no instruction there.
    fn alignment_end(&self, position: usize) -> Option<usize> {
        let address = self.region.address.wrapping_add(position as u64);
        let end = position + (address.wrapping_neg() % ALIGNMENT) as usize;
        let is_zero = self.region.bytes.get(position..end)?.iter().all(|byte| *byte == 0);
        let is_aligned = is_zero && end > position && end < self.region.bytes.len();
        let is_long = end - position >= ZEROS_MIN;
        (is_aligned && (is_long || !self.swept.starts.contains(end))).then_some(end)
    }

    /// Where the code at a position is in step with the sweep, and the first data before that.
    fn next_after(&self, position: usize) -> (usize, Option<Range<usize>>) {
        let end = (position + WINDOW).min(self.region.bytes.len());
        let mut chunk = SweepChunk::new(position, end);
        let is_common = |position: usize| position >= end || self.swept.starts.contains(position);
        let in_step = chunk.sweep(self.region, self.anchors, position, is_common);
        let branches = &chunk.branches;
        let mut terminators = (0..branches.len()).filter(|row| is_terminator(branches.flows[*row]));
        (in_step, terminators.find_map(|row| self.data_at(branches.end(row))))
    }
}

fn is_terminator(flow: Flow) -> bool {
    !flow.continues() && flow != Flow::Invalid
}
