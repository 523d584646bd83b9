//! Debug sections of one file: found by name, decompressed and, in a relocatable object, relocated.
//!
//! Source: DWARF 5, section 7.3.5 (packages of split units).

use super::relocations;
use crate::file::formats::compression::{self, ElfEncoding, decompress};
use crate::file::formats::{EndianReader, Headers, bytes_at};
use crate::file::sections;
use binframe_ir::Rows;
use binframe_ir::tables::BinarySections;
use bytes::Bytes;
use gimli::{Dwarf, DwarfPackage, EndianSlice, RunTimeEndian, SectionId};
use object::read::{CompressedData, CompressionFormat};
use object::{Endianness, SectionIndex};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

/// Sections that are decompressed, relocated or concatenated in memory may be this many times the size of the files that
/// they are in, and this many bytes.
const BUILT_PER_FILE_SIZE_MAX: u64 = 64;
const BUILT_SIZE_MAX: u64 = 4 << 30;

/// Bytes of sections that may still be built in memory. A file and its companions share one budget.
pub(super) struct BuildBudget(u64);

impl BuildBudget {
    /// The budget of files of a total size.
    pub(super) fn of(size: u64) -> Self {
        Self(size.saturating_mul(BUILT_PER_FILE_SIZE_MAX).min(BUILT_SIZE_MAX))
    }

    /// Takes bytes from the budget. Returns whether there were enough.
    fn take(&mut self, size: u64) -> bool {
        let left = self.0.checked_sub(size);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// Size of a section name in Mach-O files, to which longer ones are truncated.
const MACHO_NAME_SIZE: usize = 16;

/// The debug sections of one file, by their ELF names.
pub(super) struct DebugSections<'a> {
    endian: RunTimeEndian,
    sections: BTreeMap<&'static str, Cow<'a, [u8]>>,
    /// File offset of the first of them.
    pub(super) file_offset: u64,
    /// Build identifier of the file; `None` if it has none.
    pub(super) build_id: Option<&'a [u8]>,
    /// Name of the separate debug file (`.gnu_debuglink`).
    pub(super) link: Option<Cow<'a, str>>,
    /// The supplementary file; `None` if the file has none.
    pub(super) supplement: Option<SupplementLink<'a>>,
    /// File offset and message of each section that cannot be read.
    pub(super) problems: Vec<(u64, String)>,
}

/// A section of the file. Sections with the same name are concatenated.
struct SectionChunk<'a> {
    name: &'static str,
    index: SectionIndex,
    file_offset: u64,
    content: CompressedData<'a>,
    /// Offset in the concatenated section.
    base: u64,
}

/// The debug sections of one file that are found, but not built.
pub(super) struct FoundSections<'a> {
    endian: Endianness,
    /// The file, if it is an object.
    object: Option<object::File<'a>>,
    chunks: Vec<SectionChunk<'a>>,
    build_id: Option<&'a [u8]>,
    link: Option<Cow<'a, str>>,
    supplement: Option<SupplementLink<'a>>,
    problems: Vec<(u64, String)>,
}

impl<'a> FoundSections<'a> {
    /// Finds the sections for which the budget is enough; `None` for a file that cannot be read. Only an object's symbols
    /// and relocations matter: without them, its sections are left as they are.
    pub(super) fn of(file: &'a Bytes, budget: &mut BuildBudget) -> Option<Self> {
        let headers = Headers::find(file).ok()?;
        let sections = sections::declared(&headers);
        let mut problems = Vec::new();
        let mut object = None;
        if headers.is_relocatable()
            && sections.columns().iter().any(|row| elf_name(row.section_name).is_some())
        {
            match object::File::parse(file.as_ref()) {
                Ok(file) => object = Some(file),
                Err(error) => problems.push((0, format!("debug sections were not relocated: {error}"))),
            }
        }
        let mut found = Self {
            endian: headers.endian(),
            object,
            chunks: Vec::new(),
            build_id: headers.build_id(),
            link: debug_link(file, &sections),
            supplement: supplement_link(file, &sections),
            problems,
        };
        found.add_chunks(file, &sections, headers.elf_encoding(), budget);
        Some(found)
    }

