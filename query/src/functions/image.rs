//! The loaded contents of a binary: which section, symbol and bytes are at an address, as the file states; of a capture, as
//! the last snapshot states.

use super::captured_memory;
use crate::error::external;
use crate::input::lock;
use crate::inputs::Inputs;
use crate::program::{FunctionNames, Program};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryViewArray};
use binframe::ir::tables::{BinaryHeaders, BinarySections, BinarySymbols, Endianness, SymbolType};
use binframe::ir::{Enumeration, Rows};
use binframe::passes::isa::Isa;
use datafusion::common::Result;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// The images and the functions of binaries, each read when it is first needed.
#[derive(Debug)]
pub(crate) struct Images {
    inputs: Arc<Inputs>,
    opened: BinaryCache<Image>,
    functions: BinaryCache<FunctionNames>,
}

/// Values by the name of a binary in SQL.
#[derive(Debug)]
struct BinaryCache<T>(Mutex<HashMap<String, Arc<T>>>);

/// Values in a cache. A full cache is emptied.
const CACHED_MAX: usize = 256;

impl<T> BinaryCache<T> {
    /// The value of a binary, which is computed if it is not cached.
    fn get(&self, binary: &str, compute: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut cached = lock(&self.0);
        if let Some(value) = cached.get(binary) {
            return Ok(Arc::clone(value));
        }
        if cached.len() == CACHED_MAX {
            cached.clear();
        }
        let value = Arc::new(compute()?);
        cached.insert(binary.to_owned(), Arc::clone(&value));
        Ok(value)
    }
}

/// The loaded contents of one binary.
#[derive(Debug)]
pub(crate) struct Image {
    /// The contents of sections or captured regions, which are in mapped files, by the part of the table.
    contents: Vec<ArrayRef>,
    /// Loaded sections, sorted by address.
    sections: Vec<Section>,
    /// One symbol per address, sorted by address.
    symbols: Vec<Symbol>,
    isa: Isa,
    is_big_endian: bool,
}

#[derive(Debug)]
struct Section {
    addresses: Range<u64>,
    name: String,
    /// Index in [`Image::contents`], and of the row there.
    row: (usize, usize),
}

#[derive(Debug)]
struct Symbol {
    address: u64,
    size: u64,
    name: String,
}

impl Images {
    pub(crate) fn new(inputs: &Arc<Inputs>) -> Self {
        Self {
            inputs: Arc::clone(inputs),
            opened: BinaryCache(Mutex::default()),
            functions: BinaryCache(Mutex::default()),
        }
    }

    /// The image of a binary, by its name in SQL.
    pub(crate) fn of_binary(&self, binary: &str) -> Result<Arc<Image>> {
        self.opened.get(binary, || {
            let (input, own) = self.inputs.find(binary)?;
            Image::read(&self.inputs, input, &own).map_err(external)
        })
    }

    /// The functions of a binary, by its name in SQL.
    pub(crate) fn functions(&self, binary: &str) -> Result<Arc<FunctionNames>> {
        self.functions.get(binary, || {
            let (input, own) = self.inputs.find(binary)?;
            Program::new(&self.inputs, input, &own).functions()
        })
    }

    /// The name in SQL of the only binary; `None` if there are none or several.
    pub(crate) fn only(&self) -> Result<Option<String>> {
        self.inputs.only_binary().map_err(external)
    }

    /// The instruction set of a binary, or of the only binary if none is named; x86-64 if there are several.
    pub(crate) fn isa(&self, binary: Option<&str>) -> Result<Isa> {
        let binary = binary.map_or_else(|| self.only(), |binary| Ok(Some(binary.to_owned())))?;
        binary.map_or(Ok(Isa::X86_64), |binary| Ok(self.of_binary(&binary)?.isa))
    }
}

impl Image {
    fn read(inputs: &Inputs, input: usize, binary: &str) -> std::result::Result<Self, binframe::Error> {
        if inputs.is_captured(input, binary)? {
            let (sections, contents) = captured_memory(inputs, input, binary)?;
            let isa = Isa::X86_64;
            return Ok(Self { contents, sections, symbols: Vec::new(), isa, is_big_endian: false });
        }
        let headers = inputs.rows::<BinaryHeaders>(input, binary)?;
        let header = headers.iter().find_map(|rows| rows.columns().iter().next());
        let isa = header.and_then(|header| header.architecture).and_then(Isa::of).unwrap_or(Isa::X86_64);
        let is_big_endian = header.is_some_and(|header| header.endianness == Some(Endianness::Big));
        let rows = inputs.rows::<BinarySections>(input, binary)?;
        let symbols = symbols(&inputs.rows::<BinarySymbols>(input, binary)?);
        let contents = rows.iter().map(|rows| Arc::clone(rows.batch().column("content"))).collect();
        Ok(Self { sections: sections(&rows), contents, symbols, isa, is_big_endian })
    }

