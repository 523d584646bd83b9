//! Headers of ELF files: 32-bit and 64-bit, of either byte order.
//!
//! Source: System V Application Binary Interface, chapters 4 and 5.

use super::claims::Claim;
use super::unsupported::Unsupported;
use bytes::Bytes;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, NoteIterator, ProgramHeader, SectionHeader, SectionTable};
use object::{Endianness, FileKind, StringTable, U32, U64, pod};

/// The header of 32-bit or of 64-bit files.
pub(crate) trait Header:
    FileHeader<Endian = Endianness, ProgramHeader: Sync, SectionHeader: Sync, Sym: Sync> + Sync
{
    /// A section header with these fields, and zero in all others.
    fn section_header(endian: Endianness, fields: &SectionFields) -> Self::SectionHeader;
}

/// Fields of a section header.
#[derive(Default)]
pub(crate) struct SectionFields {
    pub(super) section_type: elf::SectionType,
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) link: u32,
    pub(super) info: u32,
}

/// Implements [`Header`] for a file header, given its section headers and the type of their addresses.
macro_rules! header {
    ($file_header:ident, $section_header:ident, $word:ident, $number:ty) => {
        impl Header for $file_header<Endianness> {
            fn section_header(endian: Endianness, fields: &SectionFields) -> Self::SectionHeader {
                let word = |value: u64| $word::new(endian, value as $number);
                let zeros = [0; size_of::<elf::$section_header<Endianness>>()];
                let (zeros, _) = pod::from_bytes(&zeros).expect("as many bytes");
                elf::$section_header {
                    sh_type: U32::new(endian, fields.section_type),
                    sh_addr: word(fields.address),
                    sh_offset: word(fields.offset),
                    sh_size: word(fields.size),
                    sh_link: U32::new(endian, fields.link),
                    sh_info: U32::new(endian, fields.info),
                    ..*zeros
                }
            }
        }
    };
}

header!(FileHeader32, SectionHeader32, U32, u32);
header!(FileHeader64, SectionHeader64, U64, u64);

