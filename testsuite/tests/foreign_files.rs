//! Files that binframe did not write are neither followed, adopted, replaced nor removed, and files that would block are
//! refused.

use binframe::ir::tables::BinarySections;
use binframe::ir::{Fingerprint, Stage, Table, integers};
use binframe::{Dataset, Error, Filter, NewFile, Progress, Request, Source, find_files, rebuild, verify};
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::lower_into;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use tempfile::TempDir;

/// A folder with an executable `app`, and a folder `victim` with a file.
struct Workspace(TempDir);

impl Workspace {
    fn new() -> Self {
        let workspace = Self(tempfile::tempdir().expect("a temporary folder"));
        workspace.write("app", &fixtures::loops_and_calls().bytes);
        workspace.write("victim/letter.txt", b"dear");
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("the folder is writable");
        fs::write(path, bytes).expect("the folder is writable");
    }

    fn pipe(&self, name: &str) {
        let status = Command::new("mkfifo").arg(self.path(name)).status().expect("mkfifo is installed");
        assert!(status.success());
    }

    fn lower(&self) -> Result<(), Error> {
        lower_into(&self.path("app"), &self.path("out"), &[Stage::Sections])
    }

    fn assert_refused(&self) {
        let result = self.lower();
        assert!(matches!(result, Err(Error::Occupied { .. })), "{result:?}");
        let letter = fs::read(self.path("victim/letter.txt")).expect("the file still exists");
        assert_eq!(letter, b"dear");
    }
}

#[test]
fn a_link_in_place_of_the_staging_directory_is_not_followed() {
    let workspace = Workspace::new();
    symlink(workspace.path("victim"), workspace.path(".out.partial")).expect("the folder is writable");
    workspace.assert_refused();
}

/// A process that is killed after the exchange leaves the old dataset under the temporary name.
#[test]
fn a_dataset_in_place_of_the_staging_directory_is_removed() {
    let workspace = Workspace::new();
    workspace.lower().expect("the fixture is supported");
    fs::rename(workspace.path("out"), workspace.path(".out.partial")).expect("the folder is writable");
    workspace.write(".out.partial/letter.txt", b"dear");
    workspace.assert_refused();
    fs::remove_file(workspace.path(".out.partial/letter.txt")).expect("the folder is writable");
    workspace.lower().expect("nothing else is in the way");
    assert!(Dataset::open(&workspace.path("out")).is_ok() && !workspace.path(".out.partial").exists());
}

#[test]
fn a_directory_in_place_of_the_staging_directory_is_not_emptied() {
    let workspace = Workspace::new();
    workspace.write(".out.partial/letter.txt", b"dear");
    workspace.assert_refused();
    assert!(workspace.path(".out.partial/letter.txt").exists());
}

#[test]
fn a_pipe_in_place_of_the_staging_directory_is_refused() {
    let workspace = Workspace::new();
    workspace.pipe(".out.partial");
    workspace.assert_refused();
}

#[test]
fn a_dataset_with_other_files_is_not_replaced() {
    for name in ["letter.txt", "_binframe/letter.txt", "binaries/letter.txt", "letters/part-00000.parquet"] {
        let workspace = Workspace::new();
        workspace.lower().expect("the fixture is supported");
        workspace.write(&format!("out/{name}"), b"dear");
        workspace.assert_refused();
        assert!(workspace.path("out").join(name).exists(), "{name}");
    }
}

#[test]
fn a_directory_with_any_manifest_is_not_a_dataset() {
    let workspace = Workspace::new();
    workspace.write("out/_binframe/manifest.json", b"{}");
    workspace.write("out/letter.txt", b"dear");
    workspace.assert_refused();
    assert!(workspace.path("out/letter.txt").exists());
}

#[test]
fn an_input_in_the_dataset_is_not_removed() {
    let workspace = Workspace::new();
    workspace.lower().expect("the fixture is supported");
    fs::copy(workspace.path("app"), workspace.path("out/app")).expect("the folder is writable");
    let result = lower_into(&workspace.path("out/app"), &workspace.path("out"), &[Stage::Sections]);
    assert!(matches!(result, Err(Error::Occupied { .. })));
    assert!(workspace.path("out/app").exists());
}

#[test]
fn a_dataset_behind_a_link_is_replaced_where_it_is() {
    let workspace = Workspace::new();
    workspace.lower().expect("the fixture is supported");
    fs::rename(workspace.path("out"), workspace.path("elsewhere")).expect("the folder is writable");
    symlink(workspace.path("elsewhere"), workspace.path("out")).expect("the folder is writable");
    workspace.lower().expect("the fixture is supported");
    assert!(workspace.path("out").is_symlink() && Dataset::open(&workspace.path("elsewhere")).is_ok());
}

