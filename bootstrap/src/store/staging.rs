//! Staging directory: a dataset is written beside its target path, and replaces it in one step.
//!
//! *Problem.* Whenever a process or the machine stops, the target path must name the previous dataset, the new one, or
//! nothing. Two processes must not write the same dataset. Files that a killed process finished should be reusable.
//! Other users may be able to write to the parent directory.
//!
//! *Algorithm.* (1) Create `.NAME.partial` in the target's directory, or reuse one that a killed process left; open it
//! without following a link, and lock it. (2) The caller writes and syncs its files, through the open directory.
//! (3) Publish: rename the staging directory to the target; if a dataset is there, exchange the two names in one system
//! call. (4) Sync the parent directory. (5) Remove the old dataset.
//!
//! *Invariants.* Only a dataset without other files, or an empty directory, is replaced. A directory is reused only if
//! it belongs to this user, and is empty, has the file [`MARKER`], or is a dataset without other files, which a process
//! killed in step 3 or 5 leaves. So nothing else is removed. The system
//! releases the lock when the process ends, so an unlocked staging directory has no owner. A run that fails removes the
//! staging directory, and the parent directories that it created.

use super::manifest::{MANIFEST, METADATA, Manifest, manifest_path, metadata_directory};
use crate::error::Error;
use crate::file::{directory, identity};
use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name, in the directory of metadata, of the empty file that marks a staging directory.
const MARKER: &str = "staging";

/// A locked directory that will replace the target.
pub(super) struct Staging {
    path: PathBuf,
    /// The directory by its descriptor: another directory at `path` does not receive files.
    descriptor_path: PathBuf,
    target: PathBuf,
    /// Directories above the target that were created, innermost first.
    new_parents: Vec<PathBuf>,
    /// Open handle that holds the lock.
    directory: File,
    /// Whether the directory is removed when dropped: it is marked, and not published.
    is_own: bool,
}

impl Staging {
    /// Creates or reuses the staging directory of `target`, and locks it. Files of a killed run are still in it.
    pub(super) fn create(target: &Path) -> Result<Self, Error> {
        // A dataset is replaced where it is, not the link to it.
        let target = match target.is_symlink() {
            true => fs::canonicalize(target).map_err(Error::io(target, "open"))?,
            false => target.to_owned(),
        };
        let name =
            target.file_name().ok_or_else(|| occupied(&target, "is not the path of a new directory"))?;
        check_target(&target)?;
        let mut staging_name = OsString::from(".");
        staging_name.push(name);
        staging_name.push(".partial");
        let path = target.with_file_name(staging_name);
        let new_parents = create_parents(&path)?;
        loop {
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(&path, "create")(error)),
            }
            let directory = match open_directory(&path) {
                Ok(directory) => directory,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::NotADirectory || path.is_symlink() => {
                    return Err(occupied(&path, "is not a directory that binframe made"));
                }
                Err(error) => return Err(Error::io(&path, "open")(error)),
            };
            match directory.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Err(Error::Busy { path: target }),
                Err(fs::TryLockError::Error(error)) => return Err(Error::io(&path, "lock")(error)),
            }
            let locked = directory.metadata().map_err(Error::io(&path, "read"))?;
            // Another process may have published or removed the directory before this one locked it.
            if fs::symlink_metadata(&path).is_ok_and(|found| identity(&found) == identity(&locked)) {
                let descriptor_path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
                let mut staging =
                    Self { path, descriptor_path, target, new_parents, directory, is_own: false };
                staging.adopt(&locked)?;
                staging.is_own = true;
                return Ok(staging);
            }
        }
    }

    /// Marks the directory. Fails if it was not made by binframe for this user.
    fn adopt(&self, metadata: &Metadata) -> Result<(), Error> {
        if metadata.uid() != geteuid().as_raw() {
            return Err(occupied(&self.path, "belongs to another user"));
        }
        let metadata_directory = metadata_directory(&self.descriptor_path);
        let marker = metadata_directory.join(MARKER);
        let is_marked = fs::symlink_metadata(&marker).is_ok_and(|found| found.is_file());
        if is_marked {
            return Ok(());
        }
        // Fails if the directory is not empty, as intended.
        _ = fs::remove_dir(&metadata_directory);
        check_target(&self.descriptor_path)
            .map_err(|_| occupied(&self.path, "has files that binframe did not write"))?;
        let created = fs::create_dir_all(&metadata_directory).and_then(|()| File::create_new(&marker));
        created.map(drop).map_err(Error::io(&self.path, "create"))
    }

    /// Path of the directory, through its descriptor.
    pub(super) fn descriptor_path(&self) -> &Path {
        &self.descriptor_path
    }

    /// An error with the name of the directory in place of its descriptor.
    pub(super) fn shown(&self, error: Error) -> Error {
        error.at(&self.descriptor_path, &self.path)
    }

    /// Removes everything in the directory but the marker.
    pub(super) fn empty(&self) -> Result<(), Error> {
        empty(&self.descriptor_path)
    }

    /// Moves the directory to the target path.
    pub(super) fn publish(mut self) -> Result<(), Error> {
        let (from, to) = (&self.path, &self.target);
        check_target(to)?;
        let own = self.directory.metadata().map_err(Error::io(from, "read"))?;
        let is_own =
            |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| identity(&found) == identity(&own));
        if !is_own(from) {
            return Err(occupied(from, "was replaced while the dataset was written"));
        }
        _ = fs::remove_file(metadata_directory(&self.descriptor_path).join(MARKER));
        if manifest_path(to).exists() {
            exchange(from, to)?;
            // The old dataset is at `from` now. It may have changed since it was checked.
            if let Err(error) = check_target(from) {
                exchange(from, to)?;
                return Err(error.at(from, to));
            }
            // Marked, so that the next run removes what is left if this process is killed.
            if File::create_new(metadata_directory(from).join(MARKER)).is_ok() {
                remove(from, from);
            }
        } else {
            fs::rename(from, to).map_err(Error::io(to, "create"))?;
        }
        self.is_own = false;
        sync_directory(directory(to))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.is_own {
            remove(&self.descriptor_path, &self.path);
            for parent in &self.new_parents {
                // Fails if the directory is not empty, as intended.
                _ = fs::remove_dir(parent);
            }
        }
        _ = self.directory.unlock();
    }
}

