//! `(instructions of x86) -> rows of instructions`: operands, prefixes, memory operands.

use super::decode::displacement;
use super::flow::{classify, direct_target};
use crate::isa::instruction_set::{self, RowPlace};
use arrow_array::{ArrayRef, StringArray};
use binframe_ir::tables::{
    Access, Flow, InstructionBuilder, InstructionPrefix, Instructions, OperandKind, Role, Rounding,
};
use binframe_ir::{NullableBuilder, Rows, Term, TermBuilder};
use bytes::Bytes;
use iced_x86::{
    Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register,
    RoundingControl,
};
use std::sync::{Arc, LazyLock};

/// Mnemonics by iced's codes. The first is that of invalid bytes, the last that of data.
static MNEMONICS: LazyLock<ArrayRef> = LazyLock::new(|| {
    let names = Mnemonic::values().map(|mnemonic| match mnemonic {
        Mnemonic::INVALID => "(bad)".to_owned(),
        // Without effect on any processor so far.
        Mnemonic::Reservednop => "nop".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    });
    Arc::new(StringArray::from(names.chain(["(data)".to_owned()]).collect::<Vec<_>>()))
});

/// The name of a register.
pub(super) fn register_name(register: Register) -> &'static str {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| Register::values().map(register_text).collect());
    &NAMES[register as usize]
}

/// A name as in the manuals and in other tools: iced calls the low bytes of `r8` to `r15` `r8l` to `r15l`.
fn register_text(register: Register) -> String {
    let name = format!("{register:?}").to_lowercase();
    match name.strip_suffix('l').filter(|_| (Register::R8L..=Register::R15L).contains(&register)) {
        Some(number) => format!("{number}b"),
        None => name,
    }
}

/// Registers by iced's codes.
static REGISTERS: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringArray::from_iter_values(Register::values().map(register_name))));

/// Writes rows of `instructions`.
pub(crate) struct RowWriter {
    rows: InstructionBuilder,
    info: InstructionInfoFactory,
}

impl instruction_set::RowWriter for RowWriter {
    type Instruction = Instruction;

    fn new(code: &Bytes, count: usize) -> Self {
        let registers = || NullableBuilder::over(TermBuilder::with_vocabulary(Arc::clone(&REGISTERS)));
        let mut rows = InstructionBuilder {
            mnemonic: TermBuilder::with_vocabulary(Arc::clone(&MNEMONICS)),
            op0_register: registers(),
            op1_register: registers(),
            op2_register: registers(),
            op3_register: registers(),
            mem_segment: registers(),
            mem_base: registers(),
            mem_index: registers(),
            mem2_segment: registers(),
            mem2_base: registers(),
            mask_register: registers(),
            ..InstructionBuilder::default()
        };
        rows.bytes.refer_to(code);
        rows.reserve(count);
        Self { rows, info: InstructionInfoFactory::new() }
    }

    fn push(&mut self, place: RowPlace<'_>, instruction: Option<&Instruction>) {
        let rows = &mut self.rows;
        place.push_to(rows);
        rows.is_valid.push(instruction.is_some());
        let invalid = Instruction::default();
        let decoded = instruction.unwrap_or(&invalid);
        rows.mnemonic.push_code(match place.role {
            Role::Data => MNEMONICS.len() as u16 - 1,
            Role::Code | Role::Padding => decoded.mnemonic() as u16,
        });
        rows.flow.push(instruction.map_or(Flow::Invalid, classify));
        rows.target_address.push(direct_target(decoded).filter(|_| instruction.is_some()));
        self.push_operands(decoded);
        self.push_modifiers(decoded);
        self.push_memory(decoded);
    }

    fn finish(self) -> Rows<Instructions> {
        self.rows.finish()
    }
}

