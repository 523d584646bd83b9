//! Rows of `call_edges`.

use super::writer::Writer;
use crate::cfg::graph::Block;
use crate::cfg::layout::Extent;
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
                    let import_name = Some(target)
                        .filter(|slot| *slot != 0)
                        .and_then(|slot| self.flows.known.references.import_at(slot));
                    let pointed = self.flows.known.pointed_function(target, &self.flows.owners);
                    match (flow, import_name) {
                        (Flow::IndirectCall, Some(_)) => (CallKind::Import, None, import_name, comes_back),
                        (Flow::IndirectCall, None) => (CallKind::Indirect, pointed, None, comes_back),
                        (_, Some(_)) => (
                            CallKind::Tail,
                            None,
                            import_name,
                            self.flows.functions[caller as usize].may_return,
                        ),
                        (_, None) => match pointed {
                            Some(callee) => (
                                CallKind::Tail,
                                pointed,
                                None,
                                self.flows.functions[callee as usize].may_return,
                            ),
                            None => continue,
                        },
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
