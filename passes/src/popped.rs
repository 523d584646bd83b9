//! How many bytes of arguments callees pop, where they do: by `ret 8` of 32-bit code.

use crate::cfg::CfgIr;
use crate::code::Code;
use crate::isa::{Instruction, Isa, StackState, popped_by_callee};
use binframe_ir::tables::{CallKind, Terminator};

/// How often what a function pops is taken over by those that end in a jump to it.
const ROUNDS_MAX: usize = 8;

/// The calls behind which the stack pointer is another than before, in their order, with what their callees pop; none where
/// that is not known.
#[derive(Debug, Default)]
pub(crate) struct Popped {
    calls: Vec<(u64, Option<i64>)>,
}

impl Popped {
    pub(crate) fn of(code: &Code, cfg: &CfgIr) -> Self {
        if code.regions.iter().all(|region| region.isa != Isa::X86) {
            return Self::default();
        }
        let by_functions = by_functions(code, cfg);
        let (calls, functions) = (cfg.call_edges.columns(), cfg.functions.columns());
        let popped = calls.iter().filter(|call| call.kind != CallKind::Tail).filter_map(|call| {
            let function =
                call.callee_address.and_then(|callee| functions.address.binary_search(&callee).ok());
            let popped = match function.and_then(|function| by_functions[function]) {
                Some(popped) => Some(popped),
                None if code.may_callees_pop => None,
                None => Some(0),
            };
            (popped != Some(0)).then_some((call.call_address, popped))
        });
        Self { calls: popped.collect() }
    }

    /// Takes from the stack what the callee of an instruction pops.
    pub(crate) fn step(&self, state: &mut StackState, instruction: &Instruction) {
        if let Ok(index) = self.calls.binary_search_by_key(&instruction.ip(), |call| call.0) {
            let pointer = state.stack_pointer.zip(self.calls[index].1);
            state.stack_pointer = pointer.and_then(|(pointer, popped)| pointer.checked_add(popped));
        }
    }
}

/// What each function pops; none for those of which no return is known.
fn by_functions(code: &Code, cfg: &CfgIr) -> Vec<Option<i64>> {
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
    let jumps: Vec<_> = cfg.call_edges.columns().iter().filter(|call| call.kind == CallKind::Tail).collect();
    for _ in 0..ROUNDS_MAX {
        let mut is_changed = false;
        for jump in &jumps {
            let row = |address: u64| functions.address.binary_search(&address).ok();
            let Some((caller, callee)) = row(jump.caller_address).zip(jump.callee_address.and_then(row))
            else {
                continue;
            };
            if popped[caller].is_none() && popped[callee].is_some() {
                popped[caller] = popped[callee];
                is_changed = true;
            }
        }
        if !is_changed {
            break;
        }
    }
    popped
}
