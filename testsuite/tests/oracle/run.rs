//! `(program, steps) -> observations`: compares a run with the claims of the tables.

use crate::claims::{Claim, InstructionClaims, Program};
use crate::flow::{AccessedRange, Flow};
use crate::tracer::{Registers, Tracer};
use binframe::ir::Enumeration;
use binframe::ir::tables::{Access, AccessRegion, Confidence};
use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A function activation that has not returned.
struct Activation {
    /// Sequence number, starting at 1.
    id: u64,
    function: u64,
    entry: Registers,
    /// Stack arguments at the entry, by offset.
    arguments: HashMap<u64, u64>,
    /// Stack pointer after it was aligned.
    aligned: Option<u64>,
    /// Return values by call.
    results: HashMap<u64, BTreeSet<u64>>,
    /// Address and return address of the pending call.
    calling: Option<(u64, u64)>,
}

/// Observations of a run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Accesses by region and confidence: right, wrong.
    pub(crate) accesses: BTreeMap<(&'static str, &'static str), [u64; 2]>,
    /// Accesses that cannot be checked, because their base was not observed.
    pub(crate) unchecked: u64,
    /// The first wrong accesses.
    pub(crate) violations: Vec<String>,
    /// Calls of functions with bounded stack depth, and those that exceeded it.
    pub(crate) depths: [u64; 2],
    /// Uses of registers and stack bytes by confidence: right, wrong.
    pub(crate) uses: BTreeMap<(&'static str, &'static str), [u64; 2]>,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        for (key, counts) in other.accesses {
            let own = self.accesses.entry(key).or_default();
            own[0] += counts[0];
            own[1] += counts[1];
        }
        for (key, counts) in other.uses {
            let own = self.uses.entry(key).or_default();
            own[0] += counts[0];
            own[1] += counts[1];
        }
        self.unchecked += other.unchecked;
        self.violations.extend(other.violations);
        self.depths[0] += other.depths[0];
        self.depths[1] += other.depths[1];
    }

    pub(crate) fn total(&self) -> u64 {
        self.accesses.values().map(|[right, wrong]| right + wrong).sum()
    }

    /// Number of wrong uses, except those of confidence `likely`.
    pub(crate) fn wrong_uses(&self) -> u64 {
        let sure = self.uses.iter().filter(|((_, confidence), _)| *confidence != Confidence::Likely.name());
        sure.map(|(_, [_, wrong])| wrong).sum()
    }

    /// Number of wrong accesses of confidence `certain`.
    pub(crate) fn wrong(&self) -> u64 {
        let certain =
            self.accesses.iter().filter(|((_, confidence), _)| *confidence == Confidence::Certain.name());
        certain.map(|(_, [_, wrong])| wrong).sum()
    }
}

/// Runs at most `steps` instructions of the program's own code.
pub(crate) fn observe(tracer: &mut Tracer, program: &Program, steps: u64) -> Seen {
    let mut run = Run {
        program,
        seen: Seen::default(),
        stack: Vec::new(),
        bias: tracer.bias,
        activations: 0,
        gaps: 0,
        flow: Flow::new(),
    };
    let mut before: Option<&InstructionClaims> = None;
    let Some(mut registers) = tracer.registers() else { return run.seen };
    for _ in 0..steps {
        let address = registers.rip.wrapping_sub(run.bias);
        let known = program.instructions.get(&address);
        run.arrive(tracer, address, before, &registers);
        if let Some(known) = known {
            run.check(known, &registers);
            run.check_data_flow(known, &registers);
            run.record_call(known);
        }
        before = known;
        let returns = run.returns();
        let Some(next) = tracer.step(&returns, |address| program.functions.contains(&address)) else { break };
        run.after(before, &next);
        registers = next;
    }
    while let Some(activation) = run.stack.pop() {
        run.close(&activation);
    }
    run.seen.uses = run.flow.uses;
    run.seen.violations.extend(run.flow.violations);
    run.seen
}

