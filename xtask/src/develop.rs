//! Tasks that run one command each: `test`, `mutate`, `compare`, `peers-files`, `score`, `oracle`, `certainty`, `semantics`, `dump`,
//! `diff`, `schemas`, `bench`.

use std::ffi::OsString;
use std::process::Command;

use crate::command;
use crate::failure::Failure;
use crate::tools;
use crate::workspace::Workspace;

/// Arguments of cargo that run all tests; `cargo xtask ci` uses the same.
pub(crate) const TEST: &[&str] = &["test", "--workspace"];

/// Runs all tests, or those that the extra arguments select.
pub(crate) fn test(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    tools::note_if_missing("cc", "compile the fixtures in C");
    tools::note_if_missing("objdump", "compare the tables with its output");
    // With `--workspace`, cargo would ignore `-p`.
    let base = if names_package(arguments) { &TEST[..1] } else { TEST };
    command::run(workspace.cargo().args(base).args(arguments)).map(drop)
}

/// Runs tests, and replaces each expected result that differs by the actual one.
pub(crate) fn bless(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let mut tests = workspace.cargo();
    tests.args(TEST).arg("--no-fail-fast").args(arguments);
    tests.env("BLESS", "1").env("INSTA_UPDATE", "always").env("INSTA_FORCE_PASS", "1");
    command::run(&mut tests)?;
    println!("Expected results specify the tables: read `git diff`, and check that each change is right.");
    Ok(())
}

fn names_package(arguments: &[OsString]) -> bool {
    let own = arguments.iter().take_while(|argument| *argument != "--");
    own.filter_map(|argument| argument.to_str())
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

/// Corrupts files at random and lowers them; more files than in the tests.
pub(crate) fn mutate(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    const COUNT: &str = "1000000";
    let mut cargo = release_test(workspace, "mutants");
    cargo.env("BINFRAME_MUTANTS", COUNT);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let variable = match argument.to_str() {
            Some("--seed") => "BINFRAME_MUTANTS_SEED",
            Some("--count") => "BINFRAME_MUTANTS",
            Some("--from") => {
                let folder =
                    arguments.next().ok_or_else(|| Failure::Usage("--from needs a folder".to_owned()))?;
                cargo.env("BINFRAME_MUTANTS_FROM", workspace.root.join(folder));
                continue;
            }
            _ => return Err(Failure::Usage(format!("mutate has no argument `{}`", argument.display()))),
        };
        let value =
            arguments.next().filter(|value| value.to_str().is_some_and(|text| text.parse::<u64>().is_ok()));
        let value = value.ok_or_else(|| Failure::Usage(format!("{} needs a number", argument.display())))?;
        cargo.env(variable, value);
    }
    command::run(&mut cargo).map(drop)
}

/// Compares the tables of all ELF files of the system with the output of readelf.
pub(crate) fn compare(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::Usage("compare takes no argument".to_owned()));
    }
    tools::require("readelf", "compare the tables with its output")?;
    let mut cargo = release_test(workspace, "readelf");
    command::run(cargo.env("BINFRAME_COMPARE", "all")).map(drop)
}

/// Compares the tables of files for many architectures, or of the files in a folder, with the output of other tools.
pub(crate) fn peers_files(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let (variable, folder) = match arguments {
        [] => ("BINFRAME_MATRIX", workspace.root.join(workspace.below_target("peers-files"))),
        [folder] => ("BINFRAME_COMPARE", std::path::absolute(folder).unwrap_or_default()),
        _ => return Err(Failure::Usage("peers-files takes at most one folder".to_owned())),
    };
    for tool in ["llvm-readobj-19", "readelf"] {
        tools::require(tool, "compare the tables with its output")?;
    }
    tools::note_if_missing("eu-readelf", "compare core dumps, sections and symbols with its output");
    if arguments.is_empty() {
        for tool in ["clang-19", "ld.lld-19", "llvm-objcopy-19"] {
            tools::require(tool, "make the files")?;
        }
    }
    // Not a release build, which takes longer than it saves: most of the time is spent in the tools.
    let mut cargo = workspace.cargo();
    cargo.args(TEST).args(["--test", "peers", "--", "--nocapture"]).env(variable, &folder);
    command::run(&mut cargo)?;
    let mut cargo = workspace.cargo();
    cargo.args(TEST).args(["--test", "readelf", "--", "--nocapture"]).env("BINFRAME_COMPARE", folder);
    command::run(&mut cargo).map(drop)
}

