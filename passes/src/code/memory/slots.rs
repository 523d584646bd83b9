//! Stack slots: divides the frame of a function into the slots that its instructions access.
//!
//! *Notation.* An access has a frame offset, and a size, which is 0 if only the address is computed. The address is
//! inexact if it is one of several; the frame offset is then that at index 0: the offset `index_zero`, presumably the
//! start of the array. A cluster is a range of bytes that overlapping accesses cover. It is open if its address is
//! taken or inexact: its end is then not known.
//!
//! *Algorithm.*
//! 1. Drop the extent of inexact accesses that would overwrite a saved register, the canary or the return address: it
//!    is implied by the width of the index, not by the size of an array.
//! 2. Sort the accesses by frame offset and merge those that overlap into clusters.
//! 3. From the highest cluster down, make each one a slot. An open one is extended to the next slot or to the return
//!    address, except over a gap of less than [`PADDING_SIZE_MAX`] bytes if some of its bytes have a known extent: that
//!    gap aligns the next slot.
//! 4. Mark outgoing arguments: contiguous slots from the stack pointer of a call on that are written and never read.
//!
//! *Invariants.* Slots are sorted by frame offset and do not overlap.
//!
//! *Approximation.* Heuristic. Accessed slots are `certain`: these bytes belong together. Extended slots are `likely`:
//! they may be several variables, of which the others are only accessed through the address of the first.

use crate::domains::UNBOUNDED_HIGH;
use binframe_ir::tables::{Confidence, ObjectEvidence, ObjectKind};

/// Bytes of a gap that are taken for padding.
const PADDING_SIZE_MAX: i64 = 8;

/// Size in bytes of an outgoing argument, at least.
const ARGUMENT_SIZE_MIN: i64 = 8;

/// An access of an instruction to the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct StackAccess {
    /// Frame offset of the first byte; that at index 0 if inexact.
    pub(super) frame_offset: i64,
    /// Bytes accessed at once; 0 if only the address is computed.
    pub(super) size: i64,
    /// Bytes that may be accessed, if they have no gaps and their range is known; else 0.
    pub(super) contiguous_extent: i64,
    pub(super) is_read: bool,
    pub(super) is_written: bool,
    /// Whether the address is one of several.
    pub(super) is_inexact: bool,
    /// Whether the instruction only copies a whole register.
    pub(super) is_whole_move: bool,
    /// The callee-saved register that is saved there.
    pub(super) saved_register: Option<u8>,
    pub(super) is_canary: bool,
}

/// A range of stack bytes that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StackSlot {
    pub(super) frame_offset: i64,
    pub(super) size: i64,
    pub(super) kind: ObjectKind,
    /// The callee-saved register that is saved there.
    pub(super) saved_register: Option<u8>,
    pub(super) evidence: ObjectEvidence,
    pub(super) confidence: Confidence,
}

/// Overlapping accesses.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct AccessCluster {
    start: i64,
    end: i64,
    is_read: bool,
    is_written: bool,
    is_open: bool,
    /// Whether all accesses copy a whole register to or from the same bytes.
    is_register: bool,
    /// Size of the first access.
    size: i64,
    saved_register: Option<u8>,
    is_canary: bool,
}

impl AccessCluster {
    fn new(first: &StackAccess) -> Self {
        Self {
            start: first.frame_offset,
            end: first.frame_offset,
            is_read: false,
            is_written: false,
            is_open: false,
            is_register: true,
            size: first.size,
            saved_register: None,
            is_canary: false,
        }
    }

    fn add(&mut self, access: &StackAccess) {
        self.is_read |= access.is_read;
        self.is_written |= access.is_written;
        let is_open = access.size == 0 || access.is_inexact;
        self.is_open |= is_open;
        self.is_register &=
            access.is_whole_move && !is_open && access.size == self.size && access.frame_offset == self.start;
        self.saved_register = self.saved_register.or(access.saved_register);
        self.is_canary |= access.is_canary;
        self.end = self.end.max(access.frame_offset.saturating_add(access.contiguous_extent));
    }
}

/// The slots of a function's frame, given its accesses in any order, the frame offsets of the stack pointer at calls
/// in ascending order, and the size of an address in bytes.
pub(super) fn stack_slots(
    accesses: &mut Vec<StackAccess>,
    call_offsets: &[i64],
    address_size: i64,
) -> Vec<StackSlot> {
    drop_type_extents(accesses);
    accesses.sort_unstable();
    accesses.dedup();
    let clusters = clusters(accesses);
    let mut slots: Vec<StackSlot> = Vec::with_capacity(clusters.len());
    let mut next = UNBOUNDED_HIGH;
    for cluster in clusters.iter().rev() {
        // No slot of the frame is extended over the return address.
        if cluster.start < 0 {
            next = next.min(0);
        }
        slots.push(slot(cluster, next, address_size));
        next = cluster.start;
    }
    slots.reverse();
    mark_outgoing(&mut slots, &clusters, call_offsets);
    slots
}

