//! `binframe lower`

use crate::arguments::{LowerArguments, StageName};
use binframe::ir::Stage;
use binframe::{Error, Manifest, Progress, Request};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write;

/// Lowers files into a dataset.
pub(crate) fn run(arguments: &LowerArguments) -> Result<(), Box<dyn std::error::Error>> {
    let stages: Vec<_> = arguments.emit.iter().map(|stage| stage_of(*stage)).collect();
    let request = Request {
        inputs: &arguments.files,
        output: &arguments.output,
        stages: &stages,
        verify: arguments.verify,
    };
    let jobs = arguments.jobs.map_or(0, std::num::NonZero::get);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build()?;
    let bar = progress_bar();
    let manifest =
        pool.install(|| binframe::lower(&request, &|progress| show(&bar, &arguments.files, progress)));
    bar.finish_and_clear();
    let manifest: Manifest = manifest.map_err(|error: Error| Box::new(error))?;
    if arguments.timings {
        eprint!("{}", timings(&manifest));
    }
    Ok(())
}

fn stage_of(name: StageName) -> Stage {
    match name {
        StageName::Sections => Stage::Sections,
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

fn show(bar: &ProgressBar, files: &[std::path::PathBuf], progress: Progress<'_>) {
    let Progress { input, binary, step, done, parts } = progress;
    let percent = 100 * done / parts.max(1);
    bar.set_message(format!("{}/{} {binary}: {step} {percent} %", input + 1, files.len()));
    bar.tick();
}

/// A line for every step.
fn timings(manifest: &Manifest) -> String {
    let mut text = format!("{:<26} {:>12} {:>14} {:>9} {:>9}\n", "step", "rows", "bytes", "wall s", "cpu s");
    for timing in &manifest.timings {
        let binframe::Timing { step, rows, bytes, wall_seconds, cpu_seconds } = timing;
        _ = writeln!(text, "{step:<26} {rows:>12} {bytes:>14} {wall_seconds:>9.3} {cpu_seconds:>9.3}");
    }
    text
}
