//! What lies where in the memory of a binary, as its file says.

use crate::error::external;
use crate::inputs::{Inputs, lock};
use crate::table_functions::{FunctionNames, Program};
use binframe::ir::tables::{
    BinaryHeaders, BinarySection, BinarySections, BinarySymbols, Endianness, SymbolType,
};
use binframe::ir::{Enumeration, Rows};
use binframe::passes::isa::Isa;
use datafusion::common::Result;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// The images of the inputs, each made when it is first asked for.
#[derive(Debug)]
pub(crate) struct Images {
    inputs: Arc<Inputs>,
    by_binary: Known<Image>,
    functions: Known<FunctionNames>,
}

/// What was made for some binaries.
#[derive(Debug)]
struct Known<T>(Mutex<HashMap<String, Arc<T>>>);

impl<T> Known<T> {
    fn get(&self, binary: &str, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut known = lock(&self.0);
        if let Some(found) = known.get(binary) {
            return Ok(Arc::clone(found));
        }
        if known.len() == KNOWN_MAX {
            known.clear();
        }
        let made = Arc::new(make()?);
        known.insert(binary.to_owned(), Arc::clone(&made));
        Ok(made)
    }
}

/// Binaries of which something is kept at a time.
const KNOWN_MAX: usize = 256;

/// What is loaded of one binary.
#[derive(Debug)]
pub(crate) struct Image {
    /// Hold the sections' content, which lies in the mapped file.
    rows: Vec<Rows<BinarySections>>,
    /// In the order of their addresses.
    sections: Vec<Section>,
    /// In the order of their addresses; of those at one address, the one that is preferred.
    symbols: Vec<Symbol>,
    isa: Isa,
    is_big_endian: bool,
}

#[derive(Debug)]
struct Section {
    addresses: Range<u64>,
    /// The position of its rows and of its row in them.
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
            by_binary: Known(Mutex::default()),
            functions: Known(Mutex::default()),
        }
    }

    /// The image of a binary, as SQL names it.
    pub(crate) fn of_binary(&self, binary: &str) -> Result<Arc<Image>> {
        self.by_binary.get(binary, || {
            let (input, own) = self.inputs.find(binary)?;
            Image::read(&self.inputs, input, &own).map_err(external)
        })
    }

    /// The functions of a binary, as SQL names it.
    pub(crate) fn functions(&self, binary: &str) -> Result<Arc<FunctionNames>> {
        self.functions.get(binary, || {
            let (input, own) = self.inputs.find(binary)?;
            Program::new(&self.inputs, input, &own).functions()
        })
    }

    /// The only binary; none where there are none or several.
    pub(crate) fn only(&self) -> Result<Option<String>> {
        self.inputs.only_binary().map_err(external)
    }

    /// The instruction set of a binary, or of all where none is named: x86 in 64-bit mode, unless the only one has another.
    pub(crate) fn isa(&self, binary: Option<&str>) -> Result<Isa> {
        let binary = binary.map_or_else(|| self.only(), |binary| Ok(Some(binary.to_owned())))?;
        binary.map_or(Ok(Isa::X86_64), |binary| Ok(self.of_binary(&binary)?.isa))
    }
}

impl Image {
    fn read(inputs: &Inputs, input: usize, binary: &str) -> std::result::Result<Self, binframe::Error> {
        let headers = inputs.all::<BinaryHeaders>(input, binary)?;
        let header = headers.iter().find_map(|rows| rows.columns().iter().next());
        let isa = header.and_then(|header| header.architecture).and_then(Isa::of).unwrap_or(Isa::X86_64);
        let is_big_endian = header.is_some_and(|header| header.endianness == Some(Endianness::Big.name()));
        let rows = inputs.all::<BinarySections>(input, binary)?;
        let symbols = symbols(&inputs.all::<BinarySymbols>(input, binary)?);
        Ok(Self { sections: sections(&rows), rows, symbols, isa, is_big_endian })
    }

    fn section(&self, address: u64) -> Option<&Section> {
        let next = self.sections.partition_point(|section| section.addresses.start <= address);
        self.sections[..next].iter().rev().find(|section| section.addresses.contains(&address))
    }

    fn row(&self, section: &Section) -> BinarySection<'_> {
        self.rows[section.row.0].columns().row(section.row.1)
    }

    pub(crate) fn section_at(&self, address: u64) -> Option<String> {
        Some(self.row(self.section(address)?).section_name.to_owned())
    }

    pub(crate) fn symbol_at(&self, address: u64) -> Option<String> {
        let next = self.symbols.partition_point(|symbol| symbol.address <= address);
        let symbol = self.symbols[..next].last()?;
        let offset = address - symbol.address;
        let section = self.section(address)?;
        match offset {
            0 => Some(symbol.name.clone()),
            // A symbol without a size reaches as far as the next, in its section.
            _ if offset < symbol.size
                || (symbol.size == 0 && section.addresses.contains(&symbol.address)) =>
            {
                Some(format!("{}+{offset:#x}", symbol.name))
            }
            _ => None,
        }
    }

    /// The bytes from an address to the end of its section; none where the file has none.
    pub(crate) fn bytes_from(&self, address: u64) -> Option<&[u8]> {
        let section = self.section(address)?;
        let offset = (address - section.addresses.start) as usize;
        self.row(section).content.get(offset..)
    }

    pub(crate) fn string_at(&self, address: u64) -> Option<String> {
        let bytes = self.bytes_from(address)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    pub(crate) fn number_at(&self, address: u64, size: usize) -> Option<u64> {
        let bytes = self.bytes_from(address)?;
        let bytes = bytes.get(..size)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.is_big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}

fn sections(rows: &[Rows<BinarySections>]) -> Vec<Section> {
    let mut sections = Vec::new();
    for (part, rows) in rows.iter().enumerate() {
        let loaded = rows.columns().iter().enumerate().filter(|(_, section)| section.is_readable);
        sections.extend(loaded.map(|(row, section)| Section {
            addresses: section.address..section.address.saturating_add(section.size),
            row: (part, row),
        }));
    }
    sections.sort_by_key(|section| section.addresses.start);
    sections
}

fn symbols(rows: &[Rows<BinarySymbols>]) -> Vec<Symbol> {
    let is_place = |kind: &str| {
        [SymbolType::Function, SymbolType::Variable, SymbolType::Unknown]
            .iter()
            .any(|place| place.name() == kind)
    };
    let defined = rows.iter().flat_map(|rows| rows.columns().iter()).filter(|symbol| {
        symbol.section_index.is_some() && is_place(symbol.symbol_type) && !symbol.symbol_name.is_empty()
    });
    let mut symbols: Vec<_> = defined
        .map(|symbol| Symbol {
            address: symbol.symbol_address,
            size: symbol.symbol_size,
            name: symbol.demangled_name.unwrap_or(symbol.symbol_name).to_owned(),
        })
        .collect();
    // The largest of those at one address first, then in the order of names.
    symbols.sort_by(|one, other| {
        (one.address, other.size, &one.name).cmp(&(other.address, one.size, &other.name))
    });
    symbols.dedup_by_key(|symbol| symbol.address);
    symbols
}
