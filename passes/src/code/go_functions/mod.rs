//! `(binary_sections, binary_relocations) -> functions of a Go program`, from the table that Go's runtime reads.
//!
//! The runtime needs the table to print stacks, so that stripped programs have it too. It is in a section of its own
//! (`.gopclntab`), or, in PE files and where sections were renamed, somewhere in data, where its header is looked for.
//!
//! Entries of Go 1.18 and later are relative to the start of Go's code. Its address is in the header, where the loader
//! writes it in programs that are loaded at any address; since Go 1.26 only in the runtime's description of the program
//! (`runtime.firstmoduledata`), which begins with pointers to the table and to its names. Without it, Go's code starts
//! with the text section.

mod table;

pub(super) use table::{BrokenPart, ListedFunction};

use crate::code::loaded_data::{Data, data_from};
use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::Endianness;
use table::{Encoding, Header, Table};

/// The functions of Go's table, sorted by address, and what is broken in it; nothing if the file has no table.
pub(super) fn listed_functions<'f>(
    sections: &SectionsIr,
    linkage: &LinkageIr,
    data: &'f [Data],
    is_code: &dyn Fn(u64) -> bool,
) -> (Vec<ListedFunction<'f>>, Vec<BrokenPart>) {
    let Some(encoding) = encoding(sections) else { return Default::default() };
    let named = named_table(sections, data);
    let found = match named {
        Some((address, bytes)) => Header::read(bytes, encoding).map(|header| (address, bytes, header)),
        None => find_table(data, encoding),
    };
    let Some((address, bytes, header)) = found else {
        let message = "the header of the function table of Go cannot be read";
        let broken = named.map(|(address, _)| BrokenPart { address, message });
        return (Vec::new(), broken.into_iter().collect());
    };
    let pointers = Pointers { encoding, data, relocated: relocated(linkage) };
    let mut table = Table { encoding, header, address, bytes, text_start: 0 };
    let relocated = |address: u64| pointers.relocated(address);
    if header.is_relative {
        let first_entry = table.entry(0, &relocated).unwrap_or(0);
        let text_start = text_start(&table, first_entry, &pointers).or_else(|| text_section(sections));
        table.text_start = text_start.unwrap_or(0);
    }
    // Other data may look like a header.
    if named.is_none() && !table.entry(0, &relocated).is_some_and(is_code) {
        return Default::default();
    }
    table.functions(&relocated, is_code)
}

/// How the program stores numbers; `None` if Go's compiler does not write such programs.
fn encoding(sections: &SectionsIr) -> Option<Encoding> {
    let header = sections.headers.columns().iter().next()?;
    let endianness = match header.endianness? {
        Endianness::Little => object::Endianness::Little,
        Endianness::Big => object::Endianness::Big,
    };
    let pointer_size = usize::from(header.bits? / 8);
    [4, 8].contains(&pointer_size).then_some(Encoding { endianness, pointer_size })
}

/// Address and bytes of the section that has the table by its name: `.gopclntab`, `.data.rel.ro.gopclntab` or
/// `__TEXT,__gopclntab`.
fn named_table<'f>(sections: &SectionsIr, data: &'f [Data]) -> Option<(u64, &'f [u8])> {
    let columns = sections.sections.columns();
    let mut named = columns.iter().filter(|section| section.section_name.ends_with("gopclntab"));
    named.find_map(|section| Some((section.address, data_from(data, section.address)?)))
}

/// The first header in data whose table is whole, with its address and the bytes from there to the end of its section.
/// Headers are aligned to the size of a pointer.
fn find_table(data: &[Data], encoding: Encoding) -> Option<(u64, &[u8], Header)> {
    data.iter().find_map(|data| {
        data.aligned_offsets(encoding.pointer_size).find_map(|offset| {
            let bytes = &data.bytes[offset..];
            let header = Header::read(bytes, encoding)?;
            let is_whole = header.is_whole(bytes.len(), encoding);
            is_whole.then_some((data.address + offset as u64, bytes, header))
        })
    })
}

/// The pointers that the loader writes by relocations that state them, sorted by address.
fn relocated(linkage: &LinkageIr) -> Vec<(u64, u64)> {
    let relocations = linkage.relocations.columns().iter();
    let relative =
        relocations.filter(|relocation| relocation.is_dynamic && relocation.symbol_index.is_none());
    let mut relocated: Vec<_> =
        relative.filter_map(|relocation| Some((relocation.address, relocation.addend? as u64))).collect();
    relocated.sort_unstable();
    relocated
}

/// Pointers in data.
struct Pointers<'a> {
    encoding: Encoding,
    data: &'a [Data],
    relocated: Vec<(u64, u64)>,
}

impl Pointers<'_> {
    /// The pointer that the loader writes to an address; `None` if it does not, or adds to the stored one.
    fn relocated(&self, address: u64) -> Option<u64> {
        let row = self.relocated.partition_point(|(other, _)| *other < address);
        self.relocated.get(row).filter(|(other, _)| *other == address).map(|(_, pointer)| *pointer)
    }

    fn read(&self, address: u64) -> Option<u64> {
        let stored = || self.encoding.read_word(data_from(self.data, address)?, 0);
        self.relocated(address).or_else(stored)
    }

    /// The addresses of pointers to an address.
    fn addresses_of(&self, target: u64) -> impl Iterator<Item = u64> {
        let relocated = self.relocated.iter().filter(move |(_, pointer)| *pointer == target);
        let encoding = self.encoding;
        let stored = self.data.iter().flat_map(move |data| {
            let offsets = data.aligned_offsets(encoding.pointer_size).map(|offset| offset as u64);
            offsets
                .filter(move |offset| encoding.read_word(&data.bytes, *offset) == Some(target))
                .map(|offset| data.address + offset)
        });
        relocated.map(|(address, _)| *address).chain(stored)
    }
}

/// The start of Go's code, as the header or the runtime's description of the program states it.
fn text_start(table: &Table<'_>, first_entry: u64, pointers: &Pointers<'_>) -> Option<u64> {
    // Positions of fields in the description, in words.
    const NAMES: u64 = 1;
    const FIRST_ADDRESS: u64 = 20;
    const TEXT_START: u64 = 22;
    let field = table.address.checked_add(Header::text_start_offset(table.encoding))?;
    if let Some(stated) = pointers.read(field).filter(|stated| *stated > 0) {
        return Some(stated);
    }
    let names = table.address.checked_add(table.header.names)?;
    pointers.addresses_of(table.address).find_map(|address| {
        let word =
            |index: u64| pointers.read(address.checked_add(index * table.encoding.pointer_size as u64)?);
        let text_start = word(TEXT_START)?;
        let is_description =
            word(NAMES)? == names && word(FIRST_ADDRESS)? == text_start.checked_add(first_entry)?;
        is_description.then_some(text_start)
    })
}

/// Address of the text section.
fn text_section(sections: &SectionsIr) -> Option<u64> {
    let columns = sections.sections.columns();
    let is_text = |name: &str| [".text", "__TEXT,__text"].contains(&name);
    columns.iter().find(|section| is_text(section.section_name)).map(|section| section.address)
}
