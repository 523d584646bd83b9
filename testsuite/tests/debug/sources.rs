//! Facts of the source that compilers state in forms of their own.

use crate::{Debug, debug};
use binframe::ir::tables::MemberKind;
use binframe_testsuite::tools;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A folder with a source file.
fn folder(name: &str, source: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join(name), source).expect("the temporary folder is writable");
    folder
}

/// The debug tables of `out` after a command in a folder; `None`, with a message, if the tool is not installed.
fn compiled(folder: &Path, tool: &str, arguments: &[&str]) -> Option<Debug> {
    let output = tools::output(Command::new(tool).args(arguments).current_dir(folder))?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(debug(&folder.join("out")))
}

#[test]
fn a_relative_compilation_directory_is_part_of_a_path_once() {
    let folder = folder("one.c", "int one(void) { return 1; }\n");
    let map = format!("-fdebug-prefix-map={}=root", folder.path().display());
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let arguments = [version, map.as_str(), "-c", "one.c", "-o", "out"];
        let Some(debug) = compiled(folder.path(), "gcc", &arguments) else { return };
        let lines = debug.lines.columns();
        assert!(!lines.is_empty(), "{version}");
        for line in lines.iter() {
            assert_eq!(line.source_file.map(|path| path.0), Some("root/one.c"), "{version}");
        }
    }
}

/// In Fortran, an upper bound of 19 without a lower bound means 19 elements, in C it means 20.
#[test]
fn the_lower_bound_of_an_array_depends_on_the_language() {
    let folder = folder("array.c", "int numbers[3][20];\n");
    let flags = ["-gdwarf-4", "-gstrict-dwarf", "-dA", "-S", "array.c", "-o", "array.s"];
    let Some(output) = tools::output(Command::new("gcc").args(flags).current_dir(folder.path())) else {
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let assembly = fs::read_to_string(folder.path().join("array.s")).expect("it was written");
    let is_language = |line: &&str| line.contains("DW_AT_language");
    let stated = assembly.lines().find(is_language).expect("the unit states its language");
    // C99, Fortran 90, Ada 95, Rust.
    for (language, elements, name) in [
        (0x0c, 60, "int[3][20]"),
        (0x08, 38, "int[2][19]"),
        (0x0d, 38, "int[2][19]"),
        (0x1c, 60, "int[3][20]"),
    ] {
        let own = assembly.replace(stated, &format!("\t.byte\t{language:#x}\t# DW_AT_language"));
        fs::write(folder.path().join("own.s"), own).expect("the temporary folder is writable");
        let debug = compiled(folder.path(), "gcc", &["-c", "own.s", "-o", "out"]).expect("gcc is installed");
        let types = debug.types.columns();
        let arrays: Vec<_> = types.iter().filter_map(|row| row.element_count).collect();
        assert_eq!(arrays, [elements], "language {language:#x}");
        assert_eq!(debug.variables.columns().iter().next().and_then(|row| row.type_name), Some(name));
    }
}

/// `b` begins in the first storage unit of 32 bits and ends in the second one.
#[test]
fn bit_fields_of_packed_structures_have_their_offset() {
    let source =
        "struct __attribute__((packed)) bits { unsigned a : 31, b : 4, c : 17; };\nstruct bits bits;\n";
    let folder = folder("bits.c", source);
    for version in ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
        let arguments = [version, "-gstrict-dwarf", "-c", "bits.c", "-o", "out"];
        let Some(debug) = compiled(folder.path(), "gcc", &arguments) else { return };
        let members = debug.members.columns();
        let found: Vec<_> =
            members.iter().map(|row| (row.member_name, row.bit_offset, row.bit_size)).collect();
        let expected = [("a", 0, 31), ("b", 31, 4), ("c", 35, 17)]
            .map(|(name, at, bits)| (Some(name), Some(at), Some(bits)));
        assert_eq!(found, expected, "{version}");
    }
}

#[test]
fn discriminants_of_signed_types_have_a_sign() {
    let source = "#[repr(i8)] pub enum Signed { Negative(u8) = -1, Positive(u8) = 5 }\n\
                  #[unsafe(no_mangle)] pub fn signed(_: &Signed) {}\n\
                  #[repr(u8)] pub enum Unsigned { Large(u8) = 255, Small(u8) = 5 }\n\
                  #[unsafe(no_mangle)] pub fn unsigned(_: &Unsigned) {}\n";
    let folder = folder("enums.rs", source);
    let arguments = ["--crate-type=lib", "-g", "--edition=2024", "--emit=obj", "enums.rs", "-o", "out"];
    let debug = compiled(folder.path(), "rustc", &arguments).expect("rustc is installed");
    let members = debug.members.columns();
    let variants = members.iter().filter(|row| row.kind == MemberKind::Variant);
    let mut found: Vec<_> = variants.filter_map(|row| Some((row.member_name?, row.value?))).collect();
    found.sort_unstable();
    assert_eq!(found, [("Large", 255), ("Negative", -1), ("Positive", 5), ("Small", 5)]);
}
