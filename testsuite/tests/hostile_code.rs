//! Code that no compiler makes is lowered in time near its size, without a panic, and the tables keep what they promise.

use binframe::ir::tables::FunctionEvidence;
use binframe_testsuite::control_flow;
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::patch::{Patch, section};

/// Sections of the fixture `loops_and_calls`, by index.
const TEXT: usize = 1;
const EH_FRAME: usize = 2;
const SYMTAB: usize = 3;

/// `.text` of the fixture begins there.
const TEXT_ADDRESS: u64 = 0x40_1000;

/// Where data is put.
const DATA_ADDRESS: u64 = 0x1000_0000;

const SHF_ALLOC: u64 = 2;

const SHT_PROGBITS: u64 = 1;

fn check(name: &str, file: &Patch) -> Tables {
    let tables = tables(&file.0.clone().into());
    let broken = control_flow::broken(&tables);
    assert!(broken.is_empty(), "{name}: {:#?}", &broken[..broken.len().min(5)]);
    tables
}

/// A file of code alone, without symbols and unwinding information, that begins with its first byte.
fn code(bytes: &[u8]) -> Patch {
    let mut file = Patch(fixtures::loops_and_calls().bytes);
    file.replace_section(EH_FRAME, &[]).replace_section(SYMTAB, &[]).replace_section(TEXT, bytes);
    file
}

/// The same with constant data.
fn code_and_data(bytes: &[u8], data: &[u8]) -> Patch {
    let mut file = code(bytes);
    file.replace_section(EH_FRAME, data).section(EH_FRAME, section::NAME, 0);
    file.section(EH_FRAME, section::TYPE, SHT_PROGBITS).section(EH_FRAME, section::FLAGS, SHF_ALLOC);
    file.section(EH_FRAME, section::ADDRESS, DATA_ADDRESS);
    file
}

/// The splitmix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn bytes_that_are_no_code() {
    for seed in 0..8 {
        check(&format!("random bytes {seed}"), &code(&Random(seed).bytes(1 << 16)));
    }
    // What the fixture's symbols and unwinding information say is still there.
    let mut stated = Patch(fixtures::loops_and_calls().bytes);
    check("stated random bytes", stated.replace_section(TEXT, &Random(99).bytes(1 << 16)));
    for byte in [0, 0x90, 0xcc, 0xc3, 0xff, 0xe8, 0x75, 0xeb] {
        check(&format!("{byte:#x} again and again"), &code(&vec![byte; 1 << 16]));
    }
}

/// `je` over `nop`s or to places before and behind.
fn branches(count: usize, target: impl Fn(i64) -> i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..count as i64 {
        let distance = (target(index) - index - 1) * 6;
        bytes.extend([0x0f, 0x84]);
        bytes.extend((distance as i32).to_le_bytes());
    }
    bytes.push(0xc3);
    bytes
}

#[test]
fn one_function_of_very_many_blocks() {
    const COUNT: usize = 100_000;
    let last = COUNT as i64;
    let tables = check("each to the next", &code(&branches(COUNT, |index| index + 1)));
    assert_eq!(tables.lowered.cfg.basic_blocks.columns().len(), COUNT + 1);
    let tables = check(
        "loops in each other",
        &code(&branches(COUNT, |index| if index < last / 2 { last } else { last - index })),
    );
    assert!(tables.lowered.cfg.loops.columns().len() > COUNT / 3);
    check("all back to the first", &code(&branches(COUNT, |_| 0)));
    check("all to the last", &code(&branches(COUNT, |_| last)));
    check(
        "anywhere",
        &code(&branches(COUNT, |index| Random(index as u64).next() as i64 % last / 2 + last / 2)),
    );
}