    /// The loaded section that contains an address.
    fn section(&self, address: u64) -> Option<&Section> {
        let next = self.sections.partition_point(|section| section.addresses.start <= address);
        self.sections[..next].iter().rev().find(|section| section.addresses.contains(&address))
    }

    /// The name of the section that contains an address.
    pub(crate) fn section_at(&self, address: u64) -> Option<String> {
        Some(self.section(address)?.name.clone())
    }

    /// The symbol that covers an address, and the offset in it: `main+0x12`.
    pub(crate) fn symbol_at(&self, address: u64) -> Option<String> {
        let next = self.symbols.partition_point(|symbol| symbol.address <= address);
        let symbol = self.symbols[..next].last()?;
        let offset = address - symbol.address;
        let section = self.section(address)?;
        match offset {
            0 => Some(symbol.name.clone()),
            // A symbol without a size extends to the next symbol, within its section.
            _ if offset < symbol.size
                || (symbol.size == 0 && section.addresses.contains(&symbol.address)) =>
            {
                Some(format!("{}+{offset:#x}", symbol.name))
            }
            _ => None,
        }
    }

    /// The bytes from an address to the end of its section. `None` if the file has none, as in `.bss`.
    pub(crate) fn bytes_from(&self, address: u64) -> Option<&[u8]> {
        let section = self.section(address)?;
        let offset = (address - section.addresses.start) as usize;
        self.contents[section.row.0].as_binary_view().value(section.row.1).get(offset..)
    }

    /// The text from an address up to the next zero byte.
    pub(crate) fn string_at(&self, address: u64) -> Option<String> {
        let bytes = self.bytes_from(address)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// The number of `size` bytes at an address, in the binary's byte order.
    pub(crate) fn number_at(&self, address: u64, size: usize) -> Option<u64> {
        let bytes = self.bytes_from(address)?;
        let bytes = bytes.get(..size)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.is_big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}

/// The regions that a capture has in its last snapshot, and their contents.
fn captured_memory(
    inputs: &Inputs,
    input: usize,
    binary: &str,
) -> std::result::Result<(Vec<Section>, Vec<ArrayRef>), binframe::Error> {
    let regions = captured_memory::read(inputs, input, binary)?;
    let sections = (0..).zip(&regions).map(|(row, region)| Section {
        addresses: region.start..region.start.saturating_add(region.content.len() as u64),
        name: region.name.clone(),
        row: (0, row),
    });
    let sections = sections.collect();
    let bytes = BinaryViewArray::from_iter_values(regions.into_iter().map(|region| region.content));
    Ok((sections, vec![Arc::new(bytes)]))
}

fn sections(rows: &[Rows<BinarySections>]) -> Vec<Section> {
    let mut sections = Vec::new();
    for (part, rows) in rows.iter().enumerate() {
        let loaded = rows.columns().iter().enumerate().filter(|(_, section)| section.is_readable);
        sections.extend(loaded.map(|(row, section)| Section {
            addresses: section.address..section.address.saturating_add(section.size),
            name: section.section_name.to_owned(),
            row: (part, row),
        }));
    }
    sections.sort_by_key(|section| section.addresses.start);
    sections
}

fn symbols(rows: &[Rows<BinarySymbols>]) -> Vec<Symbol> {
    let is_location = |symbol_type: &str| {
        let types = [SymbolType::Function, SymbolType::Variable, SymbolType::Unknown];
        types.iter().any(|location| location.name() == symbol_type)
    };
    let defined = rows.iter().flat_map(|rows| rows.columns().iter()).filter(|symbol| {
        symbol.section_index.is_some() && is_location(symbol.symbol_type) && !symbol.symbol_name.is_empty()
    });
    let mut symbols: Vec<_> = defined
        .map(|symbol| Symbol {
            address: symbol.symbol_address,
            size: symbol.symbol_size,
            name: symbol.demangled_name.unwrap_or(symbol.symbol_name).to_owned(),
        })
        .collect();
    // Of several symbols at one address, the largest is kept, then the first by name.
    symbols.sort_by(|one, other| {
        (one.address, other.size, &one.name).cmp(&(other.address, one.size, &other.name))
    });
    symbols.dedup_by_key(|symbol| symbol.address);
    symbols
}
