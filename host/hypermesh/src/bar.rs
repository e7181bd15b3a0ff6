//! Progress bars on stderr. Without a terminal they draw nothing, and the lines between them are still written.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

/// What a guest says of its progress: the message of a log line of level `progress`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Progress {
    /// Units done.
    pub(crate) done: u64,
    /// Of so many, where the guest knows.
    #[serde(default)]
    pub(crate) total: Option<u64>,
    /// What it is doing.
    #[serde(default)]
    pub(crate) note: String,
}

/// A bar for `total` bytes that are sent or received.
pub(crate) fn transfer(what: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    bar.set_style(style("{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}"));
    bar.set_prefix(crate::human::printable(what));
    bar
}

/// A bar for a guest, which may never say how much there is to do.
pub(crate) fn guest() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_style(style("{spinner} {elapsed} {msg}"));
    bar
}

/// A bar for an array of `size` indexes.
pub(crate) fn array(size: u32) -> ProgressBar {
    let bar = ProgressBar::new(size.into());
    bar.set_style(style("[{bar:30}] {pos}/{len} {elapsed} {msg}"));
    bar
}

/// Shows what the guest said.
pub(crate) fn advance(bar: &ProgressBar, progress: &Progress) {
    match progress.total {
        Some(total) => {
            bar.set_style(style("{spinner} {elapsed} [{bar:30}] {pos}/{len} {msg}"));
            bar.set_length(total);
        }
        None => bar.set_style(style("{spinner} {elapsed} {pos} {msg}")),
    }
    bar.set_position(progress.done);
    bar.set_message(crate::human::printable(&progress.note));
}

/// The templates are ours; should one be wrong, the test says so and the program shows the default bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        for template in [
            "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
            "{spinner} {elapsed} {msg}",
            "{spinner} {elapsed} [{bar:30}] {pos}/{len} {msg}",
            "{spinner} {elapsed} {pos} {msg}",
            "[{bar:30}] {pos}/{len} {elapsed} {msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn progress_is_read_from_its_log_line() {
        let progress: Progress = serde_json::from_str(r#"{"done":3,"total":null,"note":"x"}"#).unwrap();
        assert_eq!(progress, Progress { done: 3, total: None, note: "x".into() });
        advance(&guest(), &progress);
        advance(&guest(), &Progress { done: 9, total: Some(5), note: "\u{1b}".into() });
    }
}
