//! Unwind entries are those that `readelf` reads: of the system's files, and of objects of several architectures.

use binframe::ir::Enumeration;
use binframe::ir::tables::{SymbolType, UnwindEntry, UnwindSource};
use binframe::passes::sections::{self, SectionsIr};
use binframe_testsuite::tools;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Source, place in the section, address, address behind.
type Frame = (UnwindSource, u64, u64, u64);

fn sections(path: &Path) -> SectionsIr {
    let file = Bytes::from(fs::read(path).expect("the file can be read"));
    sections::run(&file, 0).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn own(path: &Path) -> BTreeSet<Frame> {
    let sections = sections(path);
    let broken = sections.diagnostics.columns();
    assert!(broken.iter().all(|row| row.code.name() != "broken_unwind"), "{}", path.display());
    let frame =
        |row: UnwindEntry| (row.source, row.entry_offset, row.address, row.address.wrapping_add(row.size));
    sections.unwind_entries.columns().iter().map(frame).collect()
}

/// `000000d0 0000000000000034 000000a8 FDE cie=0000002c pc=0000000000001050..00000000000011c0`, below the section's name.
fn readelf(path: &Path) -> Option<BTreeSet<Frame>> {
    let text = tools::output("readelf", &["-W", "--debug-dump=frames"], path)?;
    let number = |text: &str| u64::from_str_radix(text, 16).expect("readelf prints numbers");
    let mut source = UnwindSource::EhFrame;
    let mut frames = BTreeSet::new();
    for line in text.lines() {
        if let Some(section) = line.strip_prefix("Contents of the ") {
            let is_debug = section.starts_with(".debug_frame");
            source = if is_debug { UnwindSource::DebugFrame } else { UnwindSource::EhFrame };
        }
        let words: Vec<_> = line.split_whitespace().collect();
        if let [offset, _, _, "FDE", _, range] = words[..] {
            let (start, end) = range.strip_prefix("pc=")?.split_once("..")?;
            frames.insert((source, number(offset), number(start), number(end)));
        }
    }
    Some(frames)
}

fn assert_same(path: &Path) -> usize {
    let Some(expected) = readelf(path) else { return 0 };
    let found = own(path);
    let missing: Vec<_> = expected.difference(&found).take(5).collect();
    assert!(missing.is_empty(), "{}: not as in readelf: {missing:x?}", path.display());
    assert_eq!(expected.len(), found.len(), "{}: readelf has fewer", path.display());
    found.len()
}

#[test]
fn of_the_systems_files() {
    let count: usize = tools::system_files(23).iter().map(|path| assert_same(path)).sum();
    assert!(count > 0 || tools::system_files(1).is_empty());
}

/// Compiles or assembles a source; none on a machine without the compiler, or where it has not that target.
fn build(folder: &TempDir, compiler: &str, flags: &[&str], extension: &str, source: &str) -> Option<PathBuf> {
    let number = fs::read_dir(folder.path()).expect("the temporary folder is readable").count();
    let path = folder.path().join(format!("{number}.{extension}"));
    let object = path.with_extension("o");
    fs::write(&path, source).expect("the temporary folder is writable");
    let built = Command::new(compiler).args(flags).arg(&path).arg("-o").arg(&object).output();
    built.is_ok_and(|output| output.status.success()).then_some(object)
}

const SOURCE: &str = "
    int outside(int);
    int first(int a) { return outside(a) + outside(a * 2); }
    static __attribute__((noinline)) int second(int a) { return outside(a * 3) + 1; }
    int third(int a) { return a < 0 ? second(a) : second(-a) + first(a); }
";

#[test]
fn of_objects_that_compilers_make() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let compilers = ["gcc", "clang", "clang-14", "aarch64-linux-gnu-gcc"];
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
            assert!(assert_same(&object) >= 3, "{compiler} {flags:?}");
            assert_sections(&object);
        }
    }
}

/// Entries stand in the sections that their functions' symbols are in, and have their sizes, where these have one.
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
fn of_objects_of_every_byte_order_and_width() {
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
                let object = ["llvm-mc", "llvm-mc-14"];
                let object = object.iter().find_map(|tool| build(&folder, tool, &flags, "s", &source));
                let Some(object) = object else { continue };
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
