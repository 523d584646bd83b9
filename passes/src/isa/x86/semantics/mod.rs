//! What each x86 instruction means, as ops.
//!
//! Only this file, and the matches of `vectors`, tell mnemonics apart by what they do. An instruction whose meaning is not written here is
//! opaque: its ops state exactly what it reads and writes. Sources: Intel SDM, volume 2; AMD64 APM, volumes 3 and 4; what
//! they leave undefined is [`Operation::Undefined`].

mod arithmetic;
mod bits;
mod control;
mod emitter;
mod moves;
mod opaque;
mod shifts;
mod strings;
mod vectors;

use crate::isa::ops::{Flag, Operation, Ops, TrapKind};
use bits::BitChange;
use emitter::Emitter;
use iced_x86::{ConditionCode, FlowControl, Instruction, InstructionInfoFactory, Mnemonic};

/// Appends the ops of a valid instruction.
pub(crate) fn lower(instruction: &Instruction, info: &mut InstructionInfoFactory, ops: &mut Ops) {
    let start = ops.begin();
    if integer(&mut Emitter::new(instruction, ops)) {
        return;
    }
    ops.truncate(start);
    if instruction.is_string_instruction() || !vectors::lower(&mut Emitter::new(instruction, ops)) {
        ops.truncate(start);
        opaque::lower(&mut Emitter::new(instruction, ops), info);
    }
}

