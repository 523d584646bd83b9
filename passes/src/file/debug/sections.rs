//! Debug sections of one file: found by name, decompressed and, in a relocatable object, relocated.
//!
//! Source: DWARF 5, section 7.3.5 (packages of split units).

use crate::file::formats::EndianReader;
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
    pub(super) build_id: Option<Vec<u8>>,
    /// Name of the separate debug file (`.gnu_debuglink`).
    pub(super) link: Option<Cow<'a, str>>,
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
    file: object::File<'a>,
    chunks: Vec<SectionChunk<'a>>,
    problems: Vec<(u64, String)>,
}

impl<'a> FoundSections<'a> {
    /// Finds the sections for which the budget is enough; `None` for a file that cannot be read.
    pub(super) fn of(bytes: &'a [u8], budget: &mut BuildBudget) -> Option<Self> {
        let file = object::File::parse(bytes).ok()?;
        let (chunks, problems) = chunks(&file, budget);
        Some(Self { file, chunks, problems })
    }

    /// Builds the sections.
    pub(super) fn build(self) -> DebugSections<'a> {
        let Self { file, chunks, mut problems } = self;
        let endian = match file.endianness() {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        let file_offset = chunks.iter().map(|chunk| chunk.file_offset).min().unwrap_or(0);
        let bases: HashMap<_, _> = chunks.iter().map(|chunk| (chunk.index, chunk.base)).collect();
        let built: Vec<_> = chunks.par_iter().map(|chunk| build(&file, chunk, &bases)).collect();
        let mut sections: BTreeMap<&'static str, Cow<'a, [u8]>> = BTreeMap::new();
        for (chunk, (content, problem)) in chunks.iter().zip(built) {
            problems.extend(problem.map(|problem| (chunk.file_offset, format!("{}: {problem}", chunk.name))));
            match sections.get_mut(chunk.name) {
                None => _ = sections.insert(chunk.name, content),
                Some(before) => before.to_mut().extend_from_slice(&content),
            }
        }
        let uuid = file.mach_uuid().ok().flatten().map(Vec::from);
        let build_id = file.build_id().ok().flatten().map(Vec::from).or(uuid);
        let link = file.gnu_debuglink().ok().flatten().map(|(name, _)| String::from_utf8_lossy(name));
        DebugSections { endian, sections, file_offset, build_id, link, problems }
    }
}

impl<'a> DebugSections<'a> {
    /// Finds and builds the sections; `None` for a file that cannot be read.
    pub(super) fn load(bytes: &'a [u8], budget: &mut BuildBudget) -> Option<Self> {
        FoundSections::of(bytes, budget).map(FoundSections::build)
    }

    /// Sections with the given contents.
    #[cfg(test)]
    pub(super) fn of(sections: &[(&'static str, &'a [u8])]) -> Self {
        let sections = sections.iter().map(|(name, content)| (*name, Cow::Borrowed(*content))).collect();
        let endian = RunTimeEndian::Little;
        Self { endian, sections, file_offset: 0, build_id: None, link: None, problems: Vec::new() }
    }

    /// The sections of an image or object.
    pub(super) fn linked(&self) -> Dwarf<EndianReader<'_>> {
        let Ok(dwarf) = Dwarf::load(|id| Ok::<_, Infallible>(self.get(Some(id.name()))));
        dwarf
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

/// Whether a file has a debug section.
pub(super) fn has(bytes: &[u8], id: SectionId) -> bool {
    let Ok(file) = object::File::parse(bytes) else { return false };
    file.sections().any(|section| section.name().ok().and_then(elf_name) == Some(id.name()))
}

/// ELF name of a section that is read: `.debug_info` for `.zdebug_info` and `__debug_info`. `None` for other sections.
fn elf_name(name: &str) -> Option<&'static str> {
    let kind = [".debug_", ".zdebug_", "__debug_"].iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let is_truncated = name.len() == MACHO_NAME_SIZE && name.starts_with("__");
    let mut names = SECTIONS.iter().flat_map(|id| [Some(id.name()), id.dwo_name()]).flatten();
    names.find(|known| match known.strip_prefix(".debug_") {
        Some(known) if is_truncated => known.starts_with(kind),
        known => known == Some(kind),
    })
}

