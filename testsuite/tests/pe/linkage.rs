//! The linkage tables of PE files are equal to the output of `llvm-readobj` and to the sources.

use crate::tools::{Block, number, readobj};
use crate::{bytes, library, lowered, parts, program, read_files, real_files};
use binframe::ir::tables::{BinaryKind, Format, LibraryKind};
use binframe::passes::file::linkage::{self, LinkageIr};
use binframe::passes::file::sections;
use binframe_testsuite::lowering::tables;
use object::read::pe::PeFile64;
use object::{LittleEndian as LE, Object, ObjectSection, pe};
use std::path::Path;

fn linked(path: &Path) -> LinkageIr {
    let file = bytes(path);
    linkage::run(&file, &sections::run(&file, 0).expect("a file that is supported"))
}

fn image_base(path: &Path) -> u64 {
    let tables = lowered(path);
    tables
        .lowered
        .sections
        .headers
        .columns()
        .iter()
        .next()
        .and_then(|header| header.image_address)
        .unwrap_or(0)
}

fn programs() -> (Vec<crate::Folder>, Vec<std::path::PathBuf>) {
    let (folders, mut paths): (Vec<_>, Vec<_>) =
        [program(), library(), parts()].into_iter().flatten().unzip();
    paths.extend(real_files(&["dll"]));
    (folders, paths)
}

/// Library, name, ordinal, address of the import slot, whether it is delay-loaded.
type Import = (String, Option<String>, u32, u64, bool);

#[test]
fn imports_match_readobj() {
    let (_folders, paths) = programs();
    for path in paths {
        let Some(text) = readobj("--coff-imports", &path) else { return };
        let mut expected: Vec<Import> = Vec::new();
        let heads = [("Import {", "ImportAddressTableRVA"), ("DelayImport {", "ImportAddressTable")];
        for (head, table) in heads {
            for block in Block::all(&text, head) {
                let library = block.value("Name").expect("a name");
                let table = block.number(table).expect("a table");
                for (symbol, position) in block.values("Symbol").zip(0..) {
                    let (name, ordinal) = symbol.rsplit_once('(').expect("a number");
                    let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
                    let ordinal = number(ordinal.trim_end_matches(')')) as u32;
                    let is_delayed = head.starts_with("Delay");
                    expected.push((library.to_owned(), name, ordinal, table + 8 * position, is_delayed));
                }
            }
        }
        let base = image_base(&path);
        let tables = linked(&path);
        let found: Vec<Import> = tables
            .imports
            .columns()
            .iter()
            .map(|import| {
                let library = import.library_name.expect("a library").to_owned();
                let name = import.import_name.map(str::to_owned);
                let slot = import.slot_address.expect("a place") - base;
                (library, name, import.ordinal.expect("a number"), slot, import.is_delayed)
            })
            .collect();
        assert_eq!(found, expected, "{}", path.display());
        assert!(!found.is_empty() && tables.diagnostics.columns().is_empty());
    }
}

#[test]
fn exports_match_readobj() {
    let (_folders, paths) = programs();
    for path in paths {
        let Some(text) = readobj("--coff-exports", &path) else { return };
        // readobj prints only one name per ordinal, and no address of a forwarded export.
        let expected = Block::all(&text, "Export {").into_iter().map(|block| {
            let name = block.value("Name").filter(|name| !name.is_empty()).map(str::to_owned);
            (block.number("Ordinal").expect("a number") as u32, name, block.number("RVA").unwrap_or(0))
        });
        let expected: Vec<_> = expected.filter(|(_, name, rva)| name.is_some() || *rva != 0).collect();
        let base = image_base(&path);
        let tables = linked(&path);
        let found = tables.exports.columns();
        let found: Vec<_> = found
            .iter()
            .zip(&expected)
            .map(|(export, expected)| {
                let rva = export.address.map_or(expected.2, |address| address - base);
                (export.ordinal.expect("a number"), export.export_name.map(str::to_owned), rva)
            })
            .collect();
        assert_eq!(found, expected, "{}", path.display());
        assert_eq!(tables.exports.columns().len(), expected.len());
    }
}

