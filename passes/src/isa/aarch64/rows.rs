//! `(instructions of A64) -> rows of instructions`: operands and memory operands.
//!
//! What has no column is left out: shifts and extensions of registers, arrangements and lanes of vectors, registers of a
//! list after the first, constants after the second, and whether the base of an address is changed. These are in the
//! text; that the base is written, in `instruction_effects`.

use super::flow::{classify, direct_target, label};
use super::memory_size::memory_size;
use crate::isa::instruction_set::{self, RowPlace};
use arrow_array::{ArrayRef, StringArray};
use binframe_ir::tables::{Access, Flow, InstructionBuilder, Instructions, OperandKind, Role};
use binframe_ir::{NullableBuilder, Rows, Term, TermBuilder};
use bytes::Bytes;
use fARM64::{
    Code, Condition, Instruction, MemIndexMode, Mnemonic, OpAccess, Operand, RegClass, Register, SveMemMode,
    instruction_info,
};
use std::sync::{Arc, LazyLock};

/// Number of conditions.
const CONDITIONS: u16 = 16;

/// Mnemonics by fARM64's codes; then `b.` and `bc.` with each condition; then that of data.
static MNEMONICS: LazyLock<ArrayRef> = LazyLock::new(|| {
    let names = Mnemonic::values().map(|mnemonic| match mnemonic {
        Mnemonic::Invalid => "(bad)".to_owned(),
        other => other.name().to_owned(),
    });
    let conditions = || (0..CONDITIONS as u8).map(|bits| Condition::from_bits(bits).name());
    let branches = conditions().map(|name| format!("b.{name}"));
    let hinted = conditions().map(|name| format!("bc.{name}"));
    let all = names.chain(branches).chain(hinted).chain(["(data)".to_owned()]);
    Arc::new(StringArray::from(all.collect::<Vec<_>>()))
});

/// The number of a mnemonic in [`MNEMONICS`]; for branches with the condition, whose operand it is in fARM64.
fn mnemonic_code(instruction: &Instruction) -> u16 {
    let branches = MNEMONICS.len() as u16 - 1 - 2 * CONDITIONS;
    match (instruction.mnemonic(), instruction.op(0)) {
        (Mnemonic::B, Operand::Cond(condition)) => branches + u16::from(condition.as_u4()),
        (Mnemonic::Bc, Operand::Cond(condition)) => branches + CONDITIONS + u16::from(condition.as_u4()),
        (mnemonic, _) => mnemonic as u16,
    }
}

type Registers = NullableBuilder<Term<'static>>;

/// Writes rows of `instructions`.
pub(crate) struct RowWriter {
    rows: InstructionBuilder,
}

impl instruction_set::RowWriter for RowWriter {
    type Instruction = Instruction;

    fn new(code: &Bytes, count: usize) -> Self {
        let mut rows = InstructionBuilder {
            mnemonic: TermBuilder::with_vocabulary(Arc::clone(&MNEMONICS)),
            ..InstructionBuilder::default()
        };
        rows.bytes.refer_to(code);
        rows.reserve(count);
        Self { rows }
    }

    fn push(&mut self, place: RowPlace<'_>, instruction: Option<&Instruction>) {
        let rows = &mut self.rows;
        place.push_to(rows);
        rows.is_valid.push(instruction.is_some());
        let invalid = Instruction::default();
        let decoded = instruction.unwrap_or(&invalid);
        rows.mnemonic.push_code(match place.role {
            Role::Data => MNEMONICS.len() as u16 - 1,
            Role::Code | Role::Padding => mnemonic_code(decoded),
        });
        rows.flow.push(instruction.map_or(Flow::Invalid, classify));
        rows.target_address.push(direct_target(decoded));
        self.push_operands(decoded);
        self.push_memory(decoded);
        let rows = &mut self.rows;
        rows.far_selector.push(None);
        rows.mem_segment.push_null();
        rows.mem2_segment.push_null();
        rows.mask_register.push_null();
        rows.is_zeroing.push(None);
        rows.rounding.push(None);
        rows.prefix.push(None);
    }

    fn finish(self) -> Rows<Instructions> {
        self.rows.finish()
    }
}

/// An operand of an instruction, as the columns have it.
enum RowOperand {
    Register(Register),
    Immediate(i64),
    Memory,
    Branch,
}

