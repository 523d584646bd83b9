//! Collects the diagnostics of one pass: `(reports) -> diagnostics`.
//!
//! A pass keeps `DIAGNOSTICS_PER_CODE_MAX` rows of each code and
//! counts the rest, since a broken file could otherwise produce one for every byte; a last row of code `more` states
//! the count.

use binframe_ir::tables::{
    Diagnostic, DiagnosticBuilder, DiagnosticCode, DiagnosticPass, Diagnostics, Severity,
};
use binframe_ir::{Enumeration, Rows, Table, compare_keys};

/// Number of rows of one code that a pass keeps.
const DIAGNOSTICS_PER_CODE_MAX: u32 = 1000;

/// The diagnostics of one pass.
pub(crate) struct Collector {
    pass: DiagnosticPass,
    rows: DiagnosticBuilder,
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
        Self { pass, rows: DiagnosticBuilder::default(), reported: [0; DiagnosticCode::NAMES.len()] }
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
        self.rows.push(Diagnostic { pass: self.pass, severity, code, address, file_offset, message });
    }

    /// The rows, with one row for each code of which rows were dropped. Equal rows are one.
    pub(crate) fn finish(mut self) -> Rows<Diagnostics> {
        for (code, reported) in (0..).zip(self.reported) {
            let dropped = reported.saturating_sub(DIAGNOSTICS_PER_CODE_MAX);
            if dropped > 0 {
                let message = format!("{dropped} more of {}", DiagnosticCode::from_code(code).name());
                self.push(Severity::Note, DiagnosticCode::More, None, None, &message);
            }
        }
        let rows = self.rows.finish();
        if rows.len() < 2 {
            return rows;
        }
        let compare = compare_keys(Diagnostics::INFO, rows.batch(), rows.batch());
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_by(|one, other| compare(*one as usize, *other as usize));
        order.dedup_by(|one, other| compare(*one as usize, *other as usize).is_eq());
        Rows::from_batch(rows.batch().take(&order)).expect("rows of the table")
    }
}
