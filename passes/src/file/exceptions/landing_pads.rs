//! `exception_call_sites`, from tables of landing pads. A table has a header, then its call sites, then what is caught, which is not
//! read.
//!
//! Sources: Itanium C++ ABI, exception handling, section 7; `parse_lsda_header` of GCC and `EHStreamer` of LLVM, which agree.

use super::{Broken, Described, Found, Sections};
use crate::file::formats::EndianReader;
use crate::file::pointers::PointerBases;
use crate::file::sections::SectionsIr;
use binframe_ir::Enumeration;
use binframe_ir::tables::{Architecture, Endianness, ExceptionCallSite};
use gimli::{DwEhPe, EndianSlice, Error, Reader as _, RunTimeEndian};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// All tables together may be this many times the sections that they stand in. Those of honest files share few bytes.
pub(super) const TABLES_PER_SECTION_SIZE_MAX: usize = 4;

/// Tables that one thread reads at a time.
const TABLES_PER_PART: usize = 1 << 10;

/// Parts that are held at a time.
const PARTS: usize = 32;

/// Reads the tables of ranges of code, which are in order.
pub(super) fn read<'a>(sections: &'a SectionsIr, described: &[Described], found: &mut Found<'a>) {
    let file = File::of(sections);
    let tables: Vec<_> = described.par_iter().map(|one| file.find(&found.sections, one)).collect();
    let mut left = size_of_tables_max(&found.sections, &tables);
    let mut within_limit = Vec::with_capacity(tables.len());
    for (one, table) in described.iter().zip(tables) {
        let table = table.and_then(|table| {
            left = left.checked_sub(table.call_sites.len()).ok_or(Broken::Shared)?;
            Ok(table)
        });
        match table {
            Ok(table) => within_limit.push(table),
            Err(broken) => found.report(one.lsda_address, broken),
        }
    }
    for tables in within_limit.chunks(TABLES_PER_PART * PARTS) {
        let sections = &found.sections;
        let parts: Vec<_> =
            tables.par_chunks(TABLES_PER_PART).map(|tables| Part::read(sections, tables)).collect();
        for part in parts {
            found.call_sites.extend(part.call_sites);
            for (lsda_address, error) in part.broken {
                found.report(lsda_address, error.into());
            }
        }
    }
}

/// How numbers stand in a file, and what they are relative to.
pub(super) struct File<'a> {
    endian: RunTimeEndian,
    bases: PointerBases<'a>,
    /// Whether linkers shorten code, so that objects leave the distances in it to relocations.
    is_shortened: bool,
}

/// A table whose header was read.
pub(super) struct Table<'a> {
    described: Described,
    /// Row of the section that it stands in.
    section: usize,
    /// What the addresses of landing pads are counted from.
    landing_pads_address: u64,
    encoding: DwEhPe,
    bases: PointerBases<'a>,
    pub(super) call_sites: EndianReader<'a>,
}

impl<'a> File<'a> {
    pub(super) fn of(sections: &'a SectionsIr) -> Self {
        let header = sections.headers.columns().iter().next();
        let is_big = header.is_some_and(|header| header.endianness == Some(Endianness::Big.name()));
        let endian = if is_big { RunTimeEndian::Big } else { RunTimeEndian::Little };
        let address_size = header.and_then(|header| header.bits).map_or(8, |bits| bits / 8);
        let shortened = [Some(Architecture::RiscV), Some(Architecture::LoongArch)];
        Self {
            endian,
            bases: PointerBases::of(&sections.sections, endian, address_size),
            is_shortened: header.is_some_and(|header| shortened.contains(&header.architecture)),
        }
    }

    pub(super) fn find(&self, sections: &Sections<'a>, described: &Described) -> Result<Table<'a>, Broken> {
        let section = sections.row(described.lsda_section_index).ok_or(Broken::Outside)?;
        let (address, content) = (sections.columns.address[section], sections.columns.content.value(section));
        let mut bases = self.bases;
        bases.section = EndianSlice::new(content, self.endian);
        bases.address = address;
        bases.function = Some(described.function_address);
        let mut input = bases.section;
        let offset = described.lsda_address.checked_sub(address).ok_or(Broken::Outside)?;
        input.skip(usize::try_from(offset).map_err(|_| Broken::Outside)?).map_err(|_| Broken::Outside)?;
        let encoding = DwEhPe(input.read_u8()?);
        if sections.is_relocatable && (self.is_shortened || !encoding.is_absent()) {
            return Err(Broken::Relocated);
        }
        let landing_pads_address = match encoding.is_absent() {
            true => described.function_address,
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
        Ok(Table { described: *described, section, landing_pads_address, encoding, bases, call_sites })
    }
}

/// Bytes that call sites of all tables may take: ranges of code may share a table, and broken tables may overlap.
fn size_of_tables_max(sections: &Sections<'_>, tables: &[Result<Table<'_>, Broken>]) -> usize {
    let rows: BTreeSet<_> = tables.iter().flatten().map(|table| table.section).collect();
    let size: usize = rows.iter().map(|section| sections.columns.content.value(*section).len()).sum();
    size.saturating_mul(TABLES_PER_SECTION_SIZE_MAX)
}

/// What was read of some tables.
struct Part {
    call_sites: Vec<ExceptionCallSite>,
    /// Addresses of tables, the rest of which cannot be read.
    broken: Vec<(u64, Error)>,
}

impl Part {
    fn read(sections: &Sections<'_>, tables: &[Table<'_>]) -> Self {
        // A call site takes four bytes at least. Room that is not used costs nothing.
        let call_sites_max = tables.iter().map(|table| table.call_sites.len() / 4).sum();
        let mut part = Self { call_sites: Vec::with_capacity(call_sites_max), broken: Vec::new() };
        for table in tables {
            if let Err(error) = table.read(sections, &mut part.call_sites) {
                part.broken.push((table.described.lsda_address, error));
            }
        }
        part
    }
}

impl Table<'_> {
    pub(super) fn read(
        &self,
        sections: &Sections<'_>,
        call_sites: &mut Vec<ExceptionCallSite>,
    ) -> gimli::Result<()> {
        let Self { bases, encoding, described, .. } = *self;
        let mut input = self.call_sites;
        let mut call_site_index = 0;
        while !input.is_empty() {
            let start = bases.read_number(encoding, &mut input)?;
            let size = bases.read_number(encoding, &mut input)?;
            let landing_pad = bases.read_number(encoding, &mut input)?;
            let action = input.read_uleb128()?;
            let landing_pad_address = (landing_pad != 0)
                .then(|| bases.within_address_size(self.landing_pads_address.wrapping_add(landing_pad)));
            call_sites.push(ExceptionCallSite {
                address: bases.within_address_size(described.function_address.wrapping_add(start)),
                size: bases.within_address_size(size),
                section_index: described.section_index,
                landing_pad_address,
                landing_pad_section_index: landing_pad_address
                    .and_then(|address| sections.section_of_code(address, described.section_index)),
                action,
                function_address: described.function_address,
                lsda_address: described.lsda_address,
                lsda_section_index: sections.columns.section_index[self.section],
                call_site_index,
            });
            call_site_index += 1;
        }
        Ok(())
    }
}
