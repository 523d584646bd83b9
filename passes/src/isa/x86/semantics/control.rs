//! Jumps, calls, returns, traps, and calls of the system.

use super::super::flow::exit_calls;
use super::super::registers::STACK_POINTER;
use super::emitter::{Emitter, address, constant, low};
use crate::isa::ops::{Comparison, Operation, OtherMemory, Place, TrapKind};
use iced_x86::{Mnemonic, OpKind};

/// `jmp` near.
pub(super) fn jump(e: &mut Emitter<'_>) -> bool {
    if is_far(e) {
        return false;
    }
    let (bits, target) = (e.mode_bits(), e.read(0));
    e.push(Operation::Jump, bits, 1, Place::None, &[target]);
    true
}

fn is_far(e: &Emitter<'_>) -> bool {
    matches!(e.instruction.op0_kind(), OpKind::FarBranch16 | OpKind::FarBranch32)
        || e.instruction.is_jmp_far_indirect()
        || e.instruction.is_call_far_indirect()
}

/// `jcc`.
pub(super) fn conditional_jump(e: &mut Emitter<'_>) -> bool {
    let condition = e.condition();
    jump_if(e, condition);
    true
}

fn jump_if(e: &mut Emitter<'_>, condition: crate::isa::ops::Operand) {
    let (bits, target) = (e.mode_bits(), e.read(0));
    e.guarded(condition, |e| e.push(Operation::Jump, bits, 1, Place::None, &[target]));
}

/// `jcxz`, `jecxz`, `jrcxz`: a jump if the counter is 0.
pub(super) fn jump_if_counter_is_zero(e: &mut Emitter<'_>, bits: u16) -> bool {
    let counter = e.general(1, bits);
    let is_zero = e.compare(Comparison::Equal, counter, constant(0, bits));
    jump_if(e, is_zero);
    true
}

/// `loop`, `loope`, `loopne`: counts down, and jumps while the counter is not 0, and zero is as `is_zero` says.
pub(super) fn count_down(e: &mut Emitter<'_>, is_zero: Option<bool>) -> bool {
    let bits = match e.instruction.code() {
        iced_x86::Code::Loop_rel8_64_RCX
        | iced_x86::Code::Loope_rel8_64_RCX
        | iced_x86::Code::Loopne_rel8_64_RCX => 64,
        iced_x86::Code::Loop_rel8_32_ECX
        | iced_x86::Code::Loop_rel8_64_ECX
        | iced_x86::Code::Loope_rel8_32_ECX
        | iced_x86::Code::Loope_rel8_64_ECX
        | iced_x86::Code::Loopne_rel8_32_ECX
        | iced_x86::Code::Loopne_rel8_64_ECX => 32,
        _ => 16,
    };
    let counter = e.general(1, bits);
    let less = e.make(Operation::Subtract, bits, &[counter, constant(1, bits)]);
    let mut condition = e.compare(Comparison::Unequal, less, constant(0, bits));
    if let Some(is_zero) = is_zero {
        let zero = super::emitter::flag(crate::isa::ops::Flag::Zero);
        let zero = if is_zero { zero } else { e.make(Operation::Not, 1, &[zero]) };
        condition = e.make(Operation::And, 1, &[condition, zero]);
    }
    e.set_general(1, less);
    jump_if(e, condition);
    true
}

/// `call` near: stores the address of the next instruction.
pub(super) fn call(e: &mut Emitter<'_>) -> bool {
    let bits = e.mode_bits();
    if is_far(e) || e.bits(0) != bits {
        return false;
    }
    let target = e.read(0);
    // The target may depend on the stack pointer as it was.
    let target = match target {
        crate::isa::ops::Operand::Register(register, _) if register == STACK_POINTER => {
            e.make(Operation::Copy, bits, &[target])
        }
        _ => target,
    };
    let next = address(e.instruction.next_ip(), bits);
    let pointer = e.store_pushed(next, bits);
    e.set_stack_pointer(pointer);
    e.push(Operation::Call, bits, 1, Place::None, &[target]);
    true
}

/// `ret` near, which may pop arguments.
pub(super) fn ret(e: &mut Emitter<'_>) -> bool {
    let bits = e.mode_bits();
    if i64::from(e.instruction.stack_pointer_increment()) < i64::from(bits / 8) {
        return false;
    }
    let pointer = e.stack_pointer();
    let target = e.make(Operation::Load, bits, &[pointer]);
    let size = constant(e.instruction.stack_pointer_increment() as u64, bits);
    e.set(
        super::emitter::low_place(STACK_POINTER, bits),
        Operation::Add,
        bits,
        &[low(STACK_POINTER, bits), size],
    );
    e.push(Operation::Return, bits, 1, Place::None, &[target]);
    true
}

/// An instruction that raises an exception.
pub(super) fn trap(e: &mut Emitter<'_>, kind: TrapKind) -> bool {
    e.push(Operation::Trap(kind), 0, 1, Place::None, &[]);
    true
}

/// `syscall`, `sysenter`, and `int 0x80`. What the system reads and writes is a matter of its ABI; the processor itself
/// changes two registers.
pub(super) fn service(e: &mut Emitter<'_>) -> bool {
    if exit_calls(e.instruction).is_empty() {
        return trap(e, TrapKind::Interrupt(e.instruction.immediate8()));
    }
    e.push(Operation::Service, 0, 1, Place::None, &[]);
    if e.instruction.mnemonic() == Mnemonic::Syscall {
        let bits = e.mode_bits();
        e.set_general(1, address(e.instruction.next_ip(), bits));
        let places = [super::emitter::low_place(super::super::registers::general(11), bits)];
        e.opaque(&[], &places, OtherMemory::None);
    }
    true
}

/// An instruction that does nothing that a program sees.
pub(super) fn nothing(_: &mut Emitter<'_>) -> bool {
    true
}

/// `mfence`, `lfence`, `sfence`.
pub(super) fn fence(e: &mut Emitter<'_>) -> bool {
    e.push(Operation::Fence, 0, 1, Place::None, &[]);
    true
}
