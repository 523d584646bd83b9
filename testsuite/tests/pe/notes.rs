//! Fields of the debug directory, of the Rich header, of the CLI header and of the load configuration are rows.

use crate::clr;
use crate::mapping::{IMAGE_BASE, image_with_directory, image_with_rich_header};
use binframe::ir::tables::BinaryAttribute;
use binframe_testsuite::lowering::{Tables, tables};
use object::pe;

/// Checksum of the DOS header of these images and of `PRODUCTS`. The linker of Microsoft computes the key in the same way.
pub(crate) const RICH_KEY: u32 = 0x1a21_cccd;

/// Product, build and count of the Rich header.
const PRODUCTS: [(u16, u16, u32); 3] = [(0x104, 33136, 10), (0x103, 33136, 3), (1, 0, 115)];

/// RVA of the data of a directory of `image_with_directory`.
const DATA: u32 = 0x1200;

/// The header: a mask on `DanS`, three zeros, the products, `Rich` and the mask.
pub(crate) fn rich_header(key: u32) -> Vec<u8> {
    let mut words = vec![u32::from_le_bytes(*b"DanS"), 0, 0, 0];
    words.extend(
        PRODUCTS
            .iter()
            .flat_map(|(product, build, count)| [u32::from(*product) << 16 | u32::from(*build), *count]),
    );
    let masked = words.iter().map(|word| word ^ key).chain([u32::from_le_bytes(*b"Rich"), key]);
    masked.flat_map(u32::to_le_bytes).collect()
}

/// The attributes of a file.
fn attributes(tables: &Tables) -> Vec<BinaryAttribute<'_>> {
    tables.lowered.linkage.attributes.columns().iter().collect()
}

/// The attributes as `source name address+size value text`, without what is null.
fn shown(tables: &Tables) -> Vec<String> {
    let line = |row: &BinaryAttribute<'_>| {
        let mut line = format!("{} {}", row.source_name, row.attribute_name);
        if let Some(address) = row.address {
            line += &format!(" {:#x}", address - IMAGE_BASE);
        }
        line += &row.size.map_or(String::new(), |size| format!("+{size}"));
        line += &row.value.map_or(String::new(), |value| format!(" {value:#x}"));
        line + &row.text.map_or(String::new(), |text| format!(" `{text}`"))
    };
    attributes(tables).iter().map(line).collect()
}

#[test]
fn a_rich_header_has_its_products_and_a_checksum() {
    for (key, validity) in [(RICH_KEY, "valid"), (RICH_KEY ^ 1, "invalid")] {
        let tables = tables(&image_with_rich_header(&rich_header(key)).into());
        let entries = tables.lowered.linkage.rich_entries.columns();
        let found: Vec<_> =
            entries.iter().map(|row| (row.product_id, row.build_number, row.input_count)).collect();
        assert_eq!(found, PRODUCTS);
        let key = format!("Rich key {key:#x}");
        assert_eq!(shown(&tables), [key, format!("Rich checksum {RICH_KEY:#x} `{validity}`")]);
    }
}

