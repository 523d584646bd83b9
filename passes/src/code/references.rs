//! `(binary_headers, binary_sections, binary_relocations, binary_imports, binary_exports, binary_initializers,`
//! `exception_call_sites, code) -> references`
//!
//! What the rest of a file says of its code: the pointers in data that lead there, the places where the loader writes pointers to
//! functions of other files, the landing pads, and the bytes of data, in which jump tables stand.
//!
//! Pointers are what relocations put into data. A file that is linked for one address has no relocations; there, every aligned word
//! of data that is an address of code counts as one.
//!
//! Invariants: pointers are in the order of their places, slots and data in that of their addresses; data never overlaps.

use crate::code::regions::Code;
use crate::file::exceptions::ExceptionsIr;
use crate::file::formats::{CONTENT_PER_FILE_SIZE_MAX, bytes_at};
use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, UInt64Array};
use arrow_buffer::ScalarBuffer;
use binframe_ir::tables::{Endianness, ExceptionCallSites, FunctionEvidence};
use binframe_ir::{Enumeration, Fingerprint, Rows};
use bytes::Bytes;
use std::ops::Range;

/// What the rest of a file says of its code.
#[derive(Debug, Clone)]
pub struct References {
    pointers: Vec<Pointer>,
    /// Where they lead, in the order of the addresses.
    targets: Vec<u64>,
    slots: Vec<Slot>,
    data: Vec<Data>,
    /// Data that the loader makes constant once it has written pointers there.
    sealed: Vec<Range<u64>>,
    call_sites: CallSites,
    /// Size of an address in bytes.
    address_size: u8,
    names: String,
    fingerprint: Fingerprint,
}

/// A pointer to code that stands in data, or in a table of the loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer {
    /// Address of the pointer; 0 for one in a table of the loader.
    pub(crate) place: u64,
    /// Where it leads.
    pub(crate) target: u64,
    /// What it says of a function there.
    pub(crate) evidence: FunctionEvidence,
}

/// A place where the loader writes a pointer to something of another file.
#[derive(Debug, Clone)]
struct Slot {
    address: u64,
    name: Range<u32>,
}

/// The columns of `exception_call_sites` that say where calls land, held at hand.
#[derive(Debug, Clone)]
struct CallSites {
    addresses: ScalarBuffer<u64>,
    sizes: ScalarBuffer<u64>,
    landing_pads: UInt64Array,
    fingerprint: Fingerprint,
}

impl CallSites {
    fn new(rows: &Rows<ExceptionCallSites>) -> Self {
        let column = |name| rows.batch().column(name).as_primitive::<UInt64Type>().clone();
        let numbers = |name| column(name).values().clone();
        Self {
            addresses: numbers("address"),
            sizes: numbers("size"),
            landing_pads: column("landing_pad_address"),
            fingerprint: rows.batch().fingerprint(),
        }
    }

    /// The landing pad of what lies at an address, given the number of rows that begin there or before.
    fn landing_pad(&self, address: u64, rows: usize) -> Option<u64> {
        let row = rows.checked_sub(1)?;
        let is_inside = address - self.addresses[row] < self.sizes[row];
        (is_inside && self.landing_pads.is_valid(row)).then(|| self.landing_pads.value(row))
    }
}

/// Bytes that are loaded and are no code.
#[derive(Debug, Clone)]
struct Data {
    address: u64,
    bytes: Bytes,
    is_writable: bool,
}

impl PartialEq for References {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for References {}

impl References {
    /// Those of a file and of its tables.
    pub fn of(
        sections: &SectionsIr,
        linkage: &LinkageIr,
        exceptions: &ExceptionsIr,
        code: &Code,
        file: &Bytes,
    ) -> Self {
        let header = sections.headers.columns().iter().next();
        let mut references = Self {
            pointers: Vec::new(),
            targets: Vec::new(),
            slots: Vec::new(),
            data: Vec::new(),
            sealed: sealed(sections),
            call_sites: CallSites::new(&exceptions.call_sites),
            address_size: header.and_then(|header| header.bits).map_or(8, |bits| bits / 8),
            names: String::new(),
            fingerprint: Fingerprint::of_bytes(&[]),
        };
        let is_little = header.and_then(|header| header.endianness) != Some(Endianness::Big.name());
        if !code.regions.is_empty() && is_little {
            references.add_data(sections, file);
            references.add_relocated(linkage, code);
            if linkage
                .relocations
                .columns()
                .iter()
                .all(|relocation| !relocation.is_dynamic || relocation.symbol_index.is_some())
            {
                references.add_words(code);
            }
            references.add_listed(linkage, code);
        }
        references.pointers.sort_unstable();
        references.pointers.dedup_by_key(|pointer| (pointer.place, pointer.target));
        references.targets = references.pointers.iter().map(|pointer| pointer.target).collect();
        references.targets.sort_unstable();
        references.slots.sort_by_key(|slot| (slot.address, slot.name.start));
        references.slots.dedup_by_key(|slot| slot.address);
        references.fingerprint = references.compute_fingerprint();
        references
    }

