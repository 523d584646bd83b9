//! `(file, seed) -> corrupted file`, deterministic in the seed.
//!
//! Corruption of headers and tables has the most effect. Their ranges come from `binary_extents` and `binary_sections`
//! of the original file. Each range is chosen with the same probability, whatever its size.

use crate::apple::{self, Fixups};
use crate::objects::{self, Architecture, Format};
use crate::random::Random;
use crate::{fixtures, programs, tools, windows};
use binframe::ir::tables::{Endianness, ExtentOwner, SectionKind};
use binframe::passes::file::{extents, linkage, sections};
use bytes::Bytes;
use object::elf;
use std::collections::BTreeSet;
use std::fs;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Maximum number of mutations of one file.
const STEPS_MAX: usize = 4;

/// A file to corrupt.
pub struct Original {
    /// Name for messages.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Ranges of its headers and tables.
    structures: Vec<Range<usize>>,
    is_big_endian: bool,
}

/// A corrupted file.
pub struct Mutant {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Name of the original, and the mutations that were applied.
    pub recipe: String,
}

/// The mutant of a seed.
pub fn mutant(originals: &[Original], seed: u64) -> Mutant {
    let mut random = Random(seed);
    let original = random.pick(originals);
    let mut mutator = Mutator { originals, original, bytes: original.bytes.clone(), random };
    let mut recipe = vec![original.name.clone()];
    for _ in 0..=mutator.random.below(STEPS_MAX) {
        let step = *mutator.random.pick(STEPS);
        recipe.push(step(&mut mutator));
    }
    Mutant { recipe: recipe.join("; "), bytes: mutator.bytes }
}

/// Size in bytes of the largest file of a folder that is corrupted: time limits are for small files.
const FILE_SIZE_MAX: u64 = 1 << 20;

/// The files below a folder that are binaries and not too large, sorted by path.
pub fn originals_of(folder: &Path) -> Vec<Original> {
    let mut paths = BTreeSet::new();
    tools::collect(folder, &mut paths);
    let is_small = |path: &PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.len() <= FILE_SIZE_MAX);
    let read = |path: PathBuf| Some((path.display().to_string(), fs::read(&path).ok()?));
    let files = paths.into_iter().filter(is_small).filter_map(read);
    let binaries = files.filter(|(_, bytes)| sections::is_recognised(bytes));
    binaries.map(|(name, bytes)| Original::new(&name, bytes)).collect()
}

/// Small files of every format. Files whose compiler is not installed are missing.
pub fn originals() -> Vec<Original> {
    let mut originals = vec![
        Original::new("loops_and_calls", fixtures::loops_and_calls().bytes),
        Original::new("stack_and_globals", fixtures::stack_and_globals().bytes),
    ];
    for (format, architecture) in objects::ALL {
        let bytes = objects::object(format, architecture);
        originals.push(Original::new(&format!("{format:?} object of {architecture:?}"), bytes));
    }
    let [elf, coff] = [Format::Elf, Format::Coff].map(|format| objects::object(format, Architecture::X86_64));
    let members = [("elf.o", elf.as_slice()), ("an_object_of_windows.obj", &coff), ("text", b"no object")];
    originals.push(Original::new("archive", objects::archive(&members)));
    let members = [Architecture::X86_64, Architecture::Aarch64]
        .map(|architecture| objects::object(Format::MachO, architecture));
    originals
        .push(Original::new("universal file", objects::universal(&members.each_ref().map(Vec::as_slice))));
    for (fixups, name) in [(Fixups::Operations, "operations"), (Fixups::Chains, "chains")] {
        let executable = apple::executable(Architecture::X86_64, fixups);
        originals
            .extend(executable.map(|bytes| Original::new(&format!("Mach-O executable with {name}"), bytes)));
    }
    let windows = windows::executable(Architecture::X86_64);
    originals.extend(windows.map(|bytes| Original::new("PE executable", bytes)));
    let linked = linked().into_iter();
    let linked = linked.map(|(name, path)| (name, fs::read(path).expect("a compiled program can be read")));
    for (name, bytes) in linked {
        if name == "ELF library" {
            originals.push(Original::new("ELF library without section headers", without_sections(&bytes)));
        }
        originals.push(Original::new(name, bytes));
    }
    originals
}

/// An ELF file whose header states no section headers.
pub fn without_sections(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let is_64 = file[4] == elf::ELFCLASS64.0;
    let (offset, counts) = if is_64 { (40..48, 60..64) } else { (32..36, 48..52) };
    file[offset].fill(0);
    file[counts].fill(0);
    file
}

