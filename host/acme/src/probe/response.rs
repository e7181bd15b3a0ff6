//! Just enough of HTTP/1.1 (RFC 9112) to read one answer of a server that is not trusted.
//!
//! Pure and incremental: bytes go in as they come, an answer comes out. Everything is bounded, and only a line that has
//! not ended is looked at again, however slowly bytes come. A redirect is over with its head: its body is of no interest.

use std::ops::Range;
use thiserror::Error;

/// Bytes of a head. What servers commonly allow for requests.
const MAX_HEAD: usize = 16 << 10;
/// Bytes of a body. What is asked for is under 200.
const MAX_BODY: usize = 64 << 10;
/// Bytes of an answer in all, so that tiny chunks with long lines before them end too.
const MAX_ANSWER: usize = 256 << 10;
/// Bytes of the line before a chunk.
const MAX_CHUNK_LINE: usize = 256;

/// Why an answer can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum ResponseError {
    #[error("the answer is no HTTP/1.1")]
    Form,
    #[error("the head of the answer is larger than 16 KiB")]
    Head,
    #[error("the body of the answer is larger than 64 KiB")]
    Body,
    #[error("the answer ends too early")]
    Short,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Reads an answer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
    /// Up to where the buffer has been read.
    at: usize,
    head: Option<(Response, Framing)>,
}

impl Reader {
    /// Takes more bytes; the answer when it is whole.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<Response>, ResponseError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > MAX_ANSWER {
            return Err(ResponseError::Body);
        }
        if self.head.is_none() {
            let Some(end) = self.end_of_head()? else { return Ok(None) };
            self.head = Some(parse_head(&self.buffer[..end])?);
            self.at = end;
        }
        let Some((response, framing)) = &mut self.head else { return Ok(None) };
        if is_redirect(response.status) {
            return Ok(Some(response.clone()));
        }
        match *framing {
            Framing::Length(length) if length > MAX_BODY => Err(ResponseError::Body),
            Framing::Length(length) => Ok(self.buffer.get(self.at..self.at + length).map(|body| {
                response.body = body.to_vec();
                response.clone()
            })),
            Framing::Chunked => self.take_chunks(),
            Framing::UntilClose if self.buffer.len() - self.at > MAX_BODY => Err(ResponseError::Body),
            Framing::UntilClose => Ok(None),
        }
    }

    /// The answer, now that no more bytes come.
    pub(super) fn close(self) -> Result<Response, ResponseError> {
        match self.head {
            Some((mut response, Framing::UntilClose)) => {
                response.body = self.buffer[self.at..].to_vec();
                Ok(response)
            }
            _ => Err(ResponseError::Short),
        }
    }

    /// Where the empty line after the head ends. What was searched is not searched again.
    fn end_of_head(&mut self) -> Result<Option<usize>, ResponseError> {
        while let Some(length) = line(&self.buffer, self.at) {
            let is_empty = content(&self.buffer, self.at..self.at + length).is_empty();
            self.at += length;
            if self.at > MAX_HEAD {
                return Err(ResponseError::Head);
            }
            if is_empty {
                return Ok(Some(self.at));
            }
        }
        // A last line without an end is searched again, so it must be short against the whole.
        if self.buffer.len() > MAX_HEAD { Err(ResponseError::Head) } else { Ok(None) }
    }

    fn take_chunks(&mut self) -> Result<Option<Response>, ResponseError> {
        let Some((response, _)) = &mut self.head else { return Ok(None) };
        loop {
            let Some(length) = line(&self.buffer, self.at) else {
                let rest = self.buffer.len() - self.at;
                return if rest > MAX_CHUNK_LINE { Err(ResponseError::Form) } else { Ok(None) };
            };
            let size = chunk_size(content(&self.buffer, self.at..self.at + length))?;
            if size == 0 {
                // Trailers are of no interest, nor is whether they end.
                return Ok(Some(response.clone()));
            }
            if response.body.len() + size > MAX_BODY {
                return Err(ResponseError::Body);
            }
            let begin = self.at + length;
            let Some(chunk) = self.buffer.get(begin..begin + size) else { return Ok(None) };
            let Some(end) = line(&self.buffer, begin + size) else { return Ok(None) };
            if !content(&self.buffer, begin + size..begin + size + end).is_empty() {
                return Err(ResponseError::Form);
            }
            response.body.extend_from_slice(chunk);
            self.at = begin + size + end;
        }
    }
}

/// Whether an answer says that what was asked for is elsewhere.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Bytes of the line that begins there, with its end.
fn line(buffer: &[u8], at: usize) -> Option<usize> {
    buffer.get(at..)?.iter().position(|byte| *byte == b'\n').map(|place| place + 1)
}

