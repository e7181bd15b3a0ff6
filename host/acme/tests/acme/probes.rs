//! Where the real probe goes, where it does not, and what it makes of what it finds.

use crate::servers::{self, Shown};
use crate::world::Table;
use hypermesh_acme::probe::{NetworkProbe, Reach};
use hypermesh_acme::{Attempt, ChallengeKind, Identifier, Probe, ProblemKind, Resolve};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const AUTHORIZATION: &str = "token.thumbprint";

fn attempt(kind: ChallengeKind, identifier: &str) -> Attempt {
    let (name, value) = identifier.split_once(':').unwrap();
    Attempt {
        kind,
        identifier: Identifier::parse(name, value).unwrap(),
        wildcard: false,
        token: "token".into(),
        key_authorization: AUTHORIZATION.into(),
        account_url: "https://acme.test/account/1".into(),
    }
}

async fn probe(table: &Arc<Table>, reach: Reach, attempt: &Attempt) -> Result<(), (ProblemKind, String)> {
    let probe = NetworkProbe::new(Arc::clone(table) as Arc<dyn Resolve>, reach, vec!["acme.test".into()]);
    probe.prove(attempt).await.map_err(|failure| (failure.kind, failure.detail))
}

async fn http(table: &Arc<Table>, port: u16, identifier: &str) -> Result<(), (ProblemKind, String)> {
    probe(
        table,
        Reach::Loopback { http_port: port, tls_port: 9 },
        &attempt(ChallengeKind::Http01, identifier),
    )
    .await
}

fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn redirect(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// A server that counts who comes.
async fn counting(count: &Arc<AtomicUsize>) -> u16 {
    let count = Arc::clone(count);
    servers::web(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        answer(AUTHORIZATION)
    })
    .await
}

#[tokio::test]
async fn nothing_inside_is_connected_to_from_a_public_node() {
    let table = Arc::new(Table::default());
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
    ] {
        table.address("inside.test", address);
        for identifier in [format!("ip:{address}"), "dns:inside.test".into()] {
            for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
                let (kind, detail) =
                    probe(&table, Reach::Public, &attempt(kind, &identifier)).await.unwrap_err();
                assert_eq!(kind, ProblemKind::Connection);
                assert!(detail.contains("not reachable from everywhere"), "{detail}");
            }
        }
    }
}

#[tokio::test]
async fn a_node_on_loopback_connects_to_loopback_and_to_no_neighbour() {
    let count = Arc::new(AtomicUsize::new(0));
    let port = counting(&count).await;
    let table = Arc::new(Table::default());
    table.address("mixed.test", "10.255.255.1");
    table.address("mixed.test", "127.0.0.1");
    http(&table, port, "dns:mixed.test").await.unwrap();
    http(&table, port, "ip:127.0.0.1").await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
    table.address("inside.test", "10.255.255.1");
    for identifier in ["dns:inside.test", "ip:169.254.169.254", "ip:::ffff:127.0.0.1"] {
        assert_eq!(
            http(&table, port, identifier).await.unwrap_err().0,
            ProblemKind::Connection,
            "{identifier}"
        );
    }
}

#[tokio::test]
async fn a_redirect_does_not_lead_past_the_guard() {
    let count = Arc::new(AtomicUsize::new(0));
    let victim = counting(&count).await;
    let table = Arc::new(Table::default());
    table.address("start.test", "127.0.0.1");
    table.address("inside.test", "10.255.255.1");
    for location in [
        "http://inside.test/".to_owned(),
        "https://inside.test/".into(),
        format!("http://127.0.0.1:{victim}/"),
        format!("http://start.test:{victim}/"),
        "http://[::1]/".into(),
        "http://nowhere.test/".into(),
        "ftp://start.test/".into(),
        "http://start.test:22/".into(),
    ] {
        let to = location.clone();
        let port = servers::web(move |_| redirect(&to)).await;
        let (kind, _) = http(&table, port, "dns:start.test").await.unwrap_err();
        assert!([ProblemKind::Connection, ProblemKind::Dns].contains(&kind), "{location}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn ten_redirects_are_followed_and_no_more() {
    let table = Arc::new(Table::default());
    table.address("start.test", "127.0.0.1");
    for (redirects, ends_well) in [(1, true), (10, true), (11, false)] {
        let left = AtomicUsize::new(redirects);
        let port = servers::web(move |_| {
            let gone = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if gone.is_ok() { redirect("/elsewhere?x=y") } else { answer(AUTHORIZATION) }
        })
        .await;
        let result = http(&table, port, "dns:start.test").await;
        assert_eq!(result.is_ok(), ends_well, "{redirects}: {result:?}");
    }
}

#[tokio::test]
async fn what_a_web_server_says_must_be_the_key_authorization() {
    let table = Arc::new(Table::default());
    table.address("a.test", "127.0.0.1");
    for (text, kind) in [
        (answer("token.other"), ProblemKind::IncorrectResponse),
        (answer(&format!("x{AUTHORIZATION}")), ProblemKind::IncorrectResponse),
        (answer(""), ProblemKind::IncorrectResponse),
        (answer(AUTHORIZATION).replace("200 OK", "404 Not Found"), ProblemKind::IncorrectResponse),
        (redirect("").replace("Location: \r\n", ""), ProblemKind::Connection),
        ("SSH-2.0-x\r\n\r\n".into(), ProblemKind::Connection),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(70_000)), ProblemKind::Connection),
        (String::new(), ProblemKind::Connection),
    ] {
        let said = text.clone();
        let port = servers::web(move |_| said.clone()).await;
        let (found, detail) = http(&table, port, "dns:a.test").await.unwrap_err();
        assert_eq!(found, kind, "{text:.60}");
        assert!(!detail.contains("token.other"), "what is inside is not shown outside: {detail}");
    }
    assert_eq!(http(&table, 9, "dns:a.test").await.unwrap_err().0, ProblemKind::Connection);
    assert_eq!(http(&table, 9, "dns:nowhere.test").await.unwrap_err().0, ProblemKind::Dns);
    assert_eq!(http(&table, 9, "dns:broken.test").await.unwrap_err().0, ProblemKind::Dns);
}

