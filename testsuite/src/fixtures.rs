//! Small fixed programs for snapshots, with the same bytes on every machine.

use crate::executable::{Contents, DataObject, Executable, Options, from_clif_with};
use std::fs;
use std::path::Path;

/// Exit code of both compiled fixtures.
pub const EXIT_CODE: i32 = 42;

/// A loop, a conditional, a leaf and direct calls.
pub const LOOPS_AND_CALLS: &str = include_str!("../fixtures/loops_and_calls.clif");

/// Stack slots, saved registers, an indirect call, and data in `.rodata`, `.data` and `.bss`.
/// Needs the data of [`stack_and_globals_data`] to link.
pub const STACK_AND_GLOBALS: &str = include_str!("../fixtures/stack_and_globals.clif");

/// All fixtures: ELF files generated here, one of them without symbols, and the committed files of
/// `testsuite/fixtures/binaries/`.
pub const NAMES: [&str; 9] = [
    "loops_and_calls",
    "stack_and_globals",
    "stripped",
    "library.so",
    "freestanding_x86_32",
    "windows.dll",
    "managed.dll",
    "apple",
    "core",
];

/// Bytes of a fixture by name.
pub fn file(name: &str) -> Option<Vec<u8>> {
    match name {
        "loops_and_calls" => Some(loops_and_calls().bytes),
        "stack_and_globals" => Some(stack_and_globals().bytes),
        "stripped" => {
            let options = Options { symbols: false, eh_frame: false, ..Options::default() };
            Some(from_clif_with(LOOPS_AND_CALLS, &options).bytes)
        }
        _ => fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/binaries").join(name)).ok(),
    }
}

/// The executable of [`LOOPS_AND_CALLS`].
pub fn loops_and_calls() -> Executable {
    from_clif_with(LOOPS_AND_CALLS, &Options::default())
}

/// The executable of [`STACK_AND_GLOBALS`].
pub fn stack_and_globals() -> Executable {
    let options = Options { data: stack_and_globals_data(), ..Options::default() };
    from_clif_with(STACK_AND_GLOBALS, &options)
}

/// The data that the first lines of [`STACK_AND_GLOBALS`] describe.
pub fn stack_and_globals_data() -> Vec<DataObject> {
    let numbers = [3_u64, 5, 7, 11].iter().flat_map(|number| number.to_le_bytes()).collect();
    vec![
        DataObject { name: "numbers", contents: Contents::ReadOnly(numbers), addresses: Vec::new() },
        DataObject {
            name: "operations",
            contents: Contents::Writable(vec![0; 16]),
            addresses: vec![(0, "add"), (8, "multiply")],
        },
        DataObject {
            name: "counter",
            contents: Contents::Writable(10_u64.to_le_bytes().to_vec()),
            addresses: Vec::new(),
        },
        DataObject { name: "scratch", contents: Contents::Zeroed(64), addresses: Vec::new() },
    ]
}
