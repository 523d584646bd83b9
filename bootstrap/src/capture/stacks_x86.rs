//! `(snapshot, modules) -> call stacks` of 32-bit x86 code.
//!
//! *Problem.* From the registers of a thread, find those of its callers. Optimized code keeps no frame pointers.
//!
//! *Notation.* The *canonical frame address* (CFA) of a call is the value of the stack pointer before the call. Call frame
//! information (`.eh_frame`) states it for each instruction, and where the registers of the caller are stored relative to it.
//!
//! *Algorithm.* For each call, the entry of its code is evaluated (gimli). Code without an entry is assumed to keep the
//! chain of frame pointers.
//!
//! *Termination.* The CFA grows from call to call. The stack ends where the return address is declared undefined, or cannot
//! be read, or the CFA does not grow.
//!
//! *Cost.* Each module's entries are indexed once; a call is a binary search and the evaluation of one entry.
//!
//! Source: System V ABI, Intel386 supplement; DWARF 5, 6.4.

use super::modules::Module;
use super::snapshot::{ProcessSnapshot, ThreadState};
use super::stacks::{DEPTH_MAX, Frame};
use bytes::Bytes;
use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, Encoding, EndianSlice, EvaluationResult, Format, LittleEndian,
    Location, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value,
};
use std::ops::Range;

/// Names of the registers in the order of DWARF, in 32-bit cores and as a processor of x86-64 names them.
const NAMES: [(&str, &str); 8] = [
    ("eax", "rax"),
    ("ecx", "rcx"),
    ("edx", "rdx"),
    ("ebx", "rbx"),
    ("esp", "rsp"),
    ("ebp", "rbp"),
    ("esi", "rsi"),
    ("edi", "rdi"),
];
const STACK_POINTER: usize = 4;
const FRAME_POINTER: usize = 5;
/// The registers that a function restores: `ebx`, `ebp`, `esi`, `edi`.
const KEPT: [usize; 4] = [3, FRAME_POINTER, 6, 7];
/// The return address, as if it were a register.
const PROGRAM_COUNTER: usize = 8;

/// Values of registers; `None` if unknown.
type Registers = [Option<u32>; 9];

/// Operations of an expression at most.
const OPERATIONS_MAX: u32 = 1000;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The call frame information of modules.
pub(super) struct X86Walker {
    modules: Vec<CallFrames>,
    context: UnwindContext<usize>,
}

/// The call frame information of a module.
struct CallFrames {
    range: Range<u64>,
    load_bias: u64,
    section: Bytes,
    bases: BaseAddresses,
    /// Address range in the file and offset of each entry, sorted.
    entries: Vec<(Range<u64>, usize)>,
}

/// What is known of a caller.
struct Caller {
    registers: Registers,
    /// Whether the program counter is that of an interrupted instruction, not a return address.
    is_interrupted: bool,
}

impl X86Walker {
    pub(super) fn new(modules: &[Module]) -> Self {
        let modules = modules.iter().filter_map(CallFrames::of).collect();
        Self { modules, context: UnwindContext::new() }
    }

    /// The calls of a thread, the most recent first.
    pub(super) fn frames(&mut self, snapshot: &ProcessSnapshot, thread: &ThreadState) -> Vec<Frame> {
        let mut registers: Registers = [None; 9];
        for (value, (name, wide_name)) in registers.iter_mut().zip(NAMES) {
            *value = Some(thread.register(name).max(thread.register(wide_name)) as u32);
        }
        registers[STACK_POINTER] = Some(thread.stack_pointer as u32);
        registers[PROGRAM_COUNTER] = Some(thread.program_counter as u32);
        let mut current = Caller { registers, is_interrupted: true };
        let mut frames = Vec::new();
        while let Some(program_counter) = current.registers[PROGRAM_COUNTER]
            && frames.len() < DEPTH_MAX
        {
            let program_counter = u64::from(program_counter);
            let code_address = program_counter - u64::from(!current.is_interrupted && program_counter > 0);
            let caller = self.caller(snapshot, code_address, &current.registers);
            let stack_pointer = caller.as_ref().and_then(|caller| caller.registers[STACK_POINTER]);
            let is_deeper = stack_pointer > current.registers[STACK_POINTER];
            let stack_pointer = stack_pointer.filter(|_| is_deeper).map(u64::from);
            frames.push(Frame { program_counter, code_address, stack_pointer });
            match caller.filter(|caller| is_deeper && caller.registers[PROGRAM_COUNTER] != Some(0)) {
                Some(caller) => current = caller,
                None => break,
            }
        }
        frames
    }

    fn caller(&mut self, snapshot: &ProcessSnapshot, address: u64, registers: &Registers) -> Option<Caller> {
        let module = self.modules.iter().find(|module| module.range.contains(&address));
        let by_entry = module.and_then(|module| {
            let address = address.wrapping_sub(module.load_bias) & u64::from(u32::MAX);
            Some((module, module.entry_of(address)?, address))
        });
        match by_entry {
            Some((module, offset, address)) => {
                module.caller(snapshot, (offset, address), registers, &mut self.context)
            }
            None => caller_by_frame_pointer(snapshot, registers),
        }
    }
}

