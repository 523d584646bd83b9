//! Interprets the instructions of one block over an abstract state, and applies the summaries of callees.

use super::callees::{Callee, Callees};
use super::interpreter::{InstructionOps, Interpreter};
use super::program::Program;
use crate::domains::{AbstractState, AbstractValue, Summary};

/// The state before an instruction, and the callee if it is a call.
#[derive(Clone, Copy)]
pub(super) struct InstructionContext<'a> {
    pub(super) before: &'a AbstractState,
    pub(super) callee: Option<&'a Callee<'a>>,
}

/// Interprets blocks of any function.
pub(super) struct BlockInterpreter<'f, 'a> {
    program: &'f Program<'a>,
    pub(super) callees: Callees<'f, 'a>,
    interpreter: Interpreter<'f>,
}

impl<'f, 'a> BlockInterpreter<'f, 'a> {
    /// An interpreter, given the summaries of functions.
    pub(super) fn new(program: &'f Program<'a>, summaries: &'f [Summary]) -> Self {
        let interpreter = Interpreter::new(program.abi, program.image);
        Self { program, callees: Callees::new(program, summaries), interpreter }
    }

    /// Prepares for the instructions of one function, given the rows of its blocks.
    pub(super) fn prepare(&mut self, blocks: &[u32]) {
        self.callees.prepare(blocks);
        let sets_direction = |row: &u32| self.program.sets_direction(*row as usize);
        self.interpreter.may_run_backwards = blocks.iter().any(sets_direction);
    }

    /// Interprets instructions in sequence, of a block that ends with a jump or not: a call whose callee removes its return
    /// address is one, and has no row. `each` gets every instruction with the state before it, `after_call` the state
    /// after each call.
    pub(super) fn run<'i>(
        &mut self,
        instructions: impl Iterator<Item = InstructionOps<'i>>,
        ends_with_jump: bool,
        state: &mut AbstractState,
        mut each: impl FnMut(&Interpreter<'f>, InstructionOps<'i>, InstructionContext<'_>),
        mut after_call: impl FnMut(&AbstractState),
    ) {
        for instruction in instructions {
            self.interpreter.evaluate(state, instruction);
            let facts = instruction.facts;
            let call = facts.is_call.then(|| self.callees.call_at(facts.address)).flatten();
            if !facts.is_call || (ends_with_jump && call.is_none()) {
                let context = InstructionContext { before: state, callee: None };
                each(&self.interpreter, instruction, context);
                self.interpreter.transfer(instruction, state);
                continue;
            }
            let callee = self.callees.of(call);
            let context = InstructionContext { before: state, callee: Some(&callee) };
            each(&self.interpreter, instruction, context);
            self.program.apply_call(state, &callee.summary, facts.address);
            if let Some(register) = self.callees.address_getter(call) {
                state.set_register(register, AbstractValue::number(facts.next_address as i64));
            }
            after_call(state);
        }
    }
}
