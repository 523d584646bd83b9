//! Invariants of the `cfg` tables that hold for any input.

use crate::lowering::Tables;
use binframe::ir::tables::{
    BasicBlock, BlockEvidence, CallKind, CfgEdge, Diagnostic, DiagnosticCode, EdgeEvidence, EdgeKind, Flow,
    JumpTableEntry, Loop, Terminator,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Violations of the invariants, as text.
pub fn violations(tables: &Tables) -> Vec<String> {
    let mut check = Check::new(tables);
    check.ranges();
    check.blocks();
    check.edges();
    check.functions();
    check.dominators();
    check.loops();
    check.jump_tables();
    check.calls();
    check.landing_pads();
    check.violations
}

/// An address range that belongs to a function.
struct Owned {
    range: Range<u64>,
    function: u64,
}

struct Check<'a> {
    tables: &'a Tables,
    /// Ranges of functions and of their fragments, sorted by address.
    owned: Vec<Owned>,
    blocks: BTreeMap<u64, BasicBlock>,
    edges: BTreeMap<u64, Vec<CfgEdge>>,
    loops: BTreeMap<u64, Loop>,
    violations: Vec<String>,
}

impl<'a> Check<'a> {
    fn new(tables: &'a Tables) -> Self {
        let cfg = &tables.lowered.cfg;
        let functions = cfg.functions.columns();
        let mut owned: Vec<_> = functions
            .iter()
            .map(|row| Owned { range: row.address..row.address + row.size, function: row.address })
            .collect();
        owned.extend(
            cfg.function_parts.columns().iter().map(|row| Owned {
                range: row.address..row.address + row.size,
                function: row.function_address,
            }),
        );
        owned.sort_by_key(|owned| owned.range.start);
        let mut edges: BTreeMap<u64, Vec<CfgEdge>> = BTreeMap::new();
        for edge in cfg.cfg_edges.columns().iter() {
            edges.entry(edge.source_address).or_default().push(edge);
        }
        let blocks = cfg.basic_blocks.columns().iter().map(|block| (block.address, block)).collect();
        let loops = cfg.loops.columns().iter().map(|row| (row.header_address, row)).collect();
        Self { tables, owned, blocks, edges, loops, violations: Vec::new() }
    }

    fn expect(&mut self, is_satisfied: bool, message: impl FnOnce() -> String) {
        if !is_satisfied {
            self.violations.push(message());
        }
    }

    /// Address of the function whose range or fragment contains an address.
    fn owner(&self, address: u64) -> Option<u64> {
        let index = self.owned.partition_point(|owned| owned.range.start <= address).checked_sub(1)?;
        self.owned[index].range.contains(&address).then_some(self.owned[index].function)
    }

    /// The block that contains an address.
    fn block_at(&self, address: u64) -> Option<BasicBlock> {
        let (start, block) = self.blocks.range(..=address).next_back()?;
        (address - start < block.size).then_some(*block)
    }

    fn function_of(&self, block: Option<u64>) -> Option<u64> {
        self.blocks.get(&block?).map(|block| block.function_address)
    }

    /// Functions and fragments do not overlap, are in executable sections, and are not empty.
    fn ranges(&mut self) {
        let mut end = 0;
        for index in 0..self.owned.len() {
            let Owned { range, function } = &self.owned[index];
            let (range, function) = (range.clone(), *function);
            let before = std::mem::replace(&mut end, range.end);
            let mut regions = self.tables.lowered.code.regions.iter();
            let is_code =
                regions.any(|region| region.address <= range.start && range.end <= region.end_address());
            self.expect(range.start >= before && range.start < range.end && is_code, || {
                format!("{range:x?} of {function:#x} overlaps the range that ends at {before:#x}, is empty, or is outside executable sections")
            });
        }
    }

