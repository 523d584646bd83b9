//! The results of the stage.

use super::facts::MemoryFacts;
use binframe_ir::tables::{Diagnostics, FunctionEffects, MemoryObjects, MemoryRegions, StackFrames};
use binframe_ir::{Batch, Fingerprint, Rows};
use std::sync::Arc;

/// The tables of the stage, without those that are computed on demand.
#[derive(Debug, Clone)]
pub struct MemoryIr {
    /// Memory regions that the binary implies, and that its code allocates.
    pub memory_regions: Rows<MemoryRegions>,
    /// Stack frames of functions.
    pub stack_frames: Rows<StackFrames>,
    /// Call summaries of functions.
    pub function_effects: Rows<FunctionEffects>,
    /// Global variables, stack slots and allocations.
    pub memory_objects: Rows<MemoryObjects>,
    /// Functions that could not be analyzed fully.
    pub diagnostics: Rows<Diagnostics>,
    /// Results from which `accesses` and `data_flow_edges` are computed.
    pub facts: Arc<MemoryFacts>,
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

    /// Hash of the content; equal for equal tables and facts. The facts have the objects.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all([
            self.memory_regions.batch().fingerprint(),
            self.stack_frames.batch().fingerprint(),
            self.function_effects.batch().fingerprint(),
            self.diagnostics.batch().fingerprint(),
            self.facts.fingerprint(),
        ])
    }
}
