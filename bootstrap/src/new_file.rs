//! Output files that are written atomically.

use crate::error::Error;
use crate::file::{directory, irregularity};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempPath};

/// A file that is written atomically. It has no name, or a temporary one, until it is published under its path. A file
/// that is replaced, perhaps the executable being read, is unchanged until then. Several writers of one path do not
/// disturb each other: the last one to publish wins.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    /// Temporary name, on file systems without unnamed files.
    temporary: Option<TempPath>,
    path: PathBuf,
}

impl NewFile {
    /// Creates a file that will replace what is at `path`: nothing or a regular file, whose permissions it gets. If
    /// `path` is a symbolic link, the file that it leads to is replaced. A new file is executable if it is a program.
    pub fn create(path: &Path, is_program: bool) -> Result<Self, Error> {
        let refused = |found: &str| {
            let error = io::Error::other(format!("{found}; choose the path of a regular file or a new path"));
            Error::io(path, "write")(error)
        };
        let (path, permissions) = match fs::canonicalize(path) {
            Ok(path) => {
                let metadata = fs::metadata(&path).map_err(Error::io(&path, "read"))?;
                if let Some(found) = irregularity(&metadata) {
                    return Err(refused(found));
                }
                (path, Some(Permissions::from_mode(metadata.permissions().mode() & 0o777)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
                (path.to_owned(), None)
            }
            Err(error) => return Err(Error::io(path, "create")(error)),
        };
        if path.file_name().is_none() {
            return Err(refused("is a directory"));
        }
        let mode = if is_program { 0o777 } else { 0o666 };
        let create = || {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            let (file, temporary) = match rustix::fs::open(directory(&path), flags, Mode::from_raw_mode(mode))
            {
                Ok(file) => (File::from(file), None),
                Err(_) => {
                    let mut builder = names(&path);
                    let file =
                        builder.permissions(Permissions::from_mode(mode)).tempfile_in(directory(&path))?;
                    let (file, temporary) = file.into_parts();
                    (file, Some(temporary))
                }
            };
            permissions.map_or(Ok(()), |permissions| file.set_permissions(permissions))?;
            Ok((file, temporary))
        };
        let (file, temporary) = create().map_err(Error::io(&path, "create"))?;
        Ok(Self { file, temporary, path })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs the file and gives it its path.
    pub fn publish(self) -> Result<(), Error> {
        let Self { file, temporary, path } = self;
        file.sync_all().map_err(Error::io(&path, "write"))?;
        // A file without a name cannot replace another one, so it gets a temporary name first.
        let link = |name: &Path| {
            let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
            Ok(linkat(CWD, unnamed, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
        };
        let named = temporary.map_or_else(
            || Ok(names(&path).make_in(directory(&path), link)?.into_temp_path()),
            Ok::<_, io::Error>,
        );
        let named = named.map_err(Error::io(&path, "create"))?;
        named.persist(&path).map_err(|error| Error::io(&path, "create")(error.error))
    }
}

/// Temporary names beside a path.
fn names(path: &Path) -> Builder<'_, 'static> {
    let mut builder = Builder::new();
    builder.prefix(path.file_name().unwrap_or_default()).suffix(".partial");
    builder
}
