//! Memory objects: the table of global objects, stack slots and allocations, and the lookup of the object at an
//! address.

use super::analysis_results::FunctionAnalysis;
use super::globals::{GlobalObject, global_objects};
use super::program::Program;
use crate::code::instructions::InstructionsIr;
use crate::domains::frame_offset;
use binframe_ir::Rows;
use binframe_ir::tables::{
    Confidence, MemoryObject, MemoryObjectBuilder, MemoryObjectColumns, MemoryObjects, ObjectEvidence,
    ObjectKind, ObjectRegion,
};
use std::ops::Range;

/// The objects of a binary, sorted by region, and the rows of each region.
#[derive(Debug, Clone)]
pub(super) struct ObjectTable {
    pub(super) rows: Rows<MemoryObjects>,
    globals: Range<usize>,
    allocations: Range<usize>,
    slots: SlotRows,
    aligned_slots: SlotRows,
}

/// The rows of the slots of one region, sorted by function and offset: for each function the row of its first slot; at
/// the end, the row after the last slot.
#[derive(Debug, Clone)]
struct SlotRows(Vec<u32>);

/// An object, and its range.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectBounds {
    pub(super) row: usize,
    /// Address of a global object, frame offset of a slot, 0 for an allocation.
    pub(super) start: i64,
    /// Size in bytes; 0 for an allocation of unknown size.
    pub(super) size: i64,
    /// Whether the size is stated by a symbol or an allocation, and not derived from accesses.
    pub(super) is_stated: bool,
}

impl ObjectBounds {
    /// Start, and end.
    pub(super) fn range(&self) -> (i64, i64) {
        (self.start, self.start.saturating_add(self.size))
    }
}

impl ObjectTable {
    /// The objects of a binary, given the analysis of each function.
    pub(super) fn new(
        program: &Program<'_>,
        instructions: &InstructionsIr,
        functions: &[FunctionAnalysis],
    ) -> Self {
        let mut rows = ObjectRows::default();
        // In the order of the key.
        let aligned_slots = rows.push_slots(program, functions, ObjectRegion::AlignedStack);
        let globals = rows.push_globals(program, &global_objects(program, instructions, functions));
        let allocations = rows.push_allocations(program, functions);
        let slots = rows.push_slots(program, functions, ObjectRegion::Stack);
        Self { rows: rows.builder.finish(), globals, allocations, slots, aligned_slots }
    }

    /// The global object at an address.
    pub(super) fn global_at(&self, columns: MemoryObjectColumns<'_>, address: u64) -> Option<ObjectBounds> {
        let starts = &columns.object_address[self.globals.clone()];
        let row = self.globals.start + starts.partition_point(|start| *start <= address).checked_sub(1)?;
        let (start, size) = (columns.object_address[row], columns.size[row]);
        (address - start < size).then(|| ObjectBounds {
            row,
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
        let (offset, is_aligned) = frame_offset::to_offset(frame_offset);
        let SlotRows(first_rows) = if is_aligned { &self.aligned_slots } else { &self.slots };
        let (first, end) = (first_rows[function] as usize, first_rows[function + 1] as usize);
        let starts = &columns.object_offset[first..end];
        let row = first + starts.partition_point(|start| *start <= offset).checked_sub(1)?;
        let (start, size) = (columns.object_offset[row], columns.size[row] as i64);
        let is_inside = offset < start.saturating_add(size);
        let start = frame_offset::from_offset(start, is_aligned);
        is_inside.then_some(ObjectBounds { row, start, size, is_stated: false })
    }

    /// The memory that a call allocates.
    pub(super) fn allocation_at(
        &self,
        columns: MemoryObjectColumns<'_>,
        call_address: u64,
    ) -> Option<ObjectBounds> {
        let calls = &columns.object_address[self.allocations.clone()];
        let row = self.allocations.start + calls.binary_search(&call_address).ok()?;
        Some(ObjectBounds { row, start: 0, size: columns.size[row] as i64, is_stated: true })
    }
}

/// The rows added so far.
#[derive(Default)]
struct ObjectRows {
    builder: MemoryObjectBuilder,
    count: usize,
}

impl ObjectRows {
    fn push_globals(&mut self, program: &Program<'_>, globals: &[GlobalObject<'_>]) -> Range<usize> {
        let first = self.count;
        for global in globals {
            let section = program.image.section_at(global.address);
            self.push(MemoryObject {
                region: ObjectRegion::Global,
                object_address: global.address,
                kind: ObjectKind::Global,
                object_name: global.name,
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
        first..self.count
    }

    /// Adds the slots of a region of all functions.
    fn push_slots(
        &mut self,
        program: &Program<'_>,
        functions: &[FunctionAnalysis],
        region: ObjectRegion,
    ) -> SlotRows {
        let mut first_rows = Vec::with_capacity(functions.len() + 1);
        for (function, function_address) in functions.iter().zip(program.functions.address) {
            first_rows.push(self.count as u32);
            for slot in &function.slots {
                let (object_offset, is_aligned) = frame_offset::to_offset(slot.frame_offset);
                if is_aligned != (region == ObjectRegion::AlignedStack) {
                    continue;
                }
                self.push(MemoryObject {
                    region,
                    object_address: *function_address,
                    object_offset,
                    kind: slot.kind,
                    object_name: slot
                        .saved_register
                        .map(|register| program.isa.general_register_name(register)),
                    function_address: Some(*function_address),
                    size: slot.size.unsigned_abs(),
                    evidence: slot.evidence,
                    confidence: slot.confidence,
                    ..NOTHING
                });
            }
        }
        first_rows.push(self.count as u32);
        SlotRows(first_rows)
    }

    fn push_allocations(&mut self, program: &Program<'_>, functions: &[FunctionAnalysis]) -> Range<usize> {
        let first = self.count;
        let allocations = functions.iter().zip(program.functions.address);
        let allocations = allocations
            .flat_map(|(function, address)| function.allocations.iter().map(move |own| (own, *address)));
        let mut allocations: Vec<_> = allocations.collect();
        // A fragment may be among the code of other functions.
        allocations.sort_by_key(|(allocation, _)| allocation.call_address);
        for (allocation, function_address) in allocations {
            self.push(MemoryObject {
                region: ObjectRegion::Heap,
                object_address: allocation.call_address,
                kind: ObjectKind::Heap,
                object_name: program.callee_name(allocation.call_address),
                function_address: Some(function_address),
                size: allocation.size.unwrap_or(0),
                evidence: ObjectEvidence::Call,
                ..NOTHING
            });
        }
        first..self.count
    }

    fn push(&mut self, object: MemoryObject<'_>) {
        self.builder.push(object);
        self.count += 1;
    }
}

/// An object with null in all columns that only some kinds have.
const NOTHING: MemoryObject<'static> = MemoryObject {
    region: ObjectRegion::Global,
    object_address: 0,
    object_offset: 0,
    kind: ObjectKind::Global,
    object_name: None,
    function_address: None,
    address: None,
    size: 0,
    section_index: None,
    evidence: ObjectEvidence::Access,
    confidence: Confidence::Certain,
};
