//! The instructions of some blocks as ops, lowered once for all visits. Ops that only set flags are left out: the facts
//! of an instruction say what its flags come from.

use super::interpreter::{InstructionFacts, InstructionOps, TemporaryFacts, only_sets_flags};
use super::program::Program;
use crate::code::regions::CodeRegion;
use crate::isa::ops::Ops;
use crate::isa::{Buffers, Decoder as _, InstructionSet, with_instruction_set};
use std::ops::Range;

/// The ops of some blocks. Buffers are reused for the next blocks.
#[derive(Default)]
pub(super) struct LoweredCode {
    ops: Ops,
    instructions: Vec<LoweredInstruction>,
    temporaries: Vec<TemporaryFacts>,
    /// For each block the index of its first instruction.
    first_instructions: Vec<u32>,
    buffers: Buffers,
}

/// An instruction. Its ops and its temporaries end where those of the next one start.
struct LoweredInstruction {
    facts: InstructionFacts,
    first_op: u32,
    first_temporary: u32,
}

impl LoweredCode {
    /// Replaces the content by the blocks in some rows of `basic_blocks`.
    pub(super) fn assign(&mut self, program: &Program<'_>, rows: impl Iterator<Item = usize>) {
        self.ops.clear();
        self.instructions.clear();
        self.temporaries.clear();
        self.first_instructions.clear();
        for row in rows {
            self.first_instructions.push(self.instructions.len() as u32);
            if let Some((region, positions)) = program.code_of(row) {
                with_instruction_set!(region.isa, S => self.lower::<S>(program, region, positions));
            }
        }
    }

    fn lower<S: InstructionSet>(
        &mut self,
        program: &Program<'_>,
        region: &CodeRegion,
        positions: Range<usize>,
    ) {
        let (mut next, end) =
            (region.address + positions.start as u64, region.address + positions.end as u64);
        let mut decoder = S::decoder(region.isa, &region.bytes[positions], next);
        let mut instruction = S::Instruction::default();
        while next < end && decoder.decode(&mut instruction) {
            let address = next;
            next += S::size(&instruction) as u64;
            let (first_op, first_temporary) = (self.ops.as_slice().len(), self.temporaries.len());
            S::lower(&instruction, &mut self.buffers, &mut self.ops);
            self.temporaries.resize(self.ops.temporaries().len(), TemporaryFacts::default());
            let (ops, temporaries) =
                (&self.ops.as_slice()[first_op..], &mut self.temporaries[first_temporary..]);
            let facts = InstructionFacts::of((address, next), &self.ops, ops, temporaries, &program.abi);
            self.ops.retain_from(first_op, |op| !only_sets_flags(op, &program.abi));
            let (first_op, first_temporary) = (first_op as u32, first_temporary as u32);
            self.instructions.push(LoweredInstruction { facts, first_op, first_temporary });
        }
    }

    /// The instructions of the block with an index among those that were assigned.
    pub(super) fn instructions_of(
        &self,
        block: usize,
    ) -> impl DoubleEndedIterator<Item = InstructionOps<'_>> {
        let first = |block: usize| self.first_instructions.get(block).map(|first| *first as usize);
        let end = first(block + 1).unwrap_or(self.instructions.len());
        (first(block).unwrap_or(end)..end).map(|index| {
            let LoweredInstruction { facts, first_op, first_temporary } = &self.instructions[index];
            let next = self.instructions.get(index + 1);
            let ops = self.ops.as_slice();
            let ops_end = next.map_or(ops.len(), |next| next.first_op as usize);
            let temporaries_end = next.map_or(self.temporaries.len(), |next| next.first_temporary as usize);
            let ops = &ops[*first_op as usize..ops_end];
            let temporaries = &self.temporaries[*first_temporary as usize..temporaries_end];
            InstructionOps::new(&self.ops, ops, temporaries, facts)
        })
    }
}
