//! Compares imports, exports, initializers and resources with what the Python packages `pefile` and LIEF read.

use crate::File;
use crate::rows::{Row, hexadecimal, or_none};
use binframe::ir::tables::{Format, InitializerKind};
use binframe_testsuite::tools;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Prints what the packages read.
const SCRIPT: &str = include_str!("readers.py");

/// Size of a file up to which it is compared: `pefile` takes a minute for the largest ones.
const SIZE_MAX: usize = 1 << 22;

/// Rows of one table, from binframe and from the package.
type Pair = (&'static str, Vec<Row>, Vec<Row>);

/// The tables to compare; none for a file of another format, and if a package is not installed or refuses the file.
pub(super) fn tables(file: &File) -> Vec<Pair> {
    let name = match file.sections.headers.columns().row(0).format {
        _ if file.bytes.len() > SIZE_MAX => return Vec::new(),
        Format::Pe => "pe",
        Format::MachO => "macho",
        Format::Elf => "elf",
        _ => return Vec::new(),
    };
    let Some(python) = tools::find("python3") else { return Vec::new() };
    let output = Command::new(python).args(["-c", SCRIPT, name]).arg(&file.path).output();
    let output = output.expect("Python is installed");
    let Ok(printed) = serde_json::from_slice::<Value>(&output.stdout) else { return Vec::new() };
    match name {
        "pe" => vec![
            ("binary_imports", imports(file), expected(&printed, "binary_imports", &IMPORT)),
            ("binary_exports", exports(file), expected(&printed, "binary_exports", &["address"])),
            ("binary_resources", resources(file), expected(&printed, "binary_resources", &RESOURCE)),
        ],
        "elf" => vec![
            ("binary_imports", elf_imports(file), expected(&printed, "binary_imports", &ELF_IMPORT)),
            ("binary_exports", elf_exports(file), expected(&printed, "binary_exports", &ELF_EXPORT)),
            {
                let expected = expected(&printed, "binary_initializers", &["row"]);
                ("binary_initializers", initializers(file, &expected), expected)
            },
        ],
        _ => {
            let expected = expected(&printed, "binary_imports", &IMPORT[..1]);
            vec![("binary_imports", bound_imports(file, &expected), expected)]
        }
    }
}

const ELF_IMPORT: [&str; 3] = ["import_name", "version", "is_weak"];
const ELF_EXPORT: [&str; 3] = ["export_name", "version", "address"];
const IMPORT: [&str; 2] = ["library_name", "import_name"];
const RESOURCE: [&str; 5] = ["resource_type", "resource_name", "language", "address", "size"];

fn expected(printed: &Value, table: &str, columns: &[&'static str]) -> Vec<Row> {
    let rows = printed[table].as_array().into_iter().flatten();
    let row = rows.map(|row| {
        let cells = row[1].as_array().into_iter().flatten();
        let cells = cells.map(|cell| cell.as_str().unwrap_or_default().to_owned());
        Row {
            key: row[0].as_str().unwrap_or_default().to_owned(),
            cells: columns.iter().copied().zip(cells).collect(),
        }
    });
    row.collect()
}

fn imports(file: &File) -> Vec<Row> {
    let row = file.linkage.imports.columns().iter().map(|row| {
        let cells = [row.library_name, row.import_name].map(|text| text.unwrap_or_default().to_owned());
        let cells = IMPORT.into_iter().zip(cells).collect();
        Row { key: or_none(row.slot_address.map(hexadecimal)), cells }
    });
    row.collect()
}

/// Imports of an ELF file, by the index of their symbol.
fn elf_imports(file: &File) -> Vec<Row> {
    let row = file.linkage.imports.columns().iter().map(|row| {
        let [name, version] = [row.import_name, row.version].map(|text| text.unwrap_or_default().to_owned());
        let cells = ELF_IMPORT.into_iter().zip([name, version, row.is_weak.to_string()]).collect();
        Row { key: or_none(row.symbol_index), cells }
    });
    row.collect()
}

/// Exports of an ELF file, by the index of their symbol.
fn elf_exports(file: &File) -> Vec<Row> {
    let row = file.linkage.exports.columns().iter().map(|row| {
        let [name, version] = [row.export_name, row.version].map(|text| text.unwrap_or_default().to_owned());
        let address = row.address.map(hexadecimal).unwrap_or_default();
        let cells = ELF_EXPORT.into_iter().zip([name, version, address]).collect();
        Row { key: or_none(row.symbol_index), cells }
    });
    row.collect()
}

/// Functions of an ELF file that the loader calls. The package does not state their order, and does not find all: it
/// does not apply the relocations of arrays.
fn initializers(file: &File, expected: &[Row]) -> Vec<Row> {
    let rows = file.linkage.initializers.columns();
    let called = rows.iter().filter_map(|row| {
        let kind = if row.kind == InitializerKind::Fini { "fini" } else { "init" };
        Some(format!("{kind} {}", hexadecimal(row.function_address?)))
    });
    let called: BTreeSet<_> = called.collect();
    let called = called.into_iter().filter(|key| expected.iter().any(|row| row.key == *key));
    called.map(|key| Row { key, cells: vec![("row", "present".to_owned())] }).collect()
}

fn exports(file: &File) -> Vec<Row> {
    let row = file.linkage.exports.columns().iter().map(|row| {
        let target = row.address.map_or_else(|| or_none(row.forwarded_to), hexadecimal);
        let key = format!("{} {}", or_none(row.ordinal), row.export_name.unwrap_or_default());
        Row { key, cells: vec![("address", target)] }
    });
    row.collect()
}

fn resources(file: &File) -> Vec<Row> {
    let row = file.linkage.resources.columns().iter().map(|row| {
        let cells = [
            row.resource_type.to_owned(),
            row.resource_name.to_owned(),
            or_none(row.language),
            hexadecimal(row.address),
            row.size.to_string(),
        ];
        Row { key: row.resource_index.to_string(), cells: RESOURCE.into_iter().zip(cells).collect() }
    });
    row.collect()
}

/// The libraries of the imports that the package found bindings of.
fn bound_imports(file: &File, expected: &[Row]) -> Vec<Row> {
    let imports = file.linkage.imports.columns();
    let libraries: BTreeMap<_, _> = imports.iter().map(|row| (row.import_name, row.library_name)).collect();
    let row = expected.iter().filter_map(|row| {
        let library = libraries.get(&Some(row.key.as_str()))?;
        Some(Row { key: row.key.clone(), cells: vec![(IMPORT[0], or_none(*library))] })
    });
    row.collect()
}
