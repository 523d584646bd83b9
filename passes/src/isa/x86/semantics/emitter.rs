//! Writes the ops of one instruction: its operands, addresses, results and flags.

use super::super::decode::is_32;
use super::super::registers::{FS_BASE, GS_BASE, STACK_POINTER, general, part_of};
use super::super::rows::is_memory;
use crate::isa::ops::{
    AtomicOperation, Condition, Flag, FlagSet, FlagsOf, INPUTS_MAX, Op, Operand, Operation, Ops, OtherMemory,
    Part, Place, Predicate, Reg, Rest,
};
use iced_x86::{ConditionCode, EncodingKind, Instruction, OpKind, Register};

/// The flags of arithmetic.
pub(super) const ARITHMETIC: FlagSet =
    FlagSet::of(&[Flag::Carry, Flag::Parity, Flag::Adjust, Flag::Zero, Flag::Sign, Flag::Overflow]);

/// Writes the ops of one instruction into a buffer.
pub(super) struct Emitter<'a> {
    pub(super) instruction: &'a Instruction,
    pub(super) ops: &'a mut Ops,
    /// The address of the memory operand, once it is computed.
    address: Option<Operand>,
    guard: Option<Operand>,
}

/// A constant of the given width.
pub(super) fn constant(number: u64, bits: u16) -> Operand {
    Operand::Constant(if bits < 64 { number & ((1 << bits) - 1) } else { number }, bits)
}

/// An address in the binary, of the given width.
pub(super) fn address(address: u64, bits: u16) -> Operand {
    Operand::Address(if bits < 64 { address & ((1 << bits) - 1) } else { address }, bits)
}

/// A whole flag of one bit.
pub(super) fn flag(flag: Flag) -> Operand {
    Operand::Flag(flag)
}

/// The low bits of a general register.
pub(super) fn low(register: Reg, bits: u16) -> Operand {
    Operand::Register(register, Part { low: 0, bits })
}

/// The place of the low bits of a general register: a write of 32 bits zeroes the rest.
pub(super) fn low_place(register: Reg, bits: u16) -> Place {
    Place::Register(register, Part { low: 0, bits }, if bits == 32 { Rest::Zeroed } else { Rest::Kept })
}

impl<'a> Emitter<'a> {
    pub(super) fn new(instruction: &'a Instruction, ops: &'a mut Ops) -> Self {
        Self { instruction, ops, address: None, guard: None }
    }

    /// Width of an address and of a stack slot in this mode.
    pub(super) fn mode_bits(&self) -> u16 {
        if is_32(self.instruction) { 32 } else { 64 }
    }

    /// Width in bits of an operand that is a register or memory; of an immediate, that of the first operand.
    pub(super) fn bits(&self, operand: u32) -> u16 {
        match self.instruction.op_kind(operand) {
            OpKind::Register => part_of(self.instruction.op_register(operand)).1.bits,
            kind if is_memory(kind) => (self.instruction.memory_size().size() * 8) as u16,
            _ if operand > 0 => self.bits(0),
            _ => self.mode_bits(),
        }
    }

    /// Whether an operand is in memory.
    pub(super) fn is_memory(&self, operand: u32) -> bool {
        is_memory(self.instruction.op_kind(operand))
    }

    // Ops.

    /// Appends an op under the current guard.
    pub(super) fn push(
        &mut self,
        operation: Operation,
        bits: u16,
        lanes: u8,
        place: Place,
        inputs: &[Operand],
    ) {
        let mut all = [Operand::None; INPUTS_MAX];
        all[..inputs.len()].copy_from_slice(inputs);
        self.ops.push(Op { operation, bits, lanes, place, inputs: all, guard: self.guard });
    }

    /// Appends ops that are done only if `guard`, of one bit, is 1. Guards do not nest.
    pub(super) fn guarded(&mut self, guard: Operand, ops: impl FnOnce(&mut Self)) {
        self.guard = Some(guard);
        ops(self);
        self.guard = None;
    }

    /// Appends a scalar op with a place.
    pub(super) fn set(&mut self, place: Place, operation: Operation, bits: u16, inputs: &[Operand]) {
        self.push(operation, bits, 1, place, inputs);
    }

