//! Argument bytes that functions pop (`ret 8` in 32-bit code), read off their return instructions before any function
//! is analyzed.
//!
//! Assumed for the callees of a recursive cycle, which have no summary yet.

use crate::code::cfg::CfgIr;
use crate::code::regions::Code;
use crate::isa::x86::{Instruction, X86, popped_by_callee};
use crate::isa::{Decoder, InstructionSet, Isa};
use binframe_ir::tables::Terminator;

/// Argument bytes that each function pops at its first return; `None` for functions without one. Empty without 32-bit
/// code, in which no function pops arguments.
pub(super) fn callee_popped_bytes(code: &Code, cfg: &CfgIr) -> Vec<Option<i64>> {
    if code.regions.iter().all(|region| region.isa != Isa::X86) {
        return Vec::new();
    }
    let (functions, blocks) = (cfg.functions.columns(), cfg.basic_blocks.columns());
    let mut popped = vec![None; functions.len()];
    for block in blocks.iter().filter(|block| block.terminator == Terminator::Ret) {
        let Ok(function) = functions.address.binary_search(&block.function_address) else { continue };
        if popped[function].is_some() {
            continue;
        }
        let bytes = code.bytes(block.address, block.size);
        let mut decoder = X86::decoder(Isa::X86, bytes, block.address);
        let mut instruction = Instruction::default();
        let mut position = 0;
        while position < bytes.len() && decoder.decode(&mut instruction) {
            position += instruction.len();
        }
        popped[function] = popped_by_callee(&instruction);
    }
    popped
}
