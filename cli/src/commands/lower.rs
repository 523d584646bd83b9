//! `binframe lower`: the tables of executables as a dataset.

use crate::companion_arguments::CompanionArguments;
use crate::escape::{escaped, escaped_lines};
use crate::failure::Failure;
use crate::progress_bar::progress_bar;
use crate::value_parsers::parse_size;
use binframe::ir::{Stage, TABLES};
use binframe::{Manifest, Progress, Request, Timing};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(crate) const EXAMPLES: &str = "\
To lower an executable is to compute its tables, stage by stage: sections, instructions, functions and their control flow, \
memory. The dataset has a folder for each table, and the record of the run, _binframe/manifest.json. The last column of \
each table, `binary_name`, names the input of a row. The dataset is written atomically: it replaces DIR when it is complete.

A directory means all executables in it and below it; symbolic links in it are not followed. Of several files, those that \
cannot be lowered are skipped, listed at the end, and recorded. If a long run is killed, the same command resumes it, \
provided that no input has changed.

EXAMPLES:
  binframe lower app -o app.tables                        all tables of one executable
  binframe lower bin/* -o all.tables --jobs 4             one dataset of many executables
  binframe lower /usr/bin '/opt/**/*.so' -o all.tables    a directory, and a pattern
  binframe lower /usr -o all.tables --memory 2G           within 2 GiB of memory
  binframe lower app -o app.tables --emit sections,cfg    only the tables of two stages
  duckdb -c \"SELECT * FROM 'app.tables/functions/*.parquet' ORDER BY size DESC LIMIT 10\"";

/// Arguments of `binframe lower`.
#[derive(Debug, Args)]
pub(crate) struct LowerArguments {
    /// Executables to lower, directories that contain some, or patterns with `*`, `?`, `[…]` or `**`
    #[arg(required = true, value_name = "FILE|DIR|PATTERN")]
    inputs: Vec<PathBuf>,
    /// Directory of the dataset; an existing dataset is replaced when the new one is complete
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "STAGE,…",
        value_parser = stage_parser(),
        default_values = Stage::PIPELINE.map(Stage::name),
        hide_default_value = true,
        help = emit_help(),
        long_help = emit_long_help()
    )]
    emit: Vec<Stage>,
    /// Number of threads [default: one per processor]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Memory for files that are lowered at the same time, such as 512M or 4G [default: half of the machine's memory]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    /// Size of a group of files that are lowered and committed together: a killed run loses at most one group
    #[arg(long, value_name = "SIZE", value_parser = parse_size, hide = true)]
    unit_size: Option<u64>,
    #[command(flatten)]
    companions: CompanionArguments,
    /// Print rows, bytes and time of each step
    #[arg(long)]
    timings: bool,
    /// Read the dataset back and check it against the declarations of its tables
    #[arg(long)]
    verify: bool,
}

fn stage_parser() -> impl TypedValueParser<Value = Stage> {
    PossibleValuesParser::new(Stage::ALL.map(Stage::name)).map(|name| {
        let stage = Stage::ALL.into_iter().find(|stage| stage.name() == name);
        stage.expect("only names of stages are accepted")
    })
}

fn emit_help() -> String {
    format!("Stages whose tables are written [default: {}]", Stage::PIPELINE.map(Stage::name).join(","))
}

/// The help of `--emit`, with the tables of each stage.
fn emit_long_help() -> String {
    let mut help = emit_help() + "\n";
    for stage in Stage::ALL {
        let tables = TABLES.iter().filter(|table| table.stage == stage).map(|table| table.name);
        _ = write!(help, "\n- {}: {}", stage.name(), tables.collect::<Vec<_>>().join(", "));
    }
    help
}

/// Skipped files that are listed at the end.
const SKIPPED_SHOWN_MAX: usize = 10;