/// The headers of an ELF file.
pub(crate) struct Elf<'a, H: Header> {
    pub(crate) file: &'a Bytes,
    pub(crate) header: &'a H,
    pub(crate) endian: Endianness,
    pub(crate) machine: elf::Machine,
    pub(crate) program_headers: &'a [H::ProgramHeader],
    /// Empty if they cannot be read, or describe only names of sections while segments are loaded, as in core dumps.
    pub(crate) section_headers: &'a [H::SectionHeader],
    /// Size of the section headers in the file.
    section_headers_size: usize,
    /// Which headers cannot be read, and why; other headers are used instead.
    pub(crate) broken: Option<(u64, String)>,
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
        // Systems ignore the version in the header.
        let Ok((header, _)) = pod::from_bytes::<H>(file.as_ref()) else {
            return truncated(file.len() as u64, "the rest of the ELF header", "52 or 64 bytes of it");
        };
        let endian = header.endian().unwrap_or_default();
        let [segments_offset, sections_offset] =
            [header.e_phoff(endian), header.e_shoff(endian)].map(Into::into);
        let program_headers = header.program_headers(endian, file.as_ref());
        let section_headers = header.section_headers(endian, file.as_ref());
        let has_segments = program_headers.as_ref().is_ok_and(|headers| !headers.is_empty());
        let has_sections = section_headers.as_ref().is_ok_and(|headers| !headers.is_empty());
        let mut broken = None;
        let program_headers = match program_headers {
            Ok(headers) => headers,
            Err(error) if has_sections => {
                broken = Some((segments_offset, format!("the program headers cannot be read: {error}")));
                &[]
            }
            Err(_) => return truncated(segments_offset, "program headers", "a table of program headers"),
        };
        let section_headers = match section_headers {
            Ok(headers) => headers,
            Err(error) if has_segments => {
                broken = Some((sections_offset, format!("the section headers cannot be read: {error}")));
                &[]
            }
            Err(_) => return truncated(sections_offset, "section headers", "a table of section headers"),
        };
        if program_headers.is_empty() && section_headers.is_empty() {
            return Err(Unsupported::new(
                32,
                "an ELF file without program headers and sections",
                "at least one of them",
            ));
        }
        let machine = header.e_machine(endian);
        let section_headers_size = size_of_val(section_headers);
        let is_loaded = |header: &H::ProgramHeader| header.p_type(endian) == elf::PT_LOAD;
        let matters = |header: &H::SectionHeader| {
            let names_others = [elf::SHT_NULL, elf::SHT_STRTAB].contains(&header.sh_type(endian));
            !names_others || header.sh_flags(endian).contains(elf::SHF_ALLOC)
        };
        let only_segments_matter =
            program_headers.iter().any(is_loaded) && !section_headers.iter().any(matters);
        let section_headers = if only_segments_matter { &[] } else { section_headers };
        Ok(Self {
            file,
            header,
            endian,
            machine,
            program_headers,
            section_headers,
            section_headers_size,
            broken,
        })
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
            (self.header.e_shoff(endian).into(), self.section_headers_size),
        ];
        let tables = tables.into_iter().map(|(offset, size)| Claim::header(offset, size as u64));
        [Claim::header(0, size_of::<H>() as u64)].into_iter().chain(tables).collect()
    }

    /// The dynamic section: located by the address of `PT_DYNAMIC`, as by loaders; in a file without program headers, by
    /// its section header.
    pub(crate) fn dynamic(&self) -> Result<Option<DynamicSection<'a, H>>, &'static str> {
        let (endian, file) = (self.endian, self.file.as_ref());
        let mut segments = self.program_headers.iter().filter(|header| !self.is_stripped(header));
        let segment = segments.find(|header| header.p_type(endian) == elf::PT_DYNAMIC);
        let found = match segment {
            Some(header) => self.dynamic_at(header.p_vaddr(endian).into()).or_else(|| {
                let entries = whole_entries(header.data(endian, file).ok()?);
                Some((header.p_offset(endian).into(), entries))
            }),
            None if self.program_headers.is_empty() => {
                let is_dynamic = |header: &&H::SectionHeader| header.sh_type(endian) == elf::SHT_DYNAMIC;
                let Some(header) = self.section_headers.iter().find(is_dynamic) else { return Ok(None) };
                let data = header.data(endian, file).ok();
                data.map(|data| (header.sh_offset(endian).into(), whole_entries(data)))
            }
            None => return Ok(None),
        };
        let Some((file_offset, entries)) = found else {
            return Err("it is not in the file");
        };
        let end = entries.iter().position(|entry: &H::Dyn| entry.tag(endian) == elf::DT_NULL);
        let entries = &entries[..end.unwrap_or(entries.len())];
        let mut dynamic = DynamicSection { endian, file_offset, entries, strings: &[] };
        let text = dynamic.value(elf::DT_STRTAB).zip(dynamic.value(elf::DT_STRSZ));
        dynamic.strings = text.and_then(|(address, size)| Some(self.loaded(address, size)?.0)).unwrap_or(&[]);
        Ok(Some(dynamic))
    }

    /// File offset and entries of the dynamic section at an address; `None` if it has no end: loaders read up to
    /// `DT_NULL`, whatever the size of the segment.
    fn dynamic_at(&self, address: u64) -> Option<(u64, &'a [H::Dyn])> {
        let (rest, file_offset) = self.loaded_from(address)?;
        let entries: &[H::Dyn] = whole_entries(rest);
        entries.iter().any(|entry| entry.tag(self.endian) == elf::DT_NULL).then_some((file_offset, entries))
    }

    /// Whether the content of a segment is in another file: in a file of debug information, sections keep their headers
    /// without content (`SHT_NOBITS`), and some tools keep the program headers as they were.
    pub(crate) fn is_stripped(&self, segment: &H::ProgramHeader) -> bool {
        let (endian, address) = (self.endian, segment.p_vaddr(self.endian).into());
        // Thread-local data without content takes no space: other sections may start at its address.
        let mut at_address = self
            .section_headers
            .iter()
            .filter(|header| {
                let flags = header.sh_flags(endian);
                flags.contains(elf::SHF_ALLOC) && !flags.contains(elf::SHF_TLS)
            })
            .filter(|header| header.sh_addr(endian).into() == address)
            .peekable();
        at_address.peek().is_some() && at_address.all(|header| header.sh_type(endian) == elf::SHT_NOBITS)
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

    /// The bytes from an address to the end of its loadable segment, and their file offset.
    pub(crate) fn loaded_from(&self, address: u64) -> Option<(&'a [u8], u64)> {
        let endian = self.endian;
        let loaded = self.program_headers.iter().filter(|header| header.p_type(endian) == elf::PT_LOAD);
        let mut rest = loaded.filter_map(|header| {
            let (start, size): (u64, u64) = (header.p_vaddr(endian).into(), header.p_filesz(endian).into());
            size.checked_sub(address.checked_sub(start)?).filter(|rest| *rest > 0)
        });
        self.loaded(address, rest.next()?)
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

    /// Whether the file is an object.
    pub(crate) fn is_relocatable(&self) -> bool {
        self.header.e_type(self.endian) == elf::ET_REL
    }

    /// The build identifier that GNU's linkers write.
    pub(crate) fn build_id(&self) -> Option<&'a [u8]> {
        let notes = self.notes().into_iter().filter_map(|range| range.notes.ok());
        let mut notes = notes.flat_map(|notes| notes.map_while(Result::ok));
        let note = notes.find(|note| {
            note.name() == elf::ELF_NOTE_GNU && note.n_type(self.endian) == elf::NT_GNU_BUILD_ID
        });
        Some(note?.desc())
    }

    /// The notes of each section of notes; in a file without such sections, of each segment of notes.
    pub(crate) fn notes(&self) -> Vec<NoteRange<'a, H>> {
        let (endian, file) = (self.endian, self.file.as_ref());
        // Notes of a valid file share no bytes, so that all of them are at most as large as the file.
        let mut bytes_left = file.len() as u64;
        let mut range =
            |section_index, (file_offset, size): (u64, u64), alignment: u64, notes: object::Result<_>| {
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
                let alignment = if alignment == 8 { 8 } else { 4 };
                Some(NoteRange { section_index, file_offset, alignment, notes })
            };
        let has_sections = self.section_headers.iter().any(|header| header.sh_type(endian) == elf::SHT_NOTE);
        if !has_sections {
            let of_segment = |header: &H::ProgramHeader| {
                let alignment = header.p_align(endian).into();
                range(None, header.file_range(endian), alignment, header.notes(endian, file))
            };
            return self.program_headers.iter().filter_map(of_segment).collect();
        }
        let of_section = |(section_index, header): (u32, &H::SectionHeader)| {
            let bytes = (header.sh_offset(endian).into(), header.sh_size(endian).into());
            let alignment = header.sh_addralign(endian).into();
            range(Some(section_index), bytes, alignment, header.notes(endian, file))
        };
        (0..).zip(self.section_headers).filter_map(of_section).collect()
    }
}