struct Run<'p> {
    program: &'p Program,
    seen: Seen,
    stack: Vec<(Activation, u64)>,
    bias: u64,
    /// Number of activations so far.
    activations: u64,
    /// Number of unobserved intervals so far.
    gaps: u64,
    flow: Flow,
}

impl Run<'_> {
    /// Handles the arrival at an instruction: function entries and returns.
    fn arrive(
        &mut self,
        tracer: &Tracer,
        address: u64,
        before: Option<&InstructionClaims>,
        registers: &Registers,
    ) {
        while self.stack.last().is_some_and(|(top, _)| registers.rsp > top.entry.rsp) {
            if let Some(activation) = self.stack.pop() {
                self.close(&activation);
            }
        }
        for (_, lowest) in &mut self.stack {
            *lowest = registers.rsp.min(*lowest);
        }
        if let Some((top, _)) = self.stack.last_mut()
            && let Some((call, return_address)) = top.calling
            && return_address == address
        {
            top.results.entry(call).or_default().insert(registers.rax);
            top.calling = None;
            let returns = before.is_some_and(|known| known.instruction.flow_control() == FlowControl::Return);
            self.gaps += u64::from(!returns);
            self.flow.return_from_call(top.id, call, self.gaps);
        }
        if !self.program.functions.contains(&address) {
            return;
        }
        let is_target = before.is_some_and(|known| targets(&known.instruction, address));
        // A loop may branch back to the first instruction of its function.
        let is_call = before.is_some_and(|known| known.instruction.flow_control() == FlowControl::Call);
        if is_target && !is_call && before.is_some_and(|known| known.function == address) {
            return;
        }
        self.gaps += u64::from(!is_target);
        self.activations += 1;
        if self.stack.last().is_some_and(|(top, _)| top.entry.rsp == registers.rsp) {
            // A tail call replaces the activation.
            if let Some(activation) = self.stack.pop() {
                self.close(&activation);
            }
        }
        let places = self.program.arguments.get(&address).into_iter().flatten();
        let arguments =
            places.filter_map(|offset| Some((*offset, tracer.read(registers.rsp.wrapping_add(*offset))?)));
        let activation = Activation {
            id: self.activations,
            function: address,
            entry: *registers,
            arguments: arguments.collect(),
            aligned: None,
            results: HashMap::new(),
            calling: None,
        };
        self.stack.push((activation, registers.rsp));
    }

    /// Records a call before it is executed.
    fn record_call(&mut self, known: &InstructionClaims) {
        let instruction = &known.instruction;
        if matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
            && let Some((top, _)) = self.stack.last_mut()
        {
            top.calling = Some((instruction.ip(), instruction.next_ip()));
            self.flow.call(top.id, self.gaps);
        }
    }

    /// Compares the uses of an instruction with `data_flow_edges`, and records its writes.
    fn check_data_flow(&mut self, known: &InstructionClaims, registers: &Registers) {
        let Some((top, _)) = self.stack.last() else { return };
        let accessed = known.claims.iter().filter_map(|claim| {
            let address = address(known, claim, registers, self.bias)?;
            let is_repeated = known.instruction.has_rep_prefix() || known.instruction.has_repne_prefix();
            Some(AccessedRange {
                address,
                size: if is_repeated { claim.size * registers.rcx } else { claim.size },
                is_read: matches!(claim.access, Access::Read | Access::ReadWrite) && !is_repeated,
                is_written: matches!(claim.access, Access::Write | Access::ReadWrite),
            })
        });
        let accessed: Vec<_> = accessed.collect();
        let is_whole = top.function == known.function;
        self.flow.step(&self.program.sources, known, top.id, is_whole, &accessed);
    }

    /// Return addresses of the last calls, some of which are calls of stubs.
    fn returns(&self) -> Vec<u64> {
        let pending = self.stack.iter().rev().take(4).filter_map(|(activation, _)| activation.calling);
        pending.map(|(_, return_address)| return_address.wrapping_add(self.bias)).collect()
    }

    /// Records the effect of an instruction on the stack alignment.
    fn after(&mut self, before: Option<&InstructionClaims>, registers: &Registers) {
        let Some(known) = before else { return };
        let instruction = &known.instruction;
        let is_alignment =
            instruction.mnemonic() == Mnemonic::And && instruction.op0_register() == Register::RSP;
        if is_alignment && let Some((top, _)) = self.stack.last_mut() {
            top.aligned = Some(registers.rsp);
        }
    }

    fn close(&mut self, (activation, lowest): &(Activation, u64)) {
        let Some(depth) = self.program.depths.get(&activation.function) else { return };
        let used = activation.entry.rsp - lowest;
        self.seen.depths[0] += 1;
        if used > *depth {
            self.seen.depths[1] += 1;
            self.seen
                .violations
                .push(format!("{:#x} uses {used} bytes of stack, more than {depth}", activation.function));
        }
    }

    fn check(&mut self, known: &InstructionClaims, registers: &Registers) {
        for claim in &known.claims {
            let Some(address) = address(known, claim, registers, self.bias) else { continue };
            let key = (claim.region.name(), claim.confidence.name());
            // Computed addresses that are not accessed are only checked if an object is claimed.
            if claim.access == Access::Address && claim.span_size != Some(0) {
                continue;
            }
            let found = match self.stack.last() {
                Some((top, _)) if top.function == known.function => {
                    self.agrees(top, claim, address, registers)
                }
                _ if claim.region == AccessRegion::Global || claim.region == AccessRegion::Unknown => {
                    self.agrees_anywhere(claim, address)
                }
                _ => None,
            };
            let Some(agrees) = found else {
                self.seen.unchecked += 1;
                continue;
            };
            self.seen.accesses.entry(key).or_default()[usize::from(!agrees)] += 1;
            if !agrees && claim.confidence == Confidence::Certain && self.seen.violations.len() < 20 {
                let entry = self.stack.last().map_or(0, |(top, _)| top.entry.rsp);
                self.seen.violations.push(format!(
                    "{:#x} {} of {:#x} accesses {:#x} (stack {}): {claim:x?}",
                    known.instruction.ip(),
                    known.instruction,
                    known.function,
                    address.wrapping_sub(self.bias),
                    address.wrapping_sub(entry) as i64,
                ));
            }
        }
    }

    fn agrees_anywhere(&self, claim: &Claim, address: u64) -> Option<bool> {
        match claim.region {
            AccessRegion::Unknown => Some(true),
            AccessRegion::Global => {
                let in_file = address.wrapping_sub(self.bias);
                let object = claim.object.map(|object| (object.address, object.size));
                let is_inside =
                    object.is_none_or(|(start, size)| is_contained(in_file, claim.size, start, size));
                Some(is_inside && is_within(claim, in_file, claim.global_address?))
            }
            _ => None,
        }
    }

    /// Whether an address is as claimed; `None` if this is unknown.
    fn agrees(&self, top: &Activation, claim: &Claim, address: u64, registers: &Registers) -> Option<bool> {
        let from = |base: u64| is_within(claim, address, base.wrapping_add_signed(claim.offset.unwrap_or(0)));
        match claim.region {
            AccessRegion::Unknown | AccessRegion::Global => self.agrees_anywhere(claim, address),
            AccessRegion::Stack | AccessRegion::AlignedStack => {
                let object = claim.object?;
                let is_aligned = claim.region == AccessRegion::AlignedStack;
                let base = if is_aligned { top.aligned? } else { top.entry.rsp };
                let start = base.wrapping_add_signed(object.offset);
                Some(is_contained(address, claim.size, start, object.size) && from(base))
            }
            AccessRegion::Parameter => {
                let base = match (&claim.parameter_register, claim.parameter_stack_offset) {
                    (Some(name), _) => value_of(register_named(name)?, &top.entry)?,
                    (None, offset) => *top.arguments.get(&offset?.try_into().ok()?)?,
                };
                Some(from(base))
            }
            AccessRegion::Heap | AccessRegion::Returned => {
                let results = top.results.get(&claim.call_address?)?;
                let size = claim.object.map(|object| object.size).filter(|size| *size > 0);
                Some(results.iter().any(|result| {
                    from(*result) && size.is_none_or(|size| is_contained(address, claim.size, *result, size))
                }))
            }
            AccessRegion::DynamicStack => None,
            AccessRegion::ThreadLocal => Some(from(registers.fs_base)),
        }
    }
}

