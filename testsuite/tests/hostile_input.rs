//! A broken file makes an error or diagnostics, never a panic, a hang, rows that break their declaration, or half a dataset.

use binframe::Error;
use binframe::ir::tables::{DiagnosticCode, Diagnostics};
use binframe::ir::{Enumeration, Rows, Stage, Table};
use binframe_testsuite::fixtures;
use binframe_testsuite::hostile_code::{EH_FRAME, SHT_PROGBITS, SYMTAB, TEXT, TEXT_ADDRESS};
use binframe_testsuite::lowering::{Written, lower_into, try_tables};
use binframe_testsuite::mutation::{Original, mutant, originals};
use binframe_testsuite::patch::{Patch, header, section, segment, symbol};
use binframe_testsuite::promises::all_tables;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs;

/// Broken files that are lowered into datasets; `mutants` has more of them, in memory.
const MUTATIONS: u64 = 200;

/// Broken files of all formats, of which some make each diagnostic that no case makes.
const MUTANTS_MAX: u64 = 5000;

/// The section of names of the fixture `loops_and_calls`, by index.
const STRTAB: usize = 4;

/// `SHF_ALLOC | SHF_EXECINSTR`.
const LOADED_CODE: u64 = 6;

/// `PT_NOTE`.
const PT_NOTE: u64 = 4;

#[test]
fn mutated_files_are_lowered_or_refused() {
    let originals = [Original::new("loops_and_calls", fixtures::loops_and_calls().bytes)];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (folder.path().join("input"), folder.path().join("dataset"));
    let mut refused = 0;
    for seed in 0..MUTATIONS {
        let bytes = mutant(&originals, seed).bytes;
        fs::write(&input, &bytes).expect("the temporary folder is writable");
        _ = try_tables(&bytes.into());
        let lowered = lower_into(&input, &output, &Stage::PIPELINE);
        let left: BTreeSet<_> = fs::read_dir(folder.path())
            .expect("the temporary folder")
            .map(|entry| entry.expect("the temporary folder").file_name().into_string().expect("UTF-8"))
            .collect();
        match lowered {
            Ok(()) => {
                assert_eq!(left, ["dataset", "input"].map(str::to_owned).into(), "mutation {seed}");
                fs::remove_dir_all(&output).expect("the dataset can be removed");
            }
            Err(Error::Unsupported { .. }) => {
                refused += 1;
                assert_eq!(left, ["input"].map(str::to_owned).into(), "mutation {seed}");
            }
            Err(error) => panic!("mutation {seed}: {error}"),
        }
    }
    assert!((20..180).contains(&refused), "of both kinds there are many: {refused}");
}

/// A way to break the fixture, and the codes of the diagnostics that it makes.
struct Case {
    name: &'static str,
    edit: fn(&mut Patch) -> &mut Patch,
    codes: &'static [DiagnosticCode],
}

use DiagnosticCode as Code;

