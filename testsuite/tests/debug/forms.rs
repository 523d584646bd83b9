//! The debug tables do not depend on how debug information is stored: compressed, split, or in a separate file.

use crate::debug;
use binframe::ir::tables::LocationClass;
use binframe::ir::{Batch, Fingerprint, to_text};
use binframe_testsuite::lowering::tables;
use binframe_testsuite::programs::SHAPES_C;
use binframe_testsuite::{apple, programs, tools};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A folder with the source of the program.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("shapes.c"), SHAPES_C).expect("the temporary folder is writable");
    folder
}

/// Runs a tool in a folder and returns whether it succeeded.
fn ran(folder: &Path, tool: &str, arguments: &[&str]) -> bool {
    let output = tools::output(Command::new(tool).args(arguments).current_dir(folder));
    output.is_some_and(|output| output.status.success())
}

fn compiled(folder: &Path, name: &str, flags: &[&str]) -> Option<PathBuf> {
    let fixed = ["shapes.c", "-o", name];
    ran(folder, "gcc", &[flags, &fixed].concat()).then(|| folder.join(name))
}

/// Fingerprint and number of rows that do not depend on storage: offsets of units and names of files and compilers are
/// left out.
fn fingerprint(path: &Path, of_variables: &[&str]) -> (Fingerprint, usize) {
    let debug = debug(path);
    let without = |batch: &Batch, left_out: &[&str]| {
        let text = to_text(batch);
        let mut lines = text.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let header = lines.next().expect("a header");
        let kept: Vec<_> = (0..header.len()).filter(|column| !left_out.contains(&header[*column])).collect();
        lines
            .map(|line| kept.iter().map(|column| line[*column]).collect::<Vec<_>>().join("|") + "\n")
            .collect()
    };
    let tables: [(&Batch, &[&str]); 5] = [
        (debug.lines.batch(), &[]),
        (debug.functions.batch(), &["entry_offset"]),
        (debug.variables.batch(), of_variables),
        (debug.types.batch(), &["entry_offset"]),
        (debug.members.batch(), &[]),
    ];
    let text: String =
        tables.iter().map(|(batch, left_out)| -> String { without(batch, left_out) }).collect();
    let rows = tables.iter().map(|(batch, _)| batch.rows()).sum();
    (Fingerprint::of_bytes(text.as_bytes()), rows)
}

#[test]
fn compressed_debug_sections_give_the_same_tables() {
    let folder = folder();
    let folder = folder.path();
    let Some(plain) = compiled(folder, "plain", &["-g", "-O2"]) else { return };
    let expected = fingerprint(&plain, &["entry_offset"]);
    assert!(expected.1 > 100);
    let mut compared = 0;
    for kind in ["zlib", "zlib-gnu", "zstd"] {
        let option = format!("--compress-debug-sections={kind}");
        if ran(folder, "objcopy", &[&option, "plain", kind]) {
            assert!(fs::metadata(folder.join(kind)).is_ok(), "{kind}");
            assert_eq!(fingerprint(&folder.join(kind), &["entry_offset"]), expected, "{kind}");
            compared += 1;
        }
    }
    assert!(compared >= 1 || tools::find("objcopy").is_none());
}

#[test]
fn split_packaged_and_separate_debug_files_give_the_same_tables() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let folder = folder();
        let folder = folder.path();
        // In split DWARF 4, GCC 12 writes a wrong offset for thread-local variables.
        let flags = ["-g", "-O2", version, "-D__thread="];
        let Some(plain) = compiled(folder, "plain", &flags) else { return };
        // It also writes a different end of the last location range of a variable.
        let fingerprint = |path: &Path| fingerprint(path, &["entry_offset", "valid_size"]);
        let expected = fingerprint(&plain);
        let split =
            compiled(folder, "split", &[&flags[..], &["-gsplit-dwarf"]].concat()).expect("gcc is there");
        assert_eq!(fingerprint(&split), expected, "{version}");
        let units = debug(&split).units;
        assert!(units.columns().row(0).split_name.is_some_and(|name| name.contains(".dwo")));
        if ran(folder, "dwp", &["-e", "split", "-o", "split.dwp"]) {
            for entry in fs::read_dir(folder).expect("the folder").flatten() {
                if entry.path().extension().is_some_and(|extension| extension == "dwo") {
                    fs::remove_file(entry.path()).expect("the folder is writable");
                }
            }
            assert_eq!(fingerprint(&split), expected, "{version}, in a DWARF package");
        }
        assert!(ran(folder, "objcopy", &["--only-keep-debug", "plain", "plain.debug"]));
        assert!(ran(
            folder,
            "objcopy",
            &["--strip-debug", "--add-gnu-debuglink=plain.debug", "plain", "stripped"]
        ));
        assert_eq!(fingerprint(&folder.join("stripped")), expected, "{version}, in a separate debug file");
    }
}