    /// Adds the sections that are read, without those that exceed the budget.
    fn add_chunks(
        &mut self,
        file: &'a Bytes,
        sections: &Rows<BinarySections>,
        elf: Option<ElfEncoding>,
        budget: &mut BuildBudget,
    ) {
        let mut sizes: BTreeMap<&'static str, u64> = BTreeMap::new();
        for section in sections.columns().iter() {
            // The content of a section in a file of its own has no bytes here.
            let Some(name) = elf_name(section.section_name).filter(|_| section.file_size > 0) else {
                continue;
            };
            let file_offset = section.file_offset;
            let mut report = |problem: &str| self.problems.push((file_offset, format!("{name}: {problem}")));
            let content = match compression::stored(file, &section, elf) {
                Ok(content) => content,
                Err(error) => {
                    report(&error);
                    continue;
                }
            };
            let index = SectionIndex(section.section_index as usize);
            let base = sizes.entry(name).or_default();
            let is_built = content.format != CompressionFormat::None
                || *base > 0
                || self.object.as_ref().is_some_and(|object| relocations::has_any(object, index));
            if is_built && !budget.take(content.uncompressed_size) {
                report(&format!(
                    "its {} bytes exceed the limit for sections in memory",
                    content.uncompressed_size
                ));
                continue;
            }
            self.chunks.push(SectionChunk { name, index, file_offset, content, base: *base });
            *base += content.uncompressed_size;
        }
    }

    /// Builds the sections.
    pub(super) fn build(self) -> DebugSections<'a> {
        let Self { endian, object, chunks, build_id, link, supplement, mut problems } = self;
        let endian = match endian {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        let file_offset = chunks.iter().map(|chunk| chunk.file_offset).min().unwrap_or(0);
        let bases: HashMap<_, _> = chunks.iter().map(|chunk| (chunk.index, chunk.base)).collect();
        let build = |chunk: &SectionChunk<'a>| match decompress(&chunk.content) {
            Ok(mut content) => {
                let relocate = |object| relocations::apply(object, chunk.index, &mut content, &bases);
                let problem = object.as_ref().and_then(relocate);
                (content, problem)
            }
            Err(problem) => (Cow::Borrowed(&[] as &[u8]), Some(problem)),
        };
        let built: Vec<_> = chunks.par_iter().map(build).collect();
        let mut sections: BTreeMap<&'static str, Cow<'a, [u8]>> = BTreeMap::new();
        for (chunk, (content, problem)) in chunks.iter().zip(built) {
            problems.extend(problem.map(|problem| (chunk.file_offset, format!("{}: {problem}", chunk.name))));
            match sections.get_mut(chunk.name) {
                None => _ = sections.insert(chunk.name, content),
                Some(before) => before.to_mut().extend_from_slice(&content),
            }
        }
        DebugSections { endian, sections, file_offset, build_id, link, supplement, problems }
    }
}

/// The supplementary file that a file refers to.
pub(super) struct SupplementLink<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) build_id: &'a [u8],
}

/// The name of the separate debug file, in a section of its own.
pub(super) fn debug_link<'a>(file: &'a Bytes, sections: &Rows<BinarySections>) -> Option<Cow<'a, str>> {
    let (name, _) = split_name(section_content(file, sections, ".gnu_debuglink")?)?;
    Some(name)
}

/// The supplementary file: a name and its build identifier. Before DWARF 5 there was no standard for them.
pub(super) fn supplement_link<'a>(
    file: &'a Bytes,
    sections: &Rows<BinarySections>,
) -> Option<SupplementLink<'a>> {
    if let Some(content) = section_content(file, sections, ".gnu_debugaltlink") {
        let (name, build_id) = split_name(content)?;
        return Some(SupplementLink { name, build_id });
    }
    // A version, and whether this is the supplementary file itself.
    let (name, rest) = split_name(section_content(file, sections, ".debug_sup")?.strip_prefix(&[5, 0, 0])?)?;
    let (size, build_id) = rest.split_first()?;
    Some(SupplementLink { name, build_id: build_id.get(..usize::from(*size))? })
}

/// A zero-terminated name at the start of a section, and the bytes after it; `None` if it is empty.
fn split_name(content: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let end = content.iter().position(|byte| *byte == 0).filter(|end| *end > 0)?;
    Some((String::from_utf8_lossy(&content[..end]), &content[end + 1..]))
}

fn section_content<'a>(file: &'a Bytes, sections: &Rows<BinarySections>, name: &str) -> Option<&'a [u8]> {
    let section = sections.columns().iter().find(|section| section.section_name == name)?;
    Some(bytes_at(file, section.file_offset, section.file_size).0)
}

impl<'a> DebugSections<'a> {
    /// Finds and builds the sections; `None` for a file that cannot be read.
    pub(super) fn load(bytes: &'a Bytes, budget: &mut BuildBudget) -> Option<Self> {
        FoundSections::of(bytes, budget).map(FoundSections::build)
    }

