//! Who wrote last what an instruction finds, as a run shows it; compared with what `data_flow` says.

use crate::claims::Known;
use binframe::ir::Enumeration;
use binframe::ir::tables::{Confidence, DataUse, Definition};
use binframe_testsuite::lowering::Tables;
use iced_x86::{Instruction, InstructionInfoFactory, OpAccess, Register, RflagsBits};
use std::collections::{BTreeMap, HashMap};

/// What is said of one thing that an instruction uses.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sources {
    definitions: Vec<(Option<u64>, Definition)>,
    /// The least sure of the rows.
    confidence: Option<Confidence>,
}

/// What is said of all that instructions use, by the instruction and the register, the flag or `stack`.
pub(crate) type AllSources = HashMap<(u64, &'static str), Sources>;

/// All that `data_flow` says of values and addresses.
pub(crate) fn sources(tables: &Tables) -> AllSources {
    let names: HashMap<String, &'static str> = all_names().map(|name| (name.to_owned(), name)).collect();
    let mut all = AllSources::new();
    for row in tables.data_flow.columns().iter() {
        if matches!(row.r#use, DataUse::Argument | DataUse::Result) {
            continue;
        }
        let sources = all.entry((row.use_address, names[row.resource.0])).or_default();
        sources.definitions.push((row.definition_address, row.definition));
        let is_surer = |known: Confidence| known.code() >= row.confidence.code();
        sources.confidence = sources.confidence.filter(|known| is_surer(*known)).or(Some(row.confidence));
    }
    all
}

/// The flags that are followed.
const FLAGS: [(u32, &str); 7] = [
    (RflagsBits::AF, "af"),
    (RflagsBits::CF, "cf"),
    (RflagsBits::DF, "df"),
    (RflagsBits::OF, "of"),
    (RflagsBits::PF, "pf"),
    (RflagsBits::SF, "sf"),
    (RflagsBits::ZF, "zf"),
];

/// Registers that functions leave as they were.
const PRESERVED: [&str; 6] = ["rbx", "rbp", "r12", "r13", "r14", "r15"];

fn all_names() -> impl Iterator<Item = &'static str> {
    let registers = Register::values().filter_map(name_of);
    registers.chain(FLAGS.map(|(_, name)| name)).chain(["stack"])
}

/// The name of a register that is followed, as a whole.
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

/// Who wrote something: a call of a function, and the instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Writer {
    activation: u64,
    address: u64,
}

/// It is not known whether an instruction wrote.
const NOBODY_KNOWS: Writer = Writer { activation: u64::MAX, address: 0 };

/// A byte of a register, or a flag.
type Part = (&'static str, u8);

/// Bytes of registers that are written apart from others: the two lowest, the others up to 16, and what is beyond.
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

/// Who wrote what last, in a run.
pub(crate) struct Flow {
    registers: BTreeMap<Part, Writer>,
    memory: HashMap<u64, Writer>,
    /// What is expected to hold the same behind calls that are not over, by the function that calls.
    saved: HashMap<u64, (u64, Vec<(Part, Writer)>)>,
    /// Uses by kind and confidence: as was said, and not.
    pub(crate) uses: BTreeMap<(&'static str, &'static str), [u64; 2]>,
    pub(crate) violations: Vec<String>,
}

/// Memory that an instruction touches.
pub(crate) struct Touched {
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) is_read: bool,
    pub(crate) is_written: bool,
}

impl Flow {
    pub(crate) fn new() -> Self {
        let nobody = Writer { activation: 0, address: 0 };
        let flags = FLAGS.map(|(_, flag)| ((flag, 0), nobody));
        Self {
            registers: Register::values().flat_map(parts).map(|part| (part, nobody)).chain(flags).collect(),
            memory: HashMap::new(),
            saved: HashMap::new(),
            uses: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Compares what an instruction uses with what is said, and notes what it writes. `is_whole` says whether all of the call of the
    /// function was seen.
    pub(crate) fn step(
        &mut self,
        sources: &AllSources,
        known: &Known,
        activation: u64,
        is_whole: bool,
        touched: &[Touched],
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
            for touch in touched.iter().filter(|touch| touch.is_read) {
                if sources.contains_key(&(instruction.ip(), "stack")) {
                    for byte in 0..touch.size {
                        let writer = self.memory.get(&touch.address.wrapping_add(byte)).copied();
                        self.check(sources, instruction, activation, "stack", writer);
                    }
                }
            }
        }
        let writer = Writer { activation, address: instruction.ip() };
        for register in used {
            let writer = match register.access() {
                OpAccess::Write | OpAccess::ReadWrite => writer,
                OpAccess::CondWrite | OpAccess::ReadCondWrite => NOBODY_KNOWS,
                _ => continue,
            };
            self.registers.extend(parts(register.register()).map(|part| (part, writer)));
        }
        let flags = FLAGS.iter().filter(|(bit, _)| instruction.rflags_modified() & bit != 0);
        self.registers.extend(flags.map(|(_, flag)| ((*flag, 0), writer)));
        for touch in touched.iter().filter(|touch| touch.is_written) {
            self.memory.extend((0..touch.size).map(|byte| (touch.address.wrapping_add(byte), writer)));
        }
    }

    /// Notes that a function calls another, after so many gaps in what is seen.
    pub(crate) fn call(&mut self, activation: u64, gaps: u64) {
        let preserved = self.registers.iter().filter(|((name, _), _)| PRESERVED.contains(name));
        self.saved.insert(activation, (gaps, preserved.map(|(part, writer)| (*part, *writer)).collect()));
    }

    /// Notes that a call is over, after so many gaps.
    pub(crate) fn come_back(&mut self, activation: u64, address: u64, gaps: u64) {
        let Some((before, preserved)) = self.saved.remove(&activation) else { return };
        let writer = Writer { activation, address };
        // Of libraries it is not seen what they write.
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
        if writer == Some(NOBODY_KNOWS)
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
                .push(format!("{address:#x} {instruction}: {name} is of {own:x?}, not {claimed:x?}"));
        }
    }
}

fn is_read(access: OpAccess) -> bool {
    matches!(access, OpAccess::Read | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}
