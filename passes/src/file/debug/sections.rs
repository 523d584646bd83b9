//! Sections of debug information as they are read: found by name, decompressed and, where a file is not linked yet,
//! relocated.
//!
//! Source: DWARF 5, section 7.3.5 (packages of split units).

use super::Reader;
use crate::file::formats::compression::decompress;
use gimli::{Dwarf, DwarfPackage, EndianSlice, RunTimeEndian, SectionId};
use object::read::{
    CompressedData, CompressionFormat, Object, ObjectKind, ObjectSection, ObjectSymbol, RelocationKind,
    RelocationTarget,
};
use object::{Architecture, Endianness, RelocationFlags, SectionIndex, elf};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

/// What sections may take that do not lie in the file as they are read: so many times the file, and so much at all.
const MADE_PER_FILE_SIZE_MAX: u64 = 64;
const MADE_SIZE_MAX: u64 = 4 << 30;

/// Names of sections of Mach-O files are cut after so many bytes.
const MACHO_NAME_SIZE: usize = 16;

/// The sections of one file that hold debug information, by their names in ELF.
pub(super) struct DebugSections<'a> {
    endian: RunTimeEndian,
    sections: BTreeMap<&'static str, Cow<'a, [u8]>>,
    /// Where the first of them begins in the file.
    pub(super) file_offset: u64,
    /// What identifies the build of the file.
    pub(super) build_id: Option<Vec<u8>>,
    /// Name of the file that holds what was stripped off it.
    pub(super) link: Option<Cow<'a, str>>,
    /// What could not be read: where it stands in the file, and why.
    pub(super) problems: Vec<(u64, String)>,
}

/// A part of a section, as it stands in the file.
struct Piece<'a> {
    name: &'static str,
    index: SectionIndex,
    file_offset: u64,
    content: CompressedData<'a>,
    /// Where it begins among the pieces of its section.
    base: u64,
}

impl<'a> DebugSections<'a> {
    /// Finds and makes the sections; none of a file that cannot be read.
    pub(super) fn load(bytes: &'a [u8]) -> Option<Self> {
        let file = object::File::parse(bytes).ok()?;
        let endian = match file.endianness() {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        let (pieces, mut problems) = pieces(&file, bytes.len() as u64);
        let file_offset = pieces.iter().map(|piece| piece.file_offset).min().unwrap_or(0);
        let bases: HashMap<_, _> = pieces.iter().map(|piece| (piece.index, piece.base)).collect();
        let made: Vec<_> = pieces.par_iter().map(|piece| make(&file, piece, &bases)).collect();
        let mut sections: BTreeMap<&'static str, Cow<'a, [u8]>> = BTreeMap::new();
        for (piece, (content, problem)) in pieces.iter().zip(made) {
            problems.extend(problem.map(|problem| (piece.file_offset, format!("{}: {problem}", piece.name))));
            match sections.get_mut(piece.name) {
                None => _ = sections.insert(piece.name, content),
                Some(before) => before.to_mut().extend_from_slice(&content),
            }
        }
        let uuid = file.mach_uuid().ok().flatten().map(Vec::from);
        let build_id = file.build_id().ok().flatten().map(Vec::from).or(uuid);
        let link = file.gnu_debuglink().ok().flatten().map(|(name, _)| String::from_utf8_lossy(name));
        Some(Self { endian, sections, file_offset, build_id, link, problems })
    }

    /// Sections of these bytes.
    #[cfg(test)]
    pub(super) fn of(sections: &[(&'static str, &'a [u8])]) -> Self {
        let sections = sections.iter().map(|(name, content)| (*name, Cow::Borrowed(*content))).collect();
        let endian = RunTimeEndian::Little;
        Self { endian, sections, file_offset: 0, build_id: None, link: None, problems: Vec::new() }
    }

    /// The sections of a file that is linked or will be.
    pub(super) fn linked(&self) -> Dwarf<Reader<'_>> {
        let Ok(dwarf) = Dwarf::load(|id| Ok::<_, Infallible>(self.get(Some(id.name()))));
        dwarf
    }