    fn add_data(&mut self, sections: &SectionsIr, file: &Bytes) {
        let mut left = file.len().saturating_mul(CONTENT_PER_FILE_SIZE_MAX);
        let columns = sections.sections.columns();
        for section in columns
            .iter()
            .filter(|section| section.is_readable && !section.is_executable && section.address > 0)
        {
            let (bytes, _) = bytes_at(file, section.file_offset, section.file_size.min(section.size));
            let Some(rest) = left.checked_sub(bytes.len()) else { break };
            if !bytes.is_empty() && section.address.checked_add(bytes.len() as u64).is_some() {
                left = rest;
                let (address, bytes) = (section.address, file.slice_ref(bytes));
                self.data.push(Data { address, bytes, is_writable: section.is_writable });
            }
        }
        self.data.sort_by_key(|data| data.address);
        let mut end = 0;
        self.data.retain(|data| {
            let is_free = data.address >= end;
            if is_free {
                end = data.address + data.bytes.len() as u64;
            }
            is_free
        });
    }

    /// Adds what relocations write: pointers into the file, and slots for those into others.
    fn add_relocated(&mut self, linkage: &LinkageIr, code: &Code) {
        let relocations = linkage.relocations.columns();
        for relocation in relocations.iter().filter(|relocation| relocation.is_dynamic) {
            let place = relocation.address;
            match relocation.symbol_name {
                Some(name) => self.add_slot(place, name),
                None if relocation.symbol_index.is_some() => {}
                None => {
                    let stored = || self.read_address(place);
                    let target = relocation.addend.map(|addend| addend as u64).or_else(stored);
                    self.add_pointer(place, target, FunctionEvidence::Pointer, code);
                }
            }
        }
        for import in linkage.imports.columns().iter() {
            if let (Some(address), Some(name)) = (import.slot_address, import.import_name) {
                self.add_slot(address, name);
            }
        }
    }

    /// Adds the words of data that are addresses of code.
    fn add_words(&mut self, code: &Code) {
        let step = usize::from(self.address_size.max(1));
        for index in 0..self.data.len() {
            let data = self.data[index].clone();
            let skipped = (data.address as usize).wrapping_neg() % step;
            for offset in (skipped..data.bytes.len()).step_by(step) {
                let place = data.address + offset as u64;
                let target = self.read_address(place);
                self.add_pointer(place, target, FunctionEvidence::Pointer, code);
            }
        }
    }

    /// Adds what the loader is told: initialisers and exports.
    fn add_listed(&mut self, linkage: &LinkageIr, code: &Code) {
        for initializer in linkage.initializers.columns().iter() {
            let place = initializer.slot_address.unwrap_or(0);
            self.add_pointer(place, initializer.function_address, FunctionEvidence::Initializer, code);
        }
        for export in linkage.exports.columns().iter() {
            self.add_pointer(0, export.address, FunctionEvidence::Export, code);
        }
    }

    fn add_pointer(&mut self, place: u64, target: Option<u64>, evidence: FunctionEvidence, code: &Code) {
        if let Some(target) = target.filter(|target| code.locate(*target).is_some()) {
            self.pointers.push(Pointer { place, target, evidence });
        }
    }

    fn add_slot(&mut self, address: u64, name: &str) {
        let from = self.names.len() as u32;
        self.names.push_str(name);
        self.slots.push(Slot { address, name: from..self.names.len() as u32 });
    }

    fn compute_fingerprint(&self) -> Fingerprint {
        let pointers = self
            .pointers
            .iter()
            .flat_map(|pointer| [pointer.place, pointer.target, u64::from(pointer.evidence.code())]);
        let slots = self
            .slots
            .iter()
            .flat_map(|slot| [slot.address, u64::from(slot.name.start), u64::from(slot.name.end)]);
        // What stands in writable data is no constant.
        let constant = self.data.iter().filter(|data| !data.is_writable);
        let data = constant
            .flat_map(|data| [Fingerprint::of_numbers(&[data.address]), Fingerprint::of_bytes(&data.bytes)]);
        let rest = [
            Fingerprint::of_numbers(&pointers.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&slots.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&[u64::from(self.address_size)]),
            Fingerprint::of_numbers(
                &self.sealed.iter().flat_map(|range| [range.start, range.end]).collect::<Vec<_>>(),
            ),
            Fingerprint::of_bytes(self.names.as_bytes()),
            self.call_sites.fingerprint,
        ];
        Fingerprint::of_all(data.chain(rest))
    }

