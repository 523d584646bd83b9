//! Tables of Mach-O files are equal to the output of LLVM's tools.

use super::{APPLE_C, ARCHITECTURES, THROWS_CPP, THROWS_FLAGS, read};
use binframe::ir::tables::{SymbolBinding, SymbolDefinition, SymbolVisibility, UnwindSource};
use binframe_testsuite::apple::{self, Fixups};
use binframe_testsuite::objects::Architecture;
use std::collections::{BTreeMap, BTreeSet};

/// Objects and linked files, by name.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for architecture in ARCHITECTURES {
        let name = if architecture == Architecture::X86_64 { "x86_64" } else { "arm64" };
        let flags = ["-O1", "-g", "-fasynchronous-unwind-tables", "-fexceptions"];
        let c = apple::compile(name, "c", APPLE_C, &flags);
        let Some(c) = c else { return files };
        let cpp = apple::compile(name, "cpp", THROWS_CPP, THROWS_FLAGS);
        let cpp = cpp.expect("the compiler has compiled C");
        for fixups in [Fixups::Operations, Fixups::Chains] {
            let library =
                apple::link(architecture, fixups, &[&c, &cpp], &["-dylib", "-current_version", "1.2.3"]);
            let program = apple::link(architecture, fixups, &[&c, &cpp], &["-execute", "-e", "_main"]);
            for (kind, file) in [("library", library), ("program", program)] {
                files.extend(file.map(|file| (format!("{name} {kind} with {fixups:?}"), file)));
            }
        }
        files.extend([(format!("{name} C"), c), (format!("{name} C++"), cpp)]);
    }
    let i386 = apple::compile("i386", "c", APPLE_C, &["-O1"]);
    files.extend(i386.map(|file| ("i386 C".to_owned(), file)));
    files
}

/// Blocks of a kind in the output of `llvm-readobj`, as keys and values; flags have no value.
fn blocks(text: &str, kind: &str) -> Vec<BTreeMap<String, String>> {
    let start = format!("  {kind} {{");
    let mut blocks = Vec::new();
    let mut block = None;
    for line in text.lines() {
        if line == start {
            block = Some(BTreeMap::new());
        } else if line == "  }" {
            blocks.extend(block.take());
        } else if let Some(block) = &mut block {
            let (key, value) = line.trim().split_once(": ").unwrap_or((line.trim(), ""));
            let (key, value) = match key.split_once(" [ (") {
                Some((key, value)) => (key, value.trim_end_matches(')')),
                None => (key, value),
            };
            block.insert(key.to_owned(), value.to_owned());
        }
    }
    blocks
}

fn hexadecimal(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_else(|_| panic!("not a number: {text}"))
}

/// Splits `Name (0x1)` to the name and the number. The name is missing if it is unknown to the tool.
fn with_code(text: &str) -> (&str, u64) {
    let (name, code) = text.rsplit_once('(').unwrap_or(("", text));
    (
        name.trim_end(),
        code.trim_end_matches(')').parse().unwrap_or_else(|_| hexadecimal(code.trim_end_matches(')'))),
    )
}

#[test]
fn sections_match_readobj() {
    for (file_name, file) in files() {
        let Some(text) = apple::llvm("readobj", &["--sections"], &file) else { return };
        let (sections, _) = read(&file);
        let columns = sections.sections.columns();
        let expected = blocks(&text, "Section");
        assert_eq!(columns.len(), expected.len(), "{file_name}");
        for (row, block) in columns.iter().zip(expected) {
            let bytes = |key: &str| block[key].split(" (").next().expect("a name").to_owned();
            assert_eq!(row.section_name, format!("{},{}", bytes("Segment"), bytes("Name")), "{file_name}");
            let is_loaded = row.is_readable;
            assert_eq!(row.address, if is_loaded { hexadecimal(&block["Address"]) } else { 0 });
            assert_eq!(row.size, hexadecimal(&block["Size"]));
            assert_eq!(row.file_offset.to_string(), block["Offset"]);
            assert_eq!(row.alignment, 1 << block["Alignment"].parse::<u32>().expect("a number"));
            let flags = hexadecimal(&block["Attributes"]) << 8 | with_code(&block["Type"]).1;
            assert_eq!(row.flags, flags, "{file_name} {}", row.section_name);
            assert_eq!(row.info.map(u64::from), Some(hexadecimal(&block["Reserved1"])));
            assert_eq!(row.entry_size, Some(hexadecimal(&block["Reserved2"])));
            assert_eq!(u64::from(row.section_index), block["Index"].parse::<u64>().expect("a number") + 1);
        }
    }
}