/// Contents are from the descriptions of their types, and those that real files have as in files of Microsoft.
#[test]
fn debug_entries_have_their_fields() {
    let guid: Vec<u8> = (1..=16).collect();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let contents: [(u32, Vec<u8>); 10] = [
        (2, [b"RSDS", &guid[..], &words(&[7]), b"a.pdb\0"].concat()),
        (2, [b"NB10", &words(&[0, 0x5000_0000, 9])[..], b"b.pdb\0"].concat()),
        (3, words(&[0x1010, 0x20, 2, 0x0b05_0003])),
        (4, [&words(&[1, 18, 0])[..], b"c.exe\0"].concat()),
        (12, words(&[1, 2, 3, 4, 5])),
        (13, [&words(&[0x4c54_4347, 0x1000, 0x20])[..], b".text$mn\0\0\0\0"].concat()),
        (16, words(&[4, 0x0403_0201])),
        (17, [b"MPDB", &words(&[300])[..], &[0; 4]].concat()),
        (19, b"SHA256\0\x0a\x0b".to_vec()),
        (20, words(&[0x41])),
    ];
    let mut directory = Vec::new();
    let mut data = Vec::new();
    let data_at = DATA + 28 * contents.len() as u32;
    for (debug_type, content) in contents {
        let at = data_at + data.len() as u32;
        // Characteristics, time, version 1.2, type, size, RVA, file offset.
        let fields = [0, 0x60, 2 << 16 | 1, debug_type, content.len() as u32, at, at - 0x1000 + 0x200];
        directory.extend(words(&fields));
        data.extend(content);
    }
    let size = directory.len();
    directory.extend(data);
    let tables =
        tables(&image_with_directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG, size, &directory, 0x8664).into());
    let all = shown(&tables);
    let is_of_header =
        |line: &&String| line.ends_with(" timestamp 0x60") || line.ends_with(" version 0x10002 `1.2`");
    assert_eq!(all.iter().filter(is_of_header).count(), 20);
    let found: Vec<_> = all
        .iter()
        .filter(|line| !is_of_header(line))
        .map(|line| &line["IMAGE_DEBUG_TYPE_".len()..])
        .collect();
    let expected = [
        "CODEVIEW guid `04030201-0605-0807-090a-0b0c0d0e0f10`",
        "CODEVIEW age 0x7",
        "CODEVIEW path `a.pdb`",
        "CODEVIEW signature 0x50000000",
        "CODEVIEW age 0x9",
        "CODEVIEW path `b.pdb`",
        "FPO function 0x1010+32 `locals 8, parameters 12, prolog 5, registers 3, frame type 0`",
        "MISC data_type 0x1",
        "MISC image_name `c.exe`",
        "VC_FEATURE pre_vc11 0x1",
        "VC_FEATURE c_cpp 0x2",
        "VC_FEATURE gs 0x3",
        "VC_FEATURE sdl 0x4",
        "VC_FEATURE guard_n 0x5",
        "POGO signature 0x4c544347 `LTCG`",
        "POGO section_part 0x1000+32 `.text$mn`",
        "REPRO hash `01020304`",
        "EMBEDDED_PORTABLE_PDB uncompressed_size 0x12c",
        "PDB_CHECKSUM algorithm `SHA256`",
        "PDB_CHECKSUM checksum `0a0b`",
        "EX_DLLCHARACTERISTICS flags 0x41 `CET_COMPAT, FORWARD_CFI_COMPAT`",
    ];
    assert_eq!(found, expected);
    let notes = tables.lowered.linkage.notes.columns();
    assert!(attributes(&tables).iter().all(|row| {
        row.note_index.is_some_and(|index| notes.note_type.value(index as usize) == row.source_name)
    }));
}

/// The linker of LLVM writes such files, and `llvm-readobj` calls them COFF-ARM64EC and COFF-ARM64X.
#[test]
fn images_with_code_for_two_processors_are_named() {
    let mut configuration = vec![0; 0x140];
    configuration[..4].copy_from_slice(&0x140_u32.to_le_bytes());
    configuration[0xc8..0xd0].copy_from_slice(&(IMAGE_BASE + 0x1180).to_le_bytes());
    for (machine, name) in [(0x8664, "ARM64EC"), (0xaa64, "ARM64X")] {
        let image =
            image_with_directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG, 0x140, &configuration, machine);
        let expected = format!("IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG hybrid_machine 0x1180 `{name}`");
        assert_eq!(shown(&tables(&image.into())), [expected]);
    }
    // A shorter configuration does not have the field.
    configuration[..4].copy_from_slice(&0xc8_u32.to_le_bytes());
    let image = image_with_directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG, 0x140, &configuration, 0x8664);
    assert!(shown(&tables(&image.into())).is_empty());
}

#[test]
fn the_cli_header_has_its_fields() {
    let tables = tables(&clr::file(1).into());
    let lines = shown(&tables);
    let found = lines.iter().filter_map(|line| line.strip_prefix("IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR "));
    let expected =
        ["runtime_version `2.5`", "flags 0x1 `ILONLY`", "entry_point 0x6000001", "metadata_version `v4`"];
    assert_eq!(found.collect::<Vec<_>>(), expected);
}
