//! Files in which thousands of headers refer to the same bytes. Time and memory must stay proportional to the size of
//! the file.

use crate::{HANG, outcome};
use binframe_testsuite::fixtures;
use binframe_testsuite::memory::on_own_thread;
use binframe_testsuite::patch::{Patch, section, segment};
use bytes::Bytes;
use object::elf;
use std::time::Instant;

/// Indexes of sections of the fixture.
const SYMTAB: usize = 3;
const STRTAB: usize = 4;

/// Number of headers.
const HEADERS: usize = 1000;

/// Size of the shared bytes, equal to the size of the headers.
const CLAIMED: usize = HEADERS * 64;

/// Address of the shared bytes.
const ADDRESS: u64 = 0x50_0000;

/// Contents of the shared bytes: zeros, addresses, strings.
const FILLERS: [[u8; 8]; 3] = [[0; 8], [0x10, 0, 0x50, 0, 0, 0, 0, 0], *b"sevenby\0"];

/// Section types that passes read, and one that none reads.
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

/// Section flags: compressed; loaded; loaded and executable.
const FLAGS: [u64; 3] = [0x800, 2, 6];

#[test]
fn sections_that_share_bytes_have_bounded_cost() {
    let mut failures = Vec::new();
    for section_type in TYPES {
        for (flags, filler) in FLAGS.into_iter().flat_map(|flags| FILLERS.map(|filler| (flags, filler))) {
            let name = format!("{section_type:?}, flags {flags:#x}, {filler:x?}");
            failures.extend(problem(&name, elf_file(section_type, flags, filler)));
        }
    }
    for filler in FILLERS {
        failures.extend(problem(&format!("COFF, {filler:x?}"), coff_file(filler)));
        failures.extend(problem(&format!("Mach-O, {filler:x?}"), macho_file(filler)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn overlapping_symbol_names_have_bounded_cost() {
    // One long string, plain or a mangled name with many components. Each symbol's name is a suffix of it.
    const NAME_SIZE: usize = 1 << 20;
    let fillers: [&[u8]; 4] = [b"a", b"_ZN1a", b"_ZNSt1aE", b"_RNvC1a"];
    let mut failures = Vec::new();
    for filler in fillers {
        let mut names: Vec<u8> = filler.iter().copied().cycle().take(NAME_SIZE).collect();
        names.push(0);
        let symbols = (0..NAME_SIZE as u32 / 24).flat_map(|index| {
            let name = index * filler.len() as u32 % NAME_SIZE as u32;
            // Name; a global function in section 1; value and size.
            [name, 0x0001_0012, 0x40_1000, 0, 0, 0]
        });
        let symbols: Vec<u8> = symbols.flat_map(u32::to_le_bytes).collect();
        let mut file = Patch(fixtures::loops_and_calls().bytes);
        file.replace_section(SYMTAB, &symbols).replace_section(STRTAB, &names);
        failures.extend(problem(&String::from_utf8_lossy(filler), file.0));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn versions_that_share_records_and_names_have_bounded_cost() {
    const NAME_SIZE: usize = 1 << 20;
    let long_name = [vec![0], vec![b'a'; NAME_SIZE], vec![0]].concat();
    let defined = |count: u16| -> Vec<u8> {
        let record = |index: u16| {
            let next = if index == count { 0 } else { 28 };
            // Version, flags, index, name count; hash, offset of the name record, offset of the next record; name, no
            // next name.
            let numbers = [1, 0, index + 1, 1].map(u16::to_le_bytes).concat();
            [numbers, [0, 20, next, 1, 0].map(u32::to_le_bytes).concat()].concat()
        };
        (1..=count).flat_map(record).collect()
    };
    let needed = |count: u32| -> Vec<u8> {
        let record = |index| {
            let next = if index == count { 0 } else { 32 };
            // The maximum number of equal records: structure version, file, offset of the entries.
            [0xffff_0001, 1, 16, next, 0, 2 << 16, 1, 0].map(u32::to_le_bytes).concat()
        };
        (1..=count).flat_map(record).collect()
    };
    let symbols =
        |count: usize| [1, 0x0001_0012, 0x40_1000, 0, 0, 0].map(u32::to_le_bytes).concat().repeat(count);
    let (definitions, needs) = (elf::SHT_GNU_VERDEF, elf::SHT_GNU_VERNEED);
    let cases = [
        ("many with one long name", definitions, defined(30_000), long_name.as_slice(), 10),
        ("one with a long name", definitions, defined(1), &long_name, 40_000),
        ("many with the same records", needs, needed(8000), b"\0a\0", 10),
    ];
    let mut failures = Vec::new();
    for (name, section_type, versions, strings, count) in cases {
        let mut file = Patch(fixtures::loops_and_calls().bytes);
        file.replace_section(SYMTAB, &symbols(count)).replace_section(STRTAB, strings);
        file.section(SYMTAB, section::TYPE, u64::from(elf::SHT_DYNSYM.0));
        file.add_section_headers(2);
        for (index, section_type, link, content) in
            [(6, elf::SHT_GNU_VERSYM, SYMTAB, [2, 0].repeat(count)), (7, section_type, STRTAB, versions)]
        {
            file.replace_section(index, &content).section(index, section::LINK, link as u64);
            file.section(index, section::TYPE, u64::from(section_type.0));
        }
        failures.extend(problem(name, file.0));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn compressed_sections_have_bounded_cost() {
    const SIZE: usize = 1 << 28;
    const COMPRESSED: u64 = 0x800;
    const PROGRAM_DEFINED: u64 = 1;
    let zeros = zstd::bulk::compress(&vec![0; SIZE], 19).expect("zeros can be compressed");
    let mut failures = Vec::new();
    for claimed in [SIZE as u64, 1 << 40, u64::MAX] {
        // `ELFCOMPRESS_ZSTD` and padding, size, alignment.
        let content = [[2, claimed, 1].map(u64::to_le_bytes).concat(), zeros.clone()].concat();
        let mut file = Patch(fixtures::loops_and_calls().bytes);
        file.replace_section(5, b".debug_info\0").add_section_headers(1).replace_section(6, &content);
        file.section(6, section::TYPE, PROGRAM_DEFINED).section(6, section::NAME, 0);
        file.section(6, section::FLAGS, COMPRESSED);
        failures.extend(problem(&format!("{claimed:#x} bytes"), file.0));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The reason why a file exceeds a limit or has violations; `None` if it does not.
fn problem(name: &str, file: Vec<u8>) -> Option<String> {
    let started = Instant::now();
    let outcome =
        on_own_thread(name.to_owned(), || outcome(&Bytes::from(file))).expect("panics of passes are caught");
    let elapsed = started.elapsed();
    let reason = outcome.err().or_else(|| (elapsed > HANG).then(|| format!("{elapsed:?}")))?;
    Some(format!("{name}: {reason}"))
}

fn elf_file(section_type: elf::SectionType, flags: u64, filler: [u8; 8]) -> Vec<u8> {
    let mut file = Patch(fixtures::loops_and_calls().bytes);
    let offset = file.0.len() as u64;
    file.replace_section(5, &filler.repeat(CLAIMED / filler.len()));
    file.section(5, section::TYPE, u64::from(section_type.0)).section(5, section::FLAGS, flags);
    file.segment(1, segment::OFFSET, offset).segment(1, segment::FILE_SIZE, CLAIMED as u64);
    file.segment(1, segment::ADDRESS, ADDRESS).segment(1, segment::SIZE, CLAIMED as u64);
    file.section(5, section::ADDRESS, ADDRESS).section(5, section::LINK, 5);
    file.section(5, section::ENTRY_SIZE, 24);
    file.add_section_headers(HEADERS);
    file.0
}

/// An object for x86-64 whose sections have the same content and the same relocations.
fn coff_file(filler: [u8; 8]) -> Vec<u8> {
    let offset = (20 + 40 * HEADERS) as u32;
    let relocations = (CLAIMED / 10) as u16;
    // Machine, section count; time, symbol table and its size; size of the optional header, characteristics.
    let symbols = offset + CLAIMED as u32;
    let header = [0x8664 | (HEADERS as u32) << 16, 0, symbols, 1, 0];
    let mut file = header.map(u32::to_le_bytes).concat();
    for _ in 0..HEADERS {
        file.extend(b".text\0\0\0");
        // Address and size in memory; size, offset, relocations, line numbers; their counts; flags for code.
        for word in [0, 0, CLAIMED as u32, offset, offset, 0, u32::from(relocations), 0x6000_0020] {
            file.extend(word.to_le_bytes());
        }
    }
    file.extend(filler.repeat(CLAIMED / filler.len()));
    // One symbol, and an empty string table.
    file.extend([0; 18].into_iter().chain(4_u32.to_le_bytes()));
    file
}

/// An object for x86-64 whose sections have the same content and the same relocations.
fn macho_file(filler: [u8; 8]) -> Vec<u8> {
    let commands_size = (72 + 80 * HEADERS) as u32;
    let offset = 32 + commands_size;
    // Magic, CPU type, file type, commands, their size, flags.
    let header = [0xfeed_facf, 0x0100_0007, 3, 1, 1, commands_size, 0, 0];
    // `LC_SEGMENT_64`. Each pair is a 64-bit address or size.
    let segment = [0x19, commands_size, 0, 0, 0, 0, 0, 0, CLAIMED as u32, 0];
    let segment_end = [offset, 0, CLAIMED as u32, 0, 7, 7, HEADERS as u32, 0];
    let mut words = [header.as_slice(), &segment, &segment_end].concat();
    for _ in 0..HEADERS {
        let names = [0x7865_745f, 0x74, 0, 0, 0x4554_5f5f, 0x5458, 0, 0];
        let range = [0, 0, CLAIMED as u32, 0, offset, 0];
        // Relocations and their count; section type of initializer pointers.
        let rest = [offset, (CLAIMED / 8) as u32, 9, 0, 0, 0];
        words.extend([names.as_slice(), &range, &rest].concat());
    }
    let mut file: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    file.extend(filler.repeat(CLAIMED / filler.len()));
    file
}
