//! Control flow in context: branches that, with the instructions around them, do something else than their encoding
//! says.
//!
//! *Rules.*
//!  1. A call is a jump if its callee pops the return address and has no other caller: the call passes the address of
//!     the data after it. A call is also a jump if its callee overwrites the return address (a retpoline); the return
//!     of that callee is an indirect jump.
//!  2. A push of a constant address and a return are a jump to it. A push of the address after a jump and that jump
//!     are a call.
//!  3. A system call of Linux that ends the process is a trap.
//!     So is a return, or a jump to the address that is popped, after the stack pointer was moved by a variable: the
//!     function resumes another frame, as the unwinder of exceptions does.
//!  4. An indirect branch through a register that holds a constant is a direct one, or reads a pointer at a constant
//!     address (`register_targets.rs`).
//!  5. Where 32-bit code has the address of the pointer table (GOT) in a register, an indirect branch through that
//!     register and a constant reads a pointer at a constant address.
//!  6. A conditional jump over the prefix that makes the next instruction atomic goes to that instruction: libraries
//!     jump so in programs with one thread.
//!
//! The callee of rule 1 is no declared function. A call of the next instruction only pushes its address, and is left as
//! it is.
//!
//! *Cost.* Linear in branches; the start of each callee is examined once.

use super::ir::{RegionInstructions, branch_targets, straight_line_start};
use super::register_targets::{RegisterTarget, register_targets};
use crate::bitmap::Bitmap;
use crate::code::regions::Code;
use crate::code::straight_line::{self, ReturnAddressUse};
use binframe_ir::tables::Flow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes between a call and its callee that are taken for data.
const DATA_MAX: usize = 1 << 12;

/// The branches whose flow is another than that of their encoding.
pub(super) struct Context {
    changes: Vec<Change>,
    /// The data in each region that calls pass the address of; in no order.
    pub(super) data: Vec<Vec<Range<usize>>>,
    /// The rows in each region whose target rules 4 and 6 change, sorted.
    inferred_targets: Vec<Vec<u32>>,
}

/// Another flow of a branch.
struct Change {
    region: usize,
    row: usize,
    flow: Flow,
    target: u64,
}

/// A callee that does not return to its return address, and its calls, as regions and rows.
struct Taker {
    used: ReturnAddressUse,
    calls: Vec<(usize, usize)>,
}

impl Context {
    /// Finds the branches whose flow is another than that of their encoding. `anchors` are the positions of declared
    /// functions.
    pub(super) fn find(code: &Code, regions: &[RegionInstructions], anchors: &[Vec<u32>]) -> Self {
        let (data, rows) = (vec![Vec::new(); regions.len()], vec![Vec::new(); regions.len()]);
        let mut context = Self { changes: Vec::new(), data, inferred_targets: rows };
        let targets = branch_targets(code, regions, &[]);
        context.find_register_targets(code, regions, anchors, &targets);
        context.find_passed_prefixes(code, regions);
        let pushes = code.regions.iter().any(|region| region.isa.abi().is_return_address_pushed);
        if pushes {
            context.find_takers(code, regions, anchors);
            context.find_pushes(code, regions);
            context.find_exits(code, regions, &targets);
            context.find_resumptions(code, regions, &targets);
            context.find_slots(code, regions, anchors);
        }
        // Of two rules about one branch, the first counts: exchanging flows twice would not restore them.
        context.changes.sort_by_key(|change| (change.region, change.row));
        context.changes.dedup_by_key(|change| (change.region, change.row));
        context
    }

    /// Exchanges the flows and targets in `regions` with those found; again, to restore them.
    pub(super) fn swap(&mut self, regions: &mut [RegionInstructions]) {
        for Change { region, row, flow, target } in &mut self.changes {
            let branches = &mut regions[*region].branches;
            std::mem::swap(&mut branches.flows[*row], flow);
            std::mem::swap(&mut branches.targets[*row], target);
        }
        for (region, rows) in regions.iter_mut().zip(&mut self.inferred_targets) {
            std::mem::swap(&mut region.inferred_targets, rows);
        }
    }

    fn change(&mut self, (region, row): (usize, usize), flow: Flow, target: u64) {
        self.changes.push(Change { region, row, flow, target });
    }

