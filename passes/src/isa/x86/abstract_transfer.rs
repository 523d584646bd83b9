//! Transfer functions: the effect of an instruction, other than a call, on an abstract state.
//!
//! Moves, integer arithmetic, shifts, products, stack instructions and exchanges are interpreted. Of every other
//! instruction, the written operands become unknown and the read operands escape, since the result may contain a
//! pointer.

use super::abstract_interpreter::AbstractInterpreter;
use super::calling_convention::{FRAME_POINTER, RESULT, STACK_POINTER};
use super::decoder::{address_size, is_32};
use super::instruction_facts::{
    general_register, has_general_operands, is_conditional, is_string_instruction, is_system_call,
    operand_size,
};
use super::operands::is_memory;
use crate::domains::{AbstractState, AbstractValue, Base, Comparison, OperandLocation, UNBOUNDED_HIGH};
use binframe_ir::tables::UnknownReason;
use iced_x86::{
    FlowControl, Instruction, InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register, UsedRegister,
};

impl AbstractInterpreter<'_> {
    /// Applies an instruction that is not a call. Returns and jumps change nothing: the function's own summary has the
    /// effect of its returns (`exit_state`).
    pub(crate) fn transfer(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        if instruction.rflags_modified() != 0 {
            state.comparison = None;
        }
        match instruction.mnemonic() {
            Mnemonic::Nop
            | Mnemonic::Endbr64
            | Mnemonic::Endbr32
            | Mnemonic::Jmp
            | Mnemonic::Ret
            | Mnemonic::Retf => {}
            Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd | Mnemonic::Lea
                if has_general_operands(instruction) =>
            {
                self.transfer_move(state, instruction);
            }
            Mnemonic::Add
            | Mnemonic::Sub
            | Mnemonic::Inc
            | Mnemonic::Dec
            | Mnemonic::And
            | Mnemonic::Or
            | Mnemonic::Xor => self.transfer_arithmetic(state, instruction),
            Mnemonic::Cmp | Mnemonic::Test => self.transfer_comparison(state, instruction),
            Mnemonic::Shl | Mnemonic::Sal | Mnemonic::Shr | Mnemonic::Sar
                if instruction.op1_kind() == OpKind::Immediate8 =>
            {
                self.transfer_shift(state, instruction);
            }
            Mnemonic::Imul if instruction.op_count() > 1 => self.transfer_product(state, instruction),
            Mnemonic::Cdqe => state.set_register(RESULT, state.register(RESULT).sign_extended(32)),
            Mnemonic::Cwde => {
                let value = state.register(RESULT).sign_extended(16);
                Self::write_register(state, instruction, Register::EAX, value);
            }
            Mnemonic::Push | Mnemonic::Pop | Mnemonic::Leave | Mnemonic::Call => {
                self.transfer_stack(state, instruction);
            }
            Mnemonic::Xchg if instruction.op0_kind() == OpKind::Register => {
                self.transfer_exchange(state, instruction);
            }
            _ if is_system_call(instruction) => {
                Self::transfer_system_call(state, instruction);
                self.transfer_other(state, instruction);
            }
            _ if is_string_instruction(instruction) => self.transfer_string(state, instruction),
            _ if is_conditional(instruction) && instruction.op_count() == 2 => {
                self.transfer_conditional_move(state, instruction);
            }
            // `setcc`.
            _ if is_conditional(instruction) && instruction.flow_control() == FlowControl::Next => {
                self.write_operand(state, instruction, 0, AbstractValue::between(0, 1));
            }
            _ => self.transfer_other(state, instruction),
        }
    }

    fn transfer_move(&mut self, state: &mut AbstractState, instruction: &Instruction) {
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

    fn transfer_arithmetic(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        let mnemonic = instruction.mnemonic();
        let old = self.read(state, instruction, 0);
        let other = match mnemonic {
            Mnemonic::Inc | Mnemonic::Dec => AbstractValue::number(1),
            _ => self.read(state, instruction, 1),
        };
        let bits = u32::from(operand_size(instruction, 0)) * 8;
        let is_same = has_same_operands(instruction);
        let value = match mnemonic {
            Mnemonic::Add | Mnemonic::Inc => self.sum(old, other),
            Mnemonic::Sub | Mnemonic::Xor if is_same => AbstractValue::number(0),
            Mnemonic::And | Mnemonic::Or if is_same => old,
            Mnemonic::Sub | Mnemonic::Dec => old.difference(other),
            Mnemonic::And if has_symbolic_base(old) => Self::aligned(state, instruction, old, other),
            _ => masked(mnemonic, old, other, bits),
        };
        let value = if is_alloca(instruction, old, value) {
            AbstractValue::at(Base::Dynamic(instruction.ip()), 0)
        } else {
            value
        };
        // The result is not tracked as an address any more. A difference of two addresses cannot be used to access
        // either.
        if value.is_unknown() || (value.base == Base::Number && mnemonic != Mnemonic::Sub) {
            state.escape(if is_same { AbstractValue::number(0) } else { old });
            state.escape(if is_same { AbstractValue::number(0) } else { other });
        }
        self.write_operand(state, instruction, 0, value);
        if instruction.op0_kind() == OpKind::Register
            && let Some(register) = general_register(instruction.op0_register())
        {
            let left = self.read(state, instruction, 0);
            let (location, right) = (OperandLocation::Register(register), AbstractValue::number(0));
            state.comparison = Some(Comparison { location, left, right, bits, is_result: true });
        }
    }

    /// Records the operands of `cmp`, and of `test` of a register with itself, which compares it with 0. Any
    /// other `test` is no comparison.
    fn transfer_comparison(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        let left = self.read(state, instruction, 0);
        let right = match instruction.mnemonic() {
            Mnemonic::Cmp => Some(self.read(state, instruction, 1)),
            _ => has_same_operands(instruction).then_some(AbstractValue::number(0)),
        };
        let bits = u32::from(operand_size(instruction, 0)) * 8;
        state.comparison = right.and_then(|right| {
            let location = self.location(state, instruction, 0)?;
            Some(Comparison { location, left, right, bits, is_result: false })
        });
    }

    /// The result of `and` on an address. A mask that clears low bits aligns it; any other result is not an address.
    fn aligned(
        state: &mut AbstractState,
        instruction: &Instruction,
        old: AbstractValue,
        mask: AbstractValue,
    ) -> AbstractValue {
        let Some(mask) = mask.sign_extended(u32::from(address_size(instruction)) * 8).constant() else {
            return AbstractValue::unknown(UnknownReason::Computed);
        };
        let size = mask.unsigned_abs();
        if mask >= 0 {
            return AbstractValue::between(0, mask);
        }
        if !size.is_power_of_two() || size > 1 << 32 {
            return AbstractValue::unknown(UnknownReason::Computed);
        }
        let is_stack_pointer = instruction.op0_register().full_register() == Register::RSP;
        // The first alignment of the stack pointer: the frame below is relative to the aligned stack pointer.
        if is_stack_pointer && old.base == Base::Stack && !state.is_aligned && old.exact_offset().is_some() {
            state.is_aligned = true;
            return AbstractValue::at(Base::Aligned, 0);
        }
        let cleared = AbstractValue::between(-(size as i64 - 1), 0);
        old.sum(cleared)
    }

    fn transfer_shift(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        let old = self.read(state, instruction, 0);
        let bits = u32::from(operand_size(instruction, 0)) * 8;
        let count = u32::from(instruction.immediate8()) & if bits == 64 { 63 } else { 31 };
        let value = match instruction.mnemonic() {
            Mnemonic::Shl | Mnemonic::Sal if count < 63 => old.scaled(1 << count),
            Mnemonic::Shr if old.base == Base::Number && old.low >= 0 && old.high != UNBOUNDED_HIGH => {
                AbstractValue::between(old.low >> count, old.high >> count)
            }
            Mnemonic::Shr => AbstractValue::unsigned(bits.saturating_sub(count)),
            _ if old.base == Base::Number
                && old.is_bounded()
                && old.low >= 0
                && old.high < 1 << (bits - 1).min(62) =>
            {
                AbstractValue::between(old.low >> count, old.high >> count)
            }
            _ => AbstractValue::unbounded(Base::Number, 0),
        };
        state.escape(old);
        self.write_operand(state, instruction, 0, value);
    }

    fn transfer_product(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        let (one, other) = match instruction.op_count() {
            2 => (self.read(state, instruction, 0), self.read(state, instruction, 1)),
            _ => (self.read(state, instruction, 1), self.read(state, instruction, 2)),
        };
        let bits = u32::from(operand_size(instruction, 0)) * 8;
        let value = match (one.constant(), other.sign_extended(bits).constant()) {
            (_, Some(factor)) => one.scaled(factor),
            (Some(factor), _) => other.scaled(factor),
            _ => AbstractValue::unbounded(Base::Number, 0),
        };
        state.escape(one);
        state.escape(other);
        self.write_operand(state, instruction, 0, value);
    }

    fn transfer_stack(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        let address_size = address_size(instruction);
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
                let value = state.load(frame, address_size);
                state.set_register(STACK_POINTER, frame.plus(i64::from(address_size)));
                state.set_register(FRAME_POINTER, value);
            }
            // A call of the next instruction pushes its address (position-independent 32-bit code).
            _ if instruction.near_branch_target() == instruction.next_ip() => {
                let pointer = pointer.plus(-i64::from(address_size));
                state.set_register(STACK_POINTER, pointer);
                let next = AbstractValue::at(Base::Global(instruction.next_ip()), 0);
                state.store(pointer, u16::from(address_size), next);
            }
            _ => {}
        }
    }

    fn transfer_exchange(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        let (one, other) = (self.read(state, instruction, 0), self.read(state, instruction, 1));
        self.write_operand(state, instruction, 1, one);
        self.write_operand(state, instruction, 0, other);
    }

    fn transfer_conditional_move(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        let (old, new) = (self.read(state, instruction, 0), self.read(state, instruction, 1));
        let joined = old.join(new);
        if joined.base != old.base || joined.base != new.base {
            state.escape(old);
            state.escape(new);
        }
        self.write_operand(state, instruction, 0, joined);
    }

    /// Applies a system call of Linux: its arguments escape, memory at unknown addresses is written, the result is
    /// unknown.
    fn transfer_system_call(state: &mut AbstractState, instruction: &Instruction) {
        let arguments: [u8; 6] = if is_32(instruction) { [3, 1, 2, 6, 7, 5] } else { [7, 6, 2, 10, 8, 9] };
        for register in arguments {
            state.escape(state.register(register));
        }
        let anywhere = AbstractValue::unknown(UnknownReason::Clobbered);
        state.store(anywhere, 1, AbstractValue::number(0));
        state.set_register(RESULT, AbstractValue::unknown(UnknownReason::Clobbered));
    }

    /// Applies an instruction that is not interpreted: its read operands escape, its written operands become unknown.
    fn transfer_other(&mut self, state: &mut AbstractState, instruction: &Instruction) {
        let used = self.info.info_options(instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
        let registers: &[UsedRegister] = used.used_registers();
        let general = registers.iter().filter_map(|used| Some((general_register(used.register())?, used)));
        for (register, _) in general.clone().filter(|(_, used)| is_read_as_value(instruction, **used)) {
            if register != STACK_POINTER {
                state.escape(state.register(register));
            }
        }
        let memory = (0..instruction.op_count())
            .find(|operand| is_memory(instruction.op_kind(*operand)) && may_write(used.op_access(*operand)));
        let written: [Option<(u8, usize)>; 6] = {
            let mut all = general
                .filter(|(_, used)| may_write(used.access()))
                .map(|(register, used)| (register, used.register().size()));
            std::array::from_fn(|_| all.next())
        };
        if let Some(operand) = memory {
            self.store_unknown(state, instruction, operand);
        }
        let increment = i64::from(instruction.stack_pointer_increment());
        for (register, size) in written.into_iter().flatten() {
            let value = match register {
                STACK_POINTER if increment != 0 => state.register(register).plus(increment),
                _ if size == 4 && !is_32(instruction) => AbstractValue::unsigned(32),
                _ => AbstractValue::unknown(UnknownReason::Computed),
            };
            state.set_register(register, value);
        }
    }

    /// Makes unknown the memory that an operand of an instruction that is not interpreted writes.
    fn store_unknown(&self, state: &mut AbstractState, instruction: &Instruction, operand: u32) {
        let address = self.address(state, instruction, operand).value;
        let size = u16::try_from(instruction.memory_size().size()).unwrap_or(u16::MAX);
        let value = if size <= 8 {
            AbstractValue::unknown(UnknownReason::Computed)
        } else {
            AbstractValue::unknown(UnknownReason::Loaded)
        };
        // Instructions that save the processor state (`fxsave`, `xsave`) have no operand size.
        match size {
            0 => state.store(AbstractValue { high: UNBOUNDED_HIGH, ..address }, 1, value),
            size => state.store(address, size, value),
        }
    }
}

