//! How a file looks: its head, its length, and words that have no place in it.
//!
//! Each rule takes a text and gives findings as `path:line: what to do`. The words are spelt in two halves here, so
//! that this file keeps its own rules.

use std::path::Path;
use toml::Table;

/// Longest file, in lines. Services that experts praise go wrong in one file that swallowed an engine.
pub const MAX_LINES: usize = 600;

/// Half of all files are at most this long.
pub const MAX_MEDIAN_LINES: usize = 150;

/// Endings of what is built, recorded or kept, and never written.
const NOT_SOURCES: [&str; 13] =
    ["wasm", "cwasm", "log", "so", "a", "o", "rlib", "rmeta", "exe", "db", "sqlite", "pyc", "profraw"];

/// Bytes at the beginning of a file that tell a text from a binary; git looks at as many.
const SNIFFED: usize = 8000;

/// Unfinished work and left-over debugging.
const MARKERS: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!"),
    concat!("unimplem", "ented!"),
    concat!("db", "g!"),
];

/// Folders of a developer's machine. A path of the tree is relative, and one of the system is in `/etc`, `/sys`, …
const MACHINE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// A Rust file says what it is for before anything else, and stays readable in one sitting.
pub fn head_and_length(path: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//! ") {
        findings.push(format!("{}:1: must open with a `//!` head that says what it is for", path.display()));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{}:{lines}: has {lines} lines; the limit is {MAX_LINES}", path.display()));
    }
    findings
}

/// Work that was announced instead of done. Where it is known what is missing, it is an issue or an error message.
pub fn markers(path: &Path, text: &str) -> Vec<String> {
    let found = |line: &str| MARKERS.iter().find(|marker| stands_alone(line, marker)).copied();
    each_line(path, text, |line| {
        found(line).map(|marker| format!("`{marker}` has no place in a landed file"))
    })
}

/// Paths that exist only where the file was written.
pub fn machine_paths(path: &Path, text: &str) -> Vec<String> {
    let found = |line: &str| MACHINE_PATHS.iter().find(|folder| begins_a_path(line, folder)).copied();
    each_line(path, text, |line| {
        found(line).map(|folder| format!("a path below `{folder}` is some machine's"))
    })
}

/// Files that are built, not written.
pub fn built(path: &Path, content: &[u8]) -> Option<String> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if NOT_SOURCES.contains(&ending) {
        return Some(format!("{}: .{ending} files are built or recorded; don't add them", path.display()));
    }
    let binary = content[..content.len().min(SNIFFED)].contains(&0);
    binary.then(|| format!("{}: is a binary; build it, or make it in the test that needs it", path.display()))
}

/// A member that forgets this line is checked by none of the workspace's lints.
pub fn lints_of_workspace(path: &Path, manifest: &str) -> Option<String> {
    let table: Result<Table, _> = manifest.parse();
    let inherits = table.ok().and_then(|table| table.get("lints")?.get("workspace")?.as_bool());
    (inherits != Some(true)).then(|| format!("{}: add `[lints]` with `workspace = true`", path.display()))
}

/// The middle of the lengths; 0 for none.
pub fn median(mut lengths: Vec<usize>) -> usize {
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or(0)
}

fn each_line(path: &Path, text: &str, check: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found =
        lines.filter_map(|(index, line)| Some(format!("{}:{}: {}", path.display(), index + 1, check(line)?)));
    found.collect()
}

/// Whether `word` occurs in `line` other than as a part of a longer word.
fn stands_alone(line: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(inside) && (word.ends_with('!') || !after.is_some_and(inside))
    })
}

/// Whether `folder` occurs in `line` as the beginning of an absolute path.
fn begins_a_path(line: &str, folder: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "_-.}~$".contains(c);
    line.match_indices(folder).any(|(at, _)| !line[..at].chars().next_back().is_some_and(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "a/b.rs";

    #[test]
    fn a_file_without_a_head_is_found() {
        assert!(head_and_length(Path::new(FILE), "//! What it is for.\n").is_empty());
        for text in ["", "fn main() {}\n", "// a comment\n", "#![forbid(unsafe_code)]\n//! Late.\n"] {
            assert_eq!(head_and_length(Path::new(FILE), text).len(), 1, "{text}");
        }
        let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
        assert_eq!(head_and_length(Path::new(FILE), &long), ["a/b.rs:601: has 601 lines; the limit is 600"]);
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        for marker in MARKERS {
            let text = format!("fine\n  // {marker} later\n");
            let findings = markers(Path::new(FILE), &text);
            assert!(findings.len() == 1 && findings[0].starts_with("a/b.rs:2: "), "{findings:?}");
            assert_eq!(markers(Path::new(FILE), &format!("x{marker}")), Vec::<String>::new());
        }
        assert_eq!(markers(Path::new(FILE), &format!("{}S", MARKERS[0])), Vec::<String>::new());
    }

    #[test]
    fn a_path_of_some_machine_is_found() {
        for folder in MACHINE_PATHS {
            for line in
                [format!("open(\"{folder}x\")"), format!("{folder}x"), format!("see file://{folder}x")]
            {
                assert_eq!(machine_paths(Path::new(FILE), &line).len(), 1, "{line}");
            }
            for line in
                [format!("host{folder}x"), format!("$HOME{folder}x"), folder.trim_end_matches('/').to_owned()]
            {
                assert_eq!(machine_paths(Path::new(FILE), &line).len(), 0, "{line}");
            }
        }
    }

    #[test]
    fn what_is_built_is_found() {
        assert!(built(Path::new("x.cwasm"), b"").is_some());
        assert!(built(Path::new("x.txt"), b"a\0b").is_some());
        assert!(built(Path::new("x.rs"), b"//! Text.").is_none());
    }

    #[test]
    fn a_member_without_the_lints_is_found() {
        let path = Path::new("a/Cargo.toml");
        assert!(lints_of_workspace(path, "[lints]\nworkspace = true").is_none());
        for manifest in ["", "[lints]\nworkspace = false", "[lints.rust]\nunsafe_code = \"deny\"", "="] {
            assert!(lints_of_workspace(path, manifest).is_some(), "{manifest}");
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), 0);
        assert_eq!(median(vec![9, 1, 5]), 5);
    }
}