    /// Blocks are inside the ranges of their functions, do not overlap, consist of whole instructions, and only their
    /// last instruction ends a block.
    fn blocks(&mut self) {
        let instructions = self.tables.instructions.columns();
        let mut end = 0;
        for block in self.tables.lowered.cfg.basic_blocks.columns().iter() {
            let block_end = block.address + block.size;
            let is_own = self.owner(block.address) == Some(block.function_address)
                && self.owner(block_end - 1) == Some(block.function_address);
            self.expect(is_own, || format!("{block:x?} is outside the ranges of its function"));
            let before = std::mem::replace(&mut end, block_end);
            self.expect(block.size > 0 && block.address >= before, || {
                format!("{block:x?} overlaps the block that ends at {before:#x}")
            });
            let own = rows_in(instructions.address, block.address..block_end);
            let is_whole = own.len() == block.instruction_count as usize
                && instructions.address.get(own.start) == Some(&block.address)
                && instructions.address.get(own.end).is_none_or(|next| *next >= block_end);
            self.expect(is_whole, || format!("{block:x?} does not consist of whole instructions"));
            let Some(last) = own.end.checked_sub(1) else { continue };
            let last_end = instructions.address[last] + u64::from(instructions.size[last]);
            self.expect(last_end == block_end, || format!("{block:x?} ends inside an instruction"));
            let calls = self.tables.lowered.cfg.call_edges.columns().call_address;
            let is_call = |row: usize| calls.binary_search(&instructions.address[row]).is_ok();
            let ends = |row: &usize| instructions.row(*row).flow.ends_block() && !is_call(*row);
            let early_end = (own.start..last).find(ends);
            self.expect(early_end.is_none(), || {
                format!("{block:x?} contains an instruction that ends a block before its last")
            });
            let flow = instructions.row(last).flow;
            self.expect(is_terminated_by(block.terminator, flow), || {
                format!("{block:x?} ends with {flow:?}")
            });
        }
    }

    /// Sources and targets of edges are blocks, and the edges of a block match its terminator.
    fn edges(&mut self) {
        let instructions = self.tables.instructions.columns();
        for (source, edges) in self.edges.clone() {
            self.expect(self.blocks.contains_key(&source), || {
                format!("the source {source:#x} of an edge is not a block")
            });
            for edge in edges {
                let target = edge.target_address;
                let is_block = target.is_none_or(|target| self.blocks.contains_key(&target));
                self.expect(is_block, || format!("{edge:x?} has a target that is not a block"));
                let is_open = matches!(
                    edge.evidence,
                    EdgeEvidence::Unresolved | EdgeEvidence::Import | EdgeEvidence::Pointer
                ) || edge.kind == EdgeKind::Return;
                self.expect(target.is_none() == is_open, || {
                    format!("{edge:x?} has a target although its kind has none, or has none")
                });
            }
        }
        for block in self.tables.lowered.cfg.basic_blocks.columns().iter() {
            let end = block.address + block.size;
            let last = instructions.address.partition_point(|address| *address < end).saturating_sub(1);
            let target = instructions.target_address.get(last);
            let edges = self.edges.get(&block.address).map_or(&[][..], Vec::as_slice);
            let own = edges.iter().filter(|edge| edge.kind != EdgeKind::LandingPad);
            let found: BTreeSet<_> = own.map(|edge| (edge.kind, edge.target_address)).collect();
            let is_known = |address: &u64| self.blocks.contains_key(address);
            let next = Some(end).filter(is_known);
            let target = target.filter(is_known);
            let edge = |kind: EdgeKind, target: Option<u64>| target.map(|target| (kind, Some(target)));
            let expected: Vec<_> = match block.terminator {
                Terminator::Fallthrough | Terminator::End => vec![edge(EdgeKind::Fallthrough, next)],
                Terminator::Call => vec![edge(EdgeKind::CallReturn, next)],
                Terminator::CondJump => {
                    vec![edge(EdgeKind::Fallthrough, next), edge(EdgeKind::Taken, target)]
                }
                Terminator::Jump => vec![edge(EdgeKind::Jump, target)],
                Terminator::Ret => vec![Some((EdgeKind::Return, None))],
                Terminator::CallNoReturn | Terminator::Trap | Terminator::Invalid => Vec::new(),
                Terminator::IndirectJump => {
                    let is_indirect =
                        !found.is_empty() && found.iter().all(|(kind, _)| *kind == EdgeKind::Indirect);
                    self.expect(is_indirect, || format!("{block:x?} has the edges {found:x?}"));
                    continue;
                }
            };
            let expected: BTreeSet<_> = expected.into_iter().flatten().collect();
            // The target of a return is pushed before.
            let is_return_as_jump = block.terminator == Terminator::Jump && target.is_none();
            self.expect(found == expected || is_return_as_jump, || {
                format!("{block:x?} has the edges {found:x?}, expected {expected:x?}")
            });
            let ends_well = match block.terminator {
                Terminator::Fallthrough | Terminator::Call => next.is_some(),
                _ => true,
            };
            self.expect(ends_well, || format!("{block:x?} has no successor block at its end"));
        }
    }

