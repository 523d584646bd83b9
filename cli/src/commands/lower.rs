//! `binframe lower`

use crate::arguments::{LowerArguments, StageName};
use crate::failure::Failure;
use crate::progress_bar::progress_bar;
use binframe::ir::Stage;
use binframe::{Manifest, Progress, Request, Timing};
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Files that were skipped which are named at the end.
const SKIPPED_SHOWN: usize = 10;

/// Lowers files into a dataset.
pub(crate) fn run(arguments: &LowerArguments) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let stages: Vec<_> = arguments.emit.iter().map(|stage| stage_of(*stage)).collect();
    let mut request = Request::new(&arguments.inputs, &arguments.output, &stages);
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
    // The dataset is there: that something cannot be printed about it is no failure.
    if arguments.timings {
        _ = stderr.write_all(timings(&manifest).as_bytes());
    }
    if stderr.is_terminal() || !manifest.skipped.is_empty() || manifest.resumed_files > 0 {
        _ = stderr.write_all(summary(arguments, &manifest, started.elapsed()).as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}

fn stage_of(name: StageName) -> Stage {
    match name {
        StageName::Sections => Stage::Sections,
        StageName::Debug => Stage::Debug,
        StageName::Effects => Stage::Effects,
        StageName::Instructions => Stage::Instructions,
        StageName::Cfg => Stage::Cfg,
        StageName::Memory => Stage::Memory,
        StageName::DataFlow => Stage::DataFlow,
    }
}

/// A line on a terminal, and nothing elsewhere.
struct ProgressLine {
    bar: ProgressBar,
    /// When the first input was begun, and the bytes that were done by then.
    begin: OnceLock<(Instant, u64)>,
}

impl ProgressLine {
    fn new() -> Self {
        Self { bar: progress_bar(), begin: OnceLock::new() }
    }

    fn show(&self, progress: &Progress<'_>) {
        if self.bar.is_hidden() {
            return;
        }
        let Progress { files, binary, step, done, parts, .. } = progress;
        let percent = if *parts > 1 { format!(" {} %", 100 * done / parts) } else { String::new() };
        let of_all = if *files > 1 { self.of_all(progress) } else { String::new() };
        self.bar.set_message(format!("{of_all}{binary}: {step}{percent}"));
        self.bar.tick();
    }

    /// How much of all inputs is done, how fast, and how long the rest takes at that pace.
    fn of_all(&self, progress: &Progress<'_>) -> String {
        let Progress { files, bytes, files_done, bytes_done, .. } = *progress;
        let (begin, bytes_before) = self.begin.get_or_init(|| (Instant::now(), bytes_done));
        let milliseconds = begin.elapsed().as_millis() as u64;
        let pace = (1000 * bytes_done.saturating_sub(*bytes_before)).checked_div(milliseconds).unwrap_or(0);
        let left = bytes.saturating_sub(bytes_done).checked_div(pace).map(Duration::from_secs);
        let left = left.map_or_else(|| "?".to_owned(), |left| HumanDuration(left).to_string());
        let [bytes, bytes_done, pace] = [bytes, bytes_done, pace].map(|bytes| bytes / 1_000_000);
        format!("{files_done}/{files} files, {bytes_done}/{bytes} MB, {pace} MB/s, {left} left: ")
    }
}

/// What was made of what, and which files were skipped.
fn summary(arguments: &LowerArguments, manifest: &Manifest, time: Duration) -> String {
    let mut text = String::new();
    let skipped = &manifest.skipped;
    for file in skipped.iter().take(SKIPPED_SHOWN) {
        _ = writeln!(text, "skipped {file}");
    }
    if skipped.len() > SKIPPED_SHOWN {
        let rest = skipped.len() - SKIPPED_SHOWN;
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
        _ = write!(text, "; resumed behind the {} that were done", manifest.resumed_files);
    }
    text.push('\n');
    text
}

/// A line for every step.
fn timings(manifest: &Manifest) -> String {
    let mut text = format!("{:<26} {:>12} {:>14} {:>9} {:>9}\n", "step", "rows", "bytes", "wall s", "cpu s");
    for timing in &manifest.timings {
        let Timing { step, rows, bytes, wall_seconds, cpu_seconds } = timing;
        _ = writeln!(text, "{step:<26} {rows:>12} {bytes:>14} {wall_seconds:>9.3} {cpu_seconds:>9.3}");
    }
    text
}