impl RowWriter {
    fn push_operands(&mut self, instruction: &Instruction) {
        let rows = &mut self.rows;
        let mut operands = row_operands(instruction);
        let mut immediates = [None; 2];
        let mut next = |kinds: &mut NullableBuilder<OperandKind>, registers: Option<&mut Registers>| {
            let operand = operands.next();
            kinds.push(operand.as_ref().map(|operand| match operand {
                RowOperand::Register(_) => OperandKind::Register,
                RowOperand::Immediate(_) => OperandKind::Immediate,
                RowOperand::Memory => OperandKind::Memory,
                RowOperand::Branch => OperandKind::Branch,
            }));
            if let Some(registers) = registers {
                match operand {
                    Some(RowOperand::Register(register)) => push_register(registers, register),
                    _ => registers.push_null(),
                }
            }
            if let Some(RowOperand::Immediate(number)) = operand
                && let Some(free) = immediates.iter_mut().find(|immediate| immediate.is_none())
            {
                *free = Some(number);
            }
        };
        next(&mut rows.op0_kind, Some(&mut rows.op0_register));
        next(&mut rows.op1_kind, Some(&mut rows.op1_register));
        next(&mut rows.op2_kind, Some(&mut rows.op2_register));
        next(&mut rows.op3_kind, Some(&mut rows.op3_register));
        next(&mut rows.op4_kind, None);
        rows.immediate.push(immediates[0]);
        rows.immediate2.push(immediates[1]);
    }

    fn push_memory(&mut self, instruction: &Instruction) {
        let rows = &mut self.rows;
        let mut operands = (0..instruction.op_count()).filter_map(|index| memory_operand(instruction, index));
        let Some(memory) = operands.next() else {
            rows.mem_base.push_null();
            rows.mem_index.push_null();
            rows.mem_scale.push(None);
            rows.mem_displacement.push(None);
            rows.mem_address.push(None);
            rows.mem_size.push(None);
            rows.mem_access.push(None);
            rows.mem_is_broadcast.push(None);
            rows.mem2_base.push_null();
            rows.mem2_access.push(None);
            return;
        };
        let access = memory_access(instruction);
        push_register(&mut rows.mem_base, memory.base);
        push_register(&mut rows.mem_index, memory.index);
        rows.mem_scale.push((memory.index != Register::None).then_some(memory.scale));
        rows.mem_displacement.push(memory.displacement);
        rows.mem_address.push(label(instruction));
        rows.mem_size.push(memory_size(instruction).filter(|_| access != Access::Address));
        rows.mem_access.push(Some(access));
        rows.mem_is_broadcast.push(Some(
            instruction.mnemonic().name().as_bytes().get(3) == Some(&b'r')
                && instruction.mnemonic().name().starts_with("ld")
                && matches!(instruction.op(0), Operand::MultiReg { .. }),
        ));
        // Copies of memory have the destination first.
        let second = operands.next();
        rows.mem2_access.push(second.as_ref().map(|_| Access::Read));
        push_register(&mut rows.mem2_base, second.map_or(Register::None, |memory| memory.base));
    }
}

fn push_register(column: &mut Registers, register: Register) {
    match register {
        Register::None => column.push_null(),
        register => column.push(Some(Term(register.name()))),
    }
}

/// The operands in order. The condition of a branch is part of its mnemonic. What is added to the base of an address
/// after the access is an operand of its own.
fn row_operands(instruction: &Instruction) -> impl Iterator<Item = RowOperand> {
    let is_branch = matches!(instruction.code(), Code::BCond) || instruction.mnemonic() == Mnemonic::Bc;
    let first = usize::from(is_branch);
    (first..instruction.op_count()).flat_map(move |index| {
        let added = match instruction.op(index) {
            Operand::MemImm { imm, mode: MemIndexMode::PostImm, .. } => Some(RowOperand::Immediate(imm)),
            _ => None,
        };
        std::iter::once(row_operand(instruction, index)).chain(added)
    })
}

