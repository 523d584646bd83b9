//! File formats: finds the headers of ELF, PE, COFF and Mach-O files, and the members of archives and universal files.
//!
//! No other module locates headers. The passes read the fields of the headers that are found here.

pub(crate) mod claims;
pub(crate) mod clr;
pub(crate) mod compression;
pub(crate) mod container;
pub(crate) mod elf;
pub(crate) mod elf_dynamic_tables;
pub(crate) mod elf_versions;
pub(crate) mod field_relocations;
mod file_bytes;
pub(crate) mod macho;
pub(crate) mod pe;
pub(crate) mod pe_addresses;
pub(crate) mod short_import;
mod unsupported;

use bytes::Bytes;
use claims::Claim;
use object::elf::{FileHeader32, FileHeader64};
use object::macho::{MachHeader32, MachHeader64};
use object::pe::{AnonObjectHeaderBigobj, ImageFileHeader, ImageNtHeaders32, ImageNtHeaders64};
use object::{Endianness, FileKind};

pub(crate) use file_bytes::{CONTENT_PER_FILE_SIZE_MAX, EndianReader, bytes_at, hexadecimal, number};
pub use unsupported::Unsupported;

const EXPECTED_FORMAT: &str = "an ELF, PE, COFF or Mach-O file, or an archive of such files";

/// The format of a file, from its first bytes.
pub(crate) fn file_kind(file: &[u8]) -> Result<FileKind, Unsupported> {
    let found = match &file[..file.len().min(4)] {
        [] => "an empty file".to_owned(),
        b"\x7fELF" => return elf::file_kind(file),
        // `FileKind::parse` requires more bytes than an archive without members has.
        b"!<ar" if file == object::archive::MAGIC => return Ok(FileKind::Archive),
        [0xca, 0xfe, 0xba, 0xbe] if !is_universal(file) => "a Java class".to_owned(),
        magic => match FileKind::parse(file) {
            Ok(FileKind::DyldCache) => "a cache of Apple's dynamic linker".to_owned(),
            Ok(kind) => return Ok(kind),
            Err(_) if pe::is_object(file) => return Ok(FileKind::Coff),
            Err(_) if magic.starts_with(b"MZ") => "a DOS executable, or a PE file cut short".to_owned(),
            Err(_) => format!("the bytes {magic:02x?}"),
        },
    };
    Err(Unsupported::new(0, found, EXPECTED_FORMAT))
}

/// Whether a file with the magic number of universal files and Java classes is a universal file. The next field is the
/// number of architectures or Java's version, which is at least 44; no universal file has as many architectures.
fn is_universal(file: &[u8]) -> bool {
    file.get(4..8).is_some_and(|count| count[..3] == [0; 3] && count[3] < 44)
}

/// The headers of a file, by format.
pub(crate) enum Headers<'a> {
    Elf32(elf::Elf<'a, FileHeader32<Endianness>>),
    Elf64(elf::Elf<'a, FileHeader64<Endianness>>),
    MachO32(macho::MachO<'a, MachHeader32<Endianness>>),
    MachO64(macho::MachO<'a, MachHeader64<Endianness>>),
    Pe(pe::Pe<'a>),
    Coff(pe::Coff<'a, ImageFileHeader>),
    CoffBig(pe::Coff<'a, AnonObjectHeaderBigobj>),
    ShortImport(short_import::ShortImport<'a>),
    Archive,
    Universal,
}

impl<'a> Headers<'a> {
    /// Finds the headers. Containers are only identified: [`container::read`] finds their members.
    pub(crate) fn find(file: &'a Bytes) -> Result<Self, Unsupported> {
        match file_kind(file)? {
            FileKind::Elf32 => elf::Elf::find(file).map(Self::Elf32),
            FileKind::Elf64 => elf::Elf::find(file).map(Self::Elf64),
            FileKind::MachO32 => macho::MachO::find(file).map(Self::MachO32),
            FileKind::MachO64 => macho::MachO::find(file).map(Self::MachO64),
            FileKind::Pe32 => pe::Pe::find::<ImageNtHeaders32>(file).map(Self::Pe),
            FileKind::Pe64 => pe::Pe::find::<ImageNtHeaders64>(file).map(Self::Pe),
            FileKind::Coff => pe::Coff::find(file).map(Self::Coff),
            FileKind::CoffBig => pe::Coff::find(file).map(Self::CoffBig),
            FileKind::CoffImport => short_import::ShortImport::find(file).map(Self::ShortImport),
            FileKind::Archive => Ok(Self::Archive),
            FileKind::MachOFat32 | FileKind::MachOFat64 => Ok(Self::Universal),
            kind => Err(Unsupported::new(0, format!("{kind:?}"), EXPECTED_FORMAT)),
        }
    }

    /// Byte order of the fields of the file.
    pub(crate) fn endian(&self) -> Endianness {
        match self {
            Self::Elf32(elf) => elf.endian,
            Self::Elf64(elf) => elf.endian,
            Self::MachO32(macho) => macho.endian,
            Self::MachO64(macho) => macho.endian,
            _ => Endianness::Little,
        }
    }

    /// Whether the file is to be linked.
    pub(crate) fn is_relocatable(&self) -> bool {
        match self {
            Self::Elf32(elf) => elf.is_relocatable(),
            Self::Elf64(elf) => elf.is_relocatable(),
            Self::MachO32(macho) => macho.is_relocatable(),
            Self::MachO64(macho) => macho.is_relocatable(),
            Self::Coff(_) | Self::CoffBig(_) => true,
            Self::Pe(_) | Self::ShortImport(_) | Self::Archive | Self::Universal => false,
        }
    }

    /// What compressed sections of an ELF file depend on; `None` for other formats.
    pub(crate) fn elf_encoding(&self) -> Option<compression::ElfEncoding> {
        match self {
            Self::Elf32(elf) => Some((false, elf.endian)),
            Self::Elf64(elf) => Some((true, elf.endian)),
            _ => None,
        }
    }

    /// The identifier of the build: the note of GNU's linkers in an ELF file, the UUID of a Mach-O file.
    pub(crate) fn build_id(&self) -> Option<&'a [u8]> {
        match self {
            Self::Elf32(elf) => elf.build_id(),
            Self::Elf64(elf) => elf.build_id(),
            Self::MachO32(macho) => macho.uuid(),
            Self::MachO64(macho) => macho.uuid(),
            _ => None,
        }
    }

    /// File ranges of the headers, and of tables that are in no section.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Elf32(elf) => elf.claims(),
            Self::Elf64(elf) => elf.claims(),
            Self::MachO32(macho) => macho.claims(),
            Self::MachO64(macho) => macho.claims(),
            Self::Pe(pe) => pe.claims(),
            Self::Coff(coff) => coff.claims(),
            Self::CoffBig(coff) => coff.claims(),
            Self::ShortImport(import) => vec![Claim::header(0, import.file.len() as u64)],
            Self::Archive | Self::Universal => Vec::new(),
        }
    }
}
