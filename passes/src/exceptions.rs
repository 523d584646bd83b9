//! `(binary_headers, binary_sections, unwind_entries) -> exception_call_sites`
//!
//! Where control goes when something is thrown.

use crate::diagnostics::Collector;
use crate::sections::SectionsIr;
use binframe_ir::tables::{DiagnosticPass, Diagnostics, ExceptionCallSites};
use binframe_ir::{Batch, Fingerprint, Rows};

/// The tables of the pass.
#[derive(Debug, Clone)]
pub struct ExceptionsIr {
    /// Ranges of code, and where control goes when something is thrown in them.
    pub call_sites: Rows<ExceptionCallSites>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
}

impl ExceptionsIr {
    /// The tables, without their types.
    pub fn tables(&self) -> [&Batch; 2] {
        [self.call_sites.batch(), self.diagnostics.batch()]
    }

    /// Equal for equal tables.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all(self.tables().map(Batch::fingerprint))
    }
}

/// Reads the tables of landing pads.
pub fn run(_sections: &SectionsIr) -> ExceptionsIr {
    let diagnostics = Collector::new(DiagnosticPass::Exceptions);
    ExceptionsIr { call_sites: Rows::default(), diagnostics: diagnostics.finish() }
}
