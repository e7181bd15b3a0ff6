//! HTTP guests behind the node: an instance a request, within the limits of a lease, and nothing left after.

use crate::web::{Asked, ask, begin, read_answer};
use hypermesh_artifacts::HELLO_HTTP;
use hypermesh_harness::cgroups::{is_running, processes};
use hypermesh_harness::{Node, Signal, allocation, require_cgroups, signal, until, with_limits};
use hypermesh_wire::allocations::{AllocationStatus, Requirements};
use hypermesh_wire::executions::LogQuery;
use hypermesh_wire::services::{CreateService, Service, ServiceStatus};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

/// A node with a vm of the test guest. Each test has its own: it looks at everything that runs there.
fn node() -> (Node, String) {
    let node = Node::start();
    let vm = if node.unenforced().is_none() {
        node.install(&HELLO_HTTP, Some(with_limits(40.0, "256MiB")))
    } else {
        String::new()
    };
    (node, vm)
}

fn serve(node: &Node, name: &str, vm: &str, change: impl FnOnce(&mut CreateService)) -> Service {
    let mut request = CreateService::new(name, vm);
    change(&mut request);
    node.client().serve(&request).expect("the node serves it")
}

fn failures(node: &Node, name: &str) -> Map<String, Value> {
    node.client().service(name).unwrap().usage.failures
}

/// Waits until every request of a service has ended, and its processes.
fn quiet(node: &Node, service: &Service) -> Service {
    until("the service is quiet", || {
        let now = node.client().service(&service.name).unwrap();
        (now.usage.running == 0 && now.usage.waiting == 0).then_some(now)
    })
}

/// The workers of a lease that loop: those that have used a fifth of a second of CPU time. Parked ones use none.
fn spinning(node: &Node, service: &Service) -> Vec<u32> {
    /// Clock ticks, of which there are 100 a second (proc(5)).
    const LOOPING: u64 = 20;
    let pids = processes(&node.enforcement(&service.allocation_id).cgroups);
    let loops = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name in parentheses comes the third field; user time is the fourteenth.
        let behind = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let ticks = behind.split(' ').nth(11).and_then(|ticks| ticks.parse::<u64>().ok());
        ticks.is_some_and(|ticks| ticks >= LOOPING)
    };
    pids.into_iter().filter(loops).collect()
}

#[test]
fn a_guest_answers_under_its_name_until_it_is_removed() {
    let (node, vm) = node();
    require_cgroups!(node);
    let service = serve(&node, "hello", &vm, |_| {});
    assert_eq!((service.path.as_str(), service.status), ("/guests/hello/", ServiceStatus::Serving));
    assert!(service.owns_allocation && service.url.ends_with("/guests/hello/"));
    let answer = ask(&node, "GET", "/guests/hello/", &[], b"");
    assert_eq!((answer.status, answer.text()), (200, "hello over HTTP\n".to_owned()));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-security-policy"), Some("sandbox allow-scripts allow-forms"));
    let moved = ask(&node, "GET", "/guests/hello?a=b", &[], b"");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/guests/hello/?a=b")));
    // What the guest says of itself passes as it is.
    let teapot = ask(&node, "GET", "/guests/hello/teapot", &[], b"");
    assert_eq!((teapot.status, teapot.text()), (418, String::new()));
    let missing = ask(&node, "GET", "/guests/hello/nowhere", &[], b"");
    assert_eq!((missing.status, missing.header("content-type")), (404, None));

    let now = quiet(&node, &service);
    assert_eq!((now.usage.requests, now.usage.answered, now.usage.failures.len()), (3, 3, 0));
    assert!(now.usage.cpu_time.is_some_and(|seconds| seconds > 0.0), "{now:?}");
    node.client().remove_service("hello").unwrap();
    assert_eq!(ask(&node, "GET", "/guests/hello/", &[], b"").status, 404);
    assert!(node.client().services().unwrap().is_empty());
    let lease = node.client().allocation(&service.allocation_id).unwrap();
    assert_eq!(lease.status, AllocationStatus::Completed, "its lease ended with it");
    assert!(!node.data_dir().join("services").join(&service.id).exists());
    let kinds: BTreeSet<String> = node.recorded().into_iter().map(|event| event.kind).collect();
    assert!(kinds.contains("service_started") && kinds.contains("service_ended"), "{kinds:?}");
}

