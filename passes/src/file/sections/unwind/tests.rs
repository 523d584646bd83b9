//! Call frame information assembled byte by byte.

use super::frames::{FrameEncoding, FrameSources, read};
use crate::diagnostics::Collector;
use crate::file::sections::test_support;
use binframe_ir::tables::{Architecture, BinaryUnwindEntry, DiagnosticPass, UnwindSource};
use object::Endianness;

/// Addresses of the sections.
const TEXT: u64 = 0x1000;
const FRAMES: u64 = 0x2000;
const GOT: u64 = 0x3000;

/// An entry: its length and its bytes.
fn entry(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&(content.len() as u32).to_le_bytes(), content.as_slice()].concat()
}

/// A CIE of `.eh_frame`, with an augmentation and its data.
fn cie(augmentation: &[u8], data: &[u8]) -> Vec<u8> {
    entry(&[&[0; 4], &[1], augmentation, &[0, 1, 0x78, 16], data])
}

/// The rows of a section, and the number of diagnostics.
fn rows(name: &str, content: &[u8]) -> (Vec<BinaryUnwindEntry>, usize) {
    let sections = test_support::sections(&[
        (".text", TEXT, &[0x90; 64]),
        (name, FRAMES, content),
        (".got", GOT, &[0; 8]),
    ]);
    let entries = read(
        &sections,
        FrameEncoding::new(Architecture::X86_64, Endianness::Little, true),
        &FrameSources::default(),
    );
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    entries.report(&mut diagnostics);
    (entries.rows, diagnostics.finish().len())
}

#[test]
fn entries_after_a_broken_one_are_read() {
    let good = cie(b"zR", &[1, 0x03]);
    let unknown = cie(b"zQ", &[1, 0x03]);
    let mut content = [good.as_slice(), unknown.as_slice()].concat();
    let mut fde = |cie_offset: usize, fields: &[u8]| {
        let distance = (content.len() + 4 - cie_offset) as u32;
        content.extend(entry(&[&distance.to_le_bytes(), fields]));
    };
    // Address and size (four bytes each), size of the augmentation data.
    let fields = |address: u8| [address, 0x10, 0, 0, 4, 0, 0, 0, 0];
    fde(0, &fields(1));
    fde(good.len(), &fields(2));
    fde(0, &fields(3)[..6]);
    fde(7, &fields(4));
    content.extend([0; 4]);
    let end = content.len();
    content.extend(entry(&[&(end as u32 + 4).to_le_bytes(), &fields(5)]));
    content.extend([0xf0, 0xff, 0xff, 0xff, 0]);
    let (found, diagnostics) = rows(".eh_frame", &content);
    let found: Vec<_> = found.iter().map(|row| (row.address, row.size, row.section_index)).collect();
    assert_eq!(found, [(0x1001, 4, Some(0)), (0x1005, 4, Some(0))]);
    // An unknown augmentation and the FDE with it; a truncated FDE; an FDE without a CIE; a reserved length.
    assert_eq!(diagnostics, 5);
}

#[test]
fn pointers_are_relative_to_the_base_of_their_encoding() {
    // Personality routine: indirect, relative to the field. Code: relative to the text. Language-specific data:
    // relative to the GOT.
    let cie = cie(b"zPLR", &[7, 0x9b, 0x10, 0, 0, 0, 0x33, 0x23]);
    let fde = |cie_distance: usize, data: [u8; 4]| {
        let distance = cie_distance as u32 + 4;
        entry(&[&distance.to_le_bytes(), &[8, 0, 0, 0, 2, 0, 0, 0, 4], &data])
    };
    let first = fde(cie.len(), [4, 0, 0, 0]);
    let second = fde(cie.len() + first.len(), [0; 4]);
    let (found, diagnostics) = rows(".eh_frame", &[cie.as_slice(), &first, &second].concat());
    assert_eq!((found.len(), diagnostics), (2, 0));
    assert_eq!((found[0].address, found[0].size), (TEXT + 8, 2));
    // The pointer follows length, id, version, augmentation, factors and register, size of the data, and its own
    // encoding.
    let pointer_address = FRAMES + 4 + 4 + 1 + 5 + 3 + 1 + 1;
    assert_eq!(found[0].personality_address, Some(pointer_address + 0x10));
    assert_eq!(found[0].is_personality_indirect, Some(true));
    assert_eq!(found[0].lsda_address, Some(GOT + 4));
    assert_eq!(found[1].lsda_address, None);
}

#[test]
fn a_debug_frame_cie_may_state_address_and_segment_sizes_and_follow_its_fde() {
    let fde = entry(&[&18_u32.to_le_bytes(), &[7, 7], &[0, 0x10, 0, 0], &[8, 0, 0, 0]]);
    assert_eq!(fde.len(), 18);
    let cie = entry(&[&[0xff; 4], &[4, 0, 4, 2, 1, 0x78, 16]]);
    let (found, diagnostics) = rows(".debug_frame", &[fde, cie].concat());
    assert_eq!((found.len(), diagnostics), (1, 0));
    assert_eq!((found[0].address, found[0].size, found[0].entry_offset), (0x1000, 8, 0));
    assert_eq!(found[0].unwind_kind, UnwindSource::DebugFrame);
}

/// Compilers of the nineties state a pointer to exception tables by the letters `eh`.
#[test]
fn the_oldest_augmentation_has_a_pointer() {
    let cie = entry(&[&[0; 4], &[1], b"eh\0", &[0x77; 8], &[1, 0x78, 16]]);
    let distance = cie.len() as u32 + 4;
    let fde = entry(&[&distance.to_le_bytes(), &TEXT.to_le_bytes(), &8_u64.to_le_bytes()]);
    let (found, diagnostics) = rows(".eh_frame", &[cie, fde].concat());
    assert_eq!((found.len(), diagnostics), (1, 0));
    assert_eq!((found[0].address, found[0].size), (TEXT, 8));
}