#[test]
fn types_in_type_units_are_found() {
    for flags in [
        ["-gdwarf-4", "-g"],
        ["-gdwarf-5", "-g"],
        ["-gdwarf-4", "-gsplit-dwarf"],
        ["-gdwarf-5", "-gsplit-dwarf"],
    ] {
        let folder = folder();
        let flags = [&flags[..], &["-O2", "-fdebug-types-section"]].concat();
        let Some(path) = compiled(folder.path(), "types", &flags) else { return };
        let debug = debug(&path);
        let (types, members) = (debug.types.columns(), debug.members.columns());
        let point = debug
            .variables
            .columns()
            .iter()
            .find(|row| row.variable_name == Some("point"))
            .expect("a variable");
        assert_eq!(point.size, Some(if point.is_parameter { 8 } else { 16 }), "{flags:?}");
        let described =
            types.iter().find(|row| row.type_name == Some("point") && !row.is_declaration).expect("a type");
        let names: Vec<_> = members
            .iter()
            .filter(|row| row.type_index == described.type_index)
            .filter_map(|row| row.member_name)
            .collect();
        assert_eq!(names, ["x", "near", "far", "name"], "{flags:?}");
        let alias = types.iter().find(|row| row.type_name == Some("point_t")).expect("a typedef");
        assert_eq!(alias.target_type_index, Some(described.type_index), "{flags:?}");
    }
}

#[test]
fn an_object_gives_the_same_tables_as_the_linked_file() {
    let folder = folder();
    let Some(linked) = compiled(folder.path(), "linked", &["-g", "-O2"]) else { return };
    let object = compiled(folder.path(), "object", &["-g", "-O2", "-c"]).expect("gcc is there");
    let (linked, object) = (debug(&linked), debug(&object));
    let names = |rows: &crate::Debug| -> Vec<_> {
        rows.functions.columns().iter().map(|row| (row.function_name.map(str::to_owned), row.size)).collect()
    };
    assert_eq!(names(&linked), names(&object));
    let lines = |rows: &crate::Debug| -> Vec<_> {
        let files = rows
            .lines
            .columns()
            .iter()
            .map(|row| (row.source_file.map(|file| file.0.to_owned()), row.source_line, row.size));
        files.collect()
    };
    assert_eq!(lines(&linked), lines(&object));
}

#[test]
fn thread_local_variables_of_objects_have_offsets() {
    const SOURCE: &str = "__thread int one = 1; __thread int two = 2; __thread int three = 3;";
    let x86 = [("gcc", "-m64"), ("clang", "--target=x86_64-linux-gnu")];
    let targets = [
        "i386",
        "arm",
        "aarch64",
        "riscv64",
        "powerpc64",
        "powerpc64le",
        "mips64",
        "mipsel",
        "s390x",
        "sparc64",
    ]
    .map(|target| format!("--target={target}-linux-gnu"));
    let all = x86.into_iter().chain(targets.iter().map(|target| ("clang", target.as_str())));
    let mut compared = 0;
    for (compiler, target) in all {
        for version in ["-gdwarf-4", "-gdwarf-5"] {
            let flags = ["-c", "-g", version, "-fdata-sections", target];
            let Some(path) = programs::compile_c_with(compiler, "threads", SOURCE, &flags) else { continue };
            let variables = debug(&path).variables;
            let found: Vec<_> =
                variables.columns().iter().map(|row| (row.location_kind, row.address)).collect();
            // Clang's AArch64 objects do not say where thread-local variables are.
            if found.iter().all(|(kind, _)| *kind == LocationClass::OptimizedOut) {
                continue;
            }
            // Each variable is in a section of its own.
            let expected = [Some(0); 3].map(|offset| (LocationClass::ThreadLocal, offset));
            assert_eq!(found, expected, "{compiler} {target} {version}");
            compared += 1;
        }
    }
    assert!(compared > 10 || tools::find("clang").is_none(), "{compared}");
}

