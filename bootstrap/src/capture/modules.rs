//! `(snapshot) -> modules`: the executables and libraries that are mapped, and what their files say of addresses.
//!
//! A module is a file whose beginning is mapped, with code, in the ELF format; or the code of the kernel in the process
//! (`[vdso]`), whose file is its memory. A file is read once for a capture. If its first page is not the one in memory,
//! it was replaced since it was mapped. Then, and if the file is gone, only what memory has of it is known, such as its
//! build id. Names come also from separate debug files.

use super::content::PAGE_SIZE;
use super::mappings::{Mapping, Origin};
use super::snapshot::{ProcessSnapshot, StatedModule};
use super::source_lines::{SourceCall, SourceLines};
use crate::companions::{CompanionSearch, LazyCompanions};
use crate::file::read_file;
use binframe_ir::tables::{BinarySymbol, SymbolBinding, SymbolDefinition, SymbolType};
use binframe_ir::{Enumeration, Rows};
use binframe_passes::file::sections::{self, SectionsIr};
use bytes::Bytes;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A mapped executable or library.
pub(super) struct Module {
    pub(super) path: String,
    pub(super) start: u64,
    pub(super) end: u64,
    /// What is added to an address of the file.
    pub(super) load_bias: u64,
    pub(super) image: Arc<Image>,
}

/// The file of a module.
pub(super) struct Image {
    pub(super) sections: SectionsIr,
    pub(super) build_id: Option<String>,
    file: Bytes,
    /// The tables of its debug files.
    debug: Vec<SectionsIr>,
    functions: Vec<Function>,
    companions: LazyCompanions,
    /// Read when they are first needed.
    lines: OnceLock<SourceLines>,
}

/// A function of a file, by a symbol or an unwind entry.
struct Function {
    start: u64,
    end: u64,
    /// The symbol, by the debug file (0 for the file itself, 1 for the first) and the row; `None` if there is none.
    symbol: Option<(usize, usize)>,
}

/// The files of modules that were read. Of a file that cannot be read or is no module, that.
#[derive(Default)]
pub(super) struct Images(HashMap<String, Option<Arc<Image>>>);

impl Images {
    /// The modules of a snapshot, sorted by address.
    pub(super) fn modules(&mut self, snapshot: &ProcessSnapshot) -> Vec<Module> {
        if !snapshot.modules.is_empty() {
            return snapshot.modules.iter().map(|module| self.stated(module)).collect();
        }
        let mut modules: Vec<Module> = Vec::new();
        let mut index = 0;
        while let Some(first) = snapshot.mappings.get(index) {
            let count = extent(snapshot, index);
            let own = &snapshot.mappings[index..index + count];
            index += count;
            let is_code =
                |mapping: &Mapping| mapping.permissions.is_empty() || mapping.permissions.ends_with('x');
            let has_code = own.iter().any(is_code);
            let (path, image) = match &first.origin {
                Origin::File { path, offset: 0 } if has_code => {
                    let file = self.of_file(path).filter(|image| image.is_at(snapshot, first.start));
                    let name = format!("{path} in memory");
                    (path, file.or_else(|| self.of_memory(&name, snapshot.bytes_at(first.start))))
                }
                Origin::Kernel(name) if name == "[vdso]" => {
                    (name, self.of_memory(name, snapshot.bytes_at(first.start)))
                }
                _ => continue,
            };
            let Some(image) = image else { continue };
            let Some(load_bias) = image.load_bias(first.start) else { continue };
            let end = own.last().map_or(first.end, |mapping| mapping.end);
            modules.push(Module { path: path.clone(), start: first.start, end, load_bias, image });
        }
        modules
    }

    /// A module that a minidump states. Its file counts if it has the same build id.
    fn stated(&mut self, module: &StatedModule) -> Module {
        let (start, end, path) = (module.start, module.end, module.path.clone());
        let stated = module.build_id.as_deref();
        let file = self.of_file(&path).filter(|image| image.is_build(stated));
        let placed = file.and_then(|image| Some((image.load_bias(start)?, image)));
        let (load_bias, image) = placed.unwrap_or_else(|| (start, Image::unknown(stated)));
        Module { path, start, end, load_bias, image }
    }

    /// What may be done with the memory at an offset of a file; `None` if the file does not say.
    pub(super) fn permissions(&mut self, path: &str, offset: u64) -> Option<String> {
        let image = self.of_file(path)?;
        let mut segments = image.sections.segments.columns().iter();
        let segment = segments.find(|segment| {
            // Mappings begin at a page.
            let start = segment.file_offset - segment.file_offset % PAGE_SIZE as u64;
            let end = segment.file_offset.saturating_add(segment.file_size);
            segment.segment_type == Some("PT_LOAD") && (start..end).contains(&offset)
        })?;
        Some(segment.permissions.0.to_owned())
    }

