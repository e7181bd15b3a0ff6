//! Plain answers, as dig sees them and as our own client does.

use crate::lab::{Lab, ZONE, has, large, name, zone};
use hypermesh_dns::{Change, RateLimit, Rcode, Record, RecordData, RecordType, Settings, ask};
use std::net::SocketAddr;

/// The lines of the answer section, white space evened out.
fn answers(output: &str) -> Vec<String> {
    section(output, ";; ANSWER SECTION:")
}

fn section(output: &str, head: &str) -> Vec<String> {
    let lines = output.lines().skip_while(|line| *line != head).skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_gets_every_type() {
    if !has("dig", "dig_gets_every_type") {
        return;
    }
    let lab = Lab::new(zone(ZONE));
    for (question, wanted) in [
        ("mail.example.org A", &["mail.example.org. 300 IN A 192.0.2.25"][..]),
        ("mail.example.org AAAA", &["mail.example.org. 300 IN AAAA 2001:db8::25"]),
        ("example.org MX", &["example.org. 300 IN MX 10 mail.example.org."]),
        ("example.org CAA", &["example.org. 300 IN CAA 0 issue \"ca.example.org\""]),
        ("example.org NS", &["example.org. 300 IN NS ns.example.org."]),
        ("txt.example.org TXT", &["txt.example.org. 300 IN TXT \"one\" \"two; \\\"quoted\\\"\""]),
        ("_sip._tcp.example.org SRV", &["_sip._tcp.example.org. 300 IN SRV 1 2 5060 web.example.org."]),
        (
            "_443._tcp.web.example.org TLSA",
            &[
                "_443._tcp.web.example.org. 300 IN TLSA 3 1 1 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF01234567 89ABCDEF",
            ],
        ),
        ("anything.wild.example.org A", &["anything.wild.example.org. 300 IN A 192.0.2.99"]),
        (
            "x.alias.example.org A",
            &["x.alias.example.org. 300 IN CNAME web.example.org.", "web.example.org. 300 IN A 192.0.2.80"],
        ),
        (
            "chain.example.org A",
            &[
                "chain.example.org. 300 IN CNAME www.example.org.",
                "www.example.org. 300 IN CNAME web.example.org.",
                "web.example.org. 300 IN A 192.0.2.80",
            ],
        ),
        ("out.example.org A", &["out.example.org. 300 IN CNAME elsewhere.example.net."]),
        ("www.example.org CNAME", &["www.example.org. 300 IN CNAME web.example.org."]),
    ] {
        for transport in ["+notcp", "+tcp"] {
            let output = lab.dig(&format!("{transport} {question}"));
            assert_eq!(answers(&output), wanted, "{question}: {output}");
            assert!(output.contains("status: NOERROR") && output.contains("flags: qr aa rd;"), "{output}");
            assert!(!output.contains("WARNING: Message"), "{output}");
        }
    }
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_with_the_soa() {
    if !has("dig", "what_is_not_there_is_said_with_the_soa") {
        return;
    }
    let lab = Lab::new(zone(ZONE));
    let soa = ["example.org. 60 IN SOA ns.example.org. admin.example.org. 1 7200 900 1209600 60"];
    for (question, status) in [
        ("nobody.example.org A", "NXDOMAIN"),
        ("x.y.z.nobody.example.org A", "NXDOMAIN"),
        ("mail.example.org TXT", "NOERROR"),
        ("empty.example.org A", "NOERROR"),
        ("deep.empty.example.org A", "NOERROR"),
        ("wild.example.org A", "NOERROR"),
        ("x.wild.example.org TXT", "NOERROR"),
        ("dangle.example.org A", "NXDOMAIN"),
        ("example.org DNSKEY", "NOERROR"),
    ] {
        let output = lab.dig(question);
        assert!(output.contains(&format!("status: {status}")), "{question}: {output}");
        assert_eq!(section(&output, ";; AUTHORITY SECTION:"), soa, "{question}: {output}");
    }
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegation_leads_to_the_childs_servers() {
    if !has("dig", "a_delegation_leads_to_the_childs_servers") {
        return;
    }
    let lab = Lab::new(zone(ZONE));
    for question in ["child.example.org A", "below.child.example.org A", "ns.child.example.org A"] {
        let output = lab.dig(question);
        assert!(output.contains("flags: qr rd;"), "not authoritative: {output}");
        assert_eq!(
            section(&output, ";; AUTHORITY SECTION:"),
            ["child.example.org. 300 IN NS ns.child.example.org."]
        );
        assert_eq!(section(&output, ";; ADDITIONAL SECTION:"), ["ns.child.example.org. 300 IN A 192.0.2.54"]);
    }
    let output = lab.dig("child.example.org DS");
    assert!(output.contains("flags: qr aa rd;") && output.contains("SOA"), "{output}");
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_refused_and_any_is_answered_with_little() {
    if !has("dig", "what_is_not_ours_is_refused_and_any_is_answered_with_little") {
        return;
    }
    let lab = Lab::new(zone(ZONE));
    for (question, status) in [
        ("example.net A", "REFUSED"),
        (". NS", "REFUSED"),
        ("example.org CH TXT", "REFUSED"),
        ("example.org AXFR", "Transfer failed"),
        ("+edns=1 +noednsneg example.org SOA", "BADVERS"),
        ("+opcode=notify example.org SOA", "NOTIMP"),
        ("loop1.example.org A", "NOERROR"),
    ] {
        let output = lab.dig(question);
        assert!(output.contains(status), "{question}: {output}");
    }
    let output = lab.dig("+notcp example.org ANY");
    assert_eq!(answers(&output).len(), 1, "{output}");
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_is_asked_for_again_by_tcp() {
    let strings: Vec<_> = (0..40).map(|number| format!("long IN TXT \"{number:0100}\"")).collect();
    let lab = Lab::new(zone(&format!("{ZONE}{}\n", strings.join("\n"))));
    let reply = ask(lab.address(), &name("long.example.org"), RecordType::TXT).await.unwrap();
    assert_eq!((reply.rcode, reply.authoritative, reply.records.len()), (Rcode::NOERROR, true, 40));
    let stats = lab.server.stats();
    assert_eq!((stats.truncated, stats.udp_requests, stats.tcp_requests), (1, 1, 1));
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_the_next_answer() {
    let lab = Lab::new(large(1000));
    let record = |number: u8| {
        let data = RecordData::A([192, 0, 2, number].into());
        Record::new(name("changing.example.org"), 60, data).unwrap()
    };
    for number in 1..=50 {
        let mut changes = vec![Change::Add(record(number))];
        changes.extend((number > 1).then(|| Change::Remove(record(number - 1))));
        let serial = lab.zones.apply(&changes).unwrap();
        assert_eq!(serial, 1 + u32::from(number));
        let reply = ask(lab.address(), &name("changing.example.org"), RecordType::A).await.unwrap();
        assert_eq!(reply.records, [record(number)]);
    }
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_zones_are_forwarded_for_the_loopback_and_for_nobody_without_a_forwarder() {
    let other = Lab::new(zone(ZONE));
    let elsewhere = other.address();
    let net = zone("@ 60 IN SOA ns admin 1 1 1 1 1\n@ 60 IN NS ns\n");
    let lab = Lab::with(net, |settings: &mut Settings| settings.forwarder = Some(elsewhere));
    // The other server has the same zone, so only what neither has can tell: it refuses, and that is passed on.
    let reply = ask(lab.address(), &name("example.com"), RecordType::A).await.unwrap();
    assert_eq!(reply.rcode, Rcode::REFUSED);
    assert_eq!((lab.server.stats().forwarded, other.server.stats().failed), (1, 1));
    lab.server.stop().await;
    let reply = ask(elsewhere, &name("example.com"), RecordType::A).await.unwrap();
    assert_eq!((reply.rcode, other.server.stats().forwarded), (Rcode::REFUSED, 0));
    other.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_network_is_limited_and_tcp_is_not() {
    let limit = RateLimit { per_second: 5, slip: 0, loopback: true };
    let lab = Lab::with(zone(ZONE), |settings: &mut Settings| settings.rate_limit = Some(limit));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut question = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    question.extend_from_slice(name("mail.example.org").wire());
    question.extend_from_slice(&[0, 1, 0, 1]);
    for _ in 0..200 {
        socket.send_to(&question, lab.address()).unwrap();
    }
    let mut tries = 0;
    while lab.server.stats().udp_requests < 200 && tries < 500 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        tries += 1;
    }
    let stats = lab.server.stats();
    // Two threads that count at once may count one; and the flood may lie on both sides of a second's end.
    assert!(stats.rate_limited >= 170, "{stats:?}");
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_leaves_its_port() {
    let lab = Lab::new(zone(ZONE));
    let address: SocketAddr = lab.address();
    let taken = Settings::new(address, lab.zones.clone());
    let error = hypermesh_dns::Server::start(&taken).unwrap_err();
    assert_eq!(error.to_string(), format!("{address} can't be listened at"));
    lab.server.stop().await;
    let again = hypermesh_dns::Server::start(&taken).unwrap();
    assert_eq!(ask(address, &name("mail.example.org"), RecordType::A).await.unwrap().records.len(), 1);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_forward_to_itself() {
    let lab = Lab::new(zone(ZONE));
    for (address, forwarder) in [("127.0.0.1:5353", "127.0.0.1:5353"), ("0.0.0.0:5353", "127.0.0.1:5353")] {
        let mut settings = Settings::new(address.parse().unwrap(), lab.zones.clone());
        settings.forwarder = Some(forwarder.parse().unwrap());
        let error = hypermesh_dns::Server::start(&settings).unwrap_err().to_string();
        assert!(error.contains("can't be forwarded there"), "{error}");
    }
    lab.server.stop().await;
}

#[test]
fn an_exported_zone_is_read_by_another_name_server() {
    if !has("named-checkzone", "an_exported_zone_is_read_by_another_name_server") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zone");
    std::fs::write(&file, hypermesh_dns::export(&zone(ZONE))).unwrap();
    let output =
        std::process::Command::new("named-checkzone").arg("example.org").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", crate::lab::text(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_question_gets_a_signed_answer() {
    if !has("dig", "a_signed_question_gets_a_signed_answer") {
        return;
    }
    let lab = Lab::new(zone(ZONE));
    for (transport, question) in [("+notcp", "mail.example.org A"), ("+tcp", "nobody.example.org A")] {
        let output = lab.dig(&format!("-y hmac-sha256:all:{} {transport} {question}", crate::lab::SECRET));
        assert!(
            output.contains("TSIG PSEUDOSECTION") && !output.contains("WARNING: -- Some TSIG"),
            "{output}"
        );
        assert!(!output.contains("Couldn't verify"), "{output}");
    }
    assert_eq!(lab.server.stats().unauthentic, 0);
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_addresses_are_listened_at_with_ipv6_among_them() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED several_addresses_are_listened_at_with_ipv6_among_them: there is no IPv6 here");
        return;
    }
    let lab = Lab::with(zone(ZONE), |settings| settings.addresses.push("[::1]:0".parse().unwrap()));
    for address in lab.server.addresses() {
        let reply = ask(*address, &name("mail.example.org"), RecordType::AAAA).await.unwrap();
        assert_eq!(reply.records.len(), 1, "{address}");
    }
    assert_eq!(lab.server.addresses().len(), 2);
    lab.server.stop().await;
}
