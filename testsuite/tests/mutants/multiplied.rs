//! Files that claim the same bytes a thousand times: work and memory stay in proportion to the file.

use crate::{HANG, outcome};
use binframe_testsuite::fixtures;
use binframe_testsuite::memory::alone;
use binframe_testsuite::patch::{Patch, section, segment};
use bytes::Bytes;
use object::elf;
use std::time::Instant;

/// Headers that claim the bytes.
const HEADERS: usize = 1000;

/// Bytes that are claimed: as many as the headers take.
const CLAIMED: usize = HEADERS * 64;

/// Where they are loaded.
const ADDRESS: u64 = 0x50_0000;

/// Contents of the bytes: nothing, addresses, and text.
const FILLERS: [[u8; 8]; 3] = [[0; 8], [0x10, 0, 0x50, 0, 0, 0, 0, 0], *b"sevenby\0"];

/// Types that something reads, and one that nothing does.
const TYPES: [elf::SectionType; 14] = [
    elf::SHT_PROGBITS,
    elf::SHT_SYMTAB,
    elf::SHT_STRTAB,
    elf::SHT_RELA,
    elf::SHT_DYNAMIC,
    elf::SHT_NOTE,
    elf::SHT_REL,
    elf::SHT_DYNSYM,
    elf::SHT_INIT_ARRAY,
    elf::SHT_RELR,
    elf::SHT_CREL,
    elf::SHT_GNU_VERSYM,
    elf::SHT_GNU_VERDEF,
    elf::SHT_GNU_VERNEED,
];

/// Flags: compressed; loaded; loaded and executable.
const FLAGS: [u64; 3] = [0x800, 2, 6];

#[test]
fn sections_that_claim_the_same_bytes_cost_no_more_than_the_file() {
    let mut broken = Vec::new();
    for section_type in TYPES {
        for (flags, filler) in FLAGS.into_iter().flat_map(|flags| FILLERS.map(|filler| (flags, filler))) {
            let mut file = Patch(fixtures::loops_and_calls().bytes);
            let offset = file.0.len() as u64;
            file.replace_section(5, &filler.repeat(CLAIMED / filler.len()));
            file.section(5, section::TYPE, u64::from(section_type.0)).section(5, section::FLAGS, flags);
            file.segment(1, segment::OFFSET, offset).segment(1, segment::FILE_SIZE, CLAIMED as u64);
            file.segment(1, segment::ADDRESS, ADDRESS).segment(1, segment::SIZE, CLAIMED as u64);
            file.section(5, section::ADDRESS, ADDRESS).section(5, section::LINK, 5);
            file.section(5, section::ENTRY_SIZE, 24);
            file.add_section_headers(HEADERS);
            let started = Instant::now();
            let name = format!("{section_type:?}, flags {flags:#x}, {filler:x?}");
            let outcome =
                alone(name.clone(), || outcome(&Bytes::from(file.0))).expect("panics of passes are caught");
            let reason = outcome.err().or_else(|| {
                let elapsed = started.elapsed();
                (elapsed > HANG).then(|| format!("{elapsed:?}"))
            });
            broken.extend(reason.map(|reason| format!("{name}: {reason}")));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
