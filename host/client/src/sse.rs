//! Server-sent events, decoded from bytes in any portions: the WHATWG stream format, without I/O.
//!
//! Kept: `event`, `data` and `id`. Comments, `retry` and unknown fields are skipped. A line or an event over
//! [`MAX_EVENT`] is an error, since a peer that never ends a line would otherwise fill the memory.

/// Longest event in bytes. The node's are below 64 KiB.
pub(crate) const MAX_EVENT: usize = 1 << 20;

/// One event of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its type; empty when the stream gave none.
    pub(crate) event: String,
    /// Its data, lines joined by a line feed.
    pub(crate) data: String,
    /// The last id that the stream gave, in this event or before.
    pub(crate) id: Option<String>,
}

/// The peer sent an event over [`MAX_EVENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {MAX_EVENT} bytes")]
pub(crate) struct TooLong;

/// A decoder. Feed it bytes; it gives the events that they complete.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    /// The last byte was CR: a following LF belongs to the same line end.
    after_cr: bool,
    /// A byte-order mark may stand at the very beginning.
    begun: bool,
    event: String,
    data: String,
    has_data: bool,
    id: Option<String>,
}

impl Decoder {
    /// Takes the next bytes and adds the events that they complete to `frames`.
    pub(crate) fn push(&mut self, bytes: &[u8], frames: &mut Vec<Frame>) -> Result<(), TooLong> {
        for &byte in bytes {
            let continues_cr = std::mem::take(&mut self.after_cr) && byte == b'\n';
            match byte {
                b'\n' if continues_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    self.end_line(frames);
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > MAX_EVENT {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    fn end_line(&mut self, frames: &mut Vec<Frame>) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = if self.begun { &*text } else { text.strip_prefix('\u{feff}').unwrap_or(&text) };
        self.begun = true;
        if text.is_empty() {
            return self.dispatch(frames);
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            _ => {}
        }
    }

    fn dispatch(&mut self, frames: &mut Vec<Frame>) {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            frames.push(Frame { event, data, id: self.id.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(portions: &[&[u8]]) -> Vec<Frame> {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for portion in portions {
            decoder.push(portion, &mut frames).unwrap();
        }
        frames
    }

    fn frame(event: &str, data: &str, id: Option<&str>) -> Frame {
        Frame { event: event.into(), data: data.into(), id: id.map(str::to_owned) }
    }

    #[test]
    fn fields_comments_and_line_ends_are_as_the_standard_says() {
        let stream = "\u{feff}: hello\r\nid: 7\revent: a\ndata: one\ndata:two\nretry: 5\n\n\
                      data\n\nevent: lost\n\ndata: {\"x\": 1}\r\n\r\nid\ndata:z\n\ndata: never ended";
        assert_eq!(
            decode(&[stream.as_bytes()]),
            [
                frame("a", "one\ntwo", Some("7")),
                frame("", "", Some("7")),
                frame("", "{\"x\": 1}", Some("7")),
                frame("", "z", Some("")),
            ]
        );
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        let chunk = vec![b'x'; MAX_EVENT / 2];
        assert_eq!(decoder.push(&chunk, &mut frames), Ok(()));
        assert_eq!(decoder.push(&chunk, &mut frames), Ok(()));
        assert_eq!(decoder.push(b"x", &mut frames), Err(TooLong));
    }

    fn line_end() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("\n"), Just("\r\n"), Just("\r")]
    }

    proptest! {
        #[test]
        fn a_stream_means_the_same_wherever_it_is_cut(
            events in prop::collection::vec(("[a-z_]{1,8}", "[^\r\n\u{feff}]{1,20}", 1u64..1000), 1..8),
            end in line_end(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut stream = String::new();
            for (event, data, id) in &events {
                stream += &format!(": note{end}id: {id}{end}event: {event}{end}data: {data}{end}{end}");
            }
            let bytes = stream.as_bytes();
            let expected: Vec<Frame> = events
                .iter()
                .map(|(event, data, id)| frame(event, data, Some(&id.to_string())))
                .collect();
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(&decode(&[head, tail]), &expected);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&decode(&single), &expected);
        }

        #[test]
        fn any_bytes_are_survived_and_cuts_do_not_matter(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cut in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(decode(&[&bytes]), decode(&[head, tail]));
        }
    }
}