    /// Rule 1.
    fn find_takers(&mut self, code: &Code, regions: &[RegionInstructions], anchors: &[Vec<u32>]) {
        let sizes = code.regions.iter().map(|region| region.bytes.len());
        let mut examined: Vec<Bitmap> = sizes.map(Bitmap::new).collect();
        let mut takers: BTreeMap<(usize, usize), Taker> = BTreeMap::new();
        for (index, instructions) in regions.iter().enumerate() {
            let branches = &instructions.branches;
            for row in 0..branches.len() {
                let target = branches.targets[row];
                if branches.flows[row] != Flow::Call
                    || target == code.regions[index].address + branches.end(row) as u64
                {
                    continue;
                }
                let Some((region, position)) = code.locate(target) else { continue };
                if examined[region].contains(position) {
                    if let Some(taker) = takers.get_mut(&(region, position)) {
                        taker.calls.push((index, row));
                    }
                    continue;
                }
                examined[region].insert(position);
                let used = straight_line::return_address_use(code, target);
                if used != ReturnAddressUse::Kept
                    && anchors[region].binary_search(&(position as u32)).is_err()
                {
                    takers.insert((region, position), Taker { used, calls: vec![(index, row)] });
                }
            }
        }
        for ((region, position), Taker { used, calls }) in takers {
            match used {
                ReturnAddressUse::Kept => {}
                ReturnAddressUse::Taken => {
                    let [call] = calls[..] else { continue };
                    let branches = &regions[call.0].branches;
                    self.change(call, Flow::Jump, branches.targets[call.1]);
                    let end = branches.end(call.1);
                    if call.0 == region && end < position && position - end <= DATA_MAX {
                        self.data[region].push(end..position);
                    }
                }
                ReturnAddressUse::Replaced(offset) => {
                    for call in calls {
                        self.change(call, Flow::Jump, regions[call.0].branches.targets[call.1]);
                    }
                    let branches = &regions[region].branches;
                    let row = branches.first_at(position + offset);
                    if branches.positions.get(row) == Some(&((position + offset) as u32))
                        && branches.flows[row] == Flow::Ret
                    {
                        self.change((region, row), Flow::IndirectJump, 0);
                    }
                }
            }
        }
    }

