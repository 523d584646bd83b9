//! The registers and flags that an instruction reads and writes.

use super::flags::FLAGS;
use super::rows::register_name;
use crate::isa::instruction_set::{Effect, sort_effects};
use binframe_ir::tables::EffectAccess;
use iced_x86::{Instruction, InstructionInfoFactory, InstructionInfoOptions, OpAccess, Register};

/// Adds the effects of an instruction on registers and flags, sorted by name, without duplicates.
pub(super) fn add_effects(
    instruction: &Instruction,
    info: &mut InstructionInfoFactory,
    effects: &mut Vec<Effect>,
) {
    use EffectAccess::{Clear, CondRead, CondWrite, Read, Set, Undefined, Write};
    let first = effects.len();
    let info = info.info_options(instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
    for used in info.used_registers() {
        let accesses: &[EffectAccess] = match used.access() {
            OpAccess::Read => &[Read],
            OpAccess::CondRead => &[CondRead],
            OpAccess::Write => &[Write],
            OpAccess::CondWrite => &[CondWrite],
            OpAccess::ReadWrite => &[Read, Write],
            OpAccess::ReadCondWrite => &[Read, CondWrite],
            OpAccess::None | OpAccess::NoMemAccess => &[],
        };
        let is_implicit = !is_named(instruction, used.register());
        effects.extend(accesses.iter().map(|access| (register_name(used.register()), *access, is_implicit)));
    }
    let changes = [
        (instruction.rflags_read(), Read),
        (instruction.rflags_written(), Write),
        (instruction.rflags_cleared(), Clear),
        (instruction.rflags_set(), Set),
        (instruction.rflags_undefined(), Undefined),
    ];
    for (bits, access) in changes {
        let flags = FLAGS.iter().filter(|(bit, _)| bits & bit != 0);
        effects.extend(flags.map(|(_, name)| (*name, access, true)));
    }
    sort_effects(effects, first);
}

/// Whether an operand names a register, or a part of it, directly or in an address.
fn is_named(instruction: &Instruction, register: Register) -> bool {
    let full = |other: Register| other != Register::None && other.full_register() == register.full_register();
    (0..instruction.op_count().min(4)).any(|operand| full(instruction.op_register(operand)))
        || full(instruction.memory_base())
        || full(instruction.memory_index())
        || full(instruction.op_mask())
}