/// As many entries as are whole in a table.
pub(crate) fn whole_entries<T: pod::Pod>(table: &[u8]) -> &[T] {
    pod::slice_from_bytes(table, table.len() / size_of::<T>()).map_or(&[], |(entries, _)| entries)
}

/// The dynamic section.
pub(crate) struct DynamicSection<'a, H: Header> {
    endian: Endianness,
    /// File offset of the first entry.
    pub(crate) file_offset: u64,
    /// The entries before `DT_NULL`.
    pub(crate) entries: &'a [H::Dyn],
    /// The string table that entries refer to.
    pub(crate) strings: &'a [u8],
}

impl<H: Header> DynamicSection<'_, H> {
    /// The value of the first entry with a tag.
    pub(crate) fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        let entry = self.entries.iter().find(|entry| entry.tag(self.endian) == tag);
        entry.map(|entry| entry.val(self.endian))
    }
}

/// Contiguous notes: those of a section or a segment.
pub(crate) struct NoteRange<'a, H: Header> {
    /// Index of the section; `None` for a segment.
    pub(crate) section_index: Option<u32>,
    /// File offset of the first note.
    pub(crate) file_offset: u64,
    /// What notes and their contents are padded to a multiple of.
    pub(crate) alignment: u64,
    /// The notes, or the reason why they cannot be read.
    pub(crate) notes: Result<NoteIterator<'a, H>, String>,
}
