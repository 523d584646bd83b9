//! How many bytes of arguments functions pop, as far as their returns say so: `ret 8` of 32-bit code. It is what is expected of
//! functions that are not followed before their callers.

use crate::code::cfg::CfgIr;
use crate::code::regions::Code;
use crate::isa::{Instruction, Isa, popped_by_callee};
use binframe_ir::tables::Terminator;

/// What each function pops; none for those of which no return is known. Empty where no function pops anything.
pub(super) fn by_function(code: &Code, cfg: &CfgIr) -> Vec<Option<i64>> {
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
        let Some((mut decoder, size)) = code.decoder(block.address, block.size) else { continue };
        let mut instruction = Instruction::default();
        let mut position = 0;
        while position < size && decoder.decode(&mut instruction) {
            position += instruction.len();
        }
        popped[function] = popped_by_callee(&instruction);
    }
    popped
}