/// Lowers files into a dataset.
pub(crate) fn run(arguments: &LowerArguments) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let mut request = Request::new(&arguments.inputs, &arguments.output, &arguments.emit);
    request.companions = arguments.companions.search();
    request.verify = arguments.verify;
    request.memory = arguments.memory.unwrap_or(request.memory);
    request.group_size_max = arguments.unit_size.unwrap_or(request.group_size_max);
    let jobs = arguments.jobs.map_or(0, NonZero::get);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let pool = pool.map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    let line = ProgressLine::new();
    let manifest = pool.install(|| binframe::lower(&request, &|progress| line.show(&progress)));
    line.bar.finish_and_clear();
    let manifest = manifest?;
    let mut stderr = io::stderr().lock();
    // The dataset is complete; a summary that cannot be printed is not a failure.
    if arguments.timings {
        _ = stderr.write_all(timings(&manifest).as_bytes());
    }
    if stderr.is_terminal() || !manifest.skipped.is_empty() || manifest.resumed_files > 0 {
        _ = stderr.write_all(escaped_lines(&summary(arguments, &manifest, started.elapsed())).as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}

/// The progress line of a run.
struct ProgressLine {
    bar: ProgressBar,
    /// Time of the first report, and the bytes that were done by then.
    start: OnceLock<(Instant, u64)>,
}

impl ProgressLine {
    fn new() -> Self {
        Self { bar: progress_bar(), start: OnceLock::new() }
    }

    fn show(&self, progress: &Progress<'_>) {
        if self.bar.is_hidden() {
            return;
        }
        let Progress { files, binary, step, done, parts, .. } = progress;
        let percent = if *parts > 1 { format!(" {} %", 100 * done / parts) } else { String::new() };
        let totals = if *files > 1 { self.totals(progress) } else { String::new() };
        self.bar.set_message(format!("{totals}{}: {step}{percent}", escaped(binary)));
        self.bar.tick();
    }

    /// Inputs and bytes that are done, of all; bytes per second; and the estimated remaining time.
    fn totals(&self, progress: &Progress<'_>) -> String {
        let Progress { files, bytes, files_done, bytes_done, .. } = *progress;
        let (start, bytes_before) = self.start.get_or_init(|| (Instant::now(), bytes_done));
        let milliseconds = start.elapsed().as_millis() as u64;
        let pace = (1000 * bytes_done.saturating_sub(*bytes_before)).checked_div(milliseconds).unwrap_or(0);
        let left = bytes.saturating_sub(bytes_done).checked_div(pace).map(Duration::from_secs);
        let left = left.map_or_else(|| "?".to_owned(), |left| HumanDuration(left).to_string());
        let [bytes, bytes_done, pace] = [bytes, bytes_done, pace].map(|bytes| bytes / 1_000_000);
        format!("{files_done}/{files} files, {bytes_done}/{bytes} MB, {pace} MB/s, {left} left: ")
    }
}

/// The size of the dataset, and the skipped files.
fn summary(arguments: &LowerArguments, manifest: &Manifest, time: Duration) -> String {
    let mut text = String::new();
    let skipped = &manifest.skipped;
    for file in skipped.iter().take(SKIPPED_SHOWN_MAX) {
        _ = writeln!(text, "skipped {file}");
    }
    if skipped.len() > SKIPPED_SHOWN_MAX {
        let rest = skipped.len() - SKIPPED_SHOWN_MAX;
        _ = writeln!(text, "skipped {rest} more: `skipped` in _binframe/manifest.json lists them");
    }
    let rows = manifest.tables.iter().map(|table| table.rows).sum();
    let bytes = manifest.tables.iter().map(|table| table.bytes).sum();
    let lowered = manifest.lowered_files();
    let files = match arguments.inputs.as_slice() {
        [file] if file.is_file() => file.display().to_string(),
        _ => format!("{} files", HumanCount(lowered as u64)),
    };
    _ = write!(
        text,
        "{}: {} rows of {} tables from {files}, {} in {:.2} s",
        arguments.output.display(),
        HumanCount(rows),
        manifest.tables.len(),
        HumanBytes(bytes),
        time.as_secs_f64()
    );
    if !skipped.is_empty() {
        _ = write!(text, "; {} skipped", skipped.len());
    }
    if manifest.resumed_files > 0 {
        _ = write!(text, "; {} resumed from an earlier run", manifest.resumed_files);
    }
    text.push('\n');
    text
}

/// A line for each step.
fn timings(manifest: &Manifest) -> String {
    let mut text = format!("{:<26} {:>12} {:>14} {:>9} {:>9}\n", "step", "rows", "bytes", "wall s", "cpu s");
    for timing in &manifest.timings {
        let Timing { step, rows, bytes, wall_seconds, cpu_seconds } = timing;
        _ = writeln!(text, "{step:<26} {rows:>12} {bytes:>14} {wall_seconds:>9.3} {cpu_seconds:>9.3}");
    }
    text
}
