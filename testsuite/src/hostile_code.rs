//! Generated code that compilers do not emit, of any size.

pub use crate::executable::TEXT_ADDRESS;
use crate::fixtures;
use crate::patch::{Patch, section};
use crate::random::Random;

/// Index of `.text` in the fixture `loops_and_calls`.
pub const TEXT: usize = 1;
/// Index of `.eh_frame`.
pub const EH_FRAME: usize = 2;
/// Index of the symbol table.
pub const SYMTAB: usize = 3;

/// Address of the data section.
pub const DATA_ADDRESS: u64 = 0x1000_0000;

const SHF_ALLOC: u64 = 2;

/// `SHT_PROGBITS`.
pub const SHT_PROGBITS: u64 = 1;

/// A file of code only, without symbols and unwind tables, whose entry point is the first byte.
pub fn code(bytes: &[u8]) -> Patch {
    let mut file = Patch(fixtures::loops_and_calls().bytes);
    file.replace_section(EH_FRAME, &[]).replace_section(SYMTAB, &[]).replace_section(TEXT, bytes);
    file
}

/// A file of code and constant data, without symbols and unwind tables.
pub fn code_and_data(bytes: &[u8], data: &[u8]) -> Patch {
    let mut file = code(bytes);
    file.replace_section(EH_FRAME, data).section(EH_FRAME, section::NAME, 0);
    file.section(EH_FRAME, section::TYPE, SHT_PROGBITS).section(EH_FRAME, section::FLAGS, SHF_ALLOC);
    file.section(EH_FRAME, section::ADDRESS, DATA_ADDRESS);
    file
}

/// A symbol table with functions in `.text`, given by address and size.
pub fn symbols(functions: impl Iterator<Item = (u64, u64)>) -> Vec<u8> {
    const STT_FUNC_GLOBAL: u8 = 0x12;
    let mut bytes = vec![0; 24];
    for (address, size) in functions {
        bytes.extend([1, 0, 0, 0, STT_FUNC_GLOBAL, 0, TEXT as u8, 0]);
        bytes.extend(address.to_le_bytes());
        bytes.extend(size.to_le_bytes());
    }
    bytes
}

/// A pseudo-random number of a seed.
pub fn random_number(seed: u64) -> u64 {
    Random(seed).number()
}

/// Pseudo-random bytes of a seed.
pub fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..count).map(|_| random.number() as u8).collect()
}

/// Size of an instruction of [`branches`] in bytes.
pub const BRANCH_SIZE: usize = 6;

/// `count` conditional jumps (`je`), then `ret`. `target` maps the index of a jump to that of its target.
pub fn branches(count: usize, target: impl Fn(i64) -> i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..count as i64 {
        let distance = (target(index) - index - 1) * BRANCH_SIZE as i64;
        bytes.extend([0x0f, 0x84]);
        bytes.extend((distance as i32).to_le_bytes());
    }
    bytes.push(0xc3);
    bytes
}

/// Size of a function of [`calls`] in bytes.
pub const CALL_SIZE: usize = 6;

/// `count` functions that call (`0xe8`) or jump to (`0xe9`) the function `ahead` positions later, then return.
pub fn calls(opcode: u8, count: usize, ahead: i32) -> Vec<u8> {
    let [a, b, c, d] = (ahead * CALL_SIZE as i32 - 5).to_le_bytes();
    [opcode, a, b, c, d, 0xc3].repeat(count)
}

/// Size of a sequence of [`table_jumps`] in bytes.
pub const TABLE_JUMP_SIZE: usize = 13;

/// `count` times `and edi, 0xffff; jmp [rdi*8 + data]`.
pub fn table_jumps(count: usize) -> Vec<u8> {
    let [a, b, c, d] = (DATA_ADDRESS as u32).to_le_bytes();
    [0x81, 0xe7, 0xff, 0xff, 0, 0, 0xff, 0x24, 0xfd, a, b, c, d].repeat(count)
}

/// A jump table for [`table_jumps`] with pseudo-random targets: multiples of `step` bytes, of which there are `count`.
pub fn jump_table(count: u64, step: u64) -> Vec<u8> {
    (0..1 << 16)
        .flat_map(|index| (TEXT_ADDRESS + random_number(index) % count * step).to_le_bytes())
        .collect()
}

/// Nested loops: the first half jumps forwards to the end, the second half jumps backwards.
pub fn nested_loops(count: usize) -> Vec<u8> {
    let last = count as i64;
    branches(count, |index| if index < last / 2 { last } else { last - index })
}

fn branches_anywhere(size: usize) -> Patch {
    let count = size / BRANCH_SIZE;
    code(&branches(count, |index| (random_number(index as u64) % count as u64) as i64))
}

/// Jumps through one table whose targets are multiples of `step` bytes.
fn jumps(size: usize, step: usize) -> Patch {
    let count = size / TABLE_JUMP_SIZE;
    let places = count * TABLE_JUMP_SIZE / step;
    code_and_data(&table_jumps(count), &jump_table(places as u64, step as u64))
}

/// The code of `jumps`, declared by a symbol to be one function.
fn declared_jumps(size: usize, step: usize) -> Patch {
    let mut file = jumps(size, step);
    file.replace_section(SYMTAB, &symbols([(TEXT_ADDRESS, size as u64)].into_iter()));
    file
}

/// Generates a file with about the given size of code.
pub type Pattern = fn(usize) -> Patch;

/// Code patterns that compilers do not emit, by name.
pub const PATTERNS: [(&str, Pattern); 17] = [
    ("random bytes", |size| code(&random_bytes(1, size))),
    ("zeros", |size| code(&vec![0; size])),
    ("`nop`", |size| code(&vec![0x90; size])),
    ("`ret`", |size| code(&vec![0xc3; size])),
    ("`int3`", |size| code(&vec![0xcc; size])),
    ("branches to the next branch", |size| code(&branches(size / BRANCH_SIZE, |index| index + 1))),
    ("branches to the first branch", |size| code(&branches(size / BRANCH_SIZE, |_| 0))),
    ("branches to the last instruction", |size| {
        code(&branches(size / BRANCH_SIZE, |_| (size / BRANCH_SIZE) as i64))
    }),
    ("nested loops", |size| code(&nested_loops(size / BRANCH_SIZE))),
    ("branches to random branches", branches_anywhere),
    ("functions that call the next function", |size| code(&calls(0xe8, size / CALL_SIZE, 1))),
    ("functions that call the previous function", |size| code(&calls(0xe8, size / CALL_SIZE, -1))),
    ("functions that jump to the next function", |size| code(&calls(0xe9, size / CALL_SIZE, 1))),
    ("jumps through one table to jumps", |size| jumps(size, TABLE_JUMP_SIZE)),
    ("jumps through one table into instructions", |size| jumps(size, 1)),
    ("jumps through one table to jumps, in one declared function", |size| {
        declared_jumps(size, TABLE_JUMP_SIZE)
    }),
    ("jumps through one table into instructions, in one declared function", |size| declared_jumps(size, 1)),
];
