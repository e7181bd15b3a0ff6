//! The audit finds every change, and nothing in a log that is sound.

use crate::{Key, append, fresh, reopen, scratch, settings};
use hypermesh_ctlog::{AuditError, Signer as _, audit};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

/// A closed log over more than one tile, made once. Each test copies what it changes.
fn closed() -> &'static (TempDir, Arc<Key>) {
    static CLOSED: OnceLock<(TempDir, Arc<Key>)> = OnceLock::new();
    CLOSED.get_or_init(|| {
        let (folder, key, log) = fresh();
        append(&log, 0..300);
        drop(log);
        (folder, key)
    })
}

/// Every file of a log that has something in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = ["entries", "leaves", "checkpoint"].map(|name| folder.join(name)).into();
    files.extend(fs::read_dir(folder.join("issuers")).unwrap().map(|file| file.unwrap().path()));
    files
}

fn copy() -> TempDir {
    copy_of(closed().0.path())
}

fn copy_of(from: &Path) -> TempDir {
    let to = scratch();
    fs::create_dir(to.path().join("issuers")).unwrap();
    for file in files(from) {
        fs::copy(&file, to.path().join(file.strip_prefix(from).unwrap())).unwrap();
    }
    to
}

#[test]
fn a_sound_log_is_found_sound() {
    let (folder, key) = closed();
    let found = audit(folder.path(), key.spki_der()).unwrap();
    assert_eq!((found.entries, found.head.size, found.torn_bytes), (300, 300, 0));
    assert_eq!((found.issuers, found.issuer_keys), (1, 1));
    assert_eq!(found.bytes, folder.path().join("entries").metadata().unwrap().len());
    assert_eq!((found.origin.as_str(), found.root), (crate::ORIGIN, found.head.root));
}

#[test]
fn every_byte_of_a_kept_head_and_of_the_header_counts() {
    let (on_disk, key, log) = fresh();
    append(&log, 0..2);
    drop(log);
    let folder = copy_of(on_disk.path());
    for (name, bytes) in [("checkpoint", 0..1024), ("entries", 0..40)] {
        let path = folder.path().join(name);
        let good = fs::read(&path).unwrap();
        // One or two bits of each byte.
        for bit in (bytes.start * 8..bytes.end * 8).step_by(5) {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            assert!(audit(folder.path(), key.spki_der()).is_err(), "bit {bit} of {name}");
        }
        fs::write(&path, good).unwrap();
    }
    audit(folder.path(), key.spki_der()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_flipped_bit_anywhere_is_found(file in 0..4_usize, at in any::<prop::sample::Index>()) {
        let (_, key) = closed();
        let folder = copy();
        let path = &files(folder.path())[file];
        let mut bytes = fs::read(path).unwrap();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(path, bytes).unwrap();
        prop_assert!(audit(folder.path(), key.spki_der()).is_err(), "bit {} of {}", bit, path.display());
    }

    #[test]
    fn a_file_that_was_cut_is_found(file in 0..4_usize, at in any::<prop::sample::Index>()) {
        let (_, key) = closed();
        let folder = copy();
        let path = &files(folder.path())[file];
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..at.index(bytes.len())]).unwrap();
        prop_assert!(audit(folder.path(), key.spki_der()).is_err());
    }
}

#[test]
fn another_key_and_a_missing_issuer_are_found() {
    let (_, key) = closed();
    let folder = copy();
    audit(folder.path(), Key::generate().spki_der()).unwrap_err();
    assert!(matches!(audit(folder.path(), b"no key"), Err(AuditError::Key(_))));
    for issuer in fs::read_dir(folder.path().join("issuers")).unwrap() {
        fs::remove_file(issuer.unwrap().path()).unwrap();
    }
    let missing = audit(folder.path(), key.spki_der());
    assert!(matches!(missing, Err(AuditError::Issuer { index: 0, .. })), "{missing:?}");
    assert!(matches!(audit(&folder.path().join("nowhere"), key.spki_der()), Err(AuditError::Files(_))));
}

#[test]
fn a_log_can_be_audited_while_it_is_written() {
    let (_, key) = closed();
    let folder = copy();
    let log = reopen(&settings(folder.path(), key)).unwrap();
    std::thread::scope(|scope| {
        let writing =
            scope.spawn(|| (0..20).for_each(|round| drop(append(&log, round * 50..round * 50 + 50))));
        while !writing.is_finished() {
            let found = audit(folder.path(), key.spki_der()).unwrap();
            assert!(found.entries >= found.head.size && found.head.size >= 300);
        }
    });
    drop(log);
    let found = audit(folder.path(), key.spki_der()).unwrap();
    assert_eq!((found.entries, found.torn_bytes), (1300, 0));
}
