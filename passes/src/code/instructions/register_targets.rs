//! Targets of indirect branches through registers that hold a constant.
//!
//! *Problem.* Code of the large model calls `movabs $f, %rax; call *%rax`; compilers keep the address of a function, or
//! what they read from an import slot, in a register for several calls.
//!
//! *Algorithm.* Search backwards from the branch for the last instruction that writes the register. It is the only one
//! whose value reaches the branch if the code between them is entered at its start alone: every direct branch into it
//! comes from it, or from code after it that does not write the register either. Code after an instruction that does
//! not fall through is entered by its only direct branch, where the search continues. The value is the sum of constants
//! and of other registers, which are searched for in the same way, or is loaded from a constant address.
//!
//! *Cost.* At most 512 instructions per branch, and 8 KiB of code to check how it is entered.
//!
//! *Approximation.* Entries by indirect jumps are not seen. Calls keep callee-saved registers.

use super::ir::RegionInstructions;
use crate::bitmap::Bitmap;
use crate::code::regions::Code;
use crate::isa::ops::{Op, Operand, Operation, Ops, Part, Place, Reg, Rest};
use crate::isa::{Abi, Buffers, Decoder, InstructionSet, with_instruction_set};
use binframe_ir::tables::Flow;
use rayon::prelude::*;

/// Instructions that are examined for one branch.
const STEPS_MAX: usize = 512;

/// Registers whose values depend on each other.
const DEPTH_MAX: usize = 6;

/// Bytes whose entries are examined, for one branch.
const CHECKED_SIZE_MAX: usize = 1 << 13;

/// Branches that one thread examines at a time.
const BRANCHES_PER_TASK: usize = 64;

/// The target of an indirect branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegisterTarget {
    /// A constant.
    Address(u64),
    /// What is loaded from a constant address.
    Loaded(u64),
}

/// A region and a position in it.
type Location = (usize, usize);

/// Finds the targets of those indirect branches without a constant operand, as region, row and target. `anchors` are the
/// positions of declared functions, `targets` those of direct branches.
pub(super) fn register_targets(
    code: &Code,
    regions: &[RegionInstructions],
    anchors: &[Vec<u32>],
    targets: &[Bitmap],
) -> Vec<(usize, usize, RegisterTarget)> {
    let branches = regions.iter().enumerate().flat_map(|(region, instructions)| {
        let branches = &instructions.branches;
        let is_open = |row: &usize| {
            matches!(branches.flows[*row], Flow::IndirectCall | Flow::IndirectJump)
                && branches.targets[*row] == 0
        };
        (0..branches.len()).filter(is_open).map(move |row| (region, row))
    });
    let branches: Vec<_> = branches.collect();
    if branches.is_empty() {
        return Vec::new();
    }
    let entries = Entries::new(code, regions, anchors, targets);
    let new_search =
        || Search { code, regions, entries: &entries, scratch: Scratch::default(), steps: 0, checked: 0 };
    let found =
        branches.par_iter().with_min_len(BRANCHES_PER_TASK).map_init(new_search, |search, (region, row)| {
            (search.steps, search.checked) = (0, 0);
            Some((*region, *row, search.target(*region, *row)?))
        });
    found.flatten().collect()
}

/// Where direct branches and declarations enter code.
struct Entries<'a> {
    /// The targets of direct branches in each region.
    targets: &'a [Bitmap],
    /// The target and the position of each direct branch, sorted.
    branches: Vec<(Location, Location)>,
    /// The positions of declared functions in each region.
    functions: Vec<Bitmap>,
    /// The positions of declared fragments in each region.
    fragments: Vec<Bitmap>,
}