#[test]
fn exports_match_the_definition_file() {
    let Some((_folder, path)) = library() else { return };
    let tables = linked(&path);
    let exports = tables.exports.columns();
    let named = |name| {
        exports.iter().find(|export| export.export_name == Some(name)).expect("the function is exported")
    };
    assert_eq!(named("heap").forwarded_to, Some("NTDLL.RtlAllocateHeap"));
    assert_eq!(named("heap").address, None);
    assert_eq!(named("add").address, named("plus").address);
    let unnamed = exports.iter().find(|export| export.export_name.is_none()).expect("mul");
    assert_eq!(unnamed.ordinal, Some(7));
    let symbols = lowered(&path);
    let symbols = symbols.lowered.sections.symbols.columns();
    let mul = symbols.iter().find(|symbol| symbol.symbol_name == "mul").expect("the file has symbols");
    assert_eq!(unnamed.address, Some(mul.symbol_address));
    let libraries = tables.libraries.columns();
    let own: Vec<_> = libraries.iter().filter(|library| library.kind == LibraryKind::OwnName).collect();
    assert!(own.len() == 1 && own[0].library_name == "library.dll");
}

/// Members of an import library that name one symbol each.
#[test]
fn short_imports_name_symbol_library_and_export() {
    let folder = crate::Folder::with(&[(
        "kern.def",
        "LIBRARY kern.dll\nEXPORTS\nCreateThing\nByNumber @7 NONAME\nDatum DATA\n",
    )]);
    let Some(()) = folder.run("llvm-dlltool -m i386:x86-64 -d kern.def -l kern.lib") else { return };
    let mut found = Vec::new();
    for member in sections::members(&bytes(&folder.path("kern.lib"))) {
        let tables = tables(&member.bytes);
        if tables.lowered.sections.headers.columns().row(0).kind != BinaryKind::ShortImport {
            continue;
        }
        let import = tables.lowered.linkage.imports.columns().row(0);
        let symbols = tables.lowered.sections.symbols.columns();
        let symbols: Vec<_> =
            symbols.iter().map(|row| format!("{} {}", row.symbol_type, row.symbol_name)).collect();
        let library = import.library_name.expect("a library");
        let ordinal = import.ordinal.filter(|_| import.import_name.is_none());
        found.push(format!("{library} {:?} {ordinal:?} {}", import.import_name, symbols.join(", ")));
    }
    found.sort();
    let expected = [
        "kern.dll None Some(7) function ByNumber, variable __imp_ByNumber",
        r#"kern.dll Some("CreateThing") None function CreateThing, variable __imp_CreateThing"#,
        r#"kern.dll Some("Datum") None variable Datum, variable __imp_Datum"#,
    ];
    assert_eq!(found, expected);
}

/// Objects have no magic number: any known machine, with tables that are in the file, makes one.
#[test]
fn objects_of_every_machine_are_read() {
    let Some((_folder, paths)) = crate::compiled_objects() else { return };
    for path in paths {
        let mut file = bytes(&path).to_vec();
        if file[..2] == [0, 0] {
            continue;
        }
        for machine in [0x0162_u16, 0x0184, 0x01a6, 0x01c0, 0x0200, 0x0ebc, 0x5064, 0x6264, 0x9041] {
            file[..2].copy_from_slice(&machine.to_le_bytes());
            let sections = sections::run(&file.clone().into(), 0).expect("a COFF object").sections;
            assert!(!sections.is_empty(), "{machine:#x}");
        }
        file.truncate(60);
        assert!(sections::run(&file.into(), 0).is_err());
    }
}

