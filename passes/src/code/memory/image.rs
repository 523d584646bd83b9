//! `(binary_headers, binary_segments, binary_sections, binary_symbols, binary_relocations) -> image`
//!
//! The part of the file's own structure that the memory stage reads: where its sections lie in memory, which variables symbols
//! name, and which addresses the loader puts into data. What sections hold is no part of it.

use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::tables::{
    BinaryKind, MemoryRegion, MemoryRegionBuilder, MemoryRegions, RegionType, SectionKind, SymbolType,
};
use binframe_ir::{Enumeration, Fingerprint, Rows};
use std::cmp::Reverse;
use std::ops::Range;

/// The memory that a file implies.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its regions, but for those that code asks for.
    pub memory_regions: Rows<MemoryRegions>,
    /// Loaded sections, in the order of their addresses; none overlap.
    sections: Vec<ImageSection>,
    /// Variables that symbols name, in the order of their addresses, one for each.
    variables: Vec<Variable>,
    /// Addresses in data that the loader puts into data, in their order.
    pointed_to: Vec<u64>,
    /// Whether the file is linked for the addresses that it has in memory.
    is_fixed: bool,
    names: String,
    fingerprint: Fingerprint,
}

/// A loaded section.
#[derive(Debug, Clone)]
pub(super) struct ImageSection {
    pub(super) addresses: Range<u64>,
    pub(super) section_index: u32,
    pub(super) is_executable: bool,
}

/// A variable that a symbol names.
#[derive(Debug, Clone)]
struct Variable {
    address: u64,
    size: u64,
    name: Range<u32>,
}

impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Image {}

/// Files linked for any address begin at 0, below what systems map.
const FIXED_ADDRESS_MIN: u64 = 0x1_0000;

impl Image {
    /// That of a file.
    pub fn of(sections: &SectionsIr, linkage: &LinkageIr) -> Self {
        let columns = sections.sections.columns();
        let wanted = SectionsByAddress::of(&sections.sections, |section| {
            section.is_readable && section.kind != SectionKind::ThreadLocal
        });
        let loaded = wanted.iter().map(|(addresses, row)| ImageSection {
            addresses: addresses.clone(),
            section_index: columns.section_index[row],
            is_executable: columns.is_executable.value(row),
        });
        let mut image = Self {
            memory_regions: regions(sections),
            sections: loaded.collect(),
            variables: Vec::new(),
            pointed_to: Vec::new(),
            is_fixed: false,
            names: String::new(),
            fingerprint: Fingerprint::of_bytes(&[]),
        };
        image.is_fixed =
            image.sections.first().is_some_and(|section| section.addresses.start >= FIXED_ADDRESS_MIN);
        image.add_variables(sections);
        let targets = linkage.relocations.columns();
        let targets =
            targets.iter().filter(|relocation| relocation.is_dynamic && relocation.symbol_index.is_none());
        let targets = targets.filter_map(|relocation| relocation.addend.map(|addend| addend as u64));
        image.pointed_to = targets.filter(|target| image.is_data(*target)).collect();
        image.pointed_to.sort_unstable();
        image.pointed_to.dedup();
        image.fingerprint = image.compute_fingerprint();
        image
    }

    fn add_variables(&mut self, sections: &SectionsIr) {
        let symbols = sections.symbols.columns();
        let is_named = |kind: &str| {
            [SymbolType::Variable, SymbolType::Unknown].iter().any(|wanted| wanted.name() == kind)
        };
        let mut variables: Vec<_> = symbols
            .iter()
            .filter(|symbol| {
                symbol.section_index.is_some()
                    && is_named(symbol.symbol_type)
                    && !symbol.symbol_name.is_empty()
            })
            .filter(|symbol| self.is_data(symbol.symbol_address))
            .collect();
        variables.sort_by_key(|symbol| {
            (symbol.symbol_address, Reverse(symbol.symbol_size), symbol.is_dynamic, symbol.symbol_index)
        });
        variables.dedup_by_key(|symbol| symbol.symbol_address);
        for symbol in variables {
            let from = self.names.len() as u32;
            self.names.push_str(symbol.symbol_name);
            let (address, size) = (symbol.symbol_address, symbol.symbol_size);
            self.variables.push(Variable { address, size, name: from..self.names.len() as u32 });
        }
    }

    fn compute_fingerprint(&self) -> Fingerprint {
        let sections = self.sections.iter().flat_map(|section| {
            let (start, end) = (section.addresses.start, section.addresses.end);
            [start, end, u64::from(section.section_index), u64::from(section.is_executable)]
        });
        let variables = self
            .variables
            .iter()
            .flat_map(|variable| [variable.address, variable.size, u64::from(variable.name.end)]);
        Fingerprint::of_all([
            self.memory_regions.batch().fingerprint(),
            Fingerprint::of_numbers(&sections.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&variables.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&self.pointed_to),
            Fingerprint::of_numbers(&[u64::from(self.is_fixed)]),
            Fingerprint::of_bytes(self.names.as_bytes()),
        ])
    }

    /// Equal for equal images.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The loaded section at an address.
    pub(super) fn section_at(&self, address: u64) -> Option<&ImageSection> {
        let next = self.sections.partition_point(|section| section.addresses.start <= address);
        let section = &self.sections[next.checked_sub(1)?];
        section.addresses.contains(&address).then_some(section)
    }

    /// Whether an address is one of data.
    pub(super) fn is_data(&self, address: u64) -> bool {
        self.section_at(address).is_some_and(|section| !section.is_executable)
    }

    /// Whether a number is an address of something that is loaded, in a file that is linked for one address.
    pub(super) fn is_fixed_address(&self, address: u64) -> bool {
        self.is_fixed && self.section_at(address).is_some()
    }

    /// Variables that symbols name: address, size and name.
    pub(super) fn variables(&self) -> impl Iterator<Item = (u64, u64, &str)> {
        self.variables.iter().map(|variable| {
            let name = variable.name.start as usize..variable.name.end as usize;
            (variable.address, variable.size, &self.names[name])
        })
    }

    /// Addresses in data that the loader puts into data.
    pub(super) fn pointed_to(&self) -> &[u64] {
        &self.pointed_to
    }
}

/// The regions that a file implies. They do not depend on what its sections hold.
fn regions(sections: &SectionsIr) -> Rows<MemoryRegions> {
    let columns = sections.sections.columns();
    // Thread-local data that is zero takes no address: every thread gets its own copy.
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
        // A range that would pass the end of the address space stops there.
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

/// Writes regions, each with the next number.
#[derive(Default)]
pub(super) struct RegionWriter {
    rows: MemoryRegionBuilder,
    next: u64,
}

impl RegionWriter {
    /// One that goes on behind regions.
    pub(super) fn behind(regions: &Rows<MemoryRegions>) -> Self {
        Self { rows: MemoryRegionBuilder::default(), next: regions.len() as u64 }
    }

    pub(super) fn push(
        &mut self,
        region_type: RegionType,
        place: Option<(u64, u64)>,
        size: u64,
        function_name: Option<&str>,
        allocation_site: &str,
    ) {
        self.rows.push(MemoryRegion {
            region_id: self.next,
            r#type: region_type.name(),
            start_address: place.map(|place| place.0),
            end_address: place.map(|place| place.1),
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
