//! Interprets the instructions of one block over an abstract state, and applies the summaries of callees.

use super::interpreter::Interpreter;
use super::library_models;
use super::program::Program;
use crate::domains::{AbstractState, AbstractValue, Summary};
use crate::isa::ops::Condition;
use crate::isa::x86::{Effects, Instruction, RESULT, STACK_POINTER, is_call, lower, sets_direction};
use binframe_ir::tables::CallEdge;
use std::ops::Range;

/// The callee of a call.
pub(super) struct Callee<'a> {
    pub(super) summary: Summary,
    /// The function, if it is in this binary.
    pub(super) function: Option<usize>,
    /// The row of the call; `None` if the call has none.
    pub(super) call: Option<CallEdge<'a>>,
}

/// The state before an instruction, and the callee if it is a call.
#[derive(Clone, Copy)]
pub(super) struct InstructionContext<'a> {
    pub(super) before: &'a AbstractState,
    pub(super) callee: Option<&'a Callee<'a>>,
}

/// Receives the instructions of a function, each with its final abstract state.
pub(super) trait InstructionVisitor {
    /// Whether to visit the block in a row of `basic_blocks`, which is reached from the entry or not.
    fn needs_block(&self, row: usize, is_reached: bool) -> bool;

    /// Visits an instruction of the block in a row. Blocks are visited in any order, instructions of a block in
    /// sequence.
    fn instruction(
        &mut self,
        row: usize,
        interpreter: &mut Interpreter<'_>,
        instruction: &Instruction,
        context: InstructionContext<'_>,
    );

    /// Visits the end of the block in a row, with the state after its last instruction.
    fn block_end(
        &mut self,
        blocks: &BlockInterpreter<'_, '_>,
        row: usize,
        last: &Instruction,
        after: &AbstractState,
    );
}

/// Interprets blocks of any function.
pub(super) struct BlockInterpreter<'f, 'a> {
    program: &'f Program<'a>,
    /// The summary of each function: final for functions that were analyzed, assumed for others.
    summaries: &'f [Summary],
    interpreter: Interpreter<'f>,
    info: Effects,
    /// A range of calls that has all calls of the function.
    calls: Range<usize>,
}

impl<'f, 'a> BlockInterpreter<'f, 'a> {
    /// An interpreter, given the summaries of functions and which numbers are addresses of the binary.
    pub(super) fn new(
        program: &'f Program<'a>,
        summaries: &'f [Summary],
        is_fixed_address: &'f dyn Fn(u64) -> bool,
    ) -> Self {
        Self {
            program,
            summaries,
            interpreter: Interpreter::new(program.abi, is_fixed_address),
            info: Effects::new(),
            calls: 0..0,
        }
    }

    /// Prepares for the instructions of one function, given the rows of its blocks.
    pub(super) fn prepare(&mut self, blocks: &[u32], instructions: &[Instruction]) {
        self.calls = self.program.calls_in(blocks);
        self.interpreter.prepare(instructions.iter().any(sets_direction));
    }

    /// Interprets instructions in sequence. `each` gets every instruction with the state before it, `after_call` the
    /// state after each call.
    pub(super) fn run(
        &mut self,
        instructions: &[Instruction],
        state: &mut AbstractState,
        mut each: impl FnMut(&mut Interpreter<'f>, &Instruction, InstructionContext<'_>),
        mut after_call: impl FnMut(&AbstractState),
    ) {
        for instruction in instructions {
            let info = &mut self.info;
            self.interpreter.evaluate(state, instruction.ip(), |ops| lower(instruction, info, ops));
            if !is_call(instruction) {
                let context = InstructionContext { before: state, callee: None };
                each(&mut self.interpreter, instruction, context);
                self.interpreter.transfer(state);
                continue;
            }
            let call = self.call_at(instruction.ip());
            let callee = self.callee(call);
            let context = InstructionContext { before: state, callee: Some(&callee) };
            each(&mut self.interpreter, instruction, context);
            let address_size = i64::from(self.program.convention.address_size);
            state.apply_call(&callee.summary, instruction.ip(), STACK_POINTER, RESULT, address_size);
            if let Some(register) = self.address_getter(call) {
                state.set_register(register, AbstractValue::number(instruction.next_ip() as i64));
            }
            after_call(state);
        }
    }

    /// The condition of the conditional jump that was run last; `None` if flags do not decide it.
    pub(super) fn condition(&self) -> Option<Condition> {
        self.interpreter.condition()
    }

    /// The call by an instruction of the function.
    pub(super) fn call_at(&self, address: u64) -> Option<CallEdge<'a>> {
        self.program.call_among(self.calls.clone(), address)
    }

    /// The register in which a callee returns its return address (`__x86.get_pc_thunk.bx` in 32-bit code).
    fn address_getter(&self, call: Option<CallEdge<'_>>) -> Option<u8> {
        let address = call?.callee_address.filter(|_| self.program.convention.address_size == 4)?;
        let (region, position) = self.program.code.locate(address)?;
        let region = &self.program.code.regions[region];
        region.isa.address_getter(&region.bytes[position..]).map(|register| register.0)
    }

    /// The callee of a call. Its summary is the model of an imported function, else the result of the analysis of a
    /// function in this binary, else the assumption of the calling convention.
    pub(super) fn callee(&self, call: Option<CallEdge<'a>>) -> Callee<'a> {
        let convention = self.program.convention;
        let Some(call) = call else {
            return Callee { summary: convention.summary(), function: None, call: None };
        };
        let function = call.callee_address.and_then(|address| self.program.function_at(address));
        let model = call.import_name.and_then(|name| library_models::summary(name, convention));
        let own = || function.map(|function| self.summaries[function]);
        let summary = model.or_else(own).unwrap_or_else(|| convention.summary());
        Callee { summary, function, call: Some(call) }
    }
}
