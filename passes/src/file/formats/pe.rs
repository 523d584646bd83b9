//! Headers of PE files (32-bit and 64-bit images) and of COFF objects, with the usual or the large ("bigobj") header.
//!
//! Addresses in an image are relative virtual addresses (RVAs), as in the specification: offsets from the image base.
//!
//! Source: Microsoft's "PE Format".

use super::bytes_at;
use super::claims::Claim;
use super::unsupported::Unsupported;
use crate::file::text_budget::NameBudget;
use binframe_ir::tables::Architecture;
use bytes::Bytes;
use object::pe::{
    self, AnonObjectHeaderBigobj, DllFlags, ImageDataDirectory, ImageDebugDirectory, ImageDosHeader,
    ImageFileHeader, ImageRelocation, ImageSectionHeader, Machine,
};
use object::pod::{self, Pod};
use object::read::ReadRef;
use object::read::coff::{CoffHeader, SymbolTable};
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader};
use object::{LittleEndian as LE, U32};
use std::borrow::Cow;

/// Size of the longest zero-terminated string that is read. Names that compilers write and paths are shorter.
const STRING_SIZE_MAX: usize = 1 << 16;

/// The file header of an image or object, or that of a large object.
pub(crate) trait ObjectHeader: CoffHeader<Symbol: Sync, SymbolBytes: Sync> + Sync {}

impl ObjectHeader for ImageFileHeader {}
impl ObjectHeader for AnonObjectHeaderBigobj {}

/// The headers that images and objects share.
pub(crate) struct Coff<'a, H: ObjectHeader> {
    pub(crate) file: &'a Bytes,
    pub(crate) header: &'a H,
    pub(crate) machine: Machine,
    /// The first has index 1.
    pub(crate) section_headers: &'a [ImageSectionHeader],
    pub(crate) section_headers_offset: u64,
    /// `None` for an object.
    pub(crate) image: Option<ImageLayout>,
}

/// Addresses of an image in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageLayout {
    /// Image base: the address of RVA 0.
    pub(crate) base: u64,
    /// Alignment of sections in memory, in bytes.
    pub(crate) section_alignment: u32,
    /// Whether the file is mapped as it is: RVAs are file offsets, whatever its section headers say.
    is_flat: bool,
    /// Whether firmware loads the file.
    is_firmware: bool,
}

/// Size of a page in memory, and the unit in which the loader counts file offsets.
const PAGE_SIZE: u32 = 0x1000;
const SECTOR_SIZE: u32 = 0x200;

/// The headers of an image.
pub(crate) struct Pe<'a> {
    pub(crate) coff: Coff<'a, ImageFileHeader>,
    pub(crate) is_64: bool,
    pub(crate) image_base: u64,
    pub(crate) entry_rva: u32,
    pub(crate) dll_flags: DllFlags,
    /// The data directories: RVAs and sizes of the tables that the loader reads.
    pub(crate) directories: &'a [ImageDataDirectory],
    /// File offset of the PE headers, which follow the DOS program.
    pub(crate) headers_offset: u64,
    /// The headers and sections, sorted by RVA.
    loaded: Vec<LoadedRange>,
}

/// A range of RVAs and the file range that is loaded there.
#[derive(Debug, Clone, Copy)]
struct LoadedRange {
    rva: u32,
    size: u32,
    file_offset: u32,
    file_size: u32,
    /// `None` for the headers.
    section_index: Option<u32>,
}

/// An entry of the debug directory and the bytes that it locates.
pub(crate) struct DebugDirectoryEntry<'a> {
    pub(crate) header: &'a ImageDebugDirectory,
    pub(crate) file_offset: u64,
    pub(crate) content: &'a [u8],
}

impl<'a, H: ObjectHeader> Coff<'a, H> {
    /// Finds the headers of an object.
    pub(crate) fn find(file: &'a Bytes) -> Result<Self, Unsupported> {
        let mut offset = 0;
        let header = H::parse(file.as_ref(), &mut offset)
            .map_err(|error| Unsupported::new(0, error.to_string(), "the header of a COFF file"))?;
        if header.number_of_sections() == 0 && header.number_of_symbols() == 0 {
            let found = "a COFF file without sections and symbols";
            return Err(Unsupported::new(0, found, "at least one of them"));
        }
        Self::with_sections(file, header, offset, None)
    }

