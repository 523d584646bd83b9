//! `(ops of instructions) -> rows of instruction_ops`: operations and operands by name.

use super::Isa;
use super::ops::{Condition, FlagSet, Op, Operand, Operation, Ops, OtherMemory, Part, Place, Rest};
use binframe_ir::tables::{InstructionOp, InstructionOpBuilder, InstructionOps};
use binframe_ir::{Rows, Term, Terms};
use std::fmt::Write;

/// Writes rows of `instruction_ops`.
pub(crate) struct OpRowWriter {
    isa: Isa,
    rows: InstructionOpBuilder,
    // Buffers that are reused from row to row.
    operation: String,
    names: Names,
    text: String,
}

/// Names of operands, one after the other.
#[derive(Default)]
struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn push(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    fn name(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[index]]
    }
}

impl OpRowWriter {
    pub(crate) fn new(isa: Isa) -> Self {
        Self {
            isa,
            rows: InstructionOpBuilder::default(),
            operation: String::new(),
            names: Names::default(),
            text: String::new(),
        }
    }

    /// Appends the ops of the instruction at an address.
    pub(crate) fn push(&mut self, address: u64, ops: &Ops) {
        for (ordinal, op) in ops.as_slice().iter().enumerate() {
            self.push_op(address, ordinal as u16, op, ops);
        }
    }

    fn push_op(&mut self, address: u64, ordinal: u16, op: &Op, ops: &Ops) {
        let isa = self.isa;
        self.operation.clear();
        write_operation(&mut self.operation, op.operation);
        self.names.clear();
        let mut place_count = 0;
        for place in ops.places(op) {
            place_count += push_place(&mut self.names, isa, *place);
        }
        let inputs = ops.inputs(op);
        for input in inputs {
            self.names.push(|text| write_operand(text, isa, *input, ops.temporaries()));
        }
        if let Some(guard) = op.guard {
            self.names.push(|text| write_operand(text, isa, guard, ops.temporaries()));
        }
        let names: Vec<&str> = (0..self.names.ends.len()).map(|index| self.names.name(index)).collect();
        let (places, read) = names.split_at(place_count);
        let (read, guard) = read.split_at(inputs.len());
        self.text.clear();
        write_text(&mut self.text, &self.operation, op, (places, read, guard), inputs);
        self.rows.push(InstructionOp {
            instruction_address: address,
            ordinal,
            operation: Term(&self.operation),
            bits: op.bits,
            lanes: op.lanes,
            places: Terms::of(places),
            zeroes_rest: zeroes_rest(isa, op.place),
            inputs: Terms::of(read),
            constant: inputs.iter().find_map(|input| match input {
                Operand::Constant(number, _) | Operand::Address(number, _) => Some(*number),
                _ => None,
            }),
            guard: guard.first().map(|name| Term(name)),
            text: &self.text,
        });
    }

    /// The rows.
    pub(crate) fn finish(self) -> Rows<InstructionOps> {
        self.rows.finish()
    }
}

/// Adds the names of what a place consists of; how many they are.
fn push_place(names: &mut Names, isa: Isa, place: Place) -> usize {
    match place {
        Place::None => return 0,
        Place::Register(register, part, _) => {
            names.push(|text| text.push_str(&isa.register_name(register, part)));
        }
        Place::Temporary(index, _) => names.push(|text| write!(text, "t{index}").expect("text grows")),
        Place::Flag(flag) => names.push(|text| text.push_str(flag.name())),
        Place::Flags(flags) => return push_flags(names, flags),
    }
    1
}

fn push_flags(names: &mut Names, flags: FlagSet) -> usize {
    flags.iter().map(|flag| names.push(|text| text.push_str(flag.name()))).count()
}

fn zeroes_rest(isa: Isa, place: Place) -> Option<bool> {
    match place {
        Place::Register(register, part, rest) if part.low + part.bits < isa.register_bits(register) => {
            Some(rest == Rest::Zeroed)
        }
        _ => None,
    }
}

