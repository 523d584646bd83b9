//! The file formats: which one a file has, and where its headers stand.
//!
//! The only code that finds headers; the passes read what stands in them.

pub(crate) mod compression;
pub(crate) mod container;
pub(crate) mod elf;
pub(crate) mod elf_versions;
pub(crate) mod macho;
pub(crate) mod pe;
pub(crate) mod pe_places;
pub(crate) mod relocations;

use binframe_ir::tables::ExtentOwner;
use bytes::Bytes;
use object::elf::{FileHeader32, FileHeader64};
use object::macho::{MachHeader32, MachHeader64};
use object::pe::{AnonObjectHeaderBigobj, ImageFileHeader, ImageNtHeaders32, ImageNtHeaders64};
use object::{Endian, Endianness, FileKind};
use std::fmt;
use std::ops::Range;

/// A file that cannot be lowered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Where in the file the reason stands.
    pub file_offset: u64,
    /// What stands there.
    pub found: String,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_offset, found, expected } = self;
        write!(formatter, "{found} at offset {file_offset:#x}; expected {expected}")
    }
}

impl std::error::Error for Unsupported {}

impl Unsupported {
    pub(crate) fn new(file_offset: u64, found: impl Into<String>, expected: &'static str) -> Self {
        Self { file_offset, found: found.into(), expected }
    }
}

const EXPECTED_FORMAT: &str = "an ELF, PE, COFF or Mach-O file, or an archive of such files";

/// Sections of an honest file share no bytes. Those of all sections together may be this many times the file.
pub(crate) const CONTENT_PER_FILE_SIZE_MAX: usize = 4;

/// The format of a file, by its first bytes.
pub(crate) fn kind(file: &[u8]) -> Result<FileKind, Unsupported> {
    let found = match &file[..file.len().min(4)] {
        [] => "an empty file".to_owned(),
        b"\x7fELF" => return elf::kind(file),
        // The library wants more bytes than an archive without members has.
        b"!<ar" if file == object::archive::MAGIC => return Ok(FileKind::Archive),
        [0xca, 0xfe, 0xba, 0xbe] if !container::is_universal(file) => "a Java class".to_owned(),
        magic => match FileKind::parse(file) {
            Ok(FileKind::CoffImport) => "a short import, which only linkers read".to_owned(),
            Ok(FileKind::DyldCache) => "a cache of Apple's dynamic linker".to_owned(),
            Ok(kind) => return Ok(kind),
            Err(_) if magic.starts_with(b"MZ") => "a DOS executable, or a PE file cut short".to_owned(),
            Err(_) => format!("the bytes {magic:02x?}"),
        },
    };
    Err(Unsupported::new(0, found, EXPECTED_FORMAT))
}

/// A file whose headers were found.
pub(crate) enum Headers<'a> {
    Elf32(elf::Elf<'a, FileHeader32<Endianness>>),
    Elf64(elf::Elf<'a, FileHeader64<Endianness>>),
    MachO32(macho::MachO<'a, MachHeader32<Endianness>>),
    MachO64(macho::MachO<'a, MachHeader64<Endianness>>),
    Pe(pe::Pe<'a>),
    Coff(pe::Coff<'a, ImageFileHeader>),
    CoffBig(pe::Coff<'a, AnonObjectHeaderBigobj>),
    Archive,
    Universal,
}

impl<'a> Headers<'a> {
    /// Finds them. Those of containers are left to [`container::read`].
    pub(crate) fn find(file: &'a Bytes) -> Result<Self, Unsupported> {
        match kind(file)? {
            FileKind::Elf32 => elf::Elf::find(file).map(Self::Elf32),
            FileKind::Elf64 => elf::Elf::find(file).map(Self::Elf64),
            FileKind::MachO32 => macho::MachO::find(file).map(Self::MachO32),
            FileKind::MachO64 => macho::MachO::find(file).map(Self::MachO64),
            FileKind::Pe32 => pe::Pe::find::<ImageNtHeaders32>(file).map(Self::Pe),
            FileKind::Pe64 => pe::Pe::find::<ImageNtHeaders64>(file).map(Self::Pe),
            FileKind::Coff => pe::Coff::find(file).map(Self::Coff),
            FileKind::CoffBig => pe::Coff::find(file).map(Self::CoffBig),
            FileKind::Archive => Ok(Self::Archive),
            FileKind::MachOFat32 | FileKind::MachOFat64 => Ok(Self::Universal),
            kind => Err(Unsupported::new(0, format!("{kind:?}"), EXPECTED_FORMAT)),
        }
    }

    /// What headers, and tables that no section holds, take of the file.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Elf32(elf) => elf.claims(),
            Self::Elf64(elf) => elf.claims(),
            Self::MachO32(macho) => macho.claims(),
            Self::MachO64(macho) => macho.claims(),
            Self::Pe(pe) => pe.claims(),
            Self::Coff(coff) => coff.claims(),
            Self::CoffBig(coff) => coff.claims(),
            Self::Archive | Self::Universal => Vec::new(),
        }
    }
}

/// Bytes of a file that something owns.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// The bytes. They may lie outside the file, or belong to others too.
    pub(crate) range: Range<u64>,
    /// What owns them.
    pub(crate) owner: ExtentOwner,
    /// Which section or member it is.
    pub(crate) index: Option<u32>,
}

impl Claim {
    /// Bytes that headers take.
    pub(crate) fn header(offset: u64, size: u64) -> Self {
        Self { range: offset..offset.saturating_add(size), owner: ExtentOwner::Header, index: None }
    }
}

/// `length` bytes from an offset of the file on, as far as they lie in it, and whether they all do.
pub(crate) fn bytes_at(file: &[u8], offset: u64, length: u64) -> (&[u8], bool) {
    let start = usize::try_from(offset).map_or(file.len(), |offset| offset.min(file.len()));
    let rest = &file[start..];
    match usize::try_from(length) {
        Ok(length) if length <= rest.len() => (&rest[..length], true),
        _ => (rest, false),
    }
}

/// Bytes as two digits each.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The number that eight bytes hold or, where they are fewer, four.
pub(crate) fn number(endian: Endianness, bytes: &[u8]) -> Option<u64> {
    match bytes.first_chunk() {
        Some(wide) => Some(endian.read_u64(*wide)),
        None => bytes.first_chunk().map(|narrow| endian.read_u32(*narrow).into()),
    }
}