impl RowWriter {
    fn push_operands(&mut self, instruction: &Instruction) {
        let rows = &mut self.rows;
        let count = instruction.op_count();
        let mut immediates = [None; 2];
        let mut operand =
            |index: u32, kinds: &mut NullableBuilder<OperandKind>, registers: &mut Registers| {
                if index >= count {
                    kinds.push_null();
                    registers.push_null();
                    return;
                }
                let kind = operand_kind(instruction.op_kind(index));
                kinds.push(Some(kind));
                match kind {
                    OperandKind::Register => registers.push_code(instruction.op_register(index) as u16),
                    _ => registers.push_null(),
                }
                if kind == OperandKind::Immediate
                    && let Some(free) = immediates.iter_mut().find(|immediate| immediate.is_none())
                {
                    *free = Some(instruction.immediate(index) as i64);
                }
            };
        operand(0, &mut rows.op0_kind, &mut rows.op0_register);
        operand(1, &mut rows.op1_kind, &mut rows.op1_register);
        operand(2, &mut rows.op2_kind, &mut rows.op2_register);
        operand(3, &mut rows.op3_kind, &mut rows.op3_register);
        // The fifth operand of an instruction is always an immediate.
        rows.op4_kind.push((count > 4).then_some(OperandKind::Immediate));
        if count > 4
            && let Some(free) = immediates.iter_mut().find(|immediate| immediate.is_none())
        {
            *free = Some(instruction.immediate(4) as i64);
        }
        rows.immediate.push(immediates[0]);
        rows.immediate2.push(immediates[1]);
        let is_far = matches!(instruction.op0_kind(), OpKind::FarBranch16 | OpKind::FarBranch32);
        rows.far_selector.push(is_far.then(|| instruction.far_branch_selector()));
    }

    fn push_modifiers(&mut self, instruction: &Instruction) {
        let rows = &mut self.rows;
        push_register(&mut rows.mask_register, instruction.op_mask());
        let is_masked = instruction.op_mask() != Register::None;
        rows.is_zeroing.push(is_masked.then(|| instruction.zeroing_masking()));
        rows.rounding.push(rounding(instruction));
        rows.prefix.push(prefix(instruction));
    }

    fn push_memory(&mut self, instruction: &Instruction) {
        let rows = &mut self.rows;
        let mut operands = (0..instruction.op_count()).filter(|index| is_memory(instruction.op_kind(*index)));
        let Some(operand) = operands.next() else {
            rows.mem_segment.push_null();
            rows.mem_base.push_null();
            rows.mem_index.push_null();
            rows.mem_scale.push_null();
            rows.mem_displacement.push_null();
            rows.mem_address.push_null();
            rows.mem_size.push_null();
            rows.mem_access.push_null();
            rows.mem_is_broadcast.push_null();
            rows.mem2_segment.push_null();
            rows.mem2_base.push_null();
            rows.mem2_access.push_null();
            return;
        };
        let memory = MemoryOperand::of(instruction, operand);
        let access_of_first = access(&mut self.info, instruction, operand);
        push_register(&mut rows.mem_segment, memory.segment);
        push_register(&mut rows.mem_base, memory.base);
        push_register(&mut rows.mem_index, memory.index);
        rows.mem_scale.push((memory.index != Register::None).then_some(memory.scale));
        rows.mem_displacement.push(Some(memory.displacement));
        rows.mem_address.push(memory.constant_address(instruction.next_ip()));
        rows.mem_size
            .push((access_of_first != Access::Address).then_some(memory.size).filter(|size| *size > 0));
        rows.mem_access.push(Some(access_of_first));
        rows.mem_is_broadcast.push(Some(instruction.is_broadcast()));
        let second = operands.next().map(|operand| (operand, MemoryOperand::of(instruction, operand)));
        push_register(
            &mut rows.mem2_segment,
            second.as_ref().map_or(Register::None, |(_, memory)| memory.segment),
        );
        push_register(&mut rows.mem2_base, second.as_ref().map_or(Register::None, |(_, memory)| memory.base));
        rows.mem2_access.push(second.map(|(operand, _)| access(&mut self.info, instruction, operand)));
    }
}

fn rounding(instruction: &Instruction) -> Option<Rounding> {
    match instruction.rounding_control() {
        RoundingControl::None => instruction.suppress_all_exceptions().then_some(Rounding::Suppressed),
        RoundingControl::RoundToNearest => Some(Rounding::Nearest),
        RoundingControl::RoundDown => Some(Rounding::Down),
        RoundingControl::RoundUp => Some(Rounding::Up),
        RoundingControl::RoundTowardZero => Some(Rounding::Zero),
    }
}

fn prefix(instruction: &Instruction) -> Option<InstructionPrefix> {
    let is_locked = instruction.has_lock_prefix();
    Some(match (instruction.has_xacquire_prefix(), instruction.has_xrelease_prefix()) {
        (true, _) if is_locked => InstructionPrefix::XacquireLock,
        (true, _) => InstructionPrefix::Xacquire,
        (_, true) if is_locked => InstructionPrefix::XreleaseLock,
        (_, true) => InstructionPrefix::Xrelease,
        _ if is_locked => InstructionPrefix::Lock,
        _ if instruction.has_rep_prefix() => InstructionPrefix::Rep,
        _ if instruction.has_repne_prefix() => InstructionPrefix::Repne,
        _ => return None,
    })
}

