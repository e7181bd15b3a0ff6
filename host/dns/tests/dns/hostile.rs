//! Messages of strangers: whatever they are, an answer is in bounds or missing, and the next question is answered.

use crate::lab::{Lab, ZONE, name, zone};
use hypermesh_dns::{RecordType, Zone, answer, ask};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

fn shared() -> &'static Zone {
    static SHARED: OnceLock<Zone> = OnceLock::new();
    SHARED.get_or_init(|| zone(ZONE))
}

/// What must be true of every answer by UDP.
fn check(message: &[u8]) {
    let Some(reply) = answer(shared(), message) else { return };
    assert!((12..=1232).contains(&reply.len()), "{} octets", reply.len());
    assert_eq!(reply[..2], message[..2], "the id");
    assert!(reply[2] & 0x80 != 0, "an answer says that it is one");
    let has_edns = message[10..12] != [0, 0];
    assert!(has_edns || reply.len() <= 512, "{} octets without EDNS", reply.len());
}

fn question() -> impl Strategy<Value = Vec<u8>> {
    let owners = [
        "mail",
        "www",
        "chain",
        "loop1",
        "nobody",
        "x.wild",
        "x.alias",
        "a.deep.empty",
        "deep.empty",
        "child",
        "x.child",
        "txt",
        "out",
        "dangle",
    ];
    let types = prop_oneof![
        prop::sample::select(vec![
            1_u16, 2, 5, 6, 15, 16, 28, 33, 41, 43, 46, 47, 48, 128, 250, 251, 252, 255, 257
        ]),
        any::<u16>()
    ];
    let edns = prop::option::of((any::<u16>(), any::<[u8; 4]>()));
    (prop::sample::select(owners.to_vec()), types, edns, any::<[u8; 2]>()).prop_map(
        |(owner, kind, edns, flags)| {
            let mut message =
                vec![1, 2, flags[0] & 1, flags[1] & 0x10, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
            message.extend_from_slice(name(&format!("{owner}.example.org")).wire());
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1]);
            if let Some((size, [high, _, flag, _])) = edns {
                message.extend_from_slice(&[0, 0, 41]);
                message.extend_from_slice(&size.to_be_bytes());
                message.extend_from_slice(&[high, 0, flag, 0, 0, 0]);
            }
            message
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_octets_are_answered_in_bounds(message in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&message);
    }

    #[test]
    fn random_octets_behind_a_header_are_answered_in_bounds(
        counts in any::<[u8; 4]>(), body in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let [questions, answers, authority, additional] = counts.map(|count| count % 4);
        let head = [1, 2, 0, 0, 0, questions, 0, answers, 0, authority, 0, additional];
        check(&[&head[..], &body].concat());
    }

    #[test]
    fn mutated_questions_are_answered_in_bounds(
        message in question(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>())
    ) {
        let mut message = message;
        for (index, octet) in changes {
            let at = index.index(message.len());
            message[at] = octet;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        check(&message);
    }
}

#[test]
fn names_that_run_in_circles_are_refused() {
    let head = [1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for body in [
        &b"\xc0\x0c\0\x01\0\x01"[..],
        b"\xc0\x00\0\x01\0\x01",
        b"\x01a\xc0\x0c\0\x01\0\x01",
        b"\xff\xff\0\x01\0\x01",
    ] {
        let reply = answer(shared(), &[&head[..], body].concat()).unwrap();
        assert_eq!((reply.len(), reply[3] & 0xf), (12, 1), "FORMERR");
    }
    let mut answers = [&head[..], b"\x01a\0\0\x01\0\x01"].concat();
    answers[2] = 0x80;
    assert!(answer(shared(), &answers).is_none(), "answers are not answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_by_udp_and_tcp_harms_nobody() {
    let lab = Lab::new(zone(ZONE));
    let mut octets = vec![0; 65_535];
    getrandom_like(&mut octets);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [0, 1, 11, 12, 13, 100, 512, 1500, 9000, 65_507] {
        for opcode in [0x00, 0x28, 0x80] {
            let mut message = octets[..length].to_vec();
            if length > 5 {
                message[2] = opcode;
                message[4..6].copy_from_slice(&[0, 1]);
            }
            socket.send_to(&message, lab.address()).unwrap();
        }
    }
    // Whole messages of garbage, one that ends too early, and one that never begins.
    let mut stream = TcpStream::connect(lab.address()).unwrap();
    stream.write_all(&[&[0xff, 0xff][..], &octets].concat()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.read(&mut [0; 512]);
    let mut early = TcpStream::connect(lab.address()).unwrap();
    early.write_all(&[0, 200, 1, 2, 3]).unwrap();
    drop(early);
    let _silent = TcpStream::connect(lab.address()).unwrap();
    let reply = ask(lab.address(), &name("mail.example.org"), RecordType::A).await.unwrap();
    assert_eq!(reply.records.len(), 1);
    lab.server.stop().await;
}

/// The same octets in each run.
fn getrandom_like(octets: &mut [u8]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for octet in octets {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *octet = state.to_le_bytes()[3];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_so_many_connections_and_no_more() {
    let lab = Lab::new(zone(ZONE));
    let streams: Vec<_> = (0..140).map(|_| TcpStream::connect(lab.address()).unwrap()).collect();
    let mut closed = 0;
    for mut stream in &streams {
        stream.write_all(&[0, 2, 0, 0]).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        closed += usize::from(!matches!(stream.read(&mut [0; 2]), Ok(1..)));
    }
    // Each sent what is too short to be answered, so all are closed; those above the limit were so at once.
    let stats = lab.server.stats();
    assert_eq!((closed, stats.tcp_connections + stats.tcp_refused), (140, 140));
    assert!(stats.tcp_refused <= 12 && stats.tcp_connections >= 128, "{stats:?}");
    lab.server.stop().await;
}
