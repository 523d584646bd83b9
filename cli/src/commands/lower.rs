//! `binframe lower`

use crate::arguments::{LowerArguments, StageName};
use crate::failure::Failure;
use binframe::ir::Stage;
use binframe::{Manifest, Progress, Request, Timing};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Lowers files into a dataset.
pub(crate) fn run(arguments: &LowerArguments) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let stages: Vec<_> = arguments.emit.iter().map(|stage| stage_of(*stage)).collect();
    let request = Request {
        inputs: &arguments.files,
        output: &arguments.output,
        stages: &stages,
        verify: arguments.verify,
    };
    let jobs = arguments.jobs.map_or(0, NonZero::get);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let pool = pool.map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    let bar = progress_bar();
    let manifest =
        pool.install(|| binframe::lower(&request, &|progress| show(&bar, &arguments.files, progress)));
    bar.finish_and_clear();
    let manifest = manifest?;
    let mut stderr = io::stderr().lock();
    if arguments.timings {
        // The dataset is there: that its times cannot be printed is no failure.
        _ = stderr.write_all(timings(&manifest).as_bytes());
    }
    if stderr.is_terminal() {
        let rows = manifest.tables.iter().map(|table| table.rows).sum();
        let bytes = manifest.tables.iter().map(|table| table.bytes).sum();
        let files = match arguments.files.as_slice() {
            [file] => file.display().to_string(),
            files => format!("{} files", files.len()),
        };
        _ = writeln!(
            stderr,
            "{}: {} rows of {} tables from {files}, {} in {:.2} s",
            arguments.output.display(),
            HumanCount(rows),
            manifest.tables.len(),
            HumanBytes(bytes),
            started.elapsed().as_secs_f64()
        );
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
    }
}

/// A line on a terminal, and nothing elsewhere.
fn progress_bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("the template is well-formed");
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}

fn show(bar: &ProgressBar, files: &[PathBuf], progress: Progress<'_>) {
    let Progress { input, binary, step, done, parts } = progress;
    let percent = if parts > 1 { format!(" {} %", 100 * done / parts) } else { String::new() };
    bar.set_message(format!("{}/{} {binary}: {step}{percent}", input + 1, files.len()));
    bar.tick();
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
