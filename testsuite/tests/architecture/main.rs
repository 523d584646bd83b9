//! The architecture: crates and source files import each other in one direction, without cycles, and passes perform no I/O.

mod cycles;
mod imports;

use imports::{Imports, Sources};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates of the workspace, each with those of them that it depends on.
const DEPENDENCIES: [(&str, &[&str]); 12] = [
    ("binframe-ir-derive", &[]),
    ("binframe-ir", &["binframe-ir-derive"]),
    ("binframe-passes", &["binframe-ir"]),
    ("binframe", &["binframe-ir", "binframe-passes"]),
    ("binframe-heap-allocator", &[]),
    ("binframe-inspect", &["binframe"]),
    ("binframe-query", &["binframe"]),
    ("binframe-cli", &["binframe", "binframe-inspect", "binframe-query"]),
    ("binframe-testsuite", &["binframe"]),
    ("binframe-fuzz", &["binframe", "binframe-query", "binframe-testsuite"]),
    ("binframe-benches", &[]),
    ("xtask", &[]),
];

/// Dependencies that a crate must not have, because another crate does that work.
const FORBIDDEN_DEPENDENCIES: [(&str, &[&str]); 4] = [
    (
        "binframe-ir",
        &["salsa", "memmap2", "rustix", "rayon", "object", "iced-x86", "gimli", "clap", "tempfile"],
    ),
    ("binframe-passes", &["salsa", "parquet", "memmap2", "rustix", "clap", "serde_json", "tempfile"]),
    ("binframe", &["object", "iced-x86", "fARM64", "gimli", "datafusion", "clap", "indicatif"]),
    ("binframe-cli", &["datafusion"]),
];

/// Folders whose code is pure: it performs no I/O, reads no clock and keeps no state.
const PURE: [&str; 2] = ["passes/src", "ir-schemas/src"];

/// Words that do not occur in pure code.
const IMPURE: [&str; 12] = [
    "std::fs",
    "std::env",
    "std::time",
    "std::net",
    "std::process",
    "std::thread",
    "Instant",
    "SystemTime",
    "println!",
    "thread_local!",
    "static mut",
    "unsafe ",
];

/// Words of one instruction set, of which passes use none.
const INSTRUCTION_SET_WORDS: [&str; 6] =
    ["iced_x86", "fARM64", "isa::x86", "isa::aarch64", "Isa::X86", "Isa::AArch64"];

/// The folder of passes that may use them: the instruction sets.
const INSTRUCTION_SETS: &str = "passes/src/isa";

/// Maximum number of lines of a source file.
const LINES_MAX: usize = 500;

