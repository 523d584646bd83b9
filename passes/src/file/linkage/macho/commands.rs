//! `binary_loader_commands`, `binary_libraries` and `binary_notes` of a Mach-O file, from the load commands.

use super::super::ir::LinkageBuilder;
use super::fields::{source_version, tool_name};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::macho::{Command, Header, MachO};
use crate::file::formats::{CONTENT_PER_FILE_SIZE_MAX, bytes_at, hexadecimal};
use binframe_ir::tables::{BinaryLibrary, BinaryLoaderCommand, BinaryNote, DiagnosticCode, LibraryKind};
use object::Endianness;
use object::macho::{self, LcStr, NoteCommand};
use object::read::macho::{LoadCommandVariant, Segment};

/// The columns `value` and `text` of a load command.
type ValueAndText = (Option<u64>, Option<String>);

/// Adds the rows. Returns the names of libraries in the order in which symbols refer to them, the first having number
/// 1.
pub(super) fn push<H: Header>(macho: &MachO<'_, H>, linkage: &mut LinkageBuilder) -> Vec<String> {
    let mut writer = CommandWriter {
        linkage,
        libraries: Vec::new(),
        library_index: 0,
        note_index: 0,
        content_left: macho.file.len().saturating_mul(CONTENT_PER_FILE_SIZE_MAX),
    };
    for (command_index, command) in (0..).zip(&macho.commands) {
        let unnamed = format!("{:#x}", command.cmd().0);
        let (value, text) = writer.read(macho, command);
        let text = text.and_then(|text| writer.linkage.names.take(text));
        writer.linkage.loader_commands.push(BinaryLoaderCommand {
            command_index,
            command: command.cmd().name().unwrap_or(&unnamed),
            file_offset: command.offset(),
            size: command.cmdsize().into(),
            value,
            text: text.as_deref(),
        });
    }
    writer.libraries
}

struct CommandWriter<'l> {
    linkage: &'l mut LinkageBuilder,
    libraries: Vec<String>,
    library_index: u32,
    note_index: u32,
    /// Bytes that notes may still contain: those of a broken file may overlap.
    content_left: usize,
}

