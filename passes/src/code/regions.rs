//! `(binary_headers, binary_sections, binary_symbols, binary_unwind_entries, binary_relocations) -> code`
//!
//! The projection of the `sections` stage that later passes read: the bytes of executable sections, and the function
//! starts that the file declares (`declared_starts.rs`). It stays equal if anything else in the file is edited.
//!
//! Invariants: regions are sorted by address and do not overlap; function starts are sorted by address, unique, and in
//! regions.

use crate::code::declared_data::declared_data;
use crate::code::declared_starts::{DeclaredStarts, FunctionStart, declared_starts};
use crate::code::go_functions::BrokenPart;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::clr::Clr;
use crate::file::formats::{CONTENT_PER_FILE_SIZE_MAX, Headers, bytes_at};
use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use crate::isa::{InstructionSet, Isa};
use binframe_ir::tables::{BinaryKind, DiagnosticCode, Format, SectionKind, Severity};
use binframe_ir::{Enumeration, Fingerprint};
use bytes::Bytes;
use std::ops::Range;

/// The code of a file, with the function starts that the file declares.
#[derive(Debug, Clone)]
pub struct Code {
    /// The executable sections that have bytes, sorted by address.
    pub regions: Vec<CodeRegion>,
    /// The declared function starts, sorted by address.
    pub starts: Vec<FunctionStart>,
    /// The addresses of the functions that a function table names, sorted, and the ranges of their names in `names`.
    listed_names: Vec<(u64, Range<u32>)>,
    /// What is broken in a function table.
    broken: Vec<BrokenPart>,
    /// The address ranges in regions that the file declares to be data, by mapping symbols or by data directories of PE.
    /// Sorted and disjoint.
    pub(crate) declared_data: Vec<Range<u64>>,
    /// Address of the pointer table (GOT) that position-independent 32-bit code keeps in a register; `None` for other
    /// code.
    pub(crate) pointer_table: Option<u64>,
    /// Whether functions use a calling convention of Windows.
    pub(crate) is_windows: bool,
    /// Whether the code calls the system as programs of Linux do.
    pub(crate) is_linux: bool,
    /// Width of an address in bits; `None` if the file does not state it.
    pub(crate) address_bits: Option<u32>,
    /// Executable sections that were dropped because they overlap another: their indexes and addresses.
    overlapping: Vec<(u32, u64)>,
    /// Why the code is not decoded; `None` if it is decoded, or there is none.
    undecoded: Option<&'static str>,
    names: String,
    fingerprint: Fingerprint,
}

/// One executable section, or a part of it between data of .NET.
#[derive(Debug, Clone)]
pub struct CodeRegion {
    /// Instruction set of the code.
    pub isa: Isa,
    /// Address of the first byte.
    pub address: u64,
    /// The section's index.
    pub section_index: u32,
    /// Whether it holds the stubs through which imported functions are called (PLT).
    pub is_plt: bool,
    /// Address of the pointer table (GOT) that stubs of position-independent code jump through; `None` if the section
    /// has no stubs or the file has no such table.
    pub pointer_table: Option<u64>,
    /// The code, a slice of the mapped file.
    pub bytes: Bytes,
}

/// A range of positions in one region. A position is an offset from the start of the region, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRange {
    /// Index of the region.
    pub region: usize,
    /// First position.
    pub start: usize,
    /// Position after the last.
    pub end: usize,
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Code {}

impl CodeRegion {
    /// Address after the last byte.
    pub fn end_address(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }

    /// A decoder of the region, whose instruction set is `S`.
    pub(crate) fn decoder<S: InstructionSet>(&self) -> S::Decoder<'_> {
        S::decoder(self.isa, &self.bytes, self.address)
    }
}

