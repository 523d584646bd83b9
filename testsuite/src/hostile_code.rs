//! Code that no compiler makes, of any size.

use crate::fixtures;
use crate::patch::{Patch, section};

/// Sections of the fixture `loops_and_calls`, by index.
pub const TEXT: usize = 1;
/// Its unwinding information.
pub const EH_FRAME: usize = 2;
/// Its symbols.
pub const SYMTAB: usize = 3;

/// `.text` of the fixture begins there.
pub const TEXT_ADDRESS: u64 = 0x40_1000;

/// Where data is put.
pub const DATA_ADDRESS: u64 = 0x1000_0000;

const SHF_ALLOC: u64 = 2;

const SHT_PROGBITS: u64 = 1;

/// A file of code alone, without symbols and unwinding information, that begins with its first byte.
pub fn code(bytes: &[u8]) -> Patch {
    let mut file = Patch(fixtures::loops_and_calls().bytes);
    file.replace_section(EH_FRAME, &[]).replace_section(SYMTAB, &[]).replace_section(TEXT, bytes);
    file
}

/// The same with constant data.
pub fn code_and_data(bytes: &[u8], data: &[u8]) -> Patch {
    let mut file = code(bytes);
    file.replace_section(EH_FRAME, data).section(EH_FRAME, section::NAME, 0);
    file.section(EH_FRAME, section::TYPE, SHT_PROGBITS).section(EH_FRAME, section::FLAGS, SHF_ALLOC);
    file.section(EH_FRAME, section::ADDRESS, DATA_ADDRESS);
    file
}

/// A symbol table of functions in `.text`, each with its address and size.
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

/// The splitmix64 generator.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// The next bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }
}

/// Size of one of [`branches`] in bytes.
pub const BRANCH_SIZE: usize = 6;

/// `je` to the `je` of a number, again and again; then `ret`.
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

/// Size of one of [`calls`] in bytes.
pub const CALL_SIZE: usize = 6;

/// `call` or `jmp`, by its first byte, of what stands a number of functions ahead; `ret`; again and again.
pub fn calls(opcode: u8, count: usize, ahead: i32) -> Vec<u8> {
    let [a, b, c, d] = (ahead * CALL_SIZE as i32 - 5).to_le_bytes();
    [opcode, a, b, c, d, 0xc3].repeat(count)
}

/// Size of one of [`table_jumps`] in bytes.
pub const TABLE_JUMP_SIZE: usize = 13;

/// `and edi, 0xffff; jmp [rdi*8 + data]`, again and again.
pub fn table_jumps(count: usize) -> Vec<u8> {
    let [a, b, c, d] = (DATA_ADDRESS as u32).to_le_bytes();
    [0x81, 0xe7, 0xff, 0xff, 0, 0, 0xff, 0x24, 0xfd, a, b, c, d].repeat(count)
}

/// A table of addresses for all of [`table_jumps`]: of any of `count` places that stand `step` bytes apart.
pub fn jump_table(count: u64, step: u64) -> Vec<u8> {
    (0..1 << 16)
        .flat_map(|index| (TEXT_ADDRESS + Random(index).number() % count * step).to_le_bytes())
        .collect()
}

/// Files of about `size` bytes of code each, by what they are.
pub fn shapes(size: usize) -> Vec<(&'static str, Patch)> {
    let branch_count = size / BRANCH_SIZE;
    let last = branch_count as i64;
    let call_count = size / CALL_SIZE;
    let jump_count = size / TABLE_JUMP_SIZE;
    let anywhere = |index: i64| (Random(index as u64).number() % branch_count as u64) as i64;
    let jumps = |step: usize| {
        let places = jump_count * TABLE_JUMP_SIZE / step;
        code_and_data(&table_jumps(jump_count), &jump_table(places as u64, step as u64))
    };
    let stated = |mut file: Patch| {
        file.replace_section(SYMTAB, &symbols([(TEXT_ADDRESS, size as u64)].into_iter()));
        file
    };
    vec![
        ("random bytes", code(&Random(1).bytes(size))),
        ("zeros", code(&vec![0; size])),
        ("`nop`", code(&vec![0x90; size])),
        ("`ret`", code(&vec![0xc3; size])),
        ("`int3`", code(&vec![0xcc; size])),
        ("branches to the next", code(&branches(branch_count, |index| index + 1))),
        ("branches to the first", code(&branches(branch_count, |_| 0))),
        ("branches to the last", code(&branches(branch_count, |_| last))),
        (
            "loops in each other",
            code(&branches(branch_count, |index| if index < last / 2 { last } else { last - index })),
        ),
        ("branches anywhere", code(&branches(branch_count, anywhere))),
        ("functions that call the next", code(&calls(0xe8, call_count, 1))),
        ("functions that call the one before", code(&calls(0xe8, call_count, -1))),
        ("functions that jump to the next", code(&calls(0xe9, call_count, 1))),
        ("jumps through one table to each other", jumps(TABLE_JUMP_SIZE)),
        ("jumps through one table into instructions", jumps(1)),
        ("the same of one function that a symbol states", stated(jumps(TABLE_JUMP_SIZE))),
        ("the same into instructions", stated(jumps(1))),
    ]
}