fn word(snapshot: &ProcessSnapshot, address: u32) -> Option<u32> {
    snapshot.bytes_at(u64::from(address)).first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The caller of code that saved the frame pointer of its caller below the return address.
fn caller_by_frame_pointer(snapshot: &ProcessSnapshot, registers: &Registers) -> Option<Caller> {
    let frame = registers[FRAME_POINTER]?;
    let mut caller: Registers = [None; 9];
    caller[FRAME_POINTER] = word(snapshot, frame);
    caller[PROGRAM_COUNTER] = word(snapshot, frame.checked_add(4)?);
    caller[STACK_POINTER] = frame.checked_add(8);
    Some(Caller { registers: caller, is_interrupted: false })
}

impl CallFrames {
    fn of(module: &Module) -> Option<Self> {
        let (address, section) = module.image.section(".eh_frame")?;
        let address_of = |name| module.image.section(name).map_or(0, |(address, _)| address);
        let bases = BaseAddresses::default()
            .set_eh_frame(address)
            .set_text(address_of(".text"))
            .set_got(address_of(".got"));
        let mut frames = Self {
            range: module.start..module.end,
            load_bias: module.load_bias,
            section,
            bases,
            entries: Vec::new(),
        };
        let eh_frame = frames.eh_frame();
        let mut entries = eh_frame.entries(&frames.bases);
        let mut found = Vec::new();
        // What follows an entry that cannot be read is unknown.
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            if let Ok(entry) = partial.parse(EhFrame::cie_from_offset) {
                found.push((entry.initial_address()..entry.end_address(), entry.offset()));
            }
        }
        found.sort_by_key(|(range, offset)| (range.start, *offset));
        frames.entries = found;
        Some(frames)
    }

    fn eh_frame(&self) -> EhFrame<Slice<'_>> {
        let mut section = EhFrame::new(&self.section, LittleEndian);
        section.set_address_size(4);
        section
    }

    /// The offset of the entry of the code at an address of the file.
    fn entry_of(&self, address: u64) -> Option<usize> {
        let after = self.entries.partition_point(|(range, _)| range.start <= address);
        let (range, offset) = self.entries.get(after.checked_sub(1)?)?;
        range.contains(&address).then_some(*offset)
    }

    fn caller(
        &self,
        snapshot: &ProcessSnapshot,
        (offset, address): (usize, u64),
        registers: &Registers,
        context: &mut UnwindContext<usize>,
    ) -> Option<Caller> {
        let section = self.eh_frame();
        let entry = section.fde_from_offset(&self.bases, offset.into(), EhFrame::cie_from_offset).ok()?;
        let encoding =
            Encoding { address_size: 4, format: Format::Dwarf32, version: entry.cie().version().into() };
        let row = entry.unwind_info_for_address(&section, &self.bases, context, address).ok()?;
        let state = State { snapshot, section: &section, encoding, registers };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                state.register(*register)?.wrapping_add(*offset as u32)
            }
            CfaRule::Expression(expression) => state.evaluate(expression, None)?,
        };
        let mut caller: Registers = [None; 9];
        for (number, value) in (0..).zip(&mut caller) {
            let register = Register(number);
            // Functions restore these registers: without a rule they have not changed them.
            let is_kept = KEPT.contains(&usize::from(number));
            *value = match row.register(register) {
                Some(rule) => state.restored(register, &rule, cfa),
                None => state.register(register).filter(|_| is_kept),
            };
        }
        caller[STACK_POINTER] = Some(cfa);
        Some(Caller { registers: caller, is_interrupted: entry.is_signal_trampoline() })
    }
}

/// What rules are evaluated with.
struct State<'a> {
    snapshot: &'a ProcessSnapshot,
    section: &'a EhFrame<Slice<'a>>,
    encoding: Encoding,
    registers: &'a Registers,
}

impl State<'_> {
    fn register(&self, register: Register) -> Option<u32> {
        *self.registers.get(usize::from(register.0))?
    }

    /// The value of a register in the caller.
    fn restored(&self, register: Register, rule: &RegisterRule<usize>, cfa: u32) -> Option<u32> {
        match rule {
            RegisterRule::SameValue => self.register(register),
            RegisterRule::Offset(offset) => word(self.snapshot, cfa.wrapping_add(*offset as u32)),
            RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add(*offset as u32)),
            RegisterRule::Register(other) => self.register(*other),
            RegisterRule::Expression(expression) => {
                word(self.snapshot, self.evaluate(expression, Some(cfa))?)
            }
            RegisterRule::ValExpression(expression) => self.evaluate(expression, Some(cfa)),
            RegisterRule::Constant(value) => Some(*value as u32),
            _ => None,
        }
    }

    /// The value of an expression, which starts with the CFA on its stack if that is known.
    fn evaluate(&self, expression: &UnwindExpression<usize>, cfa: Option<u32>) -> Option<u32> {
        let mut evaluation = expression.get(self.section).ok()?.evaluation(self.encoding);
        evaluation.set_max_iterations(OPERATIONS_MAX);
        if let Some(cfa) = cfa {
            evaluation.set_initial_value(u64::from(cfa));
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.register(register)?.into())).ok()?
                }
                EvaluationResult::RequiresMemory { address, .. } => {
                    let value = word(self.snapshot, address as u32)?;
                    evaluation.resume_with_memory(Value::Generic(value.into())).ok()?
                }
                EvaluationResult::Complete => break,
                _ => return None,
            };
        }
        match evaluation.as_result() {
            [piece] => match piece.location {
                Location::Address { address } => Some(address as u32),
                _ => None,
            },
            _ => None,
        }
    }
}
