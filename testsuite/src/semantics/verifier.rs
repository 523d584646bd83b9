//! Checks that ops obey the rules of the language.

use super::evaluator::place_bits;
use super::memory::{is_access, is_of_elements, is_store};
use binframe::passes::isa::ops::{FlagsOf, Op, Operand, Operation, Ops, Place, RegSet};

/// Checks the ops of an instruction: operands have the widths that the documentation of operations states, a temporary
/// is written before it is read and by one op that is not guarded, no register is read after it is written, and no memory
/// is accessed after a write of a register or flag. Returns the first rule that is broken, with the op.
pub fn verify(ops: &Ops) -> Result<(), String> {
    let mut written = vec![false; ops.temporaries().len()];
    let mut is_state_written = false;
    let mut registers = RegSet::default();
    for op in ops.as_slice() {
        let fail = |rule: &str| Err(format!("{rule}: {op:?}"));
        for operand in ops.inputs(op).iter().chain(&op.guard) {
            if let Operand::Temporary(index, part) = operand {
                if !written[usize::from(*index)] {
                    return fail("a temporary is read before it is written");
                }
                if part.low + part.bits > ops.temporaries()[usize::from(*index)] {
                    return fail("a part is not within its temporary");
                }
            }
            if let Operand::Register(register, _) = operand
                && registers.contains(*register)
                && op.guard.is_none()
            {
                return fail("a register is read after it is written");
            }
            if let Operand::Constant(number, bits) | Operand::Address(number, bits) = operand
                && *bits < 64
                && number >> bits != 0
            {
                return fail("a constant is wider than stated");
            }
        }
        if op.guard.is_some_and(|guard| guard.bits() != 1) {
            return fail("a guard is one bit wide");
        }
        if let Some(rule) = width_error(op, ops.inputs(op)) {
            return fail(rule);
        }
        let is_trap = matches!(op.operation, Operation::Trap(_)) || is_division(op.operation);
        if is_state_written && (is_access(op.operation) || is_trap) {
            return fail("memory is accessed, or a trap raised, after a register or flag is written");
        }
        for place in ops.places(op) {
            if let Place::Register(register, ..) = place {
                registers.insert(*register);
            }
            match place {
                Place::Temporary(index, bits) => {
                    if std::mem::replace(&mut written[usize::from(*index)], true) {
                        return fail("a temporary is written twice");
                    }
                    if *bits != ops.temporaries()[usize::from(*index)] {
                        return fail("a temporary is not written as a whole");
                    }
                }
                Place::None => {}
                // Stores follow the opaque op that computes what is stored, which cannot fault.
                _ if matches!(op.operation, Operation::Opaque { .. }) => {}
                _ => is_state_written = true,
            }
        }
    }
    Ok(())
}

fn is_division(operation: Operation) -> bool {
    use Operation as O;
    matches!(operation, O::DivideSigned | O::DivideUnsigned | O::RemainderSigned | O::RemainderUnsigned)
}