/// Writes an operand; of a temporary that is not read whole, also the bits.
fn write_operand(text: &mut String, isa: Isa, operand: Operand, temporaries: &[u16]) {
    match operand {
        Operand::None => {}
        Operand::Constant(..) => text.push_str("constant"),
        Operand::Address(..) => text.push_str("address"),
        Operand::Register(register, part) => text.push_str(&isa.register_name(register, part)),
        Operand::Temporary(index, Part { low, bits }) => {
            write!(text, "t{index}").expect("text grows");
            if (low, bits) != (0, temporaries[usize::from(index)]) {
                write!(text, "[{low}..{}]", low + bits).expect("text grows");
            }
        }
        Operand::Flag(flag) => text.push_str(flag.name()),
    }
}

/// The operation as `places = operation.width inputs if guard`.
fn write_text(
    text: &mut String,
    operation: &str,
    op: &Op,
    (places, inputs, guard): (&[&str], &[&str], &[&str]),
    operands: &[Operand],
) {
    let list = |text: &mut String, names: &mut dyn Iterator<Item = String>| {
        for (index, name) in names.enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(text, "{separator}{name}").expect("text grows");
        }
    };
    list(text, &mut places.iter().map(|name| (*name).to_owned()));
    if !places.is_empty() {
        text.push_str(" = ");
    }
    text.push_str(operation);
    match (op.bits, op.lanes) {
        (0, _) => {}
        (bits, 1) => write!(text, ".{bits}").expect("text grows"),
        (bits, lanes) => write!(text, ".{bits}x{lanes}").expect("text grows"),
    }
    if !inputs.is_empty() {
        text.push(' ');
    }
    list(
        text,
        &mut inputs.iter().zip(operands).map(|(name, operand)| match operand {
            Operand::Constant(number, _) | Operand::Address(number, _) => format!("{number:#x}"),
            _ => (*name).to_owned(),
        }),
    );
    if let Some(guard) = guard.first() {
        write!(text, " if {guard}").expect("text grows");
    }
}

/// The name of an operation, with what it is told besides its operands.
fn write_operation(text: &mut String, operation: Operation) {
    let mut name = Snake { text, was_break: true };
    match operation {
        Operation::Condition(Condition { predicate, is_negated }) => {
            let not = if is_negated { "Not" } else { "" };
            write!(name, "Condition{not}{predicate:?}")
        }
        Operation::CompareElements { until_equal } => write!(name, "CompareElements{}", until(until_equal)),
        Operation::ScanElements { until_equal } => write!(name, "ScanElements{}", until(until_equal)),
        Operation::Interleave { high } => {
            write!(name, "Interleave{}", if high { "High" } else { "Low" })
        }
        Operation::FloatMultiplyAdd { negates_product, negates_addend } => {
            let negated = if negates_product { "Negated" } else { "" };
            write!(name, "FloatMultiply{negated}{}", if negates_addend { "Subtract" } else { "Add" })
        }
        Operation::AesSubstituteBytes { is_inverse } => {
            write!(name, "AesSubstituteBytes{}", inverse(is_inverse))
        }
        Operation::AesMixColumns { is_inverse } => write!(name, "AesMixColumns{}", inverse(is_inverse)),
        Operation::Opaque { memory: OtherMemory::None, .. } => write!(name, "Opaque"),
        Operation::Opaque { memory, .. } => write!(name, "Opaque{memory:?}Memory"),
        other => write!(name, "{other:?}"),
    }
    .expect("text grows");
}

fn inverse(is_inverse: bool) -> &'static str {
    if is_inverse { "Inverse" } else { "" }
}

fn until(until_equal: bool) -> &'static str {
    if until_equal { "UntilEqual" } else { "UntilUnequal" }
}

/// Turns `FloatToSigned(Zero, Indefinite)` into `float_to_signed_zero_indefinite`.
struct Snake<'a> {
    text: &'a mut String,
    /// Whether the next letter begins a word that needs no separator.
    was_break: bool,
}

impl Write for Snake<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for letter in text.chars() {
            match letter {
                '(' | ' ' | ',' => {
                    if !self.was_break {
                        self.text.push('_');
                    }
                    self.was_break = true;
                }
                ')' => {}
                _ => {
                    if letter.is_ascii_uppercase() && !self.was_break {
                        self.text.push('_');
                    }
                    self.text.push(letter.to_ascii_lowercase());
                    self.was_break = false;
                }
            }
        }
        Ok(())
    }
}
