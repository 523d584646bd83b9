//! A progress line that names the pass that runs.

use crate::escape::escaped;
use crate::progress_bar::progress_bar;
use binframe_query::OnPass;
use indicatif::ProgressBar;
use std::sync::Arc;
use std::time::Duration;

/// Time before the line appears: most queries are answered earlier.
const SHOWN_AFTER: Duration = Duration::from_millis(300);

/// Shows the pass that runs for a query; hidden if stderr is not a terminal.
pub(super) struct PassProgress(ProgressBar);

impl PassProgress {
    pub(super) fn new() -> Self {
        Self(progress_bar())
    }

    /// The function to call when a pass starts.
    pub(super) fn observer(&self) -> OnPass {
        let bar = self.0.clone();
        Arc::new(move |binary, pass| {
            if bar.elapsed() > SHOWN_AFTER {
                bar.set_message(format!("{}: {pass}", escaped(binary)));
                bar.tick();
            }
        })
    }

    /// Removes the line until the next pass starts.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
        self.0.reset();
    }
}
