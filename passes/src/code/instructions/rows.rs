//! Rows of `instructions` and `instruction_effects`, decoded again for a requested range of code.

use super::ir::InstructionsIr;
use super::ranges::row_count;
use super::roles::RoleClassifier;
use crate::code::regions::{Code, CodeRange};
use crate::isa::{Effects, Instruction, add_effects};
use binframe_ir::tables::{InstructionEffect, InstructionEffectBuilder, InstructionEffects, Instructions};
use binframe_ir::{Rows, Term};
use std::ops::Range;

/// The rows of the instructions that start in a range. `owner_of` is called with ascending addresses, and returns the
/// function and the block that contain an address.
pub(in crate::code) fn decode(
    code: &Code,
    instructions: &InstructionsIr,
    range: CodeRange,
    mut owner_of: impl FnMut(u64) -> (Option<u64>, Option<u64>),
) -> Rows<Instructions> {
    let region = &code.regions[range.region];
    let mut rows = region.isa.rows(&region.bytes, row_count(instructions, range));
    let mut roles = RoleClassifier::new(code, instructions, range);
    each_row(code, instructions, range, |positions, instruction| {
        let address = region.address + positions.start as u64;
        let role = roles.next(positions.clone(), instruction);
        rows.push(
            address,
            region.section_index,
            &region.bytes[positions],
            instruction,
            role,
            owner_of(address),
        );
    });
    rows.finish()
}

/// The effects on registers and flags of the instructions that start in a range.
pub fn effects(code: &Code, instructions: &InstructionsIr, range: CodeRange) -> Rows<InstructionEffects> {
    let mut rows = InstructionEffectBuilder::default();
    let mut info = Effects::new();
    let mut effects = Vec::new();
    each_row(code, instructions, range, |_, instruction| {
        let Some(instruction) = instruction else { return };
        effects.clear();
        add_effects(instruction, &mut info, &mut effects);
        rows.extend(effects.iter().map(|(resource, access, is_implicit)| InstructionEffect {
            instruction_address: instruction.ip(),
            resource: Term(resource),
            access: *access,
            is_implicit: *is_implicit,
        }));
    });
    rows.finish()
}

/// Calls `each` for every row that starts in a range, with its positions and its instruction, or `None` for data and
/// invalid bytes.
fn each_row(
    code: &Code,
    instructions: &InstructionsIr,
    range: CodeRange,
    mut each: impl FnMut(Range<usize>, Option<&Instruction>),
) {
    let region = &code.regions[range.region];
    let swept = &instructions.regions[range.region];
    let starts = &swept.starts;
    let mut decoder = region.decoder();
    let mut instruction = Instruction::default();
    let mut next = starts.first_in(range.start..range.end);
    let mut decoded_to = usize::MAX;
    while let Some(position) = next.filter(|position| *position < range.end) {
        next = starts.first_in(position + 1..region.bytes.len());
        let end = next.unwrap_or(region.bytes.len());
        if decoded_to != position {
            decoder.seek(position);
        }
        let is_valid = decoder.decode(&mut instruction) && instruction.len() == end - position;
        decoded_to = if is_valid { end } else { usize::MAX };
        each(position..end, Some(&instruction).filter(|_| is_valid && !swept.is_data(position)));
    }
}
