//! Locates the call frame information of an ELF file: in sections, which may be compressed; in a file without section
//! headers, in the segment that `PT_GNU_EH_FRAME` refers to.

use super::super::unwind::frames::{self, FrameEncoding, FrameEntries, FrameSources};
use super::{frame_relocations, header};
use crate::file::formats::compression::decompress;
use crate::file::formats::elf::{Elf, Header};
use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::Rows;
use binframe_ir::tables::BinarySections;
use gimli::{BaseAddresses, EhFrameHdr, EndianSlice};
use object::read::elf::ProgramHeader;
use object::read::{Object, ObjectSection};
use object::{SectionIndex, elf};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Decompressed call frames may be this many times the file's size.
const FRAMES_PER_FILE_SIZE_MAX: u64 = 8;

pub(super) fn read<H: Header>(elf: &Elf<'_, H>, sections: &Rows<BinarySections>) -> FrameEntries {
    let encoding = FrameEncoding::new(header::architecture(elf.machine), elf.endian, elf.header.is_type_64());
    let special = FrameSources {
        relocations: frame_relocations::read(elf, sections),
        decompressed: decompressed(elf, sections),
        in_segment: if elf.section_headers.is_empty() {
            frames_in_segment(elf, sections, encoding)
        } else {
            None
        },
    };
    frames::read(sections, encoding, &special)
}

/// The contents of compressed sections of call frames, by section index: sections with `SHF_COMPRESSED`, and
/// `.zdebug_frame`, the older form of the GNU tools.
fn decompressed<'a, H: Header>(
    elf: &Elf<'a, H>,
    sections: &Rows<BinarySections>,
) -> BTreeMap<u32, Result<Cow<'a, [u8]>, String>> {
    let is_compressed =
        |name: &str, flags: u64| name == ".zdebug_frame" || flags & elf::SHF_COMPRESSED.0 != 0;
    let compressed = sections.columns().iter().filter(|section| {
        frames::source_of(section.section_name).is_some()
            && is_compressed(section.section_name, section.flags)
    });
    let mut compressed = compressed.map(|section| section.section_index).peekable();
    if compressed.peek().is_none() {
        return BTreeMap::new();
    }
    let file = object::File::parse(elf.file.as_ref());
    let mut bytes_left = (elf.file.len() as u64).saturating_mul(FRAMES_PER_FILE_SIZE_MAX);
    let mut content = |section_index: u32| {
        let file = file.as_ref().map_err(ToString::to_string)?;
        let section = file.section_by_index(SectionIndex(section_index as usize));
        let content =
            section.and_then(|section| section.compressed_data()).map_err(|error| error.to_string())?;
        let size = content.uncompressed_size;
        bytes_left =
            bytes_left.checked_sub(size).ok_or_else(|| format!("{size} bytes are more than are made"))?;
        decompress(&content)
    };
    compressed.map(|section_index| (section_index, content(section_index))).collect()
}

/// Row of the segment that contains the call frames of `PT_GNU_EH_FRAME`, and their offset in it.
fn frames_in_segment<H: Header>(
    elf: &Elf<'_, H>,
    sections: &Rows<BinarySections>,
    encoding: FrameEncoding,
) -> Option<(usize, usize)> {
    let mut headers = elf.program_headers.iter();
    let header = headers.find(|header| header.p_type(elf.endian) == elf::PT_GNU_EH_FRAME)?;
    let address = header.p_vaddr(elf.endian).into();
    let content = header.data(elf.endian, elf.file.as_ref()).ok()?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(address);
    let table = EhFrameHdr::from(EndianSlice::new(content, encoding.endian));
    let frames = table.parse(&bases, encoding.address_size).ok()?.eh_frame_ptr().direct().ok()?;
    let segments = SectionsByAddress::of(sections, |section| section.is_readable);
    let row = segments.holding(frames)?;
    let section = sections.columns();
    let start = usize::try_from(frames - section.address[row]).ok()?;
    (start < section.content.value(row).len()).then_some((row, start))
}
