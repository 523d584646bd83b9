//! `exception_call_sites`, from what function tables of PE files and COFF objects name: for each function a handler, and data
//! that this handler reads.
//!
//! A handler is known by its name: that of a symbol or, where it is imported, what the code jumps through. Where there is no
//! name, it is known by the data of all functions that have it, if they are all as one kind of handler reads them.

mod compressed_info;
mod function_info;
mod scopes;

use super::{Described, Found, Sections, landing_pads};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::field_relocations;
use crate::file::formats::pe::{Coff, ObjectHeader, Pe};
use crate::file::formats::pe_addresses::{
    ImageView, ObjectView, SectionOffset, UNWIND_INFO, base_name, relocations,
};
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{DiagnosticCode, ExceptionCallSite};
use function_info::FunctionInfos;
use object::pe;
use std::collections::BTreeMap;
use std::str;

/// There are as many records as would fit in the file if none were larger.
const RECORD_SIZE_MIN: usize = 4;

/// How handlers read their data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As tables of landing pads.
    LandingPads,
    /// As ranges of code, each with a filter or what is done finally: C.
    Scopes,
    /// As states, what changes them, and what is caught in them: C++.
    States,
    /// The same in numbers of as many bytes as they need.
    CompressedStates,
    /// They handle no exceptions: they look after the stack.
    Nothing,
}

/// What is known of a handler: how it reads its data; or a name that says nothing of it.
type Known = Result<Kind, String>;

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "__C_specific_handler"
            | "__C_specific_handler_noexcept"
            | "__GSHandlerCheck_SEH"
            | "__GSHandlerCheck_SEH_noexcept" => Some(Self::Scopes),
            "__CxxFrameHandler" | "__CxxFrameHandler2" | "__CxxFrameHandler3" | "__GSHandlerCheck_EH" => {
                Some(Self::States)
            }
            "__CxxFrameHandler4" | "__GSHandlerCheck_EH4" => Some(Self::CompressedStates),
            "__GSHandlerCheck" => Some(Self::Nothing),
            "_GCC_specific_handler" | "rust_eh_personality" => Some(Self::LandingPads),
            _ => name.ends_with("_personality_seh0").then_some(Self::LandingPads),
        }
    }
}

/// Adds the call sites of a linked file, and gives back what has tables of landing pads.
pub(super) fn read_image<'a>(
    pe: &Pe<'_>,
    sections: &'a SectionsIr,
    described: Vec<Described>,
    found: &mut Found<'a>,
) -> Vec<Described> {
    let mut by_handler: BTreeMap<u64, Vec<Described>> = BTreeMap::new();
    for one in described {
        by_handler.entry(one.handler_address.unwrap_or(0)).or_default().push(one);
    }
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    for symbol in sections.symbols.columns().iter() {
        let is_handler = symbol.section_index.is_some() && by_handler.contains_key(&symbol.symbol_address);
        if !is_handler {
            continue;
        }
        // Of several names, one that is known counts.
        match (Kind::of(symbol.symbol_name), known.get(&symbol.symbol_address)) {
            (Some(kind), None | Some(Err(_))) => _ = known.insert(symbol.symbol_address, Ok(kind)),
            (None, None) => _ = known.insert(symbol.symbol_address, Err(symbol.symbol_name.to_owned())),
            (_, Some(_)) => {}
        }
    }
    for address in by_handler.keys() {
        let is_known = matches!(known.get(address), Some(Ok(_)));
        if let Some(name) = imported_name(pe, *address).filter(|_| !is_known) {
            known.insert(*address, Kind::of(name).ok_or_else(|| name.to_owned()));
        }
    }
    let groups = by_handler.into_iter().map(|(address, group)| (known.remove(&address), group));
    Reader::new(pe, sections, pe.coff.file.len(), pe.coff.machine).read(groups, found)
}

