//! `(binary_headers, binary_sections, binary_relocations, binary_imports, binary_exports, binary_initializers,`
//! `binary_exception_call_sites, code) -> references`
//!
//! References to code from the rest of the file: pointers to code in data, import slots (where the loader writes
//! pointers to imported functions), landing pads, and the bytes of data, which contain jump tables.
//!
//! Pointers are found by relocations. A file that is linked for a fixed address has no relocations; in such a file
//! every aligned word of data that is the address of code counts as a pointer.
//!
//! Invariants: pointers, import slots and data are sorted by address; data ranges do not overlap.

use crate::code::loaded_data::{Data, data_at, data_from, loaded_data};
use crate::code::regions::Code;
use crate::file::exceptions::ExceptionsIr;
use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, UInt64Array};
use arrow_buffer::ScalarBuffer;
use binframe_ir::tables::{BinaryExceptionCallSites, Endianness, FunctionEvidence};
use binframe_ir::{Enumeration, Fingerprint, Rows};
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::Range;

/// References to code from the rest of a file.
#[derive(Debug, Clone)]
pub struct References {
    pointers: Vec<Pointer>,
    /// The targets of all pointers, sorted.
    targets: Vec<u64>,
    import_slots: Vec<ImportSlot>,
    /// Addresses at which the loader writes what a resolver in this file returns (IFUNC).
    resolved_slots: Vec<u64>,
    /// Exported code: addresses, sorted, and the range in `names` of the first name of each.
    exports: Vec<(u64, Range<u32>)>,
    data: Vec<Data>,
    /// Address ranges that the loader makes read-only after relocation (RELRO).
    relro: Vec<Range<u64>>,
    /// Addresses of the sections that list where functions can be patched (`-fpatchable-function-entry`).
    patch_lists: Vec<Range<u64>>,
    /// The addresses of code that they list, sorted.
    patch_points: Vec<u64>,
    call_sites: CallSites,
    /// Size of an address in bytes.
    address_size: u8,
    names: String,
    fingerprint: Fingerprint,
}

/// A pointer to code in data, or in linking metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer {
    /// Address of the pointer; 0 if it is in linking metadata.
    pub(crate) address: u64,
    /// The address of code that it holds.
    pub(crate) target: u64,
    /// The evidence that it gives for a function at `target`.
    pub(crate) evidence: FunctionEvidence,
}

/// An address at which the loader writes a pointer to an imported symbol (GOT or IAT entry).
#[derive(Debug, Clone)]
struct ImportSlot {
    address: u64,
    /// Range of its name in `names`; empty if it is imported by number only.
    name: Range<u32>,
    /// Row of `binary_imports`; `None` if the symbol is of this file, and another file may replace it.
    import_index: Option<u32>,
}

/// An imported symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Import<'a> {
    /// `None` if it is imported by number only.
    pub(crate) name: Option<&'a str>,
    /// Row of `binary_imports`; `None` if the symbol is of this file, and another file may replace it.
    pub(crate) index: Option<u32>,
}

/// The columns of `binary_exception_call_sites` that give the landing pads of calls.
#[derive(Debug, Clone)]
struct CallSites {
    addresses: ScalarBuffer<u64>,
    sizes: ScalarBuffer<u64>,
    landing_pads: UInt64Array,
    /// For each row the highest end of it and of the rows before.
    ends: Vec<u64>,
    fingerprint: Fingerprint,
}

impl CallSites {
    fn new(rows: &Rows<BinaryExceptionCallSites>) -> Self {
        let column = |name| rows.batch().column(name).as_primitive::<UInt64Type>().clone();
        let numbers = |name| column(name).values().clone();
        let (addresses, sizes) = (numbers("address"), numbers("size"));
        let mut end = 0;
        let ends = addresses.iter().zip(&sizes).map(|(address, size)| {
            end = end.max(address.saturating_add(*size));
            end
        });
        Self {
            ends: ends.collect(),
            addresses,
            sizes,
            landing_pads: column("landing_pad_address"),
            fingerprint: rows.batch().fingerprint(),
        }
    }

