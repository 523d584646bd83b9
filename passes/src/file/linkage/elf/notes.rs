//! `binary_notes` of an ELF file, from its sections of notes; without section headers, from its segments of notes.

use super::super::ir::LinkageBuilder;
use super::core::{self, CoreNote, CoreReader};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::elf::{Elf, Header};
use crate::file::formats::hexadecimal;
use binframe_ir::tables::{BinaryNote, DiagnosticCode};
use object::elf::{self, GnuPropertyType, NoteType};
use object::endian::Endian;
use object::read::elf::Note;

/// Number of bytes of a note's content that its text is made from.
const TEXT_SIZE_MAX: usize = 4096;

pub(super) fn push<H: Header>(elf: &Elf<'_, H>, linkage: &mut LinkageBuilder) {
    let mut core = CoreReader::of(elf);
    let mut note_index = 0;
    for range in elf.notes() {
        let mut file_offset = range.file_offset;
        let read = range.notes.and_then(|mut notes| {
            while let Some(note) = notes.next().map_err(|error| error.to_string())? {
                let size = note_size(elf, &note, file_offset, range.alignment);
                let place = (note_index, range.section_index, file_offset, size);
                push_note(elf, &note, place, core.as_mut(), linkage);
                file_offset = file_offset.saturating_add(size);
                note_index += 1;
            }
            Ok(())
        });
        if let Err(error) = read {
            let message = format!("the rest of the notes cannot be read: {error}");
            linkage.warning(
                DiagnosticCode::BrokenNote,
                DiagnosticLocation::FileOffset(file_offset),
                &message,
            );
        }
    }
    if let Some(core) = core {
        core.finish(linkage);
    }
}

/// Size of a note with its padding: the distance to the next note.
fn note_size<H: Header>(elf: &Elf<'_, H>, note: &Note<'_, H>, file_offset: u64, alignment: u64) -> u64 {
    let content = note.desc();
    let end =
        (content.as_ptr() as usize).wrapping_sub(elf.file.as_ptr() as usize).wrapping_add(content.len());
    let size = (end as u64).wrapping_sub(file_offset);
    // An empty content is not a slice of the file.
    if content.is_empty() || size > elf.file.len() as u64 {
        (12 + u64::from(note.n_namesz(elf.endian))).next_multiple_of(alignment)
    } else {
        size.next_multiple_of(alignment)
    }
}

fn push_note<H: Header>(
    elf: &Elf<'_, H>,
    note: &Note<'_, H>,
    (note_index, section_index, file_offset, size): (u32, Option<u32>, u64, u64),
    core: Option<&mut CoreReader>,
    linkage: &mut LinkageBuilder,
) {
    let note_type = note.n_type(elf.endian);
    let unnamed = format!("{:#x}", note_type.0);
    let in_core = core.as_ref().and_then(|_| core::type_name(note.name(), note_type.0));
    let type_name = in_core.or_else(|| type_name(note.name(), note_type)).unwrap_or(&unnamed);
    let owner = String::from_utf8_lossy(note.name());
    let Some(owner) = linkage.names.take(owner) else { return };
    linkage.notes.push(BinaryNote {
        note_index,
        section_index,
        file_offset,
        size,
        owner: &owner,
        note_type: type_name,
        content: note.desc(),
        text: text(elf, note).and_then(|text| linkage.names.take(text)).as_deref(),
    });
    if let Some(core) = core {
        let (owner, content) = (note.name(), note.desc());
        let note = CoreNote { index: note_index, owner, note_type: note_type.0, type_name, content };
        core.read(note, linkage);
    }
}

