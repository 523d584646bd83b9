//! Executables as bytes in memory, and files that appear whole.

use crate::Error;
use bytes::Bytes;
use memmap2::Mmap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The bytes of a file. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct FileBytes(pub Bytes);

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
    Ok(FileBytes(Bytes::from_owner(map)))
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
    use super::map_file;

    #[test]
    fn a_mapped_file_has_the_bytes_of_the_file() {
        let path = std::env::current_exe().unwrap();
        assert_eq!(map_file(&path).unwrap().0, std::fs::read(path).unwrap());
    }
}
