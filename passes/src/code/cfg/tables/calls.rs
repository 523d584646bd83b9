//! Rows of `call_edges`.

use super::writer::CfgWriter;
use crate::code::cfg::blocks::Block;
use crate::code::cfg::function_ranges::FunctionRange;
use crate::code::cfg::ids::{BranchId, FunctionId};
use crate::code::references::Import;
use binframe_ir::tables::{CallEdge, CallEvidence, CallKind, Confidence, Flow};
use std::ops::Range;

/// The callee of a call.
struct Callee<'f> {
    kind: CallKind,
    /// `None` if it is imported or unknown.
    function: Option<FunctionId>,
    import: Option<Import<'f>>,
    may_return: bool,
}

impl<'f> CfgWriter<'f, '_> {
    /// Adds the calls of a block of a range.
    pub(super) fn write_calls(
        &mut self,
        block: &Block,
        range: &FunctionRange,
        caller: FunctionId,
        caller_address: u64,
    ) {
        let own = self.ranges.addresses(range);
        for row in block.branches.clone() {
            let branch = BranchId { region: block.start.region, row };
            let Some((flow, callee)) = self.callee(branch, &own, caller) else { continue };
            let Callee { mut kind, function, import, may_return } = callee;
            let is_by_register = flow != Flow::CondJump && self.has_inferred_target(branch);
            if is_by_register && kind == CallKind::Direct {
                kind = CallKind::Indirect;
            }
            let (evidence, confidence) = match kind {
                _ if is_by_register && (function.is_some() || import.is_some()) => {
                    (CallEvidence::Register, Confidence::Likely)
                }
                CallKind::Direct => (CallEvidence::Encoding, Confidence::Certain),
                CallKind::Import => (CallEvidence::Import, Confidence::Certain),
                CallKind::Tail if function.is_none() => (CallEvidence::Import, Confidence::Certain),
                CallKind::Tail if flow == Flow::IndirectJump => (CallEvidence::Pointer, Confidence::Certain),
                CallKind::Tail => (CallEvidence::Encoding, Confidence::Likely),
                CallKind::Indirect if function.is_some() => (CallEvidence::Pointer, Confidence::Certain),
                CallKind::Indirect => (CallEvidence::Unresolved, Confidence::Guess),
            };
            self.calls.push(CallEdge {
                call_address: self.branch_address(branch),
                caller_address,
                callee_address: function.map(|function| self.ranges.start_address(function.0)),
                import_index: import.and_then(|import| import.index),
                import_name: import.and_then(|import| import.name),
                kind,
                may_return,
                evidence,
                confidence,
            });
        }
    }

    /// The callee of a branch of a function, with the flow of the branch; `None` if it is not a call. `own` are the
    /// addresses of the range that the branch is in.
    fn callee(
        &mut self,
        branch: BranchId,
        own: &Range<u64>,
        caller: FunctionId,
    ) -> Option<(Flow, Callee<'f>)> {
        let (region, row) = (branch.region as usize, branch.row as usize);
        let branches = self.ranges.branches(region);
        let (flow, target) = (branches.flows[row], branches.targets[row]);
        let returns = self.program.facts.returning_calls[region].contains(row);
        let callee = match flow {
            Flow::Call => {
                self.check_target(branch, target);
                let function = self.ranges.function_at(target, &self.program.owners);
                let import = function.and_then(|function| self.import_of(function));
                let kind = if import.is_some() { CallKind::Import } else { CallKind::Direct };
                Callee { kind, function, import, may_return: returns }
            }
            Flow::IndirectCall => self.indirect_callee(target, returns),
            Flow::IndirectJump => self.indirect_tail_callee(target, caller)?,
            Flow::Jump | Flow::CondJump if !own.contains(&target) => {
                let function = self.ranges.function_at(target, &self.program.owners);
                let function = function.filter(|function| *function != caller)?;
                Callee {
                    kind: CallKind::Tail,
                    function: Some(function),
                    import: self.import_of(function),
                    may_return: self.program.function(function).may_return,
                }
            }
            _ => return None,
        };
        Some((flow, callee))
    }

    /// The import to which the loader writes a pointer at an address; `None` for other addresses.
    fn import_at(&self, pointer_address: u64) -> Option<Import<'f>> {
        let address = Some(pointer_address).filter(|address| *address != 0)?;
        self.program.facts.references.import_at(address)
    }

    /// The callee of an indirect call that reads a pointer at an address.
    fn indirect_callee(&self, pointer_address: u64, returns: bool) -> Callee<'f> {
        let import = self.import_at(pointer_address);
        let function = self.program.facts.pointed_function(pointer_address, &self.program.owners);
        let function = function.filter(|_| import.is_none());
        let kind = if import.is_some() { CallKind::Import } else { CallKind::Indirect };
        Callee { kind, function, import, may_return: returns }
    }

    /// The callee of an indirect jump that reads a pointer at an address; `None` if it is not a known tail call.
    fn indirect_tail_callee(&self, pointer_address: u64, caller: FunctionId) -> Option<Callee<'f>> {
        let import = self.import_at(pointer_address);
        let function = match import {
            Some(_) => None,
            None => Some(self.program.facts.pointed_function(pointer_address, &self.program.owners)?),
        };
        let may_return = self.program.function(function.unwrap_or(caller)).may_return;
        Some(Callee { kind: CallKind::Tail, function, import, may_return })
    }

    /// The import that a stub jumps to. `None` if the function is not such a stub.
    fn import_of(&self, function: FunctionId) -> Option<Import<'f>> {
        self.import_at(self.program.facts.stub_slot(function)?)
    }
}
