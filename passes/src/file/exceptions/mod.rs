//! `(file, binary_headers, binary_sections, binary_symbols, binary_unwind_entries) -> binary_exception_call_sites`
//!
//! *Problem.* Find where control continues when an exception is thrown: for each code range of a function, its landing
//! pads.
//!
//! *Notation.* The language-specific data (LSDA) of a function is what its personality routine, or handler, reads.
//! Unwind entries state its address. A call site is a code range with one landing pad, or none.
//!
//! *Algorithm.* (1) Collect the functions with LSDA from the unwind entries. (2) In PE and COFF files, the handler
//! determines the format of the LSDA (`microsoft`). (3) All other LSDA are tables of the Itanium C++ ABI
//! (`itanium.rs`), read in parallel.
//!
//! *Invariants.* Rows are sorted by key.
//!
//! *Not done here.* The types that are caught; LSDA of Mach-O objects, whose addresses only relocations state.
//!
//! *Limits.* Functions of a broken file may share LSDA: `TABLES_PER_SECTION_SIZE_MAX`, and in `microsoft`, no more
//! records than fit in the file. *Cost.* Linear in the LSDA. *Diagnostics.* `broken_exception_table`,
//! `unread_exception_table`.

mod itanium;
mod lsda;
mod microsoft;

use crate::diagnostics::Collector;
use crate::file::formats::Headers;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{
    BinaryExceptionCallSite, BinaryExceptionCallSiteBuilder, BinaryExceptionCallSites, DiagnosticPass,
    Diagnostics, UnwindSource,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use bytes::Bytes;
use lsda::{FunctionLsda, LsdaOutput, SectionLookup};

/// The tables of the pass.
#[derive(Debug, Clone)]
pub struct ExceptionsIr {
    /// Code ranges and their landing pads.
    pub call_sites: Rows<BinaryExceptionCallSites>,
    /// The diagnostics.
    pub diagnostics: Rows<Diagnostics>,
}

impl ExceptionsIr {
    /// The tables, untyped.
    pub fn tables(&self) -> [&Batch; 2] {
        [self.call_sites.batch(), self.diagnostics.batch()]
    }

    /// A hash of all tables.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all(self.tables().map(Batch::fingerprint))
    }
}

/// Reads the language-specific data of all functions.
pub fn run(file: &Bytes, sections: &SectionsIr) -> ExceptionsIr {
    let mut output = LsdaOutput {
        sections: SectionLookup::of(sections),
        call_sites: BinaryExceptionCallSiteBuilder::default(),
        diagnostics: Collector::new(DiagnosticPass::Exceptions),
    };
    let (with_handlers, mut itanium) = functions_with_lsda(sections);
    if let Ok(Headers::Pe(pe)) = Headers::find(file) {
        microsoft::read_registrations(&pe, sections, &mut output);
    }
    if !with_handlers.is_empty() {
        itanium.extend(match Headers::find(file) {
            Ok(Headers::Pe(pe)) => microsoft::read_image(&pe, sections, with_handlers, &mut output),
            Ok(Headers::Coff(coff)) => microsoft::read_object(&coff, sections, with_handlers, &mut output),
            Ok(Headers::CoffBig(coff)) => microsoft::read_object(&coff, sections, with_handlers, &mut output),
            _ => Vec::new(),
        });
    }
    itanium::read(sections, &itanium, &mut output);
    ExceptionsIr { call_sites: sorted(output.call_sites.finish()), diagnostics: output.diagnostics.finish() }
}

/// The functions with language-specific data: those of function tables, and all others. Each is sorted and has no
/// duplicates. Continuations of functions, which have the data of their function, are omitted.
fn functions_with_lsda(sections: &SectionsIr) -> (Vec<FunctionLsda>, Vec<FunctionLsda>) {
    let entries = sections.unwind_entries.columns();
    let of_sources = |is_wanted: &dyn Fn(UnwindSource) -> bool| {
        let wanted = entries.iter().filter(|entry| is_wanted(entry.unwind_kind) && !entry.is_continuation);
        let mut functions: Vec<_> = wanted
            .filter_map(|entry| {
                Some(FunctionLsda {
                    function_address: entry.address,
                    function_size: entry.size,
                    section_index: entry.section_index,
                    lsda_address: entry.lsda_address?,
                    lsda_section_index: entry.lsda_section_index,
                    handler_address: entry.personality_address,
                })
            })
            .collect();
        let key = |function: &FunctionLsda| {
            (
                function.function_address,
                function.section_index,
                function.lsda_section_index,
                function.lsda_address,
            )
        };
        functions.sort_by_key(key);
        functions.dedup_by_key(|function| key(function));
        functions
    };
    let has_handlers = |source| source == UnwindSource::FunctionTable;
    (of_sources(&has_handlers), of_sources(&|source| !has_handlers(source)))
}

