//! The registers and flags that an instruction uses and defines, from its ops.

use super::resources::Resource;
use crate::code::memory::interpreter::{TemporaryFacts, find_data, is_address};
use crate::isa::ops::{Flag, Op, Operand, Operation, Ops, Part, Place, Predicate, Reg, Rest};
use crate::isa::{Buffers, InstructionSet, Isa};

/// Access of an instruction to a resource. Reads come first, and of two reads the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ResourceAccess {
    Read,
    /// Read only as part of an address.
    ReadAddress,
    Write,
    /// Written under a condition.
    MayWrite,
}

/// Finds the accesses of instructions. Buffers are reused.
pub(super) struct RegisterUses {
    isa: Isa,
    buffers: Buffers,
    ops: Ops,
    temporaries: Vec<TemporaryFacts>,
    reads: Vec<(Resource, ResourceAccess)>,
    writes: Vec<(Resource, ResourceAccess)>,
}

impl RegisterUses {
    pub(super) fn new(isa: Isa) -> Self {
        Self {
            isa,
            buffers: Buffers::default(),
            ops: Ops::default(),
            temporaries: Vec::new(),
            reads: Vec::new(),
            writes: Vec::new(),
        }
    }

    /// The accesses of an instruction: reads, then writes, each resource once in each.
    pub(super) fn of<S: InstructionSet>(
        &mut self,
        instruction: &S::Instruction,
    ) -> impl Iterator<Item = (Resource, ResourceAccess)> + use<'_, S> {
        let mut ops = std::mem::take(&mut self.ops);
        ops.clear();
        S::lower(instruction, &mut self.buffers, &mut ops);
        self.reads.clear();
        self.writes.clear();
        self.temporaries.clear();
        self.temporaries.resize(ops.temporaries().len(), TemporaryFacts::default());
        find_data(&ops, ops.as_slice(), &mut self.temporaries);
        for op in ops.as_slice() {
            self.add_reads(&ops, op);
            for place in ops.places(op) {
                self.add_write(*place, op.guard.is_some());
            }
        }
        self.ops = ops;
        for accesses in [&mut self.reads, &mut self.writes] {
            accesses.sort_unstable();
            accesses.dedup_by_key(|(resource, _)| *resource);
        }
        self.reads.iter().chain(&self.writes).copied()
    }

    fn add_reads(&mut self, ops: &Ops, op: &Op) {
        let is_for_address = match op.place {
            Place::Temporary(index, _) => !self.temporaries[usize::from(index)].is_data,
            _ => false,
        };
        for (position, input) in ops.inputs(op).iter().enumerate() {
            let is_address = is_for_address || is_address(op.operation, position);
            self.add_read(
                *input,
                if is_address { ResourceAccess::ReadAddress } else { ResourceAccess::Read },
            );
        }
        if let Some(guard) = op.guard {
            self.add_read(guard, ResourceAccess::Read);
        }
        match op.operation {
            Operation::Condition(condition) => {
                let flags = flags_of(condition.predicate).iter();
                self.reads.extend(flags.map(|flag| (Resource::flag(*flag), ResourceAccess::Read)));
            }
            // The number of the service, and its result.
            Operation::Service => {
                let result = Resource::of_register(self.isa, self.isa.abi().result);
                for resource in result {
                    self.reads.push((resource, ResourceAccess::Read));
                    self.writes.push((resource, ResourceAccess::Write));
                }
            }
            _ => {}
        }
    }

    fn add_read(&mut self, operand: Operand, access: ResourceAccess) {
        match operand {
            Operand::Register(register, part) => {
                let pieces = Resource::of_part(self.isa, register, part);
                self.reads.extend(pieces.map(|resource| (resource, access)));
            }
            Operand::Flag(flag) => self.reads.push((Resource::flag(flag), access)),
            _ => {}
        }
    }

    fn add_write(&mut self, place: Place, is_guarded: bool) {
        let whole = if is_guarded { ResourceAccess::MayWrite } else { ResourceAccess::Write };
        match place {
            Place::Register(register, part, rest) => self.add_part(register, part, rest, whole),
            Place::Flag(flag) => self.writes.push((Resource::flag(flag), whole)),
            Place::Flags(flags) => {
                self.writes.extend(flags.iter().map(|flag| (Resource::flag(flag), whole)));
            }
            _ => {}
        }
    }

    /// Adds a write of a part, and of the rest above it if that becomes 0. Of a piece that is not written whole, the
    /// other bits are read: they are kept.
    fn add_part(&mut self, register: Reg, part: Part, rest: Rest, access: ResourceAccess) {
        let isa = self.isa;
        let width = isa.register_bits(register);
        let end = if rest == Rest::Zeroed { width } else { part.low + part.bits };
        let written = Resource::of_part(isa, register, Part { low: part.low, bits: end - part.low });
        let written: Vec<_> = written.collect();
        self.writes.extend(written.iter().map(|resource| (*resource, access)));
        let bit_before = (part.low > 0).then(|| part.low - 1);
        for bit in bit_before.into_iter().chain((end < width).then_some(end)) {
            let kept = Resource::of_part(isa, register, Part { low: bit, bits: 1 });
            let kept = kept.filter(|resource| written.contains(resource));
            self.reads.extend(kept.map(|resource| (resource, ResourceAccess::Read)));
        }
    }
}

/// The flags that a predicate is about.
fn flags_of(predicate: Predicate) -> &'static [Flag] {
    match predicate {
        Predicate::Overflow => &[Flag::Overflow],
        Predicate::Carry => &[Flag::Carry],
        Predicate::Zero => &[Flag::Zero],
        Predicate::CarryOrZero | Predicate::CarryAndNotZero => &[Flag::Carry, Flag::Zero],
        Predicate::Sign => &[Flag::Sign],
        Predicate::Parity => &[Flag::Parity],
        Predicate::Less => &[Flag::Sign, Flag::Overflow],
        Predicate::LessOrEqual => &[Flag::Zero, Flag::Sign, Flag::Overflow],
    }
}
