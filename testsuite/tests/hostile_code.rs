//! Code that compilers do not emit is analyzed without a panic, in time roughly linear in its size, and its tables
//! have no violations.

use binframe::ir::tables::FunctionEvidence;
use binframe_testsuite::control_flow;
use binframe_testsuite::fixtures;
use binframe_testsuite::hostile_code::{
    BRANCH_SIZE, CALL_SIZE, EH_FRAME, PATTERNS, SYMTAB, TEXT, TEXT_ADDRESS, branches, calls, code,
    nested_loops, random_bytes, random_number, symbols,
};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::patch::Patch;

fn check(name: &str, file: &Patch) -> Tables {
    let tables = tables(&file.0.clone().into());
    let violations = control_flow::violations(&tables);
    assert!(violations.is_empty(), "{name}: {:#?}", &violations[..violations.len().min(5)]);
    tables
}

/// Size of the code in bytes. Quadratic time on this size would be noticed as a hang.
const SIZE: usize = 1 << 19;

#[test]
fn code_patterns_have_no_violations() {
    for (name, pattern) in PATTERNS {
        check(name, &pattern(SIZE));
    }
}

#[test]
fn random_and_repeated_bytes_have_no_violations() {
    for seed in 0..8 {
        check(&format!("random bytes {seed}"), &code(&random_bytes(seed, 1 << 16)));
    }
    // The symbols and unwind tables of the fixture remain.
    let mut stated = Patch(fixtures::loops_and_calls().bytes);
    check("random bytes with symbols", stated.replace_section(TEXT, &random_bytes(99, 1 << 16)));
    for byte in [0, 0x90, 0xcc, 0xc3, 0xff, 0xe8, 0x75, 0xeb] {
        check(&format!("{byte:#x} repeated"), &code(&vec![byte; 1 << 16]));
    }
}

#[test]
fn a_function_of_many_blocks_has_no_violations() {
    const COUNT: usize = SIZE / BRANCH_SIZE;
    let tables = check("each branch to the next", &code(&branches(COUNT, |index| index + 1)));
    assert_eq!(tables.lowered.cfg.basic_blocks.columns().len(), COUNT + 1);
    let tables = check("nested loops", &code(&nested_loops(COUNT)));
    assert!(tables.lowered.cfg.loops.columns().len() > COUNT / 3);
}

#[test]
fn many_functions_that_call_each_other_have_no_violations() {
    const COUNT: usize = SIZE / CALL_SIZE;
    let tables = check("each function calls the next", &code(&calls(0xe8, COUNT, 1)));
    let functions = tables.lowered.cfg.functions.columns();
    assert!(
        functions
            .iter()
            .take(COUNT)
            .all(|function| function.instruction_count == 2 && function.block_count == 1)
    );
    let mut circle = calls(0xe8, COUNT, 1);
    let end = circle.len();
    circle[end - 5..end - 1].copy_from_slice(&(1 - end as i32).to_le_bytes());
    let tables = check("the last function calls the first", &code(&circle));
    let functions = tables.lowered.cfg.functions.columns();
    let called = functions.iter().filter(|function| function.evidence <= FunctionEvidence::CallTarget);
    let called: Vec<_> =
        called.map(|function| (function.may_return, function.recursion_group_address)).collect();
    assert_eq!(called, vec![(false, Some(TEXT_ADDRESS)); COUNT]);
}

/// Size of a symbol by index.
type Size = fn(u64) -> u64;

#[test]
fn overlapping_symbols_have_no_violations() {
    const COUNT: u64 = 20_000;
    let bytes = vec![0x90; COUNT as usize + 1];
    let sizes: [(&str, Size); 4] = [
        ("maximum size", |_| u64::MAX),
        ("up to the end of the address space", |index| (TEXT_ADDRESS + index).wrapping_neg()),
        ("common end", |index| COUNT - index),
        ("random sizes", |index| random_number(index) >> (index % 64)),
    ];
    for (name, size) in sizes {
        let symbols = symbols((0..COUNT).map(|index| (TEXT_ADDRESS + index, size(index))));
        let mut file = code(&bytes);
        file.replace_section(SYMTAB, &symbols);
        check(name, &file);
    }
}

#[test]
fn corrupted_unwind_entries_have_no_violations() {
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
