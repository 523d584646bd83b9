//! `binary_exception_call_sites` of PE images and COFF objects: language-specific data (LSDA) by handler.
//!
//! *Problem.* A function table states, for a function, a handler and LSDA whose format only the handler knows.
//!
//! *Algorithm.* Group functions by handler. A handler is identified by name: that of its symbol or, if it is imported,
//! of the import that its code jumps to. A handler without a name is identified by the LSDA of all its functions, if
//! all of it is valid in one format.
//!
//! *Approximation.* Identification by LSDA is a heuristic. LSDA of unknown handlers is not read, and reported.

mod frame_handler3;
mod frame_handler4;
mod function_info;
mod reader;
mod registered_states;
mod registrations;
mod scopes;
mod states;

pub(in crate::file::exceptions) use registrations::read as read_registrations;

use super::lsda::{FunctionLsda, LsdaError, LsdaOutput, SectionLookup};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::field_relocations;
use crate::file::formats::pe::{Coff, ObjectHeader, Pe};
use crate::file::formats::pe_addresses::{ImageView, ObjectView, UNWIND_INFO, base_name, relocations};
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{BinaryExceptionCallSite, DiagnosticCode};
use object::pe;
use reader::HandlerDataReader;
use std::collections::BTreeMap;
use std::str;

/// The format of LSDA that a handler reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandlerKind {
    /// Tables of the Itanium C++ ABI.
    Itanium,
    /// A scope table (C).
    Scopes,
    /// A `FuncInfo` (C++).
    FuncInfo,
    /// A `FuncInfo4` (C++).
    FuncInfo4,
    /// None: the handler only checks the stack.
    StackCheck,
}

/// The kind of a handler, or the name of one that is unknown.
type IdentifiedHandler = Result<HandlerKind, String>;

impl HandlerKind {
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "__C_specific_handler"
            | "__C_specific_handler_noexcept"
            | "__GSHandlerCheck_SEH"
            | "__GSHandlerCheck_SEH_noexcept" => Some(Self::Scopes),
            "__CxxFrameHandler" | "__CxxFrameHandler2" | "__CxxFrameHandler3" | "__GSHandlerCheck_EH" => {
                Some(Self::FuncInfo)
            }
            "__CxxFrameHandler4" | "__GSHandlerCheck_EH4" => Some(Self::FuncInfo4),
            "__GSHandlerCheck" => Some(Self::StackCheck),
            "_GCC_specific_handler" | "rust_eh_personality" => Some(Self::Itanium),
            _ => name.ends_with("_personality_seh0").then_some(Self::Itanium),
        }
    }
}

/// Adds the call sites of an image. Returns the functions whose handlers follow the Itanium ABI.
pub(super) fn read_image<'a>(
    pe: &Pe<'_>,
    sections: &'a SectionsIr,
    functions: Vec<FunctionLsda>,
    output: &mut LsdaOutput<'a>,
) -> Vec<FunctionLsda> {
    let mut by_handler: BTreeMap<u64, Vec<FunctionLsda>> = BTreeMap::new();
    for function in functions {
        by_handler.entry(function.handler_address.unwrap_or(0)).or_default().push(function);
    }
    let mut identified: BTreeMap<u64, IdentifiedHandler> = BTreeMap::new();
    for symbol in sections.symbols.columns().iter() {
        let is_handler = symbol.section_index.is_some() && by_handler.contains_key(&symbol.symbol_address);
        if !is_handler {
            continue;
        }
        // A handler may have several names, of which one suffices.
        match (HandlerKind::of_name(symbol.symbol_name), identified.get(&symbol.symbol_address)) {
            (Some(kind), None | Some(Err(_))) => _ = identified.insert(symbol.symbol_address, Ok(kind)),
            (None, None) => _ = identified.insert(symbol.symbol_address, Err(symbol.symbol_name.to_owned())),
            (_, Some(_)) => {}
        }
    }
    for address in by_handler.keys() {
        let is_identified = matches!(identified.get(address), Some(Ok(_)));
        if let Some(name) = imported_name(pe, *address).filter(|_| !is_identified) {
            identified.insert(*address, HandlerKind::of_name(name).ok_or_else(|| name.to_owned()));
        }
    }
    let groups = by_handler.into_iter().map(|(address, group)| (identified.remove(&address), group));
    HandlerDataReader::new(pe, sections, pe.coff.file.len(), pe.coff.machine).read(groups, output)
}

