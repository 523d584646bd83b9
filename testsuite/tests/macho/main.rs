//! Tables of Mach-O files match the sources and the output of LLVM's tools.

mod attributes;
mod chains;
mod llvm;
mod universal;

use binframe::ir::tables::{BinaryKind, Endianness, Format, SectionKind, SymbolDefinition, SymbolType};
use binframe::ir::{Enumeration, Rows, Table, tables};
use binframe::passes::file::linkage::{self, LinkageIr};
use binframe::passes::file::sections::{self, SectionsIr};
use binframe_testsuite::apple::{self, Fixups};
use binframe_testsuite::lowering::{self, TemporaryDataset};
use binframe_testsuite::objects::{Architecture, MESSAGE};
use binframe_testsuite::table_invariants;
use bytes::Bytes;
use object::write;
use std::collections::BTreeMap;

const APPLE_C: &str = include_str!("../../programs/apple.c");
const THROWS_CPP: &str = include_str!("../../programs/throws.cpp");

const THROWS_FLAGS: &[&str] = &["-O1", "-fexceptions", "-fcxx-exceptions", "-fasynchronous-unwind-tables"];

const ARCHITECTURES: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];
const FIXUPS: [Fixups; 2] = [Fixups::Operations, Fixups::Chains];

/// Section and linkage tables of a file, which must have no violations.
fn read(bytes: &[u8]) -> (SectionsIr, LinkageIr) {
    let file = Bytes::from(bytes.to_vec());
    assert_eq!(table_invariants::violations(&file).expect("a file that is supported"), Vec::<String>::new());
    let sections = sections::run(&file, 0).expect("a file that is supported");
    let linkage = linkage::run(&file, &sections);
    for diagnostics in [&sections.diagnostics, &linkage.diagnostics] {
        let messages = diagnostics.columns();
        assert_eq!(
            messages.iter().map(|row| row.message.to_owned()).collect::<Vec<_>>(),
            Vec::<String>::new()
        );
    }
    (sections, linkage)
}

/// Addresses of symbols that are defined in sections.
fn addresses(sections: &SectionsIr) -> BTreeMap<&str, u64> {
    let symbols = sections.symbols.columns();
    let defined = symbols.iter().filter(|symbol| symbol.definition_kind == SymbolDefinition::Section);
    defined.map(|symbol| (symbol.symbol_name, symbol.symbol_address)).collect()
}

/// The 64-bit word at an address.
fn word(sections: &SectionsIr, address: u64) -> u64 {
    let columns = sections.sections.columns();
    let mut holders = columns.iter().filter(|section| section.address <= address);
    let section = holders.find(|section| address - section.address < section.size).expect("a section");
    let offset = (address - section.address) as usize;
    u64::from_le_bytes(section.content[offset..offset + 8].try_into().expect("eight bytes"))
}

#[test]
fn linked_files_match_their_source() {
    for (architecture, fixups) in ARCHITECTURES.into_iter().flat_map(|one| FIXUPS.map(|other| (one, other))) {
        let Some(bytes) = apple::executable(architecture, fixups) else { return };
        let (sections, linkage) = read(&bytes);
        let at = addresses(&sections);
        let header = sections.headers.columns().iter().next().expect("a header");
        assert_eq!((header.format, header.kind), (Format::MachO, BinaryKind::Dynamic));
        assert_eq!((header.bits, header.endianness), (Some(64), Some(Endianness::Little)));
        assert_eq!(header.entry_address, Some(at["_checked_twice"]));
        assert_eq!(header.image_address, Some(at["__mh_execute_header"]));
        assert_eq!(header.interpreter, Some("/usr/lib/dyld"));
        assert_eq!(header.build_id.map(str::len), Some(32));
        assert_eq!(header.is_position_independent, Some(true));
        assert_eq!(header.has_signature, Some(architecture == Architecture::Aarch64));

        let imports = linkage.imports.columns();
        let report = imports.iter().find(|row| row.import_name == Some("_report")).expect("an import");
        // A pointer in data is bound at load time.
        assert!(!report.is_delayed && !report.is_weak);
        let others = imports.iter().filter_map(|row| row.import_name).filter(|name| *name != "_report");
        assert!(others.into_iter().all(|name| name == "dyld_stub_binder"));
        let exports = linkage.exports.columns();
        let exports: Vec<_> =
            exports.iter().map(|row| (row.export_name.expect("a name"), row.address)).collect();
        let expected = ["__mh_execute_header", "_checked_twice", "_operations"];
        for name in expected {
            assert!(exports.contains(&(name, Some(at[name]))), "{name}: {exports:x?}");
        }
        assert_eq!(exports.len(), expected.len());

        let relocations = linkage.relocations.columns();
        let places: BTreeMap<_, _> = relocations.iter().map(|row| (row.address, row)).collect();
        assert!(places.contains_key(&report.slot_address.expect("an import slot")));
        let operations = at["_operations"];
        assert_eq!(places[&operations].symbol_name, Some("_report"));
        for (offset, name) in [(8, "_twice"), (16, "_checked_twice"), (24, "_message")] {
            let place = &places[&(operations + offset)];
            let target = match fixups {
                Fixups::Operations => word(&sections, operations + offset),
                Fixups::Chains => place.addend.expect("an address") as u64,
            };
            assert_eq!((place.symbol_name, target), (None, at[name]), "{name}");
        }
        assert_eq!(word(&sections, at["_message"]).to_le_bytes(), MESSAGE.as_bytes()[..8]);
    }
}

