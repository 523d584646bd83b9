//! Files of .NET: methods are rows, and intermediate language is not decoded as instructions.

use crate::mapping::{IMAGE_BASE, image_of_net};
use crate::notes::{RICH_KEY, rich_header};
use binframe::ir::tables::DiagnosticCode;
use binframe_testsuite::lowering::{Tables, tables};
use std::fs;
use std::path::Path;

/// RVAs of the CLI header, of method bodies and of the metadata.
const HEADER: u32 = 0x1200;
const TINY_BODY: u32 = HEADER + 72;
const FAT_BODY: u32 = TINY_BODY + 4;
const METADATA: u32 = FAT_BODY + 28;

/// A type with a nested one. Their methods have a tiny body, a fat one with an exception clause, and none.
fn metadata() -> Vec<u8> {
    let strings = b"\0<Module>\0Outer\0Space\0Inner\0First\0Second\0Third\0\0\0\0";
    let name = |text: &str| {
        let zeroed = format!("{text}\0");
        strings.windows(zeroed.len()).position(|found| found == zeroed.as_bytes()).expect("a string") as u16
    };
    let mut tables = vec![0, 0, 0, 0, 2, 0, 0, 1];
    tables.extend((1_u64 | 1 << 2 | 1 << 6 | 1 << 0x29).to_le_bytes());
    tables.extend([0; 8]);
    for count in [1_u32, 3, 3, 1] {
        tables.extend(count.to_le_bytes());
    }
    let halves = |tables: &mut Vec<u8>, numbers: &[u16]| {
        tables.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    };
    halves(&mut tables, &[0, name("<Module>"), 0, 0, 0]);
    // Flags, name, namespace, base, first field, first method.
    for (own, namespace, first) in [("<Module>", 0, 1), ("Outer", name("Space"), 1), ("Inner", 0, 3)] {
        halves(&mut tables, &[0, 0, name(own), namespace, 0, 1, first]);
    }
    // Address, implementation, attributes, name, signature, first parameter.
    for (rva, own) in [(TINY_BODY, "First"), (FAT_BODY, "Second"), (0, "Third")] {
        tables.extend(rva.to_le_bytes());
        halves(&mut tables, &[0, 0x96, name(own), 0, 1]);
    }
    halves(&mut tables, &[3, 2]);
    let streams: [(&[u8], &[u8]); 2] = [(b"#~\0\0", &tables), (b"#Strings\0\0\0\0", strings)];
    let mut root = b"BSJB\x01\0\x01\0\0\0\0\0\x04\0\0\0v4\0\0\0\0\x02\0".to_vec();
    let mut offset = (root.len() + streams.iter().map(|(name, _)| 8 + name.len()).sum::<usize>()) as u32;
    for (name, content) in streams {
        root.extend(offset.to_le_bytes());
        root.extend((content.len() as u32).to_le_bytes());
        root.extend(name);
        offset += content.len() as u32;
    }
    root.extend(&tables);
    root.extend(strings);
    root
}

/// The file; `flags` of its CLI header say whether it has native code.
pub(crate) fn file(flags: u32) -> Vec<u8> {
    let metadata = metadata();
    let mut clr = vec![0; 72];
    let mut put = |at: usize, number: u32| clr[at..at + 4].copy_from_slice(&number.to_le_bytes());
    put(0, 72);
    put(4, 5 << 16 | 2);
    put(8, METADATA);
    put(12, metadata.len() as u32);
    put(16, flags);
    put(20, 0x0600_0001);
    // `nop; ret`, padded.
    clr.extend([2 << 2 | 2, 0x00, 0x2a, 0]);
    // A header of twelve bytes with more sections, four bytes of code, and a section of twelve bytes.
    clr.extend([0x0b, 0x30, 5, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x17, 0x26, 0x2a]);
    clr.extend([0x01, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    clr.extend(metadata);
    image_of_net(&clr, &rich_header(RICH_KEY))
}

fn lowered(flags: u32) -> Tables {
    tables(&file(flags).into())
}

/// Snapshots show the tables of a copy of this file.
#[test]
fn the_fixture_is_the_file_of_this_test() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/binaries/managed.dll");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, file(1)).expect("the fixture is writable");
    }
    assert!(fs::read(path).expect("the fixture") == file(1), "to replace it: cargo xtask bless --test pe");
}

#[test]
fn methods_are_rows() {
    let tables = lowered(1);
    let methods = tables.lowered.linkage.clr_methods.columns();
    let found: Vec<_> = methods
        .iter()
        .map(|row| {
            let rva = row.address.map(|address| address - IMAGE_BASE);
            (
                row.method_token,
                row.type_name.unwrap_or_default(),
                row.method_name,
                rva,
                row.code_size,
                row.max_stack,
            )
        })
        .collect();
    let [tiny, fat] = [TINY_BODY + 1, FAT_BODY + 12].map(u64::from);
    let expected = [
        (0x0600_0001, "Space.Outer", "First", Some(tiny), Some(2), Some(8)),
        (0x0600_0002, "Space.Outer", "Second", Some(fat), Some(4), Some(5)),
        (0x0600_0003, "Space.Outer/Inner", "Third", None, None, None),
    ];
    assert_eq!(found, expected);
    assert!(tables.lowered.linkage.diagnostics.is_empty());
}

#[test]
fn intermediate_language_is_not_decoded() {
    let managed = lowered(1);
    assert!(managed.instructions.is_empty());
    let mut diagnostics = managed.diagnostics().into_iter().flat_map(|rows| rows.columns().iter());
    assert!(diagnostics.any(|row| row.code == DiagnosticCode::UndecodedCode));
    // Native code beside it is.
    let mixed = lowered(0);
    let instructions = mixed.instructions.columns();
    assert!(instructions.iter().any(|row| row.address == IMAGE_BASE + 0x1000));
    let data = IMAGE_BASE + u64::from(HEADER)..IMAGE_BASE + u64::from(METADATA) + metadata().len() as u64;
    let inside = instructions.iter().find(|row| data.contains(&row.address));
    assert!(inside.is_none(), "{inside:x?}");
}