/// What is wrong with the number or the widths of an op's inputs and its place; `None` if nothing is.
#[expect(clippy::too_many_lines, reason = "a line or a few for each operation")]
fn width_error(op: &Op, inputs: &[Operand]) -> Option<&'static str> {
    use Operation as O;
    let (bits, lanes) = (op.bits, u16::from(op.lanes));
    let whole = bits * lanes;
    let widths: Vec<u16> = inputs.iter().map(|input| input.bits()).collect();
    let is_address = |width: &u16| (16..=64).contains(width);
    let is_carry = |width: Option<&u16>| width.is_none_or(|width| *width == 1);
    let is_lanes = |width: u16, is_wider: bool| {
        width.is_multiple_of(lanes) && if is_wider { width > whole } else { width < whole }
    };
    let place = place_bits(op.place);
    let (is_right, result) = match op.operation {
        O::Opaque { .. } => return None,
        O::Undefined => (widths.is_empty(), place),
        O::ZeroExtend | O::SignExtend => (widths.len() == 1 && is_lanes(widths[0], false), whole),
        O::Address => (widths.len() == 1 && lanes == 1 && widths[0] >= whole, whole),
        O::Truncate => (widths.len() == 1 && is_lanes(widths[0], true), whole),
        O::Concatenate | O::MultiplyCarryless => (widths == [whole / 2; 2], whole),
        O::Broadcast => (widths == [bits], whole),
        O::Select => (widths == [1, whole, whole], whole),
        O::Add | O::Subtract => {
            let is_plain = widths == [whole; 2];
            (is_plain || (lanes == 1 && widths == [whole, whole, 1]), whole)
        }
        O::AddCarry => {
            (widths.len() >= 2 && widths[..2] == [whole; 2] && is_carry(widths.get(2)) && lanes == 1, 1)
        }
        O::ShiftLeft | O::ShiftRight | O::ShiftRightSigned | O::RotateLeft | O::RotateRight => {
            let is_count = widths.get(1).is_some_and(|width| *width <= bits || lanes == 1 || *width == whole);
            (widths.len() == 2 && widths[0] == whole && is_count, whole)
        }
        O::Compare(_) => (widths == [whole; 2] && lanes == 1, 1),
        O::Condition(_) => (widths.is_empty(), 1),
        O::Flags(FlagsOf::Result) => (widths == [bits], 0),
        O::Flags(FlagsOf::FloatCompare) => (widths == [bits; 2], 0),
        O::Flags(_) => {
            (widths.len() >= 2 && widths[..2] == [bits; 2] && is_carry(widths.get(2)) && widths.len() <= 3, 0)
        }
        O::Permute => (widths.len() == 2 && widths[0].is_multiple_of(bits) && widths[1] == whole, whole),
        O::LanesOfBits => (widths == [lanes], whole),
        O::StoreLanes => (widths.len() == 3 && is_address(&widths[0]) && widths[1..] == [whole; 2], 0),
        O::Load | O::LoadExclusive => (widths.len() == 1 && is_address(&widths[0]), whole),
        O::Store => (widths.len() == 2 && is_address(&widths[0]) && widths[1] == whole, 0),
        O::StoreExclusive => (widths.len() == 2 && is_address(&widths[0]) && widths[1] == whole, place),
        O::LoadLanes | O::Atomic(_) => {
            (widths.len() == 2 && is_address(&widths[0]) && widths[1] == whole, whole)
        }
        O::AtomicCompareExchange => (widths.len() == 3 && widths[1..] == [whole; 2], whole),
        operation if is_of_elements(operation) => {
            let is_value = matches!(operation, O::FillElements | O::ScanElements { .. });
            let is_second =
                widths.len() == 4 && if is_value { widths[1] == bits } else { is_address(&widths[1]) };
            (is_second && widths[3] == 1, if is_store(operation) { 0 } else { widths[2] })
        }
        O::Jump | O::Call | O::Return => (widths == [bits], 0),
        O::Fence | O::Trap(_) | O::Service => (widths.is_empty(), 0),
        O::SelectBits | O::FloatMultiplyAdd { .. } => (widths == [whole; 3], whole),
        O::FloatConvert => (widths.len() == 1 && widths[0].is_multiple_of(lanes), whole),
        O::FloatToSigned(..) | O::FloatToUnsigned(..) | O::SignedToFloat | O::UnsignedToFloat => {
            (widths.len() == 1 && widths[0].is_multiple_of(lanes), whole)
        }
        O::Shuffle => {
            let is_list = widths.get(2).is_some_and(|width| *width >= 4 * lanes);
            (widths.len() == 3 && widths[..2] == [whole; 2] && is_list, whole)
        }
        O::SignBits => (widths == [whole], lanes),
        O::Copy
        | O::Negate
        | O::AesSubstituteBytes { .. }
        | O::AesMixColumns { .. }
        | O::Absolute
        | O::Not
        | O::CountLeadingZeros
        | O::CountTrailingZeros
        | O::CountOnes
        | O::ReverseBytes
        | O::ReverseBits
        | O::FloatSquareRoot
        | O::FloatRound(_) => (widths == [whole], whole),
        _ => (widths == [whole; 2], whole),
    };
    match (is_right, result == place) {
        (false, _) => Some("the inputs have other widths than documented"),
        (_, false) => Some("the place has another width than the result"),
        _ => None,
    }
}