type Registers = NullableBuilder<Term<'static>>;

fn push_register(column: &mut Registers, register: Register) {
    match register {
        Register::None => column.push_null(),
        register => column.push_code(register as u16),
    }
}

fn operand_kind(kind: OpKind) -> OperandKind {
    match kind {
        OpKind::Register => OperandKind::Register,
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => OperandKind::Branch,
        OpKind::FarBranch16 | OpKind::FarBranch32 => OperandKind::FarBranch,
        kind if is_memory(kind) => OperandKind::Memory,
        _ => OperandKind::Immediate,
    }
}

/// Whether an operand of this kind is in memory.
#[inline]
pub(super) fn is_memory(kind: OpKind) -> bool {
    kind == OpKind::Memory || string_base(kind) != Register::None
}

/// The register that holds the address of a string instruction's operand.
fn string_base(kind: OpKind) -> Register {
    match kind {
        OpKind::MemorySegSI => Register::SI,
        OpKind::MemorySegESI => Register::ESI,
        OpKind::MemorySegRSI => Register::RSI,
        OpKind::MemorySegDI | OpKind::MemoryESDI => Register::DI,
        OpKind::MemorySegEDI | OpKind::MemoryESEDI => Register::EDI,
        OpKind::MemorySegRDI | OpKind::MemoryESRDI => Register::RDI,
        _ => Register::None,
    }
}

/// The parts of a memory operand.
pub(super) struct MemoryOperand {
    pub(super) segment: Register,
    pub(super) base: Register,
    pub(super) index: Register,
    pub(super) scale: u8,
    /// Relative to the end of the instruction if the base is `rip`.
    pub(super) displacement: i64,
    pub(super) size: u16,
}

impl MemoryOperand {
    pub(super) fn of(instruction: &Instruction, operand: u32) -> Self {
        let kind = instruction.op_kind(operand);
        let segment = match instruction.memory_segment() {
            // The destination of a string instruction is always in `es`, also with a segment prefix.
            _ if matches!(kind, OpKind::MemoryESDI | OpKind::MemoryESEDI | OpKind::MemoryESRDI) => {
                Register::None
            }
            segment @ (Register::FS | Register::GS) => segment,
            // In 64-bit mode the base of every other segment is 0; in 32-bit mode operating systems set it to 0.
            _ => Register::None,
        };
        let size = u16::try_from(instruction.memory_size().size()).unwrap_or(u16::MAX);
        let string_base = string_base(kind);
        if string_base != Register::None {
            return Self {
                segment,
                base: string_base,
                index: Register::None,
                scale: 1,
                displacement: 0,
                size,
            };
        }
        let base = instruction.memory_base();
        let displacement = match base {
            Register::RIP | Register::EIP => {
                instruction.memory_displacement64().wrapping_sub(instruction.next_ip()) as i64
            }
            _ => displacement(instruction) as i64,
        };
        let scale = instruction.memory_index_scale() as u8;
        Self { segment, base, index: instruction.memory_index(), scale, displacement, size }
    }

    /// The address, if the encoding alone determines it.
    fn constant_address(&self, next_ip: u64) -> Option<u64> {
        match (self.base, self.index, self.segment) {
            (Register::RIP | Register::EIP, Register::None, Register::None) => {
                Some(next_ip.wrapping_add_signed(self.displacement))
            }
            (Register::None, Register::None, Register::None) => Some(self.displacement as u64),
            _ => None,
        }
    }
}

/// How an instruction accesses its memory operand.
pub(super) fn access(info: &mut InstructionInfoFactory, instruction: &Instruction, operand: u32) -> Access {
    // The most frequent instructions need no lookup in iced's tables.
    match (instruction.mnemonic(), operand) {
        (Mnemonic::Lea, _) => return Access::Address,
        (Mnemonic::Mov, 0) => return Access::Write,
        (Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd, 1)
        | (Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Call | Mnemonic::Jmp, _) => return Access::Read,
        _ => {}
    }
    let options = InstructionInfoOptions::NO_MEMORY_USAGE | InstructionInfoOptions::NO_REGISTER_USAGE;
    match info.info_options(instruction, options).op_access(operand) {
        OpAccess::Read | OpAccess::CondRead => Access::Read,
        OpAccess::Write | OpAccess::CondWrite => Access::Write,
        OpAccess::ReadWrite | OpAccess::ReadCondWrite => Access::ReadWrite,
        OpAccess::None | OpAccess::NoMemAccess => Access::Address,
    }
}
