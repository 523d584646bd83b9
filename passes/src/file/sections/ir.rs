//! The tables of the pass `sections`.

use binframe_ir::tables::{
    BinaryHeaders, BinarySections, BinarySegments, BinarySymbols, BinaryUnwindEntries, Diagnostics,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use rayon::prelude::*;

/// The tables of the pass.
#[derive(Debug, Clone)]
pub struct SectionsIr {
    /// The header of the file: one row.
    pub headers: Rows<BinaryHeaders>,
    /// The segments.
    pub segments: Rows<BinarySegments>,
    /// The sections.
    pub sections: Rows<BinarySections>,
    /// The symbols. `demangled_name`, which no pass reads, is null until
    /// [`with_demangled_names`](super::with_demangled_names) fills it.
    pub symbols: Rows<BinarySymbols>,
    /// The code ranges that unwind information describes.
    pub unwind_entries: Rows<BinaryUnwindEntries>,
    /// The diagnostics.
    pub diagnostics: Rows<Diagnostics>,
}

impl SectionsIr {
    /// The tables, untyped.
    pub fn tables(&self) -> [&Batch; 6] {
        [
            self.headers.batch(),
            self.segments.batch(),
            self.sections.batch(),
            self.symbols.batch(),
            self.unwind_entries.batch(),
            self.diagnostics.batch(),
        ]
    }

    /// A hash of all tables.
    pub fn fingerprint(&self) -> Fingerprint {
        let fingerprints: Vec<_> = self.tables().into_par_iter().map(Batch::fingerprint).collect();
        Fingerprint::of_all(fingerprints)
    }
}