#[test]
fn a_guest_gets_the_request_without_what_is_the_nodes() {
    let (node, vm) = node();
    require_cgroups!(node);
    serve(&node, "hello", &vm, |_| {});
    let token = format!("authorization: Bearer {}", node.token());
    let headers = [
        token.as_str(),
        "cookie: session=secret",
        "connection: x-hop",
        "x-hop: 1",
        "x-own: kept",
        "x-forwarded-prefix: /elsewhere",
    ];
    let answer = ask(&node, "GET", "/guests/hello/request/a%2Fb?c=d", &headers, b"");
    let seen: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!((&seen["method"], &seen["target"]), (&json!("GET"), &json!("/request/a%2Fb?c=d")));
    let fields = seen["headers"].as_object().unwrap();
    assert_eq!(fields["x-forwarded-prefix"], "/guests/hello");
    assert_eq!(fields["x-own"], "kept");
    for gone in ["authorization", "cookie", "x-hop", "connection"] {
        assert!(!fields.contains_key(gone), "{gone}: {seen}");
    }
    assert!(!answer.text().contains(node.token()));
    let cookie = ask(&node, "GET", "/guests/hello/cookie", &[], b"");
    assert_eq!(
        (cookie.status, cookie.header("set-cookie"), cookie.header("x-own")),
        (200, None, Some("kept"))
    );
    // A write needs the token, as every write does; and a method that guests don't get is none.
    let head = |method: &str| format!("{method} /guests/hello/echo HTTP/1.1");
    let without =
        hypermesh_harness::exchange(node.address("hypermesh"), &[&head("POST"), "host: localhost"], b"x");
    assert_eq!(without.status, 401, "{without:?}");
    assert_eq!(ask(&node, "TRACE", "/guests/hello/echo", &[], b"").status, 405);
}

#[test]
fn a_body_is_echoed_while_it_is_sent() {
    let (node, vm) = node();
    require_cgroups!(node);
    serve(&node, "hello", &vm, |_| {});
    let (mut stream, mut reader) =
        begin(&node, "POST", "/guests/hello/echo-stream", &["transfer-encoding: chunked"]);
    let mut piece = |text: &str| {
        stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).unwrap();
    };
    piece("ping");
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    for text in ["ping", "pong"] {
        let mut chunk = vec![0; format!("{:x}\r\n{text}\r\n", text.len()).len()];
        reader.read_exact(&mut chunk).unwrap();
        assert!(String::from_utf8(chunk).unwrap().contains(text));
        if text == "ping" {
            piece("pong");
        }
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut rest = String::new();
    reader.read_line(&mut rest).unwrap();
    assert_eq!(rest, "0\r\n", "the answer ends with the request");
    let large: Vec<u8> = (0..3_000_000u32).map(|i| i.to_le_bytes()[0]).collect();
    let answer = ask(&node, "PUT", "/guests/hello/echo-stream", &[], &large);
    assert!(answer.status == 200 && answer.body == large, "{} {}", answer.status, answer.body.len());
}

#[test]
fn every_request_has_an_instance_of_its_own_eight_at_the_same_time() {
    let (node, vm) = node();
    require_cgroups!(node);
    let service = serve(&node, "count", &vm, |_| {});
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let node = &node;
                let requests = if client < 4 { 13 } else { 12 };
                scope.spawn(move || {
                    (0..requests)
                        .map(|_| ask(node, "GET", "/guests/count/count", &[], b""))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let answers: Vec<Asked> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert_eq!(answers.len(), 100);
        for answer in answers {
            assert_eq!(
                (answer.status, answer.text()),
                (200, "1".to_owned()),
                "a counter in the guest's memory"
            );
        }
    });
    let now = quiet(&node, &service);
    assert_eq!((now.usage.requests, now.usage.answered, now.usage.turned_away), (100, 100, 0), "{now:?}");
    node.client().remove_service("count").unwrap();
    let all = node.groups();
    assert!(!all.contains(&service.allocation_id), "{all:?}");
}

#[test]
fn what_a_guest_does_wrong_is_said_and_ends_with_it() {
    let (node, vm) = node();
    require_cgroups!(node);
    let service = serve(&node, "bad", &vm, |request| request.timeout = 2);
    let problem = |path: &str, status: u16, says: &str| {
        let answer = ask(&node, "GET", &format!("/guests/bad/{path}"), &[], b"");
        let document: Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!((answer.status, &document["status"]), (status, &json!(status)), "{document}");
        let detail = document["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{path}: {detail}");
    };
    problem("panic", 502, "unreachable");
    problem("grow", 502, "memory");
    problem("nothing", 502, "");
    problem("spin", 504, "limit of 2 s");
    let cut = ask(&node, "GET", "/guests/bad/panic-late", &[], b"");
    let whole = cut.status == 200 && !cut.is_cut;
    assert!(!whole, "an answer that broke off does not look whole: {:?}", cut.text());
    let now = quiet(&node, &service);
    assert!(spinning(&node, &service).is_empty(), "what looped is gone");
    for kind in ["trap", "wall_time"] {
        assert!(now.usage.failures.contains_key(kind), "{kind}: {:?}", now.usage.failures);
    }
    assert_eq!(now.usage.failures.values().filter_map(Value::as_u64).sum::<u64>(), 5, "{now:?}");
    assert_eq!(
        ask(&node, "GET", "/guests/bad/", &[], b"").status,
        200,
        "the next request is none the worse for it"
    );
}