impl Code {
    /// The code of a file and of its sections.
    pub fn of(sections: &SectionsIr, linkage: &LinkageIr, file: &Bytes) -> Self {
        let managed = ManagedCode::of(file);
        let (isa, undecoded) = isa(sections, managed.as_ref());
        let (mut regions, overlapping) =
            isa.map_or_else(Default::default, |isa| regions(isa, sections, file));
        for data in managed.iter().flat_map(|managed| &managed.data) {
            cut(&mut regions, data);
        }
        let ranges = regions.iter().map(|region| region.address..region.end_address());
        let has_marks = isa.is_some_and(Isa::has_mapping_symbols);
        let declared_data = declared_data(sections, &ranges.collect::<Vec<_>>(), has_marks, file);
        let is_windows = sections.headers.columns().iter().any(|header| header.format == Format::Pe);
        let header = sections.headers.columns().iter().next();
        let address_bits = header.and_then(|header| header.bits).map(u32::from);
        let is_code = |address: u64| locate(&regions, address).is_some();
        let DeclaredStarts { starts, listed_names, names, broken } = match regions.is_empty() {
            true => DeclaredStarts::default(),
            false => declared_starts(sections, linkage, file, &is_code),
        };
        let mut code = Self {
            regions,
            starts,
            listed_names,
            broken,
            declared_data,
            pointer_table: pointer_table(sections).filter(|_| isa.is_some_and(|isa| isa.bits() == 32)),
            is_windows,
            is_linux: is_linux(sections, file),
            address_bits,
            overlapping,
            undecoded,
            names,
            fingerprint: Fingerprint::of_bytes(&[]),
        };
        code.fingerprint = code.compute_fingerprint();
        code
    }

    /// Size of all regions in bytes.
    pub fn size(&self) -> u64 {
        self.regions.iter().map(|region| region.bytes.len() as u64).sum()
    }

    /// The region that contains an address, and the position in it; `None` for other addresses.
    #[inline]
    pub fn locate(&self, address: u64) -> Option<(usize, usize)> {
        locate(&self.regions, address)
    }

    /// Clips a range to the positions at which instructions may start that overlap `addresses`.
    pub fn clip_range(&self, range: &mut CodeRange, addresses: Option<&Range<u64>>) {
        let Some(addresses) = addresses else { return };
        let region = &self.regions[range.region];
        let from = addresses
            .start
            .saturating_sub(region.address)
            .saturating_sub(region.isa.instruction_size_max() as u64);
        let to = addresses.end.saturating_sub(region.address);
        let clamp =
            |position: u64| usize::try_from(position).unwrap_or(range.end).clamp(range.start, range.end);
        (range.start, range.end) = (clamp(from), clamp(to));
    }

    /// The name of a declared function; `None` if neither a symbol nor a function table names it.
    pub fn name(&self, start: &FunctionStart) -> Option<&str> {
        start.name.clone().map(|range| &self.names[range.start as usize..range.end as usize])
    }

    /// The names that a function table gives, with the address of each function.
    pub(crate) fn listed_names(&self) -> impl Iterator<Item = (u64, &str)> {
        let names = self.listed_names.iter();
        names.map(|(address, range)| (*address, &self.names[range.start as usize..range.end as usize]))
    }

    /// The `size` bytes at `address`; fewer if the region ends before, none if `address` is not in code.
    pub fn bytes(&self, address: u64, size: u64) -> &[u8] {
        let Some((region, position)) = self.locate(address) else { return &[] };
        let bytes = &self.regions[region].bytes[position..];
        &bytes[..bytes.len().min(size as usize)]
    }

    /// Equal for equal code and starts.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Reports code that is not decoded, and broken function tables.
    pub(crate) fn report(&self, diagnostics: &mut Collector) {
        if let Some(reason) = self.undecoded {
            let (severity, code) = (Severity::Note, DiagnosticCode::UndecodedCode);
            diagnostics.report(severity, code, DiagnosticLocation::FileOffset(0), reason);
        }
        for (section_index, address) in &self.overlapping {
            let message =
                format!("executable section {section_index} overlaps another: its code was left out");
            let (severity, code) = (Severity::Error, DiagnosticCode::OverlappingCode);
            diagnostics.report(severity, code, DiagnosticLocation::Address(*address), &message);
        }
        for BrokenPart { address, message } in &self.broken {
            let code = DiagnosticCode::BrokenFunctionTable;
            diagnostics.error(code, DiagnosticLocation::Address(*address), message);
        }
    }

