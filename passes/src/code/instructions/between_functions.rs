//! `(code, sweep) -> data between functions`, which the sweep decodes together with code: alignment, and tables that are
//! right before functions.
//!
//! Some linkers fill up to the alignment of a function with zeros. An even number of them decodes as `add [rax], al`,
//! and the function starts with an instruction. The last of an odd number starts an instruction that includes the first
//! bytes of the function, and the sweep is out of step with its code. Such zeros are data if they are after an
//! instruction that does not fall through, extend to an aligned address, and no instruction of the sweep starts there.
//! The info tables of GHC (`closure_tables.rs`) are data in any case, if a program has several.
//!
//! The code after such data is decoded until it is in step with the sweep, since functions may be short, and may be
//! followed by such data in turn.

use super::data::Candidate;
use super::ir::RegionInstructions;
use super::sweep::SweepChunk;
use crate::code::closure_tables::{TABLES_MIN, table_end};
use crate::code::regions::{Code, CodeRegion};
use binframe_ir::tables::Flow;
use rayon::prelude::*;

/// The alignment of functions in bytes.
const ALIGNMENT: u64 = 16;

/// Bytes that are decoded after data.
const WINDOW: usize = 256;

/// The data of each region, sorted. `anchors` are the positions of declared functions.
pub(super) fn find(code: &Code, regions: &[RegionInstructions], anchors: &[Vec<u32>]) -> Vec<Vec<Candidate>> {
    let all = || code.regions.par_iter().zip(regions).zip(anchors);
    let scan = |has_tables: bool| -> Vec<_> {
        let scanned = all().map(|((region, swept), anchors)| {
            if region.isa.alignment() > 1 && !has_tables {
                return Vec::new();
            }
            Scan { region, swept, anchors, has_tables }.find()
        });
        scanned.collect()
    };
    let is_table = |(region, data): (&CodeRegion, &Vec<Candidate>)| -> usize {
        data.iter().filter(|data| table_end(region, data.position) == Some(data.position + data.size)).count()
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
    fn find(&self) -> Vec<Candidate> {
        let mut found = Vec::new();
        let mut scanned_to = 0;
        let branches = &self.swept.branches;
        for row in 0..branches.len() {
            let end = branches.end(row);
            if end < scanned_to || !is_terminator(branches.flows[row]) {
                continue;
            }
            let mut next = self.data_at(end);
            while let Some(data) = next {
                found.push(data);
                scanned_to = data.position + data.size;
                next = self.next_after(scanned_to);
            }
        }
        found
    }

    /// The data right after an instruction that does not fall through.
    fn data_at(&self, position: usize) -> Option<Candidate> {
        let end = self.has_tables.then(|| table_end(self.region, position)).flatten();
        let end = end.or_else(|| self.alignment_end(position))?;
        Some(Candidate { position, size: end - position })
    }

    /// The next aligned address, if there are only zeros before it, and the sweep has no instruction there.
    fn alignment_end(&self, position: usize) -> Option<usize> {
        let address = self.region.address.wrapping_add(position as u64);
        let end = position + (address.wrapping_neg() % ALIGNMENT) as usize;
        let is_zero = self.region.bytes.get(position..end)?.iter().all(|byte| *byte == 0);
        let is_aligned = is_zero && end > position && end < self.region.bytes.len();
        (is_aligned && !self.swept.starts.contains(end)).then_some(end)
    }

    /// The first data after the code at a position, before it is in step with the sweep.
    fn next_after(&self, position: usize) -> Option<Candidate> {
        let end = (position + WINDOW).min(self.region.bytes.len());
        let mut chunk = SweepChunk::new(position, end);
        let is_common = |position: usize| position >= end || self.swept.starts.contains(position);
        chunk.sweep(self.region, self.anchors, position, is_common);
        let branches = &chunk.branches;
        let mut terminators = (0..branches.len()).filter(|row| is_terminator(branches.flows[*row]));
        terminators.find_map(|row| self.data_at(branches.end(row)))
    }
}

fn is_terminator(flow: Flow) -> bool {
    !flow.continues() && flow != Flow::Invalid
}
