//! `(image, code, instructions, cfg) -> (memory_regions, stack_frames, function_effects, memory_objects)`
//! `(code, cfg, surroundings) -> memory_accesses`
//! `(code, cfg, surroundings) -> data_flow`
//!
//! A model of the memory that code uses. Values in registers and on the stack are followed through each function (`follow`) in an
//! abstract domain (`domain`): a number counts from the stack pointer at the entry, a parameter, the result of a call, memory that was
//! asked for, or an address in the file, within bounds and in steps. Functions are followed after those that they call, so that what a
//! call does is known (`frame`); functions that call each other in circles are taken to keep to the calling convention.
//!
//! From what is touched follow the slots of each frame (`slots`) and the variables of the file (`objects`), and from both, which
//! object each instruction touches (`accesses`, made on demand), and which instructions leave what others find (`data_flow`, too).
//!
//! Invariants: one frame for every function; slots of a function do not overlap, nor do variables of the file; what is said with
//! confidence `certain` holds for every run of a program that keeps to its calling convention, whose callees change no stack but
//! through addresses that they were given.
//!
//! What can go wrong: `stack_pointer_lost`, `function_too_complex`. Not done here: memory that another thread or a signal handler
//! changes on the stack.

mod accesses;
mod block_ranges;
mod context;
mod data_flow;
mod follow;
mod frame;
mod image;
mod imports;
mod left;
mod objects;
mod order;
mod popped;
mod slots;
mod tables;

pub use accesses::accesses;
pub use block_ranges::block_ranges;
pub use data_flow::data_flow;
pub use image::Image;

use crate::code::cfg::{BlocksByFunction, CfgIr};
use crate::code::instructions::InstructionsIr;
use crate::code::regions::Code;
use crate::domains::Summary;
use crate::graph::{Graph, strong_components};
use binframe_ir::tables::{
    Diagnostics, FunctionEffects, MemoryObjects, MemoryRegions, StackDepthLimit, StackFrames,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use context::Context;
use follow::Follower;
use frame::{Depth, FunctionMemory, gather};
use objects::Objects;
use rayon::prelude::*;
use std::sync::Arc;

/// Functions that one thread follows at a time.
const FUNCTIONS_PER_TASK: usize = 1 << 6;

/// The tables of the stage, but for `memory_accesses`.
#[derive(Debug, Clone)]
pub struct MemoryIr {
    /// The memory that the file implies, and that its code asks for.
    pub memory_regions: Rows<MemoryRegions>,
    /// How functions use the stack.
    pub stack_frames: Rows<StackFrames>,
    /// What calls of functions do.
    pub function_effects: Rows<FunctionEffects>,
    /// What lies in memory.
    pub memory_objects: Rows<MemoryObjects>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
    /// What accesses are found from, beside the tables.
    pub surroundings: Arc<Surroundings>,
}

/// What accesses are found from, beside the tables of other stages.
#[derive(Debug)]
pub struct Surroundings {
    by_function: BlocksByFunction,
    summaries: Vec<Summary>,
    objects: Objects,
    image: Image,
}

impl MemoryIr {
    /// The tables, without their types.
    pub fn tables(&self) -> [&Batch; 5] {
        [
            self.memory_regions.batch(),
            self.stack_frames.batch(),
            self.function_effects.batch(),
            self.memory_objects.batch(),
            self.diagnostics.batch(),
        ]
    }

    /// Equal for equal tables.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all(self.tables().map(Batch::fingerprint))
    }
}

/// Finds how functions use memory.
pub fn run(image: &Image, code: &Code, instructions: &InstructionsIr, cfg: &CfgIr) -> MemoryIr {
    let by_function = cfg.blocks_by_function();
    let context = Context::new(code, cfg, image, &by_function);
    let (functions, summaries) = follow_all(&context, &popped::by_function(code, cfg));
    // Beyond this point it is known what each function does with memory.
    let objects = Objects::of(&context, instructions, &functions);
    let memory_regions = tables::memory_regions(&context, &functions);
    let (stack_frames, diagnostics) = tables::stack_frames(&context, &functions);
    let function_effects = tables::function_effects(&context, &summaries);
    MemoryIr {
        memory_regions,
        stack_frames,
        function_effects,
        memory_objects: objects.rows.clone(),
        diagnostics,
        surroundings: Arc::new(Surroundings { by_function, summaries, objects, image: image.clone() }),
    }
}

/// Follows all functions, each after those that it calls. Where functions call each other in a circle, what is known of them before is
/// what their convention says, and what they are seen to pop.
fn follow_all(context: &Context<'_>, popped: &[Option<i64>]) -> (Vec<FunctionMemory>, Vec<Summary>) {
    let count = context.functions.len();
    let expected = context.convention.summary();
    let known = |row: usize| popped.get(row).copied().flatten().or(expected.popped_bytes);
    let mut summaries: Vec<_> =
        (0..count).map(|row| Summary { popped_bytes: known(row), ..expected }).collect();
    let recursive = Depth { bytes: None, limit: StackDepthLimit::Recursive, callee: None };
    let mut depths = vec![recursive; count];
    let mut found: Vec<Option<FunctionMemory>> = Vec::new();
    found.resize_with(count, || None);
    let is_loaded = |address: u64| context.image.is_fixed_address(address);
    for level in levels(context) {
        let parts: Vec<Vec<(u32, FunctionMemory)>> = level
            .par_chunks(FUNCTIONS_PER_TASK)
            .map(|rows| {
                let mut follower = Follower::new(context, &summaries, &is_loaded);
                rows.iter().map(|row| (*row, gather(&mut follower, *row as usize, &depths))).collect()
            })
            .collect();
        for (row, memory) in parts.into_iter().flatten() {
            let row = row as usize;
            (summaries[row], depths[row]) = (memory.summary, memory.depth);
            found[row] = Some(memory);
        }
    }
    (found.into_iter().flatten().collect(), summaries)
}

/// The rows of functions, in groups of which none calls one of a later group. Those that call each other in a circle are in one.
fn levels(context: &Context<'_>) -> Vec<Vec<u32>> {
    let edges = context.calls.iter().filter_map(|call| {
        let caller = context.function_at(call.caller_address)?;
        let callee = context.function_at(call.callee_address?)?;
        Some((caller as u32, callee as u32))
    });
    let graph = Graph::from_edges(context.functions.len(), edges);
    let components = strong_components(&graph);
    let mut members = vec![Vec::new(); components.count as usize];
    for vertex in graph.vertices() {
        members[components.component[vertex as usize] as usize].push(vertex);
    }
    // Edges lead to components with lower numbers, whose levels are known.
    let mut level_of = vec![0_usize; members.len()];
    let mut levels: Vec<Vec<u32>> = Vec::new();
    for (component, vertices) in members.iter().enumerate() {
        let callees = vertices.iter().flat_map(|vertex| graph.successors(*vertex));
        let others = callees.map(|callee| components.component[*callee as usize] as usize);
        let below = others.filter(|other| *other != component).map(|other| level_of[other] + 1);
        let level = below.max().unwrap_or(0);
        level_of[component] = level;
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].extend(vertices);
    }
    levels
}