    /// Functions start with a block, their counts are sums over their blocks, and `evidence` states which blocks are
    /// reached from the entry.
    fn functions(&mut self) {
        let mut sums: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
        for block in self.blocks.values() {
            let sum = sums.entry(block.function_address).or_default();
            *sum = (sum.0 + 1, sum.1 + block.instruction_count);
        }
        let mut returning = BTreeSet::new();
        let mut reached = BTreeSet::new();
        let tables = self.tables;
        for function in tables.lowered.cfg.functions.columns().iter() {
            let sum = sums.remove(&function.address).unwrap_or_default();
            let counted = (function.block_count, function.instruction_count);
            self.expect(sum == counted, || {
                format!("{function:x?} has {sum:?} blocks and instructions in `basic_blocks`")
            });
            let begins = self.function_of(Some(function.address)) == Some(function.address);
            self.expect(begins, || format!("{function:x?} does not start with a block"));
            reached.extend(self.reached_from(function.address));
        }
        self.expect(sums.is_empty(), || format!("blocks of unknown functions: {sums:x?}"));
        for block in self.blocks.clone().into_values() {
            let is_reached = reached.contains(&block.address);
            let says = block.evidence == BlockEvidence::Flow;
            self.expect(is_reached == says, || {
                format!("{block:x?} has the wrong evidence; reached from the entry: {is_reached}")
            });
            if says && block.terminator == Terminator::Ret {
                returning.insert(block.function_address);
            }
        }
        for function in tables.lowered.cfg.functions.columns().iter().filter(|function| !function.may_return)
        {
            // Functions on the noreturn list do not return, whatever their code.
            let is_wrong = function.function_name.is_none() && returning.contains(&function.address);
            self.expect(!is_wrong, || format!("{function:x?} is noreturn but has a return"));
        }
    }

    /// Blocks of a function that are reached from its entry along edges inside the function.
    fn reached_from(&self, function: u64) -> BTreeSet<u64> {
        let mut reached = BTreeSet::from([function]);
        let mut work = vec![function];
        while let Some(block) = work.pop() {
            let targets = self.edges.get(&block).into_iter().flatten().filter_map(|edge| edge.target_address);
            for target in targets.filter(|target| self.function_of(Some(*target)) == Some(function)) {
                if reached.insert(target) {
                    work.push(target);
                }
            }
        }
        reached
    }

