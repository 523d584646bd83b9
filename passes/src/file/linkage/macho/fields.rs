//! The fields of load commands, by their names in `mach-o/loader.h` of Apple's XNU.
//!
//! Not here: the number of a command and its size, reserved fields, names of libraries and the like, which are the text
//! of the command; segments and threads, which have tables; the number of tools and of options, which are attributes.

use object::Endianness;
use object::macho::{Tool, Version};
use object::read::macho::LoadCommandVariant;

/// A field of a load command.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) value: u64,
    pub(super) text: Option<String>,
}

/// Fields of a command that are numbers.
macro_rules! numbers {
    ($endian:ident, $command:expr, $($name:ident)*) => {
        vec![$(Field { name: stringify!($name), value: $command.$name.get($endian).into(), text: None }),*]
    };
}

/// Fields of a command that are versions, as `1.2.3`.
macro_rules! versions {
    ($endian:ident, $command:expr, $($name:ident)*) => {
        vec![$(version(stringify!($name), $command.$name.get($endian))),*]
    };
}

fn version(name: &'static str, version: Version) -> Field {
    Field { name, value: version.0.into(), text: Some(version.to_string()) }
}

/// The fields of a command, in their order.
pub(super) fn fields(variant: &LoadCommandVariant<'_, Endianness>, endian: Endianness) -> Vec<Field> {
    use LoadCommandVariant as Variant;
    match variant {
        Variant::Symtab(command) => numbers!(endian, command, symoff nsyms stroff strsize),
        Variant::Dysymtab(command) => numbers!(
            endian, command,
            ilocalsym nlocalsym iextdefsym nextdefsym iundefsym nundefsym tocoff ntoc modtaboff nmodtab
            extrefsymoff nextrefsyms indirectsymoff nindirectsyms extreloff nextrel locreloff nlocrel
        ),
        Variant::DyldInfo(command) => numbers!(
            endian, command,
            rebase_off rebase_size bind_off bind_size weak_bind_off weak_bind_size lazy_bind_off
            lazy_bind_size export_off export_size
        ),
        Variant::LinkeditData(command) => numbers!(endian, command, dataoff datasize),
        Variant::TwolevelHints(command) => numbers!(endian, command, offset nhints),
        Variant::PrebindCksum(command) => numbers!(endian, command, cksum),
        Variant::EncryptionInfo32(command) => numbers!(endian, command, cryptoff cryptsize cryptid),
        Variant::EncryptionInfo64(command) => numbers!(endian, command, cryptoff cryptsize cryptid),
        Variant::EntryPoint(command) => numbers!(endian, command, entryoff stacksize),
        Variant::Routines32(command) => numbers!(endian, command, init_address init_module),
        Variant::Routines64(command) => numbers!(endian, command, init_address init_module),
        Variant::FilesetEntry(command) => numbers!(endian, command, vmaddr fileoff),
        Variant::Note(command) => numbers!(endian, command, offset size),
        Variant::PreboundDylib(command) => numbers!(endian, command, nmodules),
        Variant::Dylib(command) | Variant::IdDylib(command) => {
            let mut fields = numbers!(endian, command.dylib, timestamp);
            fields.extend(versions!(endian, command.dylib, current_version compatibility_version));
            fields
        }
        Variant::VersionMin(command) => versions!(endian, command, version sdk),
        Variant::BuildVersion(command, _) => {
            let platform = command.platform.get(endian);
            let text = platform.name().map(str::to_owned);
            let mut fields = vec![Field { name: "platform", value: platform.0.into(), text }];
            fields.extend(versions!(endian, command, minos sdk));
            fields
        }
        Variant::SourceVersion(command) => {
            let version = command.version.get(endian);
            vec![Field { name: "version", value: version, text: Some(source_version(version)) }]
        }
        _ => Vec::new(),
    }
}

/// A version of five numbers: of 24 bits, and four of 10 bits.
pub(super) fn source_version(version: u64) -> String {
    let parts = [30, 20, 10, 0].map(|shift| format!(".{}", version >> shift & 0x3ff));
    format!("{}{}", version >> 40, parts.concat())
}

/// Name of a tool of `LC_BUILD_VERSION`, or its number.
pub(super) fn tool_name(tool: Tool) -> String {
    /// LLVM's linker.
    const TOOL_LLD: Tool = Tool(4);
    let name = if tool == TOOL_LLD { Some("TOOL_LLD") } else { tool.name() };
    name.map_or_else(|| format!("{:#x}", tool.0), str::to_owned)
}