/// Writes a file, and returns its bytes and mode.
fn written(path: &Path, bytes: &[u8]) -> Result<(Vec<u8>, u32), Error> {
    let file = NewFile::create(path, false)?;
    file.file().write_all(bytes).expect("the folder is writable");
    file.publish()?;
    let mode = fs::metadata(path).expect("the file exists").permissions().mode();
    Ok((fs::read(path).expect("the file exists"), mode & 0o777))
}

#[test]
fn a_file_replaces_a_regular_file_and_keeps_its_mode() {
    let workspace = Workspace::new();
    let letter = workspace.path("victim/letter.txt");
    fs::set_permissions(&letter, Permissions::from_mode(0o600)).expect("the file is ours");
    symlink(&letter, workspace.path("link")).expect("the folder is writable");
    assert_eq!(
        written(&workspace.path("link"), b"new").expect("the folder is writable"),
        (b"new".to_vec(), 0o600)
    );
    assert!(workspace.path("link").is_symlink());
    assert_eq!(fs::read(letter).expect("the file exists"), b"new");
}

#[test]
fn a_file_does_not_replace_pipes_directories_and_dangling_links() {
    let workspace = Workspace::new();
    workspace.pipe("pipe");
    symlink("nowhere", workspace.path("dangling")).expect("the folder is writable");
    for name in ["pipe", "victim", "dangling", "victim/.."] {
        assert!(written(&workspace.path(name), b"new").is_err(), "{name}");
    }
    let pipe = fs::symlink_metadata(workspace.path("pipe")).expect("the pipe still exists");
    assert!(pipe.file_type().is_fifo() && workspace.path("dangling").is_symlink());
    workspace.lower().expect("the fixture is supported");
    let dataset = Dataset::open(&workspace.path("out")).expect("it was written");
    assert!(rebuild(&dataset, None, &workspace.path("pipe")).is_err());
    assert!(fs::symlink_metadata(workspace.path("pipe")).expect("still there").file_type().is_fifo());
}

#[test]
fn two_writers_of_a_file_do_not_disturb_each_other() {
    let workspace = Workspace::new();
    let path = workspace.path("rows.csv");
    let [one, other, abandoned] =
        [(); 3].map(|()| NewFile::create(&path, false).expect("the folder is writable"));
    one.file().write_all(b"one").expect("the folder is writable");
    abandoned.file().write_all(b"half").expect("the folder is writable");
    other.file().write_all(b"the other").expect("the folder is writable");
    one.publish().expect("the folder is writable");
    assert_eq!(fs::read(&path).expect("the file exists"), b"one");
    drop(abandoned);
    other.publish().expect("the folder is writable");
    assert_eq!(fs::read(&path).expect("the file exists"), b"the other");
    let names = fs::read_dir(workspace.0.path()).expect("the folder").count();
    assert_eq!(names, 3, "no temporary file is left");
}

#[test]
fn pipes_are_refused_at_once() {
    let workspace = Workspace::new();
    workspace.pipe("pipe");
    let result = Source::open(&workspace.path("pipe")).map(drop).expect_err("it is no file");
    assert!(result.to_string().ends_with("is not a regular file"), "{result}");
    let pattern = workspace.path("[ap]*p*");
    let files = find_files(&[pattern]).expect("it matches the executable");
    assert_eq!(files.iter().map(|file| &*file.name).collect::<Vec<_>>(), ["app"]);
    workspace.lower().expect("the fixture is supported");
    for name in ["out/_binframe/manifest.json", "out/binaries/part-00000.parquet"] {
        fs::remove_file(workspace.path(name)).expect("the folder is writable");
        workspace.pipe(name);
        let opened = Source::open(&workspace.path("out"));
        let read = opened.and_then(|source| source.all::<binframe::ir::tables::Binaries>(&Filter::default()));
        assert!(read.is_err(), "{name}");
    }
}

#[test]
fn a_manifest_cannot_state_more_files_than_there_are() {
    let workspace = Workspace::new();
    workspace.lower().expect("the fixture is supported");
    let path = workspace.path("out/_binframe/manifest.json");
    let manifest = fs::read_to_string(&path).expect("the manifest exists");
    fs::write(&path, manifest.replace("\"parts\": 1", "\"parts\": 4294967295")).expect("writable");
    let error = Dataset::open(&workspace.path("out")).expect_err("no dataset has as many files").to_string();
    assert!(error.contains("binary_headers/part-00001.parquet is missing"), "{error}");
}

