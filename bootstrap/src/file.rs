//! Executables as bytes in memory, and files that appear whole.

use crate::error::Error;
use bytes::Bytes;
use memmap2::{Mmap, UncheckedAdvice};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The bytes of a file. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct FileBytes(pub Bytes, Option<Arc<Mmap>>);

impl From<Bytes> for FileBytes {
    fn from(bytes: Bytes) -> Self {
        Self(bytes, None)
    }
}

impl FileBytes {
    /// Gives back the memory that holds what was read of a mapped file. What is read again, the system has at hand.
    #[expect(unsafe_code, reason = "of other memory, the system would forget what it holds")]
    pub(crate) fn release_pages(&self) {
        if let Some(map) = &self.1 {
            // SAFETY: nobody writes to the mapping, so that what is read of it next is the file again, as it was. Where the system
            // does not do it, nothing changes.
            _ = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
        }
    }
}

/// A mapped file, as an owner of its bytes.
struct Mapped(Arc<Mmap>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Maps a file into memory. The system loads the parts that are read, and drops them when memory is short.
#[expect(unsafe_code, reason = "mapping a file is unsafe")]
pub fn map_file(path: &Path) -> Result<FileBytes, Error> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let metadata = file.metadata().map_err(Error::io(path, "read"))?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "is a directory" } else { "is not a regular file" };
        let error = io::Error::other(format!("{kind}; expected an executable file"));
        return Err(Error::io(path, "lower")(error));
    }
    if metadata.len() == 0 {
        return Ok(FileBytes::default());
    }
    // SAFETY: the mapping is private and only read. Should another process change the file meanwhile, passes see other
    // bytes, which is sound as they trust none; should it cut the file short, the system ends this process.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "map"))?;
    let map = Arc::new(map);
    Ok(FileBytes(Bytes::from_owner(Mapped(Arc::clone(&map))), Some(map)))
}

/// Pauses after which an operation that failed for a reason which may pass is tried again.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(100), Duration::from_secs(1)];

/// Reasons that may pass.
const TRANSIENT: [io::ErrorKind; 7] = [
    io::ErrorKind::Interrupted,
    io::ErrorKind::WouldBlock,
    io::ErrorKind::TimedOut,
    io::ErrorKind::ResourceBusy,
    io::ErrorKind::StaleNetworkFileHandle,
    io::ErrorKind::NetworkDown,
    io::ErrorKind::ExecutableFileBusy,
];

/// Does what may fail for a reason that passes, a few times if need be.
pub(crate) fn retried<T>(
    mut operation: impl FnMut() -> Result<T, Error>,
    mut pause: impl FnMut(Duration),
) -> Result<T, Error> {
    for length in PAUSES {
        match operation() {
            Err(Error::Io { error, .. }) if TRANSIENT.contains(&error.kind()) => pause(length),
            result => return result,
        }
    }
    operation()
}

/// A file that appears whole or not at all: until it is published it lies beside its place, and it is gone when dropped.
/// What was there, perhaps the executable that is read meanwhile, stays as it is until then.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    partial: PathBuf,
}

impl NewFile {
    /// Begins a file, which the system may run if it is to.
    pub fn create(path: &Path, is_program: bool) -> Result<Self, Error> {
        if path.is_dir() || path.file_name().is_none() {
            return Err(Error::io(path, "create")(io::ErrorKind::IsADirectory.into()));
        }
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".partial");
        let partial = path.with_file_name(name);
        // One that was left there may have other permissions.
        _ = fs::remove_file(&partial);
        let mode = if is_program { 0o777 } else { 0o666 };
        let file = File::options().read(true).write(true).create_new(true).mode(mode).open(&partial);
        Ok(Self { file: file.map_err(Error::io(path, "create"))?, path: path.to_owned(), partial })
    }

    /// Where the content goes.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the file lies until it is published.
    pub(crate) fn partial_path(&self) -> &Path {
        &self.partial
    }

    /// Puts the file in its place.
    pub fn publish(self) -> Result<(), Error> {
        self.file.sync_all().map_err(Error::io(&self.path, "write"))?;
        fs::rename(&self.partial, &self.path).map_err(Error::io(&self.path, "create"))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Once it is published, it is not there any more.
        _ = fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::{PAUSES, map_file, retried};
    use crate::Error;
    use std::io;
    use std::path::Path;

    #[test]
    fn a_mapped_file_has_the_bytes_of_the_file() {
        let path = std::env::current_exe().unwrap();
        let (mapped, read) = (map_file(&path).unwrap(), std::fs::read(path).unwrap());
        assert_eq!(mapped.0, read);
        mapped.release_pages();
        assert_eq!(mapped.0, read);
    }

    /// How often an operation is done and how long the pauses were, when it fails a number of times for a reason.
    fn tried(failures: usize, kind: io::ErrorKind) -> (bool, usize, Vec<u128>) {
        let (mut times, mut pauses) = (0, Vec::new());
        let operation = || {
            times += 1;
            match times <= failures {
                true => Err(Error::io(Path::new("a"), "open")(kind.into())),
                false => Ok(()),
            }
        };
        let result = retried(operation, |length| pauses.push(length.as_millis()));
        (result.is_ok(), times, pauses)
    }

    #[test]
    fn what_fails_for_a_reason_that_may_pass_is_tried_again() {
        assert_eq!(tried(0, io::ErrorKind::TimedOut), (true, 1, vec![]));
        assert_eq!(tried(2, io::ErrorKind::StaleNetworkFileHandle), (true, 3, vec![10, 100]));
        assert_eq!(tried(9, io::ErrorKind::ResourceBusy), (false, PAUSES.len() + 1, vec![10, 100, 1000]));
        assert_eq!(tried(9, io::ErrorKind::PermissionDenied), (false, 1, vec![]));
    }
}
