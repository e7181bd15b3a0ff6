//! Bytes into lines: what a guest prints comes in pieces of any size.
//!
//! A line is cut where it passes the limit and the rest of it is skipped, so that a guest that prints without ever
//! ending a line costs no memory.

/// The longest line of a log, in bytes of UTF-8, the mark of a cut not counted.
pub(super) const MAX_LINE_BYTES: usize = 4096;
/// What stands at the end of a line that was cut.
const CUT: &str = "…";

/// Gathers the bytes of an unfinished line.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    line: Vec<u8>,
}

impl LineSplitter {
    /// Adds bytes, and gives every line that they end.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            // One byte more than fits, so that `cut` can tell that there was more.
            let room = (MAX_LINE_BYTES + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                self.flush(&mut each);
            }
        }
    }

    /// Gives the unfinished line, if there is one.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&str)) {
        if !self.line.is_empty() {
            self.flush(&mut each);
        }
    }

    fn flush(&mut self, each: &mut impl FnMut(&str)) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        each(&String::from_utf8_lossy(line));
        self.line.clear();
    }
}

/// A line within the limit.
pub(super) fn cut(line: &str) -> String {
    cut_at(line, MAX_LINE_BYTES)
}

/// At most `limit` bytes of a text, and a mark if that wasn't all.
pub(super) fn cut_at(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        text.to_owned()
    } else {
        format!("{}{CUT}", &text[..text.floor_char_boundary(limit)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(piece, |line| lines.push(cut(line)));
        }
        splitter.finish(|line| lines.push(cut(line)));
        lines
    }

    #[test]
    fn pieces_become_lines() {
        assert_eq!(split(&[b"a", b"b\nc\r\n\nd"]), ["ab", "c", "", "d"]);
        assert_eq!(split(&[b"\xff\n"]), ["\u{fffd}"]);
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn long_lines_are_cut_on_a_character_and_the_next_one_is_whole() {
        let long = "ü".repeat(5000);
        let lines = split(&[long.as_bytes(), long.as_bytes(), b"\nnext\n"]);
        assert_eq!(lines, [format!("{}…", "ü".repeat(2048)), "next".to_owned()]);
    }

    proptest! {
        #[test]
        fn where_the_pieces_are_cut_does_not_matter(text in "[a-c\n]{0,60}", at in 0_usize..60) {
            let at = at.min(text.len());
            let whole = split(&[text.as_bytes()]);
            prop_assert_eq!(&whole, &split(&[&text.as_bytes()[..at], &text.as_bytes()[at..]]));
            prop_assert_eq!(whole, text.lines().map(str::to_owned).collect::<Vec<_>>());
        }
    }
}
