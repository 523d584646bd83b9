//! Objects: variables of the file, slots of frames, and what calls allocate, in one table; and which of them an address is in.

use super::context::Context;
use super::frame::FunctionMemory;
use crate::code::instructions::InstructionsIr;
use crate::domains::frame_offset;
use binframe_ir::Rows;
use binframe_ir::tables::{
    Confidence, MemoryObject, MemoryObjectBuilder, MemoryObjectColumns, MemoryObjects, ObjectEvidence,
    ObjectKind,
};
use rayon::prelude::*;

/// The objects of a file, and where those of each function begin.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    pub(super) rows: Rows<MemoryObjects>,
    /// For each function the row of its first object, and where the last one's end.
    offsets: Vec<u32>,
}

/// A run of bytes of the file's data that belong together.
#[derive(Debug, Clone, Copy)]
struct Global<'a> {
    address: u64,
    size: u64,
    name: Option<&'a str>,
    evidence: ObjectEvidence,
}

/// A use of the file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct DataUse {
    address: u64,
    /// 0 where only the address is computed.
    size: u16,
    is_indexed: bool,
}

impl Objects {
    /// Those of a file, given what was found of each of its functions, in their order.
    pub(super) fn of(
        context: &Context<'_>,
        instructions: &InstructionsIr,
        functions: &[FunctionMemory],
    ) -> Self {
        let mut rows = MemoryObjectBuilder::default();
        let mut next = 0_u64;
        let mut push = |object: MemoryObject<'_>| {
            rows.push(MemoryObject { object_id: next, ..object });
            next += 1;
            next as u32
        };
        let mut first = 0;
        for global in globals(context, instructions, functions) {
            let section = context.image.section_at(global.address);
            first = push(MemoryObject {
                kind: ObjectKind::Global,
                name: global.name,
                address: Some(global.address),
                size: global.size,
                section_index: section.map(|section| section.section_index),
                evidence: global.evidence,
                confidence: match global.evidence {
                    ObjectEvidence::Address => Confidence::Likely,
                    _ => Confidence::Certain,
                },
                ..NOTHING
            });
        }
        let mut offsets = Vec::with_capacity(functions.len() + 1);
        for (row, function) in functions.iter().enumerate() {
            offsets.push(first);
            let function_address = Some(context.functions.address[row]);
            for slot in &function.slots {
                let (stack_offset, is_aligned) = frame_offset::to_offset(slot.place);
                first = push(MemoryObject {
                    kind: slot.kind,
                    name: slot.saved.map(|register| context.convention.register_name(register)),
                    function_address,
                    stack_offset: Some(stack_offset),
                    is_aligned: Some(is_aligned),
                    size: slot.size.unsigned_abs(),
                    evidence: slot.evidence,
                    confidence: slot.confidence,
                    ..NOTHING
                });
            }
            for allocation in &function.allocations {
                first = push(MemoryObject {
                    kind: ObjectKind::Heap,
                    name: context.called_name(allocation.call_address),
                    function_address,
                    call_address: Some(allocation.call_address),
                    size: allocation.size.unwrap_or(0),
                    evidence: ObjectEvidence::Call,
                    ..NOTHING
                });
            }
        }
        offsets.push(first);
        Self { rows: rows.finish(), offsets }
    }

    /// The object of the file that an address lies in, with its bounds.
    pub(super) fn global_at(&self, columns: MemoryObjectColumns<'_>, address: u64) -> Option<Found> {
        let count = self.offsets.first().map_or(0, |first| *first as usize);
        let row =
            partition_point(0, count, |row| columns.address.get(row).is_some_and(|start| start <= address));
        let row = row.checked_sub(1)?;
        let start = columns.address.get(row)?;
        let size = columns.size[row];
        (address - start < size).then(|| Found {
            object_id: row as u64,
            start: start as i64,
            size: size as i64,
            is_stated: columns.evidence.get(row) == ObjectEvidence::Symbol,
        })
    }

    /// The slot of a function's frame that a place on the stack lies in, with its bounds.
    pub(super) fn slot_at(
        &self,
        columns: MemoryObjectColumns<'_>,
        function: usize,
        place: i64,
    ) -> Option<Found> {
        let (first, end) = (self.offsets[function] as usize, self.offsets[function + 1] as usize);
        let start_of = |row: usize| start_of(columns, row);
        let row = partition_point(first, end, |row| start_of(row).is_some_and(|start| start <= place));
        let row = row.checked_sub(1).filter(|row| *row >= first)?;
        let start = start_of(row)?;
        let size = columns.size[row] as i64;
        (place < start.saturating_add(size)).then_some(Found {
            object_id: row as u64,
            start,
            size,
            is_stated: false,
        })
    }

    /// What a call of a function allocates.
    pub(super) fn allocated_by(
        &self,
        columns: MemoryObjectColumns<'_>,
        function: usize,
        call_address: u64,
    ) -> Option<Found> {
        let (first, end) = (self.offsets[function] as usize, self.offsets[function + 1] as usize);
        // Slots stand before what calls allocate.
        let is_before =
            |row: usize| columns.call_address.get(row).is_none_or(|address| address < call_address);
        let row = partition_point(first, end, is_before);
        let is_found = row < end && columns.call_address.get(row) == Some(call_address);
        is_found.then(|| Found {
            object_id: row as u64,
            start: 0,
            size: columns.size[row] as i64,
            is_stated: true,
        })
    }
}