    /// Equal for equal references.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Pointers to code, in the order of their places.
    pub(crate) fn pointers(&self) -> &[Pointer] {
        &self.pointers
    }

    /// Where the pointer at a place leads, if it leads to code.
    pub(crate) fn pointer_at(&self, place: u64) -> Option<u64> {
        let index = self.pointers.binary_search_by_key(&place, |pointer| pointer.place).ok()?;
        Some(self.pointers[index].target)
    }

    /// Where the pointer at a place leads, if it leads to code and nothing changes it once the file is loaded.
    pub(crate) fn constant_pointer_at(&self, place: u64) -> Option<u64> {
        let is_constant = || {
            self.sealed.iter().any(|range| range.contains(&place)) || !self.constants_from(place).is_empty()
        };
        self.pointer_at(place).filter(|_| is_constant())
    }

    /// Whether a pointer stands between others, as in an array.
    pub(crate) fn stands_in_row(&self, pointer: Pointer) -> bool {
        let step = u64::from(self.address_size);
        let has = |place: Option<u64>| place.is_some_and(|place| self.pointer_at(place).is_some());
        has(pointer.place.checked_sub(step)) || has(pointer.place.checked_add(step))
    }

    /// Whether a pointer leads to an address.
    pub(crate) fn is_pointed_to(&self, address: u64) -> bool {
        self.targets.binary_search(&address).is_ok()
    }

    /// The name of what the loader writes a pointer to at an address.
    pub(crate) fn import_at(&self, slot_address: u64) -> Option<&str> {
        let index = self.slots.binary_search_by_key(&slot_address, |slot| slot.address).ok()?;
        let name = &self.slots[index].name;
        Some(&self.names[name.start as usize..name.end as usize])
    }

    /// The places where the loader writes pointers, and the names of what it writes.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u64, &str)> {
        self.slots
            .iter()
            .map(|slot| (slot.address, &self.names[slot.name.start as usize..slot.name.end as usize]))
    }

    /// The landing pad of an instruction that ends at an address.
    pub(crate) fn landing_pad(&self, call_end_address: u64) -> Option<u64> {
        // Frames are unwound with the address of the call's last byte.
        let address = call_end_address.wrapping_sub(1);
        let rows = self.call_sites.addresses.partition_point(|start| *start <= address);
        self.call_sites.landing_pad(address, rows)
    }

    /// For each of some ends of instructions, which are in order, whether the instruction has a landing pad.
    pub(crate) fn have_landing_pads(&self, ends: impl Iterator<Item = u64>) -> impl Iterator<Item = bool> {
        let addresses = &self.call_sites.addresses;
        let mut rows = 0;
        ends.map(move |end| {
            let address = end.wrapping_sub(1);
            rows += addresses[rows..].iter().take_while(|start| **start <= address).count();
            self.call_sites.landing_pad(address, rows).is_some()
        })
    }

    /// The bytes of constant data from an address on; none where there is no such data.
    pub(crate) fn constants_from(&self, address: u64) -> &[u8] {
        self.data_from(address, false).unwrap_or(&[])
    }

    /// Size of an address in bytes.
    pub(crate) fn address_size(&self) -> u8 {
        self.address_size
    }

    fn data_from(&self, address: u64, may_be_writable: bool) -> Option<&[u8]> {
        let index = self.data.partition_point(|data| data.address <= address).checked_sub(1)?;
        let data = Some(&self.data[index]).filter(|data| may_be_writable || !data.is_writable)?;
        data.bytes.get(usize::try_from(address - data.address).ok()?..)
    }

    fn read_address(&self, place: u64) -> Option<u64> {
        let bytes = self.data_from(place, true)?;
        match self.address_size {
            4 => Some(u64::from(u32::from_le_bytes(*bytes.first_chunk()?))),
            _ => Some(u64::from_le_bytes(*bytes.first_chunk()?)),
        }
    }
}

/// The addresses that the loader makes constant once it has written pointers there.
fn sealed(sections: &SectionsIr) -> Vec<Range<u64>> {
    let segments = sections.segments.columns();
    let sealed = segments.iter().filter(|segment| segment.segment_type == Some("PT_GNU_RELRO"));
    sealed.map(|segment| segment.address..segment.address.saturating_add(segment.size)).collect()
}