    fn with_sections(
        file: &'a Bytes,
        header: &'a H,
        section_headers_offset: u64,
        image: Option<ImageLayout>,
    ) -> Result<Self, Unsupported> {
        let section_headers = file
            .as_ref()
            .read_slice_at(section_headers_offset, header.number_of_sections() as usize)
            .map_err(|()| {
                let expected = "a table of section headers";
                Unsupported::truncated(file, section_headers_offset, "section headers", expected)
            })?;
        Ok(Self { file, header, machine: header.machine(), section_headers, section_headers_offset, image })
    }

    /// The symbol table; empty if the file has none.
    pub(crate) fn symbols(&self) -> object::Result<SymbolTable<'a, &'a [u8], H>> {
        self.header.symbols(self.file.as_ref())
    }

    /// The string table of symbols and section headers. Its first four bytes are its size.
    pub(crate) fn strings(&self) -> &'a [u8] {
        let (offset, size) = self.strings_range();
        if offset == 0 { &[] } else { bytes_at(self.file, offset, size).0 }
    }

    /// The name of a symbol, given the name field: up to eight characters, or four zeros and an offset in the string
    /// table. No name has offset 0, which is that of the table's size.
    pub(crate) fn name(
        &self,
        stored: &'a [u8],
        names: &mut NameBudget,
    ) -> Result<Cow<'a, str>, &'static str> {
        let offset = match stored.first_chunk::<8>() {
            Some([0, 0, 0, 0, offset @ ..]) => u32::from_le_bytes(*offset),
            _ => 0,
        };
        match offset {
            0 => names.read(stored, 0),
            offset => names.read(self.strings(), offset.into()),
        }
    }

    /// File offset and size of the string table, which follows the symbols; zeros if there are no symbols.
    fn strings_range(&self) -> (u64, u64) {
        let symbols = u64::from(self.header.pointer_to_symbol_table());
        if symbols == 0 {
            return (0, 0);
        }
        let count = u64::from(self.header.number_of_symbols());
        let offset = symbols + count * size_of::<H::SymbolBytes>() as u64;
        let size = self.file.as_ref().read_at::<U32<LE>>(offset).map_or(0, |size| size.get(LE));
        (offset, size.into())
    }

    /// Address of a section; 0 in an object.
    pub(crate) fn address(&self, section: &ImageSectionHeader) -> u64 {
        self.image.map_or(0, |image| image.base.wrapping_add(section.virtual_address.get(LE).into()))
    }

    /// Whether the file is an image without sections that is mapped as it is: one section with all of its bytes.
    pub(crate) fn is_one_section(&self) -> bool {
        self.section_headers.is_empty() && self.image.is_some_and(|image| image.is_flat)
    }

    /// File offset and size of a section's bytes. The loader of Windows rounds the offset down to sectors; firmware does
    /// not (EDK II, `PeCoffLoaderLoadImage`).
    pub(crate) fn file_range(&self, section: &ImageSectionHeader) -> (u64, u64) {
        let (offset, size) = (section.pointer_to_raw_data.get(LE), section.size_of_raw_data.get(LE));
        let (offset, is_zero) = match self.image {
            Some(image) if image.is_flat => (section.virtual_address.get(LE), false),
            Some(image) if image.is_firmware => (offset, offset == 0),
            Some(_) => (offset / SECTOR_SIZE * SECTOR_SIZE, offset == 0),
            None => {
                let flags = section.characteristics.get(LE);
                (offset, flags.contains(pe::IMAGE_SCN_CNT_UNINITIALIZED_DATA))
            }
        };
        (offset.into(), if is_zero { 0 } else { size.into() })
    }

    /// File offset of a section header.
    pub(crate) fn section_header_offset(&self, section_index: u32) -> u64 {
        let size = size_of::<ImageSectionHeader>() as u64;
        self.section_headers_offset + size * u64::from(section_index.saturating_sub(1))
    }

    /// File ranges of the headers, and of tables that are in no section.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let mut claims = vec![
            Claim::header(0, self.section_headers_offset),
            Claim::header(self.section_headers_offset, size_of_val(self.section_headers) as u64),
        ];
        let offset = u64::from(self.header.pointer_to_symbol_table());
        if offset != 0 {
            let (strings_offset, strings_size) = self.strings_range();
            claims.push(Claim::table(offset, strings_offset - offset));
            claims.push(Claim::table(strings_offset, strings_size));
        }
        for section in self.section_headers {
            let lines = u64::from(section.number_of_linenumbers.get(LE));
            let size = lines * size_of::<pe::ImageLinenumber>() as u64;
            claims.push(Claim::table(section.pointer_to_linenumbers.get(LE).into(), size));
            if let (None, Ok(relocations)) = (self.image, section.coff_relocations(self.file.as_ref())) {
                // A count that exceeds the header's field is stored in an additional first entry.
                let has_count_entry = section.number_of_relocations.get(LE) == u16::MAX
                    && section.characteristics.get(LE).contains(pe::IMAGE_SCN_LNK_NRELOC_OVFL);
                let count = relocations.len() as u64 + u64::from(has_count_entry);
                let size = count * size_of::<ImageRelocation>() as u64;
                claims.push(Claim::table(section.pointer_to_relocations.get(LE).into(), size));
            }
        }
        claims
    }
}

