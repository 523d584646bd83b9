//! File access: memory-mapped input files, and output files that are written atomically.

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

/// Bytes of a file. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct FileBytes(pub Bytes, Option<Arc<Mmap>>);

impl From<Bytes> for FileBytes {
    fn from(bytes: Bytes) -> Self {
        Self(bytes, None)
    }
}

impl FileBytes {
    /// Releases the pages of a mapped file from this process. They stay in the page cache of the system.
    #[expect(unsafe_code, reason = "the advice discards writes to the mapping, and there are none")]
    pub(crate) fn release_pages(&self) {
        if let Some(map) = &self.1 {
            // SAFETY: the mapping is never written to, so a page that is read again has the bytes of the file.
            // A failure has no consequence: the pages stay.
            _ = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
        }
    }
}

/// A mapping as an owner of `Bytes`.
struct Mapped(Arc<Mmap>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Maps a file into memory. The system loads pages when they are read, and evicts them when memory is short.
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
    // SAFETY: the mapping is private and read-only. If another process modifies the file, passes see other bytes, which
    // is sound because they trust none; if it truncates the file, the system ends this process.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "map"))?;
    let map = Arc::new(map);
    Ok(FileBytes(Bytes::from_owner(Mapped(Arc::clone(&map))), Some(map)))
}

/// Pauses before each retry after a transient error.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(100), Duration::from_secs(1)];

/// Errors that may not occur again.
const TRANSIENT: [io::ErrorKind; 7] = [
    io::ErrorKind::Interrupted,
    io::ErrorKind::WouldBlock,
    io::ErrorKind::TimedOut,
    io::ErrorKind::ResourceBusy,
    io::ErrorKind::StaleNetworkFileHandle,
    io::ErrorKind::NetworkDown,
    io::ErrorKind::ExecutableFileBusy,
];

/// Runs an operation, and retries it after transient errors.
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

/// A file that is written atomically: to a temporary file beside its path, which is renamed when published and removed
/// when dropped. A file that is replaced, perhaps the executable being read, is unchanged until then.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    partial: PathBuf,
}

impl NewFile {
    /// Creates the temporary file, with permission to execute it if it is a program.
    pub fn create(path: &Path, is_program: bool) -> Result<Self, Error> {
        if path.is_dir() || path.file_name().is_none() {
            return Err(Error::io(path, "create")(io::ErrorKind::IsADirectory.into()));
        }
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".partial");
        let partial = path.with_file_name(name);
        // A file left by a killed process may have other permissions.
        _ = fs::remove_file(&partial);
        let mode = if is_program { 0o777 } else { 0o666 };
        let file = File::options().read(true).write(true).create_new(true).mode(mode).open(&partial);
        Ok(Self { file: file.map_err(Error::io(path, "create"))?, path: path.to_owned(), partial })
    }

    /// The open temporary file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Path of the temporary file.
    pub(crate) fn partial_path(&self) -> &Path {
        &self.partial
    }

    /// Syncs the file and renames it to its path.
    pub fn publish(self) -> Result<(), Error> {
        self.file.sync_all().map_err(Error::io(&self.path, "write"))?;
        fs::rename(&self.partial, &self.path).map_err(Error::io(&self.path, "create"))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Fails after publishing, when the temporary file is gone.
        _ = fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::{PAUSES, map_file, retried};
    use crate::error::Error;
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

    /// Success, number of attempts and pauses in milliseconds of an operation that first fails `failures` times.
    fn attempts(failures: usize, kind: io::ErrorKind) -> (bool, usize, Vec<u128>) {
        let (mut count, mut pauses) = (0, Vec::new());
        let operation = || {
            count += 1;
            match count <= failures {
                true => Err(Error::io(Path::new("a"), "open")(kind.into())),
                false => Ok(()),
            }
        };
        let result = retried(operation, |length| pauses.push(length.as_millis()));
        (result.is_ok(), count, pauses)
    }

    #[test]
    fn transient_errors_are_retried() {
        assert_eq!(attempts(0, io::ErrorKind::TimedOut), (true, 1, vec![]));
        assert_eq!(attempts(2, io::ErrorKind::StaleNetworkFileHandle), (true, 3, vec![10, 100]));
        assert_eq!(attempts(9, io::ErrorKind::ResourceBusy), (false, PAUSES.len() + 1, vec![10, 100, 1000]));
        assert_eq!(attempts(9, io::ErrorKind::PermissionDenied), (false, 1, vec![]));
    }
}
