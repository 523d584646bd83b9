//! `(binary_headers, binary_sections, binary_symbols, binary_unwind_entries) -> code`
//!
//! The projection of the `sections` stage that later passes read: the bytes of executable sections, and the function
//! starts that the file declares. It stays equal if anything else in the file is edited.
//!
//! A function start is declared by a symbol, by an unwind entry outside of all symbols' functions, or by the entry
//! point. Of several declarations of one address, the one with the most reliable evidence counts.
//!
//! Invariants: regions are sorted by address and do not overlap; function starts are sorted by address, unique, and in
//! regions.

use crate::code::declared_data::declared_data;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::clr::Clr;
use crate::file::formats::{CONTENT_PER_FILE_SIZE_MAX, Headers, bytes_at};
use crate::file::sections::SectionsIr;
use crate::isa::{InstructionSet, Isa};
use binframe_ir::tables::{
    BinaryKind, BinaryUnwindEntry, DiagnosticCode, Format, FunctionEvidence, SectionKind, Severity,
    SymbolBinding, SymbolType,
};
use binframe_ir::{Enumeration, Fingerprint};
use bytes::Bytes;
use std::cmp::Reverse;
use std::ops::Range;

/// The code of a file, with the function starts that the file declares.
#[derive(Debug, Clone)]
pub struct Code {
    /// The executable sections that have bytes, sorted by address.
    pub regions: Vec<CodeRegion>,
    /// The declared function starts, sorted by address.
    pub starts: Vec<FunctionStart>,
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

/// A function start that the file declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionStart {
    /// Address of the first byte.
    pub address: u64,
    /// Size in bytes; 0 if the file does not declare it.
    pub size: u64,
    /// What declares it.
    pub evidence: FunctionEvidence,
    /// Whether it is declared to be the start of a fragment: code of a function that starts elsewhere.
    pub is_fragment: bool,
    name: Option<Range<u32>>,
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
    pub fn of(sections: &SectionsIr, file: &Bytes) -> Self {
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
        let mut names = String::new();
        let starts = starts(sections, &regions, &mut names);
        let mut code = Self {
            regions,
            starts,
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
        let index = self.regions.partition_point(|region| region.address <= address).checked_sub(1)?;
        let position = (address - self.regions[index].address) as usize;
        (position < self.regions[index].bytes.len()).then_some((index, position))
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

    /// The name of a declared function; `None` if no symbol names it.
    pub fn name(&self, start: &FunctionStart) -> Option<&str> {
        start.name.clone().map(|range| &self.names[range.start as usize..range.end as usize])
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

    /// Reports code that is not decoded.
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
            [start.address, start.size, u64::from(start.evidence.code()), u64::from(start.is_fragment), name]
        });
        let data = self.declared_data.iter().flat_map(|range| [range.start, range.end]);
        let overlapping = self.overlapping.iter().flat_map(|(index, address)| [u64::from(*index), *address]);
        let rest = [
            Fingerprint::of_numbers(&starts.collect::<Vec<_>>()),
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

/// The declared function starts.
fn starts(sections: &SectionsIr, regions: &[CodeRegion], names: &mut String) -> Vec<FunctionStart> {
    let is_code = |address: u64| {
        let index = regions.partition_point(|region| region.address <= address).checked_sub(1);
        index.is_some_and(|index| address < regions[index].end_address())
    };
    let mut starts = symbol_starts(sections, &is_code, names);
    add_unwind_starts(sections, &is_code, &mut starts);
    let entry = sections.headers.columns().iter().find_map(|header| header.entry_address);
    if let Some(address) = entry.filter(|address| is_code(*address)) {
        starts.push(FunctionStart {
            address,
            size: 0,
            evidence: FunctionEvidence::Entry,
            is_fragment: false,
            name: None,
        });
    }
    // Of several declarations of one address, the most reliable counts; of several unwind entries, the largest.
    starts.sort_by_key(|start| (start.address, start.evidence, Reverse(start.size)));
    starts.dedup_by_key(|start| start.address);
    starts
}

/// Adds the starts of unwind entries outside of all symbols' functions, and completes starts without a size with the
/// size of their unwind entry. A continuation entry extends the function of the previous entry if it is inside that
/// function or at its end.
fn add_unwind_starts(sections: &SectionsIr, is_code: &dyn Fn(u64) -> bool, starts: &mut Vec<FunctionStart>) {
    let named = starts.len();
    let mut last: Option<usize> = None;
    for entry in sections.unwind_entries.columns().iter() {
        let Some((address, size)) = described_code(entry).filter(|range| is_code(range.0)) else { continue };
        if let Some(start) = last.filter(|_| entry.is_continuation).map(|last| &mut starts[last])
            && address - start.address <= start.size
        {
            start.size = start.size.max((address - start.address).saturating_add(size));
            continue;
        }
        let known = &starts[..named];
        last = match known.binary_search_by_key(&address, |start| start.address) {
            Ok(index) if starts[index].size == 0 => {
                starts[index].size = size;
                Some(index)
            }
            Ok(_) => None,
            Err(next) => {
                let before = next.checked_sub(1).map(|index| &known[index]);
                let is_outside = before.is_none_or(|start| address - start.address >= start.size);
                is_outside.then(|| {
                    let (evidence, is_fragment) =
                        (FunctionEvidence::Unwind, entry.begins_in_frame == Some(true));
                    starts.push(FunctionStart { address, size, evidence, is_fragment, name: None });
                    starts.len() - 1
                })
            }
        };
    }
}

/// Address and size of the code that an unwind entry describes. An entry of a signal frame starts one byte before the
/// code, because unwinders look up the address before a return address, and a signal handler returns to the first
/// instruction.
fn described_code(entry: BinaryUnwindEntry) -> Option<(u64, u64)> {
    let skipped = u64::from(entry.is_signal_frame);
    Some((entry.address.checked_add(skipped)?, entry.size.saturating_sub(skipped)))
}

/// One start for each address of function symbols, named by the symbol with the widest binding.
fn symbol_starts(
    sections: &SectionsIr,
    is_code: &dyn Fn(u64) -> bool,
    names: &mut String,
) -> Vec<FunctionStart> {
    let symbols = sections.symbols.columns();
    let types = [SymbolType::Function.name(), SymbolType::IndirectFunction.name()];
    let mut rows: Vec<_> = (0..symbols.len())
        .filter(|row| {
            symbols.section_index.is_valid(*row) && types.contains(&symbols.symbol_type.value(*row))
        })
        .filter(|row| is_code(symbols.symbol_address[*row]))
        .collect();
    let rank = |row: usize| match symbols.binding.get(row) {
        SymbolBinding::Global | SymbolBinding::Unique => 0,
        SymbolBinding::Weak => 1,
        SymbolBinding::Local | SymbolBinding::Other => 2,
    };
    rows.sort_by_key(|row| (symbols.symbol_address[*row], rank(*row), *row));
    let mut starts: Vec<FunctionStart> = Vec::new();
    for row in rows {
        let (address, size) = (symbols.symbol_address[row], symbols.symbol_size[row]);
        if let Some(last) = starts.last_mut().filter(|last| last.address == address) {
            last.size = last.size.max(size);
            continue;
        }
        let from = names.len() as u32;
        names.push_str(symbols.symbol_name.value(row));
        let name = (from < names.len() as u32).then_some(from..names.len() as u32);
        let (evidence, is_fragment) = (FunctionEvidence::Symbol, is_fragment(symbols.symbol_name.value(row)));
        starts.push(FunctionStart { address, size, evidence, is_fragment, name });
    }
    starts
}

/// Whether a symbol name is one that compilers give to a cold fragment, such as `main.cold` or `main.cold.3`.
fn is_fragment(name: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered =
        name.rsplit_once('.').filter(|(_, number)| is_number(number)).map_or(name, |(name, _)| name);
    numbered.rsplit_once('.').is_some_and(|(_, suffix)| suffix == "cold")
}