#[test]
fn symbols_match_readobj() {
    for (file_name, file) in files() {
        let Some(text) = apple::llvm("readobj", &["--symbols"], &file) else { return };
        let (sections, _) = read(&file);
        let columns = sections.symbols.columns();
        let expected = blocks(&text, "Symbol");
        assert_eq!(columns.len(), expected.len(), "{file_name}");
        for (row, block) in columns.iter().zip(expected) {
            let name = block["Name"].rsplit_once(" (").expect("a name and its offset").0;
            assert_eq!(row.symbol_name, name, "{file_name}");
            assert_eq!(row.symbol_address, hexadecimal(&block["Value"]), "{file_name} {name}");
            let (_, kind) = with_code(&block["Type"]);
            let is_stab = kind & 0xe0 != 0;
            assert_eq!(row.definition_kind == SymbolDefinition::Debug, is_stab, "{file_name} {name}");
            if is_stab {
                continue;
            }
            let section = with_code(&block["Section"]).1;
            assert_eq!(u64::from(row.section_index.unwrap_or(0)), section, "{file_name} {name}");
            assert_eq!(row.definition_kind == SymbolDefinition::Section, section != 0, "{file_name} {name}");
            let is_external = block.contains_key("Extern");
            assert_eq!(row.binding != SymbolBinding::Local, is_external, "{file_name} {name}");
            let is_hidden = block.contains_key("PrivateExtern");
            assert_eq!(row.visibility == SymbolVisibility::Hidden, is_hidden, "{file_name} {name}");
        }
    }
}

#[test]
fn relocations_of_objects_match_readobj() {
    for (file_name, file) in files() {
        let Some(text) = apple::llvm("readobj", &["--relocations"], &file) else { return };
        let (sections, linkage) = read(&file);
        let names: BTreeMap<_, _> =
            sections.sections.columns().iter().map(|row| (row.section_index, row)).collect();
        let relocations = linkage.relocations.columns();
        let found = relocations.iter().filter(|row| !row.is_dynamic).map(|row| {
            let section = names[&row.section_index.expect("a section")].section_name;
            let section = section.split(',').next_back().expect("a name").to_owned();
            (section, row.address, row.relocation_type.to_owned(), row.symbol_name.map(str::to_owned))
        });
        let found: Vec<_> = found.filter(|row| row.2 != "GENERIC_RELOC_PAIR").collect();
        let mut section = String::new();
        let mut expected = Vec::new();
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            match words.as_slice() {
                ["Section", name, "{"] => section = (*name).to_owned(),
                // The fourth column states whether the entry refers to a symbol.
                [offset, _, _, is_external, kind, _, symbol] if offset.starts_with("0x") => {
                    let symbol = (*is_external == "1").then(|| (*symbol).to_owned());
                    expected.push((section.clone(), hexadecimal(offset), (*kind).to_owned(), symbol));
                }
                _ => {}
            }
        }
        expected.retain(|row| row.2 != "GENERIC_RELOC_PAIR");
        // An `ARM64_RELOC_ADDEND` is the addend of the next entry.
        let (added, expected): (Vec<_>, Vec<_>) =
            expected.into_iter().partition(|row| row.2 == "ARM64_RELOC_ADDEND");
        assert_eq!(found, expected, "{file_name}");
        let with_addend = relocations.iter().filter(|row| !row.is_dynamic && row.addend.is_some());
        let with_addend: Vec<_> = with_addend.map(|row| row.address).collect();
        assert_eq!(with_addend, added.iter().map(|row| row.1).collect::<Vec<_>>(), "{file_name}");
    }
}

/// Addresses that operations relocate or bind, with the symbol.
type Changed = BTreeSet<(u64, Option<String>)>;

#[test]
fn rebase_and_bind_operations_match_objdump() {
    const ARGUMENTS: [&str; 5] = ["--macho", "--rebase", "--bind", "--lazy-bind", "--weak-bind"];
    for (file_name, file) in files().into_iter().filter(|(name, _)| name.contains("Operations")) {
        let Some(text) = apple::llvm("objdump", &ARGUMENTS, &file) else { return };
        let (_, linkage) = read(&file);
        let relocations = linkage.relocations.columns();
        let found: Changed =
            relocations.iter().map(|row| (row.address, row.symbol_name.map(str::to_owned))).collect();
        let mut expected = Changed::new();
        let mut libraries = BTreeMap::new();
        let mut is_rebase = false;
        for line in text.lines() {
            if line.ends_with(" table:") {
                is_rebase = line.starts_with("Rebase");
            }
            let words: Vec<_> = line.split_whitespace().collect();
            let Some(address) = words.iter().find(|word| word.starts_with("0x")) else { continue };
            let mut names = words.iter().filter(|word| **word != "(weak_import)");
            let symbol = names.next_back().filter(|_| !is_rebase).map(|name| (*name).to_owned());
            if let (Some(symbol), true) = (&symbol, line.contains("flat-namespace")) {
                libraries.insert(symbol.clone(), line.contains("(weak_import)"));
            }
            expected.insert((hexadecimal(address), symbol));
        }
        assert_eq!(found, expected, "{file_name}");
        let imports = linkage.imports.columns();
        let imports = imports.iter().map(|row| (row.import_name.expect("a name").to_owned(), row.is_weak));
        // Only the non-lazy table states that an import is weak.
        assert_eq!(
            imports.map(|row| row.0).collect::<BTreeSet<_>>(),
            libraries.into_keys().collect(),
            "{file_name}"
        );
    }
}

