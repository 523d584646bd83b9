//! `(binary_headers, binary_sections, unwind_entries) -> exception_call_sites`
//!
//! Where control goes when something is thrown: the call sites of the tables of landing pads that unwind entries name. A table
//! has a header, then its call sites, then what is caught, which is not read.
//!
//! Not done here: what function tables of PE name, as it is for each handler to read; and the tables of relocatable objects,
//! whose places only relocations say.
//!
//! What can go wrong: `broken_exception_table`.
//!
//! Sources: Itanium C++ ABI, exception handling, section 7; `parse_lsda_header` of GCC and `EHStreamer` of LLVM, which agree.

use crate::diagnostics::{Collector, Place};
use crate::pointers::{Bases, Reader};
use crate::sections::SectionsIr;
use crate::sections_by_address::SectionsByAddress;
use binframe_ir::tables::{
    BinarySectionColumns, DiagnosticCode, DiagnosticPass, Diagnostics, Endianness, ExceptionCallSite,
    ExceptionCallSiteBuilder, ExceptionCallSites, Severity, UnwindSource,
};
use binframe_ir::{Batch, Enumeration, Fingerprint, Rows};
use gimli::{DwEhPe, EndianSlice, Error, Reader as _, RunTimeEndian};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fmt;

/// All tables together may be this many times the sections that they stand in. Those of honest files share few bytes.
const TABLES_PER_SECTION_SIZE_MAX: usize = 4;

/// Tables that one thread reads at a time.
const TABLES_PER_PART: usize = 1 << 10;

/// Parts that are held at a time.
const PARTS: usize = 32;

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
pub fn run(sections: &SectionsIr) -> ExceptionsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Exceptions);
    let mut report = |lsda_address: u64, broken: Broken| {
        let message = format!("a table of landing pads cannot be read: {broken}");
        let (severity, code) = (Severity::Error, DiagnosticCode::BrokenExceptionTable);
        diagnostics.report(severity, code, Place::Address(lsda_address), &message);
    };
    let file = File::of(sections);
    let named = named(sections);
    let found: Vec<_> = named.par_iter().map(|(function, lsda)| file.find(*function, *lsda)).collect();
    let mut left = file.size_of_tables_max(&found);
    let mut tables = Vec::with_capacity(found.len());
    for ((_, lsda_address), table) in named.iter().zip(found) {
        let within_limit = table.and_then(|table| {
            left = left.checked_sub(table.call_sites.len()).ok_or(Broken::Shared)?;
            Ok(table)
        });
        match within_limit {
            Ok(table) => tables.push(table),
            Err(broken) => report(*lsda_address, broken),
        }
    }
    let mut rows = ExceptionCallSiteBuilder::default();
    for tables in tables.chunks(TABLES_PER_PART * PARTS) {
        let parts: Vec<_> = tables.par_chunks(TABLES_PER_PART).map(Part::read).collect();
        for part in parts {
            rows.extend(part.call_sites);
            for (lsda_address, error) in part.broken {
                report(lsda_address, Broken::Bytes(error));
            }
        }
    }
    ExceptionsIr { call_sites: in_order(rows.finish()), diagnostics: diagnostics.finish() }
}

/// The ranges of code that have a table, and its address, each pair once.
fn named(sections: &SectionsIr) -> Vec<(u64, u64)> {
    let entries = sections.unwind_entries.columns();
    let mut named: Vec<_> = (0..entries.len())
        .filter(|row| entries.source.get(*row) != UnwindSource::FunctionTable)
        .filter_map(|row| Some((entries.address[row], entries.lsda_address.get(row)?)))
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// The rows in the order of their key. They have it where compilers wrote the tables: ranges of code follow one another, and so
/// do the call sites in them.
fn in_order(rows: Rows<ExceptionCallSites>) -> Rows<ExceptionCallSites> {
    let key = |row: &ExceptionCallSite| (row.address, row.lsda_address, row.call_site_index);
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

/// Why a table cannot be read.
#[derive(Debug, Clone, Copy)]
enum Broken {
    Bytes(Error),
    Outside,
    Shared,
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
            Self::Outside => formatter.write_str("it lies in no section that has bytes"),
            Self::Shared => formatter.write_str("tables share too many bytes"),
        }
    }
}

/// What tables are found in.
struct File<'a> {
    sections: BinarySectionColumns<'a>,
    by_address: SectionsByAddress,
    endian: RunTimeEndian,
    bases: Bases<'a>,
}

/// A table whose header was read.
struct Table<'a> {
    function_address: u64,
    lsda_address: u64,
    /// Row of the section that it stands in.
    section: usize,
    /// What the addresses of landing pads are counted from.
    landing_pads_address: u64,
    encoding: DwEhPe,
    bases: Bases<'a>,
    call_sites: Reader<'a>,
}

