//! What a crash leaves of certificates: none without its entry in the log, no entry lost, a tree that never shrinks.

use crate::trust_openssl::said;
use hypermesh_client::Client;
use hypermesh_harness::{Node, until};
use hypermesh_wire::trustchain::CreateCertificate;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Callers that ask for certificates at the same time.
const CALLERS: usize = 6;
/// Certificates after which the node is killed, in each round.
const ROUNDS: [usize; 3] = [5, 40, 90];

/// Asks for certificates until the node is gone; gives the ids of those that were acknowledged.
fn keep_asking(client: &Client, caller: usize, count: &AtomicUsize) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let subject = Some(format!("CN=c{caller}-{}.hypermesh.network", ids.len()));
        match client.create_certificate(&CreateCertificate { subject, ..CreateCertificate::default() }) {
            Ok(issued) => {
                ids.push(issued.certificate.id);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => return ids,
        }
    }
}

#[test]
fn after_kill_9_every_acknowledged_certificate_is_there_and_in_the_log() {
    let mut node = Node::start();
    let mut acknowledged: Vec<String> = Vec::new();
    let mut size = 0;
    for enough in ROUNDS {
        let count = Arc::new(AtomicUsize::new(0));
        let ids = Arc::new(Mutex::new(Vec::new()));
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (client, count, ids) = (node.trustchain(), Arc::clone(&count), Arc::clone(&ids));
                thread::spawn(move || ids.lock().unwrap().extend(keep_asking(&client, caller, &count)))
            })
            .collect();
        until("enough certificates", || (count.load(Ordering::Relaxed) >= enough).then_some(()));
        node.kill9();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        acknowledged.append(&mut ids.lock().unwrap());
        node.restart();
        let client = node.trustchain();
        let head = client.log_head().unwrap();
        assert!(head.tree_size >= size + enough as u64, "{} after {size}", head.tree_size);
        size = head.tree_size;
        for id in &acknowledged {
            let certificate = client.certificate(id).unwrap();
            assert!(certificate.log_index < Some(size), "{certificate:?}");
            let proof = client.inclusion(id).unwrap();
            assert!(proof.leaf_index < proof.tree_size, "{proof:?}");
        }
        let audit = node.cli(&["log", "verify"]);
        assert!(audit.status.success(), "{}", said(&audit));
    }
    assert!(acknowledged.len() >= ROUNDS.iter().sum::<usize>());
}
