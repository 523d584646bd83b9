//! Staging directory: a dataset is written beside its target path, and replaces it in one step.
//!
//! *Problem.* Whenever a process or the machine stops, the target path must name the previous dataset, the new one, or
//! nothing. Two processes must not write the same dataset. Files that a killed process finished should be reusable.
//!
//! *Algorithm.* (1) Create `.NAME.partial` in the target's directory, or reuse one that a killed process left, and lock
//! it. (2) The caller writes and syncs its files. (3) Publish: rename the staging directory to the target; if a dataset
//! is there, exchange the two names in one system call. (4) Sync the parent directory. (5) Remove the old dataset.
//!
//! *Invariants.* Only a dataset or an empty directory is replaced. The system releases the lock when the process ends,
//! so that an unlocked staging directory has no owner. A run that fails removes the staging directory, and the parent
//! directories that it created.

use super::manifest::manifest_path;
use crate::error::Error;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A locked directory that will replace the target.
pub(super) struct Staging {
    path: PathBuf,
    target: PathBuf,
    /// Directories above the target that were created, innermost first.
    new_parents: Vec<PathBuf>,
    /// Open handle that holds the lock.
    lock: File,
    is_published: bool,
}

impl Staging {
    /// Creates or reuses the staging directory of `target`, and locks it. Files of a killed run are still in it.
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
            let lock = match File::open(&path) {
                Ok(directory) => directory,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io(&path, "open")(error)),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Err(Error::Busy { path: target.to_owned() }),
                Err(fs::TryLockError::Error(error)) => return Err(Error::io(&path, "lock")(error)),
            }
            // Another process may have published or removed the directory before this one locked it.
            let locked = lock.metadata().map_err(Error::io(&path, "read"))?;
            if fs::metadata(&path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (locked.dev(), locked.ino()))
            {
                let target = target.to_owned();
                return Ok(Self { path, target, new_parents, lock, is_published: false });
            }
        }
    }

    /// Path of the directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes everything in the directory.
    pub(super) fn empty(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.path).map_err(Error::io(&self.path, "read"))? {
            let entry = entry.map_err(Error::io(&self.path, "read"))?.path();
            let removed = if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
            removed.map_err(Error::io(&entry, "remove"))?;
        }
        Ok(())
    }

    /// Moves the directory to the target path.
    pub(super) fn publish(mut self) -> Result<(), Error> {
        let (from, to) = (&self.path, &self.target);
        check_target(to)?;
        if manifest_path(to).exists() {
            exchange(from, to)?;
            // The old dataset is at `from` now; dropping `self` removes it.
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
            // A failure has no consequence: the next run removes the rest.
            _ = fs::remove_dir_all(&self.path);
            for parent in &self.new_parents {
                // Fails if the directory is not empty, as intended.
                _ = fs::remove_dir(parent);
            }
        }
        _ = self.lock.unlock();
    }
}

/// Fails unless the target is missing, an empty directory, or a dataset.
fn check_target(target: &Path) -> Result<(), Error> {
    let is_free = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none() || manifest_path(target).exists(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    is_free.then_some(()).ok_or_else(|| Error::Occupied { path: target.to_owned() })
}

/// Exchanges two directories atomically: at any time, each name refers to one of them.
fn exchange(from: &Path, to: &Path) -> Result<(), Error> {
    renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)
        .map_err(|error| Error::io(to, "replace")(error.into()))
}

/// Waits until the entries of a directory are on disk.
pub(super) fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(Error::io(path, "write"))
}