/// Whether an instruction reads a register other than as part of an address alone.
fn is_read_as_value(instruction: &Instruction, used: UsedRegister) -> bool {
    let is_same = |register: Register| register.full_register() == used.register().full_register();
    let is_operand = (0..instruction.op_count()).any(|operand| {
        instruction.op_kind(operand) == OpKind::Register && is_same(instruction.op_register(operand))
    });
    let is_address = is_same(instruction.memory_base()) || is_same(instruction.memory_index());
    let is_read = used.access() != OpAccess::Write && used.access() != OpAccess::CondWrite;
    is_read && (is_operand || !is_address)
}

/// Whether an access may write.
fn may_write(access: OpAccess) -> bool {
    !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
}

/// Whether an instruction moves the stack pointer from a known to an unknown position (`alloca`): later offsets are
/// relative to the stack pointer after this instruction, also if an earlier one moved it by an unknown amount already.
/// In an aligned frame, the value stays relative to the aligned stack pointer, without a bound.
fn is_alloca(instruction: &Instruction, old: AbstractValue, new: AbstractValue) -> bool {
    let is_stack_pointer = instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().full_register() == Register::RSP
        && operand_size(instruction, 0) == address_size(instruction);
    let moves_by_unknown = new.exact_offset().is_none() && old.exact_offset().is_some();
    is_stack_pointer && moves_by_unknown && new.base != Base::Aligned
}

