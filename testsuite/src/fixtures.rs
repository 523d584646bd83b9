//! The small fixed programs that snapshots are made of.

use crate::executable::{Contents, DataObject, Executable, Options, from_clif_with};

/// The exit code of both fixtures.
pub const EXIT_CODE: i32 = 42;

/// A loop, a conditional, a leaf and direct calls.
pub const LOOPS_AND_CALLS: &str = include_str!("../fixtures/loops_and_calls.clif");

/// Stack slots, saved registers, an indirect call, and data in `.rodata`, `.data` and `.bss`.
/// Needs the data of [`stack_and_globals_data`] to link.
pub const STACK_AND_GLOBALS: &str = include_str!("../fixtures/stack_and_globals.clif");

/// [`LOOPS_AND_CALLS`] as a file.
pub fn loops_and_calls() -> Executable {
    from_clif_with(LOOPS_AND_CALLS, &Options::default())
}

/// [`STACK_AND_GLOBALS`] as a file.
pub fn stack_and_globals() -> Executable {
    let options = Options { data: stack_and_globals_data(), ..Options::default() };
    from_clif_with(STACK_AND_GLOBALS, &options)
}

/// The data that [`STACK_AND_GLOBALS`] describes in its first lines.
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
