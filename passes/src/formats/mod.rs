//! The file formats: which one a file has, and where its headers stand.
//!
//! The only code that finds headers; the passes read what stands in them.

pub(crate) mod container;
pub(crate) mod elf;
pub(crate) mod macho;
pub(crate) mod pe;

use binframe_ir::tables::ExtentOwner;
use bytes::Bytes;
use object::elf::{FileHeader32, FileHeader64};
use object::macho::{MachHeader32, MachHeader64};
use object::pe::{AnonObjectHeaderBigobj, ImageFileHeader, ImageNtHeaders32, ImageNtHeaders64};
use object::{Endianness, FileKind};
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

/// Whether the headers of a file that is no container can be found.
pub(crate) fn check(file: &Bytes, kind: FileKind) -> Result<(), Unsupported> {
    match kind {
        FileKind::Elf32 => elf::Elf::<FileHeader32<Endianness>>::find(file).map(drop),
        FileKind::Elf64 => elf::Elf::<FileHeader64<Endianness>>::find(file).map(drop),
        FileKind::MachO32 => macho::MachO::<MachHeader32<Endianness>>::find(file).map(drop),
        FileKind::MachO64 => macho::MachO::<MachHeader64<Endianness>>::find(file).map(drop),
        FileKind::Pe32 => pe::Pe::find::<ImageNtHeaders32>(file).map(drop),
        FileKind::Pe64 => pe::Pe::find::<ImageNtHeaders64>(file).map(drop),
        FileKind::Coff => pe::Coff::<ImageFileHeader>::find(file).map(drop),
        FileKind::CoffBig => pe::Coff::<AnonObjectHeaderBigobj>::find(file).map(drop),
        _ => Err(Unsupported::new(0, format!("{kind:?}"), EXPECTED_FORMAT)),
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

/// What headers, and tables that no section holds, take of a file.
pub(crate) fn claims(file: &Bytes) -> Vec<Claim> {
    match kind(file) {
        Ok(FileKind::Elf32) => elf::Elf::<FileHeader32<Endianness>>::find(file).map(|elf| elf.claims()),
        Ok(FileKind::Elf64) => elf::Elf::<FileHeader64<Endianness>>::find(file).map(|elf| elf.claims()),
        Ok(FileKind::MachO32) => {
            macho::MachO::<MachHeader32<Endianness>>::find(file).map(|macho| macho.claims())
        }
        Ok(FileKind::MachO64) => {
            macho::MachO::<MachHeader64<Endianness>>::find(file).map(|macho| macho.claims())
        }
        Ok(FileKind::Pe32) => pe::Pe::find::<ImageNtHeaders32>(file).map(|pe| pe.claims()),
        Ok(FileKind::Pe64) => pe::Pe::find::<ImageNtHeaders64>(file).map(|pe| pe.claims()),
        Ok(FileKind::Coff) => pe::Coff::<ImageFileHeader>::find(file).map(|coff| coff.claims()),
        Ok(FileKind::CoffBig) => pe::Coff::<AnonObjectHeaderBigobj>::find(file).map(|coff| coff.claims()),
        _ => return Vec::new(),
    }
    .unwrap_or_default()
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