    /// Dominators and loop headers of a block are blocks of its function.
    fn dominators(&mut self) {
        for block in self.blocks.clone().into_values() {
            let BasicBlock {
                function_address,
                immediate_dominator_address: immediate_dominator,
                immediate_post_dominator_address: immediate_post_dominator,
                loop_header_address: loop_header,
                ..
            } = block;
            for other in [immediate_dominator, immediate_post_dominator, loop_header].into_iter().flatten() {
                let is_own = self.function_of(Some(other)) == Some(function_address);
                self.expect(is_own, || {
                    format!("{block:x?} names {other:#x}, which is not a block of its function")
                });
            }
            let has_dominator = block.evidence == BlockEvidence::Flow && block.address != function_address;
            let is_right =
                immediate_dominator.is_some() == has_dominator && immediate_dominator != Some(block.address);
            self.expect(is_right, || {
                format!("{block:x?} has the wrong immediate dominator {immediate_dominator:x?}")
            });
        }
    }

    /// Nesting, depth, block count and back-edge count of loops match the blocks and edges.
    fn loops(&mut self) {
        let nesting = Nesting::new(&self.loops);
        let (mut back_edges, mut headers) = (BTreeMap::new(), BTreeMap::new());
        let mut blocks: BTreeMap<u64, u32> = BTreeMap::new();
        for block in self.blocks.clone().into_values() {
            let depth = block
                .loop_header_address
                .map_or(Some(0), |header| self.loops.get(&header).map(|row| row.depth));
            self.expect(depth == Some(block.loop_depth), || {
                format!("{block:x?} has a loop header of depth {depth:?}")
            });
            let Some(inner) = block.loop_header_address else { continue };
            *blocks.entry(inner).or_default() += 1;
            let targets =
                self.edges.get(&block.address).into_iter().flatten().filter_map(|edge| edge.target_address);
            for header in targets.collect::<BTreeSet<_>>() {
                *back_edges.entry(header).or_insert(0) += u32::from(nesting.contains(header, inner));
            }
        }
        let mut inner_first: Vec<_> = self.loops.values().copied().collect();
        inner_first.sort_by_key(|row| std::cmp::Reverse(row.depth));
        for row in inner_first {
            let count = blocks.get(&row.header_address).copied().unwrap_or(0);
            row.parent_header_address
                .into_iter()
                .for_each(|parent| *blocks.entry(parent).or_default() += count);
        }
        for row in self.loops.clone().into_values() {
            *headers.entry(row.function_address).or_insert(0) += 1;
            let header = self.blocks.get(&row.header_address).copied();
            let is_header = header.is_some_and(|header| {
                header.function_address == row.function_address
                    && header.loop_header_address == Some(row.header_address)
                    && header.loop_depth == row.depth
            });
            self.expect(is_header, || format!("{row:x?} has the header {header:x?}"));
            let parent = row.parent_header_address.map(|parent| self.loops.get(&parent).copied());
            let is_in_parent = parent.is_none_or(|parent| {
                parent.is_some_and(|parent| {
                    parent.function_address == row.function_address && parent.depth + 1 == row.depth
                })
            });
            self.expect(is_in_parent && (parent.is_some() || row.depth == 1), || {
                format!("{row:x?} has the parent {parent:x?}")
            });
            let counted = (blocks.get(&row.header_address), back_edges.get(&row.header_address));
            let says = (Some(&row.block_count), Some(&row.back_edge_count));
            self.expect(counted == says && row.back_edge_count > 0, || {
                format!("{row:x?}, expected the counts {counted:?}")
            });
        }
        for function in self.tables.lowered.cfg.functions.columns().iter() {
            let count = headers.remove(&function.address).unwrap_or(0);
            self.expect(function.loop_count == count, || format!("{function:x?} has {count} loops"));
        }
    }