    pub(super) fn of_file(&mut self, path: &str) -> Option<Arc<Image>> {
        let read = || {
            let file = read_file(Path::new(path)).ok()?.0;
            let companions = LazyCompanions::of(Path::new(path), &file, &CompanionSearch::Standard);
            Image::of(file, &companions)
        };
        self.0.entry(path.to_owned()).or_insert_with(read).clone()
    }

    fn of_memory(&mut self, name: &str, content: &[u8]) -> Option<Arc<Image>> {
        let copy = || {
            let file = Bytes::copy_from_slice(content);
            let companions =
                LazyCompanions::of(Path::new(name), &file, &CompanionSearch::Directories(Vec::new()));
            Image::of(file, &companions)
        };
        self.0.entry(name.to_owned()).or_insert_with(copy).clone()
    }
}

/// The module that contains an address.
pub(super) fn module_at(modules: &[Module], address: u64) -> Option<&Module> {
    let after = modules.partition_point(|module| module.start <= address);
    let module = &modules[after.checked_sub(1)?];
    (address < module.end).then_some(module)
}

/// Number of mappings from the first to the last one of a module. The program may map memory without a file between them.
fn extent(snapshot: &ProcessSnapshot, first: usize) -> usize {
    const GAP_MAX: usize = 4;
    let path_of = |origin: &Origin| match origin {
        Origin::File { path, .. } | Origin::FileZeros(path) => Some(path.clone()),
        _ => None,
    };
    let Some(path) = path_of(&snapshot.mappings[first].origin) else { return 1 };
    let mut extent = 1;
    for (count, mapping) in (2..).zip(&snapshot.mappings[first + 1..]) {
        let is_start = matches!(mapping.origin, Origin::File { offset: 0, .. })
            && mapping.permissions.starts_with("r--");
        let own_path = path_of(&mapping.origin);
        if own_path.as_ref() == Some(&path) && !is_start {
            extent = count;
        } else if own_path.is_some() || count - extent > GAP_MAX {
            break;
        }
    }
    extent
}

impl Image {
    fn of(file: Bytes, companions: &LazyCompanions) -> Option<Arc<Self>> {
        if !file.starts_with(b"\x7fELF") {
            return None;
        }
        let sections = sections::run(&file, 0).ok()?;
        let build_id = sections.headers.columns().row(0).build_id.map(str::to_owned);
        let debug = companions.get().iter().filter_map(|companion| sections::run(&companion.bytes, 0).ok());
        let debug: Vec<_> = debug.collect();
        let functions = functions(&sections, &debug);
        let (companions, lines) = (companions.clone(), OnceLock::new());
        Some(Arc::new(Self { sections, build_id, file, debug, functions, companions, lines }))
    }

    /// The image of a module whose file is not at hand.
    fn unknown(build_id: Option<&str>) -> Arc<Self> {
        let sections = SectionsIr {
            headers: Rows::default(),
            segments: Rows::default(),
            sections: Rows::default(),
            symbols: Rows::default(),
            unwind_entries: Rows::default(),
            diagnostics: Rows::default(),
        };
        let build_id = build_id.map(str::to_owned);
        let (file, debug, functions) = (Bytes::new(), Vec::new(), Vec::new());
        let none = CompanionSearch::Directories(Vec::new());
        let companions = LazyCompanions::of(Path::new(""), &file, &none);
        let lines = OnceLock::new();
        Arc::new(Self { sections, build_id, file, debug, functions, companions, lines })
    }

    /// Whether the file is known, and so what is added to its addresses.
    pub(super) fn is_known(&self) -> bool {
        !self.file.is_empty()
    }

    /// Whether a minidump states the build id of the file: whole, or its first 16 bytes in place of a GUID, with the
    /// age 0.
    fn is_build(&self, stated: Option<&str>) -> bool {
        let (Some(own), Some(stated)) = (self.build_id.as_deref(), stated) else { return false };
        let as_guid = || Some(stated.strip_suffix("00000000")? == own.get(..32)?);
        own == stated || as_guid() == Some(true)
    }

    /// Whether the first page of the file is in memory, as far as it was read.
    pub(super) fn is_at(&self, snapshot: &ProcessSnapshot, address: u64) -> bool {
        let size = PAGE_SIZE.min(self.file.len());
        let memory = snapshot.bytes_at(address).get(..size);
        memory.is_none_or(|memory| memory == &self.file[..size])
    }

