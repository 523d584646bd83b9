//! GNU symbol versions of ELF files.
//!
//! Version records of a broken file may overlap, and share one long name. Records and names are therefore counted
//! before the `object` crate reads them into a table: no more records than fit in the file, and no more text than
//! [`NameBudget`] allows.
//!
//! Source: Linux Standard Base, Core specification, section 10.7 (symbol versioning).

use super::elf::{Elf, Header};
use crate::file::text_budget::NameBudget;
use object::read::elf::{SectionHeader, SectionTable, VersionTable};
use object::{StringTable, elf};

/// Size of the smallest version record.
const RECORD_SIZE: usize = 16;

/// The versions of the dynamic symbols, given the section headers that locate them; `None` if there are none.
pub(crate) fn read<'e, H: Header>(
    elf: &Elf<'e, H>,
    headers: &'e [H::SectionHeader],
) -> Result<Option<VersionTable<'e, H>>, String> {
    let (endian, file) = (elf.endian, elf.file.as_ref());
    let sections = SectionTable::<H>::new(headers, StringTable::default());
    let text = |error: object::Error| error.to_string();
    let Some((_, link)) = sections.gnu_versym(endian, file).map_err(text)? else { return Ok(None) };
    let symbols = sections.symbol_table_by_index(endian, file, link).map_err(text)?;
    let strings = headers.get(symbols.string_section().0);
    let strings = strings.and_then(|header| header.data(endian, file).ok()).unwrap_or_default();
    let records_left = file.len() / RECORD_SIZE;
    let mut limits = VersionLimits { strings, names: NameBudget::of_file(file), records_left };
    if let Some((mut definitions, _)) = sections.gnu_verdef(endian, file).map_err(text)? {
        while let Some((definition, mut names)) = definitions.next().map_err(text)? {
            let is_file = definition.vd_flags.get(endian).contains(elf::VER_FLG_BASE);
            let name = if is_file { None } else { names.next().map_err(text)? };
            limits.count(name.map_or(0, |name| name.vda_name.get(endian)))?;
        }
    }
    if let Some((mut needs, _)) = sections.gnu_verneed(endian, file).map_err(text)? {
        while let Some((need, mut names)) = needs.next().map_err(text)? {
            limits.count(need.vn_file.get(endian))?;
            while let Some(name) = names.next().map_err(text)? {
                limits.count(name.vna_name.get(endian))?;
                // `versions` reads the name of the file again for each version.
                limits.names.read(limits.strings, need.vn_file.get(endian).into())?;
            }
        }
    }
    sections.versions(endian, file).map_err(text)
}

/// The records and names that may still be read.
struct VersionLimits<'a> {
    strings: &'a [u8],
    names: NameBudget,
    records_left: usize,
}

impl VersionLimits<'_> {
    /// Counts a record and its name.
    fn count(&mut self, name_offset: u32) -> Result<(), String> {
        self.records_left = self.records_left.checked_sub(1).ok_or("they share too many bytes")?;
        self.names.read(self.strings, name_offset.into())?;
        Ok(())
    }
}
