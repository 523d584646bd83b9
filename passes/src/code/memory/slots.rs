//! What a function's instructions do with its stack, as slots: each a run of bytes that belong together.
//!
//! Bytes that one instruction touches belong together. Where an address is taken or indexed, what lies there reaches up to the next
//! slot, but for what only aligns that.

use crate::domains::UNBOUNDED_HIGH;
use binframe_ir::tables::{Confidence, ObjectEvidence, ObjectKind};

/// Space up to the next slot that is taken for what aligns it.
const PADDING_SIZE_MAX: i64 = 8;

/// What an instruction does with a place on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Use {
    pub(super) place: i64,
    /// 0 where only the address is computed.
    pub(super) size: i64,
    /// Bytes that are touched, one after another, where indices are bounded.
    pub(super) extent: i64,
    pub(super) is_read: bool,
    pub(super) is_written: bool,
    /// Whether an index is added.
    pub(super) is_indexed: bool,
    /// Whether a register is moved there or from there whole.
    pub(super) is_whole_move: bool,
    /// The register that is saved there for the caller.
    pub(super) saved: Option<u8>,
    pub(super) is_canary: bool,
}

/// A run of bytes on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) place: i64,
    pub(super) size: i64,
    pub(super) kind: ObjectKind,
    /// The register that is saved there.
    pub(super) saved: Option<u8>,
    pub(super) evidence: ObjectEvidence,
    pub(super) confidence: Confidence,
}

/// Uses of bytes that belong together.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Group {
    start: i64,
    end: i64,
    is_read: bool,
    is_written: bool,
    is_open: bool,
    is_register: bool,
    size: i64,
    saved: Option<u8>,
    is_canary: bool,
}

impl Group {
    fn of(first: &Use) -> Self {
        Self {
            start: first.place,
            end: first.place,
            is_read: false,
            is_written: false,
            is_open: false,
            is_register: true,
            size: first.size,
            saved: None,
            is_canary: false,
        }
    }

    fn add(&mut self, other: &Use) {
        self.is_read |= other.is_read;
        self.is_written |= other.is_written;
        let is_address = other.size == 0 || other.is_indexed;
        self.is_open |= is_address;
        self.is_register &=
            other.is_whole_move && !is_address && other.size == self.size && other.place == self.start;
        self.saved = self.saved.or(other.saved);
        self.is_canary |= other.is_canary;
        self.end = self.end.max(other.place.saturating_add(other.extent));
    }
}

/// Cuts the frame of a function into slots, given what is done with it, in any order, the places of the stack pointer at calls, in
/// their order, and the size of an address.
pub(super) fn slots(uses: &mut Vec<Use>, calls: &[i64], address_size: i64) -> Vec<Slot> {
    // An extent that reaches over what functions keep for their callers is that of the type of an index, and says nothing.
    let kept = uses.iter().filter(|used| used.saved.is_some() || used.is_canary).map(|used| used.place);
    let mut kept: Vec<i64> = kept.chain([0]).collect();
    kept.sort_unstable();
    for used in uses.iter_mut().filter(|used| used.is_indexed) {
        let next = kept[kept.partition_point(|place| *place <= used.place)..].first();
        let is_inside = next.is_none_or(|next| used.place.saturating_add(used.extent) <= *next);
        used.extent = if is_inside { used.extent } else { 0 };
    }
    uses.sort_unstable();
    uses.dedup();
    let mut groups: Vec<Group> = Vec::new();
    for used in uses.iter() {
        let is_new = groups.last().is_none_or(|last| used.place >= last.end && used.place > last.start);
        if is_new {
            groups.push(Group::of(used));
        }
        if let Some(group) = groups.last_mut() {
            group.add(used);
        }
    }
    let mut slots: Vec<Slot> = Vec::with_capacity(groups.len() + 1);
    // From above: what a slot reaches up to is known.
    let mut next = UNBOUNDED_HIGH;
    let mut has_return_address = false;
    for group in groups.iter().rev() {
        let is_below = group.start < 0;
        if is_below && !has_return_address {
            next = next.min(0);
            has_return_address = true;
        }
        let slot = slot(group, next, address_size);
        next = group.start;
        slots.push(slot);
    }
    slots.reverse();
    mark_outgoing(&mut slots, &groups, calls);
    slots
}

fn slot(group: &Group, next: i64, address_size: i64) -> Slot {
    let accessed = group.end - group.start;
    let room = next.saturating_sub(group.end);
    let is_extended =
        group.is_open && room > 0 && next != UNBOUNDED_HIGH && (accessed == 0 || room >= PADDING_SIZE_MAX);
    let size = if is_extended { next - group.start } else { accessed };
    let kind = match group.start {
        0.. if group.start < address_size => ObjectKind::ReturnAddress,
        0.. => ObjectKind::Argument,
        _ if group.saved.is_some() && !group.is_open => ObjectKind::SavedRegister,
        _ if group.is_canary => ObjectKind::Canary,
        _ if group.is_register && !group.is_open => ObjectKind::Spill,
        _ => ObjectKind::Local,
    };
    let (evidence, confidence) = match is_extended {
        true => (ObjectEvidence::Address, Confidence::Likely),
        false => (ObjectEvidence::Access, Confidence::Certain),
    };
    let saved = group.saved.filter(|_| kind == ObjectKind::SavedRegister);
    Slot { place: group.start, size: size.max(1), kind, saved, evidence, confidence }
}

/// What is written from the stack pointer of a call on, and never read, are arguments.
fn mark_outgoing(slots: &mut [Slot], groups: &[Group], calls: &[i64]) {
    for call in calls {
        let first = slots.partition_point(|slot| slot.place < *call);
        let mut end = *call;
        for (slot, group) in slots.iter_mut().zip(groups).skip(first) {
            let is_passed =
                slot.place == end && group.is_written && !group.is_read && !group.is_open && slot.place < 0;
            let is_free =
                matches!(slot.kind, ObjectKind::Spill | ObjectKind::Local | ObjectKind::OutgoingArgument);
            if !is_passed || !is_free {
                break;
            }
            slot.kind = ObjectKind::OutgoingArgument;
            end = slot.place + slot.size.max(8);
        }
    }
}

/// Bytes from the stack pointer of calls on that hold arguments.
pub(super) fn outgoing_size(slots: &[Slot], calls: &[i64]) -> u64 {
    let sizes = calls.iter().map(|call| {
        let first = slots.partition_point(|slot| slot.place < *call);
        let own = slots[first..].iter().take_while(|slot| slot.kind == ObjectKind::OutgoingArgument);
        own.last().map_or(0, |slot| (slot.place + slot.size - call).unsigned_abs())
    });
    sizes.max().unwrap_or(0)
}
