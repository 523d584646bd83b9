//! `binary_libraries` and `binary_imports`, from the import directory and that of imports that are searched when they are
//! called first.

use super::Linkage;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::pe::Pe;
use binframe_ir::tables::{BinaryImport, BinaryLibrary, DiagnosticCode, LibraryKind};
use object::LittleEndian as LE;
use object::pe::{self, ImageDelayloadDescriptor, ImageImportDescriptor};
use object::pod::Pod;

const NAMES_TOO_LONG: &str = "all names together are too long";

pub(super) fn push(pe: &Pe<'_>, library_index: u32, linkage: &mut Linkage) {
    // Libraries may share tables: there cannot be more imports than fit in the file.
    let left = pe.coff.file.len() / pe.address_size();
    let mut writer = Writer { pe, linkage, library_index, import_index: 0, left };
    let read = writer.needed();
    writer.report(pe::IMAGE_DIRECTORY_ENTRY_IMPORT, read);
    let read = writer.delayed();
    writer.report(pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, read);
}

struct Writer<'a, 'd> {
    pe: &'a Pe<'d>,
    linkage: &'a mut Linkage,
    library_index: u32,
    import_index: u32,
    left: usize,
}

/// What a library is named, and where its tables stand.
struct Library {
    kind: LibraryKind,
    name_rva: u32,
    /// What is asked for.
    names_rva: u32,
    /// Where the loader writes the addresses.
    slots_rva: u32,
    /// What is taken off the numbers that name what is asked for, so that they are RVAs.
    base: u64,
}

impl Writer<'_, '_> {
    fn report(&mut self, directory: usize, read: Result<(), String>) {
        if let (Err(error), Some((rva, _))) = (read, self.pe.directory(directory)) {
            let location = DiagnosticLocation::Address(self.pe.address(rva));
            let message =
                format!("the imports after the first {} cannot be read: {error}", self.import_index);
            self.linkage.report(DiagnosticCode::BrokenLinkage, location, &message);
        }
    }

    fn needed(&mut self) -> Result<(), String> {
        for descriptor in descriptors::<ImageImportDescriptor>(self.pe, pe::IMAGE_DIRECTORY_ENTRY_IMPORT) {
            let descriptor = descriptor?;
            let (name_rva, slots_rva) = (descriptor.name.get(LE), descriptor.first_thunk.get(LE));
            if descriptor.is_null() || name_rva == 0 {
                break;
            }
            // The loader overwrites the second table. Linkers that write no first one have it name what is asked for.
            let names_rva = descriptor.original_first_thunk.get(LE);
            let names_rva =
                if self.pe.bytes_from(names_rva).is_none() || names_rva == 0 { slots_rva } else { names_rva };
            self.push(&Library { kind: LibraryKind::Needed, name_rva, names_rva, slots_rva, base: 0 })?;
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
            // Linkers of old wrote addresses in place of RVAs.
            let has_rvas = descriptor.attributes.get(LE) & pe::IMAGE_DELAYLOAD_RVA_BASED != 0;
            let base = if has_rvas { 0 } else { self.pe.image_base };
            let rva = |number: u32| number.wrapping_sub(base as u32);
            self.push(&Library {
                kind: LibraryKind::Delayed,
                name_rva: rva(descriptor.dll_name_rva.get(LE)),
                names_rva: rva(descriptor.import_name_table_rva.get(LE)),
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
        for (rva, number) in self.pe.numbers(library.names_rva) {
            if number == 0 {
                is_ended = true;
                break;
            }
            self.left = self.left.checked_sub(1).ok_or("there are more than fit in the file")?;
            let slot_rva = library.slots_rva.wrapping_add(rva.wrapping_sub(library.names_rva));
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
                let name =
                    crate::file::formats::pe::string(name).ok_or("the name of an import does not end")?;
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
            symbol_index: None,
            is_weak: false,
            is_delayed: library.kind == LibraryKind::Delayed,
        });
        self.import_index += 1;
        Ok(())
    }
}

/// The entries of a directory and, if its section ends before the entry that ends them, an error. The size of the directory is
/// not looked at: the loader does not do so either.
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