const CASES: &[Case] = &[
    Case { name: "nothing is broken", edit: |file| file, codes: &[] },
    Case {
        name: "a section ends behind the file",
        edit: |file| file.section(TEXT, section::SIZE, u64::MAX / 2),
        codes: &[Code::SectionOutOfBounds, Code::InvalidInstructions],
    },
    Case {
        name: "a section begins behind the file",
        edit: |file| file.section(EH_FRAME, section::OFFSET, u64::MAX - 5),
        codes: &[Code::SectionOutOfBounds],
    },
    Case {
        name: "a segment ends behind the file",
        edit: |file| file.segment(1, segment::FILE_SIZE, 1 << 40),
        codes: &[Code::SegmentOutOfBounds],
    },
    Case {
        name: "the index of the section names is of no section",
        edit: |file| file.header(header::SECTION_NAMES, 99),
        codes: &[Code::BrokenSectionTable, Code::BrokenName],
    },
    Case {
        name: "the name of a section stands outside the names",
        edit: |file| file.section(TEXT, section::NAME, 0xffff),
        codes: &[Code::BrokenName],
    },
    Case {
        name: "the name of a symbol stands outside the names",
        edit: |file| file.symbol(SYMTAB, 2, symbol::NAME, 0xffff),
        codes: &[Code::BrokenName],
    },
    Case {
        name: "symbol names share their ends",
        edit: |file| file.symbol(SYMTAB, 2, symbol::NAME, 3).symbol(SYMTAB, 3, symbol::NAME, 4),
        codes: &[],
    },
    Case {
        name: "symbol names are all the same long one",
        edit: |file| {
            let symbols = file.0[0x20a8..0x20a8 + 144].repeat(50);
            let mut names = vec![b'a'; 1 << 16];
            names.push(0);
            file.replace_section(SYMTAB, &symbols).replace_section(STRTAB, &names)
        },
        codes: &[Code::BrokenName],
    },
    Case {
        name: "the symbol table stands behind the file",
        edit: |file| file.section(SYMTAB, section::OFFSET, 1 << 40),
        codes: &[Code::SectionOutOfBounds, Code::BrokenSymbolTable],
    },
    Case {
        name: "the symbol table has no names",
        edit: |file| file.section(SYMTAB, section::LINK, 99),
        codes: &[Code::BrokenSymbolTable],
    },
    Case {
        name: "a symbol lies in a section that is not there",
        edit: |file| file.symbol(SYMTAB, 1, symbol::SECTION, 77),
        codes: &[Code::SymbolWithoutSection],
    },
    Case {
        name: "a segment of notes is aligned as no notes are",
        edit: |file| without_sections(file).segment(3, segment::TYPE, PT_NOTE),
        codes: &[Code::NoSectionTable, Code::BrokenNote],
    },
    Case {
        name: "a segment of notes holds code",
        edit: |file| {
            without_sections(file).segment(3, segment::TYPE, PT_NOTE).segment(3, segment::OFFSET, 0x1000);
            file.segment(3, segment::FILE_SIZE, 217).segment(3, segment::ALIGNMENT, 4)
        },
        codes: &[Code::NoSectionTable, Code::BrokenNote],
    },
    Case {
        name: "unwind entries are cut short",
        edit: |file| file.section(EH_FRAME, section::SIZE, 150),
        codes: &[Code::BrokenUnwind],
    },
    Case {
        name: "a table of landing pads stands nowhere",
        edit: |file| {
            let common = [16, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'L', b'R', 0, 1, 0x78, 16, 2, 0x03, 0x03, 0];
            // The function at the start of the text, and what is said to stand at the address 0x10.
            let frame = [20, 0, 0, 0, 24, 0, 0, 0, 0, 0x10, 0x40, 0, 37, 0, 0, 0, 4, 0x10, 0, 0, 0, 0, 0, 0];
            file.replace_section(EH_FRAME, &[common.as_slice(), &frame].concat())
        },
        codes: &[Code::BrokenExceptionTable],
    },
    Case {
        name: "two sections claim the same text",
        edit: |file| {
            let place = file.0.len() as u64;
            file.replace_section(EH_FRAME, &[b'a'; 60_000]).section(EH_FRAME, section::NAME, 0);
            file.section(SYMTAB, section::TYPE, SHT_PROGBITS);
            file.section(SYMTAB, section::OFFSET, place).section(SYMTAB, section::SIZE, 60_000)
        },
        codes: &[Code::TooMuchText],
    },
    Case {
        name: "two executable sections share addresses",
        edit: |file| {
            file.section(EH_FRAME, section::FLAGS, LOADED_CODE);
            file.section(EH_FRAME, section::ADDRESS, TEXT_ADDRESS + 0x10)
        },
        codes: &[Code::OverlappingCode],
    },
    Case {
        name: "thousands of sections claim the whole file",
        edit: |file| {
            file.section(5, section::NAME, 0).section(5, section::OFFSET, 0);
            file.section(5, section::SIZE, 8968 + 60_000 * 64).add_section_headers(60_000 - 6)
        },
        codes: &[Code::SectionTooLarge, Code::More],
    },
    Case {
        name: "code ends with the address space",
        edit: |file| file.section(TEXT, section::ADDRESS, u64::MAX - 217),
        codes: &[],
    },
    Case {
        name: "code passes the end of the address space",
        edit: |file| file.section(TEXT, section::ADDRESS, u64::MAX - 100),
        codes: &[],
    },
    Case { name: "there are no section headers", edit: without_sections, codes: &[Code::NoSectionTable] },
    Case {
        name: "bytes are no instruction",
        edit: |file| file.content(TEXT, 0x4f, &[0x06, 0x07]),
        codes: &[Code::InvalidInstructions],
    },
    Case {
        name: "a symbol names the inside of an instruction",
        edit: |file| file.symbol(SYMTAB, 3, symbol::VALUE, TEXT_ADDRESS + 5),
        codes: &[Code::InstructionOverStart],
    },
    Case {
        name: "a jump goes inside an instruction",
        edit: |file| file.content(TEXT, 0x54, &(0x35_i32 - 0x58).to_le_bytes()),
        codes: &[Code::TargetInsideInstruction],
    },
    Case {
        name: "a jump goes nowhere",
        edit: |file| file.content(TEXT, 0x86, &0x7000_0000_i32.to_le_bytes()),
        codes: &[Code::TargetOutsideCode],
    },
    Case {
        name: "a jump goes where a register says",
        edit: |file| file.content(TEXT, 0x6d, &[0xff, 0xe0, 0x90]),
        codes: &[Code::UnresolvedIndirectJump],
    },
    Case {
        name: "the stack grows by what a register says",
        edit: |file| file.content(TEXT, 0x34, &[0x48, 0x29, 0xc4, 0x90]),
        codes: &[Code::StackPointerLost],
    },
    Case {
        name: "each time around a loop one more slot of the stack is unknown",
        edit: |file| {
            file.replace_section(EH_FRAME, &[])
                .replace_section(SYMTAB, &[])
                .replace_section(TEXT, &moving_slots())
        },
        codes: &[Code::FunctionTooComplex, Code::StackPointerLost],
    },
];