    /// The sections of a file of split units.
    pub(super) fn split<'s>(&'s self, parent: &Dwarf<Reader<'s>>) -> Dwarf<Reader<'s>> {
        let Ok(mut dwarf) = Dwarf::load(|id| Ok::<_, Infallible>(self.get(id.dwo_name())));
        dwarf.make_dwo(parent);
        dwarf
    }

    /// The sections of a package of files of split units.
    pub(super) fn package(&self) -> gimli::Result<DwarfPackage<Reader<'_>>> {
        DwarfPackage::load(|id| Ok(self.get(id.dwo_name())), self.get(None))
    }

    /// The size of a section, in files of either kind.
    pub(super) fn size(&self, id: SectionId) -> u64 {
        [Some(id.name()), id.dwo_name()].into_iter().map(|name| self.get(name).len() as u64).sum()
    }

    fn get(&self, name: Option<&'static str>) -> Reader<'_> {
        let content = name.and_then(|name| self.sections.get(name));
        EndianSlice::new(content.map_or(&[], |content| content), self.endian)
    }
}

/// The sections that are read. Those of split units have names of their own.
const SECTIONS: [SectionId; 14] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugCuIndex,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTuIndex,
    SectionId::DebugTypes,
];

/// Whether a file has a section.
pub(super) fn has(bytes: &[u8], id: SectionId) -> bool {
    let Ok(file) = object::File::parse(bytes) else { return false };
    file.sections().any(|section| section.name().ok().and_then(known_name) == Some(id.name()))
}

/// The name in ELF of a section that is read: `.zdebug_info` and `__debug_info` are `.debug_info`.
fn known_name(name: &str) -> Option<&'static str> {
    let kind = [".debug_", ".zdebug_", "__debug_"].iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let is_cut = name.len() == MACHO_NAME_SIZE && name.starts_with("__");
    let mut names = SECTIONS.iter().flat_map(|id| [Some(id.name()), id.dwo_name()]).flatten();
    names.find(|known| match known.strip_prefix(".debug_") {
        Some(known) if is_cut => known.starts_with(kind),
        known => known == Some(kind),
    })
}

/// The sections that are read, less those that would take too much memory.
fn pieces<'a>(file: &object::File<'a>, file_size: u64) -> (Vec<Piece<'a>>, Vec<(u64, String)>) {
    let mut problems = Vec::new();
    let mut left = file_size.saturating_mul(MADE_PER_FILE_SIZE_MAX).min(MADE_SIZE_MAX);
    let mut sizes: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut pieces = Vec::new();
    for section in file.sections() {
        let Some(name) = section.name().ok().and_then(known_name) else { continue };
        let file_offset = section.file_range().map_or(0, |range| range.0);
        let mut report = |problem: &str| problems.push((file_offset, format!("{name}: {problem}")));
        let content = match section.compressed_data() {
            Ok(content) => content,
            Err(error) => {
                report(&error.to_string());
                continue;
            }
        };
        let base = sizes.entry(name).or_default();
        let is_made = content.format != CompressionFormat::None
            || *base > 0
            || file.kind() == ObjectKind::Relocatable && section.relocations().next().is_some();
        if is_made && content.uncompressed_size > left {
            report(&format!("{} bytes are more than are made", content.uncompressed_size));
            continue;
        }
        left -= if is_made { content.uncompressed_size } else { 0 };
        pieces.push(Piece { name, index: section.index(), file_offset, content, base: *base });
        *base += content.uncompressed_size;
    }
    (pieces, problems)
}

/// The bytes of a piece, decompressed and relocated, and what was wrong with it.
fn make<'a>(
    file: &object::File<'a>,
    piece: &Piece<'a>,
    bases: &HashMap<SectionIndex, u64>,
) -> (Cow<'a, [u8]>, Option<String>) {
    let mut content = match decompress(&piece.content) {
        Ok(content) => content,
        Err(problem) => return (Cow::Borrowed(&[]), Some(problem)),
    };
    let problem = match file.kind() {
        ObjectKind::Relocatable => relocate(file, piece, &mut content, bases),
        _ => None,
    };
    (content, problem)
}