    /// Rule 2.
    fn find_pushes(&mut self, code: &Code, regions: &[RegionInstructions]) {
        for (index, (region, instructions)) in code.regions.iter().zip(regions).enumerate() {
            let branches = &instructions.branches;
            let pushed_before = |position: usize| {
                let address = region.isa.pushed_address(&region.bytes[..position])?;
                let start = position.checked_sub(PUSH_SIZE)?;
                instructions.starts.contains(start).then_some((start, address & mask(region.isa.bits())))
            };
            for row in 0..branches.len() {
                let position = branches.positions[row] as usize;
                let end = region.address + branches.end(row) as u64;
                match branches.flows[row] {
                    Flow::Jump if pushed_before(position).is_some_and(|(_, address)| address == end) => {
                        self.change((index, row), Flow::Call, branches.targets[row]);
                    }
                    Flow::Ret => {
                        let Some((start, target)) = pushed_before(position) else { continue };
                        if code.locate(target).is_some() {
                            let is_call = pushed_before(start).is_some_and(|(_, address)| address == end);
                            let flow = if is_call { Flow::Call } else { Flow::Jump };
                            self.change((index, row), flow, target);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Rule 3.
    fn find_exits(&mut self, code: &Code, regions: &[RegionInstructions], targets: &[Bitmap]) {
        let has_system_calls = || regions.iter().any(|region| region.branches.flows.contains(&Flow::Next));
        if !code.is_linux || !has_system_calls() {
            return;
        }
        for (index, (region, instructions)) in code.regions.iter().zip(regions).enumerate() {
            let branches = &instructions.branches;
            for row in (0..branches.len()).filter(|row| branches.flows[*row] == Flow::Next) {
                let (position, end) = (branches.positions[row] as usize, branches.end(row));
                let start = straight_line_start(instructions, &targets[index], row, position);
                if straight_line::ends_process(region.isa, &region.bytes[start..end]) {
                    self.change((index, row), Flow::Trap, 0);
                }
            }
        }
    }

    /// Rule 3, for returns.
    fn find_resumptions(&mut self, code: &Code, regions: &[RegionInstructions], targets: &[Bitmap]) {
        for (index, (region, instructions)) in code.regions.iter().zip(regions).enumerate() {
            let branches = &instructions.branches;
            for row in 0..branches.len() {
                if !matches!(branches.flows[row], Flow::Ret | Flow::IndirectJump) {
                    continue;
                }
                let position = branches.positions[row] as usize;
                let start = straight_line_start(instructions, &targets[index], row, position);
                if region.isa.moves_stack_by_variable(&region.bytes[start..position]) {
                    self.change((index, row), Flow::Trap, 0);
                }
            }
        }
    }

    /// Rule 4.
    fn find_register_targets(
        &mut self,
        code: &Code,
        regions: &[RegionInstructions],
        anchors: &[Vec<u32>],
        targets: &[Bitmap],
    ) {
        for (region, row, target) in register_targets(code, regions, anchors, targets) {
            let flow = regions[region].branches.flows[row];
            let (flow, address) = match target {
                RegisterTarget::Loaded(address) => (flow, address),
                RegisterTarget::Address(address) if code.locate(address).is_none() => continue,
                RegisterTarget::Address(address) if flow == Flow::IndirectCall => (Flow::Call, address),
                RegisterTarget::Address(address) => (Flow::Jump, address),
            };
            self.change((region, row), flow, address);
            self.inferred_targets[region].push(row as u32);
        }
    }

    /// Rule 6.
    fn find_passed_prefixes(&mut self, code: &Code, regions: &[RegionInstructions]) {
        for (index, (region, instructions)) in code.regions.iter().zip(regions).enumerate() {
            let branches = &instructions.branches;
            for row in (0..branches.len()).filter(|row| branches.flows[*row] == Flow::CondJump) {
                let start = branches.end(row);
                let target = region.address + start as u64 + 1;
                if branches.targets[row] == target
                    && instructions.starts.contains(start)
                    && !instructions.starts.contains(start + 1)
                    && region.isa.has_atomic_prefix(&region.bytes[start..])
                {
                    self.change((index, row), Flow::CondJump, target - 1);
                    self.inferred_targets[index].push(row as u32);
                }
            }
            self.inferred_targets[index].sort_unstable();
        }
    }

    /// Rule 5. The register is set before the branch in the same function, by a call that fetches the own address and an
    /// addition.
    fn find_slots(&mut self, code: &Code, regions: &[RegionInstructions], anchors: &[Vec<u32>]) {
        /// Branches that are looked back at.
        const BRANCHES_BEFORE_MAX: usize = 1 << 10;
        let Some(table) = code.pointer_table else { return };
        for (index, (region, instructions)) in code.regions.iter().zip(regions).enumerate() {
            let branches = &instructions.branches;
            for row in (0..branches.len()).filter(|row| branches.targets[*row] == 0) {
                let position = branches.positions[row] as usize;
                if !matches!(branches.flows[row], Flow::IndirectCall | Flow::IndirectJump)
                    || self.inferred_targets[index].binary_search(&(row as u32)).is_ok()
                {
                    continue;
                }
                let Some((base, offset)) = region.isa.based_operand(&region.bytes[position..]) else {
                    continue;
                };
                let first = anchors[index].partition_point(|anchor| *anchor as usize <= position);
                let start = first.checked_sub(1).map_or(0, |anchor| anchors[index][anchor] as usize);
                let rows = (row.saturating_sub(BRANCHES_BEFORE_MAX)..row).rev();
                let mut own = rows.take_while(|before| {
                    let end = branches.end(*before);
                    let is_end = !branches.flows[*before].continues()
                        && region.isa.is_padding_at(&region.bytes[end..position]);
                    branches.positions[*before] as usize >= start && !is_end
                });
                let sets_base = |before: &usize| {
                    let end = branches.end(*before);
                    let callee = code.bytes(branches.targets[*before], 4);
                    branches.flows[*before] == Flow::Call
                        && region.isa.address_getter(callee) == Some(base)
                        && region.isa.added_constant(&region.bytes[end..], base).is_some_and(|added| {
                            (region.address + end as u64).wrapping_add(added) & mask(32) == table
                        })
                };
                if own.any(|before| sets_base(&before)) {
                    let address = table.wrapping_add(offset) & mask(32);
                    self.change((index, row), branches.flows[row], address);
                }
            }
        }
    }
}

/// Bytes of a push of a constant address.
const PUSH_SIZE: usize = 5;

fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}