#[test]
fn bodies_over_the_limit_are_refused_in_both_directions() {
    let (node, vm) = node();
    require_cgroups!(node);
    let service = serve(&node, "small", &vm, |request| request.max_body = Some("100kB".into()));
    assert_eq!(service.max_body, 100_000);
    let fits = vec![b'x'; 100_000];
    assert_eq!(ask(&node, "POST", "/guests/small/echo", &[], &fits).body, fits);
    let declared = ask(&node, "POST", "/guests/small/echo", &[], &[b'x'; 100_001]);
    assert_eq!(declared.status, 413, "{}", declared.text());
    let (mut stream, reader) = begin(&node, "POST", "/guests/small/echo", &["transfer-encoding: chunked"]);
    // The node may answer before it has read all.
    let _ =
        (0..20).try_for_each(|_| stream.write_all(format!("2710\r\n{}\r\n", "y".repeat(10_000)).as_bytes()));
    assert_eq!(read_answer(reader).status, 413);
    let answer = ask(&node, "GET", "/guests/small/bytes?200000", &[], b"");
    assert!(
        answer.status == 502 || (answer.status == 200 && answer.is_cut),
        "{} {}",
        answer.status,
        answer.body.len()
    );
    quiet(&node, &service);
    assert_eq!(ask(&node, "GET", "/guests/small/", &[], b"").status, 200);
}

#[test]
fn who_finds_no_turn_is_told_to_come_again() {
    let (node, vm) = node();
    require_cgroups!(node);
    let service = serve(&node, "one", &vm, |request| request.concurrency = 1);
    std::thread::scope(|scope| {
        // One runs, eight wait.
        let clients: Vec<_> = (0..9)
            .map(|_| scope.spawn(|| ask(&node, "GET", "/guests/one/sleep?700", &[], b"").status))
            .collect();
        until("all are there", || {
            let usage = node.client().service("one").unwrap().usage;
            (usage.running == 1 && usage.waiting == 8).then_some(())
        });
        let refused = ask(&node, "GET", "/guests/one/", &[], b"");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.text());
        let answers: Vec<u16> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert_eq!(answers, [200; 9], "who waits is served");
    });
    assert_eq!(quiet(&node, &service).usage.turned_away, 1);
}

#[test]
fn a_guest_whose_caller_went_away_is_ended() {
    let (node, vm) = node();
    require_cgroups!(node);
    let service = serve(&node, "lonely", &vm, |_| {});
    let (stream, reader) = begin(&node, "GET", "/guests/lonely/spin", &[]);
    until("the guest loops", || (!spinning(&node, &service).is_empty()).then_some(()));
    drop((stream, reader));
    until("its end", || spinning(&node, &service).is_empty().then_some(()));
    quiet(&node, &service);
    assert_eq!(failures(&node, "lonely").get("abandoned"), Some(&json!(1)));
}

#[test]
fn two_services_run_side_by_side_each_with_a_log_of_its_own() {
    let (node, vm) = node();
    require_cgroups!(node);
    for name in ["left", "right"] {
        serve(&node, name, &vm, |request| request.concurrency = 2);
    }
    let taken = node.client().serve(&CreateService::new("left", &vm)).unwrap_err();
    assert_eq!(taken.status(), Some(409), "{taken}");
    for name in ["left", "right"] {
        assert_eq!(ask(&node, "GET", &format!("/guests/{name}/log?{name}"), &[], b"").status, 200);
    }
    for (name, other) in [("left", "right"), ("right", "left")] {
        let query = LogQuery { wait: Some(20), ..LogQuery::default() };
        let page = node.client().service_logs(name, &query).unwrap();
        let text: Vec<&str> = page.lines.iter().map(|line| line.message.as_str()).collect();
        assert!(text.iter().any(|line| line.contains(&format!("says {name}"))), "{text:?}");
        assert!(!text.iter().any(|line| line.contains(&format!("says {other}"))), "{text:?}");
        assert!(!page.complete);
    }
}

