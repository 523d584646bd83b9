//! What an instruction does to what is known of registers and of the stack.

use super::convention::{FRAME_POINTER, RESULT, STACK_POINTER};
use super::operands::is_memory;
use super::places::{number, operand_size};
use super::strings::is_string;
use super::{address_size, immediate, is_32};
use crate::domains::{Base, Compared, Place, State, UNBOUNDED_HIGH, Value};
use binframe_ir::tables::UnknownReason;
use iced_x86::{
    ConditionCode, FlowControl, Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic,
    OpAccess, OpKind, Register, UsedRegister,
};

/// Follows instructions.
pub(crate) struct Interpreter<'a> {
    pub(super) info: InstructionInfoFactory,
    /// Whether something of the file is loaded at an address.
    pub(super) is_loaded: &'a dyn Fn(u64) -> bool,
    /// Whether string instructions may go from high addresses to low ones.
    pub(super) may_go_down: bool,
}

impl<'a> Interpreter<'a> {
    /// One for a file, given what says whether something of it is loaded at an address.
    pub(crate) fn new(is_loaded: &'a dyn Fn(u64) -> bool) -> Self {
        Self { info: InstructionInfoFactory::new(), is_loaded, may_go_down: false }
    }

    /// Prepares for the instructions of a function.
    pub(crate) fn enter(&mut self, instructions: &[Instruction]) {
        self.may_go_down = instructions.iter().any(|instruction| instruction.mnemonic() == Mnemonic::Std);
    }

    /// Follows an instruction that is no call. What a return does is its caller's affair.
    pub(crate) fn step(&mut self, state: &mut State, instruction: &Instruction) {
        if instruction.rflags_modified() != 0 {
            state.compared = None;
        }
        match instruction.mnemonic() {
            Mnemonic::Nop
            | Mnemonic::Endbr64
            | Mnemonic::Endbr32
            | Mnemonic::Jmp
            | Mnemonic::Ret
            | Mnemonic::Retf => {}
            Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd | Mnemonic::Lea
                if is_general(instruction) =>
            {
                self.step_move(state, instruction);
            }
            Mnemonic::Add
            | Mnemonic::Sub
            | Mnemonic::Inc
            | Mnemonic::Dec
            | Mnemonic::And
            | Mnemonic::Or
            | Mnemonic::Xor
            | Mnemonic::Cmp
            | Mnemonic::Test => self.step_arithmetic(state, instruction),
            Mnemonic::Shl | Mnemonic::Sal | Mnemonic::Shr | Mnemonic::Sar
                if instruction.op1_kind() == OpKind::Immediate8 =>
            {
                self.step_shift(state, instruction);
            }
            Mnemonic::Imul if instruction.op_count() > 1 => self.step_product(state, instruction),
            Mnemonic::Cdqe => state.set_register(0, state.register(0).sign_extended(32)),
            Mnemonic::Cwde => {
                let value = state.register(0).sign_extended(16);
                Self::write(state, instruction, Register::EAX, value);
            }
            Mnemonic::Push | Mnemonic::Pop | Mnemonic::Leave | Mnemonic::Call => {
                self.step_stack(state, instruction);
            }
            Mnemonic::Xchg if instruction.op0_kind() == OpKind::Register => {
                let (one, other) = (self.read(state, instruction, 0), self.read(state, instruction, 1));
                self.write_operand(state, instruction, 1, one);
                self.write_operand(state, instruction, 0, other);
            }
            _ if is_service(instruction) => {
                Self::step_service(state, instruction);
                self.step_other(state, instruction);
            }
            _ if is_string(instruction) => self.step_string(state, instruction),
            _ if is_conditional(instruction) && instruction.op_count() == 2 => {
                let (old, new) = (self.read(state, instruction, 0), self.read(state, instruction, 1));
                let joined = old.join(new);
                if joined.base != old.base || joined.base != new.base {
                    state.lose(old);
                    state.lose(new);
                }
                self.write_operand(state, instruction, 0, joined);
            }
            _ if is_conditional(instruction) && instruction.flow_control() == FlowControl::Next => {
                let truth = Value::between(0, 1);
                self.write_operand(state, instruction, 0, truth);
            }
            _ => self.step_other(state, instruction),
        }
    }

    fn step_move(&mut self, state: &mut State, instruction: &Instruction) {
        let value = match instruction.mnemonic() {
            Mnemonic::Lea => self.address(state, instruction, 1).value,
            Mnemonic::Movsx | Mnemonic::Movsxd => {
                let size = operand_size(instruction, 1);
                self.read(state, instruction, 1).sign_extended(u32::from(size) * 8)
            }
            _ => self.read(state, instruction, 1),
        };
        self.write_operand(state, instruction, 0, value);
    }

