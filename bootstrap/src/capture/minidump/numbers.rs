//! Little-endian numbers at offsets of records.

/// The number of `N` bytes at an offset.
fn number<const N: usize>(bytes: &[u8], offset: usize) -> Option<u64> {
    let own = bytes.get(offset..)?.first_chunk::<N>()?;
    Some(own.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    number::<2>(bytes, offset).map(|value| value as u16)
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    number::<4>(bytes, offset).map(|value| value as u32)
}

pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    number::<8>(bytes, offset)
}