    fn compute_fingerprint(&self) -> Fingerprint {
        let regions = self.regions.iter().flat_map(|region| {
            let position = [
                region.address,
                u64::from(region.section_index),
                u64::from(region.is_plt),
                region.isa as u64,
                region.pointer_table.unwrap_or(0),
            ];
            [Fingerprint::of_numbers(&position), Fingerprint::of_bytes(&region.bytes)]
        });
        let starts = self.starts.iter().flat_map(|start| {
            let name = self.name(start).map_or(u64::MAX, |name| name.len() as u64);
            let kinds = [start.evidence.code(), start.name_kind.code()].map(u64::from);
            [start.address, start.size, kinds[0], kinds[1], u64::from(start.is_fragment), name]
        });
        let listed = self.listed_names.iter();
        let listed =
            listed.flat_map(|(address, name)| [*address, u64::from(name.start), u64::from(name.end)]);
        let broken = self.broken.iter().flat_map(|part| [part.address, part.message.len() as u64]);
        let data = self.declared_data.iter().flat_map(|range| [range.start, range.end]);
        let overlapping = self.overlapping.iter().flat_map(|(index, address)| [u64::from(*index), *address]);
        let rest = [
            Fingerprint::of_numbers(&starts.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&listed.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&broken.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&data.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&overlapping.collect::<Vec<_>>()),
            Fingerprint::of_bytes(self.names.as_bytes()),
            Fingerprint::of_bytes(self.undecoded.unwrap_or_default().as_bytes()),
            Fingerprint::of_numbers(&[
                u64::from(self.is_windows),
                u64::from(self.is_linux),
                self.pointer_table.unwrap_or(0),
                self.address_bits.map_or(0, u64::from),
            ]),
        ];
        Fingerprint::of_all(regions.chain(rest))
    }
}

#[inline]
fn locate(regions: &[CodeRegion], address: u64) -> Option<(usize, usize)> {
    let index = regions.partition_point(|region| region.address <= address).checked_sub(1)?;
    let position = (address - regions[index].address) as usize;
    (position < regions[index].bytes.len()).then_some((index, position))
}

/// Whether a file is a program of Linux: ELF, and not marked for another system. NetBSD and OpenBSD mark theirs by a
/// note only.
fn is_linux(sections: &SectionsIr, file: &Bytes) -> bool {
    const ABI_OFFSET: usize = 7;
    const ABI_SYSTEM_V: u8 = 0;
    const ABI_GNU: u8 = 3;
    let is_elf = sections.headers.columns().iter().any(|header| header.format == Format::Elf);
    let has_abi = file.get(ABI_OFFSET).is_some_and(|abi| [ABI_SYSTEM_V, ABI_GNU].contains(abi));
    is_elf
        && has_abi
        && !sections.sections.columns().iter().any(|section| section.section_name.contains("bsd"))
}

/// The instruction set of a file, or the reason why its code is not decoded.
fn isa(sections: &SectionsIr, managed: Option<&ManagedCode>) -> (Option<Isa>, Option<&'static str>) {
    let Some(header) = sections.headers.columns().iter().next() else { return (None, None) };
    match (header.kind, header.architecture.and_then(Isa::of)) {
        (BinaryKind::Relocatable, _) => {
            (None, Some("code that is not linked yet has no addresses, and is not decoded"))
        }
        (BinaryKind::CoreDump, _) => (None, Some("the code in a core dump is not decoded")),
        (BinaryKind::Container | BinaryKind::ShortImport, _) => (None, None),
        _ if managed.is_some_and(|managed| !managed.has_native_code) => {
            (None, Some("the code is .NET's intermediate language, which is not decoded"))
        }
        (_, None) => (None, Some("code is decoded for x86, x86_64 and aarch64 only")),
        (_, isa) => (isa, None),
    }
}