/// The name of the function that code jumps to through the table of imports, as it is before the file is loaded.
fn imported_name<'a>(pe: &Pe<'a>, address: u64) -> Option<&'a str> {
    /// `jmp [rip + distance]`, the distance being counted from the end.
    const JUMP: [u8; 2] = [0xff, 0x25];
    /// Before the name stands where the other library may have it.
    const HINT_SIZE: u32 = 2;
    let rva = pe.rva(address)?;
    let code: [u8; 6] = *pe.bytes_from(rva)?.0.first_chunk()?;
    let [first, second, distance @ ..] = code;
    let slot = rva.wrapping_add(code.len() as u32).wrapping_add(u32::from_le_bytes(distance));
    let is_jump = [first, second] == JUMP && pe.coff.machine == pe::IMAGE_FILE_MACHINE_AMD64;
    let (_, entry) = pe.numbers(slot).next().filter(|_| is_jump)?;
    // Larger numbers are no names' places, but numbers of functions.
    str::from_utf8(pe.string(u32::try_from(entry).ok()?.checked_add(HINT_SIZE)?)?).ok()
}

/// Adds the call sites of an object, and gives back what has tables of landing pads.
pub(super) fn read_object<'a, H: ObjectHeader>(
    coff: &Coff<'_, H>,
    sections: &'a SectionsIr,
    described: Vec<Described>,
    found: &mut Found<'a>,
) -> Vec<Described> {
    let relocations = relocations(coff, &sections.sections, |name| base_name(name) == UNWIND_INFO);
    let symbols = sections.symbols.columns();
    let mut by_handler: BTreeMap<u32, Vec<Described>> = BTreeMap::new();
    for one in described {
        // Before the data stands the handler, which the symbol of a relocation names.
        let field = one.lsda_section_index.zip(one.lsda_address.checked_sub(4));
        let of_field =
            field.map(|(section, offset)| field_relocations::of_field(&relocations, section, offset));
        let symbol = of_field.and_then(|found| found.first()).map_or(u32::MAX, |found| found.symbol_index);
        by_handler.entry(symbol).or_default().push(one);
    }
    let known = |symbol: u32| {
        let row = symbols.symbol_index.binary_search(&symbol).ok()?;
        let name = symbols.symbol_name.value(row);
        Some(Kind::of(name).ok_or_else(|| name.to_owned()))
    };
    let groups = by_handler.into_iter().map(|(symbol, group)| (known(symbol), group));
    let places = ObjectView { sections: sections.sections.columns(), relocations: &relocations };
    Reader::new(&places, sections, coff.file.len(), coff.machine).read(groups, found)
}

/// Reads the data of handlers.
struct Reader<'a, 'p, P> {
    places: &'p P,
    machine: pe::Machine,
    landing_pads: landing_pads::File<'a>,
    infos: FunctionInfos,
    /// How many records may still be read: functions may share them, and broken ones may overlap.
    left: usize,
}

/// Why data cannot be read.
type Broken = super::Broken;

impl<'a, 'p, P: ImageView> Reader<'a, 'p, P> {
    fn new(places: &'p P, sections: &'a SectionsIr, file_size: usize, machine: pe::Machine) -> Self {
        let landing_pads = landing_pads::File::of(sections);
        let left = file_size / RECORD_SIZE_MIN;
        Self { places, machine, landing_pads, infos: FunctionInfos::default(), left }
    }

    fn read(
        mut self,
        groups: impl Iterator<Item = (Option<Known>, Vec<Described>)>,
        found: &mut Found<'a>,
    ) -> Vec<Described> {
        let mut with_landing_pads = Vec::new();
        for (known, group) in groups {
            let known = known.or_else(|| self.kind_by_data(&group, &found.sections).map(Ok));
            match known {
                Some(Ok(Kind::Nothing)) => {}
                Some(Ok(Kind::LandingPads)) => with_landing_pads.extend(group),
                Some(Ok(kind)) => {
                    for one in group {
                        match self.call_sites(kind, &one, &found.sections) {
                            Ok(call_sites) => found.call_sites.extend(call_sites),
                            Err(broken) => found.report(one.lsda_address, broken),
                        }
                    }
                }
                Some(Err(name)) => unread(&group, &format!("`{name}`"), found),
                None => unread(&group, "a handler without a name", found),
            }
        }
        with_landing_pads
    }