impl<'a> Pe<'a> {
    /// Finds the headers.
    pub(crate) fn find<H: ImageNtHeaders>(file: &'a Bytes) -> Result<Self, Unsupported> {
        let data: &[u8] = file.as_ref();
        let dos = ImageDosHeader::parse(data)
            .map_err(|error| Unsupported::new(0, error.to_string(), "a DOS header"))?;
        let headers_offset = u64::from(dos.nt_headers_offset());
        let headers: &H = data.read_at(headers_offset).map_err(|()| {
            Unsupported::truncated(file, headers_offset, "PE headers", "the headers of a PE file")
        })?;
        let optional = headers.optional_header();
        let file_header = headers.file_header();
        // Like the loader, this trusts the number of directories, not the size of the optional header. The loader reads
        // 16.
        let (bytes, _) = bytes_at(data, headers_offset + size_of::<H>() as u64, 16 * 8);
        let count = (optional.number_of_rva_and_sizes() as usize).min(bytes.len() / 8);
        let (directories, _) = pod::slice_from_bytes(bytes, count).expect("there are as many bytes");
        let sections_offset = headers_offset
            + (size_of::<u32>() + size_of::<ImageFileHeader>()) as u64
            + u64::from(file_header.size_of_optional_header.get(LE));
        // Firmware maps each section by its header.
        let is_firmware = [
            pe::IMAGE_SUBSYSTEM_EFI_APPLICATION,
            pe::IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER,
            pe::IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER,
            pe::IMAGE_SUBSYSTEM_EFI_ROM,
        ]
        .contains(&optional.subsystem());
        let section_alignment = optional.section_alignment();
        let image = ImageLayout {
            base: optional.image_base(),
            section_alignment,
            is_flat: section_alignment < PAGE_SIZE && !is_firmware,
            is_firmware,
        };
        let coff = Coff::with_sections(file, file_header, sections_offset, Some(image))?;
        Ok(Self {
            is_64: headers.is_type_64(),
            image_base: image.base,
            entry_rva: optional.address_of_entry_point(),
            dll_flags: optional.dll_characteristics(),
            directories,
            headers_offset,
            loaded: loaded_ranges(&coff, optional.size_of_headers()),
            coff,
        })
    }

    /// The address of an RVA; in a 32-bit image, addresses wrap.
    pub(crate) fn address(&self, rva: u32) -> u64 {
        let address = self.image_base.wrapping_add(rva.into());
        if self.is_64 { address } else { address & u64::from(u32::MAX) }
    }

    /// The RVA of an address; `None` if the address is below the image base, or 4 GiB or more above it.
    pub(crate) fn rva(&self, address: u64) -> Option<u32> {
        u32::try_from(address.checked_sub(self.image_base)?).ok()
    }

    /// Size of an address in bytes.
    pub(crate) fn address_size(&self) -> usize {
        if self.is_64 { 8 } else { 4 }
    }

    /// RVA and size that a data directory states; `None` if both are zero or the directory is missing.
    pub(crate) fn directory(&self, index: usize) -> Option<(u32, u32)> {
        let directory = self.directories.get(index)?;
        let (rva, size) = directory.address_range();
        (rva != 0 || size != 0).then_some((rva, size))
    }

    /// Index of the section that is loaded at an RVA.
    pub(crate) fn section_index(&self, rva: u32) -> Option<u32> {
        self.loaded_at(rva)?.section_index
    }

    /// The bytes that are loaded from an RVA to the end of its section, and their file offset; `None` if there are
    /// none.
    pub(crate) fn bytes_from(&self, rva: u32) -> Option<(&'a [u8], u64)> {
        let loaded = self.loaded_at(rva)?;
        let skipped = rva - loaded.rva;
        let left = loaded.file_size.checked_sub(skipped)?;
        let file_offset = u64::from(loaded.file_offset) + u64::from(skipped);
        let (bytes, _) = bytes_at(self.coff.file, file_offset, left.into());
        (!bytes.is_empty()).then_some((bytes, file_offset))
    }