/// An object, and its bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) object_id: u64,
    pub(super) start: i64,
    /// 0 where it is not known.
    pub(super) size: i64,
    /// Whether the size is stated: by a symbol, or by the call that allocates it.
    pub(super) is_stated: bool,
}

const NOTHING: MemoryObject<'static> = MemoryObject {
    object_id: 0,
    kind: ObjectKind::Global,
    name: None,
    function_address: None,
    address: None,
    stack_offset: None,
    is_aligned: None,
    call_address: None,
    size: 0,
    section_index: None,
    evidence: ObjectEvidence::Access,
    confidence: Confidence::Certain,
};

fn start_of(columns: MemoryObjectColumns<'_>, row: usize) -> Option<i64> {
    let offset = columns.stack_offset.get(row)?;
    Some(frame_offset::from_offset(offset, columns.is_aligned.get(row) == Some(true)))
}

/// The first row of a range for which something is no longer true.
fn partition_point(mut first: usize, mut end: usize, is_before: impl Fn(usize) -> bool) -> usize {
    while first < end {
        let middle = first + (end - first) / 2;
        if is_before(middle) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    first
}

/// The objects in the file: what symbols name, and elsewhere what instructions touch.
fn globals<'a>(
    context: &Context<'a>,
    instructions: &InstructionsIr,
    functions: &[FunctionMemory],
) -> Vec<Global<'a>> {
    let named: Vec<(u64, u64, &str)> = context.image.variables().collect();
    let is_named = |address: u64| {
        let index = named.partition_point(|(start, ..)| *start <= address).checked_sub(1);
        index.is_some_and(|index| address - named[index].0 < named[index].1)
    };
    let mut uses = data_uses(context, instructions, functions);
    uses.retain(|used| !is_named(used.address));
    uses.extend(named.iter().map(|(address, ..)| DataUse { address: *address, size: 0, is_indexed: false }));
    uses.par_sort_unstable();
    uses.dedup();
    let mut globals: Vec<Global<'a>> = Vec::with_capacity(uses.len());
    let mut open: Vec<bool> = Vec::with_capacity(uses.len());
    for used in uses {
        let symbol =
            named.binary_search_by_key(&used.address, |(start, ..)| *start).ok().map(|index| named[index]);
        let size = if used.is_indexed { 0 } else { u64::from(used.size) };
        let is_open = used.size == 0 || used.is_indexed;
        if let (Some(last), Some(was_open)) = (globals.last_mut(), open.last_mut())
            && (used.address == last.address || used.address - last.address < last.size)
        {
            if last.name.is_none() || last.size == 0 {
                last.size = last.size.max((used.address - last.address).saturating_add(size));
                *was_open |= is_open;
            }
            continue;
        }
        let (size, name) = symbol.map_or((size, None), |(_, size, name)| (size, Some(name)));
        let evidence = if name.is_some() { ObjectEvidence::Symbol } else { ObjectEvidence::Access };
        globals.push(Global { address: used.address, size, name, evidence });
        open.push(is_open && (size == 0 || name.is_none()));
    }
    extend(context, &mut globals, &open);
    globals
}

/// Lets objects whose address is taken or indexed reach up to the next, within their section.
fn extend(context: &Context<'_>, globals: &mut [Global<'_>], open: &[bool]) {
    for index in 0..globals.len() {
        let global = globals[index];
        let section = context.image.section_at(global.address);
        let end = section.map_or(global.address, |section| section.addresses.end);
        let next = globals.get(index + 1).map_or(end, |next| next.address.min(end));
        let room = next.saturating_sub(global.address);
        let own = &mut globals[index];
        own.size = own.size.min(end.saturating_sub(own.address)).max(1);
        if open[index] && room > own.size && own.evidence != ObjectEvidence::Symbol {
            (own.size, own.evidence) = (room, ObjectEvidence::Address);
        } else if open[index] && global.size == 0 {
            own.size = room.max(1);
        }
    }
}

/// All that instructions do with the file's data, and what the loader is told of it.
fn data_uses(
    context: &Context<'_>,
    instructions: &InstructionsIr,
    functions: &[FunctionMemory],
) -> Vec<DataUse> {
    let mut uses: Vec<DataUse> = functions
        .iter()
        .flat_map(|function| &function.data)
        .map(|(address, size, is_indexed)| DataUse {
            address: *address,
            size: *size,
            is_indexed: *is_indexed,
        })
        .collect();
    for constants in instructions.regions.iter().map(|region| &region.constants) {
        let taken = constants.addresses.iter().zip(&constants.are_taken).filter(|(_, is_taken)| **is_taken);
        let data = taken.filter(|(address, _)| context.image.is_data(**address));
        uses.extend(data.map(|(address, _)| DataUse { address: *address, size: 0, is_indexed: false }));
    }
    let pointed_to = context.image.pointed_to().iter();
    uses.extend(pointed_to.map(|address| DataUse { address: *address, size: 0, is_indexed: false }));
    uses
}
