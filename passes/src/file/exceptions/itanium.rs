//! `binary_exception_call_sites` from language-specific data (LSDA) of the Itanium C++ ABI.
//!
//! A table consists of a header, the call sites, and actions and types, which are not read. *Algorithm.* (1) Read the
//! header of each table, in parallel. (2) In order, drop the tables beyond the limit. (3) Read call sites in chunks of
//! functions, in parallel, and add them in order.
//!
//! Sources: Itanium C++ ABI, exception handling, section 7; `parse_lsda_header` of GCC and `EHStreamer` of LLVM, which
//! agree.

use super::lsda::{FunctionLsda, LsdaError, LsdaOutput, SectionLookup};
use crate::file::formats::EndianReader;
use crate::file::pointers::PointerBases;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{Architecture, BinaryExceptionCallSite, Endianness};
use gimli::{DwEhPe, EndianSlice, Error, Reader as _, RunTimeEndian};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// All tables together may be this many times the size of the sections that contain them. Tables of valid files share
/// few bytes.
pub(super) const TABLES_PER_SECTION_SIZE_MAX: usize = 4;

/// Number of tables that one task reads.
const TABLES_PER_CHUNK: usize = 1 << 10;

/// Number of chunks whose rows are held at once.
const CHUNKS: usize = 32;

/// Reads the tables of functions, which are sorted.
pub(super) fn read<'a>(sections: &'a SectionsIr, functions: &[FunctionLsda], output: &mut LsdaOutput<'a>) {
    let format = LsdaFormat::of(sections);
    let tables: Vec<_> =
        functions.par_iter().map(|function| format.find_table(&output.sections, function)).collect();
    let mut bytes_left = size_of_tables_max(&output.sections, &tables);
    let mut within_limit = Vec::with_capacity(tables.len());
    for (function, table) in functions.iter().zip(tables) {
        let table = table.and_then(|table| {
            bytes_left = bytes_left.checked_sub(table.call_sites.len()).ok_or(LsdaError::LimitExceeded)?;
            Ok(table)
        });
        match table {
            Ok(table) => within_limit.push(table),
            Err(error) => output.report(function.lsda_address, error),
        }
    }
    for tables in within_limit.chunks(TABLES_PER_CHUNK * CHUNKS) {
        let sections = &output.sections;
        let chunks = tables.par_chunks(TABLES_PER_CHUNK);
        let chunks: Vec<_> = chunks.map(|tables| CallSiteChunk::read(sections, tables)).collect();
        for chunk in chunks {
            output.call_sites.extend(chunk.call_sites);
            for (lsda_address, error) in chunk.broken {
                output.report(lsda_address, error.into());
            }
        }
    }
}

/// Encoding of numbers and pointers in the tables of a file.
pub(super) struct LsdaFormat<'a> {
    endian: RunTimeEndian,
    bases: PointerBases<'a>,
    /// Whether linkers shorten code of the architecture, so that an object states distances in code by relocations.
    is_shortened: bool,
}

/// A table whose header has been read.
pub(super) struct CallSiteTable<'a> {
    function: FunctionLsda,
    /// Row of the section that contains the table.
    section: usize,
    /// Address that landing pads are relative to.
    landing_pads_address: u64,
    encoding: DwEhPe,
    bases: PointerBases<'a>,
    pub(super) call_sites: EndianReader<'a>,
}

impl<'a> LsdaFormat<'a> {
    pub(super) fn of(sections: &'a SectionsIr) -> Self {
        let header = sections.headers.columns().iter().next();
        let is_big = header.is_some_and(|header| header.endianness == Some(Endianness::Big));
        let endian = if is_big { RunTimeEndian::Big } else { RunTimeEndian::Little };
        let address_size = header.and_then(|header| header.bits).map_or(8, |bits| bits / 8);
        let shortened = [Some(Architecture::RiscV), Some(Architecture::LoongArch)];
        Self {
            endian,
            bases: PointerBases::of(&sections.sections, endian, address_size),
            is_shortened: header.is_some_and(|header| shortened.contains(&header.architecture)),
        }
    }