impl<'a> Entries<'a> {
    fn new(code: &Code, regions: &[RegionInstructions], anchors: &[Vec<u32>], targets: &'a [Bitmap]) -> Self {
        let empty = || code.regions.iter().map(|region| Bitmap::new(region.bytes.len())).collect::<Vec<_>>();
        let (mut functions, mut fragments) = (empty(), empty());
        let mut branches = Vec::new();
        for (region, instructions) in regions.iter().enumerate() {
            for anchor in &anchors[region] {
                functions[region].insert(*anchor as usize);
            }
            let own = &instructions.branches;
            for row in 0..own.len() {
                if !matches!(own.flows[row], Flow::Call | Flow::Jump | Flow::CondJump) {
                    continue;
                }
                let Some(target) = code.locate(own.targets[row]) else { continue };
                branches.push((target, (region, own.positions[row] as usize)));
            }
        }
        for start in code.starts.iter().filter(|start| start.is_fragment) {
            if let Some((region, position)) = code.locate(start.address) {
                fragments[region].insert(position);
            }
        }
        branches.par_sort_unstable();
        Self { targets, branches, functions, fragments }
    }

    /// The positions of the direct branches to a location.
    fn branches_to(&self, target: Location) -> impl Iterator<Item = Location> {
        let first = self.branches.partition_point(|(other, _)| *other < target);
        self.branches[first..]
            .iter()
            .take_while(move |(other, _)| *other == target)
            .map(|(_, source)| *source)
    }
}

/// What an instruction does to a register.
enum Effect {
    Keeps,
    Sets(Sum),
    Unknown,
}

/// The sum of at most two registers and a constant, or what is loaded from that address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    registers: [Option<Reg>; 2],
    constant: u64,
    is_loaded: bool,
}

impl Sum {
    fn of_constant(constant: u64) -> Self {
        Self { registers: [None; 2], constant, is_loaded: false }
    }

    /// The sum of two; `None` if it has more than two registers, or is no sum of registers.
    fn plus(self, other: Self) -> Option<Self> {
        let mut registers = self.registers.into_iter().chain(other.registers).flatten();
        let sum = Self {
            registers: [registers.next(), registers.next()],
            constant: self.constant.wrapping_add(other.constant),
            is_loaded: false,
        };
        (!self.is_loaded && !other.is_loaded && registers.next().is_none()).then_some(sum)
    }

    fn loaded(self) -> Option<Self> {
        (!self.is_loaded).then_some(Self { is_loaded: true, ..self })
    }
}

/// Buffers for one instruction.
#[derive(Default)]
struct Scratch {
    buffers: Buffers,
    ops: Ops,
    temporaries: Vec<Option<Sum>>,
}

impl Scratch {
    /// Lowers the instruction at a position of a region.
    fn lower(&mut self, code: &Code, (region, position): Location) {
        let region = &code.regions[region];
        self.ops.clear();
        with_instruction_set!(region.isa, S => {
            let address = region.address + position as u64;
            let mut decoder = S::decoder(region.isa, &region.bytes[position..], address);
            let mut instruction = <S as InstructionSet>::Instruction::default();
            if decoder.decode(&mut instruction) {
                S::lower(&instruction, &mut self.buffers, &mut self.ops);
            }
        });
    }

    /// The target of the lowered branch, and its effect on a register.
    fn evaluate(&mut self, abi: &Abi, register: Option<Reg>) -> (Option<Sum>, Effect) {
        self.temporaries.clear();
        self.temporaries.resize(self.ops.temporaries().len(), None);
        let (mut target, mut effect) = (None, Effect::Keeps);
        for op in self.ops.as_slice() {
            match op.operation {
                Operation::Jump | Operation::Call => target = self.operand(op.inputs[0], abi),
                Operation::Service if register == Some(abi.result) => effect = Effect::Unknown,
                _ => {}
            }
            let value = self.value(op, abi).filter(|_| op.guard.is_none() && op.lanes == 1);
            for place in self.ops.places(op) {
                match *place {
                    Place::Temporary(index, _) => self.temporaries[usize::from(index)] = value,
                    Place::Register(own, part, rest) if Some(own) == register => {
                        let is_whole =
                            part.low == 0 && (part.bits >= abi.address_bits || rest == Rest::Zeroed);
                        effect = value.filter(|_| is_whole).map_or(Effect::Unknown, Effect::Sets);
                    }
                    _ => {}
                }
            }
        }
        (target, effect)
    }

    fn value(&self, op: &Op, abi: &Abi) -> Option<Sum> {
        let [a, b, c, _] = op.inputs;
        match op.operation {
            Operation::Copy | Operation::Address | Operation::ZeroExtend => self.operand(a, abi),
            Operation::Add if c == Operand::None => self.operand(a, abi)?.plus(self.operand(b, abi)?),
            Operation::Load if op.bits == abi.address_bits => self.operand(a, abi)?.loaded(),
            _ => None,
        }
    }

