//! `(statements, code) -> instructions, blocks, edges`: builds control-flow graphs from statements of the compiler and
//! the decoded direct jumps.
//!
//! Blocks are defined as in the tables, not as in the compilers; LLVM, for example, ends a block at a loop preheader
//! even without a jump target there. A block starts at the start of a function or fragment, at a jump target, at a
//! landing pad, and after a jump, return, trap or noreturn call. Targets of direct jumps are decoded. Targets of
//! indirect jumps, noreturn calls and landing pads are stated by the compiler.
//!
//! Code is decoded from the first to the last byte of a function, since these compilers put no data into it. Padding
//! that is not reached belongs to no block; padding that is executed belongs to the block before it.

use crate::statements::{Part, Statements};
use iced_x86::{CodeSize, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};
use object::{Architecture, Object, ObjectSection, SectionKind};
use std::collections::{BTreeMap, BTreeSet};

/// Control-flow graph of a program.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Addresses of instructions.
    pub(crate) instructions: BTreeSet<u64>,
    /// Blocks by start address, with their end.
    pub(crate) blocks: BTreeMap<u64, u64>,
    /// Edges inside functions, from block start to block start.
    pub(crate) edges: BTreeSet<(u64, u64)>,
}

/// Executable sections of a file.
pub(crate) struct Code<'a> {
    /// Address and bytes of each section.
    sections: Vec<(u64, &'a [u8])>,
    /// 32 or 64.
    bits: u32,
}

impl<'a> Code<'a> {
    /// Collects the executable sections.
    pub(crate) fn of(file: &object::File<'a>) -> Self {
        let sections = file.sections().filter(|section| section.kind() == SectionKind::Text);
        Self {
            sections: sections
                .filter_map(|section| Some((section.address(), section.data().ok()?)))
                .collect(),
            bits: if file.architecture() == Architecture::I386 { 32 } else { 64 },
        }
    }

    /// Bytes of a range that is inside one section.
    pub(crate) fn bytes(&self, start: u64, end: u64) -> Option<&'a [u8]> {
        self.sections.iter().find_map(|(address, bytes)| {
            bytes.get(start.checked_sub(*address)? as usize..end.checked_sub(*address)? as usize)
        })
    }

    /// Instructions of a range, decoded in sequence.
    pub(crate) fn instructions(&self, start: u64, end: u64) -> impl Iterator<Item = Instruction> + use<'a> {
        let bytes = self.bytes(start, end).unwrap_or_default();
        let mut decoder = Decoder::with_ip(self.bits, bytes, start, DecoderOptions::NONE);
        std::iter::from_fn(move || decoder.can_decode().then(|| decoder.decode()))
    }
}

/// Whether an instruction is padding: `nop`, or in 32-bit code a register moved to itself.
pub(crate) fn is_padding(instruction: &Instruction) -> bool {
    let is_32 = instruction.code_size() == CodeSize::Code32;
    let own = instruction.op0_register();
    match instruction.mnemonic() {
        Mnemonic::Nop => true,
        Mnemonic::Mov => is_32 && own != Register::None && own == instruction.op1_register(),
        Mnemonic::Lea => {
            is_32
                && own == instruction.memory_base()
                && instruction.memory_index() == Register::None
                && instruction.memory_displacement64() == 0
        }
        _ => false,
    }
}

fn direct_target(instruction: &Instruction) -> Option<u64> {
    let is_jump = matches!(
        instruction.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    );
    (is_jump && instruction.near_branch_target() != 0).then(|| instruction.near_branch_target())
}

/// Builds the graph.
pub(crate) fn graph(statements: &Statements, code: &Code<'_>) -> Graph {
    let mut builder = Builder { statements, leaders: BTreeSet::new(), graph: Graph::default() };
    let decoded: Vec<Vec<Instruction>> =
        statements.parts.iter().map(|part| code.instructions(part.start, part.end).collect()).collect();
    for instructions in &decoded {
        builder.graph.instructions.extend(instructions.iter().map(Instruction::ip));
    }
    if statements.flow {
        for (part, instructions) in statements.parts.iter().zip(&decoded) {
            builder.add_leaders(part, instructions);
        }
        for (part, instructions) in statements.parts.iter().zip(&decoded) {
            builder.split_blocks(part, instructions);
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
    /// Jump targets of an instruction inside its function.
    fn targets(&self, part: &Part, instruction: &Instruction) -> impl Iterator<Item = u64> {
        let table = self.statements.tables.get(&instruction.ip()).into_iter().flatten().copied();
        let (own, instructions) = (part.function, &self.graph.instructions);
        let is_own = move |target: &u64| {
            self.statements.part_at(*target).is_some_and(|part| part.function == own)
                && instructions.contains(target)
        };
        direct_target(instruction).into_iter().chain(table).filter(is_own)
    }

    fn ends_block(&self, instruction: &Instruction) -> bool {
        let ends = matches!(
            instruction.flow_control(),
            FlowControl::ConditionalBranch
                | FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Return
                | FlowControl::Exception
        );
        ends || self.statements.noreturn_ends.contains(&instruction.next_ip())
    }

    fn add_leaders(&mut self, part: &Part, instructions: &[Instruction]) {
        self.leaders.insert(part.start);
        let targets: Vec<u64> =
            instructions.iter().flat_map(|instruction| self.targets(part, instruction)).collect();
        self.leaders.extend(targets);
        self.leaders.extend(self.statements.landing_pads.range(part.start..part.end));
    }

    fn split_blocks(&mut self, part: &Part, instructions: &[Instruction]) {
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
            if self.ends_block(instruction) {
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
