//! `(file, binary_sections) -> file_extents`
//!
//! What every byte of the file belongs to. Headers and tables take theirs first, then sections in the order of their
//! indexes, then members; what is left between is padding (in a container: headers), and behind all of them overlay.
//!
//! Invariants: the first extent begins at 0, every other where the one before ends, the last ends with the file; none is
//! empty. An extent's bytes stand in it, or in the content of its section, or in the extents of its member.

use crate::file::formats::{Claim, Headers, container};
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{
    BinaryKind, BinarySectionColumns, ExtentOwner, FileExtent, FileExtentBuilder, FileExtents,
};
use binframe_ir::{BytesBuilder, NullableBuilder, Rows};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

/// Bytes that one extent holds itself at most: larger ones are cut, so that no one has to hold them whole.
const CONTENT_SIZE_MAX: u64 = 1 << 26;

/// Says what every byte belongs to.
pub fn run(file: &Bytes, sections: &SectionsIr) -> Rows<FileExtents> {
    let size = file.len() as u64;
    let columns = sections.sections.columns();
    let members = container::read(file).members;
    let between = match sections.headers.columns().iter().any(|header| header.kind == BinaryKind::Container) {
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
    let mut writer = Writer::new(file, sections);
    let mut offset = 0;
    for (range, claim) in granted(&claims, size) {
        writer.push(offset..range.start, between, None);
        writer.push(range.clone(), claim.owner, claim.index);
        offset = range.end;
    }
    writer.push(offset..size, ExtentOwner::Overlay, None);
    writer.rows.finish()
}

/// The ranges that each claim gets: those that it has and no claim before it. They are in order and not empty.
fn granted(claims: &[Claim], size: u64) -> Vec<(Range<u64>, &Claim)> {
    let inside = |claim: &Claim| claim.range.start.min(size)..claim.range.end.min(size);
    let mut starts: Vec<_> =
        claims.iter().enumerate().filter(|(_, claim)| !inside(claim).is_empty()).collect();
    starts.sort_by_key(|(position, claim)| (claim.range.start, *position));
    let mut starts = starts.into_iter().peekable();
    // The claims that have begun, the first of all claims on top. Some may have ended.
    let mut begun = BinaryHeap::new();
    let mut granted: Vec<(Range<u64>, &Claim)> = Vec::new();
    let mut offset = 0;
    loop {
        while let Some((position, _)) = starts.next_if(|(_, claim)| claim.range.start <= offset) {
            begun.push(Reverse(position));
        }
        while begun.peek().is_some_and(|Reverse(top)| inside(&claims[*top]).end <= offset) {
            begun.pop();
        }
        let next_start = starts.peek().map(|(_, claim)| claim.range.start);
        let Some(Reverse(top)) = begun.peek() else {
            match next_start {
                Some(start) => offset = start,
                None => return granted,
            }
            continue;
        };
        let claim = &claims[*top];
        let end = inside(claim).end.min(next_start.unwrap_or(size));
        match granted.last_mut().filter(|(range, last)| range.end == offset && std::ptr::eq(*last, claim)) {
            Some((range, _)) => range.end = end,
            None => granted.push((offset..end, claim)),
        }
        offset = end;
    }
}

struct Writer<'a> {
    file: &'a Bytes,
    sections: BinarySectionColumns<'a>,
    /// Rows of `binary_sections`, by their indexes.
    rows_by_index: HashMap<u32, usize>,
    rows: FileExtentBuilder,
}

impl<'a> Writer<'a> {
    fn new(file: &'a Bytes, sections: &'a SectionsIr) -> Self {
        let sections = sections.sections.columns();
        let mut content = BytesBuilder::default();
        content.refer_to(file);
        let rows = FileExtentBuilder { content: NullableBuilder::over(content), ..Default::default() };
        let rows_by_index =
            sections.section_index.iter().zip(0..).map(|(index, row)| (*index, row)).collect();
        Self { file, sections, rows_by_index, rows }
    }

    /// Adds a range, in pieces where no one else has its bytes.
    fn push(&mut self, range: Range<u64>, owner: ExtentOwner, index: Option<u32>) {
        let has_content = owner == ExtentOwner::Member
            || owner == ExtentOwner::Section && index.is_some_and(|index| self.section_has(index, &range));
        let mut offset = range.start;
        while offset < range.end {
            let left = range.end - offset;
            let size = if has_content { left } else { left.min(CONTENT_SIZE_MAX) };
            let content = &self.file[offset as usize..(offset + size) as usize];
            self.rows.push(FileExtent {
                file_offset: offset,
                size,
                owner,
                section_index: index.filter(|_| owner == ExtentOwner::Section),
                member_index: index.filter(|_| owner == ExtentOwner::Member),
                content: (!has_content).then_some(content),
            });
            offset += size;
        }
    }

    /// Whether a section's content has the bytes of a range of the file.
    fn section_has(&self, section_index: u32, range: &Range<u64>) -> bool {
        self.rows_by_index.get(&section_index).is_some_and(|row| {
            let start = self.sections.file_offset[*row];
            range.end - start <= self.sections.content.value(*row).len() as u64
        })
    }
}