/// Whether an instruction transfers control directly to an address.
fn targets(instruction: &Instruction, address: u64) -> bool {
    match instruction.flow_control() {
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch | FlowControl::Call => {
            instruction.near_branch_target() == address || instruction.next_ip() == address
        }
        FlowControl::Next => instruction.next_ip() == address,
        _ => false,
    }
}

/// Whether one address range contains another.
fn is_contained(address: u64, size: u64, start: u64, outer_size: u64) -> bool {
    address >= start && address - start <= outer_size && size <= outer_size - (address - start)
}

/// Whether an address is in the claimed extent and stride, given the first address.
fn is_within(claim: &Claim, address: u64, first: u64) -> bool {
    let distance = address.wrapping_sub(first);
    let is_in_extent = claim.span_size.is_none_or(|extent| distance.wrapping_add(claim.size) <= extent);
    let is_in_step =
        claim.stride.is_none_or(|stride| (distance as i64).rem_euclid(i64::from(stride.max(1))) == 0);
    // The distance may be negative: if the bounds are unknown, the first address need not be the lowest.
    is_in_extent && is_in_step
}

/// The address of a claim in the current state.
fn address(known: &InstructionClaims, claim: &Claim, registers: &Registers, bias: u64) -> Option<u64> {
    let instruction = &known.instruction;
    let operands = (0..instruction.op_count()).filter(|operand| is_memory(instruction.op_kind(*operand)));
    let operand = if claim.is_implicit { operands.clone().nth(1) } else { operands.clone().next() };
    if let Some(operand) = operand {
        let pops = instruction.mnemonic() == Mnemonic::Pop && instruction.memory_base() == Register::RSP;
        let address =
            instruction.virtual_address(operand, 0, |register, _, _| value_of(register, registers))?;
        let moved = if instruction.is_ip_rel_memory_operand() { bias } else { 0 };
        return Some(address.wrapping_add(moved).wrapping_add(if pops { 8 } else { 0 }));
    }
    match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pushfq => {
            Some(registers.rsp.wrapping_add_signed(i64::from(instruction.stack_pointer_increment())))
        }
        Mnemonic::Pop | Mnemonic::Popfq => Some(registers.rsp),
        _ => None,
    }
}

