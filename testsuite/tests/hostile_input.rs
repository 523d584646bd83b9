//! An invalid file causes an error or diagnostics, never a panic, a hang, invalid rows or an incomplete dataset.

use binframe::Error;
use binframe::ir::tables::{DiagnosticCode, Diagnostics};
use binframe::ir::{Rows, Stage, Table};
use binframe::passes::file::sections;
use binframe_testsuite::fixtures;
use binframe_testsuite::hostile_code::{EH_FRAME, SHT_PROGBITS, SYMTAB, TEXT, TEXT_ADDRESS};
use binframe_testsuite::lowering::{TemporaryDataset, lower_into, try_tables};
use binframe_testsuite::mutation::{Original, mutant};
use binframe_testsuite::objects::{self, Architecture, Format};
use binframe_testsuite::patch::{Patch, header, section, segment, symbol};
use std::collections::BTreeSet;
use std::fs;

/// Number of mutants whose datasets are written; `mutants` checks more of them in memory.
const MUTATIONS: u64 = 200;

/// Index of the string table of the fixture `loops_and_calls`.
const STRTAB: usize = 4;

/// `SHF_ALLOC | SHF_EXECINSTR`.
const LOADED_CODE: u64 = 6;

/// `PT_NOTE`.
const PT_NOTE: u64 = 4;

#[test]
fn long_names_of_members_are_shortened() {
    let member = objects::object(Format::Elf, Architecture::X86_64);
    let long = ["a".repeat(1 << 20), "b".repeat(1 << 20)];
    let members = long.each_ref().map(|name| (name.as_str(), member.as_slice()));
    let found = sections::members(&objects::archive(&members).into());
    let names: Vec<_> = found.into_iter().map(|member| member.name).collect();
    assert!(names[0] != names[1] && names.iter().all(|name| name.len() < 255), "{names:?}");
}

/// More distinct words than a dictionary with 16-bit codes has.
#[test]
fn every_unknown_dynamic_tag_is_kept() {
    const TAGS: u64 = 70_000;
    let tags: Vec<u64> = (0..TAGS).flat_map(|number| [0x1000 + 3 * number, number]).collect();
    let tags: Vec<u8> = tags.into_iter().flat_map(u64::to_le_bytes).collect();
    let (start, size) = (64 + 2 * 56, tags.len() as u64);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([3, 0, 62, 0, 1, 0, 0, 0]);
    file.extend([0, 64, 0].map(u64::to_le_bytes).as_flattened());
    file.extend([0_u32.to_le_bytes(), [64, 0, 56, 0], [2, 0, 64, 0], [0; 4]].as_flattened());
    for (segment_type, from, length) in [(1_u64, 0, start + size), (2, start, size)] {
        let flags = 6 << 32;
        let fields = [segment_type | flags, from, from, from, length, length, 8];
        file.extend(fields.map(u64::to_le_bytes).as_flattened());
    }
    file.extend(tags);
    let tables = try_tables(&file.into()).expect("an ELF file");
    let commands = tables.lowered.linkage.loader_commands.columns();
    let distinct: BTreeSet<_> = commands.iter().map(|row| row.command).collect();
    assert!(distinct.len() > 65_536, "{}", distinct.len());
}

#[test]
fn mutants_give_a_dataset_or_an_error_without_output() {
    let originals = [Original::new("loops_and_calls", fixtures::loops_and_calls().bytes)];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (folder.path().join("input"), folder.path().join("dataset"));
    let mut refused = 0;
    for seed in 0..MUTATIONS {
        let bytes = mutant(&originals, seed).bytes;
        fs::write(&input, &bytes).expect("the temporary folder is writable");
        _ = try_tables(&bytes.into());
        let lowered = lower_into(&input, &output, &Stage::PIPELINE);
        let names: BTreeSet<_> = fs::read_dir(folder.path())
            .expect("the temporary folder")
            .map(|entry| entry.expect("the temporary folder").file_name().into_string().expect("UTF-8"))
            .collect();
        match lowered {
            Ok(()) => {
                assert_eq!(names, ["dataset", "input"].map(str::to_owned).into(), "mutation {seed}");
                fs::remove_dir_all(&output).expect("the dataset can be removed");
            }
            Err(Error::Unsupported { .. }) => {
                refused += 1;
                assert_eq!(names, ["input"].map(str::to_owned).into(), "mutation {seed}");
            }
            Err(error) => panic!("mutation {seed}: {error}"),
        }
    }
    assert!((20..180).contains(&refused), "unexpected number of rejected files: {refused}");
}