#[test]
fn files_of_split_units_can_be_read_alone() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let folder = folder();
        let folder = folder.path();
        let flags = ["-g", "-O2", version, "-gsplit-dwarf"];
        let Some(linked) = compiled(folder, "split", &flags) else { return };
        let names = |path: &Path| -> (Vec<_>, usize) {
            let debug = debug(path);
            let names =
                debug.types.columns().iter().filter_map(|row| Some(row.type_name?.to_owned())).collect();
            (names, debug.members.columns().len())
        };
        let expected = names(&linked);
        assert!(expected.1 > 5, "{version}: {expected:?}");
        if ran(folder, "dwp", &["-e", "split", "-o", "split.dwp"]) {
            assert_eq!(names(&folder.join("split.dwp")), expected, "{version}");
        }
        let entries = fs::read_dir(folder).expect("the folder").flatten().map(|entry| entry.path());
        let parts: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "dwo")).collect();
        let [part] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(names(part), expected, "{version}");
    }
}

/// `dwz` moves what several files share to a supplementary file.
#[test]
fn names_and_types_in_a_supplementary_file_are_found() {
    if tools::find("dwz").is_none() {
        return;
    }
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let folder = folder();
        let folder = folder.path();
        for (name, define) in [("one", "-DONE"), ("two", "-DTWO")] {
            let Some(_) = compiled(folder, name, &["-g", "-O2", version, define]) else { return };
            fs::copy(folder.join(name), folder.join(format!("{name}.packed"))).expect("a copy");
        }
        assert!(ran(folder, "dwz", &["-m", "shared.debug", "one.packed", "two.packed"]), "{version}");
        let names = |path: &Path| {
            let debug = debug(path);
            let inlined = debug.functions.columns().iter().filter(|row| row.is_inlined).count();
            let functions: Vec<_> = debug
                .functions
                .columns()
                .iter()
                .map(|row| format!("{} {:?} {:?}", row.address, row.function_name, row.linkage_name))
                .collect();
            let types = debug.types.columns();
            let mut variables: Vec<_> = debug
                .variables
                .columns()
                .iter()
                .map(|row| {
                    let of = row.type_index.map(|index| types.row(index as usize));
                    let of = of.map(|of| format!("{:?} {:?}", of.kind, of.type_name));
                    format!("{:?} {:?} {of:?} {:?}", row.variable_name, row.address, row.size)
                })
                .collect();
            variables.sort();
            (inlined, functions, variables)
        };
        let expected = names(&folder.join("one"));
        assert!(expected.0 > 0 && expected.2.len() > 10);
        assert_eq!(names(&folder.join("one.packed")), expected, "{version}");
        fs::remove_file(folder.join("shared.debug")).expect("the folder is writable");
        assert_ne!(names(&folder.join("one.packed")), expected, "{version}");
    }
}

#[test]
fn dsym_bundles_of_mach_o_files_are_found() {
    const SOURCE: &str = "
struct point { int x, y; };
int scale(struct point p, int factor) { int scaled = p.x * factor; return scaled + p.y; }
int main(int argc, char **argv) { struct point p = {argc, 2}; return scale(p, 3); }
";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let linked = folder.path().join("linked");
    let compile = |source| apple::compile("x86_64", "c", source, &["-g", "-O0"]);
    let Some(object) = compile(SOURCE) else { return };
    let flags = ["-execute", "-e", "_main"];
    let Some(()) = apple::link_with_bundle(folder.path(), &object, &flags) else { return };
    let found = debug(&linked);
    let symbols = tables(&fs::read(&linked).expect("the file was linked").into()).lowered.sections.symbols;
    for name in ["scale", "main"] {
        let function =
            found.functions.columns().iter().find(|row| row.function_name == Some(name)).expect("a function");
        let symbol = format!("_{name}");
        let mut named = symbols.columns().iter().filter(|row| row.symbol_name == symbol);
        assert!(named.any(|row| row.symbol_address == function.address), "{name}: {:#x}", function.address);
    }
    let variables = found.variables.columns();
    assert!(variables.iter().any(|row| row.variable_name == Some("scaled") && row.type_name == Some("int")));
    assert!(found.lines.len() > 4);
    // A bundle of another build is ignored.
    let other = tempfile::tempdir().expect("a temporary folder");
    let object = compile("int main(void) { return 0; }").expect("the source compiles");
    apple::link_with_bundle(other.path(), &object, &flags).expect("the object links");
    fs::copy(other.path().join("linked"), &linked).expect("writable");
    assert_eq!(debug(&linked).functions.len(), 0);
}