#[test]
fn initializers_match_the_source() {
    for fixups in FIXUPS {
        for flags in [&["-dylib"][..], &["-dylib", "-init_offsets"]] {
            let Some(object) = apple::compile("x86_64", "c", APPLE_C, &["-O1"]) else { return };
            let Some(bytes) = apple::link(Architecture::X86_64, fixups, &[&object], flags) else { return };
            let (sections, linkage) = read(&bytes);
            let at = addresses(&sections);
            let rows = linkage.initializers.columns();
            let functions: Vec<_> = rows.iter().map(|row| (row.kind.name(), row.function_address)).collect();
            // The compiler registers the destructor in an initializer function.
            let init = at.iter().find(|(name, _)| name.contains("GLOBAL_init") || name.contains("begin"));
            let (_, address) = init.expect("an initializer");
            assert!(functions.contains(&("init", Some(*address))), "{functions:x?}, {at:x?}");
        }
    }
}

#[test]
fn executables_are_analyzed_by_all_stages() {
    let Some(object) = apple::compile("x86_64", "c", APPLE_C, &["-O1", "-fasynchronous-unwind-tables"])
    else {
        return;
    };
    let throws = apple::compile("x86_64", "cpp", THROWS_CPP, THROWS_FLAGS);
    let throws = throws.expect("the compiler has compiled C");
    let inputs = [object.as_slice(), &throws];
    for fixups in FIXUPS {
        let flags = ["-execute", "-e", "_main"];
        let Some(bytes) = apple::link(Architecture::X86_64, fixups, &inputs, &flags) else { return };
        let (sections, linkage) = read(&bytes);
        let imports = linkage.imports.columns();
        let imports = imports.iter().map(|row| (row.import_name.expect("a name"), row));
        let imports: BTreeMap<_, _> = imports.collect();
        assert_eq!(imports["_printf"].is_delayed, fixups == Fixups::Operations);
        assert!(imports["_perhaps"].is_weak && !imports["_printf"].is_weak);
        let written = TemporaryDataset::of_bytes("apple", &bytes).expect("the file is supported");
        let functions = written.table(tables::Functions::INFO);
        let functions = Rows::<tables::Functions>::from_batch(functions).expect("its table");
        let functions: BTreeMap<_, _> = functions
            .columns()
            .iter()
            .map(|row| (row.address, row.function_name.map(str::to_owned)))
            .collect();
        let symbols = sections.symbols.columns();
        let code = symbols.iter().filter(|symbol| symbol.section_name == Some("__TEXT,__text"));
        for symbol in code.filter(|symbol| symbol.symbol_type == SymbolType::Function.name()) {
            assert!(functions.contains_key(&symbol.symbol_address), "{}", symbol.symbol_name);
        }
    }
}

#[test]
fn every_function_has_its_unwind_entry() {
    for architecture in ARCHITECTURES {
        let name = if architecture == Architecture::X86_64 { "x86_64" } else { "arm64" };
        let c = apple::compile(name, "c", APPLE_C, &["-O1", "-fasynchronous-unwind-tables"]);
        let Some(c) = c else { return };
        let cpp = apple::compile(name, "cpp", THROWS_CPP, THROWS_FLAGS);
        let cpp = cpp.expect("the compiler has compiled C");
        let linked = apple::link(architecture, Fixups::Chains, &[&c, &cpp], &["-dylib"]);
        let Some(linked) = linked else { return };
        let (sections, linkage) = read(&linked);
        let entries = sections.unwind_entries.columns();
        let symbols = sections.symbols.columns();
        let code = symbols.iter().filter(|symbol| symbol.section_name == Some("__TEXT,__text"));
        let mut starts: Vec<_> = code.map(|symbol| (symbol.symbol_address, symbol.symbol_name)).collect();
        starts.sort_unstable();
        starts.dedup_by_key(|start| start.0);
        for (index, (address, name)) in starts.iter().enumerate() {
            // The compact entry of a function with DWARF unwind information refers to DWARF only; clang 19 emits these
            // for arm64.
            let own = entries.iter().filter(|entry| entry.address == *address);
            let entry = own.max_by_key(|entry| entry.lsda_address.is_some());
            let entry = entry.unwrap_or_else(|| panic!("{name} has no entry"));
            let end = starts.get(index + 1).map_or(u64::MAX, |next| next.0);
            assert!(entry.size > 0 && address + entry.size <= end, "{name}: {entry:x?}");
            let has_landing_pads = name.contains("caught") || name.contains("cleaned_up");
            assert_eq!(entry.lsda_address.is_some(), has_landing_pads, "{name}");
            let relocations = linkage.relocations.columns();
            let personality = entry.personality_address.map(|slot| {
                let row = relocations.iter().find(|row| row.address == slot).expect("the slot is relocated");
                row.symbol_name.map(str::to_owned)
            });
            let expected = has_landing_pads.then(|| Some("___gxx_personality_v0".to_owned()));
            assert_eq!(personality, expected, "{name}");
        }
        // In an object, the functions have the same entries, at offsets in their section.
        let (sections, _) = read(&cpp);
        let described = sections.unwind_entries.columns();
        let symbols = sections.symbols.columns();
        for name in ["__ZN7numbers6caughtEi", "__Z10cleaned_upi", "__Z6passedi"] {
            let symbol = symbols.iter().find(|symbol| symbol.symbol_name == name).expect("a function");
            let offset = symbol.symbol_address;
            let found = described.iter().find(|entry| entry.address == offset).expect("an entry");
            assert_eq!((found.section_index, found.section_index.is_some()), (symbol.section_index, true));
        }
    }
}