    /// Reads the header of a function's table.
    pub(super) fn find_table(
        &self,
        sections: &SectionLookup<'a>,
        function: &FunctionLsda,
    ) -> Result<CallSiteTable<'a>, LsdaError> {
        let section = sections.row(function.lsda_section_index).ok_or(LsdaError::OutOfBounds)?;
        let (address, content) = (sections.columns.address[section], sections.columns.content.value(section));
        let mut bases = self.bases;
        bases.section = EndianSlice::new(content, self.endian);
        bases.address = address;
        bases.function = Some(function.function_address);
        let mut input = bases.section;
        let offset = function.lsda_address.checked_sub(address).ok_or(LsdaError::OutOfBounds)?;
        input
            .skip(usize::try_from(offset).map_err(|_| LsdaError::OutOfBounds)?)
            .map_err(|_| LsdaError::OutOfBounds)?;
        let encoding = DwEhPe(input.read_u8()?);
        if sections.is_relocatable && (self.is_shortened || !encoding.is_absent()) {
            return Err(LsdaError::NeedsRelocations);
        }
        let landing_pads_address = match encoding.is_absent() {
            true => function.function_address,
            false => bases.read(encoding, &mut input)?.address,
        };
        if !DwEhPe(input.read_u8()?).is_absent() {
            // The distance to the types.
            input.read_uleb128()?;
        }
        let encoding = DwEhPe(input.read_u8()?);
        if encoding.application() != gimli::DW_EH_PE_absptr || encoding.is_indirect() {
            return Err(LsdaError::Bytes(Error::UnknownPointerEncoding(encoding)));
        }
        let size = usize::try_from(input.read_uleb128()?).map_err(|_| Error::UnsupportedOffset)?;
        let call_sites = input.split(size)?;
        Ok(CallSiteTable { function: *function, section, landing_pads_address, encoding, bases, call_sites })
    }
}

/// Limit on the bytes of all call sites: functions may share a table, and broken tables may overlap.
fn size_of_tables_max(
    sections: &SectionLookup<'_>,
    tables: &[Result<CallSiteTable<'_>, LsdaError>],
) -> usize {
    let rows: BTreeSet<_> = tables.iter().flatten().map(|table| table.section).collect();
    let size: usize = rows.iter().map(|section| sections.columns.content.value(*section).len()).sum();
    size.saturating_mul(TABLES_PER_SECTION_SIZE_MAX)
}

/// The call sites of several tables.
struct CallSiteChunk {
    call_sites: Vec<BinaryExceptionCallSite>,
    /// Address and error of each table that cannot be read to its end.
    broken: Vec<(u64, Error)>,
}

impl CallSiteChunk {
    fn read(sections: &SectionLookup<'_>, tables: &[CallSiteTable<'_>]) -> Self {
        // A call site takes at least four bytes. Capacity that is not used is never touched.
        let call_sites_max = tables.iter().map(|table| table.call_sites.len() / 4).sum();
        let mut chunk = Self { call_sites: Vec::with_capacity(call_sites_max), broken: Vec::new() };
        for table in tables {
            if let Err(error) = table.read(sections, &mut chunk.call_sites) {
                chunk.broken.push((table.function.lsda_address, error));
            }
        }
        chunk
    }
}

impl CallSiteTable<'_> {
    /// Adds the call sites, up to the first that cannot be read.
    pub(super) fn read(
        &self,
        sections: &SectionLookup<'_>,
        call_sites: &mut Vec<BinaryExceptionCallSite>,
    ) -> gimli::Result<()> {
        let Self { bases, encoding, function, .. } = *self;
        let mut input = self.call_sites;
        let mut call_site_index = 0;
        while !input.is_empty() {
            let start = bases.read_number(encoding, &mut input)?;
            let size = bases.read_number(encoding, &mut input)?;
            let landing_pad = bases.read_number(encoding, &mut input)?;
            let action = input.read_uleb128()?;
            let landing_pad_address = (landing_pad != 0)
                .then(|| bases.within_address_size(self.landing_pads_address.wrapping_add(landing_pad)));
            call_sites.push(BinaryExceptionCallSite {
                address: bases.within_address_size(function.function_address.wrapping_add(start)),
                size: bases.within_address_size(size),
                section_index: function.section_index,
                landing_pad_address,
                landing_pad_section_index: landing_pad_address
                    .and_then(|address| sections.section_of_code(address, function.section_index)),
                action,
                function_address: function.function_address,
                lsda_address: function.lsda_address,
                lsda_section_index: sections.columns.section_index[self.section],
                call_site_index,
            });
            call_site_index += 1;
        }
        Ok(())
    }
}
