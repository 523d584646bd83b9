//! `(binary_headers, binary_sections) -> binary_strings`
//!
//! Runs of at least four printable characters, in sections that may hold text.
//!
//! What can go wrong: `too_much_text`.

mod scan;

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{
    BinarySection, BinaryString, BinaryStringBuilder, BinaryStrings, DiagnosticCode, DiagnosticPass,
    Diagnostics, Endianness, Format, SectionKind, StringEncoding,
};
use binframe_ir::{Batch, Enumeration, Fingerprint, Rows};
use rayon::prelude::*;
use scan::Run;
use std::ops::Range;

/// Bytes that are searched at a time.
const PART_SIZE: usize = 1 << 20;

/// Size in the file of the text of one row at most.
const ROW_SIZE_MAX: usize = 1 << 16;

/// All text together is shorter than this: Arrow's limit for one column is twice as much.
const TEXT_SIZE_MAX: usize = 1 << 30;

/// The tables of the pass.
#[derive(Debug, Clone)]
pub struct StringsIr {
    /// The text.
    pub strings: Rows<BinaryStrings>,
    /// What was left out.
    pub diagnostics: Rows<Diagnostics>,
}

impl StringsIr {
    /// The tables, without their types.
    pub fn tables(&self) -> [&Batch; 2] {
        [self.strings.batch(), self.diagnostics.batch()]
    }

    /// Equal for equal tables.
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
        Some(endianness) if endianness == Endianness::Big.name() => StringEncoding::Utf16Be,
        _ => StringEncoding::Utf16Le,
    };
    let columns = sections.sections.columns();
    let searched = columns.iter().filter(|section| may_hold_text(header.format, section));
    let parts: Vec<_> = searched.flat_map(parts).collect();
    let runs =
        |(section, part): &(BinarySection<'_>, Range<usize>)| scan::runs(section.content, part.clone(), wide);
    let found: Vec<_> = parts.par_iter().map(runs).collect();
    // Sections of an honest file share no bytes, and no character takes less than one.
    let text_size_max =
        usize::try_from(header.file_size).map_or(TEXT_SIZE_MAX, |size| size.min(TEXT_SIZE_MAX));
    let mut writer = Writer {
        rows: BinaryStringBuilder::default(),
        characters: String::new(),
        left: text_size_max,
        left_out: 0,
    };
    for ((section, _), runs) in parts.iter().zip(found) {
        for run in runs {
            writer.push(section, run);
        }
    }
    if writer.left_out > 0 {
        let message =
            format!("{} strings were left out: all are longer than {text_size_max} bytes", writer.left_out);
        let code = DiagnosticCode::TooMuchText;
        diagnostics.error(code, DiagnosticLocation::FileOffset(0), &message);
    }
    StringsIr { strings: writer.rows.finish(), diagnostics: diagnostics.finish() }
}

/// Whether text is searched in a section. Segments that stand for sections have what code needs in one of them with the code.
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

/// A section's content, in parts.
fn parts(section: BinarySection<'_>) -> impl Iterator<Item = (BinarySection<'_>, Range<usize>)> {
    let size = section.content.len();
    (0..size).step_by(PART_SIZE).map(move |start| (section, start..size.min(start + PART_SIZE)))
}

struct Writer {
    rows: BinaryStringBuilder,
    /// What is kept of the last string.
    characters: String,
    /// Bytes of text that may still be kept.
    left: usize,
    left_out: usize,
}

impl Writer {
    /// Adds the rows of a string.
    fn push(&mut self, section: &BinarySection<'_>, run: Run) {
        let Run { range, encoding } = run;
        for start in range.clone().step_by(ROW_SIZE_MAX) {
            let bytes = &section.content[start..range.end.min(start + ROW_SIZE_MAX)];
            let size = bytes.len() / scan::character_size(encoding);
            let Some(left) = self.left.checked_sub(size) else {
                self.left_out += 1;
                continue;
            };
            self.left = left;
            let text = match encoding {
                StringEncoding::Ascii => str::from_utf8(bytes).expect("printable characters"),
                StringEncoding::Utf16Le | StringEncoding::Utf16Be => {
                    self.characters.clear();
                    // The other byte of each is 0.
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
    use crate::file::sections::by_hand;

    /// File offset and text of every row, and the number of diagnostics.
    fn found(file_size: usize, contents: &[(&str, u64, &[u8])]) -> (Vec<(u64, String)>, usize) {
        let sections = by_hand::sections(contents);
        let found = run(&by_hand::file(file_size as u64, sections, Vec::new()));
        let rows = found.strings.columns();
        let rows = rows.iter().map(|row| (row.file_offset, row.text.to_owned())).collect();
        (rows, found.diagnostics.len())
    }

    #[test]
    fn text_of_either_encoding_is_found_in_data_alone() {
        let content = b"abc\0four\x01w\0i\0d\0e\0\xff";
        let (rows, _) = found(1 << 20, &[(".text", 0x100, content), (".data", 0x200, content)]);
        assert_eq!(rows, [(0x204, "four".to_owned()), (0x209, "wide".to_owned())]);
    }

    #[test]
    fn long_text_stands_in_several_rows() {
        let content = vec![b'a'; ROW_SIZE_MAX * 20 + 1];
        let (rows, _) = found(content.len(), &[(".data", 0, &content)]);
        assert_eq!(rows.len(), 21);
        assert_eq!(rows[20], ((ROW_SIZE_MAX * 20) as u64, "a".to_owned()));
    }

    #[test]
    fn sections_that_share_bytes_do_not_multiply_text() {
        let content = vec![b'a'; 1000];
        let (rows, diagnostics) = found(1000, &[(".data", 0, &content), (".data", 0, &content)]);
        assert_eq!((rows.len(), diagnostics), (1, 1));
    }
}