    /// Sections with the given contents.
    #[cfg(test)]
    pub(super) fn of(sections: &[(&'static str, &'a [u8])]) -> Self {
        let sections = sections.iter().map(|(name, content)| (*name, Cow::Borrowed(*content))).collect();
        let endian = RunTimeEndian::Little;
        Self {
            endian,
            sections,
            file_offset: 0,
            build_id: None,
            link: None,
            supplement: None,
            problems: Vec::new(),
        }
    }

    /// The sections of an image or object.
    pub(super) fn linked(&self) -> Dwarf<EndianReader<'_>> {
        let Ok(dwarf) = Dwarf::load(|id| Ok::<_, Infallible>(self.get(Some(id.name()))));
        dwarf
    }

    /// Whether the file has only split units.
    pub(super) fn is_split(&self) -> bool {
        self.get(Some(SectionId::DebugInfo.name())).is_empty()
            && !self.get(SectionId::DebugInfo.dwo_name()).is_empty()
    }

    /// The sections of a `.dwo` file.
    pub(super) fn split<'s>(&'s self, parent: &Dwarf<EndianReader<'s>>) -> Dwarf<EndianReader<'s>> {
        let Ok(mut dwarf) = Dwarf::load(|id| Ok::<_, Infallible>(self.get(id.dwo_name())));
        dwarf.make_dwo(parent);
        dwarf
    }

    /// The sections of a `.dwp` file.
    pub(super) fn package(&self) -> gimli::Result<DwarfPackage<EndianReader<'_>>> {
        DwarfPackage::load(|id| Ok(self.get(id.dwo_name())), self.get(None))
    }

    /// Size of a section in bytes, under either of its names.
    pub(super) fn size(&self, id: SectionId) -> u64 {
        [Some(id.name()), id.dwo_name()].into_iter().map(|name| self.get(name).len() as u64).sum()
    }

    fn get(&self, name: Option<&'static str>) -> EndianReader<'_> {
        let content = name.and_then(|name| self.sections.get(name));
        EndianSlice::new(content.map_or(&[], |content| content), self.endian)
    }
}

/// The sections that are read. Each has a second name in `.dwo` files.
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

/// Whether a debug section with content is among the sections of a file.
pub(super) fn has(sections: &Rows<BinarySections>, id: SectionId) -> bool {
    let mut sections = sections.columns().iter();
    sections.any(|section| section.file_size > 0 && elf_name(section.section_name) == Some(id.name()))
}

/// ELF name of a section that is read: `.debug_info` for `.zdebug_info` and `__debug_info`. `None` for other sections.
fn elf_name(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("__DWARF,").unwrap_or(name);
    let prefixes = [".debug_", ".zdebug_", "__debug_", "__zdebug_"];
    let kind = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let is_truncated = name.len() == MACHO_NAME_SIZE && name.starts_with("__");
    let mut names = SECTIONS.iter().flat_map(|id| [Some(id.name()), id.dwo_name()]).flatten();
    names.find(|known| match known.strip_prefix(".debug_") {
        Some(known) if is_truncated => known.starts_with(kind),
        known => known == Some(kind),
    })
}

#[cfg(test)]
mod tests {
    use super::{BuildBudget, elf_name};

    #[test]
    fn a_budget_is_taken_up_to_its_size() {
        let mut budget = BuildBudget::of(1);
        assert!(!budget.take(65) && budget.take(60) && !budget.take(5) && budget.take(4) && budget.take(0));
        assert!(!BuildBudget::of(u64::MAX).take((4 << 30) + 1));
    }

    #[test]
    fn section_names_of_every_format_are_recognized() {
        assert_eq!(elf_name(".debug_info"), Some(".debug_info"));
        assert_eq!(elf_name(".zdebug_line"), Some(".debug_line"));
        assert_eq!(elf_name("__debug_str"), Some(".debug_str"));
        assert_eq!(elf_name("__DWARF,__debug_line"), Some(".debug_line"));
        assert_eq!(elf_name("__DWARF,__zdebug_str_off"), Some(".debug_str_offsets"));
        assert_eq!(elf_name("__debug_line_str"), Some(".debug_line_str"));
        assert_eq!(elf_name("__debug_str_offs"), Some(".debug_str_offsets"));
        assert_eq!(elf_name(".debug_info.dwo"), Some(".debug_info.dwo"));
        assert_eq!(elf_name(".debug_gdb_scripts"), None);
        assert_eq!(elf_name(".text"), None);
    }
}