/// Measures the accuracy of the tables on real programs.
pub(crate) fn score(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    for tool in ["gcc", "g++", "as", "strip"] {
        tools::require(tool, "compile the measured programs")?;
    }
    for tool in ["clang-19", "ld.lld-19"] {
        tools::note_if_missing(tool, "compile programs with LLVM's list of basic blocks");
    }
    let mut folder = workspace.root.join(workspace.below_target("score"));
    let mut words: Vec<&str> = Vec::new();
    let mut scored = ("BINFRAME_SCORE", "real_programs_are_scored");
    let mut cargo = release_test(workspace, "score");
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments.next().ok_or_else(|| Failure::Usage(format!("{} needs a value", argument.display())))
        };
        match argument.to_str() {
            Some("--examples") => drop(cargo.env("BINFRAME_SCORE_EXAMPLES", value()?)),
            Some("--memory") => {
                scored = ("BINFRAME_SCORE_MEMORY", "variables_of_real_programs_are_scored");
            }
            Some("--wild") => {
                scored = ("BINFRAME_SCORE_WILD", "wild::programs_in_many_languages_are_scored");
            }
            Some("--folder") => folder = std::path::absolute(value()?).unwrap_or_default(),
            Some(word) if !word.starts_with('-') => words.push(word),
            _ => return Err(Failure::Usage(format!("score has no argument `{}`", argument.display()))),
        }
    }
    let (variable, test) = scored;
    cargo.env(variable, words.join(" ")).env("BINFRAME_SCORE_FOLDER", folder);
    command::run(cargo.args(["--quiet", "--", test, "--exact", "--nocapture"])).map(drop)
}

/// Programs that are traced by default, one per line.
const PROGRAMS: &str = "/usr/bin/sort /etc/services\n/usr/bin/ls -la /usr/lib\n/usr/bin/gzip -c /etc/services\n\
                        /usr/bin/sha256sum /etc/services\n/usr/bin/sed -n s/tcp/&&/p /etc/services\n\
                        /usr/bin/grep -E t.*[0-9]+/udp /etc/services\n/usr/bin/find /etc -name *.conf\n\
                        /usr/bin/diff /etc/services /etc/protocols";

/// Compares the memory accesses of running programs with the tables.
pub(crate) fn oracle(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let mut cargo = release_test(workspace, "oracle");
    let words = arguments.iter().map(|argument| {
        argument.to_str().ok_or_else(|| Failure::Usage(format!("{} is not UTF-8", argument.display())))
    });
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let program = match words.as_slice() {
        ["--steps", steps, program @ ..] => {
            cargo.env("BINFRAME_ORACLE_STEPS", steps);
            program.join(" ")
        }
        program => program.join(" "),
    };
    cargo.env("BINFRAME_ORACLE", if program.is_empty() { PROGRAMS.to_owned() } else { program });
    command::run(cargo.args(["--quiet", "--", "programs_of_the_machine", "--nocapture"])).map(drop)
}

/// Counts what cannot be right in the tables of programs.
pub(crate) fn certainty(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let mut cargo = release_test(workspace, "certainty");
    let paths: Vec<_> = arguments.iter().map(|path| path.to_string_lossy()).collect();
    let paths = if paths.is_empty() { "/usr/bin /usr/sbin /usr/lib".to_owned() } else { paths.join(" ") };
    command::run(cargo.env("BINFRAME_CERTAINTY", paths).args(["--quiet", "--", "--nocapture"])).map(drop)
}

