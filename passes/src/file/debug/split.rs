//! Debug information that stands in other files: split parts of units (`.dwo`), packages of them (`.dwp`), and whole files that
//! were stripped off.
//!
//! Sources: DWARF 5, section 7.3; for DWARF 4, "Debug fission" of the GCC wiki; GDB manual, "Separate Debug Files"; for bundles, the
//! manual of `dsymutil`.

use super::attributes::Text;
use super::sections::{self, DebugSections};
use super::units::{Unit, read_units};
use super::{Companion, CompanionFile, CompanionKind, Reader, Reports};
use crate::file::formats::hexadecimal;
use binframe_ir::tables::DiagnosticCode;
use gimli::{Dwarf, DwarfPackage, DwoId, Section, SectionId};
use object::BinaryFormat;
use object::read::Object;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// How often the bytes of a package are read on average, for the units that it lists.
const READS_MAX: u64 = 4;

/// The other files that were found.
pub(super) struct SplitFiles<'a> {
    parts: BTreeMap<&'a str, DebugSections<'a>>,
    package: Option<DebugSections<'a>>,
}

impl<'a> SplitFiles<'a> {
    /// Reads the files that were found.
    pub(super) fn load(found: &'a [CompanionFile], reports: &mut Reports) -> Self {
        let mut files = Self { parts: BTreeMap::new(), package: None };
        let load = |file: &'a CompanionFile| DebugSections::load(&file.bytes);
        let loaded: Vec<_> = found.par_iter().map(load).collect();
        for (file, sections) in found.iter().zip(loaded) {
            let Some(sections) = sections else { continue };
            for (_, problem) in &sections.problems {
                let message = format!("{}: {problem}", file.name);
                reports.error(DiagnosticCode::BrokenDebugSection, &message);
            }
            match file.kind {
                CompanionKind::Split => _ = files.parts.insert(&file.name, sections),
                CompanionKind::Package => files.package = Some(sections),
                CompanionKind::Separate => {}
            }
        }
        files
    }

    /// The files.
    pub(super) fn iter(&self) -> impl Iterator<Item = &DebugSections<'a>> {
        self.parts.values().chain(&self.package)
    }

    /// Puts the split parts where units name them, and the units of types that stand with them at the end.
    pub(super) fn join<'s>(
        &'s self,
        dwarfs: &mut Vec<Dwarf<Reader<'s>>>,
        units: Vec<Unit<'s>>,
        reports: &mut Reports,
    ) -> Vec<Unit<'s>> {
        let mut parts = Parts::new(self, reports);
        let mut joined = Vec::with_capacity(units.len());
        for mut unit in units {
            let Some((name, id)) = unit.split_part() else {
                joined.push(unit);
                continue;
            };
            let name = String::from_utf8_lossy(name.bytes());
            let part = parts.in_file(&name, id, dwarfs, reports);
            joined.push(match part.or_else(|| parts.in_package(id, dwarfs, reports)) {
                Some(part) => unit.joined(part),
                None => {
                    unit.set_skeleton();
                    let message = format!("the part {:#018x} of a unit was not found; it names {name}", id.0);
                    reports.warning(DiagnosticCode::MissingDebugFile, &message);
                    unit
                }
            });
        }
        joined.extend(parts.types(dwarfs, reports));
        joined
    }
}

/// Split parts that no unit has taken yet.
struct Parts<'s> {
    files: &'s SplitFiles<'s>,
    /// The parts of the files that were read, by their identifications.
    read: BTreeMap<&'s str, BTreeMap<u64, Unit<'s>>>,
    /// The units of types that stand with them.
    types: Vec<Unit<'s>>,
    package: Option<DwarfPackage<Reader<'s>>>,
    /// Bytes of the package that may still be read.
    package_left: u64,
    is_package_used: bool,
}

impl<'s> Parts<'s> {
    fn new(files: &'s SplitFiles<'s>, reports: &mut Reports) -> Self {
        let mut package_size = 0;
        let package = files.package.as_ref().and_then(|sections| {
            package_size = PACKAGED.iter().map(|id| sections.size(*id)).sum();
            let broken =
                |error| reports.error(DiagnosticCode::BrokenDebugSection, &format!("the package: {error}"));
            sections.package().map_err(broken).ok()
        });
        let package_left = package_size * READS_MAX;
        Self {
            files,
            read: BTreeMap::new(),
            types: Vec::new(),
            package,
            package_left,
            is_package_used: false,
        }
    }

