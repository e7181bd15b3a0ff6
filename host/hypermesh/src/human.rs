//! Values as people read them. `-` stands for what isn't known.
//!
//! Names, log lines and messages come from other people's guests: what goes to a terminal passes [`printable`], so that
//! none of it can be an escape sequence.

use hypermesh_model::Bytes;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// What stands for an unknown value.
pub(crate) const UNKNOWN: &str = "-";

/// `text` with a replacement for each control character but the tab.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// The same for text that may have lines.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// The name that a value has on the wire, e.g. of an enumeration.
pub(crate) fn named<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).map_or_else(|_| UNKNOWN.to_owned(), |value| plain(&value))
}

/// A JSON value as a phrase: `dimension memory, free 12`.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => UNKNOWN.to_owned(),
        Value::String(text) => printable(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let phrases = members.iter().map(|(name, value)| format!("{} {}", printable(name), plain(value)));
            phrases.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A number with at most two digits after the point.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number that may be unknown, in `unit`.
pub(crate) fn measured(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{}{unit}", number(value)))
}

/// A size in binary units.
pub(crate) fn bytes(value: Option<u64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| Bytes(value).to_string())
}

/// A count that may be unknown.
pub(crate) fn count(value: Option<u64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// Seconds with three digits.
pub(crate) fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.3} s"))
}

/// A length of time in its two largest units.
pub(crate) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, _, _) => format!("{days} d {hours} h"),
    }
}

/// `text` cut in its middle to at most `width` characters: a path's ends say most.
pub(crate) fn middle_cut(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let tail = width.saturating_sub(1) * 2 / 3;
    let head = width.saturating_sub(1 + tail);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

/// A kernel file's path in at most `width` characters: what lies between the controller and the file, which is mostly
/// ids, is left out first.
pub(crate) fn short_path(path: &str, width: usize) -> String {
    if path.chars().count() <= width {
        return path.to_owned();
    }
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        // "", "sys", "fs", "cgroup", the controller
        ["", a, b, c, controller, .., file] => {
            middle_cut(&format!("/{a}/{b}/{c}/{controller}/…/{file}"), width)
        }
        _ => middle_cut(path, width),
    }
}

/// A word or path that a shell takes as it is.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let safe = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!([number(100.0), number(0.5), number(2.345), number(0.0)], ["100", "0.5", "2.35", "0"]);
        assert_eq!(
            [duration(59), duration(61), duration(7260), duration(90_000)],
            ["59 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]
        );
        assert_eq!(measured(None, " %"), "-");
        assert_eq!(bytes(Some(1536)), "1.5 KiB");
    }

    #[test]
    fn a_long_path_loses_its_middle_first() {
        let path = "/sys/fs/cgroup/memory/hypermesh/node-1/alloc-2/memory.limit_in_bytes";
        assert_eq!(short_path(path, 80), path);
        assert_eq!(short_path(path, 60), "/sys/fs/cgroup/memory/…/memory.limit_in_bytes");
        assert_eq!(short_path(path, 20).chars().count(), 20);
        assert_eq!(short_path("/a/b", 3), "/…b");
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(shell_word(Path::new("/a/b-c.lock")), "/a/b-c.lock");
        assert_eq!(shell_word(Path::new("it's here")), r"'it'\''s here'");
    }

    proptest! {
        #[test]
        fn a_cut_text_fits_and_keeps_its_ends(text in "\\PC{0,60}", width in 8usize..40) {
            let cut = middle_cut(&text, width);
            prop_assert!(cut.chars().count() <= width);
            prop_assert_eq!(cut.chars().next(), text.chars().next());
            prop_assert_eq!(cut.chars().last(), text.chars().last());
        }

        #[test]
        fn printable_text_has_no_control_characters(text in any::<String>()) {
            prop_assert!(printable(&text).chars().all(|c| c == '\t' || !c.is_control()));
        }
    }
}
