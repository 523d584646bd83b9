//! Runs the cases of `testsuite/passes/`: Markdown files with a small program and the rows that its tables must have.
//!
//! A case is a heading that states a fact, prose, one input block and one table for each heading `## TABLE where COLUMN = VALUE and …`.
//! The table's header selects the columns. Addresses are shown as `symbol+offset`, so that rows do not depend on the linker. `BLESS=1`
//! writes the rows that binframe makes into the files.

mod case;
mod input;
mod names;

use binframe::ir::Enumeration;
use binframe::ir::tables::DiagnosticCode;
use case::Case;
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The command that accepts the rows of the cases whose names contain what is appended.
const BLESS: &str = "cargo xtask bless --test passes --";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("passes");
    let paths = files(&root);
    let mut trials: Vec<_> = paths.iter().map(|path| trial(&root, path.clone())).collect();
    trials.push(Trial::test("every_diagnostic_code_has_a_case", move || every_code_has_a_case(&paths)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The Markdown files of all folders, sorted by path.
fn files(root: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        fs::read_dir(folder).expect("the folder of cases").map(|entry| entry.expect("readable").path())
    };
    let mut files: Vec<_> = entries(root)
        .filter(|path| path.is_dir())
        .flat_map(|folder| entries(&folder).collect::<Vec<_>>())
        .collect();
    files.sort();
    files
}

fn trial(root: &Path, path: PathBuf) -> Trial {
    let name = path.strip_prefix(root).expect("it is in there").with_extension("").display().to_string();
    Trial::test(name.clone(), move || {
        let text = fs::read_to_string(&path)?;
        let case = Case::parse(&text)?;
        let folder = path.parent().and_then(Path::file_name).expect("cases are in folders");
        if !case.expected.iter().any(|expected| *expected.table.name == *folder) {
            return Err(format!("it expects no rows of {}", folder.display()).into());
        }
        let Some(found) = case.run()? else { return Ok(()) };
        let blessed = case.with_rows(&text, &found);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, blessed)?;
        } else if let Some(difference) = case.difference(&found) {
            return Err(format!("{}\n\n{difference}\nto accept: {BLESS} {name}\n", path.display()).into());
        }
        Ok(())
    })
}

/// Every diagnostic code occurs in the expected rows of some case.
fn every_code_has_a_case(paths: &[PathBuf]) -> Result<(), Failed> {
    let mut missing: BTreeSet<&str> = DiagnosticCode::NAMES.iter().copied().collect();
    for path in paths {
        for code in Case::parse(&fs::read_to_string(path)?)?.values("diagnostics", "code") {
            missing.remove(code.as_str());
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(format!("no case has {missing:?}").into()) }
}
