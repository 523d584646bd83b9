//! `binary_unwind_entries` is equal to the output of `readelf`, for files of the system and for objects of several
//! architectures.

use binframe::ir::Enumeration;
use binframe::ir::tables::{Architecture, BinaryUnwindEntry, SymbolType, UnwindSource};
use binframe::passes::file::exceptions;
use binframe::passes::file::sections::{self, SectionsIr};
use binframe_testsuite::mutation::without_sections;
use binframe_testsuite::{programs, tools};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Source, offset in the section, start address, end address, whether the first row has a frame set up.
type Frame = (UnwindSource, u64, u64, u64, Option<bool>);

fn sections(path: &Path) -> SectionsIr {
    let file = Bytes::from(fs::read(path).expect("the file can be read"));
    sections::run(&file, 0).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn own(path: &Path) -> BTreeSet<Frame> {
    let sections = sections(path);
    let diagnostics = sections.diagnostics.columns();
    assert!(diagnostics.iter().all(|row| row.code.name() != "broken_unwind"), "{}", path.display());
    let frame = |row: BinaryUnwindEntry| {
        let end_address = row.address.wrapping_add(row.size);
        (row.unwind_kind, row.entry_offset, row.address, end_address, row.begins_in_frame)
    };
    sections.unwind_entries.columns().iter().map(frame).collect()
}

/// The CFA that `readelf` prints for the state right after a call.
fn frame_at_entry(architecture: Architecture) -> Option<&'static [&'static str]> {
    match architecture {
        Architecture::X86_64 => Some(&["rsp+8"]),
        Architecture::X86 => Some(&["esp+4"]),
        Architecture::Aarch64 => Some(&["sp+0"]),
        Architecture::Arm => Some(&["r13+0"]),
        Architecture::RiscV => Some(&["sp+0", "r2+0"]),
        _ => None,
    }
}

/// Parses lines such as `000000d0 0000000000000034 000000a8 FDE cie=0000002c pc=0000000000001050..00000000000011c0`,
/// which follow the name of the section. The first row of the table after an FDE is its initial CFA; without a table,
/// that of its CIE applies.
fn readelf(path: &Path, architecture: Architecture) -> Option<BTreeSet<Frame>> {
    let options = ["-W", "--debug-dump=frames-interp,no-follow-links"];
    let text = tools::print("readelf", &options, path)?;
    let number = |text: &str| u64::from_str_radix(text, 16).expect("readelf prints numbers");
    let begins_in_frame = |place: &str| Some(!frame_at_entry(architecture)?.contains(&place));
    let mut source = UnwindSource::EhFrame;
    let mut commons = BTreeMap::new();
    let mut frames = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(section) = line.strip_prefix("Contents of the ") {
            let is_debug = section.starts_with(".debug_frame");
            source = if is_debug { UnwindSource::DebugFrame } else { UnwindSource::EhFrame };
            commons.clear();
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let mut first_row = || {
            lines.next_if(|line| line.trim_start().starts_with("LOC "))?;
            Some(begins_in_frame(lines.next()?.split_whitespace().nth(1)?))
        };
        match words[..] {
            [offset, _, _, "CIE", ..] => _ = commons.insert(number(offset), first_row()),
            [offset, _, _, "FDE", common, range] => {
                let (start, end) = range.strip_prefix("pc=")?.split_once("..")?;
                let common = commons.get(&number(common.strip_prefix("cie=")?)).copied().flatten();
                let begins_in_frame = first_row().or(common).unwrap_or_else(|| begins_in_frame("none"));
                frames.insert((source, number(offset), number(start), number(end), begins_in_frame));
            }
            _ => {}
        }
    }
    Some(frames)
}

fn assert_same(path: &Path) -> usize {
    let architecture = sections(path).headers.columns().architecture.get(0).expect("an ELF file has one");
    let Some(expected) = readelf(path, architecture) else { return 0 };
    let found = own(path);
    let missing: Vec<_> = expected.difference(&found).take(5).collect();
    assert!(missing.is_empty(), "{}: only in readelf: {missing:x?}", path.display());
    assert_eq!(expected.len(), found.len(), "{}: rows that readelf does not have", path.display());
    found.len()
}

#[test]
fn entries_of_system_files_match_readelf() {
    let count: usize = tools::system_files(23).iter().map(|path| assert_same(path)).sum();
    assert!(count > 0 || tools::system_files(1).is_empty());
}

/// Compiles or assembles a source. `None` if the tool or its target is not installed.
fn build(folder: &TempDir, compiler: &str, flags: &[&str], extension: &str, source: &str) -> Option<PathBuf> {
    let number = fs::read_dir(folder.path()).expect("the temporary folder is readable").count();
    let path = folder.path().join(format!("{number}.{extension}"));
    let object = path.with_extension("o");
    fs::write(&path, source).expect("the temporary folder is writable");
    let mut command = Command::new(tools::find(compiler)?);
    let built = tools::output(command.args(flags).arg(&path).arg("-o").arg(&object))?;
    built.status.success().then_some(object)
}