/// Whether both operands are the same register.
fn has_same_operands(instruction: &Instruction) -> bool {
    instruction.op1_kind() == OpKind::Register
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
}

/// Whether a value is relative to a symbolic base, and so not a plain number.
fn has_symbolic_base(value: AbstractValue) -> bool {
    !value.is_unknown() && value.base != Base::Number
}

/// The result of `and`, `or` or `xor` on numbers of `bits` bits.
fn masked(mnemonic: Mnemonic, old: AbstractValue, other: AbstractValue, bits: u32) -> AbstractValue {
    let bounded = |value: AbstractValue| {
        Some(value)
            .filter(|value| value.base == Base::Number && value.low >= 0 && value.high != UNBOUNDED_HIGH)
    };
    match mnemonic {
        Mnemonic::And => {
            let highest = [old, other].into_iter().filter_map(bounded).map(|value| value.high).min();
            let mask = other.constant().or_else(|| old.constant());
            let Some(high) = highest else { return AbstractValue::unsigned(bits) };
            let stride =
                mask.filter(|mask| *mask > 0).map_or(1, |mask| 1_u32 << mask.trailing_zeros().min(30));
            let high = mask.filter(|mask| *mask >= 0).map_or(high, |mask| mask & all_ones(high));
            match high {
                0 => AbstractValue::number(0),
                high => AbstractValue { stride, ..AbstractValue::between(0, high) },
            }
        }
        _ if mnemonic == Mnemonic::Or && other.constant().is_some_and(|mask| mask == -1) => {
            AbstractValue::number(-1).zero_extended(bits)
        }
        _ => match (bounded(old), bounded(other)) {
            (Some(old), Some(other)) => AbstractValue::between(0, all_ones(old.high | other.high)),
            _ => AbstractValue::unsigned(bits),
        },
    }
}

/// The number with all bits set up to the highest one set in `number`; 0 if that is not positive.
fn all_ones(number: i64) -> i64 {
    match number {
        ..1 => 0,
        number => i64::MAX >> (number.leading_zeros() - 1),
    }
}
