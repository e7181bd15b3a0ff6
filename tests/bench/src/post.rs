//! A small HTTP/1.1 client for rows that count requests: both sides of such a row get the same one, so that what the client
//! costs is equal.
//!
//! One connection, kept alive; answers with a length, as both sides send them.

use crate::error::BenchError;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a piece of an answer.
const SILENCE: Duration = Duration::from_secs(30);
/// The largest answer that is one.
const MAX_ANSWER: usize = 1 << 20;

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, BenchError> {
        let failed = || BenchError::io(format!("connecting to {address}"));
        let stream = TcpStream::connect(address).map_err(failed())?;
        stream.set_nodelay(true).map_err(failed())?;
        stream.set_read_timeout(Some(SILENCE)).map_err(failed())?;
        Ok(Self { stream: BufReader::new(stream), address })
    }

    /// Posts JSON; status and body. `extra` are whole header lines.
    ///
    /// # Errors
    /// When the connection breaks off, or what comes is no HTTP.
    pub(crate) fn post(&mut self, path: &str, extra: &str, body: &str) -> Result<(u16, Vec<u8>), BenchError> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{extra}\r\n",
            self.address,
            body.len()
        );
        let failed = |doing: &str| BenchError::io(format!("{doing} {}", self.address));
        let request = [head.as_bytes(), body.as_bytes()].concat();
        self.stream.get_ref().write_all(&request).map_err(failed("sending to"))?;
        let (mut status, mut length, mut line) = (None, 0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line).map_err(failed("hearing from"))?;
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            match text.split_once(':') {
                _ if status.is_none() => status = text.split(' ').nth(1).and_then(|code| code.parse().ok()),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or(usize::MAX);
                }
                Some(_) | None => {}
            }
        }
        let Some(status) = status.filter(|_| length <= MAX_ANSWER) else {
            return Err(BenchError::Unexpected(format!(
                "{} answered no HTTP that is understood",
                self.address
            )));
        };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).map_err(failed("hearing from"))?;
        Ok((status, body))
    }
}