/// A loop that moves each of many slots of the stack to the next.
fn moving_slots() -> Vec<u8> {
    const SLOTS: u32 = 90;
    // sub rsp, 0x300
    let mut code = vec![0x48, 0x81, 0xec, 0x00, 0x03, 0x00, 0x00];
    for slot in 0..SLOTS {
        // mov qword [rsp + 8 * slot], 0
        code.extend([0x48, 0xc7, 0x84, 0x24]);
        code.extend((8 * slot).to_le_bytes());
        code.extend([0; 4]);
    }
    let start = code.len();
    for slot in (1..SLOTS).rev() {
        // mov rax, [rsp + 8 * slot - 8]; mov [rsp + 8 * slot], rax
        code.extend([0x48, 0x8b, 0x84, 0x24]);
        code.extend((8 * slot - 8).to_le_bytes());
        code.extend([0x48, 0x89, 0x84, 0x24]);
        code.extend((8 * slot).to_le_bytes());
    }
    // mov [rsp], rdi; dec ecx; jnz start
    code.extend([0x48, 0x89, 0x3c, 0x24, 0xff, 0xc9, 0x0f, 0x85]);
    let behind = code.len() + 4;
    code.extend((start as i32 - behind as i32).to_le_bytes());
    // add rsp, 0x300; ret
    code.extend([0x48, 0x81, 0xc4, 0x00, 0x03, 0x00, 0x00, 0xc3]);
    code
}

/// Without section headers, so that segments are what there is.
fn without_sections(file: &mut Patch) -> &mut Patch {
    file.header(header::SECTION_HEADERS, 0).header(header::SECTION_COUNT, 0)
}

#[test]
fn every_break_makes_its_diagnostics_and_every_diagnostic_is_made() {
    let original = Patch(fixtures::loops_and_calls().bytes);
    let mut made = BTreeSet::new();
    for case in CASES {
        let mut file = original.clone();
        (case.edit)(&mut file);
        _ = try_tables(&file.0.clone().into());
        let written = Written::of_bytes("broken", &file.0);
        let written = written.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let rows = Rows::<Diagnostics>::from_batch(written.table(Diagnostics::INFO)).expect("diagnostics");
        let codes: BTreeSet<_> = rows.columns().iter().map(|row| row.code).collect();
        let messages: Vec<_> = rows.columns().iter().map(|row| row.message.to_owned()).take(5).collect();
        assert_eq!(codes, case.codes.iter().copied().collect(), "{}: {messages:#?}", case.name);
        made.extend(codes.into_iter().map(Enumeration::name));
    }
    let all: BTreeSet<_> = Code::NAMES.iter().copied().collect();
    let originals = originals();
    // Only files for Windows have resources and such tables, and not every machine can make any.
    if !originals.iter().any(|original| original.name.starts_with("PE")) {
        made.extend([Code::BrokenResource, Code::UnreadExceptionTable].map(Enumeration::name));
    }
    let seeds = (0..MUTANTS_MAX).take_while(|seed| {
        made.extend(codes_of(&mutant(&originals, *seed).bytes.into()));
        made.len() < all.len()
    });
    let last = seeds.last();
    assert_eq!(made, all, "not even one of {last:?} mutants makes the others");
}

/// The diagnostics of a file in memory, if it is supported.
fn codes_of(file: &Bytes) -> Vec<&'static str> {
    let tables = all_tables(file).unwrap_or_default();
    let diagnostics = tables.into_iter().filter(|batch| batch.info() == Diagnostics::INFO);
    let rows = diagnostics.map(|batch| Rows::<Diagnostics>::from_batch(batch).expect("the table"));
    rows.flat_map(|rows| rows.columns().iter().map(|row| row.code.name()).collect::<Vec<_>>()).collect()
}
