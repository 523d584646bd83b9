//! The versions of symbols of ELF files.

use super::elf::{Elf, Header};
use crate::file::names::NameBudget;
use object::elf;
use object::read::elf::{SectionHeader, VersionTable};

/// The smallest record of a version. Each is read once, so that no more records are read than would fit in the file.
const RECORD_SIZE: usize = 16;

/// Reads the versions, where there are any. Before, records and their names are counted: broken ones may share their bytes, and
/// have one end that is far away.
pub(crate) fn read<'a, H: Header>(elf: &Elf<'a, H>) -> Result<Option<VersionTable<'a, H>>, String> {
    let (endian, file) = (elf.endian, elf.file.as_ref());
    let sections = elf.section_table();
    let text = |error: object::Error| error.to_string();
    let Some((_, link)) = sections.gnu_versym(endian, file).map_err(text)? else { return Ok(None) };
    let symbols = sections.symbol_table_by_index(endian, file, link).map_err(text)?;
    let strings = elf.section_headers.get(symbols.string_section().0);
    let strings = strings.and_then(|header| header.data(endian, file).ok()).unwrap_or_default();
    let mut counter = Counter { strings, names: NameBudget::of_file(file), left: file.len() / RECORD_SIZE };
    if let Some((mut definitions, _)) = sections.gnu_verdef(endian, file).map_err(text)? {
        while let Some((definition, mut names)) = definitions.next().map_err(text)? {
            let is_file = definition.vd_flags.get(endian).contains(elf::VER_FLG_BASE);
            let name = if is_file { None } else { names.next().map_err(text)? };
            counter.count(name.map_or(0, |name| name.vda_name.get(endian)))?;
        }
    }
    if let Some((mut needs, _)) = sections.gnu_verneed(endian, file).map_err(text)? {
        while let Some((need, mut names)) = needs.next().map_err(text)? {
            counter.count(need.vn_file.get(endian))?;
            while let Some(name) = names.next().map_err(text)? {
                counter.count(name.vna_name.get(endian))?;
                // The file's name is read again for each.
                counter.names.read(counter.strings, need.vn_file.get(endian).into())?;
            }
        }
    }
    sections.versions(endian, file).map_err(text)
}

struct Counter<'a> {
    strings: &'a [u8],
    names: NameBudget,
    left: usize,
}

impl Counter<'_> {
    fn count(&mut self, name: u32) -> Result<(), String> {
        self.left = self.left.checked_sub(1).ok_or("they share too many bytes")?;
        self.names.read(self.strings, name.into())?;
        Ok(())
    }
}