    /// How a handler reads its data, if all of it is as one kind has it.
    fn kind_by_data(&mut self, group: &[Described], sections: &Sections<'a>) -> Option<Kind> {
        let kinds = [Kind::States, Kind::CompressedStates, Kind::Scopes, Kind::LandingPads];
        let found = kinds.into_iter().find(|kind| {
            let mut count = 0;
            let are_all = group.iter().all(|one| {
                let Ok(call_sites) = self.call_sites(*kind, one, sections) else { return false };
                count += call_sites.len();
                call_sites.iter().all(|row| is_plausible(*kind, one, row))
            });
            are_all && count > 0
        });
        // A distance on the stack is a small number, where the file has no section.
        found.or_else(|| group.iter().all(|one| self.is_no_place(one)).then_some(Kind::Nothing))
    }

    /// Whether the data of a function begins with a number that is no place in a section.
    fn is_no_place(&self, one: &Described) -> bool {
        let said = self.spots(one).and_then(|(data, _)| self.reference(data));
        said.is_ok_and(|said| said.map_or(true, |spot| self.places.section_index(spot).is_none()))
    }

    fn call_sites(
        &mut self,
        kind: Kind,
        one: &Described,
        sections: &Sections<'a>,
    ) -> Result<Vec<ExceptionCallSite>, Broken> {
        match kind {
            Kind::Nothing => Ok(Vec::new()),
            Kind::Scopes => self.scopes(one, sections),
            Kind::States | Kind::CompressedStates => self.states(kind, one, sections),
            Kind::LandingPads => {
                let table = self.landing_pads.find(sections, one)?;
                self.spend(table.call_sites.len())?;
                let mut call_sites = Vec::new();
                table.read(sections, &mut call_sites)?;
                Ok(call_sites)
            }
        }
    }

    /// Counts records that are read.
    fn spend(&mut self, count: usize) -> Result<(), Broken> {
        self.left = self.left.checked_sub(count).ok_or(Broken::Shared)?;
        Ok(())
    }

    /// Where the data of a range of code begins, and where its code does.
    fn spots(&self, one: &Described) -> Result<(SectionOffset, SectionOffset), Broken> {
        let spot = |address, section: Option<u32>| self.places.locate(address, section?);
        let data = spot(one.lsda_address, one.lsda_section_index).ok_or(Broken::Outside)?;
        Ok((data, spot(one.function_address, one.section_index).ok_or(Broken::Elsewhere)?))
    }

    /// What the four bytes at a place say: a place or, where they refer to none, a number.
    fn reference(&self, field: SectionOffset) -> Result<Result<SectionOffset, u32>, Broken> {
        let number = self.places.number(field).ok_or(Broken::Outside)?;
        // No code lies as near to the start of a file as the numbers that stand for something else.
        let target = self.places.target(field).filter(|spot| spot.section != 0 || spot.offset > 1);
        Ok(target.ok_or(number))
    }

    /// The code that the four bytes at a place refer to; none where they are zero.
    fn code(&self, field: SectionOffset, sections: &Sections<'_>) -> Result<Option<SectionOffset>, Broken> {
        let spot = match self.reference(field)? {
            Ok(spot) => spot,
            Err(0) => return Ok(None),
            Err(_) => return Err(Broken::Elsewhere),
        };
        let row = sections.row(self.places.section_index(spot));
        let is_code = row.is_some_and(|row| sections.columns.is_executable.value(row));
        if is_code { Ok(Some(spot)) } else { Err(Broken::Elsewhere) }
    }
}

/// Whether a row may be one of a function, if nothing else says how its data is read. What is thrown in a call may come from
/// behind it, so that tables count the byte behind with it.
fn is_plausible(kind: Kind, one: &Described, row: &ExceptionCallSite) -> bool {
    let is_inside = |address: u64| address.wrapping_sub(one.function_address) <= one.function_size;
    let lands_inside = kind != Kind::LandingPads || row.landing_pad_address.is_none_or(is_inside);
    let end_address = row.address.wrapping_add(row.size);
    is_inside(row.address) && is_inside(end_address.wrapping_sub(1)) && row.size > 0 && lands_inside
}

fn unread(group: &[Described], handler: &str, found: &mut Found<'_>) {
    let Some(first) = group.first() else { return };
    let code = DiagnosticCode::UnreadExceptionTable;
    let message = format!("the data of {} functions for {handler} is not read", group.len());
    found.diagnostics.note(code, DiagnosticLocation::Address(first.lsda_address), &message);
}