/// The sections that are read, without those that exceed the budget.
fn chunks<'a>(
    file: &object::File<'a>,
    budget: &mut BuildBudget,
) -> (Vec<SectionChunk<'a>>, Vec<(u64, String)>) {
    let mut problems = Vec::new();
    let mut sizes: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut chunks = Vec::new();
    for section in file.sections() {
        let Some(name) = section.name().ok().and_then(elf_name) else { continue };
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
        let is_built = content.format != CompressionFormat::None
            || *base > 0
            || file.kind() == ObjectKind::Relocatable && section.relocations().next().is_some();
        if is_built && !budget.take(content.uncompressed_size) {
            report(&format!(
                "its {} bytes exceed the limit for sections in memory",
                content.uncompressed_size
            ));
            continue;
        }
        chunks.push(SectionChunk { name, index: section.index(), file_offset, content, base: *base });
        *base += content.uncompressed_size;
    }
    (chunks, problems)
}

/// The bytes of a chunk, decompressed and relocated, and the message of an error.
fn build<'a>(
    file: &object::File<'a>,
    chunk: &SectionChunk<'a>,
    bases: &HashMap<SectionIndex, u64>,
) -> (Cow<'a, [u8]>, Option<String>) {
    let mut content = match decompress(&chunk.content) {
        Ok(content) => content,
        Err(problem) => return (Cow::Borrowed(&[]), Some(problem)),
    };
    let problem = match file.kind() {
        ObjectKind::Relocatable => relocate(file, chunk, &mut content, bases),
        _ => None,
    };
    (content, problem)
}

/// Applies relocations as a linker would that leaves every section at address 0.
fn relocate(
    file: &object::File<'_>,
    chunk: &SectionChunk<'_>,
    content: &mut Cow<'_, [u8]>,
    bases: &HashMap<SectionIndex, u64>,
) -> Option<String> {
    let section = file.section_by_index(chunk.index).ok()?;
    let base_of = |section: Option<SectionIndex>| section.and_then(|index| bases.get(&index)).copied();
    let mut skipped = 0_u64;
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
        let is_supported = matches!(kind, RelocationKind::Absolute | RelocationKind::SectionOffset)
            || is_thread_local(file.architecture(), relocation.flags());
        let size = usize::from(relocation.size() / 8);
        let field = usize::try_from(offset).ok().and_then(|start| Some(start..start.checked_add(size)?));
        let field =
            field.filter(|field| is_supported && [4, 8].contains(&size) && field.end <= content.len());
        let (Some(target), Some(field)) = (target, field) else {
            skipped += u64::from(kind != RelocationKind::None);
            continue;
        };
        let bytes = &mut content.to_mut()[field];
        let is_little = file.is_little_endian();
        let stored = if relocation.has_implicit_addend() { number(bytes, is_little) } else { 0 };
        let value = target.wrapping_add(relocation.addend().cast_unsigned()).wrapping_add(stored);
        match is_little {
            true => bytes.copy_from_slice(&value.to_le_bytes()[..size]),
            false => bytes.copy_from_slice(&value.to_be_bytes()[8 - size..]),
        }
    }
    (skipped > 0).then(|| format!("{skipped} relocations are of a kind that is not applied"))
}

/// Whether a relocation writes the offset of a thread-local variable, which is applied like an address.
fn is_thread_local(architecture: Architecture, flags: RelocationFlags) -> bool {
    let RelocationFlags::Elf { r_type, .. } = flags else { return false };
    match architecture {
        Architecture::X86_64 => [elf::R_X86_64_DTPOFF32, elf::R_X86_64_DTPOFF64].contains(&r_type),
        Architecture::I386 => r_type == elf::R_386_TLS_LDO_32,
        Architecture::Aarch64 => r_type == elf::R_AARCH64_TLS_DTPREL,
        _ => false,
    }
}

/// The unsigned integer in `bytes`.
fn number(bytes: &[u8], is_little: bool) -> u64 {
    let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
    match is_little {
        true => bytes.iter().rev().fold(0, add),
        false => bytes.iter().fold(0, add),
    }
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
        assert_eq!(elf_name("__debug_line"), Some(".debug_line"));
        assert_eq!(elf_name("__debug_line_str"), Some(".debug_line_str"));
        assert_eq!(elf_name("__debug_str_offs"), Some(".debug_str_offsets"));
        assert_eq!(elf_name(".debug_info.dwo"), Some(".debug_info.dwo"));
        assert_eq!(elf_name(".debug_gdb_scripts"), None);
        assert_eq!(elf_name(".text"), None);
    }
}
