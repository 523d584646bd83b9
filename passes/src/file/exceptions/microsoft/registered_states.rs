//! The code ranges of a function in each exception state, by the stores that set it.
//!
//! The code of the function is decoded from the registration of its handler on. A store to the slot of the state sets
//! it; unlinking the record leaves all states. Jumps forward carry the state to their target. The code ends after an
//! instruction that does not fall through, if no jump and no landing pad continues after it.

use crate::isa::{Decoder, InstructionSet, Isa, with_instruction_set};
use binframe_ir::tables::Flow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes of one function.
const FUNCTION_SIZE_MAX: usize = 1 << 16;

/// Where the code of a function sets its state.
#[derive(Debug, Clone, Copy)]
pub(super) struct StateStores {
    /// Position of the first instruction that may.
    pub(super) start: usize,
    /// Offset of the state from the frame pointer.
    pub(super) offset: i32,
}

/// Positions of code in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StateRange {
    pub(super) positions: Range<usize>,
    pub(super) state: u32,
}

/// The ranges in states of a function, whose code ends with `bytes`. `pads` are the addresses of landing
/// pads and the states there.
pub(super) fn state_ranges(
    isa: Isa,
    bytes: &[u8],
    address: u32,
    StateStores { start, offset: slot }: StateStores,
    pads: &[(u32, Option<u32>)],
) -> Vec<StateRange> {
    let position_of = |target: u64| {
        let position = (target as u32).wrapping_sub(address) as usize;
        (start..bytes.len().min(start + FUNCTION_SIZE_MAX)).contains(&position).then_some(position)
    };
    // The states at positions that jumps and exceptions continue at.
    let pads = pads.iter().filter_map(|(pad, state)| Some((position_of((*pad).into())?, *state)));
    let mut entered: BTreeMap<usize, Option<u32>> = pads.collect();
    let mut ranges: Vec<StateRange> = Vec::new();
    let end = bytes.len().min(start + FUNCTION_SIZE_MAX);
    with_instruction_set!(isa, S => {
        let base = u64::from(address) + start as u64;
        let mut decoder = S::decoder(isa, &bytes[start..end], base);
        let mut instruction = <S as InstructionSet>::Instruction::default();
        let (mut position, mut state, mut falls_through) = (start, None, true);
        while decoder.decode(&mut instruction) {
            if let Some(other) = entered.remove(&position).filter(|_| !falls_through) {
                state = other;
            }
            let next = position + S::size(&instruction);
            add(&mut ranges, position..next, state);
            match state_change(&bytes[position..next], slot) {
                Some(StateChange::Set(set)) => state = Some(set),
                Some(StateChange::Reset) => state = None,
                None => {}
            }
            let flow = S::classify(&instruction);
            if matches!(flow, Flow::Jump | Flow::CondJump)
                && let Some(target) = S::target(&decoder, &instruction, None).and_then(position_of)
                && target >= next
            {
                entered.entry(target).or_insert(state);
            }
            falls_through = flow.continues();
            if !falls_through {
                // What is after is entered at a known position, or not of this function.
                entered = entered.split_off(&next);
                if entered.is_empty() {
                    break;
                }
                state = None;
            }
            position = next;
        }
    });
    ranges
}

/// Adds code in a state, and joins it with the range before.
fn add(ranges: &mut Vec<StateRange>, positions: Range<usize>, state: Option<u32>) {
    let Some(state) = state else { return };
    match ranges.last_mut() {
        Some(last) if last.state == state && last.positions.end == positions.start => {
            last.positions.end = positions.end;
        }
        _ => ranges.push(StateRange { positions, state }),
    }
}

/// How an instruction changes the state.
enum StateChange {
    Set(u32),
    /// To none, or to an unknown one.
    Reset,
}

/// How an instruction changes the state at an offset from the frame pointer; `None` if it does not.
fn state_change(instruction: &[u8], slot: i32) -> Option<StateChange> {
    /// The head of the list of records is unlinked or replaced: `mov fs:[0], …`, `pop fs:[0]`.
    const UNLINKS: [&[u8]; 4] = [&[0x64, 0xa3], &[0x64, 0x89], &[0x64, 0x8f], &[0x64, 0xc7]];
    if UNLINKS.iter().any(|start| instruction.starts_with(start)) {
        return Some(StateChange::Reset);
    }
    let known = |state: u32| match state < u32::MAX / 2 {
        true => StateChange::Set(state),
        false => StateChange::Reset,
    };
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(*bytes.first_chunk()?));
    let is_near = |offset: u8| i32::from(offset.cast_signed()) == slot;
    match instruction {
        [0xc7, 0x45, offset, state @ ..] if is_near(*offset) => Some(known(number(state)?)),
        [0xc7, 0x85, rest @ ..] if number(rest) == Some(slot.cast_unsigned()) => {
            Some(known(number(&rest[4..])?))
        }
        // A byte of it, `and` with 0, `or` with -1.
        [0xc6, 0x45, offset, state] if is_near(*offset) => Some(known(u32::from(*state))),
        [0x83, 0x65, offset, 0] if is_near(*offset) => Some(known(0)),
        // A register, or something else.
        [code @ (0x88 | 0x89 | 0x83 | 0x80 | 0xff), mode, offset, ..]
            if mode & 0xc7 == 0x45 && is_near(*offset) =>
        {
            let field = mode >> 3 & 7;
            let is_read = matches!(code, 0x80 | 0x83) && field == 7 || *code == 0xff && field > 1;
            (!is_read).then_some(StateChange::Reset)
        }
        _ => None,
    }
}