/// Drops the extents of inexact accesses that reach over a saved register, the canary or the return address.
fn drop_type_extents(accesses: &mut [StackAccess]) {
    let protected = accesses.iter().filter(|access| access.saved_register.is_some() || access.is_canary);
    let mut protected: Vec<i64> = protected.map(|access| access.frame_offset).chain([0]).collect();
    protected.sort_unstable();
    for access in accesses.iter_mut().filter(|access| access.is_inexact) {
        let next = protected[protected.partition_point(|start| *start <= access.frame_offset)..].first();
        let is_inside =
            next.is_none_or(|next| access.frame_offset.saturating_add(access.contiguous_extent) <= *next);
        access.contiguous_extent = if is_inside { access.contiguous_extent } else { 0 };
    }
}

/// Merges overlapping accesses, which are sorted by frame offset.
fn clusters(accesses: &[StackAccess]) -> Vec<AccessCluster> {
    let mut clusters: Vec<AccessCluster> = Vec::new();
    for access in accesses {
        let is_new = clusters
            .last()
            .is_none_or(|last| access.frame_offset >= last.end && access.frame_offset > last.start);
        if is_new {
            clusters.push(AccessCluster::new(access));
        }
        if let Some(cluster) = clusters.last_mut() {
            cluster.add(access);
        }
    }
    clusters
}

/// The slot of a cluster, given where the next one starts.
fn slot(cluster: &AccessCluster, next: i64, address_size: i64) -> StackSlot {
    let accessed = cluster.end - cluster.start;
    let gap = next.saturating_sub(cluster.end);
    let is_extended =
        cluster.is_open && gap > 0 && next != UNBOUNDED_HIGH && (accessed == 0 || gap >= PADDING_SIZE_MAX);
    let size = if is_extended { next - cluster.start } else { accessed };
    let kind = match cluster.start {
        0.. if cluster.start < address_size => ObjectKind::ReturnAddress,
        0.. => ObjectKind::Argument,
        _ if cluster.saved_register.is_some() && !cluster.is_open => ObjectKind::SavedRegister,
        _ if cluster.is_canary => ObjectKind::Canary,
        _ if cluster.is_register && !cluster.is_open => ObjectKind::Spill,
        _ => ObjectKind::Local,
    };
    let (evidence, confidence) = match is_extended {
        true => (ObjectEvidence::Address, Confidence::Likely),
        false => (ObjectEvidence::Access, Confidence::Certain),
    };
    let saved_register = cluster.saved_register.filter(|_| kind == ObjectKind::SavedRegister);
    StackSlot { frame_offset: cluster.start, size: size.max(1), kind, saved_register, evidence, confidence }
}

/// Marks the outgoing arguments of each call.
fn mark_outgoing(slots: &mut [StackSlot], clusters: &[AccessCluster], call_offsets: &[i64]) {
    for call_offset in call_offsets {
        let first = slots.partition_point(|slot| slot.frame_offset < *call_offset);
        let mut end = *call_offset;
        for (slot, cluster) in slots.iter_mut().zip(clusters).skip(first) {
            let is_passed = slot.frame_offset == end
                && cluster.is_written
                && !cluster.is_read
                && !cluster.is_open
                && slot.frame_offset < 0;
            let is_free =
                matches!(slot.kind, ObjectKind::Spill | ObjectKind::Local | ObjectKind::OutgoingArgument);
            if !is_passed || !is_free {
                break;
            }
            slot.kind = ObjectKind::OutgoingArgument;
            end = slot.frame_offset + slot.size.max(ARGUMENT_SIZE_MIN);
        }
    }
}

/// Size in bytes of the outgoing arguments of the call that has the most.
pub(super) fn outgoing_size(slots: &[StackSlot], call_offsets: &[i64]) -> u64 {
    let sizes = call_offsets.iter().map(|call_offset| {
        let first = slots.partition_point(|slot| slot.frame_offset < *call_offset);
        let own = slots[first..].iter().take_while(|slot| slot.kind == ObjectKind::OutgoingArgument);
        own.last().map_or(0, |slot| (slot.frame_offset + slot.size - call_offset).unsigned_abs())
    });
    sizes.max().unwrap_or(0)
}
