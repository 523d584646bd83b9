//! Call frame information (`.eh_frame`), evaluated for the registers of a thread.
//!
//! *Problem.* From the registers of a call, find those of its caller.
//!
//! *Notation.* The *canonical frame address* (CFA) of a call is the value of the stack pointer before the call. For
//! each instruction, an entry of `.eh_frame` states it, and where the registers of the caller are stored relative to
//! it.
//!
//! *Cost.* The entries are indexed once; a call is a binary search and the evaluation of one entry.
//!
//! Source: DWARF 5, 6.4; Linux Standard Base, `.eh_frame`.

use bytes::Bytes;
use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, Encoding, EndianSlice, EvaluationResult, Format, LittleEndian,
    Location, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value,
};
use std::ops::Range;

/// Operations of an expression at most.
const OPERATIONS_MAX: u32 = 1000;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Addresses of sections that entries may be relative to; 0 for a section that is missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameSections {
    /// Address of `.eh_frame`.
    pub eh_frame: u64,
    /// Address of `.text`.
    pub text: u64,
    /// Address of `.got`.
    pub got: u64,
}

/// The call frame information of a little-endian file.
pub struct CallFrames {
    section: Bytes,
    bases: BaseAddresses,
    address_size: u8,
    /// Address range and offset of each entry, sorted.
    entries: Vec<(Range<u64>, usize)>,
}

/// The entry of some code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameEntry(usize);

/// A call: an address in its code, the values of its registers by their DWARF numbers (`None` if unknown), and the
/// registers that functions restore unless their entries say otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Address in the file of the instruction.
    pub address: u64,
    /// Values of registers.
    pub registers: &'a [Option<u64>],
    /// Numbers of registers that functions restore.
    pub restored: &'a [u16],
}

/// The caller of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Value of the stack pointer before the call.
    pub cfa: u64,
    /// Values of its registers, as many as those of the call.
    pub registers: Vec<Option<u64>>,
    /// Whether it was interrupted by a signal, and did not call.
    pub is_interrupted: bool,
}

impl CallFrames {
    /// Indexes the entries of a section. Those after one that cannot be read are unknown.
    pub fn new(section: Bytes, addresses: FrameSections, address_size: u8) -> Self {
        let bases = BaseAddresses::default()
            .set_eh_frame(addresses.eh_frame)
            .set_text(addresses.text)
            .set_got(addresses.got);
        let mut frames = Self { section, bases, address_size, entries: Vec::new() };
        let mut found = Vec::new();
        let section = frames.section();
        let mut entries = section.entries(&frames.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            if let Ok(entry) = partial.parse(EhFrame::cie_from_offset) {
                found.push((entry.initial_address()..entry.end_address(), entry.offset()));
            }
        }
        found.sort_by_key(|(range, offset)| (range.start, *offset));
        frames.entries = found;
        frames
    }

    fn section(&self) -> EhFrame<Slice<'_>> {
        let mut section = EhFrame::new(&self.section, LittleEndian);
        section.set_address_size(self.address_size);
        section
    }

    /// The entry of the code at an address.
    pub fn entry(&self, address: u64) -> Option<FrameEntry> {
        let after = self.entries.partition_point(|(range, _)| range.start <= address);
        let (range, offset) = self.entries.get(after.checked_sub(1)?)?;
        range.contains(&address).then_some(FrameEntry(*offset))
    }

    /// The caller of a call whose code has the given entry; `None` if the CFA is unknown. `read` reads words of memory.
    pub fn caller(
        &self,
        entry: FrameEntry,
        call: Call<'_>,
        read: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<Caller> {
        let section = self.section();
        let entry = section.fde_from_offset(&self.bases, entry.0.into(), EhFrame::cie_from_offset).ok()?;
        let version = entry.cie().version().into();
        let encoding = Encoding { address_size: self.address_size, format: Format::Dwarf32, version };
        let mut context = UnwindContext::new();
        let row = entry.unwind_info_for_address(&section, &self.bases, &mut context, call.address).ok()?;
        let rules = Rules { section: &section, encoding, registers: call.registers, read };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                rules.masked(rules.register(*register)?.wrapping_add_signed(*offset))
            }
            CfaRule::Expression(expression) => rules.evaluate(expression, None)?,
        };
        let registers =
            (0..).zip(call.registers).map(|(number, value)| match row.register(Register(number)) {
                Some(rule) => rules.restored(Register(number), &rule, cfa),
                None => value.filter(|_| call.restored.contains(&number)),
            });
        Some(Caller { cfa, registers: registers.collect(), is_interrupted: entry.is_signal_trampoline() })
    }
}

/// What rules are evaluated with.
struct Rules<'a> {
    section: &'a EhFrame<Slice<'a>>,
    encoding: Encoding,
    registers: &'a [Option<u64>],
    read: &'a dyn Fn(u64) -> Option<u64>,
}

impl Rules<'_> {
    /// An address of the size that addresses have.
    fn masked(&self, address: u64) -> u64 {
        if self.encoding.address_size == 4 { address & u64::from(u32::MAX) } else { address }
    }

    fn register(&self, register: Register) -> Option<u64> {
        *self.registers.get(usize::from(register.0))?
    }

    /// The value of a register in the caller.
    fn restored(&self, register: Register, rule: &RegisterRule<usize>, cfa: u64) -> Option<u64> {
        let relative = |offset: i64| self.masked(cfa.wrapping_add_signed(offset));
        match rule {
            RegisterRule::SameValue => self.register(register),
            RegisterRule::Offset(offset) => (self.read)(relative(*offset)),
            RegisterRule::ValOffset(offset) => Some(relative(*offset)),
            RegisterRule::Register(other) => self.register(*other),
            RegisterRule::Expression(expression) => (self.read)(self.evaluate(expression, Some(cfa))?),
            RegisterRule::ValExpression(expression) => self.evaluate(expression, Some(cfa)),
            RegisterRule::Constant(value) => Some(self.masked(*value)),
            _ => None,
        }
    }

    /// The value of an expression, which starts with the CFA on its stack if that is given.
    fn evaluate(&self, expression: &UnwindExpression<usize>, cfa: Option<u64>) -> Option<u64> {
        let mut evaluation = expression.get(self.section).ok()?.evaluation(self.encoding);
        evaluation.set_max_iterations(OPERATIONS_MAX);
        if let Some(cfa) = cfa {
            evaluation.set_initial_value(cfa);
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.register(register)?)).ok()?
                }
                EvaluationResult::RequiresMemory { address, .. } => {
                    let value = (self.read)(self.masked(address))?;
                    evaluation.resume_with_memory(Value::Generic(value)).ok()?
                }
                EvaluationResult::Complete => break,
                _ => return None,
            };
        }
        match evaluation.as_result() {
            [piece] => match piece.location {
                Location::Address { address } => Some(self.masked(address)),
                _ => None,
            },
            _ => None,
        }
    }
}