const SOURCE: &str = "
    void seldom(int *) __attribute__((cold));
    int fourth(int a) {
        int all[9] = {a};
        for (int i = 0; i < a; i++)
            if (__builtin_expect(all[i % 9]++ > 3, 0)) { seldom(all); seldom(all + 1); }
        return all[a % 9];
    }
    int outside(int);
    int first(int a) { return outside(a) + outside(a * 2); }
    static __attribute__((noinline)) int second(int a) { return outside(a * 3) + 1; }
    int third(int a) { return a < 0 ? second(a) : second(-a) + first(a); }
";

#[test]
fn entries_of_compiled_objects_match_readelf() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let compilers = ["gcc", "clang"];
    let variants: [&[&str]; 8] = [
        &["-O1"],
        &["-O2", "-ffunction-sections"],
        &["-O1", "-m32", "-ffunction-sections"],
        &["-O1", "-m32", "-g", "-fno-asynchronous-unwind-tables"],
        &["-O1", "-g", "-fno-asynchronous-unwind-tables", "-ffunction-sections"],
        &["-O1", "-g", "-gdwarf-5", "-gdwarf64", "-fno-asynchronous-unwind-tables"],
        &["-O1", "-mbranch-protection=pac-ret+b-key"],
        &["-O1", "-mbranch-protection=pac-ret+b-key", "-g", "-fno-asynchronous-unwind-tables"],
    ];
    for compiler in compilers {
        for variant in variants {
            let flags = [variant, &["-c"]].concat();
            let Some(object) = build(&folder, compiler, &flags, "c", SOURCE) else { continue };
            assert!(assert_same(&object) >= 4, "{compiler} {flags:?}");
            assert_sections(&object);
        }
    }
}

/// Entries are in the sections of their functions' symbols and have the symbols' sizes.
fn assert_sections(path: &Path) {
    let sections = sections(path);
    let entries = sections.unwind_entries.columns();
    let mut entries: BTreeMap<_, _> =
        entries.iter().map(|row| ((row.section_index, row.address), row.size)).collect();
    let symbols = sections.symbols.columns();
    for symbol in symbols.iter().filter(|symbol| symbol.symbol_type == SymbolType::Function.name()) {
        let size = entries.remove(&(symbol.section_index, symbol.symbol_address));
        let size = size.unwrap_or_else(|| panic!("{}: {} has no entry", path.display(), symbol.symbol_name));
        assert!(symbol.symbol_size == 0 || symbol.symbol_size == size, "{}: {symbol:?}", path.display());
    }
    assert!(entries.is_empty(), "{}: {entries:x?}", path.display());
}

const ASSEMBLY: &str = r#"
    .text
    nop
first:
    .cfi_startproc
    nop
    .cfi_def_cfa_offset 16
    nop
    .cfi_endproc
    .section .text.second,"ax",%progbits
    nop
second:
    .cfi_startproc
    .cfi_signal_frame
    nop
    nop
    nop
    .cfi_endproc
"#;

#[test]
fn entries_of_all_byte_orders_and_address_sizes_match_readelf() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let targets = [
        "aarch64-linux",
        "aarch64_be-linux",
        "armv7-linux",
        "mips-linux",
        "mipsel-linux",
        "mips64-linux",
        "mips64el-linux",
        "powerpc-linux",
        "powerpc64-linux",
        "powerpc64le-linux",
        "riscv32-linux",
        "riscv64-linux",
        "sparc-linux",
        "sparcv9-linux",
        "i386-linux",
        "x86_64-linux",
    ];
    for target in targets {
        for sections in [".eh_frame", ".debug_frame", ".eh_frame, .debug_frame"] {
            for flags in [&["-dwarf-version=4"] as &[&str], &["-dwarf64", "-dwarf-version=5"]] {
                let triple = format!("-triple={target}-gnu");
                let flags = [&[triple.as_str(), "-filetype=obj"], flags].concat();
                let source = format!(".cfi_sections {sections}\n{ASSEMBLY}");
                let Some(object) = build(&folder, "llvm-mc", &flags, "s", &source) else { continue };
                let expected = 2 * sections.split(',').count();
                assert_eq!(assert_same(&object), expected, "{target} {sections}");
                assert_eq!(
                    own(&object).iter().map(|frame| frame.3 - frame.2).collect::<BTreeSet<_>>().len(),
                    2,
                    "{target}"
                );
            }
        }
    }
}

