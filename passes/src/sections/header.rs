//! The file header, and the files that are not supported.

use super::{ENDIAN, Elf};
use crate::diagnostics::{Collector, Place};
use binframe_ir::tables::{
    Architecture, BinaryHeader, BinaryHeaderBuilder, BinaryHeaders, BinaryKind, DiagnosticCode, Endianness,
    Format, Severity,
};
use binframe_ir::{Enumeration, Rows};
use bytes::Bytes;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use std::fmt;

/// A file that cannot be lowered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Where in the file the reason stands.
    pub file_offset: u64,
    /// What stands there.
    pub found: String,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_offset, found, expected } = self;
        write!(formatter, "{found} at offset {file_offset:#x}; expected {expected}")
    }
}

impl std::error::Error for Unsupported {}

const EXPECTED_FORMAT: &str =
    "an ELF executable or shared library for x86-64 (other formats are not supported yet)";

/// Finds the headers.
pub(super) fn read(file: &Bytes) -> Result<Elf<'_>, Unsupported> {
    let unsupported = |file_offset: u64, found: &str| {
        Err(Unsupported { file_offset, found: found.to_owned(), expected: EXPECTED_FORMAT })
    };
    let truncated = |file_offset: u64, found: &str, expected| {
        let found = format!("{found} beyond the end of the file ({} bytes)", file.len());
        Err(Unsupported { file_offset, found, expected })
    };
    match &file[..file.len().min(4)] {
        [] => return unsupported(0, "an empty file"),
        b"\x7fELF" => {}
        [b'M', b'Z', ..] => return unsupported(0, "a PE or DOS executable"),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf] | [0xce | 0xcf, 0xfa, 0xed, 0xfe] => {
            return unsupported(0, "a Mach-O file");
        }
        [0xca, 0xfe, 0xba, 0xbe | 0xbf] => return unsupported(0, "a Mach-O universal file or a Java class"),
        b"!<ar" => return unsupported(0, "an archive"),
        magic => return unsupported(0, &format!("the bytes {magic:02x?}")),
    }
    let class = file.get(4).map(|class| elf::FileClass(*class));
    let data = file.get(5).map(|data| elf::DataEncoding(*data));
    match (class, data) {
        (Some(elf::ELFCLASS32), _) => return unsupported(4, "a 32-bit ELF file"),
        (Some(elf::ELFCLASS64), Some(elf::ELFDATA2LSB)) => {}
        (Some(elf::ELFCLASS64), Some(elf::ELFDATA2MSB)) => return unsupported(5, "a big-endian ELF file"),
        (Some(elf::ELFCLASS64), Some(data)) => {
            return unsupported(5, &format!("the unknown byte order {}", data.0));
        }
        (Some(class), _) => return unsupported(4, &format!("the unknown ELF class {}", class.0)),
        (None, _) => return truncated(4, "the rest of the ELF header", "a header of 64 bytes"),
    }
    let Ok(header) = elf::FileHeader64::<object::Endianness>::parse(file.as_ref()) else {
        return match file.len() {
            ..64 => truncated(file.len() as u64, "the rest of the ELF header", "a header of 64 bytes"),
            _ => unsupported(6, &format!("the ELF version {}", file[6])),
        };
    };
    let machine = header.e_machine(ENDIAN);
    if machine != elf::EM_X86_64 {
        return unsupported(18, &format!("an ELF file for the machine {machine:?}"));
    }
    match header.e_type(ENDIAN) {
        elf::ET_REL => return unsupported(16, "a relocatable object"),
        elf::ET_CORE => return unsupported(16, "a core dump"),
        _ => {}
    }
    let program_headers = header.program_headers(ENDIAN, file.as_ref());
    let Ok(program_headers) = program_headers else {
        return truncated(
            header.e_phoff(ENDIAN),
            "program headers",
            "a table of program headers of 56 bytes each",
        );
    };
    let section_headers = header.section_headers(ENDIAN, file.as_ref());
    let Ok(section_headers) = section_headers else {
        return truncated(
            header.e_shoff(ENDIAN),
            "section headers",
            "a table of section headers of 64 bytes each",
        );
    };
    if program_headers.is_empty() && section_headers.is_empty() {
        return unsupported(32, "an ELF file without program headers and sections");
    }
    Ok(Elf { file, header, program_headers, section_headers })
}

/// `binary_headers`.
pub(super) fn table(elf: &Elf<'_>, sha256: &[u8], diagnostics: &mut Collector) -> Rows<BinaryHeaders> {
    let entry = elf.header.e_entry(ENDIAN);
    let build_id = build_id(elf, diagnostics).map(hexadecimal);
    let interpreter = interpreter(elf);
    let mut rows = BinaryHeaderBuilder::default();
    rows.push(BinaryHeader {
        header_index: 0,
        format: Format::Elf,
        architecture: Architecture::X86_64,
        bits: 64,
        endianness: Endianness::Little.name(),
        kind: match elf.header.e_type(ENDIAN) {
            elf::ET_EXEC => BinaryKind::Executable,
            elf::ET_DYN => BinaryKind::Dynamic,
            _ => BinaryKind::Other,
        },
        entry_address: (entry != 0).then_some(entry),
        build_id: build_id.as_deref(),
        interpreter: interpreter.as_deref(),
        file_size: elf.file.len() as u64,
        sha256: &hexadecimal(sha256),
    });
    rows.finish()
}

fn build_id<'a>(elf: &Elf<'a>, diagnostics: &mut Collector) -> Option<&'a [u8]> {
    for segment in elf.program_headers {
        let mut report = |error: object::Error| {
            let place = Place::FileOffset(segment.p_offset(ENDIAN));
            let message = format!("a note cannot be read: {error}");
            diagnostics.report(Severity::Warning, DiagnosticCode::BrokenNote, place, &message);
        };
        let mut notes = match segment.notes(ENDIAN, elf.file.as_ref()) {
            Ok(Some(notes)) => notes,
            Ok(None) => continue,
            Err(error) => {
                report(error);
                continue;
            }
        };
        loop {
            match notes.next() {
                Ok(Some(note)) if note.name() == b"GNU" && note.n_type(ENDIAN) == elf::NT_GNU_BUILD_ID => {
                    return Some(note.desc());
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    report(error);
                    break;
                }
            }
        }
    }
    None
}

fn interpreter(elf: &Elf<'_>) -> Option<String> {
    /// Linux's `PATH_MAX`.
    const PATH_SIZE_MAX: usize = 4096;
    let paths =
        elf.program_headers.iter().filter_map(|header| header.interpreter(ENDIAN, elf.file.as_ref()).ok()?);
    paths.map(|path| String::from_utf8_lossy(&path[..path.len().min(PATH_SIZE_MAX)]).into_owned()).next()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