/// The part of a file that .NET's runtime reads.
struct ManagedCode {
    has_native_code: bool,
    /// The addresses of intermediate language and metadata, sorted and disjoint.
    data: Vec<Range<u64>>,
}

impl ManagedCode {
    /// `None` for a file that is not for .NET.
    fn of(file: &Bytes) -> Option<Self> {
        let Ok(Headers::Pe(pe)) = Headers::find(file) else { return None };
        let clr = Clr::find(&pe)?.ok()?;
        let addresses = |range: Range<u32>| {
            let start = pe.address(range.start);
            start..start + u64::from(range.end - range.start)
        };
        let data =
            if clr.has_native_code { clr.data().into_iter().map(addresses).collect() } else { Vec::new() };
        Some(Self { has_native_code: clr.has_native_code, data })
    }
}

fn regions(isa: Isa, sections: &SectionsIr, file: &Bytes) -> (Vec<CodeRegion>, Vec<(u32, u64)>) {
    let mut budget = file.len().saturating_mul(CONTENT_PER_FILE_SIZE_MAX);
    let columns = sections.sections.columns();
    let pointer_table = pointer_table(sections);
    let executable = columns.iter().filter(|section| section.is_executable && section.file_size > 0);
    let mut regions: Vec<_> = executable
        .filter_map(|section| {
            // PE files pad sections to the file alignment; the padding is not code.
            let size = section.file_size.min(section.size);
            let (bytes, _) = bytes_at(file, section.file_offset, size);
            budget = budget.checked_sub(bytes.len())?;
            // A section that exceeds the address space cannot be loaded.
            section.address.checked_add(bytes.len() as u64)?;
            (!bytes.is_empty()).then(|| CodeRegion {
                isa,
                address: section.address,
                section_index: section.section_index,
                pointer_table: pointer_table.filter(|_| section.kind == SectionKind::Plt),
                is_plt: section.kind == SectionKind::Plt,
                bytes: file.slice_ref(bytes),
            })
        })
        .collect();
    regions.sort_by_key(|region| (region.address, region.section_index));
    let mut end_address = 0;
    let mut overlapping = Vec::new();
    regions.retain(|region| {
        let is_free = region.address >= end_address;
        match is_free {
            true => end_address = region.end_address(),
            false => overlapping.push((region.section_index, region.address)),
        }
        is_free
    });
    (regions, overlapping)
}

/// Address of the pointer table of ELF: `_GLOBAL_OFFSET_TABLE_` is that of the first of these sections that exists.
fn pointer_table(sections: &SectionsIr) -> Option<u64> {
    let columns = sections.sections.columns();
    let named = |name: &str| columns.iter().find(|section| section.section_name == name);
    named(".got.plt").or_else(|| named(".got")).map(|section| section.address)
}

/// Removes an address range from the regions, of which one may become two. Ranges are removed in ascending order.
fn cut(regions: &mut Vec<CodeRegion>, data: &Range<u64>) {
    let first = regions.partition_point(|region| region.end_address() <= data.start);
    let Some(region) = regions.get(first).filter(|region| region.address < data.end) else { return };
    let whole = region.clone();
    let part = |from: u64, to: u64| {
        let [start, end] = [from, to].map(|address| (address - whole.address) as usize);
        (start < end).then(|| CodeRegion {
            address: from,
            bytes: whole.bytes.slice(start..end),
            ..whole.clone()
        })
    };
    let before = part(whole.address, data.start.max(whole.address));
    let after = part(data.end.min(whole.end_address()), whole.end_address());
    regions.splice(first..=first, before.into_iter().chain(after));
}