    fn step_arithmetic(&mut self, state: &mut State, instruction: &Instruction) {
        let mnemonic = instruction.mnemonic();
        let old = self.read(state, instruction, 0);
        let other = match mnemonic {
            Mnemonic::Inc | Mnemonic::Dec => Value::number(1),
            _ => self.read(state, instruction, 1),
        };
        let size = operand_size(instruction, 0);
        let bits = u32::from(size) * 8;
        let is_same = instruction.op1_kind() == OpKind::Register
            && instruction.op0_kind() == OpKind::Register
            && instruction.op0_register() == instruction.op1_register();
        let comparison = |left: Value, right: Value| {
            let place = self.place(state, instruction, 0)?;
            Some(Compared { place, left, right, bits, is_result: false })
        };
        let value = match mnemonic {
            Mnemonic::Cmp => {
                state.compared = comparison(old, other);
                return;
            }
            Mnemonic::Test => {
                state.compared = is_same.then(|| comparison(old, Value::number(0))).flatten();
                return;
            }
            Mnemonic::Add | Mnemonic::Inc => self.sum(old, other),
            Mnemonic::Sub | Mnemonic::Xor if is_same => Value::number(0),
            Mnemonic::And | Mnemonic::Or if is_same => old,
            Mnemonic::Sub | Mnemonic::Dec => old.difference(other),
            _ if is_aligned_address(old) && mnemonic == Mnemonic::And => {
                Self::aligned(state, instruction, old, other)
            }
            _ => masked(mnemonic, old, other, bits),
        };
        let is_stack_pointer = instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().full_register() == Register::RSP
            && size == address_size(instruction);
        let is_moved = is_stack_pointer && value.exact().is_none() && old.exact().is_some();
        let value = match is_moved {
            // Space is made, or made again, whose size is known at run time only.
            true if value.base != Base::Aligned => Value::at(Base::Dynamic(instruction.ip()), 0),
            _ => value,
        };
        if value.is_unknown() || (value.base == Base::Number && mnemonic != Mnemonic::Sub) {
            state.lose(if is_same { Value::number(0) } else { old });
            state.lose(if is_same { Value::number(0) } else { other });
        }
        self.write_operand(state, instruction, 0, value);
        if instruction.op0_kind() == OpKind::Register
            && let Some(register) = number(instruction.op0_register())
        {
            let left = self.read(state, instruction, 0);
            let (place, right) = (Place::Register(register), Value::number(0));
            state.compared = Some(Compared { place, left, right, bits, is_result: true });
        }
    }

    /// Clears low bits of an address.
    fn aligned(state: &mut State, instruction: &Instruction, old: Value, mask: Value) -> Value {
        let Some(mask) = mask.sign_extended(u32::from(address_size(instruction)) * 8).constant() else {
            return Value::unknown(UnknownReason::Computed);
        };
        let size = mask.unsigned_abs();
        if mask >= 0 || !size.is_power_of_two() || size > 1 << 32 {
            // What is left of an address is no address.
            return if mask >= 0 { Value::between(0, mask) } else { Value::unknown(UnknownReason::Computed) };
        }
        let is_stack_pointer = instruction.op0_register().full_register() == Register::RSP;
        if is_stack_pointer && old.base == Base::Stack && !state.is_aligned && old.exact().is_some() {
            state.is_aligned = true;
            return Value::at(Base::Aligned, 0);
        }
        let cleared = Value::between(-(size as i64 - 1), 0);
        old.sum(cleared)
    }

    fn step_shift(&mut self, state: &mut State, instruction: &Instruction) {
        let old = self.read(state, instruction, 0);
        let bits = u32::from(operand_size(instruction, 0)) * 8;
        let count = u32::from(instruction.immediate8()) & if bits == 64 { 63 } else { 31 };
        let value = match instruction.mnemonic() {
            Mnemonic::Shl | Mnemonic::Sal if count < 63 => old.scaled(1 << count),
            Mnemonic::Shr if old.base == Base::Number && old.low >= 0 && old.high != UNBOUNDED_HIGH => {
                Value::between(old.low >> count, old.high >> count)
            }
            Mnemonic::Shr => Value::of_bits(bits.saturating_sub(count)),
            _ if old.base == Base::Number
                && old.is_bounded()
                && old.low >= 0
                && old.high < 1 << (bits - 1).min(62) =>
            {
                Value::between(old.low >> count, old.high >> count)
            }
            _ => Value::any(Base::Number, 0),
        };
        state.lose(old);
        self.write_operand(state, instruction, 0, value);
    }