impl<'a> File<'a> {
    fn of(sections: &'a SectionsIr) -> Self {
        let header = sections.headers.columns().iter().next();
        let is_big = header.is_some_and(|header| header.endianness == Some(Endianness::Big.name()));
        let endian = if is_big { RunTimeEndian::Big } else { RunTimeEndian::Little };
        let address_size = header.and_then(|header| header.bits).map_or(8, |bits| bits / 8);
        Self {
            sections: sections.sections.columns(),
            by_address: SectionsByAddress::of(&sections.sections, |section| {
                section.is_readable && !section.content.is_empty()
            }),
            endian,
            bases: Bases::of(&sections.sections, endian, address_size),
        }
    }

    fn find(&self, function_address: u64, lsda_address: u64) -> Result<Table<'a>, Broken> {
        let section = self.by_address.holding(lsda_address).ok_or(Broken::Outside)?;
        let (address, content) = (self.sections.address[section], self.sections.content.value(section));
        let mut bases = self.bases;
        bases.section = EndianSlice::new(content, self.endian);
        bases.address = address;
        bases.function = Some(function_address);
        let mut input = bases.section;
        input.skip((lsda_address - address) as usize).map_err(|_| Broken::Outside)?;
        let encoding = DwEhPe(input.read_u8()?);
        let landing_pads_address = match encoding.is_absent() {
            true => function_address,
            false => bases.read(encoding, &mut input)?.address,
        };
        if !DwEhPe(input.read_u8()?).is_absent() {
            // How far away the types that are caught stand.
            input.read_uleb128()?;
        }
        let encoding = DwEhPe(input.read_u8()?);
        if encoding.application() != gimli::DW_EH_PE_absptr || encoding.is_indirect() {
            return Err(Broken::Bytes(Error::UnknownPointerEncoding(encoding)));
        }
        let size = usize::try_from(input.read_uleb128()?).map_err(|_| Error::UnsupportedOffset)?;
        let call_sites = input.split(size)?;
        Ok(Table {
            function_address,
            lsda_address,
            section,
            landing_pads_address,
            encoding,
            bases,
            call_sites,
        })
    }

    /// Bytes that call sites of all tables may take: ranges of code may share a table, and broken tables may overlap.
    fn size_of_tables_max(&self, tables: &[Result<Table<'a>, Broken>]) -> usize {
        let sections: BTreeSet<_> = tables.iter().flatten().map(|table| table.section).collect();
        let size: usize = sections.iter().map(|section| self.sections.content.value(*section).len()).sum();
        size.saturating_mul(TABLES_PER_SECTION_SIZE_MAX)
    }
}

/// What was read of some tables.
struct Part {
    call_sites: Vec<ExceptionCallSite>,
    /// Addresses of tables, the rest of which cannot be read.
    broken: Vec<(u64, Error)>,
}

impl Part {
    fn read(tables: &[Table<'_>]) -> Self {
        // A call site takes four bytes at least. Room that is not used costs nothing.
        let call_sites_max = tables.iter().map(|table| table.call_sites.len() / 4).sum();
        let mut part = Self { call_sites: Vec::with_capacity(call_sites_max), broken: Vec::new() };
        for table in tables {
            if let Err(error) = table.read(&mut part.call_sites) {
                part.broken.push((table.lsda_address, error));
            }
        }
        part
    }
}

impl Table<'_> {
    fn read(&self, call_sites: &mut Vec<ExceptionCallSite>) -> gimli::Result<()> {
        let Self { bases, encoding, function_address, lsda_address, .. } = *self;
        let mut input = self.call_sites;
        let mut call_site_index = 0;
        while !input.is_empty() {
            let start = bases.read_number(encoding, &mut input)?;
            let size = bases.read_number(encoding, &mut input)?;
            let landing_pad = bases.read_number(encoding, &mut input)?;
            let action = input.read_uleb128()?;
            let landing_pad_address = self.landing_pads_address.wrapping_add(landing_pad);
            call_sites.push(ExceptionCallSite {
                address: bases.within_address_size(function_address.wrapping_add(start)),
                size: bases.within_address_size(size),
                landing_pad_address: (landing_pad != 0)
                    .then_some(bases.within_address_size(landing_pad_address)),
                action,
                function_address,
                lsda_address,
                call_site_index,
            });
            call_site_index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::by_hand;
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
            is_signal_frame: false,
            is_continuation: false,
            begins_in_frame: None,
        }
    }

    /// Reads a section of tables, for functions at the addresses.
    fn read(content: &[u8], functions: impl IntoIterator<Item = u64>) -> ExceptionsIr {
        let sections = by_hand::sections(&[("tables", LSDA, content)]);
        let entries = functions.into_iter().map(|address| entry(address, LSDA)).collect();
        run(&by_hand::file(1 << 20, sections, entries))
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
        assert_eq!(found.call_sites.len(), 25 * TABLES_PER_SECTION_SIZE_MAX);
        assert!(found.diagnostics.len() > 900);
    }
}
