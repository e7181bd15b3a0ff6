//! HTTP components: a request comes over a socket, an instance answers it.

use crate::support::{Bench, Seen, cause};
use hypermesh_artifacts::HELLO_HTTP;
use hypermesh_engine::{Call, GrantedHost, Handles, JobOutcome};
use hypermesh_model::{Bytes, Cause};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::thread;

/// Sends bytes as a client that then waits, and gives what came back.
fn exchange(bench: &Bench, request: &[u8]) -> (JobOutcome, String, Seen) {
    let (mut client, server) = UnixStream::pair().unwrap();
    let request = request.to_vec();
    let peer = thread::spawn(move || {
        client.write_all(&request).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    });
    let handles = Handles { connection: Some(server.into()), ..bench.handles() };
    let (outcome, seen) = bench.call_with(Call::Http, handles);
    (outcome, peer.join().unwrap(), seen)
}

fn get(bench: &Bench, path: &str) -> (JobOutcome, String, Seen) {
    exchange(bench, format!("GET {path} HTTP/1.1\r\nHost: guest.example\r\n\r\n").as_bytes())
}

#[track_caller]
fn completed(outcome: &JobOutcome, expected: &str) {
    let JobOutcome::Completed { result, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(result, expected);
}

#[test]
fn a_request_is_answered_and_the_status_told() {
    let bench = Bench::new(HELLO_HTTP);
    let (outcome, answer, seen) = get(&bench, "/");
    completed(&outcome, r#"{"status":200}"#);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("hello over HTTP\n"), "{answer}");
    assert_eq!(seen.running, 1);
    assert!(seen.lines[0].1.ends_with(" /"), "{seen:?}");
    let (outcome, answer, _) = get(&bench, "/teapot");
    completed(&outcome, r#"{"status":418}"#);
    assert!(answer.starts_with("HTTP/1.1 418 "), "{answer}");
}

#[test]
fn a_body_goes_in_and_comes_out() {
    let body = "0123456789".repeat(30_000);
    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let (outcome, answer, _) = exchange(&Bench::new(HELLO_HTTP), (head + &body).as_bytes());
    completed(&outcome, r#"{"status":200}"#);
    let (_, chunked) = answer.split_once("\r\n\r\n").unwrap();
    assert!(chunked.len() >= body.len(), "{} of {}", chunked.len(), body.len());
    assert!(chunked.ends_with("0\r\n\r\n"), "whole");
}

#[test]
fn only_one_request_is_served() {
    let twice = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    let (outcome, answer, seen) = exchange(&Bench::new(HELLO_HTTP), twice.as_bytes());
    completed(&outcome, r#"{"status":200}"#);
    assert_eq!(answer.matches("hello over HTTP").count(), 1, "{answer}");
    assert_eq!(seen.lines.len(), 1, "{seen:?}");
}

#[test]
fn a_body_over_the_output_limit_breaks_the_connection() {
    let mut bench = Bench::new(HELLO_HTTP);
    bench.spec.output_bytes_limit = Bytes(10_000);
    let (outcome, answer, _) = get(&bench, "/bytes?100000");
    assert_eq!(cause(outcome), Cause::OutputLimit { limit: Bytes(10_000) });
    assert!(!answer.ends_with("0\r\n\r\n"), "a whole body of {} bytes", answer.len());
    let (outcome, ..) = get(&bench, "/bytes?8000");
    completed(&outcome, r#"{"status":200}"#);
}

#[test]
fn a_guest_that_fails_first_gives_the_client_a_500() {
    let bench = Bench::new(HELLO_HTTP);
    let (outcome, answer, seen) = get(&bench, "/panic");
    let Cause::Trap { message, backtrace } = cause(outcome) else { panic!() };
    assert!(message.contains("unreachable") && !backtrace.is_empty());
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(seen.lines.iter().any(|(_, text)| text.contains("panics over HTTP")));
    let (outcome, answer, _) = get(&bench, "/abort");
    assert!(matches!(cause(outcome), Cause::Trap { .. }));
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    for (path, expected) in [("/nothing", "no response"), ("/error", "ConfigurationError")] {
        let (outcome, answer, _) = get(&bench, path);
        let Cause::GuestError { message } = cause(outcome) else { panic!() };
        assert!(message.contains(expected), "{message}");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    }
}

#[test]
fn a_guest_that_fails_in_its_body_leaves_the_connection_broken() {
    let (outcome, answer, seen) = get(&Bench::new(HELLO_HTTP), "/panic-late");
    assert!(matches!(cause(outcome), Cause::Trap { .. }));
    assert!(seen.lines.iter().any(|(_, text)| text.contains("panics in its body")), "{seen:?}");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("xxx"), "{answer}");
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[test]
fn what_is_no_request_reaches_no_guest() {
    let bench = Bench::new(HELLO_HTTP);
    let (outcome, answer, seen) = exchange(&bench, b"");
    completed(&outcome, r#"{"status":null}"#);
    assert!(answer.is_empty() && seen.lines.is_empty());
    let (outcome, answer, seen) = exchange(&bench, b"GET / HTTP/1.1\r\n\r\n");
    completed(&outcome, r#"{"status":400}"#);
    assert!(answer.starts_with("HTTP/1.1 400 ") && seen.lines.is_empty(), "{answer}");
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let (outcome, answer, seen) = exchange(&bench, many.as_bytes());
    completed(&outcome, r#"{"status":null}"#);
    assert!(answer.starts_with("HTTP/1.1 431 ") && seen.lines.is_empty(), "{answer}");
}

#[test]
fn without_a_connection_there_is_nothing_to_serve() {
    let (outcome, _) = Bench::new(HELLO_HTTP).call(Call::Http);
    assert!(matches!(cause(outcome), Cause::WorkerLost { .. }));
}

/// An HTTP server that answers one request with its target.
fn other_server() -> (SocketAddr, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 203 Fine\r\nContent-Length: 5\r\n\r\nother").unwrap();
        String::from_utf8(head).unwrap()
    });
    (address, server)
}

#[test]
fn a_guest_reaches_granted_hosts_and_no_others() {
    let (address, server) = other_server();
    let port = address.port();
    let mut bench = Bench::new(HELLO_HTTP);
    let host = GrantedHost { host: "other.example".to_owned(), port, addresses: vec![address.ip()] };
    bench.spec.hosts = vec![host];
    let (outcome, answer, _) = get(&bench, &format!("/fetch?http://other.example:{port}/a/b"));
    completed(&outcome, r#"{"status":203}"#);
    assert!(answer.contains("other"), "{answer}");
    let head = server.join().unwrap();
    assert!(head.starts_with("GET /a/b HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains(&format!("host: other.example:{port}\r\n")), "{head}");

    for (url, expected) in [
        (format!("http://{address}/"), "HttpRequestDenied"),
        ("http://third.example/".to_owned(), "HttpRequestDenied"),
        (format!("https://other.example:{port}/"), "TlsProtocolError"),
    ] {
        let (outcome, answer, _) = get(&bench, &format!("/fetch?{url}"));
        completed(&outcome, r#"{"status":502}"#);
        assert!(answer.contains(expected), "{url}: {answer}");
    }
}