#[test]
fn relocations_match_readobj() {
    let (_folders, paths) = read_files();
    for path in paths {
        let tables = linked(&path);
        let relocations = tables.relocations.columns();
        let headers = sections::run(&bytes(&path), 0).expect("a file that is supported").headers;
        let header = headers.columns().iter().next().expect("one header");
        if header.format == Format::Pe {
            let Some(text) = readobj("--coff-basereloc", &path) else { return };
            let expected = Block::all(&text, "  Entry {").into_iter().map(|block| {
                let kind = format!("IMAGE_REL_BASED_{}", block.value("Type").expect("a type"));
                (kind, block.number("Address").expect("a place"))
            });
            // Entries of type `ABSOLUTE` are padding.
            let expected: Vec<_> = expected.filter(|(kind, _)| !kind.ends_with("ABSOLUTE")).collect();
            let base = header.image_address.expect("a base");
            let found = relocations.iter().map(|row| (row.relocation_type.to_owned(), row.address - base));
            assert_eq!(found.collect::<Vec<_>>(), expected, "{}", path.display());
            continue;
        }
        let Some(text) = readobj("--relocations", &path) else { return };
        let found = relocations.iter().map(|row| {
            let section = row.section_index.expect("a section");
            let symbol = row.symbol_name.expect("a symbol").to_owned();
            let index = row.symbol_index.expect("a symbol");
            (section, row.address, row.relocation_type.to_owned(), symbol, index)
        });
        assert_eq!(found.collect::<Vec<_>>(), readobj_relocations(&text), "{}", path.display());
    }
}

/// `  Section (4) .text {`, then lines such as `    0x17 IMAGE_REL_AMD64_REL32 f (19)`.
fn readobj_relocations(text: &str) -> Vec<(u32, u64, String, String, u32)> {
    let mut section = 0;
    let mut relocations = Vec::new();
    for line in text.lines() {
        if let Some((index, _)) = line.trim().strip_prefix("Section (").and_then(|rest| rest.split_once(')'))
        {
            section = index.parse().expect("a number");
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [address, kind, symbol, index] = words[..]
            && address.starts_with("0x")
        {
            let symbol = symbol.to_owned();
            relocations.push((section, number(address), kind.to_owned(), symbol, number(index) as u32));
        }
    }
    relocations
}

/// The loader does not read the size of the directory, and one broken branch does not hide the others.
#[test]
fn resources_beside_a_broken_one_are_read() {
    let Some((_folder, path)) = program() else { return };
    let file = bytes(&path);
    let parsed = PeFile64::parse(&*file).expect("a PE file");
    let section = parsed.section_by_name(".rsrc").expect("the program has resources");
    let (root, _) = section.file_range().expect("it is in the file");
    let names = |file: Vec<u8>| {
        let resources = tables(&file.into()).lowered.linkage.resources;
        let names: Vec<_> = resources.columns().iter().map(|row| row.resource_type.to_owned()).collect();
        names
    };
    let all = names(file.to_vec());
    assert_eq!(all.len(), 3);
    let size = parsed.data_directory(pe::IMAGE_DIRECTORY_ENTRY_RESOURCE).expect("a directory").size.get(LE);
    let at = file.windows(4).position(|word| word == size.to_le_bytes()).expect("the size is in the header");
    let mut short = file.to_vec();
    short[at..at + 4].copy_from_slice(&16_u32.to_le_bytes());
    assert_eq!(names(short), all);
    // The first entry follows the 16 bytes of the table; its second word is the offset of its branch.
    let mut broken = file.to_vec();
    broken[root as usize + 20..root as usize + 24].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    assert_eq!(names(broken), all[1..]);
}

/// Windows moves no image without relocations, whatever its header asks for.
#[test]
fn an_image_without_relocations_has_a_fixed_address() {
    let Some((_folder, path)) = program() else { return };
    let mut file = bytes(&path).to_vec();
    let start = u32::from_le_bytes(file[0x3c..0x40].try_into().expect("four bytes")) as usize;
    // Characteristics, and those of DLLs: `DYNAMIC_BASE`.
    let (flags, dll_flags) = (start + 22, start + 24 + 70);
    file[dll_flags] |= 0x40;
    for (bit, kind, is_moved) in [(0, BinaryKind::Dynamic, true), (1, BinaryKind::Executable, false)] {
        file[flags] = file[flags] & !1 | bit;
        let headers = tables(&file.clone().into()).lowered.sections.headers;
        let header = headers.columns().row(0);
        assert_eq!((header.kind, header.is_position_independent), (kind, Some(is_moved)));
    }
}

#[test]
fn resources_match_the_source() {
    let Some((_folder, path)) = program() else { return };
    let (file, tables) = (bytes(&path), linked(&path));
    let resources = tables.resources.columns();
    let found: Vec<_> = resources
        .iter()
        .map(|resource| {
            let start = resource.file_offset.expect("the resource is in the file") as usize;
            let content = &file[start..start + resource.size as usize];
            let text: String =
                content.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| *byte as char).collect();
            (resource.resource_type, resource.resource_name, resource.language, text)
        })
        .collect();
    let row = |kind, name, text: &str| (kind, name, Some(0x409), text.to_owned());
    let expected =
        [row("MYTYPE", "7", "other"), row("RT_STRING", "1", "onetwo"), row("RT_RCDATA", "HELLO", "sometext")];
    assert_eq!(found, expected);
}

