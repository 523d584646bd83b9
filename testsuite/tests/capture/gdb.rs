//! The stacks of a running process as gdb prints them, and its core dump.

use binframe_testsuite::tools;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The return addresses on the stack of each thread with the names of functions, the most recent call first. Calls that
/// were inlined are left out where gdb prints them without an address.
pub(crate) type Stacks = BTreeMap<u64, Vec<(u64, String)>>;

/// Stacks and core dump of a process.
pub(crate) struct Inspected {
    pub(crate) stacks: Stacks,
    /// The core dump.
    pub(crate) core: PathBuf,
}

/// Lets gdb print all stacks and write a core dump; `None`, with a message, if gdb is not installed.
pub(crate) fn inspect(id: u32, core: &Path) -> Option<Inspected> {
    let save = format!("generate-core-file {}", core.display());
    let mut command = Command::new("gdb");
    command.args(["--batch", "-nx", "-p", &id.to_string()]);
    command.args(["-ex", "set backtrace past-main on", "-ex", "thread apply all bt", "-ex", &save]);
    let output = tools::output(command.env("LC_ALL", "C").env("DEBUGINFOD_URLS", ""))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(core.exists(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    Some(Inspected { stacks: stacks(&text), core: core.to_owned() })
}

/// The stacks in a core dump of a program, as the given gdb prints them; `None`, with a message, if it is not
/// installed.
pub(crate) fn stacks_of_core(gdb: &str, program: &Path, core: &Path) -> Option<Stacks> {
    let mut command = Command::new(gdb);
    command.args(["--batch", "-nx", "-ex", "set backtrace past-main on", "-ex", "thread apply all bt"]);
    let output = tools::output(command.args([program, core]).env("LC_ALL", "C").env("DEBUGINFOD_URLS", ""))?;
    Some(stacks(&String::from_utf8_lossy(&output.stdout)))
}

fn stacks(text: &str) -> Stacks {
    let mut stacks = Stacks::new();
    let mut thread = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Thread ") {
            let number = rest.split("(LWP ").nth(1).and_then(|rest| rest.split(')').next());
            thread = number.and_then(|number| number.parse().ok());
        } else if let (Some(thread), true) = (thread, line.starts_with('#')) {
            stacks.entry(thread).or_default().extend(call(line));
        }
    }
    stacks
}

/// The return address and the function in a line such as `#1  0x00005555 in waits (depth=0) at a.c:3`; `None` without
/// an address, and for the function that runs.
fn call(line: &str) -> Option<(u64, String)> {
    let (number, rest) = line.split_once(' ').filter(|(number, _)| *number != "#0")?;
    debug_assert!(number.starts_with('#'), "a call");
    let (address, rest) = rest.trim_start().strip_prefix("0x")?.split_once(" in ")?;
    let name = rest.split([' ', '@']).next()?.to_owned();
    Some((u64::from_str_radix(address, 16).ok()?, name))
}
