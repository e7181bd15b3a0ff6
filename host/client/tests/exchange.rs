//! The client against a small server of its own: what it sends, and what it makes of the answers.
//!
//! The server speaks real TCP and answers what the test gives it, one connection after the other; the node's own
//! behaviour is the system tests' business.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails there")]

use hypermesh_client::{Client, ClientError, Notice, Start, Upload, UsageNotice};
use hypermesh_wire::allocations::{CreateAllocation, Phase, Requirements, ResizeAllocation};
use hypermesh_wire::assets::AssetQuery;
use hypermesh_wire::catalog::UploadQuery;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// Answers each connection with the next of `answers`, then closes it; gives the requests as text.
fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        answers.into_iter().map(|answer| exchange(listener.accept().unwrap().0, &answer)).collect()
    });
    (url, served)
}

fn exchange(mut stream: TcpStream, answer: &str) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        request += &line;
        if line == "\r\n" {
            break;
        }
    }
    let lower = request.to_ascii_lowercase();
    let refuses = answer.starts_with("HTTP/1.1 4");
    if lower.contains("expect: 100-continue") && !refuses {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let waits = lower.contains("expect: 100-continue") && refuses;
    let mut body = vec![0; if waits { 0 } else { length.unwrap_or(0) }];
    reader.read_exact(&mut body).unwrap();
    request += &String::from_utf8_lossy(&body);
    stream.write_all(answer.as_bytes()).unwrap();
    request
}

fn answer(status: &str, content: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn problem(status: u16) -> String {
    let body = format!(
        r#"{{"type":"/problems/not-enough-capacity","title":"Not enough capacity","status":{status},
            "detail":"1.5 GB asked, 1.0 GB free","instance":"/api/v1/allocations",
            "timestamp":"2026-01-02T03:04:05Z","request_id":"r1","reasons":[{{"dimension":"memory"}}]}}"#
    );
    answer(&format!("{status} Refused"), "application/problem+json", &body)
}

fn lease() -> CreateAllocation {
    let requirements = Requirements { memory: Some("256MiB".into()), ..Requirements::default() };
    CreateAllocation { requirements, ..CreateAllocation::new("cpu", 25.0, 60) }
}

