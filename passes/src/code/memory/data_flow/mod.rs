//! `(code, cfg, surroundings) -> data_flow`
//!
//! Which instructions leave what others find in registers, flags and slots of the stack. The table is large, and is made on demand
//! for any run of blocks.
//!
//! Each function is followed once more, to find what its instructions do with registers and with the stack (`events`). The stack is
//! cut into pieces where instructions cut it. Definitions of one part of a register, flag or piece are then led through the
//! function's graph (`reaching`) to where they are used (`chains`).

mod chains;
mod events;
mod reaching;

use super::MemoryIr;
use super::context::Context;
use super::follow::Follower;
use crate::code::cfg::CfgIr;
use crate::code::regions::Code;
use binframe_ir::Rows;
use binframe_ir::tables::{DataFlow, DataFlowEdgeBuilder};
use chains::Chains;
use events::Function;
use reaching::Sets;
use std::ops::Range;

/// Where what the instructions of a run of blocks use is defined.
pub fn data_flow(code: &Code, cfg: &CfgIr, memory: &MemoryIr, blocks: Range<usize>) -> Rows<DataFlow> {
    let surroundings = &*memory.surroundings;
    let context = Context::new(code, cfg, &surroundings.image, &surroundings.by_function);
    let is_loaded = |address: u64| context.image.is_fixed_address(address);
    let mut follower = Follower::new(&context, &surroundings.summaries, &is_loaded);
    let mut rows = DataFlowEdgeBuilder::default();
    let mut sets = Sets::default();
    for (function, together) in context.functions_of(blocks) {
        let mut own = Function::new(&context, &surroundings.objects, function, together);
        follower.follow(function, &mut own);
        rows.extend(Chains::new(own, &follower, &mut sets).find());
    }
    rows.finish()
}