fn is_memory(kind: OpKind) -> bool {
    use OpKind::{MemoryESEDI, MemoryESRDI, MemorySegEDI, MemorySegESI, MemorySegRDI, MemorySegRSI};
    kind == OpKind::Memory
        || [MemorySegRSI, MemorySegRDI, MemoryESRDI, MemorySegESI, MemorySegEDI, MemoryESEDI].contains(&kind)
}

fn register_named(name: &str) -> Option<Register> {
    Register::values()
        .find(|register| register.is_gpr64() && format!("{register:?}").eq_ignore_ascii_case(name))
}

/// Value of a register.
fn value_of(register: Register, registers: &Registers) -> Option<u64> {
    let whole = match register.full_register() {
        Register::RAX => registers.rax,
        Register::RCX => registers.rcx,
        Register::RDX => registers.rdx,
        Register::RBX => registers.rbx,
        Register::RSP => registers.rsp,
        Register::RBP => registers.rbp,
        Register::RSI => registers.rsi,
        Register::RDI => registers.rdi,
        Register::R8 => registers.r8,
        Register::R9 => registers.r9,
        Register::R10 => registers.r10,
        Register::R11 => registers.r11,
        Register::R12 => registers.r12,
        Register::R13 => registers.r13,
        Register::R14 => registers.r14,
        Register::R15 => registers.r15,
        Register::FS => registers.fs_base,
        Register::GS => registers.gs_base,
        Register::ES | Register::DS | Register::SS | Register::CS => 0,
        _ => return None,
    };
    Some(match register.size() {
        4 => whole & 0xffff_ffff,
        _ => whole,
    })
}
