//! Headers of ELF files: 32-bit and 64-bit, of either byte order.
//!
//! Source: System V Application Binary Interface, chapters 4 and 5.

use super::claims::Claim;
use super::unsupported::Unsupported;
use bytes::Bytes;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, NoteIterator, ProgramHeader, SectionHeader, SectionTable};
use object::{Endianness, FileKind, StringTable};

/// The header of 32-bit or of 64-bit files.
pub(crate) trait Header:
    FileHeader<Endian = Endianness, ProgramHeader: Sync, SectionHeader: Sync, Sym: Sync> + Sync
{
}

impl Header for FileHeader32<Endianness> {}
impl Header for FileHeader64<Endianness> {}

/// The headers of an ELF file.
pub(crate) struct Elf<'a, H: Header> {
    pub(crate) file: &'a Bytes,
    pub(crate) header: &'a H,
    pub(crate) endian: Endianness,
    pub(crate) machine: elf::Machine,
    pub(crate) program_headers: &'a [H::ProgramHeader],
    pub(crate) section_headers: &'a [H::SectionHeader],
}

/// Whether an ELF file is 32-bit or 64-bit.
pub(super) fn file_kind(file: &[u8]) -> Result<FileKind, Unsupported> {
    const EXPECTED: &str = "an ELF file of 32 or 64 bits and of little or big endian";
    let unsupported = |offset, found: String| Err(Unsupported::new(offset, found, EXPECTED));
    let Some(&[class, data]) = file.get(4..6) else {
        return unsupported(4, format!("the end of the file ({} bytes)", file.len()));
    };
    let (class, data) = (elf::FileClass(class), elf::DataEncoding(data));
    match (class, data) {
        (_, data) if ![elf::ELFDATA2LSB, elf::ELFDATA2MSB].contains(&data) => {
            unsupported(5, format!("the unknown byte order {}", data.0))
        }
        (elf::ELFCLASS32, _) => Ok(FileKind::Elf32),
        (elf::ELFCLASS64, _) => Ok(FileKind::Elf64),
        (class, _) => unsupported(4, format!("the unknown ELF class {}", class.0)),
    }
}

impl<'a, H: Header> Elf<'a, H> {
    /// Finds the headers.
    pub(crate) fn find(file: &'a Bytes) -> Result<Self, Unsupported> {
        let truncated =
            |file_offset, found, expected| Err(Unsupported::truncated(file, file_offset, found, expected));
        let Ok(header) = H::parse(file.as_ref()) else {
            return match file.get(6) {
                Some(version) if file.len() >= size_of::<H>() => {
                    let found = format!("the ELF version {version}");
                    Err(Unsupported::new(6, found, "version 1, the only one"))
                }
                _ => truncated(file.len() as u64, "the rest of the ELF header", "52 or 64 bytes of it"),
            };
        };
        let endian = header.endian().unwrap_or_default();
        let Ok(program_headers) = header.program_headers(endian, file.as_ref()) else {
            let offset = header.e_phoff(endian).into();
            return truncated(offset, "program headers", "a table of program headers");
        };
        let Ok(section_headers) = header.section_headers(endian, file.as_ref()) else {
            let offset = header.e_shoff(endian).into();
            return truncated(offset, "section headers", "a table of section headers");
        };
        if program_headers.is_empty() && section_headers.is_empty() {
            return Err(Unsupported::new(
                32,
                "an ELF file without program headers and sections",
                "at least one of them",
            ));
        }
        let machine = header.e_machine(endian);
        Ok(Self { file, header, endian, machine, program_headers, section_headers })
    }

