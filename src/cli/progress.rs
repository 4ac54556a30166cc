//! The progress bar of long work: on standard error, when that is a terminal and nobody asked for
//! JSON; else there is none.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use schemas::Sequence;

/// A bar that counts events. It leaves when it is dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for `what`, over so many events when that is known.
    pub(super) fn new(what: &'static str, events: Option<u64>, is_json: bool) -> Self {
        let target = if !is_json && io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let template = match events {
            Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} events, {per_sec}, {eta} left",
            None => "{msg} {spinner} {human_pos} events, {per_sec}",
        };
        let style = ProgressStyle::with_template(template)
            .expect("invariant: the template is one")
            .progress_chars("█▓░");
        let bar = ProgressBar::with_draw_target(events, target).with_style(style);
        bar.set_message(what);
        Self(bar)
    }

    /// Everything up to `sequence` is done.
    pub(super) fn reach(&self, sequence: Sequence) {
        self.0.set_position(sequence.get());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
