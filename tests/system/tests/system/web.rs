//! HTTP/1.1 by hand, for guests behind the node: bodies of any bytes, pieces while they come, answers that break off.

use hypermesh_harness::{Node, PATIENCE};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// An answer, its body decoded.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether it ended before its end.
    pub(crate) is_cut: bool,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Begins an exchange, with the token; the body is up to the caller.
#[track_caller]
pub(crate) fn begin(
    node: &Node,
    method: &str,
    path: &str,
    headers: &[&str],
) -> (TcpStream, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(node.address("hypermesh")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let token = format!("authorization: Bearer {}", node.token());
    let host = format!("host: {}", node.address("hypermesh"));
    let line = format!("{method} {path} HTTP/1.1");
    let mut lines = vec![line.as_str(), host.as_str()];
    if !headers.iter().any(|header| header.starts_with("authorization")) {
        lines.push(&token);
    }
    lines.extend(headers);
    stream.write_all((lines.join("\r\n") + "\r\n\r\n").as_bytes()).unwrap();
    let reader = BufReader::new(stream.try_clone().unwrap());
    (stream, reader)
}

/// One exchange.
#[track_caller]
pub(crate) fn ask(node: &Node, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Asked {
    let length = format!("content-length: {}", body.len());
    let mut all = headers.to_vec();
    if !body.is_empty() {
        all.push(&length);
    }
    let (mut stream, reader) = begin(node, method, path, &all);
    let reading = std::thread::spawn(move || read_answer(reader));
    // The node may answer before it has read all.
    let _ = stream.write_all(body);
    reading.join().unwrap()
}

/// Reads an answer to its end.
#[track_caller]
pub(crate) fn read_answer(mut reader: BufReader<TcpStream>) -> Asked {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer: {line:?}"));
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Asked { status, headers, body: Vec::new(), is_cut: false };
    match answer.header("content-length").map(str::to_owned) {
        Some(length) => {
            let length: u64 = length.parse().unwrap();
            let read = reader.take(length).read_to_end(&mut answer.body);
            answer.is_cut = read.is_err() || answer.body.len() as u64 != length;
        }
        None if answer.header("transfer-encoding").is_some() => {
            answer.is_cut = read_chunks(&mut reader, &mut answer.body).is_none();
        }
        None => {}
    }
    answer
}

/// `None` when the end is missing.
fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return Some(());
        }
    }
}
