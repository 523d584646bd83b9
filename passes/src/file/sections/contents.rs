//! Content of sections: slices of the file, within limits.

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::{CONTENT_PER_FILE_SIZE_MAX, bytes_at};
use binframe_ir::tables::DiagnosticCode;

/// Size, in bytes, from which on the content of a section is stored in `binary_extents` instead, in pieces.
const CONTENT_SIZE_LIMIT: usize = 1 << 30;

pub(super) struct SectionContents<'a, 'd> {
    file: &'a [u8],
    pub(super) diagnostics: &'d mut Collector,
    /// Bytes that sections may still contain: those of a broken file may overlap.
    bytes_left: usize,
}

impl<'a, 'd> SectionContents<'a, 'd> {
    pub(super) fn new(file: &'a [u8], diagnostics: &'d mut Collector) -> Self {
        Self { file, diagnostics, bytes_left: file.len().saturating_mul(CONTENT_PER_FILE_SIZE_MAX) }
    }

    /// The bytes of a section that are in the file; empty if a limit is exceeded.
    pub(super) fn take(&mut self, section_index: u32, file_offset: u64, file_size: u64) -> &'a [u8] {
        let (content, is_whole) = bytes_at(self.file, file_offset, file_size);
        let location = DiagnosticLocation::FileOffset(file_offset);
        if !is_whole {
            let message = format!(
                "section {section_index} has {file_size} bytes, of which {} are there",
                content.len()
            );
            self.diagnostics.error(DiagnosticCode::SectionOutOfBounds, location, &message);
        }
        if content.len() > self.bytes_left {
            let message = format!("the {} bytes of section {section_index} were left out", content.len());
            self.diagnostics.error(DiagnosticCode::SectionTooLarge, location, &message);
            return &[];
        }
        self.bytes_left -= content.len();
        if content.len() >= CONTENT_SIZE_LIMIT { &[] } else { content }
    }
}