/// The owner's name for a type of its notes; `None` if it is unknown.
fn type_name(owner: &[u8], note_type: NoteType) -> Option<&'static str> {
    match (owner, note_type.0) {
        // Notes of SystemTap, systemd, binutils and other systems, which `object` has no names for.
        (b"stapsdt", 3) => Some("NT_STAPSDT"),
        (b"FDO", 0xcafe_1a7e) => Some("NT_FDO_PACKAGING_METADATA"),
        (b"FDO", 0x407c_0c0a) => Some("NT_FDO_DLOPEN_METADATA"),
        (b"FreeBSD", 1) => Some("NT_FREEBSD_ABI_TAG"),
        (b"FreeBSD", 2) => Some("NT_FREEBSD_NOINIT_TAG"),
        (b"FreeBSD", 3) => Some("NT_FREEBSD_ARCH_TAG"),
        (b"FreeBSD", 4) => Some("NT_FREEBSD_FEATURE_CTL"),
        (b"NetBSD", 1) => Some("NT_NETBSD_IDENT"),
        (b"NetBSD", 5) => Some("NT_NETBSD_MARCH"),
        (b"PaX", 3) => Some("NT_NETBSD_PAX"),
        (b"OpenBSD", 1) => Some("NT_OPENBSD_IDENT"),
        (b"Android", 1) => Some("NT_ANDROID_IDENT"),
        (b"Android", 4) => Some("NT_ANDROID_MEMTAG"),
        ([b'G', b'A', ..], 0x100) => Some("NT_GNU_BUILD_ATTRIBUTE_OPEN"),
        ([b'G', b'A', ..], 0x101) => Some("NT_GNU_BUILD_ATTRIBUTE_FUNC"),
        _ => NoteType::names(owner).name(note_type),
    }
}

/// A readable form of a note's content; `None` for types that have none.
fn text<H: Header>(elf: &Elf<'_, H>, note: &Note<'_, H>) -> Option<String> {
    let (endian, content) = (elf.endian, note.desc());
    let content = &content[..content.len().min(TEXT_SIZE_MAX)];
    let words = |bytes: &[u8]| -> Vec<u32> {
        let word = |word: &[u8; 4]| endian.read_u32(*word);
        bytes.as_chunks().0.iter().map(word).collect()
    };
    match (note.name(), note.n_type(endian)) {
        (elf::ELF_NOTE_GNU, elf::NT_GNU_BUILD_ID) => Some(hexadecimal(content)),
        (elf::ELF_NOTE_GNU, elf::NT_GNU_ABI_TAG) => match words(content).as_slice() {
            [system, major, minor, patch, ..] => {
                let systems = ["Linux", "Hurd", "Solaris", "FreeBSD", "NetBSD", "Syllable", "NaCl"];
                let system = systems.get(*system as usize).copied().unwrap_or("unknown system");
                Some(format!("{system} {major}.{minor}.{patch}"))
            }
            _ => None,
        },
        (elf::ELF_NOTE_GNU, elf::NT_GNU_PROPERTY_TYPE_0) => Some(properties(elf, note)),
        (elf::ELF_NOTE_GNU, elf::NT_GNU_GOLD_VERSION) | (elf::ELF_NOTE_GO | b"FDO", _) => {
            let text = content.split(|byte| *byte == 0).next().unwrap_or_default();
            Some(String::from_utf8_lossy(text).into_owned())
        }
        (b"stapsdt", _) => {
            // Three addresses precede provider, name and arguments.
            let text = content.get(if elf.header.is_type_64() { 24 } else { 12 }..)?;
            let parts: Vec<_> = text.split(|byte| *byte == 0).map(String::from_utf8_lossy).take(3).collect();
            Some(parts.join(" ").trim_end().to_owned())
        }
        _ => None,
    }
}

/// The properties of `NT_GNU_PROPERTY_TYPE_0`, such as `X86_FEATURE_1_AND: IBT, SHSTK`.
fn properties<H: Header>(elf: &Elf<'_, H>, note: &Note<'_, H>) -> String {
    let mut texts = Vec::new();
    let Some(mut properties) = note.gnu_properties(elf.endian) else { return String::new() };
    while let Ok(Some(property)) = properties.next() {
        let property_type = property.pr_type();
        let unnamed = format!("{:#x}", property_type.0);
        let name = GnuPropertyType::type_names(elf.machine).name(property_type).unwrap_or(&unnamed);
        let short_name = name.trim_start_matches("GNU_PROPERTY_");
        let Ok(value) = property.data_u32(elf.endian) else {
            texts.push(short_name.to_owned());
            continue;
        };
        // The flags of `GNU_PROPERTY_X86_FEATURE_1_AND` are named `GNU_PROPERTY_X86_FEATURE_1_IBT` and so on.
        let stem = name.rsplit_once('_').map_or(name, |(stem, _)| stem);
        let mut flags = Vec::new();
        let rest = property_type.u32_value_names(elf.machine).map_or(value, |names| {
            names.names(value, |_, flag| {
                flags.push(flag.trim_start_matches(stem).trim_start_matches('_').to_owned());
            })
        });
        flags.extend((rest != 0).then(|| format!("{rest:#x}")));
        texts.push(format!("{short_name}: {}", flags.join(", ")));
    }
    texts.join("; ")
}
