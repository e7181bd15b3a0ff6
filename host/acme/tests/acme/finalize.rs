//! Orders that become certificates, once, and of the right request.

use crate::client::{Client, document, problem};
use crate::der;
use crate::keys::CertificateKey;
use crate::world::World;
use hypermesh_acme::{ABSENT, AccountId, AccountKey, Change, Identifier, Refused, Store};
use serde_json::json;
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_concurrent_finalizes_issue_exactly_one() {
    for _ in 0..20 {
        let world = World::new();
        let client = Client::new(&world.acme).await;
        let order = world.ready(&client, &["dns:a.test"]).await;
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (client, order) = (client.clone(), order.clone());
                let request =
                    async move { client.finalize(&order, &["dns:a.test"], &CertificateKey::new()).await };
                tokio::spawn(request)
            })
            .collect();
        let mut statuses = Vec::new();
        for task in tasks {
            let reply = task.await.unwrap();
            if reply.status != 200 {
                assert_eq!(problem(&reply), "orderNotReady");
            }
            statuses.push(reply.status);
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403, 403, 403]);
        assert_eq!(world.authority.requests.load(Ordering::SeqCst), 1);
        assert_eq!(client.get(order["url"].as_str().unwrap()).await["status"], "valid");
    }
}

#[tokio::test]
async fn a_bad_csr_leaves_the_order_finalizable() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = world.ready(&client, &["dns:a.test", "dns:b.test"]).await;
    let key = CertificateKey::new();
    let request = |common, names: &[&str]| {
        der::request(common, &key.spki(), &der::alternative_names(names), |bytes| key.sign(bytes))
    };
    let right = ["dns:a.test", "dns:b.test"];
    let two_lists = [der::alternative_names(&right), der::alternative_names(&right)].concat();
    let broken_list = [der::alternative_names(&right), der::broken_alternative_names()].concat();
    for (why, csr) in [
        ("a name is lacking", request(None, &["dns:a.test"])),
        ("a name is too many", request(None, &["dns:a.test", "dns:b.test", "dns:c.test"])),
        ("a name is another", request(None, &["dns:a.test", "dns:c.test"])),
        ("a wildcard", request(None, &["dns:*.a.test", "dns:b.test"])),
        ("an address", request(None, &["dns:a.test", "dns:b.test", "ip:127.0.0.1"])),
        ("a mail address", request(None, &["dns:a.test", "dns:b.test", "email:a@a.test"])),
        ("a URI", request(None, &["dns:a.test", "dns:b.test", "uri:spiffe://a/b"])),
        ("a zero octet", request(None, &["dns:a.test", "dns:b.test", "dns:a.test\0.c.test"])),
        ("a common name", request(Some("c.test"), &right)),
        ("a common name that is none", request(Some("A company"), &right)),
        ("two lists", der::request(None, &key.spki(), &two_lists, |bytes| key.sign(bytes))),
        (
            "a second list that is none",
            der::request(None, &key.spki(), &broken_list, |bytes| key.sign(bytes)),
        ),
        ("no names", der::request(None, &key.spki(), &[], |bytes| key.sign(bytes))),
        ("something behind it", [request(None, &right), vec![0]].concat()),
        ("cut off", request(None, &right)[..100].to_vec()),
        ("nothing", Vec::new()),
        ("too large", vec![0x30; 49_000]),
    ] {
        let reply = client.finalize_with(&order, &csr).await;
        assert!(["badCSR", "malformed"].contains(&problem(&reply).as_str()), "{why}: {}", document(&reply));
        assert_eq!(client.get(order["url"].as_str().unwrap()).await["status"], "ready", "{why}");
    }
    for payload in [json!({}), json!({"csr": 7}), json!({"csr": "=="}), json!({"csr": null})] {
        let reply = client.post(order["finalize"].as_str().unwrap(), payload).await;
        assert_eq!(reply.status, 400);
    }
    assert_eq!(world.authority.requests.load(Ordering::SeqCst), 0, "the authority never heard of any");
    // The common name may be one of the names, and case means nothing.
    let reply = client.finalize_with(&order, &request(Some("B.test"), &["dns:B.TEST", "dns:a.test"])).await;
    assert_eq!(reply.status, 200, "{}", document(&reply));
}

#[tokio::test]
async fn a_csr_with_the_accounts_own_key_is_refused() {
    let world = World::new();
    let key = CertificateKey::new();
    let client = Client::with_key(&world.acme, key.as_account_key()).await;
    let order = world.ready(&client, &["dns:a.test"]).await;
    assert_eq!(problem(&client.finalize(&order, &["dns:a.test"], &key).await), "badCSR");
    assert_eq!(client.finalize(&order, &["dns:a.test"], &CertificateKey::new()).await.status, 200);
}

