//! `binframe capture`: the memory of a process, core dump or minidump as a dataset.

use crate::failure::Failure;
use crate::progress_bar::progress_bar;
use crate::value_parsers::{parse_duration, parse_size};
use binframe::ir::tables::RegionType;
use binframe::ir::{Enumeration, Stage};
use binframe::{CaptureRequest, CaptureTarget, Manifest};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{HumanBytes, HumanCount};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
The process is stopped while its memory is copied, and then continues. The dataset has the regions of memory with their content \
(memory_regions), threads with their registers and calls (threads, thread_registers, call_stacks), and the mapped \
executables (loaded_modules), the chunks of glibc's heap (heap_chunks); of a series also the pages that changed (memory_pages, page_contents). Ctrl-C ends a series; \
the dataset has what was captured so far.

Memory holds secrets: passwords, keys, the data of users. The files of the dataset can be read by their owner only.

EXAMPLES:
  binframe capture --pid 4711 -o now.tables                   one snapshot of a running process
  binframe capture -o end.tables -- ./app --fast              a command, at the moment before it exits
  binframe capture --pid 4711 --every 100ms -o series.tables  a snapshot every 100 ms until it exits, or Ctrl-C
  binframe capture --at parse --count 3 -o calls.tables -- ./app   the first three calls of a function
  binframe capture --heap -o heap.tables -- ./app --fast      all allocations of a command, and its end
  binframe capture --core core.4711 -o core.tables            a core dump
  binframe capture --core qemu.core --exe app -o core.tables  a core dump that does not state its program
  binframe capture --minidump crash.dmp -o crash.tables       a minidump
  binframe sql \"SELECT * FROM call_stacks\" now.tables";

/// Arguments of `binframe capture`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct CaptureArguments {
    /// Process to capture
    #[arg(long, value_name = "PID", group = "target")]
    pid: Option<u32>,
    /// Core dump to read (ELF)
    #[arg(long, value_name = "FILE", group = "target", conflicts_with_all = ["series", "on_exit"])]
    core: Option<PathBuf>,
    /// Minidump to read (Windows, Breakpad, Crashpad)
    #[arg(long, value_name = "FILE", group = "target", conflicts_with_all = ["every", "on_exit"])]
    minidump: Option<PathBuf>,
    /// File of the program of the core dump, if the core dump states none or its path is of another machine
    #[arg(long, value_name = "FILE", requires = "core")]
    exe: Option<PathBuf>,
    /// Command to start and capture, after `--`; at its exit, if nothing else is said
    #[arg(last = true, value_name = "COMMAND", group = "target")]
    command: Vec<OsString>,
    /// Directory of the dataset; an existing dataset is replaced when the new one is complete
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Time between two snapshots, such as 100ms, 2s or 1m [default: one snapshot]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, group = "series")]
    every: Option<Duration>,
    /// Take a snapshot whenever a thread reaches a function: its name, or its address in the file of the program (0x…)
    #[arg(long, value_name = "FUNCTION", group = "series")]
    at: Option<String>,
    /// Number of snapshots after which a series ends
    #[arg(long, visible_alias = "checkpoints", value_name = "N", requires = "series")]
    count: Option<NonZero<u32>>,
    /// Take a snapshot when the process is about to exit
    #[arg(long)]
    on_exit: bool,
    /// Record each allocation of the command, with the calls that made it
    #[arg(long, conflicts_with_all = ["pid", "core"])]
    heap: bool,
    /// Types of regions whose content is read
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "TYPE,…",
        value_parser = type_parser(),
        default_values = RegionType::NAMES,
        hide_default_value = true,
    )]
    only: Vec<RegionType>,
    /// Bytes of memory that are read for a snapshot, such as 512M: stacks first, then heaps, data and code
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_bytes: Option<u64>,
    /// Write digests of the content, and not the content
    #[arg(long)]
    no_content: bool,
    /// Write also the tables of the executable and the libraries that are mapped, as `lower` does, with debug information
    #[arg(long)]
    with_static: bool,
    /// Read the dataset back and check it against the declarations of its tables
    #[arg(long)]
    verify: bool,
}

fn type_parser() -> impl TypedValueParser<Value = RegionType> {
    PossibleValuesParser::new(RegionType::NAMES)
        .map(|name| RegionType::from_name(&name).expect("only names of types are accepted"))
}

/// Captures a process, core dump or minidump.
pub(crate) fn run(arguments: &CaptureArguments) -> Result<ExitCode, Failure> {
    let target = match (arguments.pid, &arguments.core, &arguments.minidump) {
        (Some(pid), ..) => CaptureTarget::Process(pid),
        (_, Some(core), _) => CaptureTarget::CoreDump(core.clone()),
        (.., Some(minidump)) => CaptureTarget::Minidump(minidump.clone()),
        _ if !arguments.command.is_empty() => CaptureTarget::Command(arguments.command.clone()),
        _ => {
            let usage = "nothing to capture; give --pid PID, --core FILE, --minidump FILE, or -- COMMAND";
            return Err(Failure::Usage(usage.to_owned()));
        }
    };
    let is_series = arguments.every.is_some() || arguments.at.is_some();
    let file_stages = [&Stage::PIPELINE[..], &[Stage::Debug]].concat();
    let is_command = matches!(target, CaptureTarget::Command(_));
    let request = CaptureRequest {
        target,
        executable: arguments.exe.clone(),
        output: &arguments.output,
        every: arguments.every,
        at: arguments.at.as_deref(),
        count: arguments.count.map(NonZero::get),
        at_exit: arguments.on_exit || (is_command && !is_series),
        types: &arguments.only,
        bytes_max: arguments.max_bytes.unwrap_or(u64::MAX),
        has_content: !arguments.no_content,
        file_stages: if arguments.with_static { &file_stages } else { &[] },
        has_heap: arguments.heap,
        verify: arguments.verify,
    };
    let bar = progress_bar();
    let manifest = binframe::capture(&request, &mut |snapshots| {
        bar.set_message(format!("{snapshots} snapshots"));
        bar.tick();
    });
    bar.finish_and_clear();
    let manifest = manifest?;
    let mut stderr = io::stderr().lock();
    for missing in &manifest.missing {
        _ = writeln!(stderr, "warning: {missing}");
    }
    if stderr.is_terminal() {
        // The dataset is complete; a summary that cannot be printed is not a failure.
        _ = writeln!(stderr, "{}", summary(arguments, &manifest));
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(arguments: &CaptureArguments, manifest: &Manifest) -> String {
    let rows_of = |name: &str| {
        let table = manifest.tables.iter().find(|table| table.table == name);
        HumanCount(table.map_or(0, |table| table.rows))
    };
    format!(
        "{}: {} snapshots, {} regions, {} changed pages, {}; memory holds secrets: keep the files private",
        arguments.output.display(),
        rows_of("snapshots"),
        rows_of("memory_regions"),
        rows_of("memory_pages"),
        HumanBytes(manifest.tables.iter().map(|table| table.bytes).sum()),
    )
}
