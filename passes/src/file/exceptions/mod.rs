//! `(file, binary_headers, binary_sections, binary_symbols, unwind_entries) -> exception_call_sites`
//!
//! Where control goes when something is thrown: the call sites of the language-specific data that unwind entries name. Most
//! compilers write tables of landing pads (`landing_pads`); Microsoft's write tables of their own, which handlers know
//! (`microsoft`).
//!
//! Not done here: what is caught; the tables of Mach-O objects, whose places only relocations say.
//!
//! What can go wrong: `broken_exception_table`, `unread_exception_table`.

mod landing_pads;
mod microsoft;

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::Headers;
use crate::file::sections::SectionsIr;
use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::tables::{
    BinaryKind, BinarySectionColumns, DiagnosticCode, DiagnosticPass, Diagnostics, ExceptionCallSite,
    ExceptionCallSiteBuilder, ExceptionCallSites, UnwindSource,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use bytes::Bytes;
use gimli::Error;
use std::fmt;

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

/// Reads the language-specific data.
pub fn run(file: &Bytes, sections: &SectionsIr) -> ExceptionsIr {
    let mut found = Found {
        sections: Sections::of(sections),
        call_sites: ExceptionCallSiteBuilder::default(),
        diagnostics: Collector::new(DiagnosticPass::Exceptions),
    };
    let (of_handlers, mut of_frames) = described(sections);
    if !of_handlers.is_empty() {
        of_frames.extend(match Headers::find(file) {
            Ok(Headers::Pe(pe)) => microsoft::read_image(&pe, sections, of_handlers, &mut found),
            Ok(Headers::Coff(coff)) => microsoft::read_object(&coff, sections, of_handlers, &mut found),
            Ok(Headers::CoffBig(coff)) => microsoft::read_object(&coff, sections, of_handlers, &mut found),
            _ => Vec::new(),
        });
    }
    landing_pads::read(sections, &of_frames, &mut found);
    ExceptionsIr { call_sites: in_order(found.call_sites.finish()), diagnostics: found.diagnostics.finish() }
}

/// What the readers find.
struct Found<'a> {
    sections: Sections<'a>,
    call_sites: ExceptionCallSiteBuilder,
    diagnostics: Collector,
}

impl Found<'_> {
    fn report(&mut self, lsda_address: u64, broken: Broken) {
        let message = format!("language-specific data cannot be read: {broken}");
        let code = DiagnosticCode::BrokenExceptionTable;
        self.diagnostics.error(code, DiagnosticLocation::Address(lsda_address), &message);
    }
}

/// A range of code that has language-specific data.
#[derive(Debug, Clone, Copy)]
struct Described {
    function_address: u64,
    function_size: u64,
    /// Index of the section that the code lies in.
    section_index: Option<u32>,
    lsda_address: u64,
    lsda_section_index: Option<u32>,
    /// The function that reads the data, where the file says its address.
    handler_address: Option<u64>,
}

/// The ranges of code that have language-specific data: those of function tables, and all others. Each pair is there once; parts of
/// functions, which have the data of the whole, are not.
fn described(sections: &SectionsIr) -> (Vec<Described>, Vec<Described>) {
    let entries = sections.unwind_entries.columns();
    let of = |is_wanted: &dyn Fn(UnwindSource) -> bool| {
        let wanted = entries.iter().filter(|entry| is_wanted(entry.source) && !entry.is_continuation);
        let mut described: Vec<_> = wanted
            .filter_map(|entry| {
                Some(Described {
                    function_address: entry.address,
                    function_size: entry.size,
                    section_index: entry.section_index,
                    lsda_address: entry.lsda_address?,
                    lsda_section_index: entry.lsda_section_index,
                    handler_address: entry.personality_address,
                })
            })
            .collect();
        let key = |one: &Described| {
            (one.function_address, one.section_index, one.lsda_section_index, one.lsda_address)
        };
        described.sort_by_key(key);
        described.dedup_by_key(|one| key(one));
        described
    };
    let is_handlers = |source| source == UnwindSource::FunctionTable;
    (of(&is_handlers), of(&|source| !is_handlers(source)))
}

/// The sections of a file, by the addresses that tables refer to.
struct Sections<'a> {
    columns: BinarySectionColumns<'a>,
    code: SectionsByAddress,
    is_relocatable: bool,
}

impl<'a> Sections<'a> {
    fn of(sections: &'a SectionsIr) -> Self {
        let header = sections.headers.columns().iter().next();
        Self {
            columns: sections.sections.columns(),
            code: SectionsByAddress::of(&sections.sections, |section| section.is_executable),
            is_relocatable: header.is_some_and(|header| header.kind == BinaryKind::Relocatable),
        }
    }

