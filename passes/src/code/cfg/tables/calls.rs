//! Rows of `call_edges`.

use super::writer::Writer;
use crate::code::cfg::graph::Block;
use crate::code::cfg::layout::Extent;
use binframe_ir::tables::{CallEdge, CallKind, Confidence, EdgeEvidence, Flow};

impl<'f> Writer<'f, '_> {
    /// Adds the calls of a block of an extent.
    pub(super) fn write_calls(&mut self, block: &Block, extent: &Extent, caller: u32, caller_address: u64) {
        let region = block.start.region;
        let own = self.layout.addresses(extent);
        let branches = self.layout.branches(region as usize);
        for row in block.rows.start as usize..block.rows.end as usize {
            let (flow, target) = (branches.flows[row], branches.targets[row]);
            let comes_back = self.flows.known.returning[region as usize].contains(row);
            let call = match flow {
                Flow::Call => {
                    self.check_target((region, row as u32), target);
                    let callee = self.layout.function_at(target, &self.flows.owners);
                    let import_name = callee.and_then(|callee| self.import_of(callee));
                    let kind = if import_name.is_some() { CallKind::Import } else { CallKind::Direct };
                    (kind, callee, import_name, comes_back)
                }
                Flow::IndirectCall | Flow::IndirectJump => {
                    match self.indirect_call(flow, target, comes_back, caller) {
                        Some(call) => call,
                        None => continue,
                    }
                }
                Flow::Jump | Flow::CondJump if own.contains(&target) => continue,
                Flow::Jump | Flow::CondJump => {
                    match self
                        .layout
                        .function_at(target, &self.flows.owners)
                        .filter(|callee| *callee != caller)
                    {
                        Some(callee) => (
                            CallKind::Tail,
                            Some(callee),
                            self.import_of(callee),
                            self.flows.functions[callee as usize].may_return,
                        ),
                        None => continue,
                    }
                }
                _ => continue,
            };
            let (kind, callee, import_name, may_return) = call;
            let (evidence, confidence) = match kind {
                CallKind::Direct => (EdgeEvidence::Encoding, Confidence::Certain),
                CallKind::Import => (EdgeEvidence::Import, Confidence::Certain),
                CallKind::Tail if callee.is_none() => (EdgeEvidence::Import, Confidence::Certain),
                CallKind::Tail if flow == Flow::IndirectJump => (EdgeEvidence::Pointer, Confidence::Certain),
                CallKind::Tail => (EdgeEvidence::Encoding, Confidence::Likely),
                CallKind::Indirect if callee.is_some() => (EdgeEvidence::Pointer, Confidence::Certain),
                CallKind::Indirect => (EdgeEvidence::Unresolved, Confidence::Guess),
            };
            self.calls.push(CallEdge {
                call_address: self.branch_address((region, row as u32)),
                caller_address,
                callee_address: callee
                    .map(|callee| self.layout.address(self.layout.extents[callee as usize].start.place)),
                import_name,
                kind,
                may_return,
                evidence,
                confidence,
            });
        }
    }

    /// What an indirect call or jump calls that reads a pointer at an address: how, the function, its name in another file, and whether
    /// it comes back.
    fn indirect_call(
        &self,
        flow: Flow,
        slot: u64,
        comes_back: bool,
        caller: u32,
    ) -> Option<(CallKind, Option<u32>, Option<&'f str>, bool)> {
        let known = &self.flows.known;
        let import_name =
            Some(slot).filter(|slot| *slot != 0).and_then(|slot| known.references.import_at(slot));
        let callee = known.pointed_function(slot, &self.flows.owners).filter(|_| import_name.is_none());
        if flow == Flow::IndirectCall {
            let kind = if import_name.is_some() { CallKind::Import } else { CallKind::Indirect };
            return Some((kind, callee, import_name, comes_back));
        }
        let may_return = |function: u32| self.flows.functions[function as usize].may_return;
        match (import_name, callee) {
            (Some(_), _) => Some((CallKind::Tail, None, import_name, may_return(caller))),
            (None, Some(callee)) => Some((CallKind::Tail, Some(callee), None, may_return(callee))),
            (None, None) => None,
        }
    }

    /// The name of what a stub jumps to: the function's first branch reads a pointer that the loader sets.
    fn import_of(&self, function: u32) -> Option<&'f str> {
        let extent = &self.layout.extents[function as usize];
        let branches = self.layout.branches(extent.region());
        let row = extent.rows.start as usize;
        let is_stub = (row as u32) < extent.rows.end
            && branches.flows[row] == Flow::IndirectJump
            && branches.targets[row] != 0;
        is_stub.then(|| self.flows.known.references.import_at(branches.targets[row]))?
    }
}
