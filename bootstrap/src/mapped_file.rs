//! Mapped files. If another process truncates a mapped file, reading the lost pages raises the signal SIGBUS.
//!
//! [`report_truncated_files`] installs a handler that says which file it was and ends the process.

use memmap2::{Mmap, UncheckedAdvice};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// A read-only mapping of a file.
#[derive(Debug)]
pub(crate) struct MappedFile {
    map: Mmap,
    /// The slot of the mapping; `None` if all slots are taken.
    slot: Option<&'static Slot>,
}

/// A mapping that the signal handler can name. A signal handler must not take a lock, so slots are atomic.
#[derive(Debug)]
struct Slot {
    /// Address of the first byte; 0 if the slot is free, and 1 while it is filled or emptied.
    start: AtomicUsize,
    end: AtomicUsize,
    /// Path of the file as a C string that the slot owns.
    path: AtomicPtr<libc::c_char>,
}

const FREE: usize = 0;
const CHANGING: usize = 1;

/// More mappings than a run has at a time; further ones are not named.
static SLOTS: [Slot; 1024] = [const {
    Slot { start: AtomicUsize::new(FREE), end: AtomicUsize::new(0), path: AtomicPtr::new(ptr::null_mut()) }
}; 1024];

impl MappedFile {
    /// Maps a file that is not empty.
    #[expect(unsafe_code, reason = "mapping a file is unsafe")]
    pub(crate) fn map(file: &File, path: &Path) -> io::Result<Self> {
        // SAFETY: the mapping is shared and read-only. If another process writes to the file, bytes of the slice change,
        // which Rust does not allow; passes and readers trust no bytes, so this is accepted. If another process
        // truncates the file, reading the lost bytes raises SIGBUS, which ends this process.
        let map = unsafe { Mmap::map(file) }?;
        let slot = SLOTS.iter().find(|slot| {
            let claimed = slot.start.compare_exchange(FREE, CHANGING, Ordering::Acquire, Ordering::Relaxed);
            claimed.is_ok()
        });
        if let Some(slot) = slot {
            let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
            slot.path.store(path.into_raw(), Ordering::Relaxed);
            slot.end.store(map.as_ptr() as usize + map.len(), Ordering::Relaxed);
            slot.start.store(map.as_ptr() as usize, Ordering::Release);
        }
        Ok(Self { map, slot })
    }

    /// Releases the pages of the mapping from this process. They stay in the page cache of the system.
    #[expect(unsafe_code, reason = "the advice discards writes to the mapping, and there are none")]
    pub(crate) fn release_pages(&self) {
        // SAFETY: the mapping is never written to, so a page that is read again has the bytes of the file.
        // A failure has no consequence: the pages stay.
        _ = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for MappedFile {
    #[expect(unsafe_code, reason = "the path is a raw pointer, which a signal handler can read")]
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        slot.start.store(CHANGING, Ordering::Relaxed);
        let path = slot.path.swap(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: `map` made the pointer with `into_raw`, and `swap` gives it to this thread alone. The handler reads it
        // only for an address in the mapping, and nobody reads the mapping while it is dropped.
        drop(unsafe { CString::from_raw(path) });
        slot.start.store(FREE, Ordering::Release);
    }
}

/// Makes a truncated file that is mapped end the process with exit code 1 and a message with its path, rather than by
/// the signal SIGBUS. Other causes of the signal are handled as before.
#[expect(unsafe_code, reason = "installing a signal handler is unsafe")]
pub fn report_truncated_files() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: zeros are a valid `sigaction`, and the handler only calls functions that are safe in a handler.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGBUS, &raw const action, PREVIOUS.0.get());
        }
    });
}

/// The handler that was installed before.
struct Previous(std::cell::UnsafeCell<libc::sigaction>);

#[expect(unsafe_code, reason = "the previous handler is a plain C structure")]
// SAFETY: it is written once, before the handler that reads it can run.
unsafe impl Sync for Previous {}

#[expect(unsafe_code, reason = "zeros are a valid `sigaction`: the default action")]
// SAFETY: all fields are integers, or a function pointer that may be null.
static PREVIOUS: Previous = Previous(std::cell::UnsafeCell::new(unsafe { std::mem::zeroed() }));

/// Writes the path of the mapping with the address that could not be read, and ends the process.
#[expect(unsafe_code, reason = "a signal handler reads raw pointers and calls C functions")]
extern "C" fn handle(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system passes a valid `info`. A slot whose range has the address belongs to a mapping that is being
    // read, so its path is valid. `write`, `_exit` and `sigaction` are safe in a handler.
    unsafe {
        let address = (*info).si_addr() as usize;
        let has_address = |slot: &&Slot| {
            let start = slot.start.load(Ordering::Acquire);
            start > CHANGING && (start..slot.end.load(Ordering::Relaxed)).contains(&address)
        };
        if let Some(slot) = SLOTS.iter().find(has_address) {
            let path = slot.path.load(Ordering::Relaxed);
            let write = |text: *const libc::c_char| libc::write(2, text.cast(), libc::strlen(text));
            write(c"binframe: ".as_ptr());
            write(path);
            write(c": was truncated while it was read; run the command again\n".as_ptr());
            libc::_exit(1);
        }
        // The instruction runs again when the handler returns, and the signal reaches the previous handler.
        libc::sigaction(libc::SIGBUS, PREVIOUS.0.get(), ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::{MappedFile, report_truncated_files};
    use std::fs::File;
    use std::process::Command;

    /// Runs itself in another process, which maps a file, truncates it and reads it.
    #[test]
    fn a_truncated_file_is_named() {
        const PATH: &str = "BINFRAME_TRUNCATED_FILE";
        if let Some(path) = std::env::var_os(PATH) {
            let file = File::options().read(true).write(true).open(&path).unwrap();
            report_truncated_files();
            let mapped = MappedFile::map(&file, path.as_ref()).unwrap();
            file.set_len(1).unwrap();
            panic!("the lost byte was read as {}", mapped[1 << 19]);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["a_truncated_file_is_named", "--nocapture"]).env(PATH, file.path());
        let output = child.output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected = format!("binframe: {}: was truncated while it was read", file.path().display());
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(output.status.code(), Some(1));
    }
}