/// Removes everything in a directory but the marker.
fn empty(directory: &Path) -> Result<(), Error> {
    let metadata_directory = metadata_directory(directory);
    for folder in [directory, &metadata_directory] {
        for entry in fs::read_dir(folder).map_err(Error::io(folder, "read"))? {
            let entry = entry.map_err(Error::io(folder, "read"))?;
            let path = entry.path();
            if path == metadata_directory || path == metadata_directory.join(MARKER) {
                continue;
            }
            let kind = entry.file_type().map_err(Error::io(&path, "read"))?;
            let removed = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(Error::io(&path, "remove"))?;
        }
    }
    Ok(())
}

/// Removes a marked directory, the marker after all other files. A failure has no consequence: the next run removes the
/// rest. `opened` is the path through a descriptor, if there is one.
fn remove(opened: &Path, path: &Path) {
    if empty(opened).is_ok() {
        _ = fs::remove_dir_all(metadata_directory(opened));
        _ = fs::remove_dir(path);
    }
}

/// Creates the missing directories above a path, and returns them, innermost first.
fn create_parents(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(Vec::new());
    };
    let ancestors = parent.ancestors();
    let missing = ancestors.take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let missing = missing.map(Path::to_owned).collect();
    fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
    Ok(missing)
}

/// Opens a directory that is no symbolic link.
fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn occupied(path: &Path, found: impl Into<String>) -> Error {
    Error::Occupied { path: path.to_owned(), found: found.into() }
}

/// Fails unless the target is missing, an empty directory, or a dataset without other files.
fn check_target(target: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(target) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>().map_err(Error::io(target, "read"))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => return Err(occupied(target, "exists and is no dataset")),
    };
    if entries.is_empty() {
        return Ok(());
    }
    let manifest = Manifest::read(target).map_err(|_| occupied(target, "exists and is no dataset"))?;
    for entry in entries {
        let (name, path) = (entry.file_name(), entry.path());
        let is_table = manifest.tables.iter().any(|table| *table.table == *name);
        let has_ours_only = match name == METADATA {
            true => has_only(&path, |name| name == MANIFEST),
            false => {
                is_table && has_only(&path, |name| name.starts_with("part-") && name.ends_with(".parquet"))
            }
        };
        if !has_ours_only {
            let name = name.to_string_lossy();
            return Err(occupied(
                target,
                format!("`{name}` in it is not part of the dataset, or contains other files"),
            ));
        }
    }
    Ok(())
}

/// Whether a path is a directory, no link, of regular files with certain names.
fn has_only(directory: &Path, is_expected: impl Fn(&str) -> bool) -> bool {
    let is_directory = fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir());
    is_directory
        && fs::read_dir(directory).is_ok_and(|mut entries| {
            entries.all(|entry| {
                entry.is_ok_and(|entry| {
                    let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                    is_file && entry.file_name().to_str().is_some_and(&is_expected)
                })
            })
        })
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
