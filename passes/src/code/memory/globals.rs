//! Global objects: divides the data of the binary into variables, from symbols and from the references of
//! instructions.
//!
//! *Algorithm.*
//! 1. Collect references: accesses of instructions (`frame_collector`), constant addresses in code that are taken,
//!    and addresses that the loader writes into data. Drop those inside of a variable with a symbol, and add the
//!    variables.
//! 2. Sort by address. A reference inside the previous object extends that object, unless a symbol states its size;
//!    any other reference starts an object. An object is open if its address is taken or inexact: its end is then not
//!    known.
//! 3. Clip objects to their sections. Extend open ones, and symbols without a size, to the next object or the end of
//!    the section.
//!
//! *Invariants.* Objects are sorted by address and do not overlap.
//!
//! *Approximation.* Heuristic, as for `slots`: an extended object (evidence `address`) may be several variables.

use super::analysis_results::{FunctionAnalysis, GlobalAccess};
use super::program::Program;
use crate::code::instructions::InstructionsIr;
use binframe_ir::tables::ObjectEvidence;
use rayon::prelude::*;

/// A range of bytes of the binary's data that belong together.
#[derive(Debug, Clone, Copy)]
pub(super) struct GlobalObject<'a> {
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) name: Option<&'a str>,
    pub(super) evidence: ObjectEvidence,
}

/// The global objects of a binary, sorted by address.
pub(super) fn global_objects<'a>(
    program: &Program<'a>,
    instructions: &InstructionsIr,
    functions: &[FunctionAnalysis],
) -> Vec<GlobalObject<'a>> {
    let named: Vec<(u64, u64, &str)> = program.image.variables().collect();
    let is_named = |address: u64| {
        let index = named.partition_point(|(start, ..)| *start <= address).checked_sub(1);
        index.is_some_and(|index| address - named[index].0 < named[index].1)
    };
    let mut references = references(program, instructions, functions);
    references.retain(|reference| !is_named(reference.address));
    references.extend(named.iter().map(|(address, ..)| GlobalAccess::taken_address(*address)));
    references.par_sort_unstable();
    references.dedup();
    let mut globals: Vec<GlobalObject<'a>> = Vec::with_capacity(references.len());
    let mut open: Vec<bool> = Vec::with_capacity(references.len());
    for reference in references {
        let symbol = named
            .binary_search_by_key(&reference.address, |(start, ..)| *start)
            .ok()
            .map(|index| named[index]);
        let size = if reference.is_inexact { 0 } else { u64::from(reference.size) };
        let is_open = reference.size == 0 || reference.is_inexact;
        if let (Some(last), Some(was_open)) = (globals.last_mut(), open.last_mut())
            && (reference.address == last.address || reference.address - last.address < last.size)
        {
            if last.name.is_none() || last.size == 0 {
                last.size = last.size.max((reference.address - last.address).saturating_add(size));
                *was_open |= is_open;
            }
            continue;
        }
        let (size, name) = symbol.map_or((size, None), |(_, size, name)| (size, Some(name)));
        let evidence = if name.is_some() { ObjectEvidence::Symbol } else { ObjectEvidence::Access };
        globals.push(GlobalObject { address: reference.address, size, name, evidence });
        open.push(is_open && (size == 0 || name.is_none()));
    }
    extend(program, &mut globals, &open);
    globals
}

/// Clips objects to their sections, and extends open ones.
fn extend(program: &Program<'_>, globals: &mut [GlobalObject<'_>], open: &[bool]) {
    for index in 0..globals.len() {
        let global = globals[index];
        let section = program.image.section_at(global.address);
        let end = section.map_or(global.address, |section| section.addresses.end);
        let next = globals.get(index + 1).map_or(end, |next| next.address.min(end));
        let space = next.saturating_sub(global.address);
        let own = &mut globals[index];
        own.size = own.size.min(end.saturating_sub(own.address)).max(1);
        if open[index] && space > own.size && own.evidence != ObjectEvidence::Symbol {
            (own.size, own.evidence) = (space, ObjectEvidence::Address);
        } else if open[index] && global.size == 0 {
            own.size = space.max(1);
        }
    }
}

/// References to the binary's data, in any order.
fn references(
    program: &Program<'_>,
    instructions: &InstructionsIr,
    functions: &[FunctionAnalysis],
) -> Vec<GlobalAccess> {
    let mut references: Vec<_> =
        functions.iter().flat_map(|function| &function.global_accesses).copied().collect();
    let taken = instructions.taken_addresses().filter(|address| program.image.is_data(*address));
    references.extend(taken.map(GlobalAccess::taken_address));
    let pointed_to = program.image.pointed_to().iter();
    references.extend(pointed_to.map(|address| GlobalAccess::taken_address(*address)));
    references
}
