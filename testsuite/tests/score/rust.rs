//! Builds a Rust program. Its ground truth is the functions in the symbol table; there is none for blocks.

use crate::build::{print_progress, run};
use crate::sources::cargo;
use crate::{truth, variants};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Prefixes of function names that rustc emits; other functions are from start files and C libraries.
const OWN: [&str; 5] = ["_ZN", "_R", "main", "__rust", "rust_"];

/// Builds a program from the folder of its crate, unless it exists.
pub(crate) fn make(name: &str, source: &Path, below: &Path) -> Result<PathBuf, String> {
    let folder = below.join(format!("{name}-rustc-O3-pie"));
    let version = run(Command::new("rustc").arg("--version"))?;
    let recipe = format!("1\n{version}\n{}\n", source.display());
    let recipe_path = folder.join("recipe.txt");
    if fs::read_to_string(&recipe_path).is_ok_and(|old| old == recipe) {
        return Ok(folder);
    }
    print_progress(&format!("building {name}-rustc"));
    let work = folder.join("work");
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--quiet", "--jobs=2"]).current_dir(source);
    build.env("CARGO_TARGET_DIR", &work).env("CARGO_PROFILE_RELEASE_STRIP", "false");
    run(build.env("CARGO_PROFILE_RELEASE_DEBUG", "false"))?;
    let full = folder.join("full");
    fs::rename(work.join("release").join(name), &full).map_err(|error| error.to_string())?;
    let bytes = fs::read(&full).map_err(|error| error.to_string())?;
    let file = object::File::parse(&*bytes).map_err(|error| error.to_string())?;
    let statements = truth::of_symbols(&file, |name| OWN.iter().any(|prefix| name.starts_with(prefix)));
    variants::write(&full, &folder)?;
    fs::write(folder.join("truth.txt"), statements.to_text()).map_err(|error| error.to_string())?;
    drop(fs::remove_dir_all(&work));
    fs::write(recipe_path, recipe).map_err(|error| error.to_string())?;
    Ok(folder)
}