    /// Appends a scalar op whose result, of `bits`, is a new temporary.
    pub(super) fn make(&mut self, operation: Operation, bits: u16, inputs: &[Operand]) -> Operand {
        self.make_lanes(operation, bits, 1, inputs)
    }

    /// Appends an op whose result, of `lanes` lanes of `bits`, is a new temporary. Comparisons, conditions and carries
    /// have a result of one bit, and the number of compared elements is as wide as their count.
    pub(super) fn make_lanes(
        &mut self,
        operation: Operation,
        bits: u16,
        lanes: u8,
        inputs: &[Operand],
    ) -> Operand {
        let width = match operation {
            Operation::Compare(_) | Operation::Condition(_) | Operation::AddCarry => 1,
            Operation::SignBits => u16::from(lanes),
            Operation::CompareElements { .. } | Operation::ScanElements { .. } => inputs[2].bits(),
            _ => bits * u16::from(lanes),
        };
        let temporary = self.ops.temporary(width);
        let Operand::Temporary(index, _) = temporary else { return temporary };
        self.push(operation, bits, lanes, Place::Temporary(index, width), inputs);
        temporary
    }

    /// Defines flags.
    pub(super) fn flags(&mut self, flags: FlagSet, of: FlagsOf, bits: u16, inputs: &[Operand]) {
        self.push(Operation::Flags(of), bits, 1, Place::Flags(flags), inputs);
    }

    /// Sets one flag to a value of one bit.
    pub(super) fn set_flag(&mut self, flag: Flag, value: Operand) {
        self.set(Place::Flag(flag), Operation::Copy, 1, &[value]);
    }

    /// Says that nothing is promised about flags.
    pub(super) fn undefined(&mut self, flags: &[Flag]) {
        self.push(Operation::Undefined, 1, 1, Place::Flags(FlagSet::of(flags)), &[]);
    }

    /// A new place that nothing else refers to is a temporary; its operand.
    pub(super) fn temporary(&mut self, bits: u16) -> (Operand, Place) {
        let operand = self.ops.temporary(bits);
        let place = match operand {
            Operand::Temporary(index, part) => Place::Temporary(index, part.bits),
            _ => Place::None,
        };
        (operand, place)
    }

    /// Appends an opaque op.
    pub(super) fn opaque(&mut self, inputs: &[Operand], places: &[Place], memory: OtherMemory) {
        self.ops.push_opaque(inputs, places, memory);
    }

    // Operands.

