//! Names the companion files of a file: `(path, file, companions found so far) -> companions`.
//!
//! Sources: DWARF 5, section 7.3; for DWARF 4, "Debug fission" of the GCC wiki; GDB manual, "Separate Debug Files"; for
//! bundles, the manual of `dsymutil`.

use super::attributes::DwarfString;
use super::companion_files::{Companion, CompanionFile, CompanionKind};
use super::reports::Reports;
use super::sections::{BuildBudget, DebugSections, SupplementLink, debug_link, has, supplement_link};
use super::units::read_units;
use crate::file::formats::{Headers, hexadecimal};
use crate::file::sections::declared;
use binframe_ir::Rows;
use binframe_ir::tables::BinarySections;
use bytes::Bytes;
use gimli::SectionId;
use std::collections::BTreeMap;

/// The companion files of the file at a path, given those that were found so far. Call it again until it returns no new
/// one.
pub(super) fn companions(path: &str, file: &Bytes, found: &[CompanionFile]) -> Vec<Companion> {
    let mut companions = Vec::new();
    let mut bytes = file;
    let Ok(headers) = Headers::find(bytes) else { return companions };
    let mut sections = declared(&headers);
    if !has(&sections, SectionId::DebugInfo) {
        companions.extend(separate(path, file, &headers, &sections));
        match found.iter().find(|file| file.kind == CompanionKind::Separate) {
            Some(separate) => bytes = &separate.bytes,
            None => return companions,
        }
        let Ok(headers) = Headers::find(bytes) else { return companions };
        sections = declared(&headers);
    }
    if let Some(link) = supplement_link(bytes, &sections) {
        companions.push(supplementary(path, &link));
    }
    // Skeletons use `.debug_addr`; most files have none, and need not be read.
    if !has(&sections, SectionId::DebugAddr) {
        return companions;
    }
    let mut budget = BuildBudget::of(bytes.len() as u64);
    let Some(loaded) = DebugSections::load(bytes, &mut budget) else { return companions };
    let dwarf = loaded.linked();
    let mut names = BTreeMap::new();
    for unit in read_units(&dwarf, 0, &mut Reports::new(0)) {
        if let Some((name, _)) = unit.split_unit() {
            let directory = unit.inner.comp_dir.map(|directory| DwarfString::new(directory.slice()));
            names.entry(lossy(name)).or_insert(directory.map(lossy));
        }
    }
    if names.is_empty() {
        return companions;
    }
    let (directory, file_name) = path.rsplit_once('/').unwrap_or((".", path));
    let package = vec![format!("{directory}/{file_name}.dwp")];
    companions.push(Companion {
        kind: CompanionKind::Package,
        name: format!("{file_name}.dwp"),
        paths: package,
    });
    for (name, compilation_directory) in names {
        let last = name.rsplit_once('/').map_or(name.as_str(), |(_, last)| last);
        let mut paths = match (name.starts_with('/'), compilation_directory) {
            (true, _) => vec![name.clone()],
            (false, Some(compilation_directory)) => {
                vec![format!("{compilation_directory}/{name}"), format!("{directory}/{name}")]
            }
            (false, None) => vec![format!("{directory}/{name}")],
        };
        paths.push(format!("{directory}/{last}"));
        paths.dedup();
        companions.push(Companion { kind: CompanionKind::Split, name, paths });
    }
    companions
}

fn lossy(text: DwarfString<'_>) -> String {
    String::from_utf8_lossy(text.bytes()).into_owned()
}

/// The separate debug file of a stripped file; `None` if the file refers to none.
fn separate(
    path: &str,
    file: &Bytes,
    headers: &Headers<'_>,
    sections: &Rows<BinarySections>,
) -> Option<Companion> {
    let is_macho = matches!(headers, Headers::MachO32(_) | Headers::MachO64(_));
    let link = debug_link(file, sections);
    let (directory, file_name) = path.rsplit_once('/').unwrap_or((".", path));
    let mut paths = Vec::new();
    // Apple's linker leaves debug information in objects; `dsymutil` collects it in a bundle next to the file.
    if is_macho {
        paths.push(format!("{path}.dSYM/Contents/Resources/DWARF/{file_name}"));
    }
    paths.extend(headers.build_id().filter(|_| !is_macho).and_then(build_id_path));
    if let Some(name) = link.as_ref().filter(|name| !name.contains('/')) {
        paths.extend([format!("{directory}/{name}"), format!("{directory}/.debug/{name}")]);
        paths.push(format!("/usr/lib/debug{directory}/{name}"));
    }
    let name = link.map_or_else(|| "the file of its build id".to_owned(), std::borrow::Cow::into_owned);
    (!paths.is_empty()).then_some(Companion { kind: CompanionKind::Separate, name, paths })
}

/// Where systems keep the debug file with a build identifier; `None` for one of less than two bytes.
fn build_id_path(build_id: &[u8]) -> Option<String> {
    let (first, rest) = build_id.split_first().filter(|(_, rest)| !rest.is_empty())?;
    Some(format!("/usr/lib/debug/.build-id/{first:02x}/{}.debug", hexadecimal(rest)))
}

/// The supplementary file, whose name is relative to the file that refers to it.
fn supplementary(path: &str, link: &SupplementLink<'_>) -> Companion {
    let (directory, _) = path.rsplit_once('/').unwrap_or((".", path));
    let name = link.name.clone().into_owned();
    let mut paths = match name.starts_with('/') {
        true => vec![name.clone()],
        false => vec![format!("{directory}/{name}")],
    };
    paths.extend(build_id_path(link.build_id));
    if let Some((_, last)) = name.rsplit_once(".dwz/") {
        paths.push(format!("/usr/lib/debug/.dwz/{last}"));
    }
    Companion { kind: CompanionKind::Supplementary, name, paths }
}
