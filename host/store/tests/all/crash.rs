//! `kill -9` in the middle: whatever was acknowledged is there afterwards.

use crate::{Note, batch, note};
use hypermesh_model::EventKind;
use hypermesh_store::Store;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const FOLDER: &str = "HYPERMESH_STORE_CRASH_TEST";

/// Not a test by itself: the process that [`acknowledged_commits_survive_a_kill`] kills.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = Store::open(&PathBuf::from(folder).join("node.db")).unwrap();
    let notes = store.table::<Note>().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, notes) = (&store, &notes);
            scope.spawn(move || {
                for i in 0.. {
                    let id = format!("{}-{thread}-{i}", std::process::id());
                    let one = batch(|b| {
                        b.put(notes, note(&id, "x")).event(EventKind::AssetRegistered, &id, Value::Null)
                    });
                    store.commit_blocking(one).unwrap();
                    println!("ack {id}");
                }
            });
        }
    });
}

#[test]
fn acknowledged_commits_survive_a_kill() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged = Vec::new();
    for round in 1..=4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_that_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The harness writes the test's name on the same line as the first id.
        let id = |line: String| line.split_once("ack ").map(|(_, id)| id.to_owned());
        acknowledged.extend(lines.by_ref().map_while(Result::ok).filter_map(id).take(round * 61));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.map_while(Result::ok).filter_map(id));

        let store = Store::open(&folder.path().join("node.db")).unwrap();
        let notes = store.table::<Note>().unwrap();
        assert!(acknowledged.len() >= round * 61);
        assert!(acknowledged.iter().all(|id| notes.contains(id)));
        let events = store.events().since(0, usize::MAX).unwrap();
        assert_eq!(events.len(), notes.len(), "a row and its event come together");
        assert!(events.iter().all(|e| notes.contains(&e.subject)));
    }
    eprintln!("{} acknowledged commits over 4 kills, none lost", acknowledged.len());
}