    /// The section headers, for look-ups of what they refer to, but not of names.
    pub(crate) fn section_table(&self) -> SectionTable<'a, H> {
        SectionTable::new(self.section_headers, StringTable::default())
    }

    /// The string table of section names.
    pub(crate) fn section_names(&self) -> object::Result<&'a [u8]> {
        let (endian, file) = (self.endian, self.file.as_ref());
        let index = self.header.section_strings_index(endian, file)?;
        self.section_table().section(index)?.data(endian, file)
    }

    /// File offset of a section header.
    pub(crate) fn section_header_offset(&self, section_index: u32) -> u64 {
        let size = size_of::<H::SectionHeader>() as u64;
        self.header.e_shoff(self.endian).into().saturating_add(size * u64::from(section_index))
    }

    /// File ranges of the headers.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let endian = self.endian;
        let tables = [
            (self.header.e_phoff(endian).into(), size_of_val(self.program_headers)),
            (self.header.e_shoff(endian).into(), size_of_val(self.section_headers)),
        ];
        let tables = tables.into_iter().map(|(offset, size)| Claim::header(offset, size as u64));
        [Claim::header(0, size_of::<H>() as u64)].into_iter().chain(tables).collect()
    }

    /// The dynamic section: located by `PT_DYNAMIC`; in a file without program headers, by its section header.
    pub(crate) fn dynamic(&self) -> object::Result<Option<DynamicSection<'a, H>>> {
        let (endian, file) = (self.endian, self.file.as_ref());
        let mut found = None;
        for header in self.program_headers {
            if let Some(entries) = header.dynamic(endian, file)? {
                found = Some((header.p_offset(endian).into(), entries));
                break;
            }
        }
        if found.is_none() && self.program_headers.is_empty() {
            for header in self.section_headers {
                if let Some((entries, _)) = header.dynamic(endian, file)? {
                    found = Some((header.sh_offset(endian).into(), entries));
                    break;
                }
            }
        }
        let Some((file_offset, entries)) = found else { return Ok(None) };
        let end = entries.iter().position(|entry| entry.tag(endian) == elf::DT_NULL);
        let entries = &entries[..end.unwrap_or(entries.len())];
        let value =
            |tag| entries.iter().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian));
        let text = value(elf::DT_STRTAB).zip(value(elf::DT_STRSZ));
        let strings = text.and_then(|(address, size)| Some(self.loaded(address, size)?.0)).unwrap_or(&[]);
        Ok(Some(DynamicSection { file_offset, entries, strings }))
    }

    /// The bytes of `address..address + size` in a loadable segment, and their file offset.
    pub(crate) fn loaded(&self, address: u64, size: u64) -> Option<(&'a [u8], u64)> {
        let endian = self.endian;
        let loaded = self.program_headers.iter().filter(|header| header.p_type(endian) == elf::PT_LOAD);
        loaded.into_iter().find_map(|header| {
            let bytes = header.data_range(endian, self.file.as_ref(), address, size).ok()??;
            let start: u64 = header.p_offset(endian).into();
            Some((bytes, start.checked_add(address.checked_sub(header.p_vaddr(endian).into())?)?))
        })
    }

    /// Whether the loader resolves all symbols before the program starts (`BIND_NOW`).
    pub(crate) fn binds_now(&self) -> bool {
        let Ok(Some(dynamic)) = self.dynamic() else { return false };
        dynamic.entries.iter().any(|entry| {
            let value = entry.val(self.endian);
            match entry.tag(self.endian) {
                elf::DT_BIND_NOW => true,
                elf::DT_FLAGS => value & elf::DF_BIND_NOW.0 != 0,
                elf::DT_FLAGS_1 => value & elf::DF_1_NOW.0 != 0,
                _ => false,
            }
        })
    }

    /// The notes of each section of notes; in a file without section headers, of each segment of notes.
    pub(crate) fn notes(&self) -> Vec<NoteRange<'a, H>> {
        let (endian, file) = (self.endian, self.file.as_ref());
        // Notes of a valid file share no bytes, so that all of them are at most as large as the file.
        let mut bytes_left = file.len() as u64;
        let mut range = |section_index, file_offset: u64, size: u64, notes: object::Result<_>| {
            let notes = match notes {
                Ok(None) => return None,
                Ok(Some(notes)) => match bytes_left.checked_sub(size) {
                    Some(rest) => {
                        bytes_left = rest;
                        Ok(notes)
                    }
                    None => Err("it shares bytes with others".to_owned()),
                },
                Err(error) => Err(error.to_string()),
            };
            Some(NoteRange { section_index, file_offset, notes })
        };
        if self.section_headers.is_empty() {
            let of_segment = |header: &H::ProgramHeader| {
                let (offset, size) = header.file_range(endian);
                range(None, offset, size, header.notes(endian, file))
            };
            return self.program_headers.iter().filter_map(of_segment).collect();
        }
        let of_section = |(section_index, header): (u32, &H::SectionHeader)| {
            let (offset, size) = (header.sh_offset(endian).into(), header.sh_size(endian).into());
            range(Some(section_index), offset, size, header.notes(endian, file))
        };
        (0..).zip(self.section_headers).filter_map(of_section).collect()
    }
}

/// The dynamic section.
pub(crate) struct DynamicSection<'a, H: Header> {
    /// File offset of the first entry.
    pub(crate) file_offset: u64,
    /// The entries before `DT_NULL`.
    pub(crate) entries: &'a [H::Dyn],
    /// The string table that entries refer to.
    pub(crate) strings: &'a [u8],
}

/// Contiguous notes: those of a section or a segment.
pub(crate) struct NoteRange<'a, H: Header> {
    /// Index of the section; `None` for a segment.
    pub(crate) section_index: Option<u32>,
    /// File offset of the first note.
    pub(crate) file_offset: u64,
    /// The notes, or the reason why they cannot be read.
    pub(crate) notes: Result<NoteIterator<'a, H>, String>,
}
