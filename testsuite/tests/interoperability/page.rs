//! The Python programs in docs/ENGINES.md run and print what the page shows. `BLESS=1` writes what they print into the
//! page. Programs that need large packages run in CI.

use crate::{large_packages, packages};
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::lower_into;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const PROGRAM: &str = "```python\n";
const OUTPUT: &str = "```text\n";
const END: &str = "```\n";

#[test]
fn the_programs_of_the_page_print_what_it_shows() {
    let Some(packages) = packages() else { return };
    let folder = TempDir::new().expect("a temporary folder");
    let library = folder.path().join("library.so");
    fs::write(&library, fixtures::file("library.so").expect("a fixture")).expect("the folder is writable");
    lower_into(&library, &folder.path().join("app.tables"), &binframe::ir::Stage::PIPELINE)
        .expect("the library is supported");
    let large_packages = large_packages();
    let run = |program: &str, shown: &str| {
        let is_large = program.contains("pyspark") || program.contains("datasets import");
        let Some(packages) = (if is_large { &large_packages } else { &Some(packages.clone()) }) else {
            return shown.to_owned();
        };
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", packages).env("HF_HOME", folder.path()).current_dir(folder.path());
        let output = python.args(["-c", program]).output().expect("the program starts");
        assert!(output.status.success(), "{program}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ENGINES.md");
    let page = fs::read_to_string(&path).expect("the page exists");
    let mut printed = String::new();
    let mut rest = page.as_str();
    while let Some((before, after)) = rest.split_once(PROGRAM) {
        let (program, after) = after.split_once(END).expect("a program ends");
        let (between, after) = after.split_once(OUTPUT).expect("the output of a program is shown");
        let (shown, after) = after.split_once(END).expect("an output ends");
        printed.extend([before, PROGRAM, program, END, between, OUTPUT, &run(program, shown), END]);
        rest = after;
    }
    printed.push_str(rest);
    if env::var_os("BLESS").is_some() {
        fs::write(&path, printed).expect("the page is writable");
    } else {
        assert!(printed == page, "{printed}\nto accept: cargo xtask bless --test interoperability");
    }
}