    /// The targets of jump tables are exactly the edges with that evidence.
    fn jump_tables(&mut self) {
        let cfg = &self.tables.lowered.cfg;
        let mut targets: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let mut positions: BTreeMap<u64, u32> = BTreeMap::new();
        for JumpTableEntry { jump_address, entry_index, target_address } in
            cfg.jump_table_entries.columns().iter()
        {
            targets.entry(jump_address).or_default().insert(target_address);
            positions.insert(jump_address, entry_index);
        }
        let mut expected = BTreeSet::new();
        for table in cfg.jump_tables.columns().iter() {
            let block = self.block_at(table.jump_address);
            let is_jump = block.is_some_and(|block| {
                block.terminator == Terminator::IndirectJump
                    && block.function_address == table.function_address
            });
            self.expect(is_jump, || {
                format!("{table:x?} is not used by the indirect jump at the end of {block:x?}")
            });
            let last = positions.remove(&table.jump_address);
            let is_counted = last.is_some_and(|last| last < table.entry_count);
            self.expect(is_counted, || format!("{table:x?} has a last entry index {last:?}"));
            let own = targets.remove(&table.jump_address).unwrap_or_default();
            expected.extend(own.into_iter().filter_map(|target| Some((block?.address, target))));
        }
        self.expect(targets.is_empty(), || format!("entries without a table: {targets:x?}"));
        let edges = self.edges.values().flatten().filter(|edge| edge.evidence == EdgeEvidence::JumpTable);
        let found: BTreeSet<_> =
            edges.filter_map(|edge| Some((edge.source_address, edge.target_address?))).collect();
        let differing: Vec<_> = found.symmetric_difference(&expected).collect();
        self.expect(differing.is_empty(), || format!("jump-table entries and edges differ: {differing:x?}"));
    }

    /// Callers contain their calls, callees are functions, and a block ends after a call that does not return.
    fn calls(&mut self) {
        let tables = self.tables;
        let functions = tables.lowered.cfg.functions.columns();
        let instructions = tables.instructions.columns();
        for call in tables.lowered.cfg.call_edges.columns().iter() {
            let block = self.block_at(call.call_address);
            let is_own = block.is_some_and(|block| block.function_address == call.caller_address);
            self.expect(is_own, || format!("{call:x?} is in {block:x?} of another function"));
            let row = instructions.address.binary_search(&call.call_address).ok();
            self.expect(row.is_some(), || format!("{call:x?} is not at an instruction"));
            let callee = call.callee_address.map(|callee| functions.address.binary_search(&callee).ok());
            self.expect(callee != Some(None), || format!("{call:x?} has a callee that is not a function"));
            let (Some(block), Some(row)) = (block, row) else { continue };
            let end = call.call_address + u64::from(instructions.size[row]);
            let is_last = end == block.address + block.size;
            if call.kind == CallKind::Tail {
                self.expect(is_last, || format!("{call:x?} does not end {block:x?}"));
                let returns = callee.flatten().map(|callee| functions.row(callee).may_return);
                let is_same = returns.is_none_or(|returns| returns == call.may_return);
                self.expect(is_same, || format!("{call:x?}, but its callee may return: {returns:?}"));
                continue;
            }
            let ends = is_last && block.terminator == Terminator::CallNoReturn;
            self.expect(ends != call.may_return, || format!("{call:x?} in {block:x?}"));
            let returns = callee.flatten().map(|callee| functions.row(callee).may_return);
            let pushes = Some(end) == call.callee_address;
            // A call that passes an exit status may not return, although the callee may.
            let is_same = pushes || returns.is_none_or(|returns| returns >= call.may_return);
            self.expect(is_same, || format!("{call:x?}, but its callee may return: {returns:?}"));
        }
        let memory = &tables.lowered.memory;
        let frames = memory.stack_frames.columns().function_address;
        let is_left_out = |row: Diagnostic<'_>| row.code == DiagnosticCode::UnanalyzedCode;
        let expected = match memory.diagnostics.columns().iter().any(is_left_out) {
            true => &[],
            false => functions.address,
        };
        self.expect(frames == expected, || "stack frames and functions differ".to_owned());
    }