    /// The `size` bytes at an RVA.
    pub(crate) fn bytes(&self, rva: u32, size: u32) -> Option<&'a [u8]> {
        self.bytes_from(rva)?.0.get(..size as usize)
    }

    /// The value at an RVA.
    pub(crate) fn read<T: Pod>(&self, rva: u32) -> Option<&'a T> {
        pod::from_bytes(self.bytes_from(rva)?.0).ok().map(|(value, _)| value)
    }

    /// The zero-terminated string at an RVA.
    pub(crate) fn string(&self, rva: u32) -> Option<&'a [u8]> {
        string(self.bytes_from(rva)?.0)
    }

    /// The address-sized integers from an RVA to the end of its section, each with its own RVA.
    pub(crate) fn numbers(&self, rva: u32) -> impl Iterator<Item = (u32, u64)> + use<'a> {
        let size = self.address_size();
        let bytes = self.bytes_from(rva).map_or(&[][..], |(bytes, _)| bytes);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let rvas = (0..).map(move |index: u32| rva.wrapping_add(index.wrapping_mul(size as u32)));
        rvas.zip(bytes.chunks_exact(size).map(number))
    }

    /// The entries of the debug directory; `None` if the directory is not in the file.
    pub(crate) fn debug_entries(&self) -> Option<Vec<DebugDirectoryEntry<'a>>> {
        let Some((rva, size)) = self.directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG) else {
            return Some(Vec::new());
        };
        let headers = self.bytes(rva, size)?;
        let count = headers.len() / size_of::<ImageDebugDirectory>();
        let (headers, _) = pod::slice_from_bytes::<ImageDebugDirectory>(headers, count).ok()?;
        let entry = |header: &'a ImageDebugDirectory| {
            let offset = match header.pointer_to_raw_data.get(LE) {
                0 => self.bytes_from(header.address_of_raw_data.get(LE)).map_or(0, |(_, offset)| offset),
                offset => offset.into(),
            };
            let size = if offset == 0 { 0 } else { header.size_of_data.get(LE) };
            let (content, _) = bytes_at(self.coff.file, offset, size.into());
            DebugDirectoryEntry { header, file_offset: offset, content }
        };
        Some(headers.iter().map(entry).collect())
    }

    /// File ranges of the headers, and of tables that are in no section.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let mut claims = self.coff.claims();
        // Certificates are not loaded: their directory states a file offset instead of an RVA.
        let certificates = self.directory(pe::IMAGE_DIRECTORY_ENTRY_SECURITY);
        claims.extend(certificates.map(|(offset, size)| Claim::table(offset.into(), size.into())));
        claims
    }

    fn loaded_at(&self, rva: u32) -> Option<&LoadedRange> {
        let holds = |range: &&LoadedRange| rva.wrapping_sub(range.rva) < range.size;
        let position = self.loaded.partition_point(|range| range.rva <= rva).checked_sub(1)?;
        // In a file that is mapped as it is, the first range is the whole file.
        self.loaded.get(position).filter(holds).or_else(|| self.loaded.first().filter(holds))
    }
}

/// The zero-terminated string at the start of `bytes`; `None` if it exceeds `STRING_SIZE_MAX` or has no terminator.
pub(crate) fn string(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = &bytes[..bytes.len().min(STRING_SIZE_MAX)];
    Some(&bytes[..bytes.iter().position(|byte| *byte == 0)?])
}

/// The headers and sections as they are loaded, sorted by RVA: in whole pages, so that bytes of the file after the stated
/// size of a section are there up to the end of its last page.
fn loaded_ranges(coff: &Coff<'_, ImageFileHeader>, headers_size: u32) -> Vec<LoadedRange> {
    let is_flat = coff.image.is_some_and(|image| image.is_flat);
    let pages = |size: u32| size.checked_next_multiple_of(PAGE_SIZE).unwrap_or(u32::MAX);
    let size = if is_flat { u32::try_from(coff.file.len()).unwrap_or(u32::MAX) } else { pages(headers_size) };
    let section_index = coff.is_one_section().then_some(1);
    let headers = LoadedRange { rva: 0, size, file_offset: 0, file_size: size, section_index };
    let of_section = |(section_index, section): (u32, &ImageSectionHeader)| {
        let (file_offset, file_size) = coff.file_range(section);
        // Old linkers leave the size in memory 0.
        let size = match section.virtual_size.get(LE) {
            0 => section.size_of_raw_data.get(LE),
            size => size,
        };
        let size = if is_flat { size } else { pages(size) };
        LoadedRange {
            rva: section.virtual_address.get(LE),
            size,
            file_offset: file_offset as u32,
            file_size: (file_size as u32).min(size),
            section_index: Some(section_index),
        }
    };
    let sections = (1..).zip(coff.section_headers).map(of_section);
    let mut ranges: Vec<_> = [headers].into_iter().chain(sections).collect();
    ranges.sort_by_key(|range| range.rva);
    ranges
}

