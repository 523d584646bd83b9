//! Collects the diagnostics of one pass: `(reports) -> diagnostics`.
//!
//! Rows are in the order in which they are reported. A pass keeps `DIAGNOSTICS_PER_CODE_MAX` rows of each code and
//! counts the rest, since a broken file could otherwise produce one for every byte; a last row of code `more` states
//! the count.

use binframe_ir::tables::{
    Diagnostic, DiagnosticBuilder, DiagnosticCode, DiagnosticPass, Diagnostics, Severity,
};
use binframe_ir::{Enumeration, Rows};

/// Number of rows of one code that a pass keeps.
const DIAGNOSTICS_PER_CODE_MAX: u32 = 1000;

/// The diagnostics of one pass.
pub(crate) struct Collector {
    pass: DiagnosticPass,
    rows: DiagnosticBuilder,
    ordinal: u32,
    /// Number of reports by code, rows that were not kept included.
    reported: [u32; DiagnosticCode::NAMES.len()],
}

/// The location that a diagnostic refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiagnosticLocation {
    /// Address of code or data; in a relocatable object, an offset in a section.
    Address(u64),
    /// Offset in the file.
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

    pub(crate) fn error(&mut self, code: DiagnosticCode, location: DiagnosticLocation, message: &str) {
        self.report(Severity::Error, code, location, message);
    }

    pub(crate) fn warning(&mut self, code: DiagnosticCode, location: DiagnosticLocation, message: &str) {
        self.report(Severity::Warning, code, location, message);
    }

    pub(crate) fn note(&mut self, code: DiagnosticCode, location: DiagnosticLocation, message: &str) {
        self.report(Severity::Note, code, location, message);
    }

    /// Counts a report, and adds its row if fewer than `DIAGNOSTICS_PER_CODE_MAX` have its code.
    pub(crate) fn report(
        &mut self,
        severity: Severity,
        code: DiagnosticCode,
        location: DiagnosticLocation,
        message: &str,
    ) {
        let reported = &mut self.reported[code.code() as usize];
        *reported = reported.saturating_add(1);
        if *reported <= DIAGNOSTICS_PER_CODE_MAX {
            let (address, file_offset) = match location {
                DiagnosticLocation::Address(address) => (Some(address), None),
                DiagnosticLocation::FileOffset(offset) => (None, Some(offset)),
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

    /// The rows, followed by one row for each code of which rows were dropped.
    pub(crate) fn finish(mut self) -> Rows<Diagnostics> {
        for (code, reported) in (0..).zip(self.reported) {
            let dropped = reported.saturating_sub(DIAGNOSTICS_PER_CODE_MAX);
            if dropped > 0 {
                let message = format!("{dropped} more of {}", DiagnosticCode::from_code(code).name());
                self.push(Severity::Note, DiagnosticCode::More, None, None, &message);
            }
        }
        self.rows.finish()
    }
}