/// The rows sorted by key. Compilers write the tables sorted, so that this rarely copies.
fn sorted(rows: Rows<BinaryExceptionCallSites>) -> Rows<BinaryExceptionCallSites> {
    let key = |row: &BinaryExceptionCallSite| {
        (row.address, row.lsda_section_index, row.lsda_address, row.call_site_index)
    };
    if rows.columns().iter().is_sorted_by(|one, next| key(one) < key(next)) {
        return rows;
    }
    let mut call_sites: Vec<_> = rows.columns().iter().collect();
    call_sites.sort_by_key(key);
    call_sites.dedup_by_key(|row| key(row));
    let mut rows = BinaryExceptionCallSiteBuilder::default();
    rows.extend(call_sites);
    rows.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sections::test_support;
    use binframe_ir::tables::BinaryUnwindEntry;

    const LSDA: u64 = 0x5000;

    fn entry(address: u64, lsda_address: u64) -> BinaryUnwindEntry {
        BinaryUnwindEntry {
            address,
            size: 16,
            unwind_kind: UnwindSource::EhFrame,
            entry_section_index: 0,
            entry_offset: address,
            section_index: None,
            personality_address: None,
            is_personality_indirect: None,
            lsda_address: Some(lsda_address),
            lsda_section_index: None,
            is_signal_frame: false,
            is_continuation: false,
            begins_in_frame: None,
        }
    }

    /// Reads a table that functions at the given addresses share.
    fn read(content: &[u8], functions: impl IntoIterator<Item = u64>) -> ExceptionsIr {
        let sections = test_support::sections(&[("tables", LSDA, content)]);
        let entries = functions.into_iter().map(|address| entry(address, LSDA)).collect();
        run(&Bytes::new(), &test_support::file(1 << 20, sections, entries))
    }

    #[test]
    fn call_sites_are_relative_to_the_function_and_landing_pads_to_the_base_of_the_table() {
        // Landing pads are relative to an address, types are 9 bytes away, call sites have two-byte integers.
        let table = [0x03, 0, 0x40, 0, 0, 0x03, 9, 0x02, 14, 1, 0, 2, 0, 0, 0, 0, 3, 0, 4, 0, 5, 0, 6];
        let found = read(&table, [0x100]);
        let rows: Vec<_> = found.call_sites.columns().iter().collect();
        let fields =
            |row: &BinaryExceptionCallSite| (row.address, row.size, row.landing_pad_address, row.action);
        assert_eq!(
            rows.iter().map(fields).collect::<Vec<_>>(),
            [(0x101, 2, None, 0), (0x103, 4, Some(0x4005), 6)]
        );
        assert!(found.diagnostics.is_empty());
    }

    #[test]
    fn call_sites_before_a_broken_one_are_kept() {
        let found = read(&[0xff, 0xff, 0x01, 6, 1, 2, 3, 4, 5, 6], [0x100]);
        assert_eq!((found.call_sites.len(), found.diagnostics.len()), (1, 1));
        let outside = read(&[0xff, 0xff, 0x01, 60, 1, 2, 3, 4], [0x100]);
        assert_eq!((outside.call_sites.len(), outside.diagnostics.len()), (0, 1));
    }

    #[test]
    fn reads_of_a_table_that_many_functions_share_are_limited() {
        let mut table = vec![0xff, 0xff, 0x01, 100];
        table.extend([0; 100]);
        let found = read(&table, (0..1000).map(|function| function * 16));
        assert_eq!(found.call_sites.len(), 25 * itanium::TABLES_PER_SECTION_SIZE_MAX);
        assert_eq!(found.diagnostics.len(), 1, "equal diagnostics are one row");
    }
}
