//! `(names of crates) -> folders of their sources`. Cargo downloads the crates and verifies them against its lock
//! file.

use crate::build::run;
use crate::programs::CRATES;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The cargo that runs this test.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Folder of each crate; missing crates are downloaded.
pub(crate) fn fetch(below: &Path) -> Result<BTreeMap<&'static str, PathBuf>, String> {
    let folder = below.join("sources");
    fs::create_dir_all(folder.join("src")).map_err(|error| error.to_string())?;
    fs::write(folder.join("src/lib.rs"), "").map_err(|error| error.to_string())?;
    let mut manifest =
        "[package]\nname = \"sources\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
                        [dependencies]\n"
            .to_owned();
    for package in CRATES {
        writeln!(manifest, "{} = \"={}\"", package.name, package.version)
            .expect("writing to a string does not fail");
    }
    let path = folder.join("Cargo.toml");
    fs::write(&path, manifest).map_err(|error| error.to_string())?;
    run(cargo().args(["fetch", "--quiet", "--target", "x86_64-unknown-linux-gnu"]).current_dir(&folder))?;
    check(&fs::read_to_string(folder.join("Cargo.lock")).map_err(|error| error.to_string())?)?;
    let metadata =
        ["metadata", "--format-version=1", "--offline", "--filter-platform=x86_64-unknown-linux-gnu"];
    let metadata: Value = serde_json::from_str(&run(cargo().args(metadata).current_dir(&folder))?)
        .map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    CRATES
        .iter()
        .map(|package| {
            let found = packages
                .iter()
                .find(|entry| entry["name"] == package.name && entry["version"] == package.version);
            let manifest = found.and_then(|entry| entry["manifest_path"].as_str());
            let folder = manifest.and_then(|path| Path::new(path).parent());
            Ok((package.name, folder.ok_or_else(|| format!("cargo has no {}", package.name))?.to_owned()))
        })
        .collect()
}

/// Compares the checksums of the lock file with the expected ones.
fn check(lock: &str) -> Result<(), String> {
    for package in CRATES {
        let entry = format!("name = \"{}\"\nversion = \"{}\"\n", package.name, package.version);
        let checksum = format!("checksum = \"{}\"", package.checksum);
        let is_right =
            lock.split("[[package]]").any(|text| text.contains(&entry) && text.contains(&checksum));
        if !is_right {
            return Err(format!("{} {} has an unexpected checksum", package.name, package.version));
        }
    }
    Ok(())
}