#[test]
fn very_many_functions_that_call_each_other() {
    const COUNT: usize = 100_000;
    // call what follows the return; ret.
    let tables = check("each calls the next", &code(&[0xe8, 1, 0, 0, 0, 0xc3].repeat(COUNT)));
    let functions = tables.lowered.cfg.functions.columns();
    assert!(
        functions
            .iter()
            .take(COUNT)
            .all(|function| function.instruction_count == 2 && function.block_count == 1)
    );
    let mut circle = [0xe8, 1, 0, 0, 0, 0xc3].repeat(COUNT);
    let back = -(circle.len() as i32) + 1;
    let end = circle.len();
    circle[end - 5..end - 1].copy_from_slice(&back.to_le_bytes());
    let tables = check("the last calls the first", &code(&circle));
    let functions = tables.lowered.cfg.functions.columns();
    let called = functions.iter().filter(|function| function.evidence <= FunctionEvidence::CallTarget);
    let called: Vec<_> = called.map(|function| (function.may_return, function.recursion_address)).collect();
    assert_eq!(called, vec![(false, Some(TEXT_ADDRESS)); COUNT]);
    check("each calls the one before", &code(&[0xe8, 0xf5, 0xff, 0xff, 0xff, 0xc3].repeat(COUNT)));
    check("each jumps to the next", &code(&[0xe9, 1, 0, 0, 0, 0xc3].repeat(COUNT)));
}

/// `and edi, 0xffff; jmp [rdi*8 + table]`, again and again.
fn table_jumps(count: usize) -> Vec<u8> {
    let jump = |_| {
        let mut bytes = vec![0x81, 0xe7, 0xff, 0xff, 0, 0, 0xff, 0x24, 0xfd];
        bytes.extend((DATA_ADDRESS as u32).to_le_bytes());
        bytes
    };
    (0..count).flat_map(jump).collect()
}

#[test]
fn jump_tables_that_lead_everywhere() {
    const SIZE: u64 = 13;
    let table = |count: u64, step: u64| -> Vec<u8> {
        (0..1 << 16)
            .flat_map(|index| (TEXT_ADDRESS + Random(index).next() % count * step).to_le_bytes())
            .collect()
    };
    check("one table for all jumps", &code_and_data(&table_jumps(2000), &table(2000, SIZE)));
    check("one table that leads into instructions", &code_and_data(&table_jumps(200), &table(200 * SIZE, 1)));
}

/// A symbol of a function in `.text`.
fn symbol(address: u64, size: u64) -> Vec<u8> {
    const STT_FUNC_GLOBAL: u8 = 0x12;
    let mut bytes = vec![1, 0, 0, 0, STT_FUNC_GLOBAL, 0, TEXT as u8, 0];
    bytes.extend(address.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes
}

/// The size of a symbol, by its index.
type Size = fn(u64) -> u64;

#[test]
fn symbols_that_overlap() {
    const COUNT: u64 = 20_000;
    let bytes = vec![0x90; COUNT as usize + 1];
    let sizes: [(&str, Size); 4] = [
        ("as large as can be", |_| u64::MAX),
        ("up to the end of the address space", |index| (TEXT_ADDRESS + index).wrapping_neg()),
        ("all to one end", |index| COUNT - index),
        ("at random", |index| Random(index).next() >> (index % 64)),
    ];
    for (name, size) in sizes {
        let symbols: Vec<u8> = std::iter::once(vec![0; 24])
            .chain((0..COUNT).map(|index| symbol(TEXT_ADDRESS + index, size(index))))
            .flatten()
            .collect();
        let mut file = Patch(fixtures::loops_and_calls().bytes);
        file.replace_section(EH_FRAME, &[]).replace_section(SYMTAB, &symbols).replace_section(TEXT, &bytes);
        check(name, &file);
    }
}

#[test]
fn unwinding_information_of_code_that_is_not_there() {
    let original = Patch(fixtures::loops_and_calls().bytes);
    let place =
        u64::from_le_bytes(original.0[40..48].try_into().expect("eight bytes")) as usize + EH_FRAME * 64;
    let at = |offset: usize| {
        u64::from_le_bytes(original.0[offset..offset + 8].try_into().expect("eight bytes")) as usize
    };
    let (offset, size) = (at(place + 24), at(place + 32));
    for (index, number) in (0..size / 4)
        .flat_map(|index| [0, 1, 0x7fff_ffff, 0x8000_0000_u32, u32::MAX].map(|number| (index, number)))
    {
        let mut file = original.clone();
        file.0[offset + index * 4..][..4].copy_from_slice(&number.to_le_bytes());
        check(&format!("word {index} is {number:#x}"), &file);
    }
}