#[test]
fn forged_statistics_and_files_that_are_not_listed_are_found() {
    let workspace = Workspace::new();
    workspace.lower().expect("the fixture is supported");
    let (dataset, file) = (workspace.path("out"), workspace.path("out/binary_sections/part-00000.parquet"));
    assert!(verify(&dataset).is_ok_and(|violations| violations.is_empty()));

    let source = Source::open(&dataset).expect("it is a dataset");
    let parts = source.parts(BinarySections::INFO, &Filter::default()).expect("the files are valid");
    let addresses = parts[0].columns(&["address"]).expect("the files are valid");
    let last_address = integers(&addresses[0]).flatten().max().expect("there are rows").to_le_bytes();

    let mut bytes = fs::read(&file).expect("the file was written");
    let before = Fingerprint::of_bytes(&bytes).to_string();
    let last = bytes.len() - 8;
    let footer_size = u32::from_le_bytes(bytes[last..last + 4].try_into().expect("four bytes")) as usize;
    let footer = &mut bytes[last - footer_size..last];
    let positions: Vec<_> =
        (0..footer.len() - 8).filter(|start| footer[*start..].starts_with(&last_address)).collect();
    assert!(!positions.is_empty(), "the statistics have another form");
    for position in positions {
        footer[position..position + 8].copy_from_slice(&0_u64.to_le_bytes());
    }
    fs::write(&file, &bytes).expect("writable");
    // No query skips rows by statistics that changed after the manifest was written.
    let source = Source::open(&dataset).expect("it is a dataset");
    let error = source.parts(BinarySections::INFO, &Filter::default()).map(drop).expect_err("it was changed");
    assert!(error.to_string().contains("part-00000.parquet: its bytes have the fingerprint"), "{error}");
    let manifest = workspace.path("out/_binframe/manifest.json");
    let text = fs::read_to_string(&manifest).expect("the manifest exists");
    let forged = text.replace(&before, &Fingerprint::of_bytes(&bytes).to_string());
    assert_ne!(forged, text);
    fs::write(&manifest, forged).expect("writable");
    let error = verify(&dataset).expect_err("rows are hidden").to_string();
    assert!(
        error.contains("binary_sections: has values of `address` that its statistics exclude"),
        "{error}"
    );

    workspace.lower().expect("the fixture is supported");
    fs::copy(&file, file.with_file_name("part-00001.parquet")).expect("writable");
    let error = verify(&dataset).expect_err("a file is not listed").to_string();
    assert!(
        error.contains("binary_sections: has 2 files, and its manifest the fingerprints of 1"),
        "{error}"
    );
}

#[test]
fn files_that_change_during_a_run_are_lowered_or_skipped_once() {
    const FILES: usize = 200;
    let workspace = Workspace::new();
    let name = |file| format!("corpus/{file:03}");
    for file in 0..FILES {
        workspace.write(&name(file), &fixtures::loops_and_calls().bytes);
    }
    let changed = Once::new();
    let change = |(kind, file): (usize, usize)| {
        let path = workspace.path(&name(file));
        if kind % 6 == 0 {
            fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("the file is ours");
            return;
        }
        fs::remove_file(&path).expect("the folder is writable");
        match kind % 6 {
            1 => workspace.write(&name(file), &fixtures::loops_and_calls().bytes[..100]),
            2 => workspace.write(&name(file), b"dear"),
            3 => workspace.pipe(&name(file)),
            4 => fs::create_dir(&path).expect("the folder is writable"),
            _ => {}
        }
    };
    // Thirty files.
    let changes = || (FILES / 10..FILES).step_by(6).enumerate();
    let (inputs, output) = ([workspace.path("corpus")], workspace.path("out"));
    let request = Request::new(&inputs, &output, &[Stage::Sections]);
    let observe = |_: Progress<'_>| changed.call_once(|| changes().for_each(change));
    let manifest = binframe::lower(&request, &observe).expect("some files are supported");
    let lowered = manifest.binaries.iter().map(|binary| binary.path.clone());
    let mut found: Vec<_> = lowered.chain(manifest.skipped.iter().map(|file| file.path.clone())).collect();
    found.sort();
    let expected = (0..FILES).map(|file| workspace.path(&name(file)).to_string_lossy().into_owned());
    assert!(found.into_iter().eq(expected));
    // The first changes may come too late, and root can read every file.
    assert!((20..=30).contains(&manifest.skipped.len()), "{:#?}", manifest.skipped);
}
