//! A line on a terminal that says what is being lowered.

use crate::progress_bar::progress_bar;
use binframe_query::OnPass;
use indicatif::ProgressBar;
use std::sync::Arc;
use std::time::Duration;

/// Passes that take less time than this are over before anybody wonders.
const SHOWN_AFTER: Duration = Duration::from_millis(300);

/// Shows the passes that run while a query is answered; nothing where stderr is no terminal.
pub(crate) struct PassProgress(ProgressBar);

impl PassProgress {
    pub(crate) fn new() -> Self {
        Self(progress_bar())
    }

    /// What is to be called when a pass begins.
    pub(crate) fn observer(&self) -> OnPass {
        let bar = self.0.clone();
        Arc::new(move |binary, pass| {
            if bar.elapsed() > SHOWN_AFTER {
                bar.set_message(format!("{binary}: {pass}"));
                bar.tick();
            }
        })
    }

    /// Takes the line away, until the next pass.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
        self.0.reset();
    }
}
