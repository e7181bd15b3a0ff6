//! A server that ends in the middle of something, and another over the same records.

use crate::client::{Client, document};
use crate::keys::{encode, sha256};
use crate::world::{Endless, NOTHING_LISTENS, Table, World};
use hypermesh_acme::probe::NetworkProbe;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_validation_that_a_server_left_behind_is_taken_up_by_whoever_is_asked_about_it() {
    let table = Arc::new(Table::default());
    let world = World::with_probe(Arc::new(Endless), Arc::clone(&table), |_| {});
    let mut client = Client::new(&world.acme).await;
    let order = client.order(&["dns:a.test"]).await;
    let authorization = order["authorizations"][0].as_str().unwrap();
    let challenge = client.challenge(&order["authorizations"][0], "dns-01").await;
    table.text("_acme-challenge.a.test", encode(sha256(client.key_authorization(&challenge).as_bytes())));
    let reply = client.post(challenge["url"].as_str().unwrap(), json!({})).await;
    assert_eq!(document(&reply)["status"], "processing");

    client.acme = world.restarted(Arc::new(NetworkProbe::new(table, NOTHING_LISTENS, Vec::new())));
    for _ in 0..1000 {
        if client.get(authorization).await["status"] == "valid" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody took it up");
}
