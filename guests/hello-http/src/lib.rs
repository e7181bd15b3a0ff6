//! A `wasi:http/proxy` component, built from WASI's own bindings. For tests of how a request is served.
//!
//! The path says how to answer: a greeting, the request's body, many bytes, nothing, a panic; or how not to (`bad`). There
//! is nothing of it outside of a component, so natively this crate is empty.
#![cfg(target_family = "wasm")]

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::streams::OutputStream;

mod bad;

struct Hello;

/// How many requests this instance has had before: none, since each has one of its own.
static COUNTED: AtomicU32 = AtomicU32::new(1);

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        eprintln!("{:?} {path}", request.method());
        match path {
            "/" => respond(out, 200, &[b"hello over HTTP\n"]),
            "/echo" => respond(out, 200, &[&body(request.consume().expect("the body is taken once"))]),
            "/echo-stream" => echo(request, out),
            "/teapot" => respond(out, 418, &[]),
            "/count" => respond(out, 200, &[COUNTED.fetch_add(1, Ordering::Relaxed).to_string().as_bytes()]),
            "/cookie" => respond_with(out, &[("set-cookie", "a=b"), ("x-own", "kept")], b"a cookie\n"),
            "/log" => {
                eprintln!("the guest says {query}");
                respond(out, 200, &[]);
            }
            "/sleep" => {
                let pause: u64 = query.parse().expect("milliseconds");
                wasip2::clocks::monotonic_clock::subscribe_duration(pause * 1_000_000).block();
                respond(out, 200, &[]);
            }
            "/spin" => bad::spin(),
            "/grow" => bad::grow(),
            "/bytes" => {
                let count: usize = query.parse().expect("a number");
                let piece = vec![b'x'; 4096];
                respond(out, 200, &vec![&piece[..]; count.div_ceil(piece.len())]);
            }
            "/fetch" => match fetch(query) {
                Ok((status, text)) => respond(out, status, &[&text]),
                Err(error) => respond(out, 502, &[format!("{error:?}").as_bytes()]),
            },
            "/nothing" => {}
            "/error" => ResponseOutparam::set(out, Err(ErrorCode::ConfigurationError)),
            "/abort" => {
                let _answered = begin(out, 200);
                // Without a word, which would let the host send what it has.
                std::process::abort();
            }
            "/panic" => panic!("a guest that panics over HTTP"),
            "/panic-late" => {
                let (_body, mut stream) = begin(out, 200);
                stream.write_all(&[b'x'; 1000]).expect("its client listens");
                stream.flush().expect("its client listens");
                // Until the client has what was written so far.
                stream.subscribe().block();
                panic!("a guest that panics in its body");
            }
            _ if path.starts_with("/request/") => respond(out, 200, &[describe(&request).as_bytes()]),
            _ => respond(out, 404, &[]),
        }
    }
}

/// The request as JSON.
fn describe(request: &IncomingRequest) -> String {
    let fields = request.headers().entries().into_iter();
    let fields = fields.map(|(name, value)| format!("{name:?}:{:?}", String::from_utf8_lossy(&value)));
    format!(
        "{{\"method\":{:?},\"target\":{:?},\"headers\":{{{}}}}}",
        format!("{:?}", request.method()).trim_start_matches("Method::").to_uppercase(),
        request.path_with_query().unwrap_or_default(),
        fields.collect::<Vec<_>>().join(",")
    )
}

/// Gives each piece back when it comes.
fn echo(request: IncomingRequest, out: ResponseOutparam) {
    let (body, to) = begin(out, 200);
    let from = request.consume().expect("the body is taken once");
    let stream = from.stream().expect("the stream is taken once");
    while let Ok(piece) = stream.blocking_read(4096) {
        if to.blocking_write_and_flush(&piece).is_err() {
            return;
        }
    }
    drop(to);
    let _ = OutgoingBody::finish(body, None);
}

fn respond_with(out: ResponseOutparam, fields: &[(&str, &str)], text: &[u8]) {
    let headers = Fields::new();
    for (name, value) in fields {
        headers.append(name, value.as_bytes()).expect("a field that may be set");
    }
    finish(begin_with(out, 200, headers), &[text]);
}

fn begin(out: ResponseOutparam, status: u16) -> (OutgoingBody, OutputStream) {
    begin_with(out, status, Fields::new())
}

fn begin_with(out: ResponseOutparam, status: u16, headers: Fields) -> (OutgoingBody, OutputStream) {
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a status");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    (body, stream)
}

fn respond(out: ResponseOutparam, status: u16, pieces: &[&[u8]]) {
    finish(begin(out, status), pieces);
}

fn finish((body, mut stream): (OutgoingBody, OutputStream), pieces: &[&[u8]]) {
    for piece in pieces {
        // The client may have gone, or the host may have had enough.
        if stream.write_all(piece).is_err() {
            return;
        }
    }
    let _ = stream.flush();
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn body(body: IncomingBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut stream = body.stream().expect("the stream is taken once");
    stream.read_to_end(&mut bytes).expect("a whole body");
    bytes
}

/// Asks another server, `scheme://authority/path`.
fn fetch(url: &str) -> Result<(u16, Vec<u8>), ErrorCode> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some(&format!("/{path}"))).expect("a path");
    let future = outgoing_handler::handle(request, None)?;
    future.subscribe().block();
    let response = future.get().expect("it is ready").expect("it is taken once")?;
    Ok((response.status(), body(response.consume().expect("the body is taken once"))))
}
