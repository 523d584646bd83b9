//! Runs other programs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::tools;

/// Runs a program with this program's standard input and output, and waits for it. Fails if the program fails.
pub(crate) fn run(command: &mut Command) -> Result<Duration, Failure> {
    let started = Instant::now();
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        return Ok(started.elapsed());
    }
    // A program that was ended by a signal has no exit code and may have printed no message.
    match status.code() {
        Some(code) => Err(Failure::Exited(u8::try_from(code).unwrap_or(1))),
        None => Err(Failure::Failed(format!("`{}` ended with {status}", text_of(command)))),
    }
}

/// Runs a program and returns its standard output.
pub(crate) fn output_of(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Failure::Failed(format!("`{}` ended with {}", text_of(command), output.status)))
    }
}

/// A command as a person would type it, including the environment variables that it sets.
pub(crate) fn text_of(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_stem().filter(|name| *name == "cargo").unwrap_or(program.as_os_str());
    let mut words: Vec<String> = Vec::new();
    for (variable, value) in command.get_envs() {
        words.push(format!("{}={}", variable.display(), value.unwrap_or_default().display()));
    }
    words.push(name.display().to_string());
    words.extend(command.get_args().map(|argument| argument.display().to_string()));
    words.join(" ")
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().display().to_string();
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let install = tools::install_command(&program).filter(|_| missing);
    let hint = install.map_or_else(String::new, |install| format!("\n  install it with: {install}"));
    Failure::Failed(format!("cannot run `{program}`: {error}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_print_as_typed() {
        let mut command = Command::new("/opt/toolchain/bin/cargo");
        command.args(["doc", "--workspace"]).env("RUSTDOCFLAGS", "-Dwarnings");
        assert_eq!(text_of(&command), "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace");
        assert_eq!(text_of(&Command::new("target/release/binframe")), "target/release/binframe");
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = run(&mut Command::new("no-such-program-anywhere")).expect_err("it does not exist");
        assert!(
            matches!(failure, Failure::Failed(message) if message.contains("`no-such-program-anywhere`"))
        );
    }
}
