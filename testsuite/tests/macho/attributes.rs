//! Lists in load commands, and states of threads, are rows.

use binframe::ir::tables::BinaryAttribute;
use binframe_testsuite::apple;
use binframe_testsuite::lowering::{Tables, tables};

fn attributes<'a>(tables: &'a Tables, source_name: &str) -> Vec<BinaryAttribute<'a>> {
    let rows = tables.lowered.linkage.attributes.columns();
    rows.iter().filter(|row| row.source_name == source_name).collect()
}

const HINTS_C: &str = "
extern int elsewhere;
static int here;
int *address(void) { return &here; }
int read(void) { return elsewhere; }
";

/// Of `llvm-objdump --macho --link-opt-hints`: kinds and addresses.
#[test]
fn linker_optimization_hints_are_those_of_llvm() {
    let Some(object) = apple::compile("arm64", "c", HINTS_C, &["-O1"]) else { return };
    let Some(text) = apple::llvm("objdump", &["--macho", "--link-opt-hints"], &object) else { return };
    let tables = tables(&object.into());
    let found: Vec<_> = attributes(&tables, "LC_LINKER_OPTIMIZATION_HINT")
        .iter()
        .map(|row| (row.attribute_name, row.address.expect("a hint has addresses")))
        .collect();
    let mut expected = Vec::new();
    let mut kind = "";
    for line in text.lines() {
        // `identifier 7 AdrpAdd`, `value 0x0`.
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["identifier", _, name] => kind = name,
            ["value", address] => {
                let address = u64::from_str_radix(address.trim_start_matches("0x"), 16).expect("a number");
                expected.push((kind, address));
            }
            _ => {}
        }
    }
    assert!(!expected.is_empty(), "{text}");
    let short = |name: &str| name.trim_start_matches("LOH_ARM64_").replace('_', "").to_lowercase();
    assert_eq!(found.len(), expected.len(), "{text}");
    for ((name, address), (kind, value)) in found.iter().zip(expected) {
        assert_eq!((short(name), *address), (kind.to_lowercase(), value));
    }
}

#[test]
fn tools_options_and_data_in_code_are_rows() {
    let mut commands = Vec::new();
    let mut add = |words: &[u32], rest: &[u8]| {
        commands.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        commands.extend(rest);
    };
    // macOS 13.1, SDK 13.3, two tools.
    add(&[0x32, 40, 1, 0xd_0100, 0xd_0300, 2, 3, 820 << 16 | 0x100, 1, 15 << 16], &[]);
    add(&[0x2d, 32, 2], b"-framework\0Cocoa\0\0\0\0");
    add(&[0x29, 16, 0x1000, 16], &[]);
    let text = [0x19, 72].map(u32::to_le_bytes).concat();
    commands.extend(text);
    commands.extend(b"__TEXT\0\0\0\0\0\0\0\0\0\0");
    commands.extend([0x1_0000_0000_u64, 0x2000, 0, 0x1010].map(u64::to_le_bytes).concat());
    commands.extend([5_u32, 5, 0, 0].map(u32::to_le_bytes).concat());
    let header = [0xfeed_facf, 0x0100_0007, 3, 6, 4, commands.len() as u32, 0x85, 0];
    let mut file = [header.map(u32::to_le_bytes).concat(), commands].concat();
    file.resize(0x1000, 0);
    // Offset, size and kind: a jump table, and a kind that is unknown.
    file.extend([0x400_u32, 3 << 16 | 0xc, 0x500, 0x99 << 16 | 0x4].map(u32::to_le_bytes).concat());
    let tables = tables(&file.into());
    let found = |source_name| -> Vec<_> {
        let rows = attributes(&tables, source_name);
        rows.iter().map(|row| (row.attribute_name.to_owned(), row.text.map(str::to_owned))).collect()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        found("LC_BUILD_VERSION"),
        [("TOOL_LD".to_owned(), text("820.1.0")), ("TOOL_CLANG".to_owned(), text("15.0.0"))]
    );
    let options = [("option".to_owned(), text("-framework")), ("option".to_owned(), text("Cocoa"))];
    assert_eq!(found("LC_LINKER_OPTION"), options);
    let ranges: Vec<_> = attributes(&tables, "LC_DATA_IN_CODE")
        .iter()
        .map(|row| (row.attribute_name.to_owned(), row.address, row.size))
        .collect();
    let expected = [
        ("DICE_KIND_JUMP_TABLE16".to_owned(), Some(0x1_0000_0400), Some(12)),
        ("0x99".to_owned(), Some(0x1_0000_0500), Some(4)),
    ];
    assert_eq!(ranges, expected);
}

/// A core dump with a thread, whose registers are the numbers from 0, and states that have none.
#[test]
fn threads_of_core_dumps_are_rows() {
    // Processor, flavor, header of a unified state, number of registers, program and stack pointer.
    for (cpu, flavor, header, count, size, program, stack) in [
        (0x0100_0007_u32, 4, &[][..], 21_u64, 8, 16, 7),
        (0x0100_0007, 7, &[4, 42][..], 21, 8, 16, 7),
        (7, 1, &[], 16, 4, 10, 7),
        (0x0100_000c, 6, &[], 33, 8, 32, 31),
        (12, 1, &[], 17, 4, 15, 13),
        (18, 1, &[], 40, 4, 0, 3),
    ] {
        let is_big = cpu == 18;
        let number = |number: u64, size: usize| {
            let bytes = number.to_le_bytes();
            let bytes = bytes[..size].iter().copied();
            if is_big { bytes.rev().collect::<Vec<_>>() } else { bytes.collect() }
        };
        let mut state: Vec<u8> = header.iter().flat_map(|word| number(*word, 4)).collect();
        state.extend((0..count).flat_map(|register| number(register, size)));
        // Flags of 64-bit Arm.
        state.extend(if cpu == 0x0100_000c { vec![0; 8] } else { Vec::new() });
        let size = 16 + 16 + state.len() as u64;
        let is_64 = cpu >> 24 != 0;
        let magic = if is_64 { 0xfeed_facf } else { 0xfeed_face };
        let mut words = vec![magic, u64::from(cpu), 0, 4, 1, size, 0];
        words.extend(is_64.then_some(0));
        // A state of another flavor precedes.
        words.extend([4, size, 99, 2, 0, 0, flavor, state.len() as u64 / 4]);
        let mut file: Vec<u8> = words.into_iter().flat_map(|word| number(word, 4)).collect();
        file.extend(state);
        let tables = tables(&file.into());
        let threads = tables.lowered.linkage.threads.columns();
        assert_eq!(threads.len(), 1, "{cpu:#x}");
        let thread = threads.row(0);
        assert_eq!((thread.command_index, thread.note_index, thread.thread_id), (Some(0), None, None));
        assert_eq!((thread.program_counter, thread.stack_pointer), (Some(program), Some(stack)), "{cpu:#x}");
        let registers = tables.lowered.linkage.thread_registers.columns();
        assert!(registers.len() as u64 >= count, "{cpu:#x}");
    }
}
