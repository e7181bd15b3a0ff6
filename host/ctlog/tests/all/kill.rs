//! `kill -9` in the middle: whatever was acknowledged is there afterwards, and heads that were shown still hold.

use crate::{ISSUER, Key, entry, reopen, settings};
use hypermesh_ctlog::merkle::verify_consistency;
use hypermesh_ctlog::{Hash, Log, Sct, Signer as _, audit};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinSet;

const FOLDER: &str = "HYPERMESH_CTLOG_CRASH_TEST";

/// Clients of the process that is killed.
const CLIENTS: u64 = 16;

fn hex(hash: Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Not a test by itself: the process that [`what_was_promised_survives_a_kill`] kills.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let key = Key::from_pkcs8(&fs::read(folder.join("key")).unwrap());
    let log = Log::open(settings(&folder.join("log"), &key)).unwrap();
    log.add_issuer(ISSUER).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn(client_of(log.clone(), client));
        }
        clients.join_all().await
    });
}

async fn client_of(log: Log, client: u64) {
    for round in 0.. {
        let number = u64::from(std::process::id()) << 32 | round << 8 | client;
        let entry = entry(&log, number);
        let appended = log.append(entry.clone()).await.unwrap();
        let sct = Sct::from_bytes(&appended.sct).unwrap();
        sct.verify(log.key(), &entry.issuer_key_hash, &entry.tbs).unwrap();
        println!("entry {} {}", appended.index, hex(sct.leaf_hash(&entry.issuer_key_hash, &entry.tbs)));
        if client == 0 {
            let head = log.head();
            println!("head {} {}", head.size, hex(head.root));
        }
    }
}

#[test]
fn what_was_promised_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    let (log_folder, pkcs8) = (folder.path().join("log"), Key::new_pkcs8());
    let key = Key::from_pkcs8(&pkcs8);
    fs::write(folder.path().join("key"), &pkcs8).unwrap();
    // What the processes said, by index of entries and size of trees.
    let (mut entries, mut heads) = (BTreeMap::new(), BTreeMap::new());
    let mut last = reopen(&settings(&log_folder, &key)).unwrap().head();
    for round in 1..=8 {
        for line in lines_of_a_child(folder.path(), round * 53) {
            // The harness writes the test's name on the same line as the first.
            let words: Vec<_> = line.split(' ').rev().take(3).collect();
            match words[..] {
                [hash, index, kind] if kind.ends_with("entry") => {
                    entries.insert(index.parse::<u64>().unwrap(), hash.to_owned());
                }
                [root, size, kind] if kind.ends_with("head") => {
                    heads.insert(size.parse::<u64>().unwrap(), root.to_owned());
                }
                _ => {}
            }
        }
        check(&settings(&log_folder, &key), &key, (&entries, &heads), &mut last);
    }
    assert!(entries.len() > 8 * 53 && !heads.is_empty());
}

/// What a child says until it is killed after some entries, and what was still in the pipe.
fn lines_of_a_child(folder: &std::path::Path, after: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said: Vec<_> = lines.by_ref().map_while(Result::ok).take(after).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(lines.map_while(Result::ok).filter(|line| whole(line)));
    said
}

/// The last line may have been cut by the kill.
fn whole(line: &str) -> bool {
    line.rsplit(' ').next().is_some_and(|hash| hash.len() == 64)
}

fn check(
    settings: &hypermesh_ctlog::Settings,
    key: &Arc<Key>,
    (entries, heads): (&BTreeMap<u64, String>, &BTreeMap<u64, String>),
    last: &mut hypermesh_ctlog::SignedTreeHead,
) {
    let found = audit(&settings.folder, key.spki_der()).unwrap();
    let log = reopen(settings).unwrap();
    let head = log.head();
    assert_eq!(head.size, found.entries);
    for (index, hash) in entries {
        assert_eq!(hex(log.leaf_hash(*index).unwrap()), *hash, "entry {index}");
    }
    for (size, root) in heads {
        assert_eq!(hex(log.root(*size).unwrap()), *root, "head of {size}");
    }
    let proof = log.consistency(last.size, head.size).unwrap();
    verify_consistency(last.size, head.size, &last.root, &head.root, &proof).unwrap();
    *last = head;
}
