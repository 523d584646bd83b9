//! Diagnostics of debug information.

use crate::diagnostics::{Collector, DiagnosticLocation};
use binframe_ir::tables::{DiagnosticCode, DiagnosticPass};

/// Code and message of a diagnostic.
pub(super) type Problem = (DiagnosticCode, String);

/// Reports diagnostics at the start of debug information in the file: data that is compressed, or in another file, has
/// no location of its own.
pub(super) struct Reports {
    pub(super) collector: Collector,
    pub(super) file_offset: u64,
}

impl Reports {
    pub(super) fn new(file_offset: u64) -> Self {
        Self { collector: Collector::new(DiagnosticPass::Debug), file_offset }
    }

    pub(super) fn error(&mut self, code: DiagnosticCode, message: &str) {
        self.collector.error(code, DiagnosticLocation::FileOffset(self.file_offset), message);
    }

    pub(super) fn warning(&mut self, code: DiagnosticCode, message: &str) {
        self.collector.warning(code, DiagnosticLocation::FileOffset(self.file_offset), message);
    }
}