/// A modification of the fixture, and the codes of the resulting diagnostics.
struct Case {
    name: &'static str,
    edit: fn(&mut Patch) -> &mut Patch,
    codes: &'static [DiagnosticCode],
}

use DiagnosticCode as Code;

const CASES: &[Case] = &[
    Case { name: "unmodified", edit: |file| file, codes: &[] },
    Case {
        name: "a section ends after the end of the file",
        edit: |file| file.section(TEXT, section::SIZE, u64::MAX / 2),
        codes: &[Code::SectionOutOfBounds, Code::InvalidInstructions],
    },
    Case {
        name: "a section starts after the end of the file",
        edit: |file| file.section(EH_FRAME, section::OFFSET, u64::MAX - 5),
        codes: &[Code::SectionOutOfBounds],
    },
    Case {
        name: "a segment ends after the end of the file",
        edit: |file| file.segment(1, segment::FILE_SIZE, 1 << 40),
        codes: &[Code::SegmentOutOfBounds],
    },
    Case {
        name: "the index of the section name table is out of range",
        edit: |file| file.header(header::SECTION_NAMES, 99),
        codes: &[Code::BrokenSectionTable, Code::BrokenName],
    },
    Case {
        name: "a section name is outside the string table",
        edit: |file| file.section(TEXT, section::NAME, 0xffff),
        codes: &[Code::BrokenName],
    },
    Case {
        name: "a symbol name is outside the string table",
        edit: |file| file.symbol(SYMTAB, 2, symbol::NAME, 0xffff),
        codes: &[Code::BrokenName],
    },
    Case {
        name: "symbol names overlap",
        edit: |file| file.symbol(SYMTAB, 2, symbol::NAME, 3).symbol(SYMTAB, 3, symbol::NAME, 4),
        codes: &[],
    },
    Case {
        name: "all symbols have the same long name",
        edit: |file| {
            let symbols = file.0[0x20a8..0x20a8 + 144].repeat(50);
            let mut names = vec![b'a'; 1 << 16];
            names.push(0);
            file.replace_section(SYMTAB, &symbols).replace_section(STRTAB, &names)
        },
        codes: &[Code::BrokenName],
    },
    Case {
        name: "the symbol table starts after the end of the file",
        edit: |file| file.section(SYMTAB, section::OFFSET, 1 << 40),
        codes: &[Code::SectionOutOfBounds, Code::BrokenSymbolTable],
    },
    Case {
        name: "the symbol table has no string table",
        edit: |file| file.section(SYMTAB, section::LINK, 99),
        codes: &[Code::BrokenSymbolTable],
    },
    Case {
        name: "a symbol has a nonexistent section",
        edit: |file| file.symbol(SYMTAB, 1, symbol::SECTION, 77),
        codes: &[Code::SymbolWithoutSection],
    },
    Case {
        name: "a note segment has an invalid alignment",
        edit: |file| without_sections(file).segment(3, segment::TYPE, PT_NOTE),
        codes: &[Code::NoSectionTable, Code::BrokenNote],
    },
    Case {
        name: "a note segment contains code",
        edit: |file| {
            without_sections(file).segment(3, segment::TYPE, PT_NOTE).segment(3, segment::OFFSET, 0x1000);
            file.segment(3, segment::FILE_SIZE, 217).segment(3, segment::ALIGNMENT, 4)
        },
        codes: &[Code::NoSectionTable, Code::BrokenNote],
    },
    Case {
        name: "unwind entries are truncated",
        edit: |file| file.section(EH_FRAME, section::SIZE, 150),
        codes: &[Code::BrokenUnwind],
    },
    Case {
        name: "an LSDA address is outside all sections",
        edit: |file| {
            let common = [16, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'L', b'R', 0, 1, 0x78, 16, 2, 0x03, 0x03, 0];
            // A pointer to the function at the start of `.text`, and an LSDA at the address 0x10.
            let frame = [20, 0, 0, 0, 24, 0, 0, 0, 0, 0x10, 0x40, 0, 37, 0, 0, 0, 4, 0x10, 0, 0, 0, 0, 0, 0];
            file.replace_section(EH_FRAME, &[common.as_slice(), &frame].concat())
        },
        codes: &[Code::BrokenExceptionTable],
    },
    Case {
        name: "two sections contain the same strings",
        edit: |file| {
            let place = file.0.len() as u64;
            file.replace_section(EH_FRAME, &[b'a'; 60_000]).section(EH_FRAME, section::NAME, 0);
            file.section(SYMTAB, section::TYPE, SHT_PROGBITS);
            file.section(SYMTAB, section::OFFSET, place).section(SYMTAB, section::SIZE, 60_000)
        },
        codes: &[Code::TooMuchText],
    },
    Case {
        name: "two executable sections overlap",
        edit: |file| {
            file.section(EH_FRAME, section::FLAGS, LOADED_CODE);
            file.section(EH_FRAME, section::ADDRESS, TEXT_ADDRESS + 0x10)
        },
        codes: &[Code::OverlappingCode],
    },
    Case {
        name: "thousands of sections contain the whole file",
        edit: |file| {
            file.section(5, section::NAME, 0).section(5, section::OFFSET, 0);
            file.section(5, section::SIZE, 8968 + 60_000 * 64).add_section_headers(60_000 - 6)
        },
        codes: &[Code::SectionTooLarge, Code::More],
    },
    Case {
        name: "code ends at the end of the address space",
        edit: |file| file.section(TEXT, section::ADDRESS, u64::MAX - 217),
        codes: &[],
    },
    Case {
        name: "code extends past the end of the address space",
        edit: |file| file.section(TEXT, section::ADDRESS, u64::MAX - 100),
        codes: &[],
    },
    Case { name: "there are no section headers", edit: without_sections, codes: &[Code::NoSectionTable] },
    Case {
        name: "bytes are not a valid instruction",
        edit: |file| file.content(TEXT, 0x4f, &[0x06, 0x07]),
        codes: &[Code::InvalidInstructions],
    },
    Case {
        name: "a symbol points inside an instruction",
        edit: |file| file.symbol(SYMTAB, 3, symbol::VALUE, TEXT_ADDRESS + 5),
        codes: &[Code::InstructionOverStart],
    },
    Case {
        name: "a jump targets the inside of an instruction",
        edit: |file| file.content(TEXT, 0x54, &(0x35_i32 - 0x58).to_le_bytes()),
        codes: &[Code::TargetInsideInstruction],
    },
    Case {
        name: "a jump target is outside the code",
        edit: |file| file.content(TEXT, 0x86, &0x7000_0000_i32.to_le_bytes()),
        codes: &[Code::TargetOutsideCode],
    },
    Case {
        name: "a jump is indirect",
        edit: |file| file.content(TEXT, 0x6d, &[0xff, 0xe0, 0x90]),
        codes: &[Code::UnresolvedIndirectJump],
    },
    Case {
        name: "the stack pointer is decremented by a register",
        edit: |file| file.content(TEXT, 0x34, &[0x48, 0x29, 0xc4, 0x90]),
        codes: &[Code::StackPointerLost],
    },
    Case {
        name: "each loop iteration makes one more stack slot unknown",
        edit: |file| {
            file.replace_section(EH_FRAME, &[])
                .replace_section(SYMTAB, &[])
                .replace_section(TEXT, &shifted_stack_slots())
        },
        codes: &[Code::FunctionTooComplex, Code::StackPointerLost],
    },
];

/// A loop that copies each stack slot to the next one.
fn shifted_stack_slots() -> Vec<u8> {
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

/// Removes the section headers, so that segments are used instead.
fn without_sections(file: &mut Patch) -> &mut Patch {
    file.header(header::SECTION_HEADERS, 0).header(header::SECTION_COUNT, 0)
}

#[test]
fn each_case_has_its_diagnostics() {
    let original = Patch(fixtures::loops_and_calls().bytes);
    for case in CASES {
        let mut file = original.clone();
        (case.edit)(&mut file);
        _ = try_tables(&file.0.clone().into());
        let written = TemporaryDataset::of_bytes("input", &file.0);
        let written = written.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let rows = Rows::<Diagnostics>::from_batch(written.table(Diagnostics::INFO)).expect("diagnostics");
        let codes: BTreeSet<_> = rows.columns().iter().map(|row| row.code).collect();
        let messages: Vec<_> = rows.columns().iter().map(|row| row.message.to_owned()).take(5).collect();
        assert_eq!(codes, case.codes.iter().copied().collect(), "{}: {messages:#?}", case.name);
    }
}