/// Folders of sources, each with its layers from bottom to top: names of files and folders, separated by spaces. A file
/// imports from its own layer and from layers below. A file that is not listed belongs to the folder that is.
const LAYERS: [(&str, &[&str]); 2] = [
    (
        "passes/src",
        &[
            "bitmap.rs diagnostics.rs graph ranges.rs",
            "domains",
            "isa",
            "file",
            "code/declared_data.rs code/loaded_data.rs",
            "code/go_functions",
            "code/declared_starts.rs",
            "code/regions.rs",
            "code/closure_tables.rs",
            "code/references.rs code/straight_line.rs",
            "code/instructions",
            "code/cfg",
            "code/memory",
            "code",
            "pipeline.rs lib.rs",
        ],
    ),
    (
        "cli/src",
        &[
            "companion_arguments.rs escape.rs value_parsers.rs failure.rs memory_limit.rs progress_bar.rs",
            "output",
            "drawing",
            "commands",
            "main.rs",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace exists")
}

/// The crates of the workspace, each with the names of its dependencies, without those of tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(root());
    let output = cargo.output().expect("cargo runs the tests, so it exists");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages").iter();
    let dependencies = |package: &Value| {
        let all = package["dependencies"].as_array().expect("a list of dependencies").iter();
        all.filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    packages.map(|package| (text(&package["name"]), dependencies(package))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a name").to_owned()
}

/// All Rust sources below a folder, sorted.
fn sources(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

/// All files with an extension below a folder, sorted.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder exists") {
        let path = entry.expect("the folder exists").path();
        let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The folders of the sources of all crates, with the imports among their files.
fn all_imports() -> Vec<(PathBuf, Imports)> {
    let root = root();
    let manifests = files(&root, "toml").into_iter().filter(|path| path.ends_with("Cargo.toml"));
    let folders = manifests.map(|manifest| manifest.with_file_name("src")).filter(|src| src.is_dir());
    folders.map(|src| (src.clone(), Sources::read(&src, &sources(&src)).imports())).collect()
}

/// A path for messages, from the root of the workspace.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn crates_depend_only_on_lower_crates() {
    let dependencies = dependencies();
    let own: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(own, DEPENDENCIES.iter().map(|entry| entry.0).collect(), "the crates of the workspace");
    for (name, expected) in DEPENDENCIES {
        let found: BTreeSet<&str> = dependencies[name]
            .iter()
            .map(String::as_str)
            .filter(|dependency| own.contains(dependency))
            .collect();
        assert_eq!(found, expected.iter().copied().collect(), "{name}");
    }
}

#[test]
fn each_kind_of_work_has_one_crate() {
    let dependencies = dependencies();
    for (name, others) in FORBIDDEN_DEPENDENCIES {
        let found: Vec<_> = others.iter().filter(|other| dependencies[name].contains(**other)).collect();
        assert!(found.is_empty(), "{name} depends on {found:?}");
    }
}

#[test]
fn passes_are_pure() {
    let root = root();
    for path in PURE.iter().flat_map(|folder| sources(&root.join(folder))) {
        let source = fs::read_to_string(&path).expect("a source can be read");
        for (number, line) in (1..).zip(source.lines()) {
            let code = line.split("//").next().unwrap_or(line);
            let found = IMPURE.iter().find(|word| code.contains(**word));
            assert_eq!(found, None, "{}:{number}: {line}", path.display());
        }
    }
}

#[test]
fn passes_name_no_instruction_set() {
    let root = root();
    let is_free = |path: &PathBuf| !path.starts_with(root.join(INSTRUCTION_SETS));
    for path in sources(&root.join("passes/src")).into_iter().filter(is_free) {
        let source = fs::read_to_string(&path).expect("a source can be read");
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in (1..).zip(source.lines()) {
            let code = line.split("//").next().unwrap_or(line);
            let found = INSTRUCTION_SET_WORDS.iter().find(|word| code.contains(**word));
            assert_eq!(found, None, "{}:{number}: {line}", path.display());
        }
    }
}

#[test]
fn every_source_has_a_header_and_a_readable_length() {
    let root = root();
    for path in sources(&root) {
        let source = fs::read_to_string(&path).expect("a source can be read");
        let name = path.strip_prefix(&root).unwrap_or(&path).display();
        assert!(source.lines().count() <= LINES_MAX, "{name} has more than {LINES_MAX} lines");
        assert!(source.is_empty() || source.starts_with("//!"), "{name} does not begin with a header, `//!`");
    }
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    let mut text = String::new();
    for (_, imports) in all_imports() {
        for cycle in cycles::cycles(&imports) {
            text += "a cycle of files; move what they share to a file of its own:\n";
            for file in &cycle {
                for (other, names) in imports[file].iter().filter(|(other, _)| cycle.contains(*other)) {
                    let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                    text += &format!("  {} -> {}: {names}\n", shown(file), shown(other));
                }
            }
        }
    }
    assert!(text.is_empty(), "{text}");
}

#[test]
fn files_import_only_from_their_own_layer_and_below() {
    let mut text = String::new();
    for (src, imports) in all_imports() {
        let Some((_, layers)) = LAYERS.iter().find(|(folder, _)| src.ends_with(folder)) else { continue };
        // The longest name that fits is the most specific.
        let layer = |path: &Path| {
            let path = path.strip_prefix(&src).expect("imports are of the folder");
            let names = layers.iter().enumerate();
            let names = names.flat_map(|(layer, names)| names.split(' ').map(move |name| (name, layer)));
            let fits = names.filter(|(name, _)| path.starts_with(name)).max_by_key(|(name, _)| name.len());
            fits.unwrap_or_else(|| panic!("{} is in no layer", shown(&src.join(path)))).1
        };
        for (file, others) in &imports {
            for (other, names) in others.iter().filter(|(other, _)| layer(other) > layer(file)) {
                text += &format!("{} imports {names:?} of {}, a higher layer\n", shown(file), shown(other));
            }
        }
    }
    assert!(text.is_empty(), "{text}");
}