    /// Reads an operand: a register, an immediate of `self.bits`, or memory, by a load.
    pub(super) fn read(&mut self, operand: u32) -> Operand {
        let kind = self.instruction.op_kind(operand);
        match kind {
            OpKind::Register => self.register(self.instruction.op_register(operand)),
            kind if is_memory(kind) => {
                let (address, bits) = (self.address(operand), self.bits(operand));
                self.make(Operation::Load, bits, &[address])
            }
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                address(self.instruction.near_branch_target(), self.mode_bits())
            }
            _ => constant(self.instruction.immediate(operand), self.bits(operand)),
        }
    }

    /// A register as an operand.
    #[expect(clippy::unused_self, reason = "all operands are asked of the emitter")]
    pub(super) fn register(&self, register: Register) -> Operand {
        let (register, part) = part_of(register);
        Operand::Register(register, part)
    }

    /// The place of a register operand. Writes of 32-bit general registers zero the rest, and so do those of vector
    /// registers in the encodings of AVX.
    pub(super) fn place(&self, operand: u32) -> Place {
        let iced = self.instruction.op_register(operand);
        let (register, part) = part_of(iced);
        let is_zeroed = match iced {
            _ if iced.is_vector_register() => {
                self.instruction.encoding() != EncodingKind::Legacy && part.bits < 512
            }
            _ if iced.is_gpr32() => true,
            _ => iced.is_k(),
        };
        Place::Register(register, part, if is_zeroed { Rest::Zeroed } else { Rest::Kept })
    }

    /// Writes a value of the operand's width to a register or to memory.
    pub(super) fn write(&mut self, operand: u32, value: Operand) {
        let bits = self.bits(operand);
        if self.is_memory(operand) {
            let address = self.address(operand);
            self.push(Operation::Store, bits, 1, Place::None, &[address, value]);
        } else {
            let place = self.place(operand);
            self.set(place, Operation::Copy, bits, &[value]);
        }
    }

    /// Writes the result of an op to an operand: at once to a register, by a store to memory.
    pub(super) fn write_result(&mut self, operand: u32, operation: Operation, bits: u16, inputs: &[Operand]) {
        if self.is_memory(operand) {
            let value = match operation {
                Operation::Copy => inputs[0],
                _ => self.make(operation, bits, inputs),
            };
            self.write(operand, value);
        } else {
            let place = self.place(operand);
            self.set(place, operation, bits, inputs);
        }
    }

    /// Writes a value to operand 0, and flags: after a store, which may fault, and before a register, which they may
    /// refer to.
    pub(super) fn write_with_flags(&mut self, value: Operand, flags: impl FnOnce(&mut Self)) {
        let is_memory = self.is_memory(0);
        if is_memory {
            self.write(0, value);
        }
        flags(self);
        if !is_memory {
            self.write(0, value);
        }
    }

    /// Stores a value of `bits`.
    pub(super) fn store(&mut self, address: Operand, value: Operand, bits: u16) {
        self.push(Operation::Store, bits, 1, Place::None, &[address, value]);
    }

    // Addresses.

    /// The address of a memory operand, with the base of its segment. Computed once.
    pub(super) fn address(&mut self, operand: u32) -> Operand {
        match self.instruction.op_kind(operand) {
            OpKind::Memory => match self.address {
                Some(address) => address,
                None => {
                    let address = self.effective_address();
                    let address = self.with_segment(address);
                    self.address = Some(address);
                    address
                }
            },
            kind => {
                let address = self.register(string_register(kind));
                match kind {
                    // The destination is in `es` whatever the prefix says, and its base is 0.
                    OpKind::MemoryESDI | OpKind::MemoryESEDI | OpKind::MemoryESRDI => address,
                    _ => self.with_segment(address),
                }
            }
        }
    }

    fn with_segment(&mut self, address: Operand) -> Operand {
        let base = match self.instruction.memory_segment() {
            Register::FS => FS_BASE,
            Register::GS => GS_BASE,
            _ => return address,
        };
        let bits = self.mode_bits();
        let address = match address.bits() < bits {
            true => self.make(Operation::ZeroExtend, bits, &[address]),
            false => address,
        };
        self.make(Operation::Add, bits, &[low(base, bits), address])
    }

    /// The address of the memory operand within its segment, which `lea` computes: base + index * scale + displacement.
    pub(super) fn effective_address(&mut self) -> Operand {
        let instruction = self.instruction;
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        let displacement = instruction.memory_displacement64();
        let bits = match (base, index) {
            (Register::None, Register::None) => (instruction.memory_displ_size() * 8).min(64) as u16,
            (Register::RIP, _) => 64,
            (Register::EIP, _) => 32,
            (Register::None, _) => part_of(index).1.bits,
            _ => part_of(base).1.bits,
        };
        let is_constant = matches!(base, Register::None | Register::RIP | Register::EIP);
        let mut sum = (!is_constant).then(|| self.register(base));
        if index != Register::None {
            let index = self.register(index);
            let shift = instruction.memory_index_scale().trailing_zeros() as u8;
            sum = Some(match (sum, shift) {
                (Some(base), 0) => self.make(Operation::Add, bits, &[base, index]),
                (Some(base), shift) => self.make(Operation::AddScaled(shift), bits, &[base, index]),
                (None, 0) => index,
                (None, shift) => self.make(Operation::ShiftLeft, bits, &[index, constant(shift.into(), 8)]),
            });
        }
        match sum {
            None if base == Register::None => constant(displacement, bits),
            None => address(displacement, bits),
            Some(sum) if displacement == 0 => sum,
            Some(sum) => self.make(Operation::Add, bits, &[sum, constant(displacement, bits)]),
        }
    }

    // The stack, conditions, atomics.

    /// The stack pointer as an operand.
    pub(super) fn stack_pointer(&self) -> Operand {
        low(STACK_POINTER, self.mode_bits())
    }

    /// Stores a value of `bits` below the stack pointer; the new stack pointer.
    pub(super) fn store_pushed(&mut self, value: Operand, bits: u16) -> Operand {
        let size = constant(u64::from(bits / 8), self.mode_bits());
        let stack_pointer = self.stack_pointer();
        let pointer = self.make(Operation::Subtract, self.mode_bits(), &[stack_pointer, size]);
        self.store(pointer, value, bits);
        pointer
    }

    /// Sets the stack pointer.
    pub(super) fn set_stack_pointer(&mut self, value: Operand) {
        let bits = self.mode_bits();
        self.set(low_place(STACK_POINTER, bits), Operation::Copy, bits, &[value]);
    }

    /// Whether the condition of the instruction holds: one bit.
    pub(super) fn condition(&mut self) -> Operand {
        let (predicate, is_negated) = match self.instruction.condition_code() {
            ConditionCode::o => (Predicate::Overflow, false),
            ConditionCode::no => (Predicate::Overflow, true),
            ConditionCode::b => (Predicate::Carry, false),
            ConditionCode::ae => (Predicate::Carry, true),
            ConditionCode::e => (Predicate::Zero, false),
            ConditionCode::ne => (Predicate::Zero, true),
            ConditionCode::be => (Predicate::CarryOrZero, false),
            ConditionCode::a => (Predicate::CarryOrZero, true),
            ConditionCode::s => (Predicate::Sign, false),
            ConditionCode::ns => (Predicate::Sign, true),
            ConditionCode::p => (Predicate::Parity, false),
            ConditionCode::np => (Predicate::Parity, true),
            ConditionCode::l => (Predicate::Less, false),
            ConditionCode::ge => (Predicate::Less, true),
            ConditionCode::le => (Predicate::LessOrEqual, false),
            ConditionCode::g | ConditionCode::None => (Predicate::LessOrEqual, true),
        };
        self.make(Operation::Condition(Condition { predicate, is_negated }), 1, &[])
    }

    /// Whether the instruction changes its memory operand in one step: with `lock`, or as `xchg` does always.
    pub(super) fn is_atomic(&self) -> bool {
        self.is_memory(0) && self.instruction.has_lock_prefix()
    }

    /// Changes the first operand, which is memory, in one step; what it held before.
    pub(super) fn atomic(&mut self, operation: AtomicOperation, value: Operand) -> Operand {
        let (address, bits) = (self.address(0), self.bits(0));
        self.make(Operation::Atomic(operation), bits, &[address, value])
    }

    /// Sets the second byte of a general register.
    pub(super) fn set_high_byte(&mut self, number: u8, value: Operand) {
        let place = Place::Register(general(number), Part { low: 8, bits: 8 }, Rest::Kept);
        self.set(place, Operation::Copy, 8, &[value]);
    }

    /// The address of `xlatb`: `rbx` with `al` added.
    pub(super) fn table_address(&mut self) -> Operand {
        let base = self.register(self.instruction.memory_base());
        let bits = base.bits();
        let index = self.make(Operation::ZeroExtend, bits, &[low(general(0), 8)]);
        let address = self.make(Operation::Add, bits, &[base, index]);
        self.with_segment(address)
    }

    /// A general register of the given width by its number.
    #[expect(clippy::unused_self, reason = "all operands are asked of the emitter")]
    pub(super) fn general(&self, number: u8, bits: u16) -> Operand {
        low(general(number), bits)
    }

    /// Sets the low bits of a general register.
    pub(super) fn set_general(&mut self, number: u8, value: Operand) {
        let bits = value.bits();
        self.set(low_place(general(number), bits), Operation::Copy, bits, &[value]);
    }

    /// The condition that two values compare so: one bit. `bits` are those of the values.
    pub(super) fn compare(
        &mut self,
        comparison: crate::isa::ops::Comparison,
        a: Operand,
        b: Operand,
    ) -> Operand {
        self.make(Operation::Compare(comparison), a.bits(), &[a, b])
    }

    /// The highest bit of a value.
    pub(super) fn sign(value: Operand) -> Operand {
        value.part(value.bits() - 1, 1)
    }
}

/// The register that holds the address of a string instruction's operand.
fn string_register(kind: OpKind) -> Register {
    match kind {
        OpKind::MemorySegSI => Register::SI,
        OpKind::MemorySegESI => Register::ESI,
        OpKind::MemorySegRSI => Register::RSI,
        OpKind::MemorySegDI | OpKind::MemoryESDI => Register::DI,
        OpKind::MemorySegEDI | OpKind::MemoryESEDI => Register::EDI,
        _ => Register::RDI,
    }
}