#[tokio::test]
async fn a_tls_server_must_show_exactly_the_challenges_certificate() {
    let cell = Arc::new(Mutex::new(None));
    let port = servers::tls(Arc::clone(&cell)).await;
    let table = Arc::new(Table::default());
    table.address("a.test", "127.0.0.1");
    let right = Shown {
        names: vec!["dns:a.test".into()],
        key_authorization: AUTHORIZATION.into(),
        critical: true,
        protocol: b"acme-tls/1",
        only_tls12: false,
    };
    let ask = async |shown: Shown| {
        *cell.lock().unwrap() = Some(shown);
        let reach = Reach::Loopback { http_port: 9, tls_port: port };
        probe(&table, reach, &attempt(ChallengeKind::TlsAlpn01, "dns:a.test")).await
    };
    ask(right.clone()).await.unwrap();
    for wrong in [
        Shown { names: vec!["dns:b.test".into()], ..right.clone() },
        Shown { names: vec!["dns:a.test".into(), "dns:b.test".into()], ..right.clone() },
        Shown { names: vec!["ip:127.0.0.1".into()], ..right.clone() },
        Shown { key_authorization: "token.other".into(), ..right.clone() },
        Shown { critical: false, ..right.clone() },
    ] {
        assert_eq!(ask(wrong).await.unwrap_err().0, ProblemKind::IncorrectResponse);
    }
    assert_eq!(ask(Shown { protocol: b"http/1.1", ..right }).await.unwrap_err().0, ProblemKind::Tls);
}

#[tokio::test]
async fn caa_records_of_a_name_or_the_nearest_above_it_decide() {
    let table = Arc::new(Table::default());
    let count = Arc::new(AtomicUsize::new(0));
    let port = counting(&count).await;
    for name in ["a.one.test", "b.one.test", "c.two.test"] {
        table.address(name, "127.0.0.1");
    }
    table.issue("test", "other.test");
    table.issue("one.test", "acme.test");
    table.issue("b.one.test", "acme.test; validationmethods=dns-01");
    http(&table, port, "dns:a.one.test").await.unwrap();
    for name in ["dns:b.one.test", "dns:c.two.test"] {
        assert_eq!(http(&table, port, name).await.unwrap_err().0, ProblemKind::Caa, "{name}");
    }
    http(&table, port, "ip:127.0.0.1").await.unwrap();
}

#[tokio::test]
async fn a_redirect_leads_to_tls_whose_certificate_nobody_judges() {
    let shown = Shown {
        names: vec!["dns:other.test".into()],
        key_authorization: AUTHORIZATION.into(),
        critical: true,
        protocol: b"http/1.1",
        only_tls12: false,
    };
    let tls_port = servers::tls(Arc::new(Mutex::new(Some(shown)))).await;
    let location = format!("https://tls.test:{tls_port}/x");
    let http_port = servers::web(move |_| redirect(&location)).await;
    let table = Arc::new(Table::default());
    table.address("a.test", "127.0.0.1");
    table.address("tls.test", "127.0.0.1");
    let reach = Reach::Loopback { http_port, tls_port };
    probe(&table, reach, &attempt(ChallengeKind::Http01, "dns:a.test")).await.unwrap();
}
