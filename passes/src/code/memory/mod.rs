//! `(image, code, instructions, cfg) -> (memory_regions, stack_frames, function_effects, memory_objects)`
//! `(code, cfg, memory) -> memory_accesses`
//! `(code, cfg, memory) -> data_flow_edges`
//!
//! The memory that code uses: stack frames, call summaries, variables and allocations, and the object that each
//! instruction accesses.
//!
//! *Algorithm.* Abstract interpretation computes the values of registers and stack cells before each instruction
//! (`fixpoint`), as offsets from a base such as the stack pointer at entry, a parameter or the result of a call
//! (`domains`). Functions are analyzed once, after their callees, whose summaries give the effects of calls, except in
//! recursion, where the calling convention is assumed (`bottom_up`). A collector (`frame_collector`) records
//! references, exits (`exit_state`) and uses of parameters. References become slots (`slots`) and global variables
//! (`globals`); exits and uses of parameters become the summary. The rows of the two large tables are made on demand
//! from what was recorded (`function_record`): the object of each memory reference (`accesses`), and the definitions
//! that reach each use (`data_flow_edges`).
//!
//! *Invariants.* Every function has one frame. Slots of a function do not overlap, nor do global variables.
//!
//! *Confidence.* Rows that are `certain` hold in every run of a program, under these assumptions:
//! - functions follow their calling convention, and library functions do what `library_models` says;
//! - code writes the stack of other functions only through addresses that it was passed (`AbstractState`);
//! - registers and the stack pointer that the analysis lost at a return are restored (`exit_state`);
//! - a pointer that may be null is valid at each use (`AbstractValue`).
//!
//! *Limitations.* An argument in a register that the callee leaves unchanged is not seen by the caller's analysis
//! (`AbstractState::tracked_arguments`). Writes to the stack by other threads and signal handlers are not modelled.
//!
//! *Diagnostics.* `stack_pointer_lost`, `function_too_complex`, `unanalyzed_code`.

mod accesses;
mod analysis_results;
mod block_interpreter;
mod block_order;
mod block_ranges;
mod bottom_up;
mod call_regions;
mod callee_pop;
mod callees;
mod canary_addresses;
mod data_flow;
mod exit_state;
mod facts;
mod fixpoint;
mod frame_collector;
mod function_code;
mod function_record;
mod globals;
mod interpreter;
mod ir;
mod library_models;
mod lowered_code;
mod memory_image;
mod objects;
mod program;
mod regions;
mod slots;
mod stack_depth;
mod tables;

pub use accesses::{access_count, accesses};
pub use block_ranges::block_ranges;
pub use data_flow::data_flow;
pub use facts::MemoryFacts;
pub use ir::MemoryIr;
pub use memory_image::MemoryImage;

use crate::code::cfg::CfgIr;
use crate::code::instructions::InstructionsIr;
use crate::code::regions::Code;
use crate::diagnostics::{Collector, DiagnosticLocation};
use binframe_ir::tables::{DiagnosticCode, DiagnosticPass, Severity};
use objects::ObjectTable;
use program::Program;
use std::sync::Arc;

/// Computes the tables of the stage, without those that are computed on demand.
///
/// Code of an instruction set without an interpreter is left out, as if it had no functions.
pub fn run(image: &MemoryImage, code: &Code, instructions: &InstructionsIr, cfg: &CfgIr) -> MemoryIr {
    if Program::is_analyzed(code) {
        return analyze(image, code, instructions, cfg);
    }
    let mut diagnostics = Collector::new(DiagnosticPass::Memory);
    let location = DiagnosticLocation::Address(code.regions.first().map_or(0, |region| region.address));
    let message = "memory and data flow are analyzed for x86 and x86_64 only: frames, effects, objects, accesses and \
                   def-use edges of this code are not in the tables";
    diagnostics.report(Severity::Note, DiagnosticCode::UnanalyzedCode, location, message);
    MemoryIr { diagnostics: diagnostics.finish(), ..analyze(image, code, instructions, &CfgIr::default()) }
}

fn analyze(image: &MemoryImage, code: &Code, instructions: &InstructionsIr, cfg: &CfgIr) -> MemoryIr {
    let blocks_by_function = cfg.blocks_by_function();
    let program = Program::new(code, cfg, image, &blocks_by_function);
    let (mut functions, summaries) = bottom_up::analyze_functions(&program);
    let objects = ObjectTable::new(&program, instructions, &functions);
    let (stack_frames, diagnostics) = tables::stack_frames(&program, &functions);
    let memory_regions = tables::memory_regions(&program, &functions);
    let function_effects = tables::function_effects(&program, &summaries);
    let records = functions.iter_mut().map(|function| std::mem::take(&mut function.record)).collect();
    MemoryIr {
        memory_regions,
        stack_frames,
        function_effects,
        memory_objects: objects.rows.clone(),
        diagnostics,
        facts: Arc::new(MemoryFacts::new(blocks_by_function, summaries, records, objects, image.clone())),
    }
}
