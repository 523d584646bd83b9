//! Crates depend on each other in one direction, and what is computed touches neither files nor clocks.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates of the workspace, and the ones of them that each is built on.
const DEPENDENCIES: [(&str, &[&str]); 10] = [
    ("binframe-ir-derive", &[]),
    ("binframe-ir", &["binframe-ir-derive"]),
    ("binframe-passes", &["binframe-ir"]),
    ("binframe", &["binframe-ir", "binframe-passes"]),
    ("binframe-inspect", &["binframe"]),
    ("binframe-query", &["binframe"]),
    ("binframe-cli", &["binframe", "binframe-inspect", "binframe-query"]),
    ("binframe-testsuite", &["binframe"]),
    ("binframe-benches", &[]),
    ("xtask", &[]),
];

/// What a crate is not built on, since another does that work.
const NOT_BUILT_ON: [(&str, &[&str]); 4] = [
    (
        "binframe-ir",
        &["salsa", "memmap2", "rustix", "rayon", "object", "iced-x86", "gimli", "clap", "tempfile"],
    ),
    ("binframe-passes", &["salsa", "parquet", "memmap2", "rustix", "clap", "serde_json", "tempfile"]),
    ("binframe", &["object", "iced-x86", "gimli", "datafusion", "clap", "indicatif", "tempfile"]),
    ("binframe-cli", &["datafusion"]),
];

/// Folders whose code computes and does nothing else.
const PURE: [&str; 2] = ["passes/src", "ir-schemas/src"];

/// What such code does not use.
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

/// Lines that a source file has at most.
const LINES_MAX: usize = 700;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

/// The crates of the workspace, and the names of all crates that each is built on. Tests may use more.
fn built_on() -> BTreeMap<String, BTreeSet<String>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(root());
    let output = cargo.output().expect("cargo runs the tests, so it is there");
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

/// Every Rust source below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder is there").path();
        let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn crates_are_built_on_those_below_them_alone() {
    let built_on = built_on();
    let own: BTreeSet<&str> = built_on.keys().map(String::as_str).collect();
    assert_eq!(own, DEPENDENCIES.iter().map(|entry| entry.0).collect(), "the crates of the workspace");
    for (name, expected) in DEPENDENCIES {
        let found: BTreeSet<&str> =
            built_on[name].iter().map(String::as_str).filter(|dependency| own.contains(dependency)).collect();
        assert_eq!(found, expected.iter().copied().collect(), "{name}");
    }
}

#[test]
fn each_kind_of_work_has_one_place() {
    let built_on = built_on();
    for (name, others) in NOT_BUILT_ON {
        let found: Vec<_> = others.iter().filter(|other| built_on[name].contains(**other)).collect();
        assert!(found.is_empty(), "{name} is built on {found:?}");
    }
}

#[test]
fn what_is_computed_depends_on_nothing_but_its_input() {
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
fn every_source_says_what_it_is_and_can_be_read_in_one_go() {
    let root = root();
    for path in sources(&root) {
        let source = fs::read_to_string(&path).expect("a source can be read");
        let name = path.strip_prefix(&root).unwrap_or(&path).display();
        assert!(source.lines().count() <= LINES_MAX, "{name} has more than {LINES_MAX} lines");
        assert!(source.is_empty() || source.starts_with("//!"), "{name} does not begin with what it is");
    }
}