    /// The row of a section.
    fn row(&self, section_index: Option<u32>) -> Option<usize> {
        self.columns.section_index.binary_search(&section_index?).ok()
    }

    /// Index of the section that code lies in, which a function that lies in `near` refers to.
    fn section_of_code(&self, address: u64, near: Option<u32>) -> Option<u32> {
        match self.is_relocatable {
            true => near,
            false => self.code.holding(address).map(|row| self.columns.section_index[row]),
        }
    }
}

/// The rows in the order of their key. They have it where compilers wrote the tables: ranges of code follow one another, and so
/// do the call sites in them.
fn in_order(rows: Rows<ExceptionCallSites>) -> Rows<ExceptionCallSites> {
    let key = |row: &ExceptionCallSite| {
        (row.address, row.lsda_section_index, row.lsda_address, row.call_site_index)
    };
    if rows.columns().iter().is_sorted_by(|one, next| key(one) < key(next)) {
        return rows;
    }
    let mut call_sites: Vec<_> = rows.columns().iter().collect();
    call_sites.sort_by_key(key);
    call_sites.dedup_by_key(|row| key(row));
    let mut rows = ExceptionCallSiteBuilder::default();
    rows.extend(call_sites);
    rows.finish()
}

/// Why data cannot be read.
#[derive(Debug, Clone, Copy)]
enum Broken {
    Bytes(Error),
    Outside,
    Shared,
    Relocated,
    Elsewhere,
    Disordered,
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Bytes(error)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(error) => error.fmt(formatter),
            Self::Outside => formatter.write_str("it does not lie in the bytes of a section"),
            Self::Shared => formatter.write_str("functions share too much of it"),
            Self::Relocated => formatter.write_str("only relocations say where its landing pads are"),
            Self::Elsewhere => formatter.write_str("it refers to what is no code"),
            Self::Disordered => formatter.write_str("its ranges or states are not in order"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sections::test_support;
    use binframe_ir::tables::UnwindEntry;

    const LSDA: u64 = 0x5000;

    fn entry(address: u64, lsda_address: u64) -> UnwindEntry {
        UnwindEntry {
            address,
            size: 16,
            source: UnwindSource::EhFrame,
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

    /// Reads a section of tables, for functions at the addresses.
    fn read(content: &[u8], functions: impl IntoIterator<Item = u64>) -> ExceptionsIr {
        let sections = test_support::sections(&[("tables", LSDA, content)]);
        let entries = functions.into_iter().map(|address| entry(address, LSDA)).collect();
        run(&Bytes::new(), &test_support::file(1 << 20, sections, entries))
    }

    #[test]
    fn call_sites_count_from_the_function_and_landing_pads_from_what_the_table_says() {
        // Landing pads count from an address, types stand 9 bytes away, call sites have two bytes a number.
        let table = [0x03, 0, 0x40, 0, 0, 0x03, 9, 0x02, 14, 1, 0, 2, 0, 0, 0, 0, 3, 0, 4, 0, 5, 0, 6];
        let found = read(&table, [0x100]);
        let rows: Vec<_> = found.call_sites.columns().iter().collect();
        let fields = |row: &ExceptionCallSite| (row.address, row.size, row.landing_pad_address, row.action);
        assert_eq!(
            rows.iter().map(fields).collect::<Vec<_>>(),
            [(0x101, 2, None, 0), (0x103, 4, Some(0x4005), 6)]
        );
        assert!(found.diagnostics.is_empty());
    }

    #[test]
    fn what_stands_before_a_broken_call_site_stays() {
        let found = read(&[0xff, 0xff, 0x01, 6, 1, 2, 3, 4, 5, 6], [0x100]);
        assert_eq!((found.call_sites.len(), found.diagnostics.len()), (1, 1));
        let outside = read(&[0xff, 0xff, 0x01, 60, 1, 2, 3, 4], [0x100]);
        assert_eq!((outside.call_sites.len(), outside.diagnostics.len()), (0, 1));
    }

    #[test]
    fn a_table_that_many_functions_share_is_not_read_for_all() {
        let mut table = vec![0xff, 0xff, 0x01, 100];
        table.extend([0; 100]);
        let found = read(&table, (0..1000).map(|function| function * 16));
        assert_eq!(found.call_sites.len(), 25 * landing_pads::TABLES_PER_SECTION_SIZE_MAX);
        assert!(found.diagnostics.len() > 900);
    }
}