#[test]
fn a_service_serves_again_after_kill_9_and_what_ran_for_it_is_gone() {
    let (mut node, vm) = node();
    require_cgroups!(node);
    let service = serve(&node, "hello", &vm, |_| {});
    assert_eq!(ask(&node, "GET", "/guests/hello/", &[], b"").status, 200);
    let (stream, reader) = begin(&node, "GET", "/guests/hello/spin", &[]);
    let looping = until("the guest loops", || spinning(&node, &service).into_iter().next());
    node.kill9();
    assert!(is_running(looping), "it outlives the node");
    node.restart();
    drop((stream, reader));
    assert!(!is_running(looping), "nobody waits for it any more");
    let again = node.client().service("hello").unwrap();
    assert_eq!((again.id.as_str(), again.status), (service.id.as_str(), ServiceStatus::Serving));
    assert_eq!(ask(&node, "GET", "/guests/hello/", &[], b"").text(), "hello over HTTP\n");
    assert!(node.stop().success());
    node.restart();
    assert_eq!(node.client().service("hello").unwrap().usage.requests, 1, "a clean stop records the numbers");
    assert_eq!(ask(&node, "GET", "/guests/hello/", &[], b"").status, 200);
    node.client().remove_service("hello").unwrap();
    assert!(!node.groups().contains(&service.allocation_id));
}

#[test]
fn a_service_ends_with_its_lease_and_says_why() {
    let (mut node, vm) = node();
    require_cgroups!(node);
    let mut wanted = allocation("cpu", 20.0);
    wanted.requirements =
        Requirements { memory: Some("128MiB".into()), pids: Some(64), ..Requirements::default() };
    let lease = node.client().allocate(&wanted).unwrap();
    let service = serve(&node, "guest", &vm, |request| {
        request.allocation_id = Some(lease.id.clone());
        request.concurrency = 2;
    });
    assert!(!service.owns_allocation && service.allocation_id == lease.id);
    let too_many = CreateService {
        concurrency: 9,
        allocation_id: Some(lease.id.clone()),
        ..CreateService::new("more", &vm)
    };
    assert_eq!(node.client().serve(&too_many).unwrap_err().status(), Some(422));
    let (_stream, reader) = begin(&node, "GET", "/guests/guest/spin", &[]);
    until("the guest loops", || (!spinning(&node, &service).is_empty()).then_some(()));
    node.client().release(&lease.id).unwrap();
    assert_eq!(read_answer(reader).status, 503, "its caller is told");
    let ended = node.client().service("guest").unwrap();
    assert_eq!(ended.status, ServiceStatus::Ended);
    assert!(ended.end_reason.as_deref().is_some_and(|reason| reason.contains("released")), "{ended:?}");
    assert_eq!(ask(&node, "GET", "/guests/guest/", &[], b"").status, 404);
    assert!(!node.groups().contains(&lease.id));
    node.kill9();
    node.restart();
    assert_eq!(node.client().service("guest").unwrap().end_reason, ended.end_reason);
    // Its name is free again.
    let own = serve(&node, "guest", &vm, |request| request.allocation_duration = 2);
    assert_eq!(ask(&node, "GET", "/guests/guest/", &[], b"").status, 200);
    until("its lease expires", || {
        let now = node.client().service("guest").unwrap();
        (now.status == ServiceStatus::Ended).then_some(())
    });
    until("its group goes", || (!node.groups().contains(&own.allocation_id)).then_some(()));
    node.client().remove_service("guest").unwrap();
}

#[test]
fn the_command_line_serves_a_file_until_it_is_told_to_end() {
    let (node, _) = node();
    require_cgroups!(node);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello-web.wasm");
    std::fs::write(&file, HELLO_HTTP.component).unwrap();
    let mut command = node.command(&["run", "--http", file.to_str().unwrap(), "--concurrency", "2"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let path = url.trim().strip_prefix(node.url()).unwrap_or_else(|| panic!("{url}")).to_owned();
    assert_eq!(ask(&node, "GET", &path, &[], b"").text(), "hello over HTTP\n");
    assert_eq!(ask(&node, "GET", &format!("{path}log?me"), &[], b"").status, 200);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("says me")), "its log follows");
    signal(child.id(), Signal::INT);
    assert!(child.wait().unwrap().success());
    assert!(node.client().services().unwrap().is_empty(), "and is removed");

    let detached = node.cli(&["run", "--http", file.to_str().unwrap(), "--name", "stays", "--detach"]);
    assert!(detached.status.success(), "{}", String::from_utf8_lossy(&detached.stderr));
    assert!(String::from_utf8_lossy(&detached.stderr).contains("hypermesh service delete stays"));
    let shown = node.cli(&["service", "show", "stays", "-o", "json"]);
    let shown: Service = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown.status, ServiceStatus::Serving);
    for command in [&["service", "list"][..], &["service", "logs", "stays"], &["service", "delete", "stays"]]
    {
        assert!(node.cli(command).status.success(), "{command:?}");
    }
    assert!(node.client().services().unwrap().is_empty());
}
