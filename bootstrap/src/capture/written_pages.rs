//! The pages of a process that were written since the previous snapshot, as the system records it.
//!
//! *Algorithm.* Memory without a file is registered with a userfaultfd for asynchronous write protection: a write to a
//! protected page succeeds as ever, and removes the protection. At the next snapshot, `PAGEMAP_SCAN` returns the pages
//! without protection and protects them again, in one step. A second scan returns the pages that have neither content nor
//! protection, because the process gave them back (`MADV_DONTNEED`) or has grown its memory.
//!
//! *Invariant.* A mapping is registered when it is read whole, and no longer when it is not read. So what the scans do
//! not return is as it was read before.
//!
//! A userfaultfd belongs to the process that creates it. So a thread of the stopped process makes that system call, and
//! this process takes a copy of the descriptor. If this process ends without more, the original and the protection remain in
//! the other, and cost it a fault in the system at the first write to each protected page.
//!
//! Mappings of files are not registered, because others may write to the files. Nor is a process whose system calls are filtered
//! (seccomp): it might be killed for the call.
//!
//! *Cost.* Linear in the pages of the registered mappings (one bit of each is tested), and in the bytes of those that
//! were written.
//!
//! Source: userfaultfd(2), `ioctl_userfaultfd(2)` and pagemap.rst of Linux 6.7, where both arrived.

use super::content::PAGE_SIZE;
use super::mappings::{Mapping, Origin};
use super::system_call::{self, ENTRY_CODE};
use super::threads::Stop;
use nix::errno::Errno;
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

/// Pages that were written, or given back, in a process.
pub(super) struct WrittenPages {
    userfault: OwnedFd,
    /// The number of its original in the process.
    original: u64,
    /// The instruction there that enters the system.
    entry: u64,
    pagemap: File,
}

impl WrittenPages {
    /// Prepares a process whose given thread is stopped, and whose system code `[vdso]` has this content. `None` if the system
    /// cannot do it.
    pub(super) fn of(process: Pid, stop: &mut Stop, vdso: (u64, &[u8])) -> Option<Self> {
        let offset = vdso.1.windows(ENTRY_CODE.len()).position(|code| code == ENTRY_CODE)?;
        let entry = vdso.0 + offset as u64;
        let flags = (libc::O_CLOEXEC | libc::O_NONBLOCK) as u64 | USER_MODE_ONLY;
        let number = system_call::call(process, stop, entry, libc::SYS_userfaultfd, [flags, 0]).ok()?;
        let original = u64::try_from(number).ok()?;
        let copy = || {
            let process_descriptor =
                pidfd_open(rustix::process::Pid::from_raw(process.as_raw())?, PidfdFlags::empty()).ok()?;
            let userfault =
                pidfd_getfd(process_descriptor, original as i32, PidfdGetfdFlags::empty()).ok()?;
            let features = FEATURE_WRITE_PROTECT_ASYNCHRONOUS | FEATURE_WRITE_PROTECT_UNPOPULATED;
            enable(&userfault, features).ok()?;
            let pagemap = File::open(format!("/proc/{process}/pagemap")).ok()?;
            Some(Self { userfault, original, entry, pagemap })
        };
        let own = copy();
        if own.is_none() {
            _ = system_call::call(process, stop, entry, libc::SYS_close, [original, 0]);
        }
        own
    }

    /// Closes the original in the process, whose given thread is stopped. Its memory is no longer protected then.
    pub(super) fn close(self, process: Pid, stop: &mut Stop) {
        // If it cannot be closed, it does no harm.
        _ = system_call::call(process, stop, self.entry, libc::SYS_close, [self.original, 0]);
    }

    /// The parts of a mapping that may have changed since it was last read, in no order; `None` if it must be read whole.
    pub(super) fn changed(&self, mapping: &Mapping) -> Option<Vec<Range<u64>>> {
        if !is_tracked(mapping) {
            return None;
        }
        let range = mapping.start..mapping.end;
        let scan = |selection| scan(&self.pagemap, &range, selection);
        if let (Ok(mut written), Ok(absent)) = (scan(WRITTEN), scan(ABSENT)) {
            written.extend(absent);
            return Some(written);
        }
        // From now on. Without protection, it is read whole again.
        _ = register(&self.userfault, &range).and_then(|()| protect_pages(&self.userfault, &range));
        None
    }

    /// No longer tracks a mapping, because it is not read.
    pub(super) fn forget(&self, mapping: &Mapping) {
        if is_tracked(mapping) {
            // It fails for one that is not registered.
            _ = unregister(&self.userfault, &(mapping.start..mapping.end));
        }
    }
}

/// Protects a range page by page: a huge page, whose protection a single write would remove, is mapped by small pages if only
/// a part of it is protected.
fn protect_pages(userfault: &OwnedFd, range: &Range<u64>) -> nix::Result<()> {
    const HUGE: u64 = 2 << 20;
    let mut start = range.start.next_multiple_of(HUGE);
    while start + HUGE <= range.end {
        protect(userfault, &(start..start + PAGE_SIZE as u64))?;
        start += HUGE;
    }
    protect(userfault, range)
}

/// Whether only the process itself can write to a mapping.
fn is_tracked(mapping: &Mapping) -> bool {
    matches!(mapping.origin, Origin::Anonymous | Origin::Break | Origin::Stack | Origin::FileZeros(_))
}