/// Unwind entries and call sites, without their offsets.
type Described = (BTreeSet<(UnwindSource, u64, u64, Option<u64>)>, Vec<(u64, u64, Option<u64>, u64)>);

fn described(path: &Path) -> Described {
    let file = Bytes::from(fs::read(path).expect("the file can be read"));
    let sections = sections::run(&file, 0).expect("an executable");
    assert!(sections.diagnostics.columns().iter().all(|row| row.code.name() != "broken_unwind"));
    let exceptions = exceptions::run(&file, &sections);
    assert!(exceptions.diagnostics.is_empty(), "{}", path.display());
    let entries = sections.unwind_entries.columns();
    let entries = entries.iter().map(|row| (row.unwind_kind, row.address, row.size, row.lsda_address));
    let call_sites = exceptions.call_sites.columns();
    let call_sites =
        call_sites.iter().map(|row| (row.address, row.size, row.landing_pad_address, row.action)).collect();
    (entries.collect(), call_sites)
}

/// Without section headers, unwind tables are located by segments, as by the loader.
#[test]
fn entries_are_found_without_section_headers() {
    let path = programs::compile_rust("tokens", programs::TOKENS_RS, &["-O"]);
    let expected = described(&path);
    assert!(expected.1.len() > 300);
    let file = without_sections(&fs::read(&path).expect("the file can be read"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stripped = folder.path().join("stripped");
    fs::write(&stripped, file).expect("the temporary folder is writable");
    let mut found = described(&stripped);
    // `.debug_frame` is not loaded, so it is not found.
    let mut expected = expected;
    for entries in [&mut expected.0, &mut found.0] {
        entries.retain(|entry| entry.0 == UnwindSource::EhFrame);
    }
    assert!(!found.0.is_empty() && found == expected);
}

/// Entries of compressed and uncompressed `.debug_frame` sections are equal.
#[test]
fn entries_of_compressed_sections_are_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let flags = ["-O1", "-g", "-fno-asynchronous-unwind-tables"];
    for link in [&["-c"] as &[&str], &["-shared", "-fPIC"]] {
        let plain = [&flags, link].concat();
        let Some(plain) = build(&folder, "gcc", &plain, "c", SOURCE) else { return };
        let is_debug = |entry: &(UnwindSource, _, _, _)| entry.0 == UnwindSource::DebugFrame;
        let expected = described(&plain);
        assert!(expected.0.iter().filter(|entry| is_debug(entry)).count() >= 4);
        for (how, name) in
            [("zlib-gnu", ".zdebug_frame"), ("zlib-gabi", ".debug_frame"), ("zstd", ".debug_frame")]
        {
            let compressed = folder.path().join(how);
            let mut command = Command::new("objcopy");
            let command =
                command.arg(format!("--compress-debug-sections={how}")).arg(&plain).arg(&compressed);
            if !tools::output(command).is_some_and(|output| output.status.success()) {
                continue;
            }
            let file = sections(&compressed);
            let section = file.sections.columns().iter().find(|section| section.section_name == name);
            assert!(section.is_some_and(|section| how == "zlib-gnu" || section.flags & 0x800 != 0), "{how}");
            assert!(described(&compressed) == expected, "{how}");
        }
    }
}

/// Linkers leave the entries of functions that they removed in `.debug_frame`.
#[test]
fn entries_of_removed_functions_are_left_out() {
    const SOURCE: &str = "
__attribute__((noinline)) int removed(int x) { int a[4] = {x, x, x, x}; return a[x & 3]; }
__attribute__((noinline)) int unused(int x) { return removed(x) + 1; }
__attribute__((noinline)) int used(int x) { return x * 3; }
int _start(int x) { return used(x); }
";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let flags =
        ["-O1", "-g", "-nostdlib", "-static", "-fno-asynchronous-unwind-tables", "-ffunction-sections"];
    for link in [
        &["-Wl,--gc-sections"] as &[&str],
        &["-Wl,--gc-sections,-Ttext=0"],
        &["-Wl,--gc-sections", "-fuse-ld=lld"],
    ] {
        let compiler = if link.len() > 1 { "clang" } else { "gcc" };
        let Some(path) = build(&folder, compiler, &[&flags, link].concat(), "c", SOURCE) else { return };
        let file = sections(&path);
        let symbols = file.symbols.columns();
        let functions = symbols.iter().filter(|row| row.symbol_type == SymbolType::Function.name());
        let expected: BTreeSet<_> = functions.map(|row| (row.symbol_address, row.symbol_size)).collect();
        let found = file.unwind_entries.columns();
        let found: Vec<_> = found.iter().map(|row| (row.address, row.size)).collect();
        assert!(
            found.len() == 2 && found.iter().all(|entry| expected.contains(entry)),
            "{link:?}: {found:x?}"
        );
    }
}
