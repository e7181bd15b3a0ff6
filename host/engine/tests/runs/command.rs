//! Commands that are anybody's: what they are given, what they give back, and how they end.

use crate::support::{Bench, Seen, cause};
use hypermesh_artifacts::ECHO_COMMAND;
use hypermesh_engine::{Call, GrantedHost, Handles, JobOutcome};
use hypermesh_model::{Bytes, Cause};
use rustix::pipe::pipe;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

fn call(words: &[&str]) -> Call {
    let arguments = ["echo"].iter().chain(words).map(|&word| word.to_owned()).collect();
    Call::Command { arguments, environment: BTreeMap::new() }
}

/// Runs it with standard output in a file, and gives what is in there.
fn run(bench: &Bench, call: Call) -> (JobOutcome, Vec<u8>, Seen) {
    let mut stdout = tempfile::tempfile().unwrap();
    let handles = Handles { stdout: Some(stdout.try_clone().unwrap().into()), ..bench.handles() };
    let (outcome, seen) = bench.call_with(call, handles);
    let mut printed = Vec::new();
    stdout.rewind().unwrap();
    stdout.read_to_end(&mut printed).unwrap();
    (outcome, printed, seen)
}

/// Runs it to a good end, and gives what it printed.
fn prints(bench: &Bench, words: &[&str]) -> String {
    let (outcome, printed, seen) = run(bench, call(words));
    let JobOutcome::Completed { result, .. } = outcome else { panic!("{words:?}: {outcome:?} {seen:?}") };
    assert_eq!(result, r#"{"exit_code":0}"#);
    String::from_utf8(printed).unwrap()
}

/// Runs it to a failure, and gives what it said to standard error.
fn complains(bench: &Bench, words: &[&str]) -> String {
    let (outcome, _, seen) = run(bench, call(words));
    assert_eq!(cause(outcome), Cause::ExitCode { code: 1 }, "{words:?}");
    assert!(seen.lines.iter().all(|(level, _)| level == "stderr"));
    seen.lines.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

#[test]
fn arguments_and_environment_arrive_and_no_more() {
    let bench = Bench::new(ECHO_COMMAND);
    assert_eq!(prints(&bench, &["arguments", "a b", "", "ü"]), "echo\narguments\na b\n\nü\n");
    assert_eq!(prints(&bench, &["environment"]), "");
    let environment =
        BTreeMap::from([("LANG".to_owned(), "C".to_owned()), ("A".to_owned(), "1=2".to_owned())]);
    let arguments = vec!["echo".to_owned(), "environment".to_owned()];
    let (_, printed, _) = run(&bench, Call::Command { arguments, environment });
    assert_eq!(String::from_utf8(printed).unwrap(), "A=1=2\nLANG=C\n");
}

#[test]
fn standard_input_is_streamed_through_a_pipe() {
    let bench = Bench::new(ECHO_COMMAND);
    let (stdin, feed) = pipe().unwrap();
    let (drain, stdout) = pipe().unwrap();
    // More than pipes hold, and answered before all is there: it can't have been gathered first.
    let peer = thread::spawn(move || {
        let (mut feed, mut drain) = (File::from(feed), File::from(drain));
        // Of lines: the standard library holds the rest of a line back.
        let mut piece = [b'p'; 300];
        piece[299] = b'\n';
        let mut echoed = [0; 300];
        for _ in 0..1000 {
            feed.write_all(&piece).unwrap();
            drain.read_exact(&mut echoed).unwrap();
            assert_eq!(echoed, piece);
        }
        drop(feed);
        assert_eq!(drain.read(&mut echoed).unwrap(), 0);
    });
    let handles = Handles { stdin: Some(stdin), stdout: Some(stdout), ..bench.handles() };
    let (outcome, _) = bench.call_with(call(&["cat"]), handles);
    assert!(matches!(outcome, JobOutcome::Completed { .. }), "{outcome:?}");
    peer.join().unwrap();
}

#[test]
fn standard_input_may_be_a_file_and_is_closed_without_one() {
    let mut bench = Bench::new(ECHO_COMMAND);
    assert_eq!(prints(&bench, &["cat"]), "");
    let file = bench.output_dir().join("input");
    fs::write(&file, "x".repeat(100_000)).unwrap();
    bench.stdin = Some(file);
    assert_eq!(prints(&bench, &["cat"]), "x".repeat(100_000));
}

#[test]
fn standard_output_is_binary_and_standard_error_is_lines_of_the_log() {
    let bench = Bench::new(ECHO_COMMAND);
    let (_, printed, _) = run(&bench, call(&["bytes", "1000"]));
    assert!(printed.iter().enumerate().all(|(index, byte)| usize::from(*byte) == index % 256));
    assert_eq!(printed.len(), 1000);
    let (_, printed, seen) = run(&bench, call(&["complain"]));
    assert!(printed.is_empty());
    let line = |text: &str| ("stderr".to_owned(), text.to_owned());
    assert_eq!(seen.lines, [line("first line"), line("second line")]);
}

#[test]
fn standard_output_without_a_descriptor_is_logged() {
    let (outcome, seen) = Bench::new(ECHO_COMMAND).call(call(&["arguments"]));
    assert!(matches!(outcome, JobOutcome::Completed { .. }), "{outcome:?}");
    assert_eq!(seen.lines[0], ("stdout".to_owned(), "echo".to_owned()));
}

#[test]
fn output_over_the_limit_ends_it_and_what_fits_is_there() {
    let mut bench = Bench::new(ECHO_COMMAND);
    bench.spec.output_bytes_limit = Bytes(5000);
    let (outcome, printed, _) = run(&bench, call(&["bytes", "5001"]));
    assert_eq!(cause(outcome), Cause::OutputLimit { limit: Bytes(5000) });
    assert_eq!(printed.len(), 5000);
    let (outcome, printed, _) = run(&bench, call(&["bytes", "5000"]));
    assert!(matches!(outcome, JobOutcome::Completed { .. }), "{outcome:?}");
    assert_eq!(printed.len(), 5000);
}

#[test]
fn a_reader_that_leaves_is_a_broken_pipe_to_the_command() {
    let bench = Bench::new(ECHO_COMMAND);
    let (drain, stdout) = pipe().unwrap();
    drop(drain);
    let handles = Handles { stdout: Some(stdout), ..bench.handles() };
    let (outcome, _) = bench.call_with(call(&["bytes", "10"]), handles);
    assert!(matches!(cause(outcome), Cause::ExitCode { code: 1 }));
}

#[test]
fn how_a_command_ends_is_its_exit_code() {
    let bench = Bench::new(ECHO_COMMAND);
    let ended = |words: &[&str]| cause(run(&bench, call(words)).0);
    assert_eq!(ended(&["fail"]), Cause::ExitCode { code: 1 });
    // wasi-libc has but one code for every failure as long as `exit-with-code` isn't everywhere.
    assert!(matches!(ended(&["exit", "7"]), Cause::ExitCode { code: 1 | 7 }));
    assert!(matches!(ended(&["no such word"]), Cause::ExitCode { code: 1 | 2 }));
    let (outcome, ..) = run(&bench, call(&["exit", "0"]));
    assert!(matches!(outcome, JobOutcome::Completed { .. }), "{outcome:?}");
    let Cause::Trap { message, backtrace } = ended(&["panic"]) else { panic!() };
    assert!(message.contains("unreachable") && !backtrace.is_empty());
}

#[test]
fn granted_folders_are_read_only_or_writable_and_more_than_one() {
    let (kept, shown) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(shown.path().join("hello"), "from the host").unwrap();
    let mut bench = Bench::new(ECHO_COMMAND);
    bench.grant(kept.path(), "/kept", true);
    bench.grant(shown.path(), "/shown", false);
    assert_eq!(prints(&bench, &["read", "/shown/hello"]), "from the host");
    assert_eq!(prints(&bench, &["list", "/shown"]), "hello\n");
    assert_eq!(prints(&bench, &["write", "/kept/new", "text"]), "");
    assert_eq!(fs::read_to_string(kept.path().join("new")).unwrap(), "text");
    for text in [" and", " more"] {
        assert_eq!(prints(&bench, &["append", "/kept/new", text]), "");
    }
    assert_eq!(fs::read_to_string(kept.path().join("new")).unwrap(), "text and more");
    let large: Vec<u8> = (0..=u8::MAX).cycle().take(3_000_000).collect();
    fs::write(shown.path().join("large"), &large).unwrap();
    assert_eq!(prints(&bench, &["copy", "/shown/large", "/kept/large"]), "");
    assert!(fs::read(kept.path().join("large")).unwrap() == large);
    fs::remove_file(shown.path().join("large")).unwrap();
    complains(&bench, &["write", "/shown/new", "text"]);
    complains(&bench, &["read", "/kept/../shown/hello"]);
    assert_eq!(fs::read_dir(shown.path()).unwrap().count(), 1);
    complains(&bench, &["read", "/etc/passwd"]);
}

/// A server that says back what one client says, in capitals.
fn shouting_server() -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        stream.write_all(text.to_uppercase().as_bytes()).unwrap();
    });
    (address, server)
}

