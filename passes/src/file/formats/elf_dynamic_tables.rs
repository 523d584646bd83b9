//! Section headers for the tables that the dynamic section locates: symbols, their names and their versions.
//!
//! A loader finds these tables by the dynamic section alone. Where section headers are missing or do not tell, headers made
//! from the dynamic section let the same readers find the tables.
//!
//! The number of symbols is that of the hash table. Without one, or if no symbol is in it, the symbols end where the next
//! table starts, as linkers place them.
//!
//! Source: System V ABI, "Dynamic Section"; Linux Standard Base, Core specification, section 10.7 (symbol versioning).

use super::elf::{DynamicSection, Elf, Header, SectionFields};
use object::read::elf::{GnuHashTable, HashTable, SectionHeader};
use object::{Endian, elf};
use std::borrow::Cow;

/// Indexes of the headers of symbols and names among those that are made.
const SYMBOLS: u32 = 1;
const NAMES: u32 = 2;

/// The section headers of dynamic symbols, their names and their versions: those of the file, if they have all symbols.
pub(crate) fn headers<'a, H: Header>(elf: &Elf<'a, H>) -> Cow<'a, [H::SectionHeader]> {
    made_headers(elf).map_or(Cow::Borrowed(elf.section_headers), Cow::Owned)
}

fn made_headers<H: Header>(elf: &Elf<'_, H>) -> Option<Vec<H::SectionHeader>> {
    let dynamic = elf.dynamic().ok()??;
    let (symbols, names) = (dynamic.value(elf::DT_SYMTAB)?, dynamic.value(elf::DT_STRTAB)?);
    let hashed = hashed_count(elf, &dynamic);
    let count = hashed.or_else(|| count_before_next_table(&dynamic, symbols))?;
    let (rest, _) = elf.loaded_from(symbols)?;
    let count = count.min((rest.len() / size_of::<H::Sym>()) as u64);
    let size = count * size_of::<H::Sym>() as u64;
    // A number that no hash table states is an estimate.
    let is_known = elf.section_headers.iter().any(|header| {
        header.sh_type(elf.endian) == elf::SHT_DYNSYM
            && (hashed.is_none() || header.sh_size(elf.endian).into() >= size)
    });
    if is_known {
        return None;
    }
    let table = |section_type, address: u64, size: u64, link: u32, info: u64| {
        let (rest, offset) = elf.loaded_from(address)?;
        let (size, info) = (size.min(rest.len() as u64), u32::try_from(info).ok()?);
        let fields = SectionFields { section_type, address, offset, size, link, info };
        Some(H::section_header(elf.endian, &fields))
    };
    let reserved = SectionFields { section_type: elf::SHT_NULL, ..SectionFields::default() };
    let mut headers = vec![
        H::section_header(elf.endian, &reserved),
        table(elf::SHT_DYNSYM, symbols, size, NAMES, 0)?,
        table(elf::SHT_STRTAB, names, dynamic.value(elf::DT_STRSZ).unwrap_or(u64::MAX), 0, 0)?,
    ];
    // A version is 16 bits for each symbol.
    let versions = dynamic.value(elf::DT_VERSYM);
    headers.extend(versions.and_then(|address| table(elf::SHT_GNU_VERSYM, address, 2 * count, SYMBOLS, 0)));
    for (section_type, address, count) in [
        (elf::SHT_GNU_VERDEF, elf::DT_VERDEF, elf::DT_VERDEFNUM),
        (elf::SHT_GNU_VERNEED, elf::DT_VERNEED, elf::DT_VERNEEDNUM),
    ] {
        let records = dynamic.value(address).zip(dynamic.value(count));
        headers.extend(
            records.and_then(|(address, count)| table(section_type, address, u64::MAX, NAMES, count)),
        );
    }
    Some(headers)
}

/// Number of symbols that a hash table states, the reserved one included.
fn hashed_count<H: Header>(elf: &Elf<'_, H>, dynamic: &DynamicSection<'_, H>) -> Option<u64> {
    let table = |tag| Some(elf.loaded_from(dynamic.value(tag)?)?.0);
    let of_hash = || {
        let words = table(elf::DT_HASH)?;
        if let Some(count) = wide_hash_count(elf, words) {
            return Some(count);
        }
        let hash: HashTable<'_, H> = HashTable::parse(elf.endian, table(elf::DT_HASH)?).ok()?;
        Some(hash.symbol_table_length())
    };
    let of_gnu_hash = || {
        let hash: GnuHashTable<'_, H> = GnuHashTable::parse(elf.endian, table(elf::DT_GNU_HASH)?).ok()?;
        hash.symbol_table_length(elf.endian)
    };
    of_hash().or_else(of_gnu_hash).map(u64::from)
}

/// Number of symbols that a hash table of 64-bit words states, as GNU's linker makes them for two machines. LLVM's linker
/// makes 32-bit words for them too; two of these are no small number together.
fn wide_hash_count<H: Header>(elf: &Elf<'_, H>, table: &[u8]) -> Option<u32> {
    let is_wide = elf.header.is_type_64() && [elf::EM_S390, elf::EM_ALPHA].contains(&elf.machine);
    let ([buckets, chains, ..], _) = table.as_chunks::<8>() else { return None };
    let [buckets, chains] = [buckets, chains].map(|word| u32::try_from(elf.endian.read_u64(*word)).ok());
    buckets.filter(|count| is_wide && *count > 0).and(chains)
}

/// Number of symbols that fit between their table and the next one that the dynamic section locates.
fn count_before_next_table<H: Header>(dynamic: &DynamicSection<'_, H>, symbols: u64) -> Option<u64> {
    const TABLES: [elf::DynamicTag; 12] = [
        elf::DT_STRTAB,
        elf::DT_HASH,
        elf::DT_GNU_HASH,
        elf::DT_VERSYM,
        elf::DT_VERDEF,
        elf::DT_VERNEED,
        elf::DT_REL,
        elf::DT_RELA,
        elf::DT_RELR,
        elf::DT_ANDROID_REL,
        elf::DT_ANDROID_RELA,
        elf::DT_JMPREL,
    ];
    let starts = TABLES.into_iter().filter_map(|tag| dynamic.value(tag));
    let next = starts.filter(|start| *start > symbols).min()?;
    Some((next - symbols) / size_of::<H::Sym>() as u64)
}
