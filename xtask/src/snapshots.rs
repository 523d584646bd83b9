//! `cargo xtask snapshots`: collects, prints and accepts changed snapshots.
//!
//! A snapshot is a `.snap` file that `insta` compares with the result of a test. If the result differs, the test writes it
//! next to the old snapshot as `.snap.new`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::develop;
use crate::failure::Failure;
use crate::tools;
use crate::workspace::Workspace;

/// Runs the action that the argument names.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let action = match arguments {
        [] => collect,
        [word] if word == "review" => review,
        [word] if word == "accept" => accept,
        _ => return Err(Failure::Usage("snapshots takes no argument, `review` or `accept`".to_owned())),
    };
    action(workspace)
}

/// Runs all tests with insta set to write changed snapshots instead of failing, so that one run finds all of them.
fn collect(workspace: &Workspace) -> Result<(), Failure> {
    for stale in find_pending(&workspace.root)? {
        std::fs::remove_file(&stale).map_err(|error| Failure::io("remove", &stale, &error))?;
    }
    let mut tests = workspace.cargo();
    tests.args(develop::TEST).arg("--no-fail-fast");
    tests.env("INSTA_UPDATE", "new").env("INSTA_FORCE_PASS", "1");
    let outcome = command::run(&mut tests).map(drop);
    let changed = pending(&workspace.root)?;
    if changed.is_empty() {
        println!("no snapshot changed");
    } else {
        print_names(workspace, "changed or new", &changed);
        println!("read them:    cargo xtask snapshots review");
    }
    outcome
}

/// Prints the difference between each changed snapshot and the accepted one.
fn review(workspace: &Workspace) -> Result<(), Failure> {
    let changed = pending(&workspace.root)?;
    if changed.is_empty() {
        println!("no snapshot is pending; `cargo xtask snapshots` collects changed ones");
        return Ok(());
    }
    tools::require("git", "print the differences")?;
    for new in &changed {
        let old = accepted_path(new);
        let mut diff = Command::new("git");
        diff.current_dir(&workspace.root).args(["--no-pager", "diff", "--no-index", "--"]);
        let old = if old.exists() { relative(workspace, &old) } else { Path::new("/dev/null") };
        diff.arg(old).arg(relative(workspace, new));
        match command::run(&mut diff) {
            // Exit code 1 of git means that the files differ, as expected.
            Ok(_) | Err(Failure::Exited(1)) => {}
            Err(failure) => return Err(failure),
        }
    }
    println!();
    print_names(workspace, "pending", &changed);
    println!("Is every line above one that you meant to change?");
    println!("  yes:  cargo xtask snapshots accept");
    println!("  no:   change the code and run `cargo xtask snapshots` again");
    Ok(())
}

/// Replaces each accepted snapshot by the changed one.
fn accept(workspace: &Workspace) -> Result<(), Failure> {
    let changed = pending(&workspace.root)?;
    for new in &changed {
        let text = std::fs::read_to_string(new).map_err(|error| Failure::io("read", new, &error))?;
        let old = accepted_path(new);
        std::fs::write(&old, without_line_number(&text))
            .map_err(|error| Failure::io("write", &old, &error))?;
        std::fs::remove_file(new).map_err(|error| Failure::io("remove", new, &error))?;
    }
    print_names(workspace, "accepted", &changed);
    if !changed.is_empty() {
        println!("read `git diff` once more before you commit");
    }
    Ok(())
}

/// Paths of all `.snap.new` files of the workspace, sorted. Removes their line numbers, so that a difference shows only content.
fn pending(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let found = find_pending(root)?;
    for new in &found {
        let text = std::fs::read_to_string(new).map_err(|error| Failure::io("read", new, &error))?;
        std::fs::write(new, without_line_number(&text)).map_err(|error| Failure::io("write", new, &error))?;
    }
    Ok(found)
}

fn find_pending(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| Failure::io("list", &folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Failure::io("list", &folder, &error))?;
            let path = entry.path();
            let name = entry.file_name().display().to_string();
            let kind = entry.file_type().map_err(|error| Failure::io("read", &path, &error))?;
            if kind.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if kind.is_file() && name.ends_with(".snap.new") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The path `a.snap` for `a.snap.new`.
fn accepted_path(new: &Path) -> PathBuf {
    new.with_extension("")
}

/// Removes the source line of the assertion from a snapshot's header. insta writes it to pending snapshots only; in an
/// accepted snapshot it would change with each line that is added above the test.
fn without_line_number(text: &str) -> String {
    let mut rules = 0;
    let kept = text.split_inclusive('\n').filter(|line| {
        rules += usize::from(line.trim_end() == "---");
        rules != 1 || !line.starts_with("assertion_line:")
    });
    kept.collect()
}

fn print_names(workspace: &Workspace, state: &str, snapshots: &[PathBuf]) {
    let noun = if snapshots.len() == 1 { "snapshot" } else { "snapshots" };
    println!("{} {noun} {state}", snapshots.len());
    for path in snapshots {
        println!("  {}", relative(workspace, &accepted_path(path)).display());
    }
}

fn relative<'a>(workspace: &Workspace, path: &'a Path) -> &'a Path {
    path.strip_prefix(&workspace.root).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_header_loses_its_line_number() {
        let new = "---\nsource: tests/cfg.rs\nassertion_line: 12\nexpression: text\n---\nassertion_line: 7\n";
        let kept = "---\nsource: tests/cfg.rs\nexpression: text\n---\nassertion_line: 7\n";
        assert_eq!(without_line_number(new), kept);
        assert_eq!(without_line_number(kept), kept);
    }

    #[test]
    fn the_new_snapshot_is_next_to_the_old() {
        assert_eq!(
            accepted_path(Path::new("tests/snapshots/cfg.snap.new")),
            Path::new("tests/snapshots/cfg.snap")
        );
    }
}
