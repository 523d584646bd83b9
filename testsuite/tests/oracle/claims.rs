//! `(tables) -> claims`: statements of the tables, indexed by instruction address, to be checked at each step of a
//! run.

use crate::flow::{AllSources, sources};
use binframe::ir::Enumeration;
use binframe::ir::tables::{Access, AccessRegion, Confidence, MemoryAccess};
use binframe_testsuite::lowering::Tables;
use iced_x86::{Decoder, DecoderOptions, Instruction};
use std::collections::{BTreeSet, HashMap};

/// A row of `memory_accesses`.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) is_implicit: bool,
    pub(crate) region: AccessRegion,
    pub(crate) object: Option<Object>,
    pub(crate) parameter_register: Option<String>,
    pub(crate) parameter_stack_offset: Option<i64>,
    pub(crate) call_address: Option<u64>,
    pub(crate) offset: Option<i64>,
    pub(crate) global_address: Option<u64>,
    pub(crate) span_size: Option<u64>,
    pub(crate) stride: Option<u32>,
    pub(crate) size: u64,
    pub(crate) access: Access,
    pub(crate) confidence: Confidence,
}

/// Location of a memory object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object {
    pub(crate) address: u64,
    pub(crate) offset: i64,
    pub(crate) size: u64,
}

/// An instruction and its claims.
#[derive(Debug, Clone)]
pub(crate) struct InstructionClaims {
    pub(crate) instruction: Instruction,
    pub(crate) function: u64,
    pub(crate) claims: Vec<Claim>,
}

/// All claims about a program.
pub(crate) struct Program {
    pub(crate) instructions: HashMap<u64, InstructionClaims>,
    pub(crate) functions: BTreeSet<u64>,
    /// Maximum stack depth by function, if it is bounded.
    pub(crate) depths: HashMap<u64, u64>,
    /// Offsets of stack arguments that accesses are relative to, by function.
    pub(crate) arguments: HashMap<u64, BTreeSet<u64>>,
    /// Definitions of uses.
    pub(crate) sources: AllSources,
}

impl Program {
    pub(crate) fn of(tables: &Tables) -> Self {
        let objects = tables.lowered.memory.memory_objects.columns().iter();
        let objects =
            objects.map(|row| ((row.region.name(), row.object_address, row.object_offset), row.size));
        let sizes: HashMap<_, _> = objects.collect();
        let mut instructions: HashMap<u64, InstructionClaims> = HashMap::new();
        let blocks = tables.lowered.cfg.basic_blocks.columns();
        for block in blocks.iter() {
            let bytes = tables.lowered.code.bytes(block.address, block.size);
            let decoder = Decoder::with_ip(64, bytes, block.address, DecoderOptions::NONE);
            for instruction in decoder {
                let known =
                    InstructionClaims { instruction, function: block.function_address, claims: Vec::new() };
                instructions.insert(instruction.ip(), known);
            }
        }
        let mut arguments: HashMap<u64, BTreeSet<u64>> = HashMap::new();
        for access in tables.memory_accesses.columns().iter() {
            let object = access.object_address.zip(access.object_offset).map(|(address, offset)| Object {
                address,
                offset,
                size: sizes[&(access.region.name(), address, offset)],
            });
            let claim = claim(&access, object);
            if let Some(offset) = claim.parameter_stack_offset.and_then(|offset| offset.try_into().ok()) {
                arguments.entry(access.function_address).or_default().insert(offset);
            }
            if let Some(known) = instructions.get_mut(&access.instruction_address) {
                known.claims.push(claim);
            }
        }
        let frames = tables.lowered.memory.stack_frames.columns();
        let depths = frames.iter().filter_map(|frame| Some((frame.function_address, frame.stack_depth?)));
        Self {
            instructions,
            functions: tables.lowered.cfg.functions.columns().address.iter().copied().collect(),
            depths: depths.collect(),
            arguments,
            sources: sources(tables),
        }
    }
}

fn claim(access: &MemoryAccess<'_>, object: Option<Object>) -> Claim {
    Claim {
        is_implicit: access.is_implicit,
        region: access.region,
        object,
        parameter_register: access.parameter_register.map(|name| name.0.to_owned()),
        parameter_stack_offset: access.parameter_stack_offset,
        call_address: access.call_address,
        offset: access.byte_offset,
        global_address: access.global_address,
        span_size: access.span_size,
        stride: access.stride,
        size: access.size.map_or(0, u64::from),
        access: access.access,
        confidence: access.confidence,
    }
}