/// Compares what ops say of instructions with what this processor does.
pub(crate) fn semantics(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    const COUNT: &str = "2000";
    let mut cargo = release_test(workspace, "semantics");
    cargo.env("BINFRAME_SEMANTICS", COUNT);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let variable = match argument.to_str() {
            Some("--count") => "BINFRAME_SEMANTICS",
            Some("--form") => "BINFRAME_SEMANTICS_FORM",
            _ => return Err(Failure::Usage(format!("semantics has no argument `{}`", argument.display()))),
        };
        let value = arguments.next();
        let value = value.ok_or_else(|| Failure::Usage(format!("{} needs a value", argument.display())))?;
        cargo.env(variable, value);
    }
    command::run(cargo.args(["--quiet", "--", "forms_of_the_machine", "--nocapture"])).map(drop)
}

/// The command that runs one integration test in a release build.
fn release_test(workspace: &Workspace, name: &str) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--release", "-p", "binframe-testsuite", "--test", name]);
    cargo
}

/// Builds `binframe` and runs `binframe dump …`.
pub(crate) fn dump(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    binframe(workspace, "dump", arguments)
}

/// Builds `binframe` and runs `binframe diff …`.
pub(crate) fn diff(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    binframe(workspace, "diff", arguments)
}

/// Generates docs/SCHEMAS.md from the table declarations.
pub(crate) fn schemas(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::Usage("schemas takes no argument".to_owned()));
    }
    let run = ["run", "--quiet", "-p", "binframe-cli", "--", "schemas", "--markdown"];
    let text = command::output_of(workspace.cargo().args(run))?;
    let path = workspace.root.join("docs/SCHEMAS.md");
    let current = std::fs::read(&path).ok();
    if current.as_ref() == Some(&text) {
        println!("docs/SCHEMAS.md is up to date");
        return Ok(());
    }
    std::fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
    match current {
        Some(_) => println!("docs/SCHEMAS.md changed; read `git diff docs/SCHEMAS.md`"),
        None => println!("docs/SCHEMAS.md is new; read it and `git add docs/SCHEMAS.md`"),
    }
    Ok(())
}

/// Runs the criterion benches, or a script that compares the speed of binframe with other programs.
pub(crate) fn bench(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let script = match arguments.first().and_then(|first| first.to_str()) {
        Some("peers") => Some("disassemblers.py"),
        Some("queries") => Some("queries.py"),
        _ => None,
    };
    if let Some(script) = script {
        tools::require("python3", "run the benchmark script")?;
        let script = workspace.root.join("benches/peers").join(script);
        return command::run(Command::new("python3").arg(script).args(&arguments[1..])).map(drop);
    }
    command::run(workspace.cargo().args(["bench", "-p", "binframe-benches"]).args(arguments)).map(drop)
}

/// Builds the release command and runs it in the current directory, so that relative paths are valid.
fn binframe(workspace: &Workspace, subcommand: &str, arguments: &[OsString]) -> Result<(), Failure> {
    let path = workspace.root.join(workspace.binframe());
    let mut build = workspace.cargo();
    build.args(["build", "--release", "-p", "binframe-cli"]);
    // The first build takes minutes and shows its progress; later builds are quiet.
    if path.exists() {
        build.arg("--quiet");
    }
    command::run(&mut build)?;
    command::run(Command::new(path).arg(subcommand).args(arguments)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_package_is_seen() {
        let names = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            names_package(&arguments)
        };
        assert!(names(&["-p", "binframe-ir"]));
        assert!(names(&["basic_blocks", "--package=binframe-ir"]));
        assert!(!names(&["basic_blocks", "--", "-p"]));
        assert!(!names(&[]));
    }
}