    fn operand(&self, operand: Operand, abi: &Abi) -> Option<Sum> {
        let is_whole = |part: Part| part.low == 0 && part.bits >= abi.address_bits;
        match operand {
            Operand::Constant(number, _) | Operand::Address(number, _) => Some(Sum::of_constant(number)),
            Operand::Register(register, part) if is_whole(part) => {
                Some(Sum { registers: [Some(register), None], ..Sum::of_constant(0) })
            }
            Operand::Temporary(index, part) if is_whole(part) => self.temporaries[usize::from(index)],
            _ => None,
        }
    }
}

/// The search for the target of one branch.
struct Search<'a> {
    code: &'a Code,
    regions: &'a [RegionInstructions],
    entries: &'a Entries<'a>,
    scratch: Scratch,
    steps: usize,
    /// Bytes whose entries were examined.
    checked: usize,
}

impl Search<'_> {
    /// The target of a branch; `None` if it is not constant.
    fn target(&mut self, region: usize, row: usize) -> Option<RegisterTarget> {
        let location = (region, self.regions[region].branches.positions[row] as usize);
        self.scratch.lower(self.code, location);
        let abi = self.code.regions[region].isa.abi();
        let (target, _) = self.scratch.evaluate(&abi, None);
        let target = target.filter(|target| target.registers[0].is_some())?;
        self.resolve(target, location, &abi, 0)
    }

    /// The value of a sum before a location.
    fn resolve(&mut self, sum: Sum, before: Location, abi: &Abi, depth: usize) -> Option<RegisterTarget> {
        let mut number = sum.constant;
        for register in sum.registers.into_iter().flatten() {
            let is_loadable =
                !sum.is_loaded && sum == Sum { registers: [Some(register), None], ..Sum::of_constant(0) };
            match self.register(register, before, abi, is_loadable, depth + 1)? {
                RegisterTarget::Address(address) => number = number.wrapping_add(address),
                loaded @ RegisterTarget::Loaded(_) => return Some(loaded),
            }
        }
        let number = number & (u64::MAX >> (64 - u32::from(abi.address_bits)));
        Some(if sum.is_loaded { RegisterTarget::Loaded(number) } else { RegisterTarget::Address(number) })
    }

    /// The value of a register before a location; one that is loaded only if `is_loadable`.
    fn register(
        &mut self,
        register: Reg,
        before: Location,
        abi: &Abi,
        is_loadable: bool,
        depth: usize,
    ) -> Option<RegisterTarget> {
        if depth > DEPTH_MAX {
            return None;
        }
        let (mut location, mut end) = (before, before.1);
        // Whether code between `location` and `end` is entered by a branch.
        let mut is_entered = false;
        loop {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return None;
            }
            is_entered |= self.entries.targets[location.0].contains(location.1);
            let is_function = self.entries.functions[location.0].contains(location.1);
            let Some(position) = self.previous(location).filter(|_| !is_function) else {
                let source = self.only_entry(location, end, register, abi)?;
                (location, end, is_entered) = (source, source.1, false);
                continue;
            };
            let instruction = (location.0, position);
            match self.effect(instruction, register, abi) {
                Effect::Keeps => location = instruction,
                Effect::Unknown => return None,
                Effect::Sets(sum) if sum.is_loaded && !is_loadable => {
                    let pushed = self.pushed_address(sum, instruction, abi)?;
                    let is_own = !is_entered || self.is_closed(location, end, register, abi, None);
                    return is_own.then_some(RegisterTarget::Address(pushed));
                }
                Effect::Sets(sum) => {
                    if is_entered && !self.is_closed(location, end, register, abi, None) {
                        return None;
                    }
                    if let Some(pushed) = self.pushed_address(sum, instruction, abi) {
                        return Some(RegisterTarget::Address(pushed));
                    }
                    return self.resolve(sum, instruction, abi, depth);
                }
            }
        }
    }

    /// The instruction before a location that falls through to it.
    fn previous(&self, (region, position): Location) -> Option<usize> {
        let instructions = &self.regions[region];
        let before = instructions.starts.last_in(0..position)?;
        let row = instructions.branches.first_at(before);
        let is_branch = instructions.branches.positions.get(row) == Some(&(before as u32));
        (!is_branch || instructions.branches.flows[row].continues()).then_some(before)
    }

    /// What an instruction does to a register.
    fn effect(&mut self, (region, position): Location, register: Reg, abi: &Abi) -> Effect {
        let branches = &self.regions[region].branches;
        let row = branches.first_at(position);
        let is_branch = branches.positions.get(row) == Some(&(position as u32));
        if is_branch && matches!(branches.flows[row], Flow::Call | Flow::IndirectCall) {
            let next = self.code.regions[region].address + branches.end(row) as u64;
            let target = branches.targets[row];
            let callee = if branches.flows[row] == Flow::Call { self.code.bytes(target, 4) } else { &[] };
            let is_changed =
                register == abi.stack_pointer || target != next && abi.clobbered.contains(register);
            return match self.code.regions[region].isa.address_getter(callee) {
                Some(own) if own == register => Effect::Sets(Sum::of_constant(next)),
                None if is_changed => Effect::Unknown,
                _ => Effect::Keeps,
            };
        }
        self.scratch.lower(self.code, (region, position));
        self.scratch.evaluate(abi, Some(register)).1
    }

    /// The address that the call of the next instruction pushed, which an instruction right after it pops.
    fn pushed_address(&self, sum: Sum, (region, position): Location, abi: &Abi) -> Option<u64> {
        let is_top = sum.is_loaded && sum.registers == [Some(abi.stack_pointer), None] && sum.constant == 0;
        let branches = &self.regions[region].branches;
        let row = branches.first_at(position).checked_sub(1).filter(|_| is_top)?;
        let address = self.code.regions[region].address + position as u64;
        let is_call = branches.flows[row] == Flow::Call && branches.end(row) == position;
        (is_call && branches.targets[row] == address).then_some(address)
    }

    /// The only direct branch to a location that code before it does not fall through to, and that is no function; the
    /// code from there to `end` has no other entry.
    fn only_entry(&mut self, location: Location, end: usize, register: Reg, abi: &Abi) -> Option<Location> {
        let is_function = self.entries.functions[location.0].contains(location.1);
        if is_function && !self.entries.fragments[location.0].contains(location.1) {
            return None;
        }
        let source = {
            let mut sources = self.entries.branches_to(location);
            let source = sources.next()?;
            sources.next().is_none().then_some(source)?
        };
        let branches = &self.regions[source.0].branches;
        let flow = branches.flows[branches.first_at(source.1)];
        let is_jump = matches!(flow, Flow::Jump | Flow::CondJump);
        (is_jump && self.is_closed(location, end, register, abi, Some(source))).then_some(source)
    }

    /// Whether the code from a location to `end` is entered only at its start: by falling through, or from `source`. All
    /// direct branches into it come from it, or from code after it that is entered only from there, and that keeps the
    /// register.
    fn is_closed(
        &mut self,
        (region, start): Location,
        end: usize,
        register: Reg,
        abi: &Abi,
        source: Option<Location>,
    ) -> bool {
        let (mut position, mut end) = (start, end);
        while position <= end {
            let location = (region, position);
            if self.entries.functions[region].contains(position) && (position != start || source.is_none()) {
                return false;
            }
            if self.entries.targets[region].contains(position) {
                for from in self.entries.branches_to(location) {
                    if source == Some(from) && position == start {
                        continue;
                    }
                    if from.0 != region || from.1 < start || from.1 - start > CHECKED_SIZE_MAX {
                        return false;
                    }
                    end = end.max(from.1);
                }
            }
            let bytes = self.code.regions[region].bytes.len();
            let next = self.regions[region].starts.first_in(position + 1..bytes).unwrap_or(bytes);
            self.checked += next - position;
            if self.checked > CHECKED_SIZE_MAX {
                return false;
            }
            // The instruction at `end` leaves the code, or jumps back into it.
            if position < end && !matches!(self.effect(location, register, abi), Effect::Keeps) {
                return false;
            }
            position = next;
        }
        true
    }
}
