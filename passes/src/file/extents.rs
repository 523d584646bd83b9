//! `(file, binary_headers, binary_sections) -> binary_extents`
//!
//! *Problem.* Assign every byte of the file to one owner, so that the file can be rebuilt from its tables.
//!
//! *Algorithm.* (1) Collect claims in order of priority: headers and tables, then sections by index, then members. (2)
//! Sweep over file offsets with a heap of the active claims: each byte goes to the active claim of highest priority.
//! (3) A gap between claims is padding (in a container: header); bytes after the last claim are overlay.
//!
//! *Invariants.* The first extent starts at 0, each next one where the previous ends, the last ends at the end of the
//! file; none is empty. The bytes of an extent are in its row, in the content of its section, or in the extents of its
//! member.
//!
//! *Limits.* An extent has at most `CONTENT_SIZE_MAX` bytes of its own. *Cost.* O(n log n) in the number of claims. The
//! pass has no diagnostics.

use crate::file::formats::claims::Claim;
use crate::file::formats::{Headers, container};
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{
    BinaryExtent, BinaryExtentBuilder, BinaryExtents, BinaryKind, BinarySectionColumns, ExtentOwner,
};
use binframe_ir::{BytesBuilder, NullableBuilder, Rows};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

/// Size of the largest content of one extent, in bytes. A larger range is split, so that no reader has to hold it
/// whole.
const CONTENT_SIZE_MAX: u64 = 1 << 26;

/// Assigns every byte of the file to an owner.
pub fn run(file: &Bytes, sections: &SectionsIr) -> Rows<BinaryExtents> {
    let size = file.len() as u64;
    let columns = sections.sections.columns();
    let members = container::read(file).members;
    let gap_owner = match sections.headers.columns().iter().any(|header| header.kind == BinaryKind::Container)
    {
        true => ExtentOwner::Header,
        false => ExtentOwner::Padding,
    };
    let of_sections = columns.iter().filter(|section| section.file_size > 0).map(|section| Claim {
        range: section.file_offset..section.file_offset.saturating_add(section.file_size),
        owner: ExtentOwner::Section,
        index: Some(section.section_index),
    });
    let of_members = (0..).zip(&members).map(|(index, member)| Claim {
        range: member.range.clone(),
        owner: ExtentOwner::Member,
        index: Some(index),
    });
    let mut claims = Headers::find(file).map_or_else(|_| Vec::new(), |headers| headers.claims());
    claims.extend(of_sections.chain(of_members));
    let mut writer = ExtentWriter::new(file, sections);
    let mut offset = 0;
    for (range, claim) in assign(&claims, size) {
        writer.push(offset..range.start, gap_owner, None);
        writer.push(range.clone(), claim.owner, claim.index);
        offset = range.end;
    }
    writer.push(offset..size, ExtentOwner::Overlay, None);
    writer.rows.finish()
}

/// The bytes of each claim that no claim before it has, as sorted ranges that are disjoint and not empty.
fn assign(claims: &[Claim], size: u64) -> Vec<(Range<u64>, &Claim)> {
    let in_file = |claim: &Claim| claim.range.start.min(size)..claim.range.end.min(size);
    let mut starts: Vec<_> =
        claims.iter().enumerate().filter(|(_, claim)| !in_file(claim).is_empty()).collect();
    starts.sort_by_key(|(position, claim)| (claim.range.start, *position));
    let mut starts = starts.into_iter().peekable();
    // Positions of the claims that start at or before `offset`, the lowest on top. Ended claims are removed once on
    // top.
    let mut active = BinaryHeap::new();
    let mut assigned: Vec<(Range<u64>, &Claim)> = Vec::new();
    let mut offset = 0;
    loop {
        while let Some((position, _)) = starts.next_if(|(_, claim)| claim.range.start <= offset) {
            active.push(Reverse(position));
        }
        while active.peek().is_some_and(|Reverse(top)| in_file(&claims[*top]).end <= offset) {
            active.pop();
        }
        let next_start = starts.peek().map(|(_, claim)| claim.range.start);
        let Some(Reverse(top)) = active.peek() else {
            match next_start {
                Some(start) => offset = start,
                None => return assigned,
            }
            continue;
        };
        let claim = &claims[*top];
        let end = in_file(claim).end.min(next_start.unwrap_or(size));
        match assigned.last_mut().filter(|(range, last)| range.end == offset && std::ptr::eq(*last, claim)) {
            Some((range, _)) => range.end = end,
            None => assigned.push((offset..end, claim)),
        }
        offset = end;
    }
}

struct ExtentWriter<'a> {
    file: &'a Bytes,
    sections: BinarySectionColumns<'a>,
    /// Row of each section, by index.
    rows_by_index: HashMap<u32, usize>,
    rows: BinaryExtentBuilder,
}

impl<'a> ExtentWriter<'a> {
    fn new(file: &'a Bytes, sections: &'a SectionsIr) -> Self {
        let sections = sections.sections.columns();
        let mut content = BytesBuilder::default();
        content.refer_to(file);
        let rows = BinaryExtentBuilder { content: NullableBuilder::over(content), ..Default::default() };
        let rows_by_index =
            sections.section_index.iter().zip(0..).map(|(index, row)| (*index, row)).collect();
        Self { file, sections, rows_by_index, rows }
    }

    /// Adds the rows of a range. A range whose bytes are in no other row is split at `CONTENT_SIZE_MAX`.
    fn push(&mut self, range: Range<u64>, owner: ExtentOwner, index: Option<u32>) {
        let has_content = owner == ExtentOwner::Member
            || owner == ExtentOwner::Section && index.is_some_and(|index| self.section_has(index, &range));
        let mut offset = range.start;
        while offset < range.end {
            let left = range.end - offset;
            let size = if has_content { left } else { left.min(CONTENT_SIZE_MAX) };
            let content = &self.file[offset as usize..(offset + size) as usize];
            self.rows.push(BinaryExtent {
                file_offset: offset,
                size,
                owner_kind: owner,
                section_index: index.filter(|_| owner == ExtentOwner::Section),
                member_index: index.filter(|_| owner == ExtentOwner::Member),
                content: (!has_content).then_some(content),
            });
            offset += size;
        }
    }

    /// Whether the content of a section's row includes a file range of the section.
    fn section_has(&self, section_index: u32, range: &Range<u64>) -> bool {
        self.rows_by_index.get(&section_index).is_some_and(|row| {
            let start = self.sections.file_offset[*row];
            range.end - start <= self.sections.content.value(*row).len() as u64
        })
    }
}
