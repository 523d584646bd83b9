//! What frames say, from bytes written by hand.

use super::frames::{Layout, Special, read};
use crate::diagnostics::Collector;
use crate::file::sections::by_hand;
use binframe_ir::tables::{Architecture, DiagnosticPass, UnwindEntry, UnwindSource};
use object::Endianness;

/// Addresses of the sections.
const TEXT: u64 = 0x1000;
const FRAMES: u64 = 0x2000;
const GOT: u64 = 0x3000;

/// An entry: its size and what it has.
fn entry(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&(content.len() as u32).to_le_bytes(), content.as_slice()].concat()
}

/// Common information of `.eh_frame`, with an augmentation and its data.
fn common(augmentation: &[u8], data: &[u8]) -> Vec<u8> {
    entry(&[&[0; 4], &[1], augmentation, &[0, 1, 0x78, 16], data])
}

/// The rows of a section, and how many diagnostics there are.
fn rows(name: &str, content: &[u8]) -> (Vec<UnwindEntry>, usize) {
    let sections =
        by_hand::sections(&[(".text", TEXT, &[0x90; 64]), (name, FRAMES, content), (".got", GOT, &[0; 8])]);
    let entries =
        read(&sections, Layout::new(Architecture::X86_64, Endianness::Little, true), &Special::default());
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    entries.report(&mut diagnostics);
    (entries.rows, diagnostics.finish().len())
}

#[test]
fn a_broken_entry_does_not_take_the_others_with_it() {
    let good = common(b"zR", &[1, 0x03]);
    let unknown = common(b"zQ", &[1, 0x03]);
    let mut content = [good.as_slice(), unknown.as_slice()].concat();
    let mut frame = |common_offset: usize, fields: &[u8]| {
        let distance = (content.len() + 4 - common_offset) as u32;
        content.extend(entry(&[&distance.to_le_bytes(), fields]));
    };
    // Address, size (four bytes each), size of the augmentation's data.
    let fields = |address: u8| [address, 0x10, 0, 0, 4, 0, 0, 0, 0];
    frame(0, &fields(1));
    frame(good.len(), &fields(2));
    frame(0, &fields(3)[..6]);
    frame(7, &fields(4));
    content.extend([0; 4]);
    let end = content.len();
    content.extend(entry(&[&(end as u32 + 4).to_le_bytes(), &fields(5)]));
    content.extend([0xf0, 0xff, 0xff, 0xff, 0]);
    let (found, diagnostics) = rows(".eh_frame", &content);
    let found: Vec<_> = found.iter().map(|row| (row.address, row.size, row.section_index)).collect();
    assert_eq!(found, [(0x1001, 4, Some(0)), (0x1005, 4, Some(0))]);
    // Letters that are not known, and the frame with them; one cut short; one without common information; a reserved size.
    assert_eq!(diagnostics, 5);
}

#[test]
fn pointers_are_relative_to_what_their_encodings_say() {
    // The personality routine: through a pointer, from its place on. The frame: from the text. Its data: from the table of offsets.
    let common = common(b"zPLR", &[7, 0x9b, 0x10, 0, 0, 0, 0x33, 0x23]);
    let frame = |common_distance: usize, data: [u8; 4]| {
        let distance = common_distance as u32 + 4;
        entry(&[&distance.to_le_bytes(), &[8, 0, 0, 0, 2, 0, 0, 0, 4], &data])
    };
    let first = frame(common.len(), [4, 0, 0, 0]);
    let second = frame(common.len() + first.len(), [0; 4]);
    let (found, diagnostics) = rows(".eh_frame", &[common.as_slice(), &first, &second].concat());
    assert_eq!((found.len(), diagnostics), (2, 0));
    assert_eq!((found[0].address, found[0].size), (TEXT + 8, 2));
    // The pointer stands behind size, id, version, letters, factors, register, size of the data, and its own encoding.
    let place = FRAMES + 4 + 4 + 1 + 5 + 3 + 1 + 1;
    assert_eq!(found[0].personality_address, Some(place + 0x10));
    assert_eq!(found[0].is_personality_indirect, Some(true));
    assert_eq!(found[0].lsda_address, Some(GOT + 4));
    assert_eq!(found[1].lsda_address, None);
}

#[test]
fn debug_frames_have_sizes_and_segments_of_their_own_and_may_come_first() {
    let frame = entry(&[&18_u32.to_le_bytes(), &[7, 7], &[0, 0x10, 0, 0], &[8, 0, 0, 0]]);
    assert_eq!(frame.len(), 18);
    let common = entry(&[&[0xff; 4], &[4, 0, 4, 2, 1, 0x78, 16]]);
    let (found, diagnostics) = rows(".debug_frame", &[frame, common].concat());
    assert_eq!((found.len(), diagnostics), (1, 0));
    assert_eq!((found[0].address, found[0].size, found[0].entry_offset), (0x1000, 8, 0));
    assert_eq!(found[0].source, UnwindSource::DebugFrame);
}