    /// The landing pads for an address, those of inner ranges first, given the number of rows that start at or before it.
    fn landing_pads(&self, address: u64, rows: usize) -> impl Iterator<Item = u64> {
        /// Nested and equal ranges that are examined.
        const ROWS_MAX: usize = 64;
        let rows = (0..rows).rev().take(ROWS_MAX).take_while(move |row| self.ends[*row] > address);
        let is_inside = move |row: &usize| address - self.addresses[*row] < self.sizes[*row];
        rows.filter(is_inside)
            .filter(|row| self.landing_pads.is_valid(*row))
            .map(|row| self.landing_pads.value(row))
    }
}

impl PartialEq for References {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for References {}

impl References {
    /// The references in a file, given its tables.
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
            import_slots: Vec::new(),
            resolved_slots: Vec::new(),
            exports: Vec::new(),
            data: Vec::new(),
            relro: relro_ranges(sections),
            patch_lists: patch_lists(sections),
            patch_points: Vec::new(),
            call_sites: CallSites::new(&exceptions.call_sites),
            address_size: header.and_then(|header| header.bits).map_or(8, |bits| bits / 8),
            names: String::new(),
            fingerprint: Fingerprint::of_bytes(&[]),
        };
        let is_little = header.and_then(|header| header.endianness) != Some(Endianness::Big);
        if !code.regions.is_empty() && is_little {
            references.data = loaded_data(sections, file);
            references.add_relocated(linkage, code);
            if linkage.relocations.columns().iter().all(|relocation| {
                !relocation.is_dynamic
                    || relocation.symbol_index.is_some()
                    || is_resolved_by_call(relocation.relocation_type)
            }) {
                references.add_words(code);
            }
            references.add_linked(linkage, code);
        }
        references.remove_lazy_pointers();
        references.patch_points.sort_unstable();
        references.patch_points.dedup();
        references.pointers.sort_unstable();
        references.pointers.dedup_by_key(|pointer| (pointer.address, pointer.target));
        references.targets = references.pointers.iter().map(|pointer| pointer.target).collect();
        references.targets.sort_unstable();
        references.exports.sort_by_key(|(address, name)| (*address, name.start));
        references.exports.dedup_by_key(|(address, _)| *address);
        references.import_slots.sort_by_key(|slot| (slot.address, slot.name.start));
        references.import_slots.dedup_by_key(|slot| slot.address);
        references.fingerprint = references.compute_fingerprint();
        references
    }

    /// Adds the pointers that relocations write, and the import slots.
    fn add_relocated(&mut self, linkage: &LinkageIr, code: &Code) {
        let (relocations, imports) = (linkage.relocations.columns(), linkage.imports.columns());
        let by_symbol = imports.iter().filter_map(|import| Some((import.symbol_index?, import.import_index)));
        let by_symbol: HashMap<u32, u32> = by_symbol.collect();
        for relocation in relocations.iter().filter(|relocation| relocation.is_dynamic) {
            let address = relocation.address;
            match relocation.symbol_name {
                Some(name) => {
                    let symbol = relocation.symbol_index;
                    let import_index = symbol.and_then(|symbol| by_symbol.get(&symbol).copied());
                    self.add_slot(address, name, import_index);
                }
                None if relocation.symbol_index.is_some() => {}
                // The loader writes what the resolver returns; the resolver is called, but not through the slot.
                None if is_resolved_by_call(relocation.relocation_type) => {
                    let target =
                        relocation.addend.map(|addend| addend as u64).or_else(|| self.read_address(address));
                    self.add_pointer(0, target, FunctionEvidence::Pointer, code);
                    self.resolved_slots.push(address);
                }
                None => {
                    let stored = || self.read_address(address);
                    let target = relocation.addend.map(|addend| addend as u64).or_else(stored);
                    self.add_pointer(address, target, FunctionEvidence::Pointer, code);
                }
            }
        }
        for import in imports.iter() {
            if let Some(address) = import.slot_address {
                self.add_slot(address, import.import_name.unwrap_or_default(), Some(import.import_index));
            }
        }
    }

    /// Adds the aligned words of data that are addresses of code.
    fn add_words(&mut self, code: &Code) {
        let step = usize::from(self.address_size.max(1));
        for index in 0..self.data.len() {
            let data = self.data[index].clone();
            let skipped = (data.address as usize).wrapping_neg() % step;
            for offset in (skipped..data.bytes.len()).step_by(step) {
                let address = data.address + offset as u64;
                let target = self.read_address(address);
                self.add_pointer(address, target, FunctionEvidence::Pointer, code);
            }
        }
    }

    /// Adds the initializers and exports of the linking metadata.
    fn add_linked(&mut self, linkage: &LinkageIr, code: &Code) {
        for initializer in linkage.initializers.columns().iter() {
            let address = initializer.slot_address.unwrap_or(0);
            self.add_pointer(address, initializer.function_address, FunctionEvidence::Initializer, code);
        }
        for export in linkage.exports.columns().iter() {
            self.add_pointer(0, export.address, FunctionEvidence::Export, code);
            let address = export.address.filter(|address| code.locate(*address).is_some());
            if let (Some(address), Some(name)) = (address, export.export_name.filter(|name| !name.is_empty()))
            {
                let from = self.names.len() as u32;
                self.names.push_str(name);
                self.exports.push((address, from..self.names.len() as u32));
            }
        }
    }

    /// Removes the pointers in slots that the loader writes: before, they lead back into stubs.
    fn remove_lazy_pointers(&mut self) {
        let slots = self.import_slots.iter().map(|slot| slot.address);
        let mut slots: Vec<u64> = slots.chain(self.resolved_slots.iter().copied()).collect();
        slots.sort_unstable();
        self.pointers.retain(|pointer| slots.binary_search(&pointer.address).is_err());
    }

    fn add_pointer(&mut self, address: u64, target: Option<u64>, evidence: FunctionEvidence, code: &Code) {
        let Some(target) = target.filter(|target| code.locate(*target).is_some()) else { return };
        match self.patch_lists.iter().any(|list| list.contains(&address)) {
            true => self.patch_points.push(target),
            false => self.pointers.push(Pointer { address, target, evidence }),
        }
    }

    fn add_slot(&mut self, address: u64, name: &str, import_index: Option<u32>) {
        let from = self.names.len() as u32;
        self.names.push_str(name);
        self.import_slots.push(ImportSlot { address, name: from..self.names.len() as u32, import_index });
    }

    fn compute_fingerprint(&self) -> Fingerprint {
        let pointers = self
            .pointers
            .iter()
            .flat_map(|pointer| [pointer.address, pointer.target, u64::from(pointer.evidence.code())]);
        let slots = self.import_slots.iter().flat_map(|slot| {
            let import_index = slot.import_index.map_or(u64::MAX, u64::from);
            [slot.address, u64::from(slot.name.start), u64::from(slot.name.end), import_index]
        });
        let exports = self.exports.iter();
        let exports =
            exports.flat_map(|(address, name)| [*address, u64::from(name.start), u64::from(name.end)]);
        // Writable data is not constant, and not read by later passes.
        let constant = self.data.iter().filter(|data| !data.is_writable);
        let data = constant
            .flat_map(|data| [Fingerprint::of_numbers(&[data.address]), Fingerprint::of_bytes(&data.bytes)]);
        let rest = [
            Fingerprint::of_numbers(&pointers.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&slots.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&exports.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&[u64::from(self.address_size)]),
            Fingerprint::of_numbers(&self.patch_points),
            Fingerprint::of_numbers(
                &self.relro.iter().flat_map(|range| [range.start, range.end]).collect::<Vec<_>>(),
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

    /// Pointers to code, sorted by address.
    pub(crate) fn pointers(&self) -> &[Pointer] {
        &self.pointers
    }

    /// The addresses of instructions without effect, at or before the start of a function, that can be replaced while the
    /// program runs. Sorted.
    pub(crate) fn patch_points(&self) -> &[u64] {
        &self.patch_points
    }

    /// The target of the pointer at an address; `None` if there is no pointer to code.
    pub(crate) fn pointer_at(&self, address: u64) -> Option<u64> {
        let index = self.pointers.binary_search_by_key(&address, |pointer| pointer.address).ok()?;
        Some(self.pointers[index].target)
    }

    /// The target of the pointer at an address, if it is constant once the file is loaded; `None` otherwise.
    pub(crate) fn constant_pointer_at(&self, address: u64) -> Option<u64> {
        let is_constant = || {
            self.relro.iter().any(|range| range.contains(&address))
                || !self.constants_from(address).is_empty()
        };
        self.pointer_at(address).filter(|_| is_constant())
    }

    /// Whether another pointer to code is right before or after a pointer, as in an array.
    pub(crate) fn is_in_pointer_array(&self, pointer: Pointer) -> bool {
        let step = u64::from(self.address_size);
        let has = |address: Option<u64>| address.is_some_and(|address| self.pointer_at(address).is_some());
        has(pointer.address.checked_sub(step)) || has(pointer.address.checked_add(step))
    }

    /// Whether a pointer holds an address.
    pub(crate) fn is_pointed_to(&self, address: u64) -> bool {
        self.targets.binary_search(&address).is_ok()
    }

    /// The import to which the loader writes a pointer at an address; `None` for other addresses.
    pub(crate) fn import_at(&self, slot_address: u64) -> Option<Import<'_>> {
        let index = self.import_slots.binary_search_by_key(&slot_address, |slot| slot.address).ok()?;
        let ImportSlot { name, import_index, .. } = &self.import_slots[index];
        let name = &self.names[name.start as usize..name.end as usize];
        Some(Import { name: Some(name).filter(|name| !name.is_empty()), index: *import_index })
    }

    /// The first name under which an address is exported; `None` if it is not.
    pub(crate) fn export_at(&self, address: u64) -> Option<&str> {
        let index = self.exports.binary_search_by_key(&address, |(address, _)| *address).ok()?;
        let name = &self.exports[index].1;
        Some(&self.names[name.start as usize..name.end as usize])
    }

    /// The addresses of import slots, and the names of their imports.
    pub(crate) fn import_slots(&self) -> impl Iterator<Item = (u64, &str)> {
        self.import_slots
            .iter()
            .map(|slot| (slot.address, &self.names[slot.name.start as usize..slot.name.end as usize]))
    }

    /// The landing pads of a call that ends at an address.
    pub(crate) fn landing_pads(&self, call_end_address: u64) -> impl Iterator<Item = u64> {
        // Unwinders look up the address of the call's last byte.
        let address = call_end_address.wrapping_sub(1);
        let rows = self.call_sites.addresses.partition_point(|start| *start <= address);
        self.call_sites.landing_pads(address, rows)
    }

    /// For each of the sorted end addresses of calls, whether the call has a landing pad.
    pub(crate) fn have_landing_pads(&self, ends: impl Iterator<Item = u64>) -> impl Iterator<Item = bool> {
        let addresses = &self.call_sites.addresses;
        let mut rows = 0;
        ends.map(move |end| {
            let address = end.wrapping_sub(1);
            rows += addresses[rows..].iter().take_while(|start| **start <= address).count();
            self.call_sites.landing_pads(address, rows).next().is_some()
        })
    }

    /// The constant data from an address to the end of its section; empty if the address is not in constant data.
    pub(crate) fn constants_from(&self, address: u64) -> &[u8] {
        let constant = data_at(&self.data, address).filter(|(data, _)| !data.is_writable);
        constant.map_or(&[], |(_, bytes)| bytes)
    }

    /// Size of an address in bytes.
    pub(crate) fn address_size(&self) -> u8 {
        self.address_size
    }

    fn read_address(&self, address: u64) -> Option<u64> {
        let bytes = data_from(&self.data, address)?;
        match self.address_size {
            4 => Some(u64::from(u32::from_le_bytes(*bytes.first_chunk()?))),
            _ => Some(u64::from_le_bytes(*bytes.first_chunk()?)),
        }
    }
}

/// Whether a relocation stores what the function at its addend returns (`R_X86_64_IRELATIVE` and its like).
fn is_resolved_by_call(relocation_type: &str) -> bool {
    relocation_type.ends_with("IRELATIVE")
}

/// The addresses of the sections that list where functions can be patched.
fn patch_lists(sections: &SectionsIr) -> Vec<Range<u64>> {
    let columns = sections.sections.columns();
    let lists = columns.iter().filter(|section| section.section_name == "__patchable_function_entries");
    lists.map(|section| section.address..section.address.saturating_add(section.size)).collect()
}

/// The address ranges that the loader makes read-only after relocation.
fn relro_ranges(sections: &SectionsIr) -> Vec<Range<u64>> {
    let segments = sections.segments.columns();
    let relro = segments.iter().filter(|segment| segment.segment_type == Some("PT_GNU_RELRO"));
    relro.map(|segment| segment.address..segment.address.saturating_add(segment.size)).collect()
}