#[test]
fn a_refusal_is_the_node_s_own_problem_document() {
    let (url, served) = server(vec![problem(409)]);
    let error = Client::new(&url, Some("secret".into())).unwrap().allocate(&lease()).unwrap_err();
    assert_eq!(error.status(), Some(409));
    assert_eq!(error.to_string(), "Not enough capacity: 1.5 GB asked, 1.0 GB free");
    let ClientError::Problem(problem) = error else { panic!("{error:?}") };
    assert_eq!(problem.reasons[0]["dimension"], "memory");

    let request = served.join().unwrap().remove(0);
    assert!(request.starts_with("POST /api/v1/allocations HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("authorization: bearer secret\r\n"), "{request}");
    assert!(
        request.ends_with(
            r#"{"asset_id":"cpu","amount":25.0,"duration":60,"requirements":{"memory":"256MiB"}}"#
        )
    );
}

#[test]
fn an_error_that_is_no_problem_document_is_shown_as_it_came() {
    let (url, _served) = server(vec![answer("502 Bad Gateway", "text/html", "<h1>nginx</h1>")]);
    let error = Client::new(&url, None).unwrap().health().unwrap_err();
    assert!(
        matches!(&error, ClientError::Unexpected { status: 502, body } if body == "<h1>nginx</h1>"),
        "{error:?}"
    );
}

#[test]
fn a_redirect_is_not_followed_with_the_token() {
    let moved =
        "HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (url, _served) = server(vec![moved.into()]);
    let error = Client::new(&url, Some("secret".into())).unwrap().health().unwrap_err();
    assert!(matches!(error, ClientError::Unexpected { status: 302, .. }), "{error:?}");
}

#[test]
fn a_success_that_is_not_the_contract_s_is_a_protocol_error() {
    let (url, _served) = server(vec![answer("200 OK", "application/json", "{}")]);
    let error = Client::new(&url, None).unwrap().health().unwrap_err();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
}

#[test]
fn where_nothing_listens_it_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::new(&url, None).unwrap().assets(&AssetQuery::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("no answer from {url}"));
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
}

#[test]
fn a_connection_that_breaks_within_the_answer_is_unreachable() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n[";
    let (url, _served) = server(vec![cut.into()]);
    let error = Client::new(&url, None).unwrap().assets(&AssetQuery::default()).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
}

#[test]
fn addresses_and_tokens_that_cannot_be_used_are_told_before_anything_is_sent() {
    for base in ["", "127.0.0.1:8446", "https://127.0.0.1:8446", "http://", "http://h/path", "ftp://h"] {
        assert!(matches!(Client::new(base, None), Err(ClientError::Configuration { .. })), "{base:?}");
    }
    assert!(Client::new("http://[::1]:8446/", None).is_ok());
    assert!(matches!(
        Client::new("http://h", Some("a\r\nx: y".into())),
        Err(ClientError::Configuration { .. })
    ));
}

#[test]
fn an_upload_is_streamed_with_its_length_and_tells_how_far_it_is() {
    let content = "x".repeat(200_000);
    let blob = format!(r#"{{"digest":"{}","size":200000}}"#, "0".repeat(64));
    let (url, served) = server(vec![answer("201 Created", "application/json", &blob)]);
    let mut told = Vec::new();
    let mut reader = content.as_bytes();
    let upload = Upload { reader: &mut reader, length: 200_000, progress: &mut |sent| told.push(sent) };
    let stored = Client::new(&url, Some("t".into())).unwrap().upload_blob(upload).unwrap();
    assert_eq!(stored.size, 200_000);
    assert!(told.is_sorted() && told.last() == Some(&200_000), "{told:?}");
    let request = served.join().unwrap().remove(0);
    assert!(request.to_ascii_lowercase().contains("content-length: 200000\r\n"));
    assert!(!request.to_ascii_lowercase().contains("transfer-encoding"));
    assert!(request.ends_with(&content));
}

#[test]
fn a_refused_upload_shows_the_refusal_and_sends_no_bytes() {
    let (url, served) = server(vec![problem(401)]);
    let mut told = 0;
    let mut reader = std::io::repeat(7);
    let upload = Upload { reader: &mut reader, length: 64 << 20, progress: &mut |sent| told = sent };
    let about =
        UploadQuery { name: Some("a-b".into()), version: None, description: Some("what & why".into()) };
    let error = Client::new(&url, None).unwrap().upload_package(&about, upload).unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert_eq!(told, 0);
    let request = served.join().unwrap().remove(0);
    assert!(
        request.starts_with("POST /api/v1/catalog/packages?description=what%20%26%20why&name=a-b HTTP/1.1"),
        "{request}"
    );
}

#[test]
fn a_file_that_shrinks_while_it_is_uploaded_is_a_local_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taker = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut all = Vec::new();
        // The client gives up in the middle; whether that looks like an end or a reset is the kernel's choice.
        let _ = stream.read_to_end(&mut all);
    });
    let mut reader = &b"short"[..];
    let upload = Upload { reader: &mut reader, length: 100, progress: &mut |_| {} };
    let error = Client::new(&url, None).unwrap().upload_blob(upload).unwrap_err();
    assert!(matches!(error, ClientError::Local { .. }), "{error:?}");
    taker.join().unwrap();
}

#[test]
fn an_output_is_copied_byte_for_byte() {
    let (url, served) = server(vec![answer("200 OK", "application/octet-stream", "bytes\n")]);
    let mut copy = Vec::new();
    let client = Client::new(&url, None).unwrap();
    assert_eq!(client.download_output("e1", "a b.txt", &mut copy, &mut |_| {}).unwrap(), 6);
    assert_eq!(copy, b"bytes\n");
    assert!(served.join().unwrap()[0].starts_with("GET /api/v1/vm/executions/e1/outputs/a%20b.txt "));
}

#[test]
fn raw_gives_any_answer_as_it_is() {
    let (url, _served) = server(vec![problem(404)]);
    let client = Client::new(&url, None).unwrap();
    let raw = client.raw("DELETE", "/api/v1/assets/x", None).unwrap();
    assert_eq!(raw.status, 404);
    assert!(raw.headers.contains(&("content-type".into(), "application/problem+json".into())));
    assert!(matches!(client.raw("BAD METHOD", "/", None), Err(ClientError::Configuration { .. })));
    assert!(matches!(client.raw("GET", "/a b", None), Err(ClientError::Configuration { .. })));
}

fn event(sequence: u64) -> String {
    format!(
        "id: {sequence}\nevent: asset_updated\ndata: {{\"sequence\":{sequence},\"at\":\"2026-01-02T03:04:05Z\",\
         \"kind\":\"asset_updated\",\"subject\":\"a\",\"data\":{{}}}}\n\n"
    )
}

fn stream(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}")
}

#[test]
fn an_event_stream_resumes_after_the_last_event_that_it_saw() {
    let gone = "event: gone\ndata: {\"oldest\":9}\n\n";
    let first = stream(&format!(": hello\n\n{}{}data: cut off", event(4), event(5)));
    let (url, served) = server(vec![first, stream(&format!("{gone}{}", event(9)))]);
    let notices = Client::new(&url, None).unwrap().events(Start::After(3));
    let seen: Vec<u64> = notices
        .take(4)
        .map(|notice| match notice.unwrap() {
            Notice::Event(event) => event.sequence,
            Notice::Gone { oldest } => oldest.unwrap() + 1000,
        })
        .collect();
    assert_eq!(seen, [4, 5, 1009, 9]);
    let requests = served.join().unwrap();
    assert!(requests[0].contains("last-event-id: 3\r\n") && requests[1].contains("last-event-id: 5\r\n"));
}