/// Small linked files and objects of the installed compilers and linkers.
fn linked() -> Vec<(&'static str, PathBuf)> {
    const LIBRARY: &[&str] = &[
        "-shared",
        "-nostdlib",
        "-fPIC",
        "-O1",
        "-fexceptions",
        "-Wl,-z,noseparate-code",
        "-Wl,--hash-style=both",
    ];
    let library = |more: &[&str]| {
        let flags: Vec<&str> = LIBRARY.iter().chain(more).copied().collect();
        programs::compile_c("library", programs::LIBRARY_C, &flags)
    };
    let windows = programs::WINDOWS_C;
    let msvc = |flags: &[&str]| programs::compile_msvc("windows", windows, flags);
    let linked = [
        ("ELF library", library(&[])),
        ("ELF library with DWARF 5", library(&["-gdwarf-5"])),
        ("ELF library with DWARF 3", library(&["-gdwarf-3", "-gstrict-dwarf"])),
        ("ELF library with compressed DWARF 4", library(&["-gdwarf-4", "-gz"])),
        (
            "ELF object with compressed frames",
            library(&["-gdwarf-4", "-gz", "-fno-asynchronous-unwind-tables", "-c"]),
        ),
        ("ELF object with DWARF 5", library(&["-gdwarf-5", "-c"])),
        // The `.dwo` file is deleted together with the temporary folder.
        ("ELF object with split DWARF", library(&["-gdwarf-5", "-gsplit-dwarf", "-c"])),
        ("PE library", programs::compile_windows("windows", windows, &["-O1", "-s", "-Wl,--build-id"])),
        ("PE32", msvc(&["--target=i686-pc-windows-msvc", "-Wl,-safeseh:no"])),
        ("PE with handlers", programs::compile_msvc_cpp("handlers", programs::HANDLERS_CPP, &["-O1"])),
        (
            "COFF object with handlers",
            programs::compile_msvc_cpp("handlers", programs::HANDLERS_CPP, &["-O1", "-c"]),
        ),
        ("PE of AArch64", msvc(&["--target=aarch64-pc-windows-msvc"])),
    ];
    linked.into_iter().filter_map(|(name, path)| Some((name, path?))).collect()
}

impl Original {
    /// Finds the headers and tables of a file.
    pub fn new(name: &str, bytes: Vec<u8>) -> Self {
        let file = Bytes::from(bytes.clone());
        let mut structures = structures(&file, 0);
        for member in sections::members(&file) {
            structures.extend(self::structures(&member.bytes, member.range.start as usize));
        }
        structures.retain(|range| !range.is_empty());
        let big = Some(Endianness::Big);
        let is_big_endian = sections::run(&file, 0)
            .is_ok_and(|sections| sections.headers.columns().iter().any(|header| header.endianness == big));
        Self { name: name.to_owned(), bytes, structures, is_big_endian }
    }
}

/// Ranges of headers, and of sections other than code and data, of a file that starts at `base`.
fn structures(file: &Bytes, base: usize) -> Vec<Range<usize>> {
    let Ok(sections) = sections::run(file, 0) else { return iter::once(base..base + file.len()).collect() };
    let is_plain = |index: u32| {
        let mut columns = sections.sections.columns().iter();
        let kind = columns.find(|section| section.section_index == index).map(|section| section.kind);
        matches!(kind, None | Some(SectionKind::Code | SectionKind::Plt | SectionKind::Data))
    };
    // Loader commands may be inside data sections.
    let commands = linkage::run(file, &sections).loader_commands;
    let commands =
        commands.columns().iter().map(|command| (command.file_offset, command.size)).collect::<Vec<_>>();
    let commands =
        commands.into_iter().map(|(offset, size)| base + offset as usize..base + (offset + size) as usize);
    let extents = extents::run(file, &sections);
    let extents = extents.columns().iter();
    extents
        .filter(|extent| match extent.owner_kind {
            ExtentOwner::Header | ExtentOwner::Table => true,
            ExtentOwner::Section => !extent.section_index.is_none_or(is_plain),
            ExtentOwner::Member | ExtentOwner::Padding | ExtentOwner::Overlay => false,
        })
        .map(|extent| base + extent.file_offset as usize..base + (extent.file_offset + extent.size) as usize)
        .chain(commands)
        .collect()
}

struct Mutator<'a> {
    original: &'a Original,
    bytes: Vec<u8>,
    /// All originals: one can get a part of another.
    originals: &'a [Original],
    random: Random,
}

