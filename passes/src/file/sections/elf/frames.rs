//! Locates the call frame information of an ELF file: in sections; in a file without section headers, in the
//! segment that `PT_GNU_EH_FRAME` refers to.

use super::super::unwind::frames::{self, FrameEncoding, FrameEntries, FrameSources};
use super::{frame_relocations, header};
use crate::file::formats::elf::{Elf, Header};
use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::Rows;
use binframe_ir::tables::BinarySections;
use gimli::{BaseAddresses, EhFrameHdr, EndianSlice};
use object::elf;
use object::read::elf::ProgramHeader;

pub(super) fn read<H: Header>(elf: &Elf<'_, H>, sections: &Rows<BinarySections>) -> FrameEntries {
    let encoding = FrameEncoding::new(header::architecture(elf.machine), elf.endian, elf.header.is_type_64());
    let special = FrameSources {
        relocations: frame_relocations::read(elf, sections),
        decompressed: frames::decompressed(elf.file, sections, Some((elf.header.is_type_64(), elf.endian))),
        in_segment: if elf.section_headers.is_empty() {
            frames_in_segment(elf, sections, encoding)
        } else {
            None
        },
    };
    frames::read(sections, encoding, &special)
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