#[test]
fn recorded_events_end_when_the_stream_falls_quiet() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let served = std::thread::spawn(move || {
        let (stream_, _) = listener.accept().unwrap();
        exchange(stream_.try_clone().unwrap(), &stream(&event(1)));
        // Kept open, as a node does.
        let _ = wait.recv();
    });
    let seen: Vec<_> = Client::new(&url, None).unwrap().events(Start::RecordedAfter(0)).collect();
    assert!(matches!(&seen[..], [Ok(Notice::Event(event))] if event.sequence == 1), "{seen:?}");
    drop(done);
    served.join().unwrap();
}

#[test]
fn a_stream_that_is_refused_ends_with_the_refusal() {
    let (url, _served) = server(vec![problem(429)]);
    let seen: Vec<_> = Client::new(&url, None).unwrap().events(Start::Now).collect();
    assert!(matches!(&seen[..], [Err(error)] if error.status() == Some(429)), "{seen:?}");
}

fn usage(current: u64) -> String {
    format!(
        r#"{{"allocation_id":"a","at":"2026-01-02T03:04:05Z","cpu":{{"time_s":1.5,"cores":null,"throttled_s":0.0,
            "throttled_periods":0,"periods":9}},"memory":{{"current":{current}}},"pids":{{}},"io":{{}},"pressure":{{}},
            "gpus":[],"storage":null,"oom_kills":0,"processes":1}}"#
    )
}

#[test]
fn a_followed_usage_ends_with_the_word_that_the_allocation_ended() {
    let reading = |current| format!("event: usage\ndata: {}\n\n", usage(current).replace('\n', " "));
    let ended = "event: ended\ndata: {\"allocation_id\":\"a\",\"phase\":\"completed\",\"end_reason\":\"released\"}\n\n";
    let (url, served) = server(vec![stream(&format!("{}: still here\n\n{}{ended}", reading(1), reading(2)))]);
    let seen: Vec<_> =
        Client::new(&url, None).unwrap().follow_usage("a", 2).unwrap().map(Result::unwrap).collect();
    let [UsageNotice::Reading(first), UsageNotice::Reading(second), UsageNotice::Ended(end)] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(
        (first.memory.current, second.memory.current, end.phase),
        (Some(1), Some(2), Phase::Completed)
    );
    let request = &served.join().unwrap()[0];
    assert!(request.starts_with("GET /api/v1/allocations/a/usage?follow=true&interval=2 "), "{request}");
}

#[test]
fn a_stream_of_usage_that_the_node_closes_just_ends_and_a_broken_one_is_an_error() {
    let (url, _served) = server(vec![stream(&format!("data: {}\n\n", usage(1).replace('\n', " ")))]);
    let seen: Vec<_> = Client::new(&url, None).unwrap().follow_usage("a", 1).unwrap().collect();
    assert!(matches!(&seen[..], [Ok(UsageNotice::Reading(_))]), "{seen:?}");
    let (url, _served) = server(vec![stream("data: {}\n\n")]);
    let seen: Vec<_> = Client::new(&url, None).unwrap().follow_usage("a", 1).unwrap().collect();
    assert!(matches!(&seen[..], [Err(ClientError::Protocol { .. })]), "{seen:?}");
}

#[test]
fn a_change_says_which_generation_it_is_meant_for_and_a_key_which_request_it_is() {
    let (url, served) = server(vec![problem(412), problem(412), problem(409), problem(409)]);
    let client = Client::new(&url, None).unwrap();
    let smaller = ResizeAllocation { memory: Some("64MiB".into()), ..ResizeAllocation::default() };
    assert_eq!(client.resize("a", &smaller, Some(7)).unwrap_err().status(), Some(412));
    assert_eq!(client.renew("a", 60, None).unwrap_err().status(), Some(412));
    client.allocate_once(&lease(), "k-1").unwrap_err();
    client.preview(&lease()).unwrap_err();
    let requests = served.join().unwrap();
    assert!(requests[0].starts_with("PATCH /api/v1/allocations/a HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("if-match: \"7\"\r\n") && requests[0].ends_with(r#"{"memory":"64MiB"}"#));
    assert!(
        requests[1].starts_with("POST /api/v1/allocations/a/renew ") && !requests[1].contains("if-match")
    );
    assert!(requests[2].contains("idempotency-key: k-1\r\n"), "{}", requests[2]);
    assert!(requests[3].starts_with("POST /api/v1/allocations?dry_run=true "), "{}", requests[3]);
}