    /// A part in a file of its own.
    fn in_file(
        &mut self,
        name: &str,
        id: DwoId,
        dwarfs: &mut Vec<Dwarf<Reader<'s>>>,
        reports: &mut Reports,
    ) -> Option<Unit<'s>> {
        let (name, sections) = self.files.parts.get_key_value(name)?;
        let parts = self.read.entry(name).or_insert_with(|| {
            dwarfs.push(sections.split(&dwarfs[0]));
            let units = read_units(&dwarfs[dwarfs.len() - 1], dwarfs.len() - 1, reports);
            let (types, parts): (Vec<_>, Vec<_>) =
                units.into_iter().partition(|unit| unit.signature().is_some());
            self.types.extend(types);
            parts.into_iter().filter_map(|unit| Some((unit.inner.dwo_id?.0, unit))).collect()
        });
        parts.remove(&id.0)
    }

    /// A part in the package.
    fn in_package(
        &mut self,
        id: DwoId,
        dwarfs: &mut Vec<Dwarf<Reader<'s>>>,
        reports: &mut Reports,
    ) -> Option<Unit<'s>> {
        let dwarf = self.package.as_ref()?.find_cu(id, &dwarfs[0]).ok().flatten()?;
        let unit = self.packaged(dwarf, dwarfs, reports)?;
        self.is_package_used = true;
        (unit.inner.dwo_id == Some(id)).then_some(unit)
    }

    /// The unit that sections of the package hold.
    fn packaged(
        &mut self,
        dwarf: Dwarf<Reader<'s>>,
        dwarfs: &mut Vec<Dwarf<Reader<'s>>>,
        reports: &mut Reports,
    ) -> Option<Unit<'s>> {
        let sizes = [dwarf.debug_abbrev.reader(), dwarf.debug_info.reader(), dwarf.debug_types.reader()]
            .map(|r| r.len());
        self.package_left = self.package_left.checked_sub(sizes.iter().sum::<usize>() as u64)?;
        dwarfs.push(dwarf);
        read_units(&dwarfs[dwarfs.len() - 1], dwarfs.len() - 1, reports).into_iter().next()
    }

    /// The units of types.
    fn types(mut self, dwarfs: &mut Vec<Dwarf<Reader<'s>>>, reports: &mut Reports) -> Vec<Unit<'s>> {
        let mut types = std::mem::take(&mut self.types);
        let rows =
            self.package.as_ref().filter(|_| self.is_package_used).map_or(0, |it| it.tu_index.unit_count());
        for row in 1..=rows {
            let Some(Ok(dwarf)) = self.package.as_ref().map(|it| it.tu_sections(row, &dwarfs[0])) else {
                break;
            };
            types.extend(self.packaged(dwarf, dwarfs, reports));
        }
        types
    }
}

/// The sections of a package that are read once for every unit.
const PACKAGED: [SectionId; 3] = [SectionId::DebugAbbrev, SectionId::DebugInfo, SectionId::DebugTypes];

/// The other files that may hold debug information of a file at a path, of which some may have been found. To be asked until
/// nothing new is named.
pub(super) fn companions(path: &str, file: &[u8], found: &[CompanionFile]) -> Vec<Companion> {
    let mut wanted = Vec::new();
    let mut bytes = file;
    if !sections::has(bytes, SectionId::DebugInfo) {
        wanted.extend(separate(path, file));
        match found.iter().find(|file| file.kind == CompanionKind::Separate) {
            Some(separate) => bytes = &separate.bytes,
            None => return wanted,
        }
    }
    // A unit that was split has its addresses there, so that nothing has to be read of most files.
    if !sections::has(bytes, SectionId::DebugAddr) {
        return wanted;
    }
    let Some(sections) = DebugSections::load(bytes) else { return wanted };
    let dwarf = sections.linked();
    let mut names = BTreeMap::new();
    for unit in read_units(&dwarf, 0, &mut Reports::new(0)) {
        if let Some((name, _)) = unit.split_part() {
            let directory = unit.inner.comp_dir.map(|directory| Text::new(directory.slice()));
            names.entry(lossy(name)).or_insert(directory.map(lossy));
        }
    }
    if names.is_empty() {
        return wanted;
    }
    let (directory, file_name) = path.rsplit_once('/').unwrap_or((".", path));
    let package = vec![format!("{directory}/{file_name}.dwp")];
    wanted.push(Companion { kind: CompanionKind::Package, name: format!("{file_name}.dwp"), paths: package });
    for (name, compiled_in) in names {
        let last = name.rsplit_once('/').map_or(name.as_str(), |(_, last)| last);
        let mut paths = match (name.starts_with('/'), compiled_in) {
            (true, _) => vec![name.clone()],
            (false, Some(compiled_in)) => {
                vec![format!("{compiled_in}/{name}"), format!("{directory}/{name}")]
            }
            (false, None) => vec![format!("{directory}/{name}")],
        };
        paths.push(format!("{directory}/{last}"));
        paths.dedup();
        wanted.push(Companion { kind: CompanionKind::Split, name, paths });
    }
    wanted
}

fn lossy(text: Text<'_>) -> String {
    String::from_utf8_lossy(text.bytes()).into_owned()
}

/// Where what was stripped off a file may stand.
fn separate(path: &str, file: &[u8]) -> Option<Companion> {
    let file = object::File::parse(file).ok()?;
    let (directory, file_name) = path.rsplit_once('/').unwrap_or((".", path));
    let mut paths = Vec::new();
    // What Apple's linker leaves in objects, `dsymutil` puts into a bundle beside the file.
    if file.format() == BinaryFormat::MachO {
        paths.push(format!("{path}.dSYM/Contents/Resources/DWARF/{file_name}"));
    }
    if let Some([first, rest @ ..]) = file.build_id().ok().flatten().filter(|id| id.len() > 1) {
        let rest = hexadecimal(rest);
        paths.push(format!("/usr/lib/debug/.build-id/{first:02x}/{rest}.debug"));
    }
    let link = file.gnu_debuglink().ok().flatten().map(|(name, _)| String::from_utf8_lossy(name));
    if let Some(name) = link.as_ref().filter(|name| !name.contains('/')) {
        paths.extend([format!("{directory}/{name}"), format!("{directory}/.debug/{name}")]);
        paths.push(format!("/usr/lib/debug{directory}/{name}"));
    }
    let name = link.map_or_else(|| "the file of its build id".to_owned(), std::borrow::Cow::into_owned);
    (!paths.is_empty()).then_some(Companion { kind: CompanionKind::Separate, name, paths })
}
