//! DuckDB, Polars and PyArrow read the same rows and equivalent types from a dataset.

mod page;

use binframe::ir::BINARY_COLUMN;
use binframe::ir::{Stage, file_tables};
use binframe::{Request, lower};
use binframe_testsuite::{fixtures, tools};
use serde_json::Value;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

/// The reader's name of the declared type `declared`.
fn expected<'a>(reader: &str, declared: &'a str) -> &'a str {
    let text = declared == "Utf8" || declared.starts_with("Dictionary");
    match (reader, declared) {
        ("duckdb", "Boolean") => "BOOLEAN",
        ("duckdb", "UInt8") => "UTINYINT",
        ("duckdb", "UInt16") => "USMALLINT",
        ("duckdb", "UInt32") => "UINTEGER",
        ("duckdb", "UInt64") => "UBIGINT",
        ("duckdb", "Int64") => "BIGINT",
        ("duckdb", "Binary") => "BLOB",
        ("duckdb", "Timestamp(ns)") => "TIMESTAMP_NS",
        ("duckdb", _) if text => "VARCHAR",
        ("duckdb", declared) if declared.starts_with("List") => "VARCHAR[]",
        ("polars", "Utf8") => "String",
        ("polars", "Timestamp(ns)") => "Datetime(time_unit='ns', time_zone=None)",
        ("polars", _) if text => "Categorical",
        ("polars", declared) if declared.starts_with("List") => "List(Categorical)",
        ("polars", other) => other,
        ("pyarrow", "Boolean") => "bool",
        ("pyarrow", "UInt8") => "uint8",
        ("pyarrow", "UInt16") => "uint16",
        ("pyarrow", "UInt32") => "uint32",
        ("pyarrow", "UInt64") => "uint64",
        ("pyarrow", "Int64") => "int64",
        ("pyarrow", "Binary") => "binary",
        ("pyarrow", "Utf8") => "string",
        ("pyarrow", "Timestamp(ns)") => "timestamp[ns]",
        ("pyarrow", declared) if declared.starts_with("List") => {
            "list<element: dictionary<values=string, indices=uint16, ordered=0> not null>"
        }
        ("pyarrow", "Dictionary(UInt8, Utf8)") => "dictionary<values=string, indices=uint8, ordered=0>",
        ("pyarrow", "Dictionary(UInt16, Utf8)") => "dictionary<values=string, indices=uint16, ordered=0>",
        ("pyarrow", "Dictionary(Int32, Utf8)") => "dictionary<values=string, indices=int32, ordered=0>",
        ("pyarrow", "Dictionary(UInt32, Utf8)") => "dictionary<values=string, indices=uint32, ordered=0>",
        _ => panic!("no {reader} type is listed for {declared}"),
    }
}

/// Packages that every run of the tests installs.
const PACKAGES: &[&str] = &["duckdb", "pandas", "polars", "pyarrow"];

/// Packages that only CI installs, since they are large: nearly 1 GB. `pyspark` needs Java.
const LARGE_PACKAGES: &[&str] = &["datasets", "pyspark"];

/// A directory with the Python packages. `None`, with a message, if they cannot be installed.
fn packages() -> Option<PathBuf> {
    static INSTALLED: LazyLock<Option<PathBuf>> = LazyLock::new(|| install("python-packages", PACKAGES));
    INSTALLED.clone()
}

/// A directory with the large packages. `None` outside of CI, unless it installed them before.
fn large_packages() -> Option<PathBuf> {
    let directory = "python-packages-of-ci";
    let is_wanted = env::var_os("CI").is_some() || installed(directory, LARGE_PACKAGES).is_some();
    is_wanted.then(|| install(directory, LARGE_PACKAGES))?
}

/// A directory in which packages were installed before.
fn installed(directory: &str, packages: &[&str]) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(directory);
    let found = fs::read_to_string(path.join("all-installed")).ok()?;
    (found == packages.join(" ")).then_some(path)
}

fn install(directory: &str, packages: &[&str]) -> Option<PathBuf> {
    if let Some(path) = installed(directory, packages) {
        return Some(path);
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(directory);
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]);
    let output = tools::output(install.arg(&path).args(packages))?;
    if !output.status.success() {
        let names = packages.join(" or ");
        tools::report_missing(&format!("{names}: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    fs::write(path.join("all-installed"), packages.join(" ")).expect("the folder is writable");
    Some(path)
}

#[test]
fn other_readers_read_the_same_rows_and_types() {
    let Some(packages) = packages() else { return };
    let folder = TempDir::new().expect("a temporary folder");
    let files = [("loops", fixtures::loops_and_calls()), ("stack", fixtures::stack_and_globals())];
    let inputs = files.map(|(name, file)| {
        let path = folder.path().join(name);
        fs::write(&path, file.bytes).expect("the folder is writable");
        path
    });
    let dataset = folder.path().join("dataset");
    let manifest =
        lower(&Request::new(&inputs, &dataset, &Stage::ALL), &|_| {}).expect("the inputs are supported");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interoperability.py");
    let mut python = Command::new("python3");
    let output =
        python.env("PYTHONPATH", packages).arg(script).arg(&dataset).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for table in file_tables() {
        let entry = manifest
            .tables
            .iter()
            .find(|entry| entry.table == table.name)
            .expect("the manifest lists every table");
        for reader in ["duckdb", "polars", "pyarrow"] {
            let (rows, types) = (&found[table.name][reader][0], &found[table.name][reader][1]);
            assert_eq!(rows.as_u64(), Some(entry.rows), "rows of {} in {reader}", table.name);
            for column in table.columns {
                let declared = (column.data_type)().to_string();
                let place = format!("{}.{} in {reader}", table.name, column.name);
                assert_eq!(types[column.name].as_str(), Some(expected(reader, &declared)), "{place}");
            }
            let columns = types.as_object().expect("types by column");
            assert_eq!(columns.len(), table.columns.len() + 1, "columns of {} in {reader}", table.name);
            assert!(columns.contains_key(BINARY_COLUMN), "{} in {reader}", table.name);
        }
    }
}
