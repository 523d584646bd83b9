//! Memory regions: those that a binary implies, and a writer of the table `memory_regions`.
//!
//! Rows are sorted by type, and by what identifies a region among those of its type.

use crate::file::sections::SectionsIr;
use binframe_ir::tables::{
    BinaryKind, MemoryRegion, MemoryRegionBuilder, MemoryRegions, RegionType, SectionKind,
};
use binframe_ir::{Enumeration, Rows};
use std::cmp::Reverse;

/// The regions that a binary implies: its loaded sections, and a stack and a heap if it is an executable. The sections
/// of an object file have no addresses yet.
pub(super) fn binary_regions(sections: &SectionsIr) -> Rows<MemoryRegions> {
    let mut rows = RegionWriter::default();
    let Some(header) = sections.headers.columns().iter().next() else { return rows.finish() };
    if header.kind != BinaryKind::Relocatable {
        push_sections(&mut rows, sections);
    }
    if header.kind == BinaryKind::Executable || header.interpreter.is_some() {
        let segments = sections.segments.columns();
        let stack = segments.iter().find(|segment| segment.segment_type == Some("PT_GNU_STACK"));
        let site = if stack.is_some() { "segment PT_GNU_STACK" } else { "system: stack" };
        let size = stack.map_or(0, |segment| segment.size);
        rows.push_unplaced(RegionType::Heap, 0, 0, None, "system: brk, mmap");
        rows.push_unplaced(RegionType::Stack, 0, size, None, site);
    }
    rows.finish()
}

/// Adds the loaded sections. Of sections of one type at one address, the largest is the region.
fn push_sections(rows: &mut RegionWriter, sections: &SectionsIr) {
    let columns = sections.sections.columns();
    // Zero-initialized thread-local data has no address: each thread allocates its own.
    let takes_memory = |row: &usize| {
        let is_template = columns.kind.get(*row) == SectionKind::ThreadLocal && columns.file_size[*row] == 0;
        columns.is_readable.value(*row) && columns.size[*row] > 0 && !is_template
    };
    let is_data = |row: usize| !columns.is_executable.value(row);
    let mut loaded: Vec<_> = (0..columns.len()).filter(takes_memory).collect();
    loaded.sort_by_key(|row| (is_data(*row), columns.address[*row], Reverse(columns.size[*row])));
    loaded.dedup_by_key(|row| (is_data(*row), columns.address[*row]));
    for section in loaded.into_iter().map(|row| columns.row(row)) {
        let region_type = if section.is_executable { RegionType::Code } else { RegionType::Global };
        let site = match section.section_name {
            "" => format!("segment {}", section.section_index),
            name => format!("section {name}"),
        };
        // A range is clipped at the end of the address space.
        let end_address = section.address.saturating_add(section.size);
        rows.push(MemoryRegion {
            region_id: section.address,
            r#type: region_type.name(),
            start_address: Some(section.address),
            end_address: Some(end_address),
            size: end_address - section.address,
            allocation_site: Some(&site),
            ..MemoryRegion::default()
        });
    }
}

/// Writes regions.
#[derive(Default)]
pub(super) struct RegionWriter(MemoryRegionBuilder);

impl RegionWriter {
    fn push(&mut self, region: MemoryRegion<'_>) {
        self.0.push(region);
    }

    /// Adds a region that is placed at run time.
    pub(super) fn push_unplaced(
        &mut self,
        region_type: RegionType,
        region_id: u64,
        size: u64,
        function_name: Option<&str>,
        allocation_site: &str,
    ) {
        self.push(MemoryRegion {
            region_id,
            r#type: region_type.name(),
            size,
            function_name,
            allocation_site: Some(allocation_site),
            ..MemoryRegion::default()
        });
    }

    pub(super) fn finish(self) -> Rows<MemoryRegions> {
        self.0.finish()
    }
}
