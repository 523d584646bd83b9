//! Tracks the last writer of each register, flag and memory byte in a run, and compares it with `data_flow_edges`.

use crate::claims::InstructionClaims;
use binframe::ir::Enumeration;
use binframe::ir::tables::{Confidence, DataUse, Definition};
use binframe_testsuite::lowering::Tables;
use iced_x86::{Instruction, InstructionInfoFactory, OpAccess, Register, RflagsBits};
use std::collections::{BTreeMap, HashMap};

/// Rows of `data_flow_edges` for one use.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sources {
    definitions: Vec<(Option<u64>, Definition)>,
    /// The lowest confidence of the rows.
    confidence: Option<Confidence>,
}

/// Rows of `data_flow_edges` by instruction and resource: a register, a flag or `stack`.
pub(crate) type AllSources = HashMap<(u64, &'static str), Sources>;

/// Rows of `data_flow_edges` for uses of values and addresses.
pub(crate) fn sources(tables: &Tables) -> AllSources {
    let names: HashMap<String, &'static str> = all_names().map(|name| (name.to_owned(), name)).collect();
    let mut all = AllSources::new();
    for row in tables.data_flow_edges.columns().iter() {
        if matches!(row.use_kind, DataUse::Argument | DataUse::Result) {
            continue;
        }
        let sources = all.entry((row.use_address, names[row.resource.0])).or_default();
        sources.definitions.push((row.definition_address, row.definition_kind));
        let is_higher = |known: Confidence| known.code() >= row.confidence.code();
        sources.confidence = sources.confidence.filter(|known| is_higher(*known)).or(Some(row.confidence));
    }
    all
}

/// Tracked flags.
const FLAGS: [(u32, &str); 7] = [
    (RflagsBits::AF, "af"),
    (RflagsBits::CF, "cf"),
    (RflagsBits::DF, "df"),
    (RflagsBits::OF, "of"),
    (RflagsBits::PF, "pf"),
    (RflagsBits::SF, "sf"),
    (RflagsBits::ZF, "zf"),
];

/// Callee-saved registers.
const PRESERVED: [&str; 6] = ["rbx", "rbp", "r12", "r13", "r14", "r15"];

fn all_names() -> impl Iterator<Item = &'static str> {
    let registers = Register::values().filter_map(name_of);
    registers.chain(FLAGS.map(|(_, name)| name)).chain(["stack"])
}

/// Name of the full register; `None` if it is not tracked.
fn name_of(register: Register) -> Option<&'static str> {
    let full = register.full_register();
    let is_followed =
        (full.is_gpr64() && full != Register::RSP) || full.is_zmm() || full.is_k() || full.is_mm();
    is_followed.then(|| NAMES.with(|names| names[&full]))
}

thread_local! {
    static NAMES: HashMap<Register, &'static str> =
        Register::values().map(|register| (register, &*format!("{register:?}").to_lowercase().leak())).collect();
}

/// Last writer: a function activation and the address of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Writer {
    activation: u64,
    address: u64,
}

/// It is unknown whether a conditional write happened.
const UNKNOWN_WRITER: Writer = Writer { activation: u64::MAX, address: 0 };

/// A part of a register that is written separately, or a flag.
type Part = (&'static str, u8);

/// Parts of registers: the lowest two bytes, the other bytes up to 16, and the rest.
fn parts(register: Register) -> impl Iterator<Item = Part> {
    let is_high = matches!(register, Register::AH | Register::BH | Register::CH | Register::DH);
    let range = match (register.full_register().is_gpr64(), register.size()) {
        (true, 1) if is_high => 1..2,
        (true, 1) | (false, ..=16) => 0..1,
        (true, 2) | (false, _) => 0..2,
        (true, _) => 0..3,
    };
    let name = name_of(register);
    range.filter_map(move |part| Some((name?, part)))
}

/// Last writers in a run.
pub(crate) struct Flow {
    registers: BTreeMap<Part, Writer>,
    memory: HashMap<u64, Writer>,
    /// Callee-saved registers at pending calls, by calling activation.
    saved: HashMap<u64, (u64, Vec<(Part, Writer)>)>,
    /// Number of uses by kind and confidence: with and without a row for their definition.
    pub(crate) uses: BTreeMap<(&'static str, &'static str), [u64; 2]>,
    pub(crate) violations: Vec<String>,
}

/// Memory that an instruction accesses.
pub(crate) struct AccessedRange {
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) is_read: bool,
    pub(crate) is_written: bool,
}

