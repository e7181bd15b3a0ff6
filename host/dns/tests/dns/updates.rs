//! Updates with nsupdate: made durable by the domain, refused without the right, never made twice.

use crate::lab::{Lab, SECRET, ZONE, has, name, zone};
use hypermesh_dns::{RecordType, ask};
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread")]
async fn nsupdate_changes_the_zone() {
    if !has("nsupdate", "nsupdate_changes_the_zone") {
        return;
    }
    let lab = Lab::new(zone(ZONE));
    let key = format!("-y hmac-sha256:all:{SECRET}");
    let (done, said) = lab.nsupdate(
        &key,
        "update add new.example.org 60 A 192.0.2.7\nupdate add new.example.org 60 TXT \"x y\"",
    );
    assert!(done, "{said}");
    let reply = ask(lab.address(), &name("new.example.org"), RecordType::A).await.unwrap();
    assert_eq!(reply.records.len(), 1);
    assert_eq!(lab.zones.current().serial(), 2);
    let (done, said) =
        lab.nsupdate(&format!("-v {key}"), "prereq yxrrset new.example.org A\nupdate delete new.example.org");
    assert!(done, "by TCP: {said}");
    assert!(lab.zones.current().set(&name("new.example.org"), RecordType::TXT).is_empty());
    let updates = lab.domain.updates.lock().unwrap().clone();
    assert_eq!(
        updates.iter().map(|update| (update.base_serial, update.changes.len())).collect::<Vec<_>>(),
        [(1, 2), (2, 2)]
    );
    assert_eq!(lab.server.stats().updates, 2);
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prerequisites_rights_and_keys_are_checked() {
    if !has("nsupdate", "prerequisites_rights_and_keys_are_checked") {
        return;
    }
    let lab = Lab::new(zone(ZONE));
    let add = "update add new.example.org 60 A 192.0.2.7";
    for (arguments, lines, wanted) in [
        (
            format!("-y hmac-sha256:all:{SECRET}"),
            format!("prereq nxdomain mail.example.org\n{add}"),
            "YXDOMAIN",
        ),
        (
            format!("-y hmac-sha256:all:{SECRET}"),
            format!("prereq yxdomain nobody.example.org\n{add}"),
            "NXDOMAIN",
        ),
        (
            format!("-y hmac-sha256:all:{SECRET}"),
            format!("prereq nxrrset mail.example.org A\n{add}"),
            "YXRRSET",
        ),
        (
            format!("-y hmac-sha256:all:{SECRET}"),
            format!("prereq yxrrset mail.example.org A 192.0.2.26\n{add}"),
            "NXRRSET",
        ),
        (format!("-y hmac-sha256:acme:{SECRET}"), add.into(), "REFUSED"),
        (format!("-y hmac-sha512:none:{SECRET}"), add.into(), "REFUSED"),
        (String::new(), add.into(), "REFUSED"),
        (format!("-y hmac-sha256:unknown:{SECRET}"), add.into(), "BADKEY"),
        (format!("-y hmac-sha512:all:{SECRET}"), add.into(), "BADKEY"),
        ("-y hmac-sha256:all:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into(), add.into(), "BADSIG"),
    ] {
        let (done, said) = lab.nsupdate(&arguments, &lines);
        assert!(!done && said.contains(wanted), "{arguments} {lines}: {said}");
    }
    assert_eq!((lab.zones.current().serial(), lab.domain.updates.lock().unwrap().len()), (1, 0));
    let lines = "update add _acme-challenge.example.org 60 TXT token";
    let (done, said) = lab.nsupdate(&format!("-y hmac-sha256:acme:{SECRET}"), lines);
    assert!(done, "within its right: {said}");
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_was_overtaken_is_checked_again() {
    if !has("nsupdate", "an_update_that_was_overtaken_is_checked_again") {
        return;
    }
    let lab = Lab::new(zone(ZONE));
    lab.domain.races.store(3, Ordering::Relaxed);
    let key = format!("-y hmac-sha256:all:{SECRET}");
    let (done, said) = lab.nsupdate(&key, "update add new.example.org 60 A 192.0.2.7");
    assert!(done, "{said}");
    let updates = lab.domain.updates.lock().unwrap().clone();
    assert_eq!(updates.iter().map(|update| update.base_serial).collect::<Vec<_>>(), [4]);
    // A prerequisite that was true, and is no longer when the update's turn comes.
    lab.domain.races.store(1, Ordering::Relaxed);
    let lines = "prereq nxdomain race1.example.org\nupdate delete race1.example.org\nupdate add b.example.org 60 A 192.0.2.8";
    let (done, said) = lab.nsupdate(&key, lines);
    assert!(!done && said.contains("YXDOMAIN"), "{said}");
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_comes_twice_is_made_once_and_answered_twice() {
    let lab = Lab::new(zone(ZONE));
    let update = signed_update();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(lab.address()).await.unwrap();
    let mut replies = Vec::new();
    for _ in 0..2 {
        socket.send(&update).await.unwrap();
        let mut reply = vec![0; 512];
        let length = tokio::time::timeout(std::time::Duration::from_secs(10), socket.recv(&mut reply)).await;
        replies.push((length.unwrap().unwrap() > 12, reply[3] & 0xf));
        // What the first did is undone by somebody else in between: a replay must not do it again.
        let record = lab.zones.current().set(&name("new.example.org"), RecordType::A).pop();
        if let Some(record) = record {
            lab.zones.apply(&[hypermesh_dns::Change::Remove(record)]).unwrap();
        }
    }
    assert_eq!(replies, [(true, 0), (true, 0)]);
    assert_eq!(lab.domain.updates.lock().unwrap().len(), 1);
    assert!(lab.zones.current().set(&name("new.example.org"), RecordType::A).is_empty());
    lab.server.stop().await;
}

/// `update add new.example.org 60 A 192.0.2.7`, signed now with the key `all`, as RFC 8945, 4.3 says.
fn signed_update() -> Vec<u8> {
    use aws_lc_rs::hmac;
    let mut message = vec![0, 9, 5 << 3, 0, 0, 1, 0, 0, 0, 1, 0, 0];
    message.extend_from_slice(name("example.org").wire());
    message.extend_from_slice(&[0, 6, 0, 1]);
    message.extend_from_slice(name("new.example.org").wire());
    message.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let time = &now.to_be_bytes()[2..];
    let (key, algorithm) = (name("all"), name("hmac-sha256"));
    let head = [0, 250, 0, 255, 0, 0, 0, 0];
    let variables = [key.wire(), &head[2..], algorithm.wire(), time, &[1, 44, 0, 0, 0, 0]].concat();
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), &[&message[..], &variables].concat());
    let data = [algorithm.wire(), time, &[1, 44, 0, 32], mac.as_ref(), &[0, 9, 0, 0, 0, 0]].concat();
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    message[11] = 1;
    [&message[..], key.wire(), &head, &length, &data].concat()
}
