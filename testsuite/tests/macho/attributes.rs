//! Fields of load commands, lists in them, and states of threads are rows.

use binframe::ir::tables::{BinaryAttribute, LibraryKind};
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
        .filter_map(|row| Some((row.attribute_name, row.address?)))
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
    add(&[0x32, 40, 1, 0xd_0100, 0xd_0300, 2, 3, 820 << 16 | 0x100, 4, 15 << 16], &[]);
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
    let tools = [("TOOL_LD".to_owned(), text("820.1.0")), ("TOOL_LLD".to_owned(), text("15.0.0"))];
    assert_eq!(found("LC_BUILD_VERSION").split_off(3), tools);
    let options = [("option".to_owned(), text("-framework")), ("option".to_owned(), text("Cocoa"))];
    assert_eq!(found("LC_LINKER_OPTION"), options);
    let ranges: Vec<_> = attributes(&tables, "LC_DATA_IN_CODE")
        .iter()
        .filter(|row| row.address.is_some())
        .map(|row| (row.attribute_name.to_owned(), row.address, row.size))
        .collect();
    let expected = [
        ("DICE_KIND_JUMP_TABLE16".to_owned(), Some(0x1_0000_0400), Some(12)),
        ("0x99".to_owned(), Some(0x1_0000_0500), Some(4)),
    ];
    assert_eq!(ranges, expected);
}

/// The fields of commands that linkers of this machine do not write; test `peers` compares those that they write with
/// what `llvm-objdump` prints.
#[test]
fn fields_of_load_commands_are_rows() {
    let long = |number: u64| [number as u32, (number >> 32) as u32];
    let source_version = long(1234 << 40 | 5 << 30 | 6 << 20 | 1023 << 10 | 8);
    let mut note = vec![0x31, 40];
    note.extend([b"addr", b"able", b" bit", b"s\0\0\0"].map(|part| u32::from_le_bytes(*part)));
    note.extend([long(0x1000), long(8)].concat());
    let path: Vec<u32> =
        vec![0x8000_001c, 24, 12, u32::from_le_bytes(*b"@loa"), u32::from_le_bytes(*b"der\0"), 0];
    let commands: [Vec<u32>; 8] = [
        [&[0x2a, 16][..], &source_version].concat(),
        path,
        note,
        // iOS 12.4.1, SDK 13.0.
        vec![0x25, 16, 12 << 16 | 4 << 8 | 1, 13 << 16],
        // A platform without a name.
        vec![0x32, 24, 99, 1 << 16, 2 << 16, 0],
        vec![0x2c, 24, 0x4000, 0x8000, 1, 0],
        [&[0x8000_0028, 24][..], &long(0x1234), &long(0x10_0000)].concat(),
        [&[0x1a, 72][..], &long(0x1_0000_0040), &long(7), &[0; 12]].concat(),
    ];
    let size: usize = commands.iter().map(|command| command.len() * 4).sum();
    let header = [0xfeed_facf, 0x0100_000c, 0, 6, commands.len() as u32, size as u32, 0x85, 0];
    let words = header.into_iter().chain(commands.concat());
    let mut file: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    file.resize(0x1008, 0);
    let tables = tables(&file.into());
    let rows = tables.lowered.linkage.attributes.columns();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.command_index, row.attribute_name.to_owned(), row.value, row.text.map(str::to_owned)))
        .collect();
    let expected = [
        (0, "version", 1234 << 40 | 5 << 30 | 6 << 20 | 1023 << 10 | 8, Some("1234.5.6.1023.8")),
        (2, "offset", 0x1000, None),
        (2, "size", 8, None),
        (3, "version", 0xc_0401, Some("12.4.1")),
        (3, "sdk", 13 << 16, Some("13.0.0")),
        (4, "platform", 99, None),
        (4, "minos", 1 << 16, Some("1.0.0")),
        (4, "sdk", 2 << 16, Some("2.0.0")),
        (5, "cryptoff", 0x4000, None),
        (5, "cryptsize", 0x8000, None),
        (5, "cryptid", 1, None),
        (6, "entryoff", 0x1234, None),
        (6, "stacksize", 0x10_0000, None),
        (7, "init_address", 0x1_0000_0040, None),
        (7, "init_module", 7, None),
    ];
    let expected = expected.map(|(index, name, value, text): (_, &str, _, Option<&str>)| {
        (Some(index), name.to_owned(), Some(value), text.map(str::to_owned))
    });
    assert_eq!(found, expected);
    // Texts and numbers of commands, search paths and notes have tables of their own.
    let commands = tables.lowered.linkage.loader_commands.columns();
    let texts: Vec<_> = commands.iter().take(3).map(|row| (row.command, row.value, row.text)).collect();
    let expected = [
        ("LC_SOURCE_VERSION", Some(1234 << 40 | 5 << 30 | 6 << 20 | 1023 << 10 | 8), Some("1234.5.6.1023.8")),
        ("LC_RPATH", None, Some("@loader")),
        ("LC_NOTE", Some(0x1000), Some("addrable bits")),
    ];
    assert_eq!(texts, expected);
    let note = tables.lowered.linkage.notes.columns().row(0);
    assert_eq!((note.owner, note.file_offset, note.size), ("addrable bits", 0x1000, 8));
    let library = tables.lowered.linkage.libraries.columns().row(0);
    assert_eq!((library.kind, library.library_name), (LibraryKind::Rpath, "@loader"));
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
