//! What holds for every route: rights, hosts, methods, limits, documents, ids, the end.

use super::*;
use crate::problem::PROBLEM_JSON;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A path with something in place of its parameters that may be there and isn't.
fn filled(path: &str) -> String {
    let digest = "0".repeat(64);
    let part = |part: &str| match part {
        "{digest}" => digest.clone(),
        part if part.starts_with('{') => "nothing".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_documented_operation_is_served_and_every_write_asks_for_the_token() {
    let node = node().await;
    for (path, item) in &crate::openapi().paths.paths {
        let methods = [
            ("GET", &item.get),
            ("PUT", &item.put),
            ("POST", &item.post),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        for (method, operation) in methods.into_iter().filter_map(|(m, o)| Some((m, o.as_ref()?))) {
            let path = filled(path);
            if path == "/api/v1/events" {
                continue;
            }
            let bare = node.send(request(method, &path).body(Body::empty()).unwrap()).await;
            assert_eq!(bare.status() == 401, method != "GET", "{method} {path}");
            let (status, body) = node.call(method, &path, None).await;
            assert!(
                operation.responses.responses.contains_key(status.as_str()),
                "{method} {path}: {status} {body}"
            );
            assert!(!body["detail"].as_str().unwrap_or_default().contains("at this path"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_document() {
    let node = node().await;
    let response = node.send(request("GET", "/api/v1/nothing").body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let (status, body) = answer(response).await;
    assert_eq!(status, 404);
    assert!(body["request_id"] == id.as_str() && body["instance"] == "/api/v1/nothing");
    for path in ["/api/v1/assets/NO", "/api/v1/assets/%ff", "/api/v1/assets/a%00b", "/api/v1/allocations/.."]
    {
        assert_eq!(node.call("GET", path, None).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn another_method_is_405_and_says_which_there_are() {
    let node = node().await;
    for method in ["PATCH", "TRACE", "OPTIONS", "PUT"] {
        let response = node.send(authorized(method, "/api/v1/assets").body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD,POST", "{method}");
        assert_eq!(response.headers().get_all(header::CONTENT_TYPE).iter().count(), 1);
        assert_eq!(answer(response).await.0, 405, "{method}");
    }
}

#[tokio::test]
async fn only_our_own_names_are_answered() {
    let node = node().await;
    let ask = async |hosts: &[&str]| {
        let request =
            hosts.iter().fold(Request::builder().uri("/livez"), |r, host| r.header(header::HOST, *host));
        answer(node.send(request.body(Body::empty()).unwrap()).await).await.0.as_u16()
    };
    assert_eq!(ask(&["localhost:1"]).await, 200);
    assert_eq!(ask(&["evil.example"]).await, 421);
    assert_eq!(ask(&[]).await, 400);
    assert_eq!(ask(&["localhost", "localhost"]).await, 400);
    let absolute = Request::builder().uri("http://evil.example/livez").header(header::HOST, "localhost");
    assert_eq!(node.send(absolute.body(Body::empty()).unwrap()).await.status(), 421);
}

#[tokio::test]
async fn bodies_are_bounded_and_typed() {
    let node = node().await;
    let post = |kind: &'static str, body: Body| {
        node.send(authorized("POST", "/api/v1/assets").header(header::CONTENT_TYPE, kind).body(body).unwrap())
    };
    assert_eq!(post("text/plain", Body::from("{}")).await.status(), 415);
    assert_eq!(post("application/json", Body::from("{")).await.status(), 400);
    assert_eq!(post("application/json", Body::from("{}{}")).await.status(), 400);
    assert_eq!(post("application/json", Body::from(vec![b' '; (1 << 20) + 1])).await.status(), 413);
    let deep = "[".repeat(100_000);
    assert_eq!(post("application/json", Body::from(deep)).await.status(), 400);
}

#[tokio::test]
async fn a_listed_origin_may_ask_across_and_no_other() {
    let node = node().await;
    let preflight = |origin: &str| {
        let request = request("OPTIONS", "/api/v1/assets")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
        node.send(request.body(Body::empty()).unwrap())
    };
    let response = preflight("http://localhost:5173").await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:5173");
    let response = preflight("http://evil.example").await;
    assert!(
        response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_none() && response.status() == 405
    );
}

#[tokio::test]
async fn a_panic_and_a_hang_end_one_request_only() {
    async fn panics() {
        panic!("on purpose");
    }
    let node = node().await;
    let edge = Edge::new(&node.state, HYPERMESH, Traffic::default());
    let hangs =
        get(std::future::pending::<()>).layer(from_fn_with_state(Duration::from_millis(5), limit_time));
    let router = edge.around(Router::new().route("/panics", get(panics)).route("/hangs", hangs));
    let ask = |path| router.clone().oneshot(request("GET", path).body(Body::empty()).unwrap());
    let (status, body) = answer(ask("/panics").await.unwrap()).await;
    assert_eq!(status, 500);
    assert!(!body.to_string().contains("on purpose"));
    let response = ask("/hangs").await.unwrap();
    assert!(response.status() == 503 && response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(node.state.metrics.http_requests(HYPERMESH, "GET", Some("/panics"), 500), 1);
}

#[tokio::test]
async fn services_that_are_not_built_say_so() {
    let node = node().await;
    for (service, path) in [(Service::Stoq, "/api/v1/pools")] {
        let router = unbuilt_router(service, &node.state, Traffic::default());
        let ask = async |request: axum::http::request::Builder| {
            answer(router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
        };
        assert_eq!(ask(request("GET", path)).await.0, 501);
        assert_eq!(ask(request("POST", path)).await.0, 401);
        assert_eq!(ask(authorized("POST", path)).await.0, 501);
        assert_eq!(ask(request("GET", "/livez")).await, (StatusCode::OK, json!({ "status": "ok" })));
        assert_eq!(ask(request("GET", "/nothing")).await.0, 404);
        assert_eq!(ask(authorized("DELETE", path)).await.0, 405);
    }
}

#[tokio::test]
async fn the_page_and_the_document_are_served() {
    let node = node().await;
    let (status, body) = node.call("GET", "/openapi.json", None).await;
    assert!(status == 200 && body == serde_json::to_value(crate::openapi()).unwrap());
    let response = node.send(request("GET", "/docs/").body(Body::empty()).unwrap()).await;
    assert!(response.status() == 200 && response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    assert_eq!(node.send(request("GET", "/docs/none.js").body(Body::empty()).unwrap()).await.status(), 404);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_listeners() {
    let node = node().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = node.closing.clone().cancelled_owned();
    let server = tokio::spawn(crate::serve(listener, plainly(&node), stop));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /api/v1/events HTTP/1.1\r\nhost: {address}\r\nlast-event-id: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("node_started") {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    let began = Instant::now();
    node.closing.cancel();
    server.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    // A process that another test is starting has the socket open, too, until it begins its program.
    while TcpStream::connect(address).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let node = node().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::serve(listener, plainly(&node), node.closing.clone().cancelled_owned()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    stream
        .write_all(format!("GET /livez HTTP/1.1\r\nhost: {address}\r\n{many}\r\n").as_bytes())
        .await
        .unwrap();
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).await.unwrap();
    assert!(seen.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&seen));
}
