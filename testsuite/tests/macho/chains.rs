//! Chained fixups of each pointer format and each format of imports, and chains that operations name.
//!
//! The bits of the pointers are those of `mach-o/fixup-chains.h` of Apple's dyld. LIEF reads the same from these files for
//! the formats that it knows.

use binframe_testsuite::lowering::{Tables, tables};

const CPU_X86_64: u32 = 0x0100_0007;
const CPU_ARM64: u32 = 0x0100_000c;
const CPU_ARM: u32 = 12;

/// Addresses of the image; the pointers are 0x4000 bytes after it.
const BASE: u64 = 0x1_0000_0000;
const BASE_32: u64 = 0x4000;

/// Bits of signed pointers (`arm64e`).
const AUTH: u64 = 1 << 63;
const BIND: u64 = 1 << 62;

/// Diversity, whether the address is part of it, and the key: 0 to 3 for IA, IB, DA and DB.
const fn signed(diversity: u64, is_address_signed: bool, key: u64) -> u64 {
    AUTH | diversity << 32 | (is_address_signed as u64) << 48 | key << 49
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn longs(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A library with chained fixups of a format.
fn library(cpu: u32, format: u16, imports_format: u32, symbols_format: u32, pointers: &[u64]) -> Vec<u8> {
    // Library 1, name at 1; library 2, weak, name at 6. The second format has an addend, the third a long one.
    let imports = match imports_format {
        1 => words(&[1 | 1 << 9, 2 | 1 << 8 | 6 << 9]),
        2 => words(&[1 | 1 << 9, 5_u32.wrapping_neg(), 2 | 1 << 8 | 6 << 9, 7]),
        _ => longs(&[1 | 1 << 32, 9_u64.wrapping_neg(), 2 | 1 << 16 | 6 << 32, 1 << 40]),
    };
    // Three segments, of which the second has a page of pointers; the first is at its start.
    let mut fixups = words(&[0, 32, 72, 72 + imports.len() as u32, 2, imports_format, symbols_format, 0]);
    fixups.extend(words(&[3, 0, 16, 0, 24, 0x4000 | u32::from(format) << 16]));
    fixups.extend(longs(&[0x4000]));
    fixups.extend(words(&[0, 1]));
    fixups.extend(imports);
    fixups.extend(b"\0_one\0_two\0");
    file(cpu, &[0x8000_0034, 16, 0x8000, fixups.len() as u32], &fixups, pointers)
}

/// A library with operations that bind.
fn library_with_operations(cpu: u32, operations: &[u8], pointers: &[u64]) -> Vec<u8> {
    let command = [0x8000_0022, 48, 0, 0, 0x8000, operations.len() as u32, 0, 0, 0, 0, 0, 0];
    file(cpu, &command, operations, pointers)
}

/// A library with a segment of pointers, and a load command that locates data in the last segment.
fn file(cpu: u32, command: &[u32], data: &[u8], pointers: &[u64]) -> Vec<u8> {
    let is_64 = cpu != CPU_ARM;
    let base = if is_64 { BASE } else { BASE_32 };
    let mut commands = Vec::new();
    for (name, address, size, protection) in [
        ("__TEXT", 0, 0x4000, 5),
        ("__DATA", 0x4000, 0x4000, 3),
        ("__LINKEDIT", 0x8000, data.len() as u64, 1),
    ] {
        let mut segment = name.as_bytes().to_vec();
        segment.resize(16, 0);
        let places = [base + address, 0x4000, address, size];
        if is_64 {
            commands.extend(words(&[0x19, 72]));
            commands.extend(segment);
            commands.extend(longs(&places));
        } else {
            commands.extend(words(&[1, 56]));
            commands.extend(segment);
            commands.extend(words(&places.map(|place| place as u32)));
        }
        commands.extend(words(&[protection, protection, 0, 0]));
    }
    commands.extend(words(command));
    for library in [b"/one\0\0\0\0", b"/two\0\0\0\0"] {
        commands.extend(words(&[0xc, 32, 24, 2, 0x1_0000, 0x1_0000]));
        commands.extend(library);
    }
    let magic = if is_64 { 0xfeed_facf } else { 0xfeed_face };
    let mut file = words(&[magic, cpu, 2, 8, 6, commands.len() as u32, 0x85]);
    file.extend(words(if is_64 { &[0] } else { &[] }));
    file.extend(commands);
    file.resize(0x4000, 0);
    file.extend(pointers.iter().flat_map(|pointer| {
        pointer.to_le_bytes().into_iter().take(if is_64 { 8 } else { 4 }).collect::<Vec<_>>()
    }));
    file.resize(0x8000, 0);
    file.extend(data);
    file
}

/// The relocations: offset in the segment, symbol or target, addend of a symbol, key with diversity.
fn shown(tables: &Tables, base: u64) -> Vec<String> {
    let rows = tables.lowered.linkage.relocations.columns();
    let line = |row: binframe::ir::tables::BinaryRelocation<'_>| {
        let addend = row.addend.expect("a pointer states its target or an addend");
        let target = match row.symbol_name {
            Some(name) => format!("{name}{addend:+}"),
            None => format!("{:#x}", addend as u64),
        };
        let signed = row.signing_key.map(|key| {
            let address = if row.is_address_signed == Some(true) { " address" } else { "" };
            format!(" {key} {:#x}{address}", row.signing_diversity.expect("with the key"))
        });
        format!("{:#x} {target}{}", row.address - base - 0x4000, signed.unwrap_or_default())
    };
    rows.iter().map(line).collect()
}

/// Pointers of `arm64e`: plain, bound, signed, signed and bound, signed without diversity. `next` is the distance to the
/// next pointer, `base` what is added to the target of the plain pointer.
fn arm64e(next: u64, base: u64) -> [u64; 5] {
    let next = next << 51;
    [
        (base + 0x1234) | next,
        BIND | 1 | (0x7_fffd << 32) | next,
        0x2345 | signed(0x1234, true, 2) | next,
        BIND | signed(0xbeef, false, 0) | next,
        0x3456 | signed(0, false, 3),
    ]
}

#[test]
fn pointers_of_arm64e_are_read_in_each_format() {
    let expected = [
        "0x0 0x100001234",
        "0x8 _two-3",
        "0x10 0x100002345 DA 0x1234 address",
        "0x18 _one+0 IA 0xbeef",
        "0x20 0x100003456 DB 0x0",
    ];
    // Format, distance of the next pointer in its unit, whether targets are addresses.
    for (format, next, base, name) in [
        (1, 1, BASE, "DYLD_CHAINED_PTR_ARM64E"),
        (7, 2, 0, "DYLD_CHAINED_PTR_ARM64E_KERNEL"),
        (9, 1, 0, "DYLD_CHAINED_PTR_ARM64E_USERLAND"),
        (10, 2, BASE, "DYLD_CHAINED_PTR_ARM64E_FIRMWARE"),
        (12, 1, 0, "DYLD_CHAINED_PTR_ARM64E_USERLAND24"),
    ] {
        let tables = tables(&library(CPU_ARM64, format, 1, 0, &arm64e(next, base)).into());
        assert_eq!(shown(&tables, BASE), expected, "{name}");
        let rows = tables.lowered.linkage.relocations.columns();
        assert!(rows.iter().all(|row| row.relocation_type == name), "{name}");
        assert!(tables.lowered.linkage.diagnostics.is_empty(), "{name}");
    }
}

#[test]
fn pointers_of_other_formats_are_read() {
    let cases: [(u32, u16, Vec<u64>, &[&str]); 9] = [
        // Targets that are addresses, and that are offsets; a bind with an addend.
        (
            CPU_ARM64,
            2,
            vec![(BASE + 0x1234) | 2 << 51, 1 << 63 | 1 | 5 << 24 | 2 << 51, BASE + 0x2000],
            &["0x0 0x100001234", "0x8 _two+5", "0x10 0x100002000"],
        ),
        (
            CPU_ARM64,
            6,
            vec![0x1234 | 2 << 51, 1 << 63 | 2 << 51, 0x2000],
            &["0x0 0x100001234", "0x8 _one+0", "0x10 0x100002000"],
        ),
        // Of the kernel's cache: signed ones too; on x86-64 the next pointer is counted in bytes.
        (
            CPU_ARM64,
            8,
            vec![0x1234 | 2 << 51, 0x2345 | signed(0x1234, true, 1)],
            &["0x0 0x100001234", "0x8 0x100002345 IB 0x1234 address"],
        ),
        (CPU_X86_64, 11, vec![0x1234 | 8 << 51, 0x2345], &["0x0 0x100001234", "0x8 0x100002345"]),
        // Of 32 bits.
        (
            CPU_ARM,
            3,
            vec![0x5234 | 1 << 26, 1 << 31 | 1 | 3 << 20 | 1 << 26, 0x6000],
            &["0x0 0x5234", "0x4 _two+3", "0x8 0x6000"],
        ),
        (CPU_ARM, 4, vec![0x1234 | 1 << 30, 0x2345], &["0x0 0x5234", "0x4 0x6345"]),
        (CPU_ARM, 5, vec![0x5234 | 1 << 26, 0x6000], &["0x0 0x5234", "0x4 0x6000"]),
        // Of the shared cache: a bit tells keys of data.
        (
            CPU_ARM64,
            13,
            vec![0x1234 | 1 << 52, 0x2345 | 0x1234 << 34 | 1 << 50 | 1 << 51 | 1 << 63],
            &["0x0 0x100001234", "0x8 0x100002345 DA 0x1234 address"],
        ),
        // Segment and offset in it.
        (
            CPU_ARM64,
            14,
            vec![0x1234 | 1 << 28 | 2 << 51, 0x345 | 1 << 28 | signed(0x1234, true, 2)],
            &["0x0 0x100005234", "0x8 0x100004345 DA 0x1234 address"],
        ),
    ];
    for (cpu, format, pointers, expected) in cases {
        let tables = tables(&library(cpu, format, 1, 0, &pointers).into());
        let base = if cpu == CPU_ARM { BASE_32 } else { BASE };
        assert_eq!(shown(&tables, base), expected, "format {format}");
        assert!(tables.lowered.linkage.diagnostics.is_empty(), "format {format}");
    }
}

#[test]
fn imports_of_each_format_have_their_addend_and_library() {
    for (format, expected) in
        [(1, ["_one+0", "_two+0"]), (2, ["_one-5", "_two+7"]), (3, ["_one-9", "_two+1099511627776"])]
    {
        let tables = tables(&library(CPU_ARM64, 6, format, 0, &[1 << 63 | 2 << 51, 1 << 63 | 1]).into());
        let found: Vec<_> = shown(&tables, BASE)
            .iter()
            .map(|line| line.split(' ').nth(1).unwrap_or_default().to_owned())
            .collect();
        assert_eq!(found, expected, "format {format}");
        let imports = tables.lowered.linkage.imports.columns();
        let imports: Vec<_> =
            imports.iter().map(|row| (row.import_name, row.library_name, row.is_weak)).collect();
        let expected = [(Some("_one"), Some("/one"), false), (Some("_two"), Some("/two"), true)];
        assert_eq!(imports, expected, "format {format}");
    }
}

/// Compressed names are not read, which is said.
#[test]
fn compressed_names_are_a_diagnostic() {
    let tables = tables(&library(CPU_ARM64, 6, 1, 1, &[0x1234]).into());
    let diagnostics = &tables.lowered.linkage.diagnostics;
    assert_eq!(diagnostics.columns().row(0).code, binframe::ir::tables::DiagnosticCode::BrokenRelocation);
}

/// Fills a table of two symbols; the library and the addend of the first are also those of the second.
const TABLE: &[u8] = b"\xd0\x02\x11\x51\x40_one\0\x60\x03\x90\x12\x41_two\0\x60\x7c\x90";

#[test]
fn chains_that_operations_name_are_read() {
    // Of `arm64e`: two chains in the second segment, of five pointers and of one.
    let operations = [TABLE, b"\x71\0\xd1\x71\x40\xd1\0"].concat();
    let mut pointers = arm64e(1, BASE).to_vec();
    pointers.extend([0, 0, 0, BASE + 0x5678]);
    let tables = tables(&library_with_operations(CPU_ARM64, &operations, &pointers).into());
    let expected = [
        "0x0 0x100001234",
        // The addends of the pointer and of the table, -3 and -4.
        "0x8 _two-7",
        "0x10 0x100002345 DA 0x1234 address",
        "0x18 _one+3 IA 0xbeef",
        "0x20 0x100003456 DB 0x0",
        "0x40 0x100005678",
    ];
    assert_eq!(shown(&tables, BASE), expected);
    let rows = tables.lowered.linkage.relocations.columns();
    assert!(rows.iter().all(|row| row.is_dynamic && row.relocation_type == "DYLD_CHAINED_PTR_ARM64E"));
    let imports = tables.lowered.linkage.imports.columns();
    let imports: Vec<_> =
        imports.iter().map(|row| (row.import_name, row.library_name, row.is_weak, row.is_delayed)).collect();
    let expected = [(Some("_one"), Some("/one"), false, false), (Some("_two"), Some("/two"), true, false)];
    assert_eq!(imports, expected);
    assert!(tables.lowered.linkage.diagnostics.is_empty());
}

/// A broken chain is reported, and the relocations before the fault are read.
#[test]
fn broken_chains_of_operations_are_a_diagnostic() {
    // What is wrong, processor, operations, pointers, number of relocations that are read.
    type Case = (&'static str, u32, Vec<u8>, Vec<u64>, usize);
    // A chain at the start of the second segment.
    let chain: &[u8] = b"\x71\0\xd1\0";
    let cases: [Case; 8] = [
        ("no place", CPU_ARM64, b"\xd0\0\xd1".to_vec(), vec![BASE], 0),
        ("an unknown suboperation", CPU_ARM64, b"\xd2".to_vec(), vec![BASE], 0),
        ("32 bits", CPU_ARM, chain.to_vec(), vec![BASE_32], 0),
        ("a symbol that the table does not have", CPU_ARM64, chain.to_vec(), vec![BASE | 1 << 51, BIND], 1),
        ("a table that was cleared", CPU_ARM64, [TABLE, b"\xd0\0", chain].concat(), vec![BIND], 0),
        ("a symbol without library", CPU_ARM64, b"\xd0\x01\x51\x40_one\0\x90".to_vec(), vec![], 0),
        ("the end of the segment", CPU_ARM64, b"\x71\xf8\x7f\xd1".to_vec(), vec![1 << 51; 0x800], 1),
        ("a segment that does not exist", CPU_ARM64, b"\x73\0\xd1".to_vec(), vec![], 0),
    ];
    for (name, cpu, operations, pointers, read) in cases {
        let tables = tables(&library_with_operations(cpu, &operations, &pointers).into());
        assert_eq!(tables.lowered.linkage.relocations.columns().len(), read, "{name}");
        let diagnostics = tables.lowered.linkage.diagnostics.columns();
        let codes: Vec<_> = diagnostics.iter().map(|row| row.code).collect();
        assert_eq!(codes, [binframe::ir::tables::DiagnosticCode::BrokenRelocation], "{name}");
    }
}
