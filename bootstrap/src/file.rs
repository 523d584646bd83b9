//! Executables as bytes in memory.

use crate::Error;
use bytes::Bytes;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::path::Path;

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

#[cfg(test)]
mod tests {
    use super::map_file;

    #[test]
    fn a_mapped_file_has_the_bytes_of_the_file() {
        let path = std::env::current_exe().unwrap();
        assert_eq!(map_file(&path).unwrap().0, std::fs::read(path).unwrap());
    }
}