/// Instructions of general registers, memory and flags; false if the form has no exact meaning here.
#[expect(clippy::too_many_lines, reason = "a line for each mnemonic")]
fn integer(e: &mut Emitter<'_>) -> bool {
    use Operation as O;
    match e.instruction.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movnti => moves::mov(e),
        Mnemonic::Movzx => moves::extend(e, O::ZeroExtend),
        Mnemonic::Movsx | Mnemonic::Movsxd => moves::extend(e, O::SignExtend),
        Mnemonic::Lea => moves::lea(e),
        Mnemonic::Xchg => moves::xchg(e),
        Mnemonic::Bswap | Mnemonic::Movbe => moves::reverse_bytes(e),
        Mnemonic::Cbw => moves::extend_accumulator(e, 16),
        Mnemonic::Cwde => moves::extend_accumulator(e, 32),
        Mnemonic::Cdqe => moves::extend_accumulator(e, 64),
        Mnemonic::Cwd => moves::extend_to_data(e, 16),
        Mnemonic::Cdq => moves::extend_to_data(e, 32),
        Mnemonic::Cqo => moves::extend_to_data(e, 64),
        Mnemonic::Xlatb => moves::translate(e),
        Mnemonic::Push => moves::push(e),
        Mnemonic::Pop => moves::pop(e),
        Mnemonic::Leave => moves::leave(e),
        Mnemonic::Enter => moves::enter(e),
        Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => moves::push_flags(e),
        Mnemonic::Lahf => moves::load_flags(e),
        Mnemonic::Sahf => moves::store_flags(e),

        Mnemonic::Add => arithmetic::add(e, false, false),
        Mnemonic::Sub => arithmetic::add(e, true, false),
        Mnemonic::Adc => arithmetic::add(e, false, true),
        Mnemonic::Sbb => arithmetic::add(e, true, true),
        Mnemonic::Inc => arithmetic::increment(e, false),
        Mnemonic::Dec => arithmetic::increment(e, true),
        Mnemonic::Cmp => arithmetic::compare(e),
        Mnemonic::And => arithmetic::logic(e, O::And, true),
        Mnemonic::Test => arithmetic::logic(e, O::And, false),
        Mnemonic::Or => arithmetic::logic(e, O::Or, true),
        Mnemonic::Xor => arithmetic::logic(e, O::Xor, true),
        Mnemonic::Neg => arithmetic::negate(e),
        Mnemonic::Not => arithmetic::invert(e),
        Mnemonic::Adcx => arithmetic::add_with_flag(e, Flag::Carry),
        Mnemonic::Adox => arithmetic::add_with_flag(e, Flag::Overflow),
        Mnemonic::Imul => arithmetic::multiply_signed(e),
        Mnemonic::Mul => arithmetic::multiply_accumulator(e, false),
        Mnemonic::Mulx => arithmetic::multiply_extended(e),
        Mnemonic::Div => arithmetic::divide(e, false),
        Mnemonic::Idiv => arithmetic::divide(e, true),
        Mnemonic::Xadd => arithmetic::exchange_add(e),
        Mnemonic::Cmpxchg => arithmetic::compare_exchange(e),

        Mnemonic::Shl | Mnemonic::Sal => shifts::shift(e, O::ShiftLeft),
        Mnemonic::Shr => shifts::shift(e, O::ShiftRight),
        Mnemonic::Sar => shifts::shift(e, O::ShiftRightSigned),
        Mnemonic::Rol => shifts::rotate(e, O::RotateLeft),
        Mnemonic::Ror => shifts::rotate(e, O::RotateRight),
        Mnemonic::Rcl => shifts::rotate_through_carry(e, true),
        Mnemonic::Rcr => shifts::rotate_through_carry(e, false),
        Mnemonic::Shld => shifts::double_shift(e, true),
        Mnemonic::Shrd => shifts::double_shift(e, false),
        Mnemonic::Shlx => shifts::shift_without_flags(e, O::ShiftLeft),
        Mnemonic::Shrx => shifts::shift_without_flags(e, O::ShiftRight),
        Mnemonic::Sarx => shifts::shift_without_flags(e, O::ShiftRightSigned),
        Mnemonic::Rorx => shifts::rotate_without_flags(e),

        Mnemonic::Bt => bits::test_bit(e, BitChange::None),
        Mnemonic::Bts => bits::test_bit(e, BitChange::Set),
        Mnemonic::Btr => bits::test_bit(e, BitChange::Reset),
        Mnemonic::Btc => bits::test_bit(e, BitChange::Complement),
        Mnemonic::Bsf => bits::scan(e, O::CountTrailingZeros),
        Mnemonic::Bsr => bits::scan(e, O::CountLeadingZeros),
        Mnemonic::Tzcnt => bits::count_zeros(e, O::CountTrailingZeros),
        Mnemonic::Lzcnt => bits::count_zeros(e, O::CountLeadingZeros),
        Mnemonic::Popcnt => bits::count_ones(e),
        Mnemonic::Andn => bits::and_not(e),
        Mnemonic::Blsi => bits::lowest_one(e, O::Negate),
        Mnemonic::Blsr => bits::lowest_one(e, O::And),
        Mnemonic::Blsmsk => bits::lowest_one(e, O::Xor),
        Mnemonic::Bzhi => bits::zero_high_bits(e),
        Mnemonic::Bextr => bits::extract_field(e),
        Mnemonic::Pdep => bits::scatter(e, O::DepositBits),
        Mnemonic::Pext => bits::scatter(e, O::ExtractBits),
        Mnemonic::Stc => bits::change_flag(e, Flag::Carry, Some(true)),
        Mnemonic::Clc => bits::change_flag(e, Flag::Carry, Some(false)),
        Mnemonic::Cmc => bits::change_flag(e, Flag::Carry, None),
        Mnemonic::Std => bits::change_flag(e, Flag::Direction, Some(true)),
        Mnemonic::Cld => bits::change_flag(e, Flag::Direction, Some(false)),

        Mnemonic::Movsb | Mnemonic::Movsw | Mnemonic::Movsq => strings::copy(e),
        Mnemonic::Movsd if e.instruction.is_string_instruction() => strings::copy(e),
        Mnemonic::Stosb | Mnemonic::Stosw | Mnemonic::Stosd | Mnemonic::Stosq => strings::fill(e),
        Mnemonic::Lodsb | Mnemonic::Lodsw | Mnemonic::Lodsd | Mnemonic::Lodsq => strings::load(e),
        Mnemonic::Cmpsb | Mnemonic::Cmpsw | Mnemonic::Cmpsq => strings::compare(e, false),
        Mnemonic::Cmpsd if e.instruction.is_string_instruction() => strings::compare(e, false),
        Mnemonic::Scasb | Mnemonic::Scasw | Mnemonic::Scasd | Mnemonic::Scasq => strings::compare(e, true),

        Mnemonic::Jmp => control::jump(e),
        Mnemonic::Call => control::call(e),
        Mnemonic::Ret => control::ret(e),
        Mnemonic::Jcxz => control::jump_if_counter_is_zero(e, 16),
        Mnemonic::Jecxz => control::jump_if_counter_is_zero(e, 32),
        Mnemonic::Jrcxz => control::jump_if_counter_is_zero(e, 64),
        Mnemonic::Loop => control::count_down(e, None),
        Mnemonic::Loope => control::count_down(e, Some(true)),
        Mnemonic::Loopne => control::count_down(e, Some(false)),
        Mnemonic::Syscall | Mnemonic::Sysenter | Mnemonic::Int => control::service(e),
        Mnemonic::Int3 => control::trap(e, TrapKind::Breakpoint),
        Mnemonic::Int1 => control::trap(e, TrapKind::Interrupt(1)),
        Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => control::trap(e, TrapKind::Undefined),
        Mnemonic::Hlt => control::trap(e, TrapKind::Halt),
        Mnemonic::Mfence | Mnemonic::Lfence | Mnemonic::Sfence => control::fence(e),
        Mnemonic::Nop
        | Mnemonic::Reservednop
        | Mnemonic::Endbr32
        | Mnemonic::Endbr64
        | Mnemonic::Pause
        | Mnemonic::Prefetchnta
        | Mnemonic::Prefetcht0
        | Mnemonic::Prefetcht1
        | Mnemonic::Prefetcht2
        | Mnemonic::Prefetchw => control::nothing(e),
        _ if e.instruction.condition_code() != ConditionCode::None => conditional(e),
        _ => false,
    }
}

/// `jcc`, `cmovcc`, `setcc`.
fn conditional(e: &mut Emitter<'_>) -> bool {
    match (e.instruction.flow_control(), e.instruction.op_count()) {
        (FlowControl::ConditionalBranch, _) => control::conditional_jump(e),
        (FlowControl::Next, 2) if e.instruction.op0_register().is_gpr() => moves::conditional_move(e),
        (FlowControl::Next, 1) => moves::conditional_set(e),
        _ => false,
    }
}
