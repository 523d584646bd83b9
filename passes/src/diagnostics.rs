//! Collects what a pass could not understand.

use binframe_ir::tables::{
    Diagnostic, DiagnosticBuilder, DiagnosticCode, DiagnosticPass, Diagnostics, Severity,
};
use binframe_ir::{Enumeration, Rows};

/// Diagnostics of one code that are kept; a broken file could otherwise have one for every byte.
const DIAGNOSTICS_PER_CODE_MAX: u32 = 1000;

/// The diagnostics of one pass, in the order in which they are reported.
pub(crate) struct Collector {
    pass: DiagnosticPass,
    rows: DiagnosticBuilder,
    ordinal: u32,
    reported: [u32; DiagnosticCode::NAMES.len()],
}

/// What a diagnostic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Code or data at an address.
    Address(u64),
    /// Bytes at an offset of the file.
    FileOffset(u64),
}

impl Collector {
    pub(crate) fn new(pass: DiagnosticPass) -> Self {
        Self {
            pass,
            rows: DiagnosticBuilder::default(),
            ordinal: 0,
            reported: [0; DiagnosticCode::NAMES.len()],
        }
    }

    /// Adds a row, unless there are enough of its code.
    pub(crate) fn report(&mut self, severity: Severity, code: DiagnosticCode, place: Place, message: &str) {
        let reported = &mut self.reported[code.code() as usize];
        *reported = reported.saturating_add(1);
        if *reported <= DIAGNOSTICS_PER_CODE_MAX {
            let (address, file_offset) = match place {
                Place::Address(address) => (Some(address), None),
                Place::FileOffset(offset) => (None, Some(offset)),
            };
            self.push(severity, code, address, file_offset, message);
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        code: DiagnosticCode,
        address: Option<u64>,
        file_offset: Option<u64>,
        message: &str,
    ) {
        let (pass, ordinal) = (self.pass, self.ordinal);
        self.rows.push(Diagnostic { pass, ordinal, severity, code, address, file_offset, message });
        self.ordinal += 1;
    }

    /// The rows, and at their end how many were left out.
    pub(crate) fn finish(mut self) -> Rows<Diagnostics> {
        for (code, reported) in (0..).zip(self.reported) {
            let left_out = reported.saturating_sub(DIAGNOSTICS_PER_CODE_MAX);
            if left_out > 0 {
                let message = format!("{left_out} more of {}", DiagnosticCode::from_code(code).name());
                self.push(Severity::Note, DiagnosticCode::More, None, None, &message);
            }
        }
        self.rows.finish()
    }
}
