//! Memory regions: those that a binary implies, and a writer of the table `memory_regions`.

use crate::file::sections::SectionsIr;
use binframe_ir::tables::{
    BinaryKind, MemoryRegion, MemoryRegionBuilder, MemoryRegions, RegionType, SectionKind,
};
use binframe_ir::{Enumeration, Rows};

/// The regions that a binary implies: its loaded sections, and a stack and a heap if it is an executable.
pub(super) fn binary_regions(sections: &SectionsIr) -> Rows<MemoryRegions> {
    let columns = sections.sections.columns();
    // Zero-initialized thread-local data has no address: each thread allocates its own.
    let takes_memory = |row: &usize| {
        let is_template = columns.kind.get(*row) == SectionKind::ThreadLocal && columns.file_size[*row] == 0;
        columns.is_readable.value(*row) && columns.size[*row] > 0 && !is_template
    };
    let mut loaded: Vec<_> = (0..columns.len()).filter(takes_memory).collect();
    loaded.sort_by_key(|row| (columns.address[*row], *row));
    let mut rows = RegionWriter::default();
    for row in loaded {
        let section = columns.row(row);
        let region_type = if section.is_executable { RegionType::Code } else { RegionType::Global };
        let site = match section.section_name {
            "" => format!("segment {}", section.section_index),
            name => format!("section {name}"),
        };
        // A range is clipped at the end of the address space.
        let end_address = section.address.saturating_add(section.size);
        let size = end_address - section.address;
        rows.push(region_type, Some((section.address, end_address)), size, None, &site);
    }
    let mut headers = sections.headers.columns().iter();
    if headers.any(|header| header.kind == BinaryKind::Executable || header.interpreter.is_some()) {
        let segments = sections.segments.columns();
        let stack = segments.iter().find(|segment| segment.segment_type == Some("PT_GNU_STACK"));
        let site = if stack.is_some() { "segment PT_GNU_STACK" } else { "system: stack" };
        rows.push(RegionType::Stack, None, stack.map_or(0, |segment| segment.size), None, site);
        rows.push(RegionType::Heap, None, 0, None, "system: brk, mmap");
    }
    rows.finish()
}

/// Writes regions with consecutive ids.
#[derive(Default)]
pub(super) struct RegionWriter {
    rows: MemoryRegionBuilder,
    next: u64,
}

impl RegionWriter {
    /// A writer whose ids follow those of other regions.
    pub(super) fn after(regions: &Rows<MemoryRegions>) -> Self {
        Self { rows: MemoryRegionBuilder::default(), next: regions.len() as u64 }
    }

    /// Adds a region; `addresses` is `None` if it is placed at run time.
    pub(super) fn push(
        &mut self,
        region_type: RegionType,
        addresses: Option<(u64, u64)>,
        size: u64,
        function_name: Option<&str>,
        allocation_site: &str,
    ) {
        self.rows.push(MemoryRegion {
            region_id: self.next,
            r#type: region_type.name(),
            start_address: addresses.map(|(start, _)| start),
            end_address: addresses.map(|(_, end)| end),
            size,
            content_snapshot: None,
            timestamp: None,
            thread_id: None,
            function_name,
            allocation_site: Some(allocation_site),
        });
        self.next += 1;
    }

    pub(super) fn finish(self) -> Rows<MemoryRegions> {
        self.rows.finish()
    }
}
