//! Frame offsets: one number for each byte of a function's stack.
//!
//! Bytes at a known distance from the stack pointer at function entry have that distance as their frame offset:
//! negative in the function's own frame, 0 and above in the caller's part, which starts with the return address. A
//! function that aligns its stack pointer moves it by an unknown amount. Bytes at a known distance from the aligned
//! stack pointer have frame offsets around [`ALIGNED_ORIGIN`], below all others, so that both kinds can be sorted
//! together and never overlap.

use super::abstract_value::{AbstractValue, Base, UNBOUNDED_LOW};

/// Frame offset of the byte at the aligned stack pointer.
const ALIGNED_ORIGIN: i64 = -1 << 48;

/// Frame offset of the byte `offset` bytes above a base; `None` if the base is not the stack pointer at entry or the
/// aligned one.
pub(super) fn of_base(base: Base, offset: i64) -> Option<i64> {
    match base {
        Base::Stack => Some(offset),
        Base::Aligned if offset == UNBOUNDED_LOW => Some(UNBOUNDED_LOW),
        Base::Aligned => ALIGNED_ORIGIN.checked_add(offset),
        _ => None,
    }
}

/// Frame offset that an address points to; `None` if it does not point into the frame, or if it is not exact.
pub(crate) fn of_address(address: AbstractValue) -> Option<i64> {
    of_base(address.base, address.exact_offset()?)
}

/// Frame offset of the byte `offset` bytes above the stack pointer at entry, or above the aligned one.
pub(crate) fn from_offset(offset: i64, is_aligned: bool) -> i64 {
    if is_aligned { ALIGNED_ORIGIN.saturating_add(offset) } else { offset }
}

/// The offset of a frame offset from the stack pointer that it is relative to, and whether that is the aligned one.
pub(crate) fn to_offset(frame_offset: i64) -> (i64, bool) {
    let is_aligned = frame_offset < ALIGNED_ORIGIN / 2;
    (if is_aligned { frame_offset.saturating_sub(ALIGNED_ORIGIN) } else { frame_offset }, is_aligned)
}
