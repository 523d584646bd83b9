//! Reads of bytes whose range may exceed the file.

use gimli::{EndianSlice, RunTimeEndian};
use object::{Endian, Endianness};

/// Sections and notes of a valid file share no bytes. The bytes of all of them are limited to this multiple of the
/// file's size.
pub(crate) const CONTENT_PER_FILE_SIZE_MAX: usize = 4;

/// Bytes in the byte order of the file, read from front to back.
pub(crate) type EndianReader<'a> = EndianSlice<'a, RunTimeEndian>;

/// The bytes of `offset..offset + length` that are in the file, and whether all of them are.
pub(crate) fn bytes_at(file: &[u8], offset: u64, length: u64) -> (&[u8], bool) {
    let start = usize::try_from(offset).map_or(file.len(), |offset| offset.min(file.len()));
    let rest = &file[start..];
    match usize::try_from(length) {
        Ok(length) if length <= rest.len() => (&rest[..length], true),
        _ => (rest, false),
    }
}

/// Two hexadecimal digits for each byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The unsigned integer in the first eight bytes; of fewer, in the first four. `None` if there are fewer than four.
pub(crate) fn number(endian: Endianness, bytes: &[u8]) -> Option<u64> {
    match bytes.first_chunk() {
        Some(wide) => Some(endian.read_u64(*wide)),
        None => bytes.first_chunk().map(|narrow| endian.read_u32(*narrow).into()),
    }
}