/// Name of the import that the code at an address jumps to. Import slots hold references to names until the file is
/// loaded.
fn imported_name<'a>(pe: &Pe<'a>, address: u64) -> Option<&'a str> {
    /// `jmp [rip + distance]`; the distance is relative to the end of the instruction.
    const JUMP: [u8; 2] = [0xff, 0x25];
    /// Size of the hint before the name.
    const HINT_SIZE: u32 = 2;
    let rva = pe.rva(address)?;
    let code: [u8; 6] = *pe.bytes_from(rva)?.0.first_chunk()?;
    let [first, second, distance @ ..] = code;
    let slot = rva.wrapping_add(code.len() as u32).wrapping_add(u32::from_le_bytes(distance));
    let is_jump = [first, second] == JUMP && pe.coff.machine == pe::IMAGE_FILE_MACHINE_AMD64;
    let (_, entry) = pe.numbers(slot).next().filter(|_| is_jump)?;
    // A larger integer is not the RVA of a name but an ordinal.
    str::from_utf8(pe.string(u32::try_from(entry).ok()?.checked_add(HINT_SIZE)?)?).ok()
}

/// Adds the call sites of an object. Returns the functions whose handlers follow the Itanium ABI.
pub(super) fn read_object<'a, H: ObjectHeader>(
    coff: &Coff<'_, H>,
    sections: &'a SectionsIr,
    functions: Vec<FunctionLsda>,
    output: &mut LsdaOutput<'a>,
) -> Vec<FunctionLsda> {
    let relocations = relocations(coff, &sections.sections, |name| base_name(name) == UNWIND_INFO);
    let symbols = sections.symbols.columns();
    let mut by_handler: BTreeMap<u32, Vec<FunctionLsda>> = BTreeMap::new();
    for function in functions {
        // The field before the LSDA is relocated by the symbol of the handler.
        let field = function.lsda_section_index.zip(function.lsda_address.checked_sub(4));
        let of_field =
            field.map(|(section, offset)| field_relocations::of_field(&relocations, section, offset));
        let symbol = of_field.and_then(|found| found.first()).map_or(u32::MAX, |found| found.symbol_index);
        by_handler.entry(symbol).or_default().push(function);
    }
    let identify = |symbol: u32| {
        let row = symbols.symbol_index.binary_search(&symbol).ok()?;
        let name = symbols.symbol_name.value(row);
        Some(HandlerKind::of_name(name).ok_or_else(|| name.to_owned()))
    };
    let groups = by_handler.into_iter().map(|(symbol, group)| (identify(symbol), group));
    let view = ObjectView { sections: sections.sections.columns(), relocations: &relocations };
    HandlerDataReader::new(&view, sections, coff.file.len(), coff.machine).read(groups, output)
}