/// A line without its end.
fn content(buffer: &[u8], range: Range<usize>) -> &[u8] {
    let line = &buffer[range];
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn chunk_size(line: &[u8]) -> Result<usize, ResponseError> {
    let text = std::str::from_utf8(line).map_err(|_| ResponseError::Form)?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = is_hex.then(|| usize::from_str_radix(digits, 16).unwrap_or(usize::MAX / 2));
    match size {
        Some(size) if size <= MAX_BODY => Ok(size),
        Some(_) => Err(ResponseError::Body),
        None => Err(ResponseError::Form),
    }
}

fn parse_head(head: &[u8]) -> Result<(Response, Framing), ResponseError> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().and_then(|line| std::str::from_utf8(line).ok()).ok_or(ResponseError::Form)?;
    let rest = first.strip_prefix("HTTP/1.").ok_or(ResponseError::Form)?;
    let mut words = rest.splitn(3, ' ').skip(1);
    let digits = words.next().filter(|word| word.len() == 3).ok_or(ResponseError::Form)?;
    let status: u16 = digits.parse().map_err(|_| ResponseError::Form)?;
    if !(200..600).contains(&status) {
        return Err(ResponseError::Form);
    }
    let mut framing = Framing::UntilClose;
    let mut location = None;
    for line in lines.filter(|line| !line.is_empty()) {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let (name, value) = line.split_once(':').ok_or(ResponseError::Form)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("location") {
            location = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(ResponseError::Form);
            }
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length") && framing != Framing::Chunked {
            framing = Framing::Length(value.parse().map_err(|_| ResponseError::Form)?);
        }
    }
    Ok((Response { status, location, body: Vec::new() }, framing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is read when the bytes come in pieces of a size.
    fn read(bytes: &[u8], piece: usize) -> Result<Response, ResponseError> {
        let mut reader = Reader::default();
        for piece in bytes.chunks(piece) {
            if let Some(response) = reader.push(piece)? {
                return Ok(response);
            }
        }
        reader.close()
    }

    #[test]
    fn a_body_ends_by_length_by_chunks_or_with_the_connection() {
        for (text, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "abc"),
            ("HTTP/1.0 200 OK\r\nServer: x\r\n\r\nabc", "abc"),
            ("HTTP/1.1 200\nContent-Length: 0\n\n", ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                "abc",
            ),
        ] {
            for piece in [1, 2, 7, 1000] {
                assert_eq!(read(text.as_bytes(), piece).unwrap().body, body.as_bytes(), "{text}");
            }
        }
    }

    #[test]
    fn a_redirect_is_over_with_its_head() {
        let mut reader = Reader::default();
        let response =
            reader.push(b"HTTP/1.1 302 Found\r\nlocation:  /x \r\nContent-Length: 99\r\n\r\n").unwrap();
        assert_eq!(response.unwrap().location.as_deref(), Some("/x"));
    }

    #[test]
    fn what_has_no_bounds_is_refused() {
        let endless =
            |head: &str, fill: &str| read((head.to_owned() + &fill.repeat(90_000)).as_bytes(), 4096);
        assert_eq!(endless("HTTP/1.1 200 OK\r\nA: ", "a"), Err(ResponseError::Head));
        assert_eq!(endless("HTTP/1.1 200 OK\r\n", "A: b\r\n"), Err(ResponseError::Head));
        assert_eq!(endless("HTTP/1.1 200 OK\r\n\r\n", "a"), Err(ResponseError::Body));
        assert_eq!(
            endless("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n", "a"),
            Err(ResponseError::Body)
        );
        let chunk_without_end = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na";
        assert_eq!(endless(chunk_without_end, "aaaa"), Err(ResponseError::Body));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(endless(chunked, "1\r\na\r\n"), Err(ResponseError::Body));
        assert_eq!(endless(&format!("{chunked}ffffffffffffffff\r\n"), "a"), Err(ResponseError::Body));
        assert_eq!(endless(chunked, "1"), Err(ResponseError::Form));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for text in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        ] {
            assert_eq!(read(text.as_bytes(), 9), Err(ResponseError::Form), "{text}");
        }
        for text in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"] {
            assert_eq!(read(text.as_bytes(), 9), Err(ResponseError::Short), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_answer_is_the_same_in_whatever_pieces_it_comes(
            rest in r"(Content-Length: [0-9]{1,2}|Transfer-Encoding: chunked|X: y)?(\r\n){1,2}[0-3a\r\n;]{0,30}",
            piece in 1usize..40,
        ) {
            let text = format!("HTTP/1.1 200 OK\r\n{rest}");
            prop_assert_eq!(read(text.as_bytes(), piece), read(text.as_bytes(), 1));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in any::<Vec<u8>>(), piece in 1usize..40) {
            let _ = read(&bytes, piece);
            let _ = read(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", bytes.as_slice()].concat(), piece);
        }
    }
}
