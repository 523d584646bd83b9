//! `debug_variables`: variables and parameters, one row per location.

use super::index::EntryIndex;
use super::locations::FrameBase;
use super::names::take_text;
use crate::file::text_budget::TextBudget;
use binframe_ir::tables::{Architecture, DebugVariable, DebugVariableBuilder, DebugVariables};
use binframe_ir::{Rows, Term};
use gimli::Register;
use std::ops::Range;

/// The rows of a chunk of units.
pub(super) fn rows(
    index: &EntryIndex<'_>,
    architecture: Option<Architecture>,
    chunk: Range<usize>,
    names: &mut TextBudget,
) -> Rows<DebugVariables> {
    let mut rows = DebugVariableBuilder::default();
    for unit in chunk {
        let (entries, unit_index) = (&index.entries[unit], unit as u32);
        let variables = entries.variables.iter().filter(|variable| variable.is_row);
        for (variable_index, variable) in (index.variable_bases[unit]..).zip(variables) {
            let (mut name, mut type_) = (None, None);
            for (unit, entry) in index.variable_origins(unit_index, variable) {
                name = name.or(entry.name);
                type_ = type_.or(entry.type_.map(|reference| (unit, reference)));
            }
            let name = take_text(names, name);
            let found = type_.and_then(|(unit, reference)| index.find_type(unit, reference));
            let type_name = type_.and_then(|(unit, reference)| index.type_name(unit, reference, names));
            for (location_index, location) in (0..).zip(&entries.locations[variable.locations.clone()]) {
                let (register_name, register_number) = match location.base {
                    Some(FrameBase::Cfa) => (Some("cfa"), None),
                    Some(FrameBase::Register(number)) => (register_name(architecture, number), Some(number)),
                    None => (None, None),
                };
                rows.push(DebugVariable {
                    variable_index,
                    location_index,
                    variable_name: name.as_deref(),
                    type_name: type_name.as_deref(),
                    type_index: found.map(|(unit, _, position)| index.type_bases[unit as usize] + position),
                    size: found.and_then(|(unit, of, _)| index.size_of(unit, of)),
                    function_index: variable.function.map(|number| index.function_bases[unit] + number),
                    is_parameter: variable.is_parameter,
                    scope_kind: variable.scope,
                    scope_address: variable.code.map(|(start, _)| start),
                    scope_size: variable.code.map(|(start, end)| end - start),
                    valid_address: location.range.map(|range| range.begin),
                    valid_size: location.range.map(|range| range.end - range.begin),
                    location_kind: location.class,
                    register_name: register_name.map(Term),
                    register_number,
                    frame_offset: location.offset,
                    address: location.address,
                    constant: location.constant,
                    unit_index,
                    entry_offset: variable.offset,
                });
            }
        }
    }
    rows.finish()
}

/// Name of a register, given its DWARF number; `None` if the architecture or the register is unknown.
fn register_name(architecture: Option<Architecture>, number: u16) -> Option<&'static str> {
    let register = Register(number);
    match architecture? {
        Architecture::X86_64 => gimli::X86_64::register_name(register),
        Architecture::X86 => gimli::X86::register_name(register),
        Architecture::Aarch64 => gimli::AArch64::register_name(register),
        Architecture::Arm => gimli::Arm::register_name(register),
        Architecture::RiscV => gimli::RiscV::register_name(register),
        Architecture::LoongArch => gimli::LoongArch::register_name(register),
        Architecture::Mips => gimli::MIPS::register_name(register),
        Architecture::PowerPc64 => gimli::PowerPc64::register_name(register),
        _ => None,
    }
}