impl<'a, V: ImageView> HandlerDataReader<'a, '_, V> {
    /// Adds the call sites of functions, grouped by handler. Returns the functions whose handlers follow the Itanium
    /// ABI.
    fn read(
        mut self,
        groups: impl Iterator<Item = (Option<IdentifiedHandler>, Vec<FunctionLsda>)>,
        output: &mut LsdaOutput<'a>,
    ) -> Vec<FunctionLsda> {
        let mut itanium = Vec::new();
        for (handler, group) in groups {
            let handler = handler.or_else(|| self.identify_by_lsda(&group, &output.sections).map(Ok));
            match handler {
                Some(Ok(HandlerKind::StackCheck)) => {}
                Some(Ok(HandlerKind::Itanium)) => itanium.extend(group),
                Some(Ok(kind)) => {
                    for function in group {
                        match self.call_sites(kind, &function, &output.sections) {
                            Ok(call_sites) => output.call_sites.extend(call_sites),
                            Err(error) => output.report(function.lsda_address, error),
                        }
                    }
                }
                Some(Err(name)) => report_unread(&group, &format!("`{name}`"), output),
                None => report_unread(&group, "a handler without a name", output),
            }
        }
        itanium
    }

    /// The first kind for which the LSDA of all functions of a handler is valid; `None` if there is none.
    fn identify_by_lsda(
        &mut self,
        group: &[FunctionLsda],
        sections: &SectionLookup<'a>,
    ) -> Option<HandlerKind> {
        let kinds =
            [HandlerKind::FuncInfo, HandlerKind::FuncInfo4, HandlerKind::Scopes, HandlerKind::Itanium];
        let found = kinds.into_iter().find(|kind| {
            let mut count = 0;
            let are_all = group.iter().all(|function| {
                let Ok(call_sites) = self.call_sites(*kind, function, sections) else { return false };
                count += call_sites.len();
                call_sites.iter().all(|row| is_plausible(*kind, function, row))
            });
            are_all && count > 0
        });
        // A stack check reads a stack offset: a small integer, which is the RVA of no section.
        let is_stack_check = |function| self.starts_with_non_reference(function);
        found.or_else(|| group.iter().all(is_stack_check).then_some(HandlerKind::StackCheck))
    }

    /// Whether the first field of a function's LSDA does not refer to a section.
    fn starts_with_non_reference(&self, function: &FunctionLsda) -> bool {
        let field = self.locate(function).and_then(|(data, _)| self.reference(data));
        field.is_ok_and(|field| field.map_or(true, |target| self.view.section_index(target).is_none()))
    }

    /// The rows of a function whose LSDA is of a kind.
    fn call_sites(
        &mut self,
        kind: HandlerKind,
        function: &FunctionLsda,
        sections: &SectionLookup<'a>,
    ) -> Result<Vec<BinaryExceptionCallSite>, LsdaError> {
        match kind {
            HandlerKind::StackCheck => Ok(Vec::new()),
            HandlerKind::Scopes => self.scopes(function, sections),
            HandlerKind::FuncInfo => self.states(function, false, sections),
            HandlerKind::FuncInfo4 => self.states(function, true, sections),
            HandlerKind::Itanium => {
                let table = self.itanium.find_table(sections, function)?;
                self.count_records(table.call_sites.len())?;
                let mut call_sites = Vec::new();
                table.read(sections, &mut call_sites)?;
                Ok(call_sites)
            }
        }
    }
}

/// Whether a row is in its function, as a check of the format that it was read in. The return address of a call may be
/// outside of the range, so that tables extend the range by one byte.
fn is_plausible(kind: HandlerKind, function: &FunctionLsda, row: &BinaryExceptionCallSite) -> bool {
    let is_inside = |address: u64| address.wrapping_sub(function.function_address) <= function.function_size;
    let lands_inside = kind != HandlerKind::Itanium || row.landing_pad_address.is_none_or(is_inside);
    let end_address = row.address.wrapping_add(row.size);
    is_inside(row.address) && is_inside(end_address.wrapping_sub(1)) && row.size > 0 && lands_inside
}

/// Reports that the LSDA of a handler's functions is not read.
fn report_unread(group: &[FunctionLsda], handler: &str, output: &mut LsdaOutput<'_>) {
    let Some(first) = group.first() else { return };
    let code = DiagnosticCode::UnreadExceptionTable;
    let message = format!("the data of {} functions for {handler} is not read", group.len());
    output.diagnostics.note(code, DiagnosticLocation::Address(first.lsda_address), &message);
}
