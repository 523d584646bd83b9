//! Reaching definitions of one resource: the definitions that may hold at the start of each block.
//!
//! *Problem.* A definition reaches a point if there is a path between them on which no other definition kills it. This
//! is a forward may problem: `in(b)` is the union of `out(p)` over all predecessors `p`, and
//! `out(b) = gen(b) + (in(b) - kill(b))`. With a single resource, a block kills either everything or nothing.
//!
//! *Algorithm.* Worklist in the order of analysis (`block_order`), lowest position first; successors whose set grew
//! are added. A landing-pad edge carries the definitions of the block up to its last call, and what reached the block.
//! Blocks that the entry does not reach have no definitions at their start.
//!
//! *Termination, cost.* Sets only grow, and one of more than 32 definitions becomes `MANY`, so that a block is
//! processed at most once for each of 34 sizes of the set at its start.
//!
//! *Reference.* F. E. Allen, J. Cocke (1976), A program data flow analysis procedure.

use super::definition_sets::{DefSet, DefSets};
use crate::code::memory::function_code::FunctionCode;
use crate::graph::Worklist;
use binframe_ir::tables::EdgeKind;

/// Effect of a block on the definitions of a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct GenKill {
    pub(super) block: u32,
    /// Definitions of the block that reach its end.
    pub(super) generated: DefSet,
    /// Whether the block kills all definitions that reach its start.
    pub(super) kills: bool,
    /// Definitions of the block up to its last call, which may throw.
    pub(super) generated_at_throw: DefSet,
}

/// Computes the definitions at the start of each block into `reaching`, given the effects of the blocks that have one,
/// sorted by block, and the definitions at function entry.
pub(super) fn solve(
    code: &FunctionCode<'_>,
    effects: &[GenKill],
    at_entry: DefSet,
    sets: &mut DefSets,
    reaching: &mut Vec<DefSet>,
) {
    let order = &code.order;
    reaching.clear();
    reaching.resize(code.rows.len(), DefSet::NONE);
    let mut worklist = Worklist::new(order.blocks.len());
    if let Some(entry) = order.blocks.first() {
        reaching[*entry as usize] = at_entry;
        worklist.add(0);
    }
    for effect in effects {
        if let Some(position) = order.position(effect.block) {
            worklist.add(position);
        }
    }
    while let Some(position) = worklist.take_first() {
        let block = order.blocks[position as usize];
        let before = reaching[block as usize];
        let effect = effects.binary_search_by_key(&block, |effect| effect.block).ok().map(|row| effects[row]);
        let after = match effect {
            Some(GenKill { generated, kills: true, .. }) => generated,
            Some(GenKill { generated, .. }) => sets.union(before, generated),
            None => before,
        };
        for successor in code.successors_of(block) {
            let propagated = match (successor.kind, effect) {
                (EdgeKind::LandingPad, Some(GenKill { generated_at_throw, .. })) => {
                    sets.union(before, generated_at_throw)
                }
                (EdgeKind::LandingPad, None) => before,
                _ => after,
            };
            let known = reaching[successor.target as usize];
            let union = sets.union(known, propagated);
            if union != known {
                reaching[successor.target as usize] = union;
                worklist.add(order.position(successor.target).expect("successors of a reached block"));
            }
        }
    }
}