/// `UFFD_USER_MODE_ONLY`, for which no privilege is needed.
const USER_MODE_ONLY: u64 = 1;
/// `UFFD_FEATURE_WP_ASYNC`
const FEATURE_WRITE_PROTECT_ASYNCHRONOUS: u64 = 1 << 15;
/// `UFFD_FEATURE_WP_UNPOPULATED`
const FEATURE_WRITE_PROTECT_UNPOPULATED: u64 = 1 << 13;

/// `struct uffdio_api`
#[repr(C)]
struct Features {
    version: u64,
    requested: u64,
    ioctls: u64,
}

/// `struct uffdio_range`
#[repr(C)]
struct AddressRange {
    start: u64,
    size: u64,
}

/// `struct uffdio_register`
#[repr(C)]
struct Registration {
    range: AddressRange,
    mode: u64,
    ioctls: u64,
}

/// `struct uffdio_writeprotect`
#[repr(C)]
struct Protection {
    range: AddressRange,
    mode: u64,
}

/// `struct page_region`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg`
#[repr(C)]
struct PageScan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_length: u64,
    pages_max: u64,
    inverted: u64,
    all_of: u64,
    any_of: u64,
    returned: u64,
}

/// Which pages a scan returns: those of all categories in `all_of`, after those of `inverted` have been inverted.
#[derive(Clone, Copy)]
struct Selection {
    all_of: u64,
    inverted: u64,
}

/// Pages without protection (`PAGE_IS_WRITTEN`).
const WRITTEN: Selection = Selection { all_of: 1 << 1, inverted: 0 };
/// Pages that are neither in memory (`PAGE_IS_PRESENT`) nor elsewhere, nor protected (`PAGE_IS_SWAPPED`).
const ABSENT: Selection = Selection { all_of: (1 << 3) | (1 << 4), inverted: (1 << 3) | (1 << 4) };

nix::ioctl_readwrite!(userfault_api, 0xaa, 0x3f, Features);
nix::ioctl_readwrite!(userfault_register, 0xaa, 0x00, Registration);
nix::ioctl_read!(userfault_unregister, 0xaa, 0x01, AddressRange);
nix::ioctl_readwrite!(userfault_protect, 0xaa, 0x06, Protection);
nix::ioctl_readwrite!(pagemap_scan, b'f', 16, PageScan);

fn address_range(range: &Range<u64>) -> AddressRange {
    AddressRange { start: range.start, size: range.end - range.start }
}

#[expect(unsafe_code, reason = "requests to a descriptor are foreign functions")]
fn enable(userfault: &OwnedFd, features: u64) -> nix::Result<()> {
    let mut request = Features { version: 0xaa, requested: features, ioctls: 0 };
    // SAFETY: the descriptor is open, and the request has the layout that the system reads and writes.
    unsafe { userfault_api(userfault.as_raw_fd(), &raw mut request) }.map(drop)
}

#[expect(unsafe_code, reason = "requests to a descriptor are foreign functions")]
fn register(userfault: &OwnedFd, range: &Range<u64>) -> nix::Result<()> {
    const MODE_WRITE_PROTECT: u64 = 1 << 1;
    let mut request = Registration { range: address_range(range), mode: MODE_WRITE_PROTECT, ioctls: 0 };
    // SAFETY: as in `enable`. The range is one of another process, which the system checks.
    unsafe { userfault_register(userfault.as_raw_fd(), &raw mut request) }.map(drop)
}

#[expect(unsafe_code, reason = "requests to a descriptor are foreign functions")]
fn unregister(userfault: &OwnedFd, range: &Range<u64>) -> nix::Result<()> {
    let mut request = address_range(range);
    // SAFETY: as in `register`.
    unsafe { userfault_unregister(userfault.as_raw_fd(), &raw mut request) }.map(drop)
}

#[expect(unsafe_code, reason = "requests to a descriptor are foreign functions")]
fn protect(userfault: &OwnedFd, range: &Range<u64>) -> nix::Result<()> {
    const MODE_WRITE_PROTECT: u64 = 1;
    let mut request = Protection { range: address_range(range), mode: MODE_WRITE_PROTECT };
    // SAFETY: as in `register`.
    unsafe { userfault_protect(userfault.as_raw_fd(), &raw mut request) }.map(drop)
}

/// The selected pages of a range, which are protected from now on. It fails if the range is not registered.
#[expect(unsafe_code, reason = "requests to a descriptor are foreign functions")]
fn scan(pagemap: &File, range: &Range<u64>, selection: Selection) -> nix::Result<Vec<Range<u64>>> {
    const PROTECT_MATCHING: u64 = 1;
    const CHECK_REGISTERED: u64 = 2;
    let mut regions = vec![PageRegion::default(); 1024];
    let mut found = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let mut request = PageScan {
            size: size_of::<PageScan>() as u64,
            flags: PROTECT_MATCHING | CHECK_REGISTERED,
            start,
            end: range.end,
            walk_end: 0,
            regions: regions.as_mut_ptr() as u64,
            regions_length: regions.len() as u64,
            pages_max: 0,
            inverted: selection.inverted,
            all_of: selection.all_of,
            any_of: 0,
            returned: selection.all_of,
        };
        // SAFETY: as in `enable`; the system writes at most `regions_length` regions to `regions`, which is that long.
        let count = unsafe { pagemap_scan(pagemap.as_raw_fd(), &raw mut request) }?;
        let count = usize::try_from(count).unwrap_or(0).min(regions.len());
        found.extend(regions[..count].iter().map(|region| region.start..region.end));
        if request.walk_end <= start {
            return Err(Errno::EIO);
        }
        start = request.walk_end;
    }
    Ok(found)
}