#[test]
fn files_of_32_bit_architectures_are_read() {
    let Some(object) = apple::compile("i386", "c", APPLE_C, &["-O1"]) else { return };
    let (sections, linkage) = read(&object);
    let header = sections.headers.columns().iter().next().expect("a header");
    assert_eq!((header.bits, header.kind), (Some(32), BinaryKind::Relocatable));
    assert_eq!(header.architecture, Some(tables::Architecture::X86));
    let relocations = linkage.relocations.columns();
    let types: Vec<_> = relocations.iter().map(|row| row.relocation_type.to_owned()).collect();
    assert!(types.iter().any(|name| name == "GENERIC_RELOC_VANILLA"), "{types:?}");
}

#[test]
fn big_endian_files_are_read() {
    for (architecture, bits) in [(object::Architecture::PowerPc, 32), (object::Architecture::PowerPc64, 64)] {
        let format = object::BinaryFormat::MachO;
        let mut object = write::Object::new(format, architecture, object::Endianness::Big);
        let text = object.section_id(write::StandardSection::Text);
        let symbol = write::Symbol {
            name: b"main".to_vec(),
            value: 0,
            size: 0,
            kind: object::SymbolKind::Text,
            scope: object::SymbolScope::Dynamic,
            weak: false,
            section: write::SymbolSection::Undefined,
            flags: object::SymbolFlags::None,
        };
        let symbol = object.add_symbol(symbol);
        object.add_symbol_data(symbol, text, &[0x4e, 0x80, 0x00, 0x20], 4);
        let (sections, _) = read(&object.write().expect("an object"));
        let header = sections.headers.columns().iter().next().expect("a header");
        assert_eq!((header.bits, header.endianness), (Some(bits), Some(Endianness::Big)));
        let section = sections.sections.columns().iter().next().expect("a section");
        assert_eq!((section.section_name, section.section_index), ("__TEXT,__text", 1));
        assert_eq!((section.kind, section.content), (SectionKind::Code, &[0x4e, 0x80, 0x00, 0x20][..]));
        assert_eq!(addresses(&sections), BTreeMap::from([("_main", 0)]));
    }
}

/// Functions with equal frames, whose unwind entries linkers fold.
const FOLDED_C: &str = "
    volatile int sink;
    __attribute__((noinline)) static int first(int number) { sink = number; return number + sink; }
    __attribute__((noinline)) static int second(int number) { sink = number + 1; return number * sink; }
    __attribute__((noinline)) static int third(int number) { sink = number + 2; return number - sink; }
    int checked_twice(int number) { return first(number) + second(number) * third(number); }
";

#[test]
fn functions_inside_folded_unwind_entries_are_found() {
    let flags = ["-O1", "-fno-omit-frame-pointer", "-fasynchronous-unwind-tables"];
    let Some(object) = apple::compile("x86_64", "c", FOLDED_C, &flags) else { return };
    let link = |flags: &[&str]| {
        let flags = [&["-execute", "-e", "_checked_twice"], flags].concat();
        apple::link(Architecture::X86_64, Fixups::Chains, &[&object], &flags)
    };
    let (Some(full), Some(stripped)) = (link(&[]), link(&["-x", "-no_function_starts"])) else { return };
    let (sections, _) = read(&full);
    let known = addresses(&sections);
    let (sections, _) = read(&stripped);
    let entries = sections.unwind_entries.columns();
    assert!(entries.iter().any(|entry| entry.size > known["_second"] - known["_first"]));
    // The headers have another size.
    let shift = addresses(&sections)["_checked_twice"].wrapping_sub(known["_checked_twice"]);
    let functions = lowering::tables(&Bytes::from(stripped)).lowered.cfg.functions;
    for name in ["_first", "_second", "_third", "_checked_twice"] {
        let address = known[name].wrapping_add(shift);
        assert!(functions.columns().address.contains(&address), "{name}");
    }
}
