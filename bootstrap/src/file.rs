//! Input files: read into memory, or mapped if they are large.

use crate::error::Error;
use crate::mapped_file::MappedFile;
use bytes::Bytes;
use rustix::fs::OFlags;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Size in bytes of the largest file that is read into memory. A larger one is mapped.
const READ_SIZE_MAX: u64 = 64 << 20;

/// Bytes of a file. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct FileBytes(pub Bytes, Option<Arc<MappedFile>>);

impl From<Bytes> for FileBytes {
    fn from(bytes: Bytes) -> Self {
        Self(bytes, None)
    }
}

impl FileBytes {
    /// Releases the pages of a mapped file from this process. They stay in the page cache of the system.
    pub(crate) fn release_pages(&self) {
        if let Some(mapped) = &self.1 {
            mapped.release_pages();
        }
    }
}

/// Opens a regular file. Anything else is an error at once: opening a pipe would wait for a writer.
fn open_regular(path: &Path) -> Result<(File, Metadata), Error> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(Error::io(path, "open"))?;
    let metadata = file.metadata().map_err(Error::io(path, "read"))?;
    match irregularity(&metadata) {
        Some(found) => Err(Error::io(path, "read")(io::Error::other(found))),
        None => Ok((file, metadata)),
    }
}

/// Whether a path is a regular file that can be opened.
pub(crate) fn is_readable(path: &Path) -> bool {
    open_regular(path).is_ok()
}

/// What is at a path in place of a regular file; `None` if it is one.
pub(crate) fn irregularity(metadata: &Metadata) -> Option<&'static str> {
    match metadata.is_dir() {
        true => Some("is a directory"),
        false => (!metadata.is_file()).then_some("is not a regular file"),
    }
}

/// Device and inode: equal for two names of one file or directory.
pub(crate) fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The directory of a path.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads a file that other processes may change. Its bytes are those of one moment: a file that changes meanwhile is an
/// error. A file of more than 64 MiB is mapped instead, and may change.
pub fn read_file(path: &Path) -> Result<FileBytes, Error> {
    let (mut file, before) = open_regular(path)?;
    if before.len() > READ_SIZE_MAX {
        return map(&file, path);
    }
    let mut bytes = Vec::with_capacity(before.len() as usize + 1);
    (&mut file).take(before.len() + 1).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    let after = file.metadata().map_err(Error::io(path, "read"))?;
    let state =
        |file: &Metadata| (file.len(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec());
    if bytes.len() as u64 != before.len() || state(&before) != state(&after) {
        let error = io::Error::new(io::ErrorKind::ResourceBusy, "it was changed while it was read");
        return Err(Error::io(path, "read")(error));
    }
    Ok(Bytes::from(bytes).into())
}

/// Maps a file into memory. The system loads pages when they are read, and evicts them when memory is short.
pub(crate) fn map_file(path: &Path) -> Result<FileBytes, Error> {
    map(&open_regular(path)?.0, path)
}

/// Maps an open file into memory; `path` is for messages.
pub(crate) fn map(file: &File, path: &Path) -> Result<FileBytes, Error> {
    if file.metadata().map_err(Error::io(path, "read"))?.len() == 0 {
        return Ok(FileBytes::default());
    }
    let mapped = Arc::new(MappedFile::map(file, path).map_err(Error::io(path, "map"))?);
    Ok(FileBytes(Bytes::from_owner(SharedMapping(Arc::clone(&mapped))), Some(mapped)))
}

/// A mapping as an owner of `Bytes`.
struct SharedMapping(Arc<MappedFile>);

impl AsRef<[u8]> for SharedMapping {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
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
