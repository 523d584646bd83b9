//! Argument bytes that functions pop (`ret 8` in 32-bit code), read off their return instructions before any function
//! is analyzed.
//!
//! Assumed for the callees of a recursive cycle, which have no summary yet.

use super::lowered_code::LoweredCode;
use super::program::Program;
use binframe_ir::tables::Terminator;

/// Argument bytes that each function pops at its first return; `None` for functions without one. Empty without 32-bit
/// code, in which no function pops arguments.
pub(super) fn callee_popped_bytes(program: &Program<'_>) -> Vec<Option<i64>> {
    if program.isa.bits() != 32 {
        return Vec::new();
    }
    let mut popped = vec![None; program.functions.len()];
    let mut lowered = LoweredCode::default();
    for (row, block) in program.blocks.iter().enumerate() {
        let Some(function) = program.function_at(block.function_address) else { continue };
        if block.terminator == Terminator::Ret && popped[function].is_none() {
            lowered.assign(program, [row].into_iter());
            popped[function] =
                lowered.instructions_of(0).next_back().and_then(|last| last.facts.popped_bytes);
        }
    }
    popped
}
