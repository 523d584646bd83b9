//! The callees of a function's calls, with their summaries.

use super::library_models;
use super::program::Program;
use crate::domains::Summary;
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

/// Finds the callees of the calls of a function.
pub(super) struct Callees<'f, 'a> {
    program: &'f Program<'a>,
    /// The summary of each function: final for functions that were analyzed, assumed for others.
    summaries: &'f [Summary],
    /// A range of calls that has all calls of the function.
    calls: Range<usize>,
}

impl<'f, 'a> Callees<'f, 'a> {
    /// Of no function yet, given the summaries of functions.
    pub(super) fn new(program: &'f Program<'a>, summaries: &'f [Summary]) -> Self {
        Self { program, summaries, calls: 0..0 }
    }

    /// Prepares for a function, given the rows of its blocks.
    pub(super) fn prepare(&mut self, blocks: &[u32]) {
        self.calls = self.program.calls_in(blocks);
    }

    /// The call by an instruction of the function.
    pub(super) fn call_at(&self, address: u64) -> Option<CallEdge<'a>> {
        self.program.call_among(self.calls.clone(), address)
    }

    /// The callee of a call. Its summary is the model of an imported function, else the result of the analysis of a
    /// function in this binary, else the assumption of the calling convention.
    pub(super) fn of(&self, call: Option<CallEdge<'a>>) -> Callee<'a> {
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

    /// The register in which a callee returns its return address (`__x86.get_pc_thunk.bx` in 32-bit code).
    pub(super) fn address_getter(&self, call: Option<CallEdge<'_>>) -> Option<u8> {
        let address = call?.callee_address.filter(|_| self.program.convention.address_size == 4)?;
        let (region, position) = self.program.code.locate(address)?;
        let region = &self.program.code.regions[region];
        region.isa.address_getter(&region.bytes[position..]).map(|register| register.0)
    }
}
