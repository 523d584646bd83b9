//! `(statements, code) -> instructions, blocks, edges`: the graph that the compiler's statements and the encoding of direct
//! jumps make.
//!
//! Compilers have blocks of their own; those of LLVM, for one, end where a loop's preheader ends though nothing jumps there.
//! A block here is what it is in the tables: a run of instructions that is entered at its first and left at its last, and
//! that a call does not end. So a block begins where a function or a part of it begins, where a jump of the function goes,
//! where the unwinder enters, and behind a jump, a return, a trap and a call that does not return. Where direct jumps go
//! stands in them; where indirect jumps go, which calls do not return, and where the unwinder enters is the compiler's word.
//!
//! Functions' code is read from its first byte to its last: the compilers here put no data there. Instructions that do
//! nothing and that nothing reaches are padding and no block; those that control passes on its way to the next block are the
//! end of the block before.

use crate::statements::{Part, Statements};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};
use object::{Object, ObjectSection, SectionKind};
use std::collections::{BTreeMap, BTreeSet};

/// The graph of a program's code.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Where instructions begin.
    pub(crate) instructions: BTreeSet<u64>,
    /// Blocks: start, end.
    pub(crate) blocks: BTreeMap<u64, u64>,
    /// From the start of a block to the start of a block of the same function.
    pub(crate) edges: BTreeSet<(u64, u64)>,
}

/// The executable sections of a file.
pub(crate) struct Code<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Code<'a> {
    /// Finds them.
    pub(crate) fn of(file: &object::File<'a>) -> Self {
        let sections = file.sections().filter(|section| section.kind() == SectionKind::Text);
        Self(sections.filter_map(|section| Some((section.address(), section.data().ok()?))).collect())
    }

    /// The bytes of a range that lies in one section.
    pub(crate) fn bytes(&self, start: u64, end: u64) -> Option<&'a [u8]> {
        self.0.iter().find_map(|(address, bytes)| {
            bytes.get(start.checked_sub(*address)? as usize..end.checked_sub(*address)? as usize)
        })
    }

    /// The instructions of a range, one behind the other.
    pub(crate) fn instructions(&self, start: u64, end: u64) -> impl Iterator<Item = Instruction> + use<'a> {
        let bytes = self.bytes(start, end).unwrap_or_default();
        let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
        std::iter::from_fn(move || decoder.can_decode().then(|| decoder.decode()))
    }
}

/// Whether an instruction does nothing.
pub(crate) fn is_padding(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Nop
}

fn direct_target(instruction: &Instruction) -> Option<u64> {
    let is_jump = matches!(
        instruction.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    );
    (is_jump && instruction.near_branch_target() != 0).then(|| instruction.near_branch_target())
}

/// Makes the graph.
pub(crate) fn graph(statements: &Statements, code: &Code<'_>) -> Graph {
    let mut builder = Builder { statements, leaders: BTreeSet::new(), graph: Graph::default() };
    let decoded: Vec<Vec<Instruction>> =
        statements.parts.iter().map(|part| code.instructions(part.start, part.end).collect()).collect();
    for instructions in &decoded {
        builder.graph.instructions.extend(instructions.iter().map(Instruction::ip));
    }
    if statements.flow {
        for (part, instructions) in statements.parts.iter().zip(&decoded) {
            builder.lead(part, instructions);
        }
        for (part, instructions) in statements.parts.iter().zip(&decoded) {
            builder.cut(part, instructions);
        }
    }
    builder.graph
}

struct Builder<'a> {
    statements: &'a Statements,
    leaders: BTreeSet<u64>,
    graph: Graph,
}

impl Builder<'_> {
    /// Where an instruction jumps within its function.
    fn targets(&self, part: &Part, instruction: &Instruction) -> impl Iterator<Item = u64> {
        let table = self.statements.tables.get(&instruction.ip()).into_iter().flatten().copied();
        let (own, instructions) = (part.function, &self.graph.instructions);
        let is_own = move |target: &u64| {
            self.statements.part_at(*target).is_some_and(|part| part.function == own)
                && instructions.contains(target)
        };
        direct_target(instruction).into_iter().chain(table).filter(is_own)
    }

    fn ends(&self, instruction: &Instruction) -> bool {
        let ends = matches!(
            instruction.flow_control(),
            FlowControl::ConditionalBranch
                | FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Return
                | FlowControl::Exception
        );
        ends || self.statements.away.contains(&instruction.next_ip())
    }

    fn lead(&mut self, part: &Part, instructions: &[Instruction]) {
        self.leaders.insert(part.start);
        let targets: Vec<u64> =
            instructions.iter().flat_map(|instruction| self.targets(part, instruction)).collect();
        self.leaders.extend(targets);
        self.leaders.extend(self.statements.pads.range(part.start..part.end));
    }

    fn cut(&mut self, part: &Part, instructions: &[Instruction]) {
        let mut block = None;
        for instruction in instructions {
            let is_leader = self.leaders.contains(&instruction.ip());
            if let Some(start) = block.filter(|_| is_leader) {
                self.graph.blocks.insert(start, instruction.ip());
                self.graph.edges.insert((start, instruction.ip()));
                block = None;
            }
            if block.is_none() && is_padding(instruction) && !is_leader {
                continue;
            }
            let start = *block.get_or_insert(instruction.ip());
            if self.ends(instruction) {
                self.graph.blocks.insert(start, instruction.next_ip());
                let targets: Vec<_> = self.targets(part, instruction).map(|target| (start, target)).collect();
                self.graph.edges.extend(targets);
                let is_two_way = instruction.flow_control() == FlowControl::ConditionalBranch;
                if is_two_way && instruction.next_ip() < part.end {
                    self.graph.edges.insert((start, instruction.next_ip()));
                    self.leaders.insert(instruction.next_ip());
                }
                block = None;
            }
        }
        if let Some(start) = block {
            self.graph.blocks.insert(start, part.end);
        }
    }
}
