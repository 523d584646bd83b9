//! Takes the content of sections out of the file.

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::{CONTENT_PER_FILE_SIZE_MAX, bytes_at};
use binframe_ir::tables::DiagnosticCode;

/// Content of this size and more stands in `file_extents`, in pieces.
const CONTENT_SIZE_LIMIT: usize = 1 << 30;

pub(super) struct Contents<'a, 'd> {
    file: &'a [u8],
    pub(super) diagnostics: &'d mut Collector,
    left: usize,
}

impl<'a, 'd> Contents<'a, 'd> {
    pub(super) fn new(file: &'a [u8], diagnostics: &'d mut Collector) -> Self {
        Self { file, diagnostics, left: file.len().saturating_mul(CONTENT_PER_FILE_SIZE_MAX) }
    }

    /// The bytes of a section, as far as they lie in the file and are not too many.
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
        if content.len() > self.left {
            let message = format!("the {} bytes of section {section_index} were left out", content.len());
            self.diagnostics.error(DiagnosticCode::SectionTooLarge, location, &message);
            return &[];
        }
        self.left -= content.len();
        if content.len() >= CONTENT_SIZE_LIMIT { &[] } else { content }
    }
}