    fn step_product(&mut self, state: &mut State, instruction: &Instruction) {
        let (one, other) = match instruction.op_count() {
            2 => (self.read(state, instruction, 0), self.read(state, instruction, 1)),
            _ => (self.read(state, instruction, 1), self.read(state, instruction, 2)),
        };
        let bits = u32::from(operand_size(instruction, 0)) * 8;
        let value = match (one.constant(), other.sign_extended(bits).constant()) {
            (_, Some(factor)) => one.scaled(factor),
            (Some(factor), _) => other.scaled(factor),
            _ => Value::any(Base::Number, 0),
        };
        state.lose(one);
        state.lose(other);
        self.write_operand(state, instruction, 0, value);
    }

    fn step_stack(&mut self, state: &mut State, instruction: &Instruction) {
        let slot = address_size(instruction);
        let pointer = state.register(STACK_POINTER);
        let increment = i64::from(instruction.stack_pointer_increment());
        let size = increment.unsigned_abs() as u16;
        match instruction.mnemonic() {
            Mnemonic::Push => {
                let value = self.read(state, instruction, 0);
                let pointer = pointer.plus(increment);
                state.set_register(STACK_POINTER, pointer);
                state.store(pointer, size, value);
            }
            Mnemonic::Pop => {
                let value = state.load(pointer, size as u8);
                state.set_register(STACK_POINTER, pointer.plus(increment));
                self.write_operand(state, instruction, 0, value);
            }
            Mnemonic::Leave => {
                let frame = state.register(FRAME_POINTER);
                let value = state.load(frame, slot);
                state.set_register(STACK_POINTER, frame.plus(i64::from(slot)));
                state.set_register(FRAME_POINTER, value);
            }
            // A call of what follows only pushes an address.
            _ if instruction.near_branch_target() == instruction.next_ip() => {
                let pointer = pointer.plus(-i64::from(slot));
                state.set_register(STACK_POINTER, pointer);
                state.store(pointer, u16::from(slot), Value::at(Base::Global(instruction.next_ip()), 0));
            }
            _ => {}
        }
    }

    /// Asks the system for a service, which reads and writes what it is given.
    fn step_service(state: &mut State, instruction: &Instruction) {
        let given: [u8; 6] = if is_32(instruction) { [3, 1, 2, 6, 7, 5] } else { [7, 6, 2, 10, 8, 9] };
        for register in given {
            state.lose(state.register(register));
        }
        state.store(Value::unknown(UnknownReason::Clobbered), 1, Value::number(0));
        state.set_register(RESULT, Value::unknown(UnknownReason::Clobbered));
    }

    /// Forgets what an instruction writes, and gives up what it reads.
    fn step_other(&mut self, state: &mut State, instruction: &Instruction) {
        let used = self.info.info_options(instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
        let registers: &[UsedRegister] = used.used_registers();
        let is_operand = |register: Register| {
            (0..instruction.op_count()).any(|operand| {
                instruction.op_kind(operand) == OpKind::Register
                    && instruction.op_register(operand).full_register() == register.full_register()
            })
        };
        let is_address = |register: Register| {
            [instruction.memory_base(), instruction.memory_index()]
                .iter()
                .any(|part| part.full_register() == register.full_register())
        };
        let general = registers.iter().filter_map(|used| Some((number(used.register())?, used)));
        for (register, used) in general.clone() {
            let is_read = used.access() != OpAccess::Write && used.access() != OpAccess::CondWrite;
            let is_value = is_operand(used.register()) || !is_address(used.register());
            if is_read && is_value && register != STACK_POINTER {
                state.lose(state.register(register));
            }
        }
        let writes = |access: OpAccess| {
            !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
        };
        let memory = (0..instruction.op_count())
            .find(|operand| is_memory(instruction.op_kind(*operand)) && writes(used.op_access(*operand)));
        let written: [Option<(u8, usize)>; 6] = {
            let mut all = general
                .filter(|(_, used)| writes(used.access()))
                .map(|(register, used)| (register, used.register().size()));
            std::array::from_fn(|_| all.next())
        };
        if let Some(operand) = memory {
            let address = self.address(state, instruction, operand).value;
            let size = u16::try_from(instruction.memory_size().size()).unwrap_or(u16::MAX);
            let value = if size <= 8 {
                Value::unknown(UnknownReason::Computed)
            } else {
                Value::unknown(UnknownReason::Loaded)
            };
            // Instructions that save all registers write more than their operand says.
            match size {
                0 => state.store(Value { high: UNBOUNDED_HIGH, ..address }, 1, value),
                size => state.store(address, size, value),
            }
        }
        let increment = i64::from(instruction.stack_pointer_increment());
        for (register, size) in written.into_iter().flatten() {
            let value = match register {
                STACK_POINTER if increment != 0 => state.register(register).plus(increment),
                _ if size == 4 && !is_32(instruction) => Value::of_bits(32),
                _ => Value::unknown(UnknownReason::Computed),
            };
            state.set_register(register, value);
        }
    }
}

/// Whether an instruction asks the system for a service.
pub(super) fn is_service(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Syscall | Mnemonic::Sysenter | Mnemonic::Int)
}