#[test]
fn exports_match_objdump() {
    for (file_name, file) in files() {
        let Some(text) = apple::llvm("objdump", &["--macho", "--exports-trie"], &file) else { return };
        let (_, linkage) = read(&file);
        let exports = linkage.exports.columns();
        let found: Vec<_> =
            exports.iter().filter_map(|row| Some((row.address?, row.export_name.expect("a name")))).collect();
        // The address of a thread-local export is that of its descriptor.
        let is_address = |line: &&str| !line.contains("[per-thread]");
        let export = |line: &str| -> Option<(u64, String)> {
            let mut words = line.split_whitespace();
            let address = words.next().filter(|word| word.starts_with("0x"))?;
            Some((hexadecimal(address), words.next()?.to_owned()))
        };
        let expected: Vec<_> = text.lines().filter(is_address).filter_map(export).collect();
        // Older versions read the export trie only from `LC_DYLD_INFO_ONLY`.
        if expected.is_empty() && file_name.contains("Chains") {
            continue;
        }
        let found: Vec<_> = found.into_iter().map(|(address, name)| (address, name.to_owned())).collect();
        assert_eq!(found, expected, "{file_name}");
    }
}

#[test]
fn compact_unwind_entries_match_objdump() {
    for (file_name, file) in files().into_iter().filter(|(name, _)| name.contains("with")) {
        let Some(text) = apple::llvm("objdump", &["--macho", "--unwind-info"], &file) else { return };
        let (sections, _) = read(&file);
        let image = sections.headers.columns().iter().next().and_then(|header| header.image_address);
        let image = image.expect("an address");
        let entries = sections.unwind_entries.columns();
        // Entries of the linker, some of which cover several functions in the tables.
        let mut found: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.unwind_kind == UnwindSource::CompactUnwind) {
            let end = entry.address + entry.size - image;
            let range = found.entry(entry.entry_offset).or_insert((entry.address - image, end));
            *range = (range.0.min(entry.address - image), range.1.max(end));
        }
        let mut starts = Vec::new();
        let mut end = 0;
        for line in text.lines().filter(|line| line.contains("function offset=")) {
            let after = |key: &str| {
                let value = line.split_once(key)?.1.split([',', ' ']).next()?;
                Some(hexadecimal(value))
            };
            let offset = after("function offset=").expect("an offset");
            match line.split_once("]=") {
                Some((_, encoding)) => starts.push((offset, hexadecimal(encoding.trim()))),
                None if line.contains("page offset=0x00000000") => end = offset,
                None => {}
            }
        }
        let ends = starts.iter().skip(1).map(|start| start.0).chain([end]);
        let expected = starts.iter().zip(ends).filter(|(start, _)| start.1 != 0);
        let expected: Vec<_> = expected.map(|(start, end)| (start.0, end)).collect();
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_unstable();
        assert!(!expected.is_empty(), "{file_name}: {text}");
        assert_eq!(found, expected, "{file_name}");
    }
}

#[test]
fn load_commands_match_objdump() {
    for (file_name, file) in files() {
        let Some(text) = apple::llvm("objdump", &["--macho", "--private-headers"], &file) else { return };
        let (_, linkage) = read(&file);
        let commands = linkage.loader_commands.columns();
        let found: Vec<_> =
            commands.iter().map(|row| (row.command.to_owned(), row.size.to_string())).collect();
        let lines = text.lines().map(str::trim);
        let mut expected: Vec<(String, String)> = Vec::new();
        for line in lines {
            match line.split_once(' ') {
                Some(("cmd", name)) => expected.push((name.trim().to_owned(), String::new())),
                Some(("cmdsize", size)) => {
                    let last = expected.last_mut().filter(|last| last.1.is_empty());
                    last.expect("a command").1 = size.split_whitespace().next().expect("a number").to_owned();
                }
                _ => {}
            }
        }
        // Older versions do not know the names of new commands.
        for (found, expected) in found.iter().zip(&mut expected) {
            if expected.0.starts_with('?') {
                expected.0.clone_from(&found.0);
            }
        }
        assert_eq!(found, expected, "{file_name}");
    }
}