    /// A call with a landing pad in its function has an edge to it.
    fn landing_pads(&mut self) {
        let tables = self.tables;
        let sites = tables.lowered.exceptions.call_sites.columns();
        let instructions = tables.instructions.columns();
        for call in tables.lowered.cfg.call_edges.columns().iter().filter(|call| call.kind != CallKind::Tail)
        {
            let Ok(row) = instructions.address.binary_search(&call.call_address) else { continue };
            let last_byte = call.call_address + u64::from(instructions.size[row]) - 1;
            let Some(row) = sites.address.partition_point(|start| *start <= last_byte).checked_sub(1) else {
                continue;
            };
            let is_inside = last_byte - sites.address[row] < sites.size[row];
            let begins = |pad: &u64| instructions.address.binary_search(pad).is_ok();
            let pad = sites.landing_pad_address.get(row).filter(|pad| is_inside && begins(pad));
            let Some(pad) = pad else { continue };
            let Some(block) = self.block_at(call.call_address) else { continue };
            if self.block_at(pad).is_none_or(|pad| pad.function_address != block.function_address) {
                continue;
            }
            let edges = self.edges.get(&block.address).into_iter().flatten();
            let mut pads = edges.filter(|edge| edge.kind == EdgeKind::LandingPad);
            let is_edge = pads.any(|edge| edge.target_address == Some(pad));
            self.expect(is_edge, || format!("{call:x?} has no edge to its landing pad {pad:#x}"));
        }
    }
}

/// Loop nesting as nested ranges of preorder numbers.
struct Nesting(BTreeMap<u64, Range<u32>>);

impl Nesting {
    fn new(loops: &BTreeMap<u64, Loop>) -> Self {
        let mut outer_first: Vec<_> = loops.values().collect();
        outer_first.sort_by_key(|row| row.depth);
        let mut sizes: BTreeMap<u64, u32> = BTreeMap::new();
        for row in outer_first.iter().rev() {
            let size = sizes.get(&row.header_address).copied().unwrap_or(0) + 1;
            sizes.insert(row.header_address, size);
            row.parent_header_address
                .into_iter()
                .for_each(|parent| *sizes.entry(parent).or_default() += size);
        }
        let mut next: BTreeMap<Option<u64>, u32> = BTreeMap::new();
        let ranges = outer_first.into_iter().map(|row| {
            let start = next.entry(row.parent_header_address).or_default();
            let range = *start..*start + sizes[&row.header_address];
            *start = range.end;
            next.insert(Some(row.header_address), range.start + 1);
            (row.header_address, range)
        });
        Self(ranges.collect())
    }

    /// Whether one loop is or contains another.
    fn contains(&self, outer: u64, inner: u64) -> bool {
        let (Some(outer), Some(inner)) = (self.0.get(&outer), self.0.get(&inner)) else { return false };
        outer.start <= inner.start && inner.end <= outer.end
    }
}

/// Whether the last instruction of a block with this terminator may have this control flow.
fn is_terminated_by(terminator: Terminator, flow: Flow) -> bool {
    match terminator {
        Terminator::Fallthrough => !flow.ends_block() && !matches!(flow, Flow::Call | Flow::IndirectCall),
        // A jump, or a return, after a push of the address after it.
        Terminator::Call | Terminator::CallNoReturn => {
            matches!(flow, Flow::Call | Flow::IndirectCall | Flow::Jump | Flow::Ret)
        }
        // A call whose callee takes its return address, and a return to an address that was pushed.
        Terminator::Jump => matches!(flow, Flow::Jump | Flow::Call | Flow::Ret),
        Terminator::CondJump => flow == Flow::CondJump,
        Terminator::Ret => flow == Flow::Ret,
        Terminator::IndirectJump => matches!(flow, Flow::IndirectJump | Flow::Ret),
        // A system call that ends the process.
        Terminator::Trap => matches!(flow, Flow::Trap | Flow::Next),
        Terminator::Invalid => flow == Flow::Invalid,
        Terminator::End => !flow.ends_block(),
    }
}

fn rows_in(addresses: &[u64], range: Range<u64>) -> Range<usize> {
    let at = |bound: u64| addresses.partition_point(|address| *address < bound);
    at(range.start)..at(range.end)
}