/// What is left of numbers behind `and`, `or` or `xor`.
fn masked(mnemonic: Mnemonic, old: Value, other: Value, bits: u32) -> Value {
    let bounds = |value: Value| {
        Some(value)
            .filter(|value| value.base == Base::Number && value.low >= 0 && value.high != UNBOUNDED_HIGH)
    };
    match mnemonic {
        Mnemonic::And => {
            let highest = [old, other].into_iter().filter_map(bounds).map(|value| value.high).min();
            let mask = other.constant().or_else(|| old.constant());
            let Some(high) = highest else { return Value::of_bits(bits) };
            let step = mask.filter(|mask| *mask > 0).map_or(1, |mask| 1_u32 << mask.trailing_zeros().min(30));
            let high = mask.filter(|mask| *mask >= 0).map_or(high, |mask| largest_within(mask, high));
            if high == 0 { Value::number(0) } else { Value { stride: step, ..Value::between(0, high) } }
        }
        _ if mnemonic == Mnemonic::Or && other.constant().is_some_and(|mask| mask == -1) => {
            Value::number(-1).zero_extended(bits)
        }
        _ => match (bounds(old), bounds(other)) {
            (Some(old), Some(other)) => {
                let high = old.high | other.high;
                Value::between(0, filled(high))
            }
            _ => Value::of_bits(bits),
        },
    }
}

/// The most that a number up to `high` can be when other bits than those of a mask are cleared.
fn largest_within(mask: i64, high: i64) -> i64 {
    mask & filled(high)
}

/// The number with all bits set up to the highest that is set in another, which is not negative.
fn filled(number: i64) -> i64 {
    match number {
        ..1 => 0,
        number => i64::MAX >> (number.leading_zeros() - 1),
    }
}

/// Whether clearing low bits leaves an address.
fn is_aligned_address(value: Value) -> bool {
    !value.is_unknown() && value.base != Base::Number
}

/// Whether what an instruction does depends on flags.
fn is_conditional(instruction: &Instruction) -> bool {
    instruction.condition_code() != ConditionCode::None
}

/// Whether all operands are numbers or addresses, and none is a segment, control or vector register.
fn is_general(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).all(|operand| {
        instruction.op_kind(operand) != OpKind::Register || number(instruction.op_register(operand)).is_some()
    })
}

/// Whether an instruction moves a register to or from memory whole, and does nothing else.
pub(crate) fn is_whole_move(instruction: &Instruction) -> bool {
    let is_move = matches!(
        instruction.mnemonic(),
        Mnemonic::Mov
            | Mnemonic::Push
            | Mnemonic::Pop
            | Mnemonic::Movss
            | Mnemonic::Movsd
            | Mnemonic::Movq
            | Mnemonic::Movd
            | Mnemonic::Movaps
            | Mnemonic::Movups
            | Mnemonic::Movapd
            | Mnemonic::Movupd
            | Mnemonic::Movdqa
            | Mnemonic::Movdqu
            | Mnemonic::Vmovss
            | Mnemonic::Vmovsd
            | Mnemonic::Vmovaps
            | Mnemonic::Vmovups
            | Mnemonic::Vmovdqa
            | Mnemonic::Vmovdqu
            | Mnemonic::Fld
            | Mnemonic::Fstp
    );
    is_move
        && (0..instruction.op_count()).all(|operand| {
            let kind = instruction.op_kind(operand);
            kind == OpKind::Register || is_memory(kind)
        })
}

/// The general register that an instruction stores whole, and does nothing else.
pub(crate) fn stored_register(instruction: &Instruction) -> Option<u8> {
    let operand = match instruction.mnemonic() {
        Mnemonic::Push => 0,
        Mnemonic::Mov if is_memory(instruction.op0_kind()) => 1,
        _ => return None,
    };
    let is_whole = instruction.op_kind(operand) == OpKind::Register
        && instruction.op_register(operand).size() == usize::from(address_size(instruction));
    number(instruction.op_register(operand)).filter(|_| is_whole)
}

/// What an instruction makes the stack pointer a multiple of.
pub(crate) fn stack_alignment(instruction: &Instruction) -> Option<u32> {
    let is_mask = instruction.mnemonic() == Mnemonic::And
        && instruction.op0_kind() == OpKind::Register
        && number(instruction.op0_register()) == Some(STACK_POINTER)
        && instruction.op1_kind() != OpKind::Register
        && !is_memory(instruction.op1_kind());
    let size = is_mask.then(|| (immediate(instruction, 1) as i64).unsigned_abs())?;
    u32::try_from(size).ok().filter(|size| size.is_power_of_two())
}
