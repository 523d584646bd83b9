//! `(sections, linkage) -> image`
//!
//! The projection of the binary's structure that the memory stage reads: addresses of loaded sections, variables with
//! a symbol, the addresses that the loader writes into data, and where a stack canary is. The bytes of sections are not part of it, so that an
//! edit of data leaves the stage's results valid.

use super::canary_addresses::CanaryAddresses;
use super::regions::binary_regions;
use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::tables::{MemoryRegions, SectionKind, SymbolType};
use binframe_ir::{Enumeration, Fingerprint, Rows};
use std::cmp::Reverse;
use std::ops::Range;

/// The memory image of a binary: its layout in memory, without the bytes of its sections.
#[derive(Debug, Clone)]
pub struct MemoryImage {
    /// The regions that the binary implies, without those that code allocates.
    pub memory_regions: Rows<MemoryRegions>,
    /// Loaded sections, sorted by address; not overlapping.
    sections: Vec<ImageSection>,
    /// Variables with a symbol, sorted by address; one for each address.
    variables: Vec<Variable>,
    /// Addresses of data that the loader writes into data, sorted.
    pointed_to: Vec<u64>,
    pub(super) canaries: CanaryAddresses,
    /// Whether the binary is linked for fixed addresses, so that a constant can be an address.
    is_fixed: bool,
    /// The names of all variables, concatenated.
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

/// A variable with a symbol.
#[derive(Debug, Clone)]
struct Variable {
    address: u64,
    size: u64,
    /// Range of its name in `names`.
    name: Range<u32>,
}

impl PartialEq for MemoryImage {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for MemoryImage {}

/// A binary whose first section is below is linked for any address: systems map nothing that low.
const FIXED_ADDRESS_MIN: u64 = 0x1_0000;

impl MemoryImage {
    /// The image of a binary.
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
            memory_regions: binary_regions(sections),
            sections: loaded.collect(),
            variables: Vec::new(),
            pointed_to: Vec::new(),
            canaries: CanaryAddresses::of(sections, linkage),
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
            Fingerprint::of_numbers(&self.canaries.words()),
            Fingerprint::of_numbers(&[u64::from(self.is_fixed)]),
            Fingerprint::of_bytes(self.names.as_bytes()),
        ])
    }

    /// Hash of the content; equal for equal images.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The loaded section at an address.
    pub(super) fn section_at(&self, address: u64) -> Option<&ImageSection> {
        let next = self.sections.partition_point(|section| section.addresses.start <= address);
        let section = &self.sections[next.checked_sub(1)?];
        section.addresses.contains(&address).then_some(section)
    }

    /// Whether an address is in a loaded section that is not executable.
    pub(super) fn is_data(&self, address: u64) -> bool {
        self.section_at(address).is_some_and(|section| !section.is_executable)
    }

    /// Whether a constant can be an address: that of a byte of a loaded section, in a binary that is linked for fixed
    /// addresses.
    pub(super) fn is_fixed_address(&self, address: u64) -> bool {
        self.is_fixed && self.section_at(address).is_some()
    }

    /// The variables with a symbol: address, size and name.
    pub(super) fn variables(&self) -> impl Iterator<Item = (u64, u64, &str)> {
        self.variables.iter().map(|variable| {
            let name = variable.name.start as usize..variable.name.end as usize;
            (variable.address, variable.size, &self.names[name])
        })
    }

    /// Addresses of data that the loader writes into data, sorted.
    pub(super) fn pointed_to(&self) -> &[u64] {
        &self.pointed_to
    }
}
