//! The directory in which a dataset is made, beside the place that it will take.
//!
//! It is locked while a process writes to it; one that nobody has locked was left by a process that was killed, and is reused.

use super::layout::manifest_path;
use crate::error::Error;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The locked directory that will take the target's place.
pub(super) struct Staging {
    path: PathBuf,
    target: PathBuf,
    /// Directories above the target that were not there before, the innermost first.
    new_parents: Vec<PathBuf>,
    /// Holds the lock.
    directory: File,
    is_published: bool,
}

impl Staging {
    /// Locks the directory. What a run that was killed left in it is still there.
    pub(super) fn create(target: &Path) -> Result<Self, Error> {
        let name = target.file_name().ok_or_else(|| Error::Occupied { path: target.to_owned() })?;
        check_target(target)?;
        let mut staging_name = std::ffi::OsString::from(".");
        staging_name.push(name);
        staging_name.push(".partial");
        let path = target.with_file_name(staging_name);
        let mut new_parents = Vec::new();
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let missing =
                parent.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
            new_parents.extend(missing.map(Path::to_owned));
            fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
        }
        loop {
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(&path, "create")(error)),
            }
            let directory = match File::open(&path) {
                Ok(directory) => directory,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io(&path, "open")(error)),
            };
            match directory.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Err(Error::Busy { path: target.to_owned() }),
                Err(fs::TryLockError::Error(error)) => return Err(Error::io(&path, "lock")(error)),
            }
            // Another process may have published or removed the directory before this one locked it.
            let locked = directory.metadata().map_err(Error::io(&path, "read"))?;
            if fs::metadata(&path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (locked.dev(), locked.ino()))
            {
                let target = target.to_owned();
                return Ok(Self { path, target, new_parents, directory, is_published: false });
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what is in it.
    pub(super) fn empty(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.path).map_err(Error::io(&self.path, "read"))? {
            let entry = entry.map_err(Error::io(&self.path, "read"))?.path();
            let removed = if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
            removed.map_err(Error::io(&entry, "remove"))?;
        }
        Ok(())
    }

    /// Puts it in its place.
    pub(super) fn publish(mut self) -> Result<(), Error> {
        let (from, to) = (&self.path, &self.target);
        check_target(to)?;
        if manifest_path(to).exists() {
            exchange(from, to)?;
            // What was at the target is at `from` now, and is removed on drop.
        } else {
            fs::rename(from, to).map_err(Error::io(to, "create"))?;
            self.is_published = true;
        }
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_published {
            // Nothing can be done about a failure here; the next run removes the rest.
            _ = fs::remove_dir_all(&self.path);
            for parent in &self.new_parents {
                // One that is not empty stays.
                _ = fs::remove_dir(parent);
            }
        }
        _ = self.directory.unlock();
    }
}

/// Only an old dataset or an empty directory may be replaced.
fn check_target(target: &Path) -> Result<(), Error> {
    let is_free = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none() || manifest_path(target).exists(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    is_free.then_some(()).ok_or_else(|| Error::Occupied { path: target.to_owned() })
}

/// Exchanges two directories: at any time, each name stands for one of them.
fn exchange(from: &Path, to: &Path) -> Result<(), Error> {
    renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)
        .map_err(|error| Error::io(to, "replace")(error.into()))
}

/// Makes sure that the names in a directory are on the disk.
pub(super) fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(Error::io(path, "write"))
}