#[tokio::test]
async fn what_the_authority_refuses_leaves_the_order_ready() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = world.ready(&client, &["dns:a.test"]).await;
    let name = Identifier::parse("dns", "a.test").unwrap();
    for (refusal, status, kind, retry) in [
        (Refused::BadRequest("its signature is wrong".into()), 400, "badCSR", None),
        (Refused::BadKey("1024 bits".into()), 400, "badPublicKey", None),
        (Refused::Identifier(name, "not in a zone of ours".into()), 400, "rejectedIdentifier", None),
        (Refused::Busy { retry_after: 7 }, 503, "serverInternal", Some(7)),
        (Refused::Failed("the disk is full of secrets".into()), 500, "serverInternal", Some(1)),
    ] {
        *world.authority.refusal.lock().unwrap() = Some(refusal);
        let reply = client.finalize(&order, &["dns:a.test"], &CertificateKey::new()).await;
        assert_eq!((reply.status, problem(&reply).as_str(), reply.retry_after), (status, kind, retry));
        assert!(!String::from_utf8(reply.body).unwrap().contains("secrets"));
        assert_eq!(client.get(order["url"].as_str().unwrap()).await["status"], "ready", "{kind}");
    }
    assert_eq!(client.finalize(&order, &["dns:a.test"], &CertificateKey::new()).await.status, 200);
}

#[tokio::test]
async fn an_order_that_is_not_ready_issues_nothing() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = client.order(&["dns:a.test"]).await;
    let key = CertificateKey::new();
    let finalize = || client.finalize(&order, &["dns:a.test"], &key);
    assert_eq!(problem(&finalize().await), "orderNotReady");
    world.prove_all(&client, &order).await;
    world.later(7 * 86_400);
    assert_eq!(problem(&finalize().await), "orderNotReady");
    let order = world.ready(&client, &["dns:b.test"]).await;
    assert_eq!(client.finalize(&order, &["dns:b.test"], &CertificateKey::new()).await.status, 200);
    assert_eq!(
        problem(&client.finalize(&order, &["dns:b.test"], &CertificateKey::new()).await),
        "orderNotReady"
    );
    assert_eq!(world.authority.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn caa_records_are_asked_for_again_when_the_proof_is_old() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = world.ready(&client, &["dns:a.sub.test"]).await;
    world.table.issue("sub.test", ";");
    world.later(8 * 3600 + 1);
    let reply = client.finalize(&order, &["dns:a.sub.test"], &CertificateKey::new()).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (403, "caa"));
    assert_eq!(client.get(order["url"].as_str().unwrap()).await["status"], "ready");
    world
        .table
        .issue("sub.test", &format!("acme.test; accounturi={}; validationmethods=dns-01", client.account));
    assert_eq!(client.finalize(&order, &["dns:a.sub.test"], &CertificateKey::new()).await.status, 200);
}

#[tokio::test]
async fn an_order_whose_making_ended_in_the_middle_is_lost_rather_than_made_twice() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = world.ready(&client, &["dns:a.test"]).await;
    world.authority.panics.store(true, Ordering::SeqCst);
    let reply = client.finalize(&order, &["dns:a.test"], &CertificateKey::new()).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (500, "serverInternal"));
    let shown = client.get(order["url"].as_str().unwrap()).await;
    assert_eq!((&shown["status"], &shown["error"]["status"]), (&json!("invalid"), &json!(500)));
    world.authority.panics.store(false, Ordering::SeqCst);
    assert_eq!(
        problem(&client.finalize(&order, &["dns:a.test"], &CertificateKey::new()).await),
        "orderNotReady"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_an_order_that_is_finished() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = world.ready(&client, &["dns:a.test"]).await;
    let key = CertificateKey::new();
    tokio::select! {
        biased;
        reply = client.finalize(&order, &["dns:a.test"], &key) => panic!("it was not to wait: {reply:?}"),
        // Ready at once, so the request is dropped at the first thing that it waits for.
        () = std::future::ready(()) => {}
    }
    for _ in 0..1000 {
        let status = client.get(order["url"].as_str().unwrap()).await["status"].clone();
        if status == "valid" {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("nobody finished it");
}

#[tokio::test]
async fn an_order_whose_certificate_can_not_be_kept_ends() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = world.ready(&client, &["dns:a.test"]).await;
    let account = AccountId::parse(client.account.rsplit('/').next().unwrap()).unwrap();
    for number in 0.. {
        let key = AccountKey { thumbprint: number.to_string(), account: account.clone() };
        if world.store.commit(vec![Change::Key(key, ABSENT)]).await.is_err() {
            break;
        }
    }
    let reply = client.finalize(&order, &["dns:a.test"], &CertificateKey::new()).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (500, "serverInternal"));
    // It is not `processing`, for which a client would wait as long as the order exists.
    assert_eq!(client.get(order["url"].as_str().unwrap()).await["status"], "invalid");
    assert_eq!(world.authority.requests.load(Ordering::SeqCst), 1);
}
