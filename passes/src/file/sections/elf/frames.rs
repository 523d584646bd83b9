//! Where the frames of an ELF file are: in sections, which may be compressed, or where the loader finds them.

use super::super::unwind::frames::{self, Entries, Layout, Special};
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

/// What frames that are compressed may take: so many times the file.
const FRAMES_PER_FILE_SIZE_MAX: u64 = 8;

pub(super) fn read<H: Header>(elf: &Elf<'_, H>, sections: &Rows<BinarySections>) -> Entries {
    let layout = Layout::new(header::architecture(elf.machine), elf.endian, elf.header.is_type_64());
    let special = Special {
        relocations: frame_relocations::read(elf, sections),
        decompressed: decompressed(elf, sections),
        loaded: if elf.section_headers.is_empty() { loaded(elf, sections, layout) } else { None },
    };
    frames::read(sections, layout, &special)
}

/// The contents of compressed sections of frames: of those that say so, and of those with the name that the GNU tools gave such
/// sections before.
fn decompressed<'a, H: Header>(
    elf: &Elf<'a, H>,
    sections: &Rows<BinarySections>,
) -> BTreeMap<u32, Result<Cow<'a, [u8]>, String>> {
    let is_compressed =
        |name: &str, flags: u64| name == ".zdebug_frame" || flags & elf::SHF_COMPRESSED.0 != 0;
    let compressed = sections.columns().iter().filter(|section| {
        frames::source(section.section_name).is_some() && is_compressed(section.section_name, section.flags)
    });
    let mut compressed = compressed.map(|section| section.section_index).peekable();
    if compressed.peek().is_none() {
        return BTreeMap::new();
    }
    let file = object::File::parse(elf.file.as_ref());
    let mut left = (elf.file.len() as u64).saturating_mul(FRAMES_PER_FILE_SIZE_MAX);
    let mut content = |section_index: u32| {
        let file = file.as_ref().map_err(ToString::to_string)?;
        let section = file.section_by_index(SectionIndex(section_index as usize));
        let content =
            section.and_then(|section| section.compressed_data()).map_err(|error| error.to_string())?;
        let size = content.uncompressed_size;
        left = left.checked_sub(size).ok_or_else(|| format!("{size} bytes are more than are made"))?;
        decompress(&content)
    };
    compressed.map(|section_index| (section_index, content(section_index))).collect()
}

/// Row of the segment that holds the frames that the loader finds, and where they begin in it.
fn loaded<H: Header>(
    elf: &Elf<'_, H>,
    sections: &Rows<BinarySections>,
    layout: Layout,
) -> Option<(usize, usize)> {
    let mut headers = elf.program_headers.iter();
    let header = headers.find(|header| header.p_type(elf.endian) == elf::PT_GNU_EH_FRAME)?;
    let address = header.p_vaddr(elf.endian).into();
    let content = header.data(elf.endian, elf.file.as_ref()).ok()?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(address);
    let table = EhFrameHdr::from(EndianSlice::new(content, layout.endian));
    let frames = table.parse(&bases, layout.address_size).ok()?.eh_frame_ptr().direct().ok()?;
    let segments = SectionsByAddress::of(sections, |section| section.is_readable);
    let row = segments.holding(frames)?;
    let section = sections.columns();
    let start = usize::try_from(frames - section.address[row]).ok()?;
    (start < section.content.value(row).len()).then_some((row, start))
}
