//! After a crash: what the files can look like then, each opened again.

use crate::{Key, append, entry, fresh, reopen, scratch, settings};
use hypermesh_ctlog::{Entry, Log, LogError, Signer as _, audit};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

fn length(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

fn cut(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// A copy of a log's files.
fn copy(from: &Path) -> TempDir {
    let to = scratch();
    fs::create_dir(to.path().join("issuers")).unwrap();
    for name in ["entries", "checkpoint", "leaves"] {
        fs::copy(from.join(name), to.path().join(name)).unwrap();
    }
    for issuer in fs::read_dir(from.join("issuers")).unwrap() {
        let issuer = issuer.unwrap();
        fs::copy(issuer.path(), to.path().join("issuers").join(issuer.file_name())).unwrap();
    }
    to
}

fn all(log: &Log) -> Vec<Entry> {
    let mut entries = Vec::new();
    log.scan(0, &mut |_, entry| entries.push(entry)).unwrap();
    entries
}

/// A log that was closed: its key, entries, where each record ends, and a checkpoint of the first five alone.
struct Closed {
    folder: TempDir,
    key: Arc<Key>,
    entries: Vec<Entry>,
    ends: Vec<u64>,
    early: Vec<u8>,
}

const SIGNED: usize = 5;

fn closed() -> Closed {
    let (folder, key, log) = fresh();
    let path = folder.path().join("entries");
    let mut ends = vec![length(&path)];
    let mut early = Vec::new();
    for number in 0..8 {
        if ends.len() == SIGNED + 1 {
            early = fs::read(folder.path().join("checkpoint")).unwrap();
        }
        append(&log, number..number + 1);
        ends.push(length(&path));
    }
    let entries = all(&log);
    drop(log);
    Closed { folder, key, entries, ends, early }
}

#[test]
fn a_tail_that_was_cut_at_any_byte_loses_only_what_no_head_covers() {
    let closed = closed();
    fs::write(closed.folder.path().join("checkpoint"), &closed.early).unwrap();
    for at in closed.ends[SIGNED]..=closed.ends[8] {
        let torn = copy(closed.folder.path());
        cut(&torn.path().join("entries"), at);
        let whole = closed.ends.iter().filter(|end| **end <= at).count() - 1;
        let before = audit(torn.path(), closed.key.spki_der()).unwrap();
        assert_eq!((before.entries, before.torn_bytes), (whole as u64, at - closed.ends[whole]));
        let log = reopen(&settings(torn.path(), &closed.key)).unwrap();
        assert_eq!(log.head().size, whole as u64, "cut at {at}");
        assert_eq!(all(&log), closed.entries[..whole]);
        append(&log, 100..101);
        drop(log);
        let after = audit(torn.path(), closed.key.spki_der()).unwrap();
        assert_eq!(
            (after.entries, after.head.size, after.torn_bytes),
            (whole as u64 + 1, whole as u64 + 1, 0)
        );
    }
}

#[test]
fn a_log_that_is_cut_below_its_head_is_refused() {
    let closed = closed();
    let end = closed.ends[8];
    for at in (0..end).step_by(7).chain(end - 3..end) {
        let torn = copy(closed.folder.path());
        cut(&torn.path().join("entries"), at);
        let whole = closed.ends.iter().filter(|end| **end <= at).count().saturating_sub(1) as u64;
        let refused = reopen(&settings(torn.path(), &closed.key)).unwrap_err();
        assert!(
            matches!(refused, LogError::Shrunk { checkpoint: 8, found } if found == whole),
            "cut at {at}: {refused}"
        );
        assert_eq!(length(&torn.path().join("entries")), at, "nothing was changed");
        audit(torn.path(), closed.key.spki_der()).unwrap_err();
    }
}

#[test]
fn a_tail_of_anything_is_cut() {
    let closed = closed();
    for tail in [vec![0; 5000], vec![255; 5000], b"x".to_vec(), (0..=255).cycle().take(70_000).collect()] {
        let torn = copy(closed.folder.path());
        let entries = OpenOptions::new().write(true).open(torn.path().join("entries")).unwrap();
        entries.write_all_at(&tail, closed.ends[8]).unwrap();
        let log = reopen(&settings(torn.path(), &closed.key)).unwrap();
        assert_eq!((log.head().size, all(&log)), (8, closed.entries.clone()));
        assert_eq!(length(&torn.path().join("entries")), closed.ends[8]);
    }
}

#[test]
fn leaves_are_made_again_when_they_are_missing_short_long_or_wrong() {
    let closed = closed();
    let rows = fs::read(closed.folder.path().join("leaves")).unwrap();
    let zeroes = vec![0; rows.len()];
    // Whether rows are right is known from the last entry and the root over all.
    let mut flipped = rows.clone();
    flipped[3] ^= 1;
    let mut misplaced = rows.clone();
    misplaced[8 * 40 - 1] ^= 1;
    let longer = [&rows[..], &zeroes[..77]].concat();
    for wrong in [&[][..], &rows[..100], &zeroes, &flipped, &misplaced, &longer] {
        let torn = copy(closed.folder.path());
        fs::write(torn.path().join("leaves"), wrong).unwrap();
        let log = reopen(&settings(torn.path(), &closed.key)).unwrap();
        assert_eq!(all(&log), closed.entries);
        drop(log);
        assert_eq!(fs::read(torn.path().join("leaves")).unwrap(), rows);
        audit(torn.path(), closed.key.spki_der()).unwrap();
    }
}

#[test]
fn a_torn_head_leaves_the_one_before() {
    let closed = closed();
    let good = fs::read(closed.folder.path().join("checkpoint")).unwrap();
    for slot in [0, 512] {
        let torn = copy(closed.folder.path());
        let mut bytes = good.clone();
        bytes[slot + 30..slot + 90].fill(0);
        fs::write(torn.path().join("checkpoint"), bytes).unwrap();
        audit(torn.path(), closed.key.spki_der()).unwrap_err();
        let log = reopen(&settings(torn.path(), &closed.key)).unwrap();
        assert_eq!(log.head().size, 8);
        drop(log);
        audit(torn.path(), closed.key.spki_der()).unwrap();
    }
}

#[test]
fn a_log_without_a_readable_head_is_refused() {
    let closed = closed();
    let path = closed.folder.path().join("checkpoint");
    let refused = |content: Option<&[u8]>| {
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        reopen(&settings(closed.folder.path(), &closed.key)).unwrap_err()
    };
    for content in [Some(&b""[..]), Some(&[b'\n'; 1024]), Some(&[0; 1024]), Some(&closed.early[..900]), None]
    {
        let error = refused(content);
        assert!(matches!(error, LogError::NoCheckpoint { .. }), "{error}");
        audit(closed.folder.path(), closed.key.spki_der()).unwrap_err();
    }
}

#[test]
fn a_log_whose_making_was_interrupted_is_made() {
    for header in [0, 1, 39, 40] {
        let (folder, key, log) = fresh();
        drop(log);
        fs::remove_file(folder.path().join("checkpoint")).unwrap();
        let entries = folder.path().join("entries");
        fs::write(&entries, vec![0; header]).unwrap();
        fs::write(folder.path().join("checkpoint.new"), "half").unwrap();
        let log = reopen(&settings(folder.path(), &key)).unwrap();
        append(&log, 0..1);
        drop(log);
        assert_eq!(audit(folder.path(), key.spki_der()).unwrap().entries, 1);
    }
}

#[test]
fn another_logs_entries_under_our_head_are_refused() {
    let closed = closed();
    let twin = TempDir::new().unwrap();
    let log = Log::open(settings(twin.path(), &closed.key)).unwrap();
    for number in 50..60 {
        append(&log, number..number + 1);
    }
    drop(log);
    let mixed = copy(closed.folder.path());
    fs::copy(twin.path().join("entries"), mixed.path().join("entries")).unwrap();
    let refused = reopen(&settings(mixed.path(), &closed.key)).unwrap_err();
    assert!(matches!(refused, LogError::Forked { size: 8 }), "{refused}");
    audit(mixed.path(), closed.key.spki_der()).unwrap_err();
    // With the other log's rows as well, which are right for its entries.
    fs::copy(twin.path().join("leaves"), mixed.path().join("leaves")).unwrap();
    let refused = reopen(&settings(mixed.path(), &closed.key)).unwrap_err();
    assert!(matches!(refused, LogError::Forked { size: 8 }), "{refused}");
}

#[test]
fn damage_below_the_head_is_never_cut() {
    let closed = closed();
    let good = fs::read(closed.folder.path().join("entries")).unwrap();
    let torn = copy(closed.folder.path());
    let mut bytes = good.clone();
    let at = usize::try_from(closed.ends[2]).unwrap() + 60;
    bytes[at] ^= 1;
    fs::write(torn.path().join("entries"), &bytes).unwrap();
    // With rows that are right, opening need not read old entries; serving them does, and an audit.
    let log = reopen(&settings(torn.path(), &closed.key)).unwrap();
    assert!(matches!(log.entry(2), Err(LogError::Corrupt { .. })));
    assert_eq!(log.entry(3).unwrap(), closed.entries[3]);
    drop(log);
    audit(torn.path(), closed.key.spki_der()).unwrap_err();
    fs::remove_file(torn.path().join("leaves")).unwrap();
    let refused = reopen(&settings(torn.path(), &closed.key)).unwrap_err();
    assert!(matches!(refused, LogError::Corrupt { .. }), "{refused}");
    assert_eq!(fs::read(torn.path().join("entries")).unwrap(), bytes);
}

#[test]
fn a_record_in_anothers_place_is_refused() {
    let closed = closed();
    let good = fs::read(closed.folder.path().join("entries")).unwrap();
    let place = |i: usize| usize::try_from(closed.ends[i]).unwrap();
    // The last record once more: whole, but with a number that is taken.
    let twice = [&good[..], &good[place(7)..place(8)]].concat();
    fs::write(closed.folder.path().join("entries"), twice).unwrap();
    let refused = reopen(&settings(closed.folder.path(), &closed.key)).unwrap_err();
    assert!(matches!(refused, LogError::Corrupt { .. }), "{refused}");
}

#[test]
fn a_tree_over_several_tiles_comes_back() {
    let (folder, key, log) = fresh();
    append(&log, 0..1100);
    let (head, entries) = (log.head(), all(&log));
    drop(log);
    for without_leaves in [false, true] {
        if without_leaves {
            fs::remove_file(folder.path().join("leaves")).unwrap();
        }
        let log = reopen(&settings(folder.path(), &key)).unwrap();
        assert_eq!((log.head().size, log.head().root), (head.size, head.root));
        assert_eq!(all(&log), entries);
        for index in [0, 255, 256, 511, 1099] {
            let proof = log.inclusion(index, 1100).unwrap();
            let leaf = log.leaf_hash(index).unwrap();
            hypermesh_ctlog::merkle::verify_inclusion(&leaf, index, 1100, &proof, &head.root).unwrap();
            assert_eq!(log.inclusion_by_hash(&leaf, 1100).unwrap(), Some((index, proof)));
        }
    }
    let log = reopen(&settings(folder.path(), &key)).unwrap();
    append(&log, 1100..1101);
    assert_eq!(log.entry(1100).unwrap(), entry(&log, 1100));
}
