//! Reads the memory of a stopped process (`process_vm_readv`).

use super::content::{Content, PAGE_SIZE};
use super::mappings::Mapping;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::io::IoSliceMut;
use std::ops::Range;

/// Bytes that are read by one system call.
const READ_SIZE: usize = 1 << 28;

/// Parts of memory that are read by one system call: the system takes no more.
const PARTS_MAX: usize = 1024;

/// Pages of a mapping that cannot be read, after which the rest is left out.
const UNREADABLE_MAX: usize = 64;

/// Reads a mapping up to the last page that can be read. Pages before it that cannot, such as guard pages, are zeros.
pub(super) fn read_whole(process: Pid, mapping: &Mapping) -> Option<Content> {
    let mut bytes = vec![0; usize::try_from(mapping.size()).ok()?];
    let (mut next, mut end_read, mut unreadable) = (0, 0, 0);
    while next < bytes.len() && unreadable < UNREADABLE_MAX {
        let end = bytes.len().min(next + READ_SIZE);
        let remote = RemoteIoVec { base: mapping.start as usize + next, len: end - next };
        match process_vm_readv(process, &mut [IoSliceMut::new(&mut bytes[next..end])], &[remote]) {
            Ok(0) | Err(_) => {
                unreadable += 1;
                next = (next / PAGE_SIZE + 1) * PAGE_SIZE;
            }
            Ok(read) => {
                next += read;
                end_read = next;
            }
        }
    }
    bytes.truncate(end_read);
    Content::whole(bytes)
}

/// Reads parts of a mapping, given by their addresses; one that cannot be read is left out.
pub(super) fn read_parts(process: Pid, mapping: &Mapping, parts: &[Range<u64>]) -> Content {
    let size = |part: &Range<u64>| (part.end - part.start) as usize;
    let mut bytes = vec![0; parts.iter().map(size).sum()];
    let mut read_parts = Vec::with_capacity(parts.len());
    let (mut next, mut filled) = (0, 0);
    while next < parts.len() {
        let batch = &parts[next..parts.len().min(next + PARTS_MAX)];
        let remote: Vec<_> =
            batch.iter().map(|part| RemoteIoVec { base: part.start as usize, len: size(part) }).collect();
        let end = filled + batch.iter().map(size).sum::<usize>();
        let local = &mut [IoSliceMut::new(&mut bytes[filled..end])];
        let mut read = process_vm_readv(process, local, &remote).unwrap_or(0);
        let complete = batch.iter().take_while(|part| {
            let is_complete = size(part) <= read;
            read = read.saturating_sub(size(part));
            is_complete
        });
        let complete = complete.count();
        filled += batch[..complete].iter().map(size).sum::<usize>();
        read_parts.extend_from_slice(&batch[..complete]);
        // A part that was not read whole is left out.
        next += if complete < batch.len() { complete + 1 } else { complete };
    }
    bytes.truncate(filled);
    let offset = |address: u64| address - mapping.start;
    let offsets = read_parts.into_iter().map(|part| offset(part.start)..offset(part.end)).collect();
    Content::partial(offsets, bytes)
}