impl CommandWriter<'_> {
    /// Reports a load command that cannot be read.
    fn broken(&mut self, command: &Command<'_>) {
        let message = format!("the load command {:?} cannot be read", command.cmd());
        let location = DiagnosticLocation::FileOffset(command.offset());
        self.linkage.warning(DiagnosticCode::BrokenLoaderCommand, location, &message);
    }

    /// A string of a load command; empty if it cannot be read.
    fn text(&mut self, endian: Endianness, command: &Command<'_>, text: LcStr<Endianness>) -> String {
        match command.string(endian, text) {
            Ok(text) => String::from_utf8_lossy(text).into_owned(),
            Err(_) => {
                self.broken(command);
                String::new()
            }
        }
    }

    fn read<H: Header>(&mut self, macho: &MachO<'_, H>, command: &Command<'_>) -> ValueAndText {
        use LoadCommandVariant as Variant;
        let endian = macho.endian;
        let Ok(variant) = command.variant() else {
            self.broken(command);
            return (None, None);
        };
        match variant {
            Variant::Segment32(..) | Variant::Segment64(..) => segment::<H>(endian, command),
            Variant::Symtab(symtab) => number(symtab.symoff.get(endian)),
            Variant::LinkeditData(data) => number(data.dataoff.get(endian)),
            Variant::TwolevelHints(hints) => number(hints.offset.get(endian)),
            Variant::PrebindCksum(checksum) => number(checksum.cksum.get(endian)),
            Variant::EncryptionInfo32(info) => number(info.cryptid.get(endian)),
            Variant::EncryptionInfo64(info) => number(info.cryptid.get(endian)),
            Variant::EntryPoint(entry) => (Some(entry.entryoff.get(endian)), None),
            Variant::Routines32(routines) => number(routines.init_address.get(endian)),
            Variant::Routines64(routines) => (Some(routines.init_address.get(endian)), None),
            Variant::Uuid(uuid) => (None, Some(hexadecimal(&uuid.uuid))),
            Variant::VersionMin(version) => {
                let (version, sdk) = (version.version.get(endian), version.sdk.get(endian));
                (None, Some(format!("{version}, SDK {sdk}")))
            }
            Variant::BuildVersion(version, tools) => {
                let tools = version.tools(endian, tools).unwrap_or_default().iter();
                let platform = version.platform.get(endian);
                let (minimum, sdk) = (version.minos.get(endian), version.sdk.get(endian));
                let tools = tools.map(|tool| {
                    format!(", {} {}", tool_name(tool.tool.get(endian)), tool.version.get(endian))
                });
                let text = format!("{platform:?} {minimum}, SDK {sdk}{}", tools.collect::<String>());
                (Some(platform.0.into()), Some(text))
            }
            Variant::SourceVersion(version) => {
                let version = version.version.get(endian);
                (Some(version), Some(source_version(version)))
            }
            Variant::LinkerOption(_) => {
                let options = linker_options(command).map(String::from_utf8_lossy);
                (None, Some(options.collect::<Vec<_>>().join(" ")))
            }
            Variant::FilesetEntry(entry) => {
                (Some(entry.vmaddr.get(endian)), Some(self.text(endian, command, entry.entry_id)))
            }
            Variant::Note(note) => self.note(macho, note),
            variant => self.read_name(endian, command, variant),
        }
    }

    /// Reads a command whose only value is a name, and adds the row of a library.
    fn read_name(
        &mut self,
        endian: Endianness,
        command: &Command<'_>,
        variant: LoadCommandVariant<'_, Endianness>,
    ) -> ValueAndText {
        use LoadCommandVariant as Variant;
        let name = match variant {
            Variant::Dylib(dylib) | Variant::IdDylib(dylib) => {
                return self.library(endian, command, dylib);
            }
            Variant::Rpath(rpath) => {
                let text = self.text(endian, command, rpath.path);
                self.push_library(LibraryKind::Rpath, &text, None);
                return (None, Some(text));
            }
            Variant::LoadDylinker(linker)
            | Variant::IdDylinker(linker)
            | Variant::DyldEnvironment(linker) => linker.name,
            Variant::PreboundDylib(library) => library.name,
            Variant::SubFramework(framework) => framework.umbrella,
            Variant::SubUmbrella(umbrella) => umbrella.sub_umbrella,
            Variant::SubClient(client) => client.client,
            Variant::SubLibrary(library) => library.sub_library,
            Variant::TargetTriple(triple) => triple.triple,
            _ => return (None, None),
        };
        (None, Some(self.text(endian, command, name)))
    }

    fn library(
        &mut self,
        endian: Endianness,
        command: &Command<'_>,
        dylib: &macho::DylibCommand<Endianness>,
    ) -> ValueAndText {
        let text = self.text(endian, command, dylib.dylib.name);
        let version = dylib.dylib.current_version.get(endian);
        let uses = command.dylib_use_flags(endian, dylib).ok().flatten();
        let used_as = |flag| uses.is_some_and(|uses| uses.contains(flag));
        let kind = match command.cmd() {
            macho::LC_ID_DYLIB => LibraryKind::OwnName,
            macho::LC_REEXPORT_DYLIB => LibraryKind::Reexported,
            macho::LC_LAZY_LOAD_DYLIB => LibraryKind::Delayed,
            macho::LC_LOAD_UPWARD_DYLIB => LibraryKind::Upward,
            _ if used_as(macho::DYLIB_USE_REEXPORT) => LibraryKind::Reexported,
            _ if used_as(macho::DYLIB_USE_UPWARD) => LibraryKind::Upward,
            _ if used_as(macho::DYLIB_USE_DELAYED_INIT) => LibraryKind::Delayed,
            macho::LC_LOAD_WEAK_DYLIB => LibraryKind::Weak,
            _ if used_as(macho::DYLIB_USE_WEAK_LINK) => LibraryKind::Weak,
            _ => LibraryKind::Needed,
        };
        if kind != LibraryKind::OwnName {
            self.libraries.push(text.clone());
        }
        self.push_library(kind, &text, Some(&version.to_string()));
        (None, Some(text))
    }

    fn push_library(&mut self, kind: LibraryKind, library_name: &str, version: Option<&str>) {
        let library_index = self.library_index;
        let Some(library_name) = self.linkage.names.take(library_name) else { return };
        self.linkage.libraries.push(BinaryLibrary { library_index, kind, library_name, version });
        self.library_index += 1;
    }

    fn note<H: Header>(&mut self, macho: &MachO<'_, H>, note: &NoteCommand<Endianness>) -> ValueAndText {
        let (file_offset, size) = (note.offset.get(macho.endian), note.size.get(macho.endian));
        let owner = note.data_owner.split(|byte| *byte == 0).next().unwrap_or_default();
        let owner = String::from_utf8_lossy(owner).into_owned();
        let (content, is_whole) = bytes_at(macho.file, file_offset, size);
        match self.content_left.checked_sub(content.len()) {
            Some(left) if is_whole => {
                self.content_left = left;
                self.linkage.notes.push(BinaryNote {
                    note_index: self.note_index,
                    section_index: None,
                    file_offset,
                    size,
                    owner: &owner,
                    note_type: "LC_NOTE",
                    content,
                    text: None,
                });
                self.note_index += 1;
            }
            _ => {
                let message = format!("the {size} bytes of a note are not in the file, or in many notes");
                self.linkage.warning(
                    DiagnosticCode::BrokenNote,
                    DiagnosticLocation::FileOffset(file_offset),
                    &message,
                );
            }
        }
        (Some(file_offset), Some(owner))
    }
}

fn number(value: u32) -> ValueAndText {
    (Some(value.into()), None)
}

fn segment<H: Header>(endian: Endianness, command: &Command<'_>) -> ValueAndText {
    match H::Segment::from_command(*command) {
        Ok(Some((segment, _))) => {
            let name = String::from_utf8_lossy(segment.name()).into_owned();
            (Some(segment.vmaddr(endian).into()), Some(name))
        }
        _ => (None, None),
    }
}

/// The options of `LC_LINKER_OPTION`, which are consecutive strings.
pub(super) fn linker_options<'a>(command: &Command<'a>) -> impl Iterator<Item = &'a [u8]> {
    /// Size of the fields command, size and number of options.
    const HEADER_SIZE: usize = 12;
    let options = command.raw_data().get(HEADER_SIZE..).unwrap_or_default().split(|byte| *byte == 0);
    options.filter(|option| !option.is_empty())
}