fn row_operand(instruction: &Instruction, index: usize) -> RowOperand {
    let number = |number: u64| RowOperand::Immediate(number as i64);
    match instruction.op(index) {
        Operand::Reg { reg, .. } if reg.class() == RegClass::Prefetch => number(reg.number().into()),
        Operand::Reg { reg, .. }
        | Operand::RegBang(reg)
        | Operand::IndexedElement { reg, .. }
        | Operand::PredCounter { reg, .. } => RowOperand::Register(reg),
        Operand::MultiReg { regs, .. } => RowOperand::Register(regs[0]),
        Operand::RegPair { first, .. } | Operand::SveVecGroup { first, .. } => RowOperand::Register(first),
        Operand::SmeTile { .. }
        | Operand::SmeTileSlice { .. }
        | Operand::SmeZaSlice { .. }
        | Operand::SmeZaMask { zt0: false, .. } => RowOperand::Register(Register::Za),
        Operand::SmeZaMask { .. } | Operand::SmeZt0Index { .. } => RowOperand::Register(Register::Zt0),
        Operand::ImmUnsigned(value) | Operand::ImmLogical(value) => number(value),
        Operand::ImmSigned(value) | Operand::ImmSignedDec(value) => RowOperand::Immediate(value),
        Operand::ImmShiftedMove { imm, lsl } => number(u64::from(imm) << lsl),
        Operand::ImmShiftedMsl { imm, msl } => number(((u64::from(imm) + 1) << msl) - 1),
        Operand::FpImm(value) => number(f64::from(value).to_bits()),
        Operand::ShiftAmount(value)
        | Operand::SvePattern(value)
        | Operand::SveMul(value)
        | Operand::VlMul(value) => number(value.into()),
        Operand::Cond(condition) => number(condition.as_u4().into()),
        // The register or the operation by its number: the fields `op0`, `op1`, `CRn`, `CRm` and `op2`.
        Operand::SysReg(_) | Operand::SysOp(_) => number(u64::from(instruction.word() >> 5 & 0xffff)),
        Operand::MemImm { .. } | Operand::MemExt { .. } | Operand::SveMem { .. } => RowOperand::Memory,
        Operand::Label(_) if direct_target(instruction).is_some() => RowOperand::Branch,
        Operand::Label(address) => match memory_operand(instruction, index) {
            Some(_) => RowOperand::Memory,
            None => number(address),
        },
        _ => number(0),
    }
}

/// The parts of a memory operand.
struct MemoryOperand {
    base: Register,
    index: Register,
    scale: u8,
    /// `None` if it depends on the length of vectors.
    displacement: Option<i64>,
}

/// An operand that is memory; `None` for others. An address relative to the instruction is one without registers.
fn memory_operand(instruction: &Instruction, index: usize) -> Option<MemoryOperand> {
    let plain = |base, displacement| MemoryOperand { base, index: Register::None, scale: 1, displacement };
    match instruction.op(index) {
        Operand::MemImm { base, imm, mode: MemIndexMode::Offset | MemIndexMode::PreIndex } => {
            Some(plain(base, Some(imm)))
        }
        Operand::MemImm { base, .. } => Some(plain(base, Some(0))),
        // The highest bit of the shift says that the text has it.
        Operand::MemExt { base, index, shift, .. } => {
            Some(MemoryOperand { base, index, scale: 1 << (shift & 7), displacement: Some(0) })
        }
        Operand::SveMem { base, offset, imm, amount, mode, .. } => {
            let displacement = match mode {
                SveMemMode::ScalarImmMulVl if imm != 0 => None,
                // fARM64 has the field as it is encoded, in units of 32 bytes.
                SveMemMode::ScalarImm if instruction.mnemonic().name().starts_with("ld1ro") => {
                    Some(i64::from(imm) * 32)
                }
                _ => Some(i64::from(imm)),
            };
            let scale = if amount == u8::MAX { 1 } else { 1 << (amount & 7) };
            Some(MemoryOperand { base, index: offset, scale, displacement })
        }
        Operand::Label(address) if is_address_operand(instruction) => {
            Some(plain(Register::None, Some(address as i64)))
        }
        _ => None,
    }
}

/// Whether the label of an instruction is an address that it accesses, or computes.
fn is_address_operand(instruction: &Instruction) -> bool {
    matches!(
        instruction.mnemonic(),
        Mnemonic::Adr | Mnemonic::Adrp | Mnemonic::Ldr | Mnemonic::Ldrsw | Mnemonic::Prfm
    )
}

/// How an instruction uses its first memory operand.
fn memory_access(instruction: &Instruction) -> Access {
    let name = instruction.mnemonic().name();
    match instruction.mnemonic() {
        Mnemonic::Adr | Mnemonic::Adrp => return Access::Address,
        _ if name.starts_with("prf") => return Access::Address,
        _ if name.starts_with("cpy") || name.starts_with("set") => return Access::Write,
        _ => {}
    }
    match instruction_info(instruction).used_memory().first().map(|memory| memory.access) {
        Some(OpAccess::Write | OpAccess::CondWrite) => Access::Write,
        Some(OpAccess::ReadWrite) => Access::ReadWrite,
        _ => Access::Read,
    }
}