/// Applies one mutation and returns its description.
type Step = fn(&mut Mutator<'_>) -> String;

/// Changed numbers are the most frequent defect in real files and attacks, so they are repeated here.
const STEPS: &[Step] = &[
    |mutator| mutator.number(),
    |mutator| mutator.number(),
    |mutator| mutator.number(),
    |mutator| mutator.copy(),
    |mutator| mutator.copy(),
    |mutator| mutator.replace(),
    |mutator| mutator.zero(),
    |mutator| mutator.join_texts(),
    |mutator| mutator.remove(),
    |mutator| mutator.insert(),
    |mutator| mutator.cut(),
    |mutator| mutator.graft(),
];

impl Mutator<'_> {
    /// A range to mutate: usually a header or table, sometimes the whole file.
    fn target(&mut self) -> Range<usize> {
        let whole = 0..self.bytes.len();
        let target = match self.random.chance(95) && !self.original.structures.is_empty() {
            true => self.random.pick(&self.original.structures).clone(),
            false => whole.clone(),
        };
        target.start.min(whole.end)..target.end.min(whole.end)
    }

    /// An offset in a target, aligned relative to its start.
    fn place(&mut self, alignment: usize) -> usize {
        let target = self.target();
        let steps = target.len() / alignment;
        target.start + alignment * self.random.below(steps.max(1))
    }

    /// Overwrites bytes, up to the end of the file.
    fn write(&mut self, at: usize, bytes: &[u8]) -> String {
        for (to, from) in self.bytes.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
        format!("{bytes:02x?} at {at:#x}")
    }

    /// Overwrites a number with a boundary value, or with one near the file size or the start of a header.
    fn number(&mut self) -> String {
        const EDGES: [u64; 16] = [
            0,
            1,
            2,
            0x7f,
            0xff,
            0x7fff,
            0xffff,
            0x1_0000,
            0x0100_0000,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            1 << 32,
            1 << 40,
            1 << 63,
            u64::MAX,
        ];
        let size = *self.random.pick(&[1, 2, 4, 4, 8, 8]);
        let at = self.place(size);
        let near = match self.random.below(4) {
            0 => self.bytes.len() as u64,
            1 => self.target().start as u64,
            2 => u64::from(self.bytes.get(at).copied().unwrap_or_default()),
            _ => *self.random.pick(&EDGES),
        };
        let distance = *self.random.pick(&[0, 0, 0, 1, u64::MAX, 8, 8_u64.wrapping_neg(), 24]);
        let value = near.wrapping_add(distance);
        match self.original.is_big_endian ^ self.random.chance(5) {
            true => self.write(at, &value.to_be_bytes()[8 - size..]),
            false => self.write(at, &value.to_le_bytes()[..size]),
        }
    }

    /// Copies a header or entry over another, so that tables overlap or refer to themselves.
    fn copy(&mut self) -> String {
        let size = *self.random.pick(&[4, 8, 12, 16, 24, 28, 40, 56, 64, 128]);
        let alignment = *self.random.pick(&[4, 8, size]);
        let (from, to) = (self.place(alignment), self.place(alignment));
        let entry: Vec<u8> = self.bytes.iter().skip(from).take(size).copied().collect();
        self.write(to, &entry)
    }

    /// Overwrites single bytes.
    fn replace(&mut self) -> String {
        let mut replaced = Vec::new();
        for _ in 0..=self.random.below(8) {
            let at = self.place(1);
            let any = self.random.number() as u8;
            let byte = *self.random.pick(&[0, 0xff, 0x80, b'9', b' ', any, any]);
            replaced.push(self.write(at, &[byte]));
        }
        replaced.join(", ")
    }

    fn zero(&mut self) -> String {
        let size = *self.random.pick(&[1, 2, 4, 8, 16, 64]);
        let at = self.place(size.min(8));
        self.write(at, &vec![0; size])
    }

    /// Removes all zeros from a target, so that its strings are not terminated.
    fn join_texts(&mut self) -> String {
        let target = self.target();
        let description = format!("no zeros in {target:x?}");
        let filler = *self.random.pick(b"A_\xff");
        for byte in self.bytes[target].iter_mut().filter(|byte| **byte == 0) {
            *byte = filler;
        }
        description
    }

    /// Removes bytes, so that later offsets are wrong.
    fn remove(&mut self) -> String {
        let at = self.place(1);
        let end = (at + 1 + self.random.below(64)).min(self.bytes.len());
        self.bytes.drain(at..end);
        format!("without {at:#x}..{end:#x}")
    }

    /// Duplicates bytes, so that later offsets are wrong.
    fn insert(&mut self) -> String {
        let at = self.place(1);
        let end = (at + 1 + self.random.below(64)).min(self.bytes.len());
        let more = self.bytes[at..end].to_vec();
        self.bytes.splice(at..at, more);
        format!("{at:#x}..{end:#x} twice")
    }

    /// Overwrites a header or table with one of another file, or everything from it on.
    fn graft(&mut self) -> String {
        let other = self.random.pick(self.originals);
        let whole = 0..other.bytes.len();
        let from =
            if other.structures.is_empty() { whole } else { self.random.pick(&other.structures).clone() };
        let from = from.start.min(other.bytes.len())..from.end.min(other.bytes.len());
        let to = self.target().start;
        let is_rest = self.random.chance(20);
        match is_rest {
            true => self.bytes.splice(to.., other.bytes[from.start..].iter().copied()).for_each(drop),
            false => drop(self.write(to, &other.bytes[from.clone()])),
        }
        let extent = if is_rest { "and the rest " } else { "" };
        format!("{from:x?} {extent}of {} at {to:#x}", other.name)
    }

    /// Truncates the file at or near a boundary of a header or table, or inside it.
    fn cut(&mut self) -> String {
        let target = self.target();
        let inside = target.start + self.random.below(target.len().max(1));
        let size = *self.random.pick(&[
            target.start,
            target.start + 1,
            inside,
            target.end.saturating_sub(1),
            target.end,
        ]);
        self.bytes.truncate(size);
        format!("cut at {size:#x}")
    }
}