/// What .NET combines with the machine of code that it compiled ahead of time, for systems other than Windows: Linux,
/// macOS, FreeBSD, NetBSD, Solaris.
const SYSTEMS: [u16; 5] = [0x7b79, 0x4644, 0xadc4, 0x1993, 0x1992];

/// The machine of `LoongArch` files, which `object` has no name for.
const LOONGARCH64: Machine = Machine(0x6264);

/// The machine of Windows with the same instructions.
fn windows_machine(machine: Machine) -> Machine {
    let known = [
        pe::IMAGE_FILE_MACHINE_AMD64,
        pe::IMAGE_FILE_MACHINE_I386,
        pe::IMAGE_FILE_MACHINE_ARM64,
        pe::IMAGE_FILE_MACHINE_ARMNT,
        pe::IMAGE_FILE_MACHINE_RISCV64,
        LOONGARCH64,
    ];
    let mut candidates = SYSTEMS.iter().map(|system| Machine(machine.0 ^ system));
    candidates.find(|candidate| known.contains(candidate)).unwrap_or(machine)
}

/// Whether a file without a magic number can be a COFF object: its machine is known, and its tables are in the file.
pub(super) fn is_object(file: &[u8]) -> bool {
    let Ok((header, _)) = pod::from_bytes::<ImageFileHeader>(file) else { return false };
    let machine = header.machine.get(LE);
    let is_known = machine == LOONGARCH64 || machine.0 > 1 && Machine::NAMES.name(machine).is_some();
    let sections = u64::from(header.number_of_sections.get(LE)) * size_of::<ImageSectionHeader>() as u64;
    let symbols = u64::from(header.number_of_symbols.get(LE)) * size_of::<pe::ImageSymbolBytes>() as u64;
    let size = file.len() as u64;
    is_known
        && header.size_of_optional_header.get(LE) == 0
        && sections > 0
        && size_of::<ImageFileHeader>() as u64 + sections <= size
        && u64::from(header.pointer_to_symbol_table.get(LE)) + symbols <= size
}

/// The architecture of a machine, and the width of its addresses in bits.
pub(crate) fn architecture(machine: Machine) -> (Architecture, u8) {
    match windows_machine(machine) {
        pe::IMAGE_FILE_MACHINE_AMD64 => (Architecture::X86_64, 64),
        pe::IMAGE_FILE_MACHINE_I386 | pe::IMAGE_FILE_MACHINE_CHPE_X86 => (Architecture::X86, 32),
        pe::IMAGE_FILE_MACHINE_ARM64 | pe::IMAGE_FILE_MACHINE_ARM64EC | pe::IMAGE_FILE_MACHINE_ARM64X => {
            (Architecture::Aarch64, 64)
        }
        pe::IMAGE_FILE_MACHINE_ARM | pe::IMAGE_FILE_MACHINE_THUMB | pe::IMAGE_FILE_MACHINE_ARMNT => {
            (Architecture::Arm, 32)
        }
        pe::IMAGE_FILE_MACHINE_RISCV32 => (Architecture::RiscV, 32),
        pe::IMAGE_FILE_MACHINE_RISCV64 => (Architecture::RiscV, 64),
        pe::IMAGE_FILE_MACHINE_POWERPC
        | pe::IMAGE_FILE_MACHINE_POWERPCFP
        | pe::IMAGE_FILE_MACHINE_POWERPCBE => (Architecture::PowerPc, 32),
        pe::IMAGE_FILE_MACHINE_R3000
        | pe::IMAGE_FILE_MACHINE_R4000
        | pe::IMAGE_FILE_MACHINE_R10000
        | pe::IMAGE_FILE_MACHINE_WCEMIPSV2
        | pe::IMAGE_FILE_MACHINE_MIPS16
        | pe::IMAGE_FILE_MACHINE_MIPSFPU
        | pe::IMAGE_FILE_MACHINE_MIPSFPU16 => (Architecture::Mips, 32),
        pe::IMAGE_FILE_MACHINE_IA64 => (Architecture::Itanium, 64),
        LOONGARCH64 => (Architecture::LoongArch, 64),
        pe::IMAGE_FILE_MACHINE_ALPHA64 => (Architecture::Other, 64),
        _ => (Architecture::Other, 32),
    }
}