    /// What is added to addresses of the file, if its beginning is at an address.
    fn load_bias(&self, start: u64) -> Option<u64> {
        let mut segments = self.sections.segments.columns().iter();
        let first = segments.find(|segment| segment.segment_type == Some("PT_LOAD"))?;
        Some(start.wrapping_sub(first.address.wrapping_sub(first.file_offset)))
    }

    /// The function that contains an address of the file: its start, and its name if a symbol states it.
    pub(super) fn function_at(&self, address: u64) -> Option<(u64, Option<&str>)> {
        let after = self.functions.partition_point(|function| function.start <= address);
        let nearest = self.functions[..after].iter().rev().take(4);
        let mut containing = nearest.filter(|function| address < function.end);
        // The unwind entries of hand-written code may begin within a function.
        let named = containing.clone().find(|function| function.symbol.is_some());
        let function = named.or_else(|| containing.next())?;
        let name = function.symbol.map(|(file, row)| {
            let sections = file.checked_sub(1).map_or(&self.sections, |file| &self.debug[file]);
            sections.symbols.columns().row(row).symbol_name
        });
        Some((function.start, name))
    }

    /// The functions at an address of the file, with their source positions: inlined ones first.
    pub(super) fn calls_at(&self, address: u64) -> Vec<SourceCall<'_>> {
        let read = || SourceLines::read(&self.file, &self.sections, self.companions.get());
        self.lines.get_or_init(read).calls_at(address)
    }

    /// The address in the file of the function of a name.
    pub(super) fn address_of(&self, name: &str) -> Option<u64> {
        let tables = std::iter::once(&self.sections).chain(&self.debug);
        let mut symbols = tables.flat_map(|sections| sections.symbols.columns().iter());
        let symbol = symbols.find(|symbol| symbol.symbol_name == name && is_function(symbol))?;
        Some(symbol.symbol_address)
    }

    /// Address and bytes of a section.
    pub(super) fn section(&self, name: &str) -> Option<(u64, Bytes)> {
        let columns = self.sections.sections.columns();
        let section = columns.iter().find(|section| section.section_name == name)?;
        Some((section.address, Bytes::copy_from_slice(section.content)))
    }
}

/// Whether a symbol names a function that the file defines.
fn is_function(symbol: &BinarySymbol<'_>) -> bool {
    let types = [SymbolType::Function, SymbolType::IndirectFunction].map(SymbolType::name);
    types.contains(&symbol.symbol_type)
        && symbol.definition_kind == SymbolDefinition::Section
        && !symbol.symbol_name.is_empty()
}

/// The functions of a file, sorted. At one address a symbol counts more than an unwind entry, and a global symbol more
/// than a local one. A function without a size ends where the next one starts.
fn functions(sections: &SectionsIr, debug: &[SectionsIr]) -> Vec<Function> {
    let mut found = Vec::new();
    let files = std::iter::once(sections).chain(debug).enumerate();
    let symbols = files.flat_map(|(file, sections)| {
        let rows = sections.symbols.columns().iter().enumerate();
        rows.map(move |(row, symbol)| ((file, row), symbol))
    });
    for (place, symbol) in symbols {
        if is_function(&symbol) {
            let rank = match symbol.binding {
                SymbolBinding::Global | SymbolBinding::Unique => 0,
                SymbolBinding::Weak => 1,
                _ => 2,
            };
            let start = symbol.symbol_address;
            let end = start.saturating_add(symbol.symbol_size);
            found.push((rank, Function { start, end, symbol: Some(place) }));
        }
    }
    for entry in sections.unwind_entries.columns().iter() {
        let end = entry.address.saturating_add(entry.size);
        found.push((3, Function { start: entry.address, end, symbol: None }));
    }
    found.sort_by_key(|(rank, function)| (function.start, *rank, function.symbol));
    let mut functions: Vec<Function> = Vec::with_capacity(found.len());
    for (_, function) in found {
        match functions.last_mut().filter(|last| last.start == function.start) {
            Some(last) => last.end = last.end.max(function.end),
            None => functions.push(function),
        }
    }
    let starts: Vec<u64> = functions.iter().map(|function| function.start).collect();
    for (index, function) in functions.iter_mut().enumerate() {
        if function.end == function.start {
            function.end = starts.get(index + 1).copied().unwrap_or(u64::MAX);
        }
    }
    functions
}
