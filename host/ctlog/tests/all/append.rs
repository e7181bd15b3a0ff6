//! Appending: numbers, timestamps, heads.

use crate::{append, block_on, entry, fresh, reopen, settings};
use hypermesh_ctlog::merkle::{verify_consistency, verify_inclusion};
use hypermesh_ctlog::{LogError, LogKey, Sct, SignedTreeHead, Signer as _};
use std::time::Duration;

#[test]
fn an_empty_log_has_a_signed_head() {
    let (_folder, key, log) = fresh();
    let head = log.head();
    assert_eq!((head.size, head.root), (0, hypermesh_ctlog::merkle::empty_root()));
    head.verify(&LogKey::from_spki_der(key.spki_der()).unwrap()).unwrap();
    assert!(log.checkpoint().starts_with(&format!("{}\n0\n", log.origin())));
}

#[test]
fn what_is_appended_at_once_is_numbered_without_gaps_and_shares_syncs() {
    let (_folder, key, log) = fresh();
    let public = LogKey::from_spki_der(key.spki_der()).unwrap();
    let done = append(&log, 0..1000);
    let head = log.head();
    head.verify(&public).unwrap();
    assert_eq!(head.size, 1000);
    for (i, (entry, appended)) in (0..).zip(&done) {
        assert_eq!((appended.index, appended.timestamp_ms), (i, entry.timestamp_ms));
        let sct = Sct::from_bytes(&appended.sct).unwrap();
        sct.verify(&public, &entry.issuer_key_hash, &entry.tbs).unwrap();
        assert_eq!((sct.leaf_index(), sct.timestamp_ms), (Some(i), entry.timestamp_ms));
        let leaf = sct.leaf_hash(&entry.issuer_key_hash, &entry.tbs);
        assert_eq!(log.leaf_hash(i).unwrap(), leaf);
        verify_inclusion(&leaf, i, 1000, &log.inclusion(i, 1000).unwrap(), &head.root).unwrap();
        assert_eq!(log.entry(i).unwrap(), *entry);
    }
    let counts = log.statistics();
    assert_eq!(counts.appended, 1000);
    assert!(counts.batches < 1000 && counts.heads > counts.batches, "{counts:?}");
}

#[test]
fn an_answer_is_in_the_head_and_heads_follow_one_another() {
    let (folder, key, log) = fresh();
    let public = LogKey::from_spki_der(key.spki_der()).unwrap();
    let mut heads = vec![log.head()];
    for number in 0..12 {
        let done = append(&log, number..number + 1);
        let head = SignedTreeHead::from_note(&log.checkpoint(), log.origin(), &public).unwrap();
        assert!(head.size > done[0].1.index && head.timestamp_ms >= done[0].1.timestamp_ms);
        heads.push(head);
    }
    drop(log);
    let log = reopen(&settings(folder.path(), &key)).unwrap();
    heads.push(log.head());
    for pair in heads.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        assert!(a.timestamp_ms <= b.timestamp_ms);
        let proof = log.consistency(a.size, b.size).unwrap();
        verify_consistency(a.size, b.size, &a.root, &b.root, &proof).unwrap();
    }
}

#[test]
fn a_head_is_never_older_than_its_entries_whatever_the_clock_says() {
    let (folder, key, log) = fresh();
    let far = 32_503_680_000_000;
    let mut late = entry(&log, 0);
    late.timestamp_ms = far;
    block_on(log.append(late)).unwrap();
    append(&log, 1..2);
    assert!(log.head().timestamp_ms >= far);
    drop(log);
    assert!(reopen(&settings(folder.path(), &key)).unwrap().head().timestamp_ms >= far);
}

#[test]
fn more_than_may_wait_is_refused_and_counted() {
    let (folder, key, log) = fresh();
    drop(log);
    let settings = hypermesh_ctlog::Settings {
        queue: 1,
        window: Duration::from_millis(300),
        ..settings(folder.path(), &key)
    };
    let log = reopen(&settings).unwrap();
    let outcomes = block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (log, entry) = (log.clone(), entry(&log, number));
            tasks.spawn(async move { log.append(entry).await });
        }
        tasks.join_all().await
    });
    let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(LogError::Busy))).count();
    let logged = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(busy > 0 && logged > 0 && busy + logged == 20, "{busy} {logged}");
    assert_eq!((log.head().size, log.statistics().refused), (logged as u64, busy as u64));
}

#[test]
fn the_last_handle_waits_for_what_was_accepted() {
    let (folder, key, log) = fresh();
    block_on(async {
        for number in 0..50 {
            // Polled once, so that it waits in the queue; then nobody wants the answer.
            let append = log.append(entry(&log, number));
            tokio::select! { biased; _ = append => {}, () = std::future::ready(()) => {} }
        }
    });
    drop(log);
    assert_eq!(reopen(&settings(folder.path(), &key)).unwrap().head().size, 50);
}