/// Writes addresses and offsets as the linker would if it left every section where it is: at 0.
fn relocate(
    file: &object::File<'_>,
    piece: &Piece<'_>,
    content: &mut Cow<'_, [u8]>,
    bases: &HashMap<SectionIndex, u64>,
) -> Option<String> {
    let section = file.section_by_index(piece.index).ok()?;
    let base_of = |section: Option<SectionIndex>| section.and_then(|index| bases.get(&index)).copied();
    let mut left_out = 0_u64;
    for (offset, relocation) in section.relocations() {
        let kind = relocation.kind();
        let target = match relocation.target() {
            RelocationTarget::Symbol(symbol) => file
                .symbol_by_index(symbol)
                .ok()
                .map(|symbol| symbol.address().wrapping_add(base_of(symbol.section_index()).unwrap_or(0))),
            RelocationTarget::Section(section) => file
                .section_by_index(section)
                .ok()
                .map(|target| target.address().wrapping_add(base_of(Some(section)).unwrap_or(0))),
            _ => Some(0),
        };
        let is_known = matches!(kind, RelocationKind::Absolute | RelocationKind::SectionOffset)
            || is_thread_local(file.architecture(), relocation.flags());
        let size = usize::from(relocation.size() / 8);
        let place = usize::try_from(offset).ok().and_then(|start| Some(start..start.checked_add(size)?));
        let place = place.filter(|place| is_known && [4, 8].contains(&size) && place.end <= content.len());
        let (Some(target), Some(place)) = (target, place) else {
            left_out += u64::from(kind != RelocationKind::None);
            continue;
        };
        let bytes = &mut content.to_mut()[place];
        let is_little = file.is_little_endian();
        let stored = if relocation.has_implicit_addend() { number(bytes, is_little) } else { 0 };
        let value = target.wrapping_add(relocation.addend().cast_unsigned()).wrapping_add(stored);
        match is_little {
            true => bytes.copy_from_slice(&value.to_le_bytes()[..size]),
            false => bytes.copy_from_slice(&value.to_be_bytes()[8 - size..]),
        }
    }
    (left_out > 0).then(|| format!("{left_out} relocations are of a kind that is not applied"))
}

/// Whether a relocation is of a thread-local variable's offset, which is counted like an address.
fn is_thread_local(architecture: Architecture, flags: RelocationFlags) -> bool {
    let RelocationFlags::Elf { r_type, .. } = flags else { return false };
    match architecture {
        Architecture::X86_64 => [elf::R_X86_64_DTPOFF32, elf::R_X86_64_DTPOFF64].contains(&r_type),
        Architecture::I386 => r_type == elf::R_386_TLS_LDO_32,
        Architecture::Aarch64 => r_type == elf::R_AARCH64_TLS_DTPREL,
        _ => false,
    }
}

/// The number that bytes hold.
fn number(bytes: &[u8], is_little: bool) -> u64 {
    let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
    match is_little {
        true => bytes.iter().rev().fold(0, add),
        false => bytes.iter().fold(0, add),
    }
}

#[cfg(test)]
mod tests {
    use super::known_name;

    #[test]
    fn sections_are_known_in_every_format() {
        assert_eq!(known_name(".debug_info"), Some(".debug_info"));
        assert_eq!(known_name(".zdebug_line"), Some(".debug_line"));
        assert_eq!(known_name("__debug_str"), Some(".debug_str"));
        assert_eq!(known_name("__debug_line"), Some(".debug_line"));
        assert_eq!(known_name("__debug_line_str"), Some(".debug_line_str"));
        assert_eq!(known_name("__debug_str_offs"), Some(".debug_str_offsets"));
        assert_eq!(known_name(".debug_info.dwo"), Some(".debug_info.dwo"));
        assert_eq!(known_name(".debug_gdb_scripts"), None);
        assert_eq!(known_name(".text"), None);
    }
}
