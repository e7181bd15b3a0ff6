//! One HTTP/1.1 exchange as it is written, for requests that no decent client sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` for one that is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Sends `head` (lines without their ends; the first is the request line) and `body`, and reads the answer.
///
/// `content-length` and `connection: close` are added. A node that refuses before it has read all is no failure.
///
/// # Panics
/// When there is no connection, or no answer that is HTTP.
#[track_caller]
pub fn exchange(address: SocketAddr, head: &[&str], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the node listens");
    stream.set_read_timeout(Some(super::PATIENCE)).expect("a time limit");
    let length = format!("content-length: {}", body.len());
    let lines = head.iter().copied().chain([length.as_str(), "connection: close", "", ""]);
    let lines = lines.collect::<Vec<_>>().join("\r\n");
    // The peer may close while we still send; what it answered before is what counts.
    let _ = stream.write_all(lines.as_bytes()).and_then(|()| stream.write_all(body));
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    parse(&text).unwrap_or_else(|| panic!("no HTTP answer ({end:?}): {text:?}"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(Answer { status, headers, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_status_headers_and_body() {
        let answer = parse("HTTP/1.1 409 Conflict\r\nContent-Type: a/b\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (409, Some("a/b")));
        assert_eq!(answer.json()["a"], 1);
        assert!(parse("nonsense").is_none());
    }
}
