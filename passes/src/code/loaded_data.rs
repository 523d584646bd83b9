//! The bytes of sections that are loaded and are not code.

use crate::file::formats::{CONTENT_PER_FILE_SIZE_MAX, bytes_at};
use crate::file::sections::SectionsIr;
use bytes::Bytes;

/// Loaded bytes that are not code.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) address: u64,
    pub(super) bytes: Bytes,
    pub(super) is_writable: bool,
}

/// The data of a file, sorted by address. Of two sections that overlap, the one at the higher address is omitted.
pub(super) fn loaded_data(sections: &SectionsIr, file: &Bytes) -> Vec<Data> {
    let mut budget = file.len().saturating_mul(CONTENT_PER_FILE_SIZE_MAX);
    let mut data = Vec::new();
    let columns = sections.sections.columns();
    for section in
        columns.iter().filter(|section| section.is_readable && !section.is_executable && section.address > 0)
    {
        let (bytes, _) = bytes_at(file, section.file_offset, section.file_size.min(section.size));
        let Some(rest) = budget.checked_sub(bytes.len()) else { break };
        if !bytes.is_empty() && section.address.checked_add(bytes.len() as u64).is_some() {
            budget = rest;
            let (address, bytes) = (section.address, file.slice_ref(bytes));
            data.push(Data { address, bytes, is_writable: section.is_writable });
        }
    }
    data.sort_by_key(|data| data.address);
    let mut end = 0;
    data.retain(|data| {
        let is_free = data.address >= end;
        if is_free {
            end = data.address + data.bytes.len() as u64;
        }
        is_free
    });
    data
}

impl Data {
    /// The offsets of the addresses that are multiples of a size.
    pub(super) fn aligned_offsets(&self, size: usize) -> impl Iterator<Item = usize> + use<> {
        let skipped = (self.address as usize).wrapping_neg() % size;
        (skipped..self.bytes.len()).step_by(size)
    }
}

/// The section that an address is in, and the bytes from there to its end; `None` if the address is not in data.
pub(super) fn data_at(data: &[Data], address: u64) -> Option<(&Data, &[u8])> {
    let index = data.partition_point(|data| data.address <= address).checked_sub(1)?;
    let offset = usize::try_from(address - data[index].address).ok()?;
    let bytes = data[index].bytes.get(offset..).filter(|bytes| !bytes.is_empty())?;
    Some((&data[index], bytes))
}

/// The bytes from an address to the end of its section; `None` if the address is not in data.
pub(super) fn data_from(data: &[Data], address: u64) -> Option<&[u8]> {
    data_at(data, address).map(|(_, bytes)| bytes)
}
