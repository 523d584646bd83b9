//! Names of relocation types and segment types that are not in the library `object` are those of `llvm-readobj`.

use binframe_testsuite::lowering::tables;
use binframe_testsuite::tools;
use std::fs;

/// The 32-bit or 64-bit fields of a structure; a field without a size has that of an address.
fn fields(is_64: bool, fields: &[(u64, Option<usize>)]) -> Vec<u8> {
    let address_size = if is_64 { 8 } else { 4 };
    fields
        .iter()
        .flat_map(|(value, size)| value.to_le_bytes()[..size.unwrap_or(address_size)].to_vec())
        .collect()
}

const HALF: Option<usize> = Some(2);
const WORD: Option<usize> = Some(4);
const ADDRESS: Option<usize> = None;

fn header(is_64: bool, kind: u64, machine: u64, segments: (u64, u64), sections: (u64, u64)) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(is_64), 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let [size, segment_size, section_size] = if is_64 { [64, 56, 64] } else { [52, 32, 40] };
    file.extend(fields(
        is_64,
        &[(kind, HALF), (machine, HALF), (1, WORD), (0, ADDRESS), (segments.0, ADDRESS)],
    ));
    file.extend(fields(is_64, &[(sections.0, ADDRESS), (0, WORD), (size, HALF), (segment_size, HALF)]));
    file.extend(fields(
        is_64,
        &[
            (segments.1, HALF),
            (section_size, HALF),
            (sections.1, HALF),
            (sections.1 - sections.1.min(1), HALF),
        ],
    ));
    file
}

/// An object with a relocation of each type below 256.
fn object(is_64: bool, machine: u64) -> Vec<u8> {
    let entry = |number: u64| fields(is_64, &[(number, ADDRESS), (number, ADDRESS), (0, ADDRESS)]);
    let relocations: Vec<u8> = (0..256).flat_map(entry).collect();
    let names = b"\0.rela\0.x\0.names\0";
    let header_size = if is_64 { 64 } else { 52 };
    let names_at = header_size + relocations.len() as u64;
    let section = |name, kind, offset, size, info, entry_size| {
        let sizes =
            [(name, WORD), (kind, WORD), (0, ADDRESS), (0, ADDRESS), (offset, ADDRESS), (size, ADDRESS)];
        [
            fields(is_64, &sizes),
            fields(is_64, &[(0, WORD), (info, WORD), (1, ADDRESS), (entry_size, ADDRESS)]),
        ]
        .concat()
    };
    let mut file = header(is_64, 1, machine, (0, 0), (names_at + names.len() as u64, 4));
    file.extend(&relocations);
    file.extend(names);
    file.extend(section(0, 0, 0, 0, 0, 0));
    file.extend(section(7, 1, header_size, 0, 0, 0));
    file.extend(section(1, 4, header_size, relocations.len() as u64, 1, if is_64 { 24 } else { 12 }));
    file.extend(section(10, 3, names_at, names.len() as u64, 0, 0));
    file
}

/// Output of `llvm-readobj`.
fn readobj(option: &str, file: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    fs::write(&path, file).expect("the folder is writable");
    tools::print(&tools::find("llvm-readobj")?, &[option], &path)
}

#[test]
fn relocation_types_have_the_names_of_llvm() {
    for (is_64, machine) in [(false, 164), (true, 251)] {
        let file = object(is_64, machine);
        let Some(text) = readobj("--relocations", &file) else { return };
        // `0x1 R_HEX_B22_PCREL - 0x0`; types without a name are `Unknown`.
        let lines = text.lines().filter(|line| line.trim_start().starts_with("0x"));
        let expected: Vec<_> = lines.filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(expected.len(), 256, "{text}");
        let tables = tables(&file.into());
        let rows = tables.lowered.linkage.relocations.columns();
        for (row, expected) in rows.iter().zip(expected) {
            let name = if row.relocation_type.starts_with("0x") { "Unknown" } else { row.relocation_type };
            assert_eq!(name, expected, "machine {machine}");
        }
    }
}

#[test]
fn segment_types_of_openbsd_have_the_names_of_llvm() {
    let types = [0x65a3_dbe5_u64, 0x65a3_dbe6, 0x65a3_dbe7, 0x65a3_dbe8, 0x65a3_dbe9, 0x65a4_1be6];
    let mut file = header(true, 2, 62, (64, types.len() as u64), (0, 0));
    for segment_type in types {
        file.extend(fields(true, &[(segment_type, WORD), (4, WORD)]));
        file.extend(fields(true, &[(0, ADDRESS); 6]));
    }
    let Some(text) = readobj("--program-headers", &file) else { return };
    // `Type: PT_OPENBSD_MUTABLE (0x65A3DBE5)`.
    let expected = text.lines().filter_map(|line| line.trim().strip_prefix("Type: ")?.split(' ').next());
    let tables = tables(&file.clone().into());
    let rows = tables.lowered.sections.segments.columns();
    let found: Vec<_> = rows.iter().filter_map(|row| row.segment_type).collect();
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(found.len(), types.len());
}