impl Flow {
    pub(crate) fn new() -> Self {
        let no_writer = Writer { activation: 0, address: 0 };
        let flags = FLAGS.map(|(_, flag)| ((flag, 0), no_writer));
        Self {
            registers: Register::values()
                .flat_map(parts)
                .map(|part| (part, no_writer))
                .chain(flags)
                .collect(),
            memory: HashMap::new(),
            saved: HashMap::new(),
            uses: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Compares the uses of an instruction with the rows, and records its writes. `is_whole` states whether the
    /// activation was observed from its entry.
    pub(crate) fn step(
        &mut self,
        sources: &AllSources,
        known: &InstructionClaims,
        activation: u64,
        is_whole: bool,
        accessed: &[AccessedRange],
    ) {
        let instruction = &known.instruction;
        let used = InstructionInfoFactory::new().info(instruction).used_registers().to_vec();
        if is_whole {
            for register in used.iter().filter(|used| is_read(used.access())) {
                for part in parts(register.register()) {
                    self.check(sources, instruction, activation, part.0, self.registers.get(&part).copied());
                }
            }
            for (_, flag) in FLAGS.iter().filter(|(bit, _)| instruction.rflags_read() & bit != 0) {
                self.check(sources, instruction, activation, flag, self.registers.get(&(*flag, 0)).copied());
            }
            for range in accessed.iter().filter(|range| range.is_read) {
                if sources.contains_key(&(instruction.ip(), "stack")) {
                    for byte in 0..range.size {
                        let writer = self.memory.get(&range.address.wrapping_add(byte)).copied();
                        self.check(sources, instruction, activation, "stack", writer);
                    }
                }
            }
        }
        let writer = Writer { activation, address: instruction.ip() };
        for register in used {
            let writer = match register.access() {
                OpAccess::Write | OpAccess::ReadWrite => writer,
                OpAccess::CondWrite | OpAccess::ReadCondWrite => UNKNOWN_WRITER,
                _ => continue,
            };
            self.registers.extend(parts(register.register()).map(|part| (part, writer)));
        }
        let flags = FLAGS.iter().filter(|(bit, _)| instruction.rflags_modified() & bit != 0);
        self.registers.extend(flags.map(|(_, flag)| ((*flag, 0), writer)));
        for range in accessed.iter().filter(|range| range.is_written) {
            self.memory.extend((0..range.size).map(|byte| (range.address.wrapping_add(byte), writer)));
        }
    }

    /// Records a call. `gaps` is the number of unobserved intervals so far.
    pub(crate) fn call(&mut self, activation: u64, gaps: u64) {
        let preserved = self.registers.iter().filter(|((name, _), _)| PRESERVED.contains(name));
        self.saved.insert(activation, (gaps, preserved.map(|(part, writer)| (*part, *writer)).collect()));
    }

    /// Records the return of a call. `gaps` is the number of unobserved intervals so far.
    pub(crate) fn return_from_call(&mut self, activation: u64, address: u64, gaps: u64) {
        let Some((before, preserved)) = self.saved.remove(&activation) else { return };
        let writer = Writer { activation, address };
        // Writes of libraries are not observed.
        let is_library = gaps != before;
        for (part, known) in &mut self.registers {
            let is_changed = is_library || known.activation > activation;
            if is_changed && part.0 != "df" {
                *known = writer;
            }
        }
        self.registers.extend(preserved);
    }

    fn check(
        &mut self,
        sources: &AllSources,
        instruction: &Instruction,
        activation: u64,
        name: &'static str,
        writer: Option<Writer>,
    ) {
        if writer == Some(UNKNOWN_WRITER)
            || (name == "stack" && writer.is_some_and(|by| by.activation > activation))
        {
            return;
        }
        let own = writer.filter(|writer| writer.activation == activation).map(|writer| writer.address);
        let claimed = sources.get(&(instruction.ip(), name));
        let is_said = claimed.is_some_and(|claimed| {
            let is_one = |(address, by): &(Option<u64>, Definition)| match by {
                Definition::Many => true,
                _ => *address == own,
            };
            claimed.definitions.iter().any(is_one)
        });
        let confidence = claimed.and_then(|claimed| claimed.confidence).map_or("none", Enumeration::name);
        let kind = if name == "stack" { name } else { "register" };
        self.uses.entry((kind, confidence)).or_default()[usize::from(!is_said)] += 1;
        if !is_said && confidence != "likely" && self.violations.len() < 20 {
            let address = instruction.ip();
            self.violations
                .push(format!("{address:#x} {instruction}: {name} is defined at {own:x?}, not {claimed:x?}"));
        }
    }
}

fn is_read(access: OpAccess) -> bool {
    matches!(access, OpAccess::Read | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}
