//! `binary_libraries` and `binary_imports` of a PE image, from the import directory and the delay-load directory.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::pe::{Pe, string};
use crate::file::text_budget::NAMES_TOO_LONG;
use binframe_ir::tables::{BinaryImport, BinaryLibrary, DiagnosticCode, LibraryKind};
use object::LittleEndian as LE;
use object::pe::{self, ImageDelayloadDescriptor, ImageImportDescriptor};
use object::pod::Pod;

pub(super) fn push(pe: &Pe<'_>, library_index: u32, linkage: &mut LinkageBuilder) {
    // Libraries of a broken file may share tables: no more imports are read than fit in the file.
    let imports_left = pe.coff.file.len() / pe.address_size();
    let mut writer = ImportWriter { pe, linkage, library_index, import_index: 0, imports_left };
    let read = writer.needed();
    writer.report(pe::IMAGE_DIRECTORY_ENTRY_IMPORT, read);
    let read = writer.delayed();
    writer.report(pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, read);
}

struct ImportWriter<'a, 'd> {
    pe: &'a Pe<'d>,
    linkage: &'a mut LinkageBuilder,
    library_index: u32,
    import_index: u32,
    imports_left: usize,
}

/// A library: its name and its tables.
struct Library {
    kind: LibraryKind,
    name_rva: u32,
    /// RVA of the import lookup table, which names the imports.
    lookup_rva: u32,
    /// RVA of the import address table, which the loader fills.
    slots_rva: u32,
    /// Value to subtract from the entries of the lookup table to get RVAs.
    base: u64,
}

impl ImportWriter<'_, '_> {
    fn report(&mut self, directory: usize, read: Result<(), String>) {
        if let (Err(error), Some((rva, _))) = (read, self.pe.directory(directory)) {
            let location = DiagnosticLocation::Address(self.pe.address(rva));
            let message =
                format!("the imports after the first {} cannot be read: {error}", self.import_index);
            self.linkage.warning(DiagnosticCode::BrokenLinkage, location, &message);
        }
    }

    fn needed(&mut self) -> Result<(), String> {
        for descriptor in descriptors::<ImageImportDescriptor>(self.pe, pe::IMAGE_DIRECTORY_ENTRY_IMPORT) {
            let descriptor = descriptor?;
            let (name_rva, slots_rva) = (descriptor.name.get(LE), descriptor.first_thunk.get(LE));
            if descriptor.is_null() || name_rva == 0 {
                break;
            }
            // Without a lookup table, the address table names the imports until the loader overwrites it.
            let lookup_rva = descriptor.original_first_thunk.get(LE);
            let has_lookup = lookup_rva != 0 && self.pe.bytes_from(lookup_rva).is_some();
            let lookup_rva = if has_lookup { lookup_rva } else { slots_rva };
            self.push(&Library { kind: LibraryKind::Needed, name_rva, lookup_rva, slots_rva, base: 0 })?;
        }
        Ok(())
    }

    fn delayed(&mut self) -> Result<(), String> {
        let directory = pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT;
        for descriptor in descriptors::<ImageDelayloadDescriptor>(self.pe, directory) {
            let descriptor = descriptor?;
            if descriptor.is_null() || descriptor.dll_name_rva.get(LE) == 0 {
                break;
            }
            // Old linkers wrote addresses instead of RVAs.
            let has_rvas = descriptor.attributes.get(LE) & pe::IMAGE_DELAYLOAD_RVA_BASED != 0;
            let base = if has_rvas { 0 } else { self.pe.image_base };
            let rva = |number: u32| number.wrapping_sub(base as u32);
            self.push(&Library {
                kind: LibraryKind::Delayed,
                name_rva: rva(descriptor.dll_name_rva.get(LE)),
                lookup_rva: rva(descriptor.import_name_table_rva.get(LE)),
                slots_rva: rva(descriptor.import_address_table_rva.get(LE)),
                base,
            })?;
        }
        Ok(())
    }

    fn push(&mut self, library: &Library) -> Result<(), String> {
        let name = self.pe.string(library.name_rva).ok_or("a library has no name")?;
        let library_name = String::from_utf8_lossy(name);
        let kept = self.linkage.names.take(&*library_name).ok_or(NAMES_TOO_LONG)?;
        self.linkage.libraries.push(BinaryLibrary {
            library_index: self.library_index,
            kind: library.kind,
            library_name: kept,
            version: None,
        });
        self.library_index += 1;
        let mut is_ended = false;
        for (rva, number) in self.pe.numbers(library.lookup_rva) {
            if number == 0 {
                is_ended = true;
                break;
            }
            self.imports_left =
                self.imports_left.checked_sub(1).ok_or("there are more than fit in the file")?;
            let slot_rva = library.slots_rva.wrapping_add(rva.wrapping_sub(library.lookup_rva));
            self.push_import(library, &library_name, number, slot_rva)?;
        }
        if is_ended { Ok(()) } else { Err("the imports of a library do not end".to_owned()) }
    }

    fn push_import(
        &mut self,
        library: &Library,
        library_name: &str,
        number: u64,
        slot_rva: u32,
    ) -> Result<(), String> {
        let ordinal_flag =
            if self.pe.is_64 { pe::IMAGE_ORDINAL_FLAG64 } else { u64::from(pe::IMAGE_ORDINAL_FLAG32) };
        let (ordinal, name) = match number & ordinal_flag {
            0 => {
                let rva = u32::try_from(number.wrapping_sub(library.base)).ok();
                let (bytes, _) =
                    rva.and_then(|rva| self.pe.bytes_from(rva)).ok_or("an import has no name")?;
                let (hint, name) = bytes.split_first_chunk().ok_or("an import has no name")?;
                let name = string(name).ok_or("the name of an import does not end")?;
                (u16::from_le_bytes(*hint), Some(String::from_utf8_lossy(name)))
            }
            _ => (number as u16, None),
        };
        let names = &mut self.linkage.names;
        let name = match name {
            Some(name) => Some(names.take(name).ok_or(NAMES_TOO_LONG)?),
            None => None,
        };
        self.linkage.imports.push(BinaryImport {
            import_index: self.import_index,
            library_name: Some(names.take(library_name).ok_or(NAMES_TOO_LONG)?),
            import_name: name.as_deref(),
            ordinal: Some(ordinal.into()),
            version: None,
            slot_address: Some(self.pe.address(slot_rva)),
            is_symbol_dynamic: None,
            symbol_index: None,
            is_weak: false,
            is_delayed: library.kind == LibraryKind::Delayed,
        });
        self.import_index += 1;
        Ok(())
    }
}

/// The entries of a directory to the end of its section, followed by an error: a valid directory has a terminator, at
/// which the caller stops. Like the loader, this ignores the size of the directory.
fn descriptors<'d, T: Pod>(
    pe: &Pe<'d>,
    directory: usize,
) -> impl Iterator<Item = Result<&'d T, String>> + use<'d, T> {
    let directory = pe.directory(directory);
    let bytes = directory.map(|(rva, _)| pe.bytes_from(rva).map_or(&[][..], |(bytes, _)| bytes));
    let count = bytes.map_or(0, |bytes| bytes.len() / size_of::<T>());
    let entries = bytes.and_then(|bytes| object::pod::slice_from_bytes(bytes, count).ok());
    let entries = entries.map_or(&[][..], |(entries, _)| entries);
    let cut_short = bytes.map(|_| Err("the directory does not end".to_owned()));
    entries.iter().map(Ok).chain(cut_short)
}