#[test]
fn tls_callbacks_are_found() {
    let Some((_folder, path)) = program() else { return };
    let tables = linked(&path);
    let lowered = lowered(&path);
    let symbols = lowered.lowered.sections.symbols.columns();
    let callback =
        symbols.iter().find(|symbol| symbol.symbol_name == "on_thread").expect("the file has symbols");
    let initializers = tables.initializers.columns();
    let mut addresses = initializers.iter().map(|initializer| initializer.function_address);
    assert!(addresses.any(|address| address == Some(callback.symbol_address)));
}

#[test]
fn the_debug_directory_has_the_build_id() {
    let Some((_folder, path)) = parts() else { return };
    let Some(text) = readobj("--coff-debug-directory", &path) else { return };
    let guid = text.lines().find_map(|line| line.trim().strip_prefix("PDBGUID: {"));
    let guid = guid.and_then(|guid| guid.strip_suffix('}')).expect("the file was linked with /debug");
    let lowered = lowered(&path);
    let header = lowered.lowered.sections.headers.columns().iter().next().expect("one header");
    // The first three numbers are little-endian in the file. The age is 1.
    let groups =
        guid.split('-').map(|group| u64::from_str_radix(group, 16).expect("a number in hexadecimal"));
    let [first, second, third, fourth, fifth] = groups.collect::<Vec<_>>()[..] else { panic!("{guid}") };
    let numbers = [
        (first as u32).swap_bytes(),
        ((second as u16).swap_bytes() as u32) << 16 | (third as u16).swap_bytes() as u32,
    ];
    let expected = format!("{:08x}{:08x}{fourth:04x}{fifth:012x}01000000", numbers[0], numbers[1]);
    assert_eq!(header.build_id, Some(expected.as_str()));
    let tables = linked(&path);
    let notes = tables.notes.columns();
    let found: Vec<_> = notes.iter().map(|note| (note.owner, note.note_type, note.text)).collect();
    let expected = [
        ("PE", "IMAGE_DEBUG_TYPE_CODEVIEW", Some("parts.pdb")),
        ("PE", "IMAGE_DEBUG_TYPE_EX_DLLCHARACTERISTICS", Some("CET_COMPAT")),
    ];
    assert_eq!(found, expected);
}

#[test]
fn data_directories_match_readobj() {
    let (_folders, paths) = programs();
    for path in paths {
        let Some(text) = readobj("--file-headers", &path) else { return };
        let block =
            Block::all(&text, "  DataDirectory {").into_iter().next().expect("the file has data directories");
        let names = ["Export", "Import", "Resource", "Exception", "Certificate", "BaseRelocation", "Debug"];
        let expected = names.iter().filter_map(|name| {
            let directory = |field| block.number(&format!("{name}Table{field}"));
            let directory = |field| directory(field).or_else(|| block.number(&format!("{name}{field}")));
            let (rva, size) = (directory("RVA")?, directory("Size")?);
            (rva != 0).then_some((rva, size))
        });
        let base = image_base(&path);
        let tables = linked(&path);
        let commands = tables.loader_commands.columns();
        let found: Vec<_> = commands
            .iter()
            .map(|row| (row.value.expect("the file has no signature") - base, row.size))
            .collect();
        let expected: Vec<_> = expected.collect();
        assert!(
            expected.len() > 2 && found.starts_with(&expected),
            "{}: {found:x?} {expected:x?}",
            path.display()
        );
    }
}
