//! The look of progress on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on a terminal, and nothing elsewhere.
pub(crate) fn progress_bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("the template is well-formed");
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}