fn host(name: &str, address: SocketAddr) -> GrantedHost {
    GrantedHost { host: name.to_owned(), port: address.port(), addresses: vec![address.ip()] }
}

#[test]
fn a_command_has_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let bench = Bench::new(ECHO_COMMAND);
    complains(&bench, &["connect", &address, "hello"]);
    complains(&bench, &["connect", "localhost:1", "hello"]);
    complains(&bench, &["listen", "127.0.0.1:0"]);
    complains(&bench, &["datagram", "127.0.0.1:0"]);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn a_granted_host_is_reached_by_name_and_address() {
    for by_name in [false, true] {
        let (address, server) = shouting_server();
        let mut bench = Bench::new(ECHO_COMMAND);
        bench.spec.hosts = vec![host("mesh.example", address)];
        let target = if by_name { format!("Mesh.Example:{}", address.port()) } else { address.to_string() };
        assert_eq!(prints(&bench, &["connect", &target, "hello"]), "HELLO");
        server.join().unwrap();
    }
}

#[test]
fn what_is_beside_a_grant_is_denied() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = listener.local_addr().unwrap();
    let mut bench = Bench::new(ECHO_COMMAND);
    bench.spec.hosts = vec![host("mesh.example", "127.0.0.1:9".parse().unwrap())];
    complains(&bench, &["connect", &other.to_string(), "hello"]);
    complains(&bench, &["connect", "other.example:9", "hello"]);
    complains(&bench, &["listen", "127.0.0.1:0"]);
    complains(&bench, &["listen", "0.0.0.0:0"]);
    complains(&bench, &["datagram", "127.0.0.1:0"]);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
}
