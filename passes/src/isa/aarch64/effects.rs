//! The registers and flags that an instruction reads and writes.

use crate::isa::instruction_set::{Effect, sort_effects};
use binframe_ir::tables::EffectAccess;
use fARM64::{Instruction, OpAccess, RegClass, Register, instruction_info};

/// Adds the effects of an instruction on registers and flags, sorted by name, without duplicates. The flags are one
/// resource, `nzcv`. The zero register and the program counter are none.
pub(super) fn add_effects(instruction: &Instruction, effects: &mut Vec<Effect>) {
    use EffectAccess::{CondRead, CondWrite, Read, Write};
    let first = effects.len();
    let info = instruction_info(instruction);
    let implicit = instruction.implicit_registers();
    for used in info.used_registers().iter().filter(|used| is_state(used.register)) {
        let accesses: &[EffectAccess] = match used.access {
            OpAccess::Read => &[Read],
            OpAccess::CondRead => &[CondRead],
            OpAccess::Write => &[Write],
            OpAccess::CondWrite => &[CondWrite],
            OpAccess::ReadWrite => &[Read, Write],
            OpAccess::None => &[],
        };
        let is_implicit = implicit.access_of(used.register) != OpAccess::None;
        effects.extend(accesses.iter().map(|access| (used.register.name(), *access, is_implicit)));
    }
    sort_effects(effects, first);
}

/// Whether a register has state that an instruction can change.
fn is_state(register: Register) -> bool {
    !matches!(register, Register::None | Register::Wzr | Register::Xzr | Register::Pc)
        && register.class() != RegClass::Prefetch
}
