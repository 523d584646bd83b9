//! Rows of `instructions`, `instruction_effects` and `instruction_ops`, decoded again for a requested range of code.

use super::ir::InstructionsIr;
use super::ranges::row_count;
use super::roles::RoleClassifier;
use crate::code::regions::{Code, CodeRange};
use crate::isa::ops::Ops;
use crate::isa::{Buffers, Decoder, InstructionSet, OpRowWriter, RowPlace, RowWriter, with_instruction_set};
use binframe_ir::tables::{
    InstructionEffect, InstructionEffectBuilder, InstructionEffects, InstructionOps, Instructions,
};
use binframe_ir::{Rows, Term};
use std::ops::Range;

/// The rows of the instructions that start in a range. `owner_of` is called with ascending addresses, and returns the
/// function and the block that contain an address.
pub(in crate::code) fn decode(
    code: &Code,
    instructions: &InstructionsIr,
    range: CodeRange,
    owner_of: impl FnMut(u64) -> (Option<u64>, Option<u64>),
) -> Rows<Instructions> {
    let isa = code.regions[range.region].isa;
    with_instruction_set!(isa, S => decode_as::<S>(code, instructions, range, owner_of))
}

fn decode_as<S: InstructionSet>(
    code: &Code,
    instructions: &InstructionsIr,
    range: CodeRange,
    mut owner_of: impl FnMut(u64) -> (Option<u64>, Option<u64>),
) -> Rows<Instructions> {
    let region = &code.regions[range.region];
    let mut rows = S::RowWriter::new(&region.bytes, row_count(instructions, range));
    let mut roles = RoleClassifier::new(code, instructions, range);
    each_row::<S>(code, instructions, range, |positions, instruction| {
        let address = region.address + positions.start as u64;
        let place = RowPlace {
            address,
            section_index: region.section_index,
            bytes: &region.bytes[positions.clone()],
            role: roles.next(positions),
            owner: owner_of(address),
        };
        rows.push(place, instruction);
    });
    rows.finish()
}

/// The effects on registers and flags of the instructions that start in a range.
pub fn effects(code: &Code, instructions: &InstructionsIr, range: CodeRange) -> Rows<InstructionEffects> {
    with_instruction_set!(code.regions[range.region].isa, S => effects_as::<S>(code, instructions, range))
}

fn effects_as<S: InstructionSet>(
    code: &Code,
    instructions: &InstructionsIr,
    range: CodeRange,
) -> Rows<InstructionEffects> {
    let mut rows = InstructionEffectBuilder::default();
    let mut buffers = Buffers::default();
    let mut effects = Vec::new();
    each_row::<S>(code, instructions, range, |_, instruction| {
        let Some(instruction) = instruction else { return };
        effects.clear();
        S::add_effects(instruction, &mut buffers, &mut effects);
        rows.extend(effects.iter().map(|(resource, access, is_implicit)| InstructionEffect {
            instruction_address: S::address(instruction),
            resource: Term(resource),
            access: *access,
            is_implicit: *is_implicit,
        }));
    });
    rows.finish()
}

/// What the instructions that start in a range do, as micro-operations.
pub fn ops(code: &Code, instructions: &InstructionsIr, range: CodeRange) -> Rows<InstructionOps> {
    with_instruction_set!(code.regions[range.region].isa, S => ops_as::<S>(code, instructions, range))
}

fn ops_as<S: InstructionSet>(
    code: &Code,
    instructions: &InstructionsIr,
    range: CodeRange,
) -> Rows<InstructionOps> {
    let mut rows = OpRowWriter::new(code.regions[range.region].isa);
    let mut buffers = Buffers::default();
    let mut ops = Ops::default();
    each_row::<S>(code, instructions, range, |_, instruction| {
        let Some(instruction) = instruction else { return };
        ops.clear();
        S::lower(instruction, &mut buffers, &mut ops);
        rows.push(S::address(instruction), &ops);
    });
    rows.finish()
}

/// Calls `each` for every row that starts in a range, with its positions and its instruction, or `None` for data and
/// invalid bytes.
fn each_row<S: InstructionSet>(
    code: &Code,
    instructions: &InstructionsIr,
    range: CodeRange,
    mut each: impl FnMut(Range<usize>, Option<&S::Instruction>),
) {
    let region = &code.regions[range.region];
    let swept = &instructions.regions[range.region];
    let starts = &swept.starts;
    let mut decoder = region.decoder::<S>();
    let mut instruction = S::Instruction::default();
    let mut next = starts.first_in(range.start..range.end);
    let mut decoded_to = usize::MAX;
    while let Some(position) = next.filter(|position| *position < range.end) {
        next = starts.first_in(position + 1..region.bytes.len());
        let end = next.unwrap_or(region.bytes.len());
        if decoded_to != position {
            decoder.seek(position);
        }
        let is_valid = decoder.decode(&mut instruction) && S::size(&instruction) == end - position;
        decoded_to = if is_valid { end } else { usize::MAX };
        each(position..end, Some(&instruction).filter(|_| is_valid && !swept.is_data(position)));
    }
}
