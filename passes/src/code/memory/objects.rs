//! Memory objects: the table of global objects, stack slots and allocations, and the lookup of the object at an
//! address.

use super::analysis_results::{Allocation, FunctionAnalysis};
use super::globals::{GlobalObject, global_objects};
use super::program::Program;
use super::slots::StackSlot;
use crate::code::instructions::InstructionsIr;
use crate::domains::frame_offset;
use binframe_ir::Rows;
use binframe_ir::tables::{
    Confidence, MemoryObject, MemoryObjectBuilder, MemoryObjectColumns, MemoryObjects, ObjectEvidence,
    ObjectKind,
};

/// The objects of a binary, with the range of rows of each function.
#[derive(Debug, Clone)]
pub(super) struct ObjectTable {
    /// Global objects by address; then for each function its slots by frame offset, and its allocations by call.
    pub(super) rows: Rows<MemoryObjects>,
    /// For each function the row of its first object; at the end, the number of rows.
    pub(super) first_rows: Vec<u32>,
}

/// An object, and its range.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectBounds {
    pub(super) object_id: u64,
    /// Address of a global object, frame offset of a slot, 0 for an allocation.
    pub(super) start: i64,
    /// Size in bytes; 0 for an allocation of unknown size.
    pub(super) size: i64,
    /// Whether the size is stated by a symbol or an allocation, and not derived from accesses.
    pub(super) is_stated: bool,
}

impl ObjectTable {
    /// The objects of a binary, given the analysis of each function.
    pub(super) fn new(
        program: &Program<'_>,
        instructions: &InstructionsIr,
        functions: &[FunctionAnalysis],
    ) -> Self {
        let mut rows = ObjectRows::default();
        rows.push_globals(program, &global_objects(program, instructions, functions));
        let mut first_rows = Vec::with_capacity(functions.len() + 1);
        for (row, function) in functions.iter().enumerate() {
            first_rows.push(rows.count as u32);
            let function_address = program.functions.address[row];
            rows.push_slots(program, function_address, &function.slots);
            rows.push_allocations(program, function_address, &function.allocations);
        }
        first_rows.push(rows.count as u32);
        Self { rows: rows.builder.finish(), first_rows }
    }

    /// The global object at an address.
    pub(super) fn global_at(&self, columns: MemoryObjectColumns<'_>, address: u64) -> Option<ObjectBounds> {
        let count = self.first_rows.first().map_or(0, |first| *first as usize);
        let row =
            partition_point(0, count, |row| columns.address.get(row).is_some_and(|start| start <= address));
        let row = row.checked_sub(1)?;
        let start = columns.address.get(row)?;
        let size = columns.size[row];
        (address - start < size).then(|| ObjectBounds {
            object_id: row as u64,
            start: start as i64,
            size: size as i64,
            is_stated: columns.evidence.get(row) == ObjectEvidence::Symbol,
        })
    }

    /// The slot of a function at a frame offset.
    pub(super) fn slot_at(
        &self,
        columns: MemoryObjectColumns<'_>,
        function: usize,
        frame_offset: i64,
    ) -> Option<ObjectBounds> {
        let (first, end) = (self.first_rows[function] as usize, self.first_rows[function + 1] as usize);
        let start_of = |row: usize| start_of_slot(columns, row);
        let row = partition_point(first, end, |row| start_of(row).is_some_and(|start| start <= frame_offset));
        let row = row.checked_sub(1).filter(|row| *row >= first)?;
        let start = start_of(row)?;
        let size = columns.size[row] as i64;
        let is_inside = frame_offset < start.saturating_add(size);
        is_inside.then_some(ObjectBounds { object_id: row as u64, start, size, is_stated: false })
    }

    /// The memory that a call of a function allocates.
    pub(super) fn allocation_at(
        &self,
        columns: MemoryObjectColumns<'_>,
        function: usize,
        call_address: u64,
    ) -> Option<ObjectBounds> {
        let (first, end) = (self.first_rows[function] as usize, self.first_rows[function + 1] as usize);
        // Slots, which have no call, are before allocations.
        let is_before =
            |row: usize| columns.call_address.get(row).is_none_or(|address| address < call_address);
        let row = partition_point(first, end, is_before);
        let is_found = row < end && columns.call_address.get(row) == Some(call_address);
        is_found.then(|| ObjectBounds {
            object_id: row as u64,
            start: 0,
            size: columns.size[row] as i64,
            is_stated: true,
        })
    }
}

/// The rows added so far. The id of an object is its row.
#[derive(Default)]
struct ObjectRows {
    builder: MemoryObjectBuilder,
    count: u64,
}

impl ObjectRows {
    fn push_globals(&mut self, program: &Program<'_>, globals: &[GlobalObject<'_>]) {
        for global in globals {
            let section = program.image.section_at(global.address);
            self.push(MemoryObject {
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
    }

    fn push_slots(&mut self, program: &Program<'_>, function_address: u64, slots: &[StackSlot]) {
        for slot in slots {
            let (stack_offset, is_aligned) = frame_offset::to_offset(slot.frame_offset);
            self.push(MemoryObject {
                kind: slot.kind,
                name: slot.saved_register.map(|register| program.convention.register_name(register)),
                function_address: Some(function_address),
                stack_offset: Some(stack_offset),
                is_aligned: Some(is_aligned),
                size: slot.size.unsigned_abs(),
                evidence: slot.evidence,
                confidence: slot.confidence,
                ..NOTHING
            });
        }
    }

    fn push_allocations(&mut self, program: &Program<'_>, function_address: u64, allocations: &[Allocation]) {
        for allocation in allocations {
            self.push(MemoryObject {
                kind: ObjectKind::Heap,
                name: program.callee_name(allocation.call_address),
                function_address: Some(function_address),
                call_address: Some(allocation.call_address),
                size: allocation.size.unwrap_or(0),
                evidence: ObjectEvidence::Call,
                ..NOTHING
            });
        }
    }

    fn push(&mut self, object: MemoryObject<'_>) {
        self.builder.push(MemoryObject { object_id: self.count, ..object });
        self.count += 1;
    }
}

/// An object with null in all columns that only some kinds have.
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

/// Frame offset of a slot; `None` for an allocation.
fn start_of_slot(columns: MemoryObjectColumns<'_>, row: usize) -> Option<i64> {
    let offset = columns.stack_offset.get(row)?;
    Some(frame_offset::from_offset(offset, columns.is_aligned.get(row) == Some(true)))
}

/// The first row of a range that does not satisfy a predicate, which all rows before it do.
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
