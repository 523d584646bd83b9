//! `(binary_headers, binary_sections) -> binary_strings`
//!
//! *Problem.* Find text in sections of data: sequences of at least four printable characters, in ASCII or UTF-16 of the
//! file's byte order.
//!
//! *Algorithm.* Sections that may contain text are searched in parallel, in parts of `PART_SIZE` bytes (`scan.rs`);
//! rows are written in file order.
//!
//! *Not done here.* Characters beyond ASCII; text in code, and in sections of symbols, relocations, unwind and debug
//! information.
//!
//! *Limits.* A row has at most `ROW_SIZE_MAX` bytes; a longer string takes several. All text together is at most as
//! long as the file, and `COLUMN_TEXT_SIZE_MAX`. *Cost.* Linear, 64 bytes at a time. *Diagnostics.* `too_much_text`.

mod scan;

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::sections::SectionsIr;
use crate::file::text_budget::{COLUMN_TEXT_SIZE_MAX, TextBudget};
use binframe_ir::tables::{
    BinarySection, BinaryString, BinaryStringBuilder, BinaryStrings, DiagnosticCode, DiagnosticPass,
    Diagnostics, Endianness, Format, SectionKind, StringEncoding,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use rayon::prelude::*;
use scan::CharacterRun;
use std::ops::Range;

/// Number of bytes that one task searches.
const PART_SIZE: usize = 1 << 20;

/// Size of the longest text of one row, in bytes of the file.
const ROW_SIZE_MAX: usize = 1 << 16;

/// The tables of the pass.
#[derive(Debug, Clone)]
pub struct StringsIr {
    /// The strings.
    pub strings: Rows<BinaryStrings>,
    /// The diagnostics.
    pub diagnostics: Rows<Diagnostics>,
}

impl StringsIr {
    /// The tables, untyped.
    pub fn tables(&self) -> [&Batch; 2] {
        [self.strings.batch(), self.diagnostics.batch()]
    }

    /// A hash of all tables.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all(self.tables().map(Batch::fingerprint))
    }
}

/// Finds the strings.
pub fn run(sections: &SectionsIr) -> StringsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Strings);
    let Some(header) = sections.headers.columns().iter().next() else {
        return StringsIr { strings: Rows::default(), diagnostics: diagnostics.finish() };
    };
    let wide = match header.endianness {
        Some(Endianness::Big) => StringEncoding::Utf16Be,
        _ => StringEncoding::Utf16Le,
    };
    let columns = sections.sections.columns();
    let searched = columns.iter().filter(|section| may_hold_text(header.format, section));
    let parts: Vec<_> = searched.flat_map(parts).collect();
    let runs =
        |(section, part): &(BinarySection<'_>, Range<usize>)| scan::runs(section.content, part.clone(), wide);
    let found: Vec<_> = parts.par_iter().map(runs).collect();
    // Sections of a valid file share no bytes, and a character takes at least one byte.
    let text_size_max = header.file_size.min(COLUMN_TEXT_SIZE_MAX);
    let mut writer = StringWriter {
        rows: BinaryStringBuilder::default(),
        characters: String::new(),
        budget: TextBudget::new(text_size_max),
    };
    for ((section, _), runs) in parts.iter().zip(found) {
        for run in runs {
            writer.push(section, run);
        }
    }
    let refused = writer.budget.refused();
    if refused > 0 {
        let message = format!("{refused} strings were left out: all are longer than {text_size_max} bytes");
        let location = DiagnosticLocation::FileOffset(0);
        diagnostics.error(DiagnosticCode::TooMuchText, location, &message);
    }
    StringsIr { strings: writer.rows.finish(), diagnostics: diagnostics.finish() }
}

/// Whether a section is searched. In an ELF file without section headers, sections are segments, and that of code may
/// contain constants too.
fn may_hold_text(format: Format, section: &BinarySection<'_>) -> bool {
    match section.kind {
        SectionKind::Data | SectionKind::ThreadLocal | SectionKind::Note | SectionKind::Other => true,
        SectionKind::Code => format == Format::Elf && section.section_type.is_none(),
        SectionKind::Plt
        | SectionKind::Uninitialized
        | SectionKind::Symbols
        | SectionKind::Relocations
        | SectionKind::Unwind
        | SectionKind::Debug
        | SectionKind::Dynamic => false,
    }
}

/// The content of a section, in parts of `PART_SIZE` bytes.
fn parts(section: BinarySection<'_>) -> impl Iterator<Item = (BinarySection<'_>, Range<usize>)> {
    let size = section.content.len();
    (0..size).step_by(PART_SIZE).map(move |start| (section, start..size.min(start + PART_SIZE)))
}

struct StringWriter {
    rows: BinaryStringBuilder,
    /// Buffer for the characters of a UTF-16 string.
    characters: String,
    budget: TextBudget,
}

impl StringWriter {
    /// Adds the rows of a string.
    fn push(&mut self, section: &BinarySection<'_>, run: CharacterRun) {
        let CharacterRun { range, encoding } = run;
        for start in range.clone().step_by(ROW_SIZE_MAX) {
            let bytes = &section.content[start..range.end.min(start + ROW_SIZE_MAX)];
            let size = bytes.len() / scan::character_size(encoding);
            if self.budget.spend(size).is_none() {
                continue;
            }
            let text = match encoding {
                StringEncoding::Ascii => str::from_utf8(bytes).expect("printable characters"),
                StringEncoding::Utf16Le | StringEncoding::Utf16Be => {
                    self.characters.clear();
                    // The other byte of each character is 0.
                    self.characters
                        .extend(bytes.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)));
                    &self.characters
                }
            };
            self.rows.push(BinaryString {
                section_index: section.section_index,
                file_offset: section.file_offset.saturating_add(start as u64),
                address: section.is_readable.then(|| section.address.wrapping_add(start as u64)),
                size: bytes.len() as u64,
                encoding,
                text,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sections::test_support;

    /// File offset and text of every row, and the number of diagnostics.
    fn found(file_size: usize, contents: &[(&str, u64, &[u8])]) -> (Vec<(u64, String)>, usize) {
        let sections = test_support::sections(contents);
        let found = run(&test_support::file(file_size as u64, sections, Vec::new()));
        let rows = found.strings.columns();
        let rows = rows.iter().map(|row| (row.file_offset, row.text.to_owned())).collect();
        (rows, found.diagnostics.len())
    }

    #[test]
    fn ascii_and_utf16_are_found_in_data_but_not_in_code() {
        let content = b"abc\0four\x01w\0i\0d\0e\0\xff";
        let (rows, _) = found(1 << 20, &[(".text", 0x100, content), (".data", 0x200, content)]);
        assert_eq!(rows, [(0x204, "four".to_owned()), (0x209, "wide".to_owned())]);
    }

    #[test]
    fn a_string_longer_than_a_row_is_split() {
        let content = vec![b'a'; ROW_SIZE_MAX * 20 + 1];
        let (rows, _) = found(content.len(), &[(".data", 0, &content)]);
        assert_eq!(rows.len(), 21);
        assert_eq!(rows[20], ((ROW_SIZE_MAX * 20) as u64, "a".to_owned()));
    }

    #[test]
    fn overlapping_sections_do_not_multiply_text() {
        let content = vec![b'a'; 1000];
        let (rows, diagnostics) = found(1000, &[(".data", 0, &content), (".data", 0, &content)]);
        assert_eq!((rows.len(), diagnostics), (1, 1));
    }
}
