//! From what a worker writes into its pipe to lines of the log: cut, counted, and believed as text only.
//!
//! The engine writes a line of JSON a log line and bounds them. A worker that its guest has taken over may write anything;
//! so lengths are bounded here again, and what is no such line becomes the text of one.

use crate::execution::parse_line;
use hypermesh_model::LogLine;

/// The longest line; what is longer loses its rest. The engine's are shorter.
const MAX_LINE: usize = 64 << 10;

/// Makes lines of bytes.
#[derive(Debug)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    /// Bytes that may still become lines.
    left: usize,
    dropped: u64,
}

impl Lines {
    /// Gives lines of at most so many bytes in all; further ones are dropped and counted.
    pub(crate) fn new(limit: usize) -> Self {
        Self { partial: Vec::new(), left: limit, dropped: 0 }
    }

    /// Takes further bytes; gives the lines that are whole now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let room = MAX_LINE - self.partial.len();
            self.partial.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                lines.extend(self.end_line());
            }
        }
        lines
    }

    /// The line that was not ended, if there is one, and how many were dropped.
    pub(crate) fn finish(mut self) -> (Option<LogLine>, u64) {
        let last = if self.partial.is_empty() { None } else { self.end_line() };
        (last, self.dropped)
    }

    fn end_line(&mut self) -> Option<LogLine> {
        let line = std::mem::take(&mut self.partial);
        // After the first that was dropped all are: a log with holes would mislead.
        match self.left.checked_sub(line.len()).filter(|_| self.dropped == 0) {
            Some(left) => {
                self.left = left;
                Some(parse_line(&line))
            }
            None => {
                self.dropped += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(line: &LogLine) -> String {
        line.message.clone()
    }

    #[test]
    fn lines_are_made_of_pieces_and_what_is_none_is_shown_as_it_is() {
        let whole = r#"{"at":"2030-01-02T03:04:05.000Z","level":"warn","message":"hello"}"#;
        let mut lines = Lines::new(1000);
        let (head, tail) = whole.as_bytes().split_at(20);
        assert!(lines.push(head).is_empty());
        let made = lines.push(&[tail, b"\nwhat\nrest"].concat());
        assert_eq!(made.len(), 2);
        assert!(text(&made[1]).ends_with("what"), "{made:?}");
        assert!(text(&lines.finish().0.unwrap()).ends_with("rest"));
    }

    #[test]
    fn what_is_over_the_limit_is_dropped_and_counted() {
        let mut lines = Lines::new(5);
        let made = lines.push(b"abc\nde\nf\n\n");
        assert_eq!(made.len(), 2, "the first two hold five bytes: {made:?}");
        assert_eq!(lines.finish().1, 2, "an empty line takes nothing, but would stand behind a hole");
    }

    proptest! {
        #[test]
        fn any_bytes_give_bounded_lines_wherever_they_are_cut(
            bytes in proptest::collection::vec(prop_oneof![4 => Just(b'a'), 1 => Just(b'\n')], 0..400),
            cut in any::<proptest::sample::Index>(),
            limit in 0usize..300,
        ) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            let run = |pieces: &[&[u8]]| {
                let mut lines = Lines::new(limit);
                let mut made: Vec<String> =
                    pieces.iter().flat_map(|piece| lines.push(piece)).map(|l| text(&l)).collect();
                let (last, dropped) = lines.finish();
                made.extend(last.iter().map(text));
                (made, dropped)
            };
            let (made, dropped) = run(&[head, tail]);
            prop_assert_eq!(&(made.clone(), dropped), &run(&[&bytes]));
            let ends = bytes.iter().filter(|b| **b == b'\n').count();
            let all = ends + usize::from(bytes.last().is_some_and(|b| *b != b'\n'));
            prop_assert_eq!(made.len() as u64 + dropped, all as u64);
        }

        #[test]
        fn a_line_without_end_holds_no_more_than_its_limit(pieces in 1usize..40) {
            let mut lines = Lines::new(1 << 20);
            for _ in 0..pieces {
                prop_assert!(lines.push(&[b'z'; 10_000]).is_empty());
                prop_assert!(lines.partial.len() <= MAX_LINE);
            }
        }
    }
}
