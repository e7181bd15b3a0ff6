//! `kill -9` between the steps of issuing and while many are issued: nothing that was given out is lost or other, nothing
//! exists without an entry, and what was promised is finished.

use crate::{ZONE, open, server};
use hypermesh_model::{CertificateStatus, RolloverPhase, RotationType};
use hypermesh_trustchain::{CertificateFilter, RotationRequest, TrustChain, ValidateRequest};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What the second child is to do.
const CHANGE: &str = "HYPERMESH_TRUSTCHAIN_CHANGE";
const FOLDER: &str = "HYPERMESH_TRUSTCHAIN_CRASH_TEST";
/// What the domain's fail points read.
const CRASH_AT: &str = "HYPERMESH_CRASH_AT";

/// Not a test by itself: the process that the others kill. It issues, and says what it got.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).filter(|_| std::env::var_os(CHANGE).is_none()) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let domain = open(Path::new(&folder)).await;
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let domain = domain.clone();
                tokio::spawn(async move {
                    for number in 0.. {
                        let name = format!("h{task}-{number}-{}.{ZONE}", std::process::id());
                        let record = domain.issue(server(&name)).await.unwrap().certificate.record;
                        println!("ack {} {}", record.id, record.fingerprint);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Not a test by itself: the process that dies in the middle of something else than issuing.
#[test]
fn child_that_dies_changing_something() {
    let (Some(folder), Ok(what)) = (std::env::var_os(FOLDER), std::env::var(CHANGE)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let domain = open(Path::new(&folder)).await;
        let own = domain.identity().borrow().certificate_id.clone();
        match what.as_str() {
            "rotate" => {
                let request = RotationRequest {
                    certificate_id: own,
                    rotation_type: RotationType::Manual,
                    key: None,
                    by: "test".to_owned(),
                };
                domain.rotate(request).await.unwrap();
            }
            "revoke" => {
                let id = domain.issue(server(&format!("gone.{ZONE}"))).await.unwrap().certificate.record.id;
                domain.revoke(&id, "keyCompromise", "test").await.unwrap();
            }
            _ => {
                let rollover = domain.prepare_rollover("test").await.unwrap();
                domain.advance_rollover(&rollover.id, "test").await.unwrap();
            }
        }
    });
}

fn die_at(folder: &Path, what: &str, point: &str) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_dies_changing_something"])
        .env(FOLDER, folder)
        .env(CHANGE, what)
        .env(CRASH_AT, point)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "{what} {point}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_in_the_middle_of_a_change_leaves_the_one_or_the_other() {
    let folder = TempDir::new().unwrap();
    let own = async || {
        let domain = open(folder.path()).await;
        let id = domain.identity().borrow().certificate_id.clone();
        let keys = std::fs::read_dir(folder.path().join("trustchain/keys")).unwrap();
        let names = keys.map(|it| it.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.starts_with("node-")).count(), 1, "no key is left behind");
        domain.stop().await.unwrap();
        id
    };
    let first = own().await;
    die_at(folder.path(), "rotate", "identity.saved");
    assert_eq!(own().await, first, "not on record: the old one goes on");
    die_at(folder.path(), "rotate", "rotation.recorded");
    let second = own().await;
    assert_ne!(second, first, "on record: the new one is used");

    die_at(folder.path(), "revoke", "revoke.recorded");
    let domain = open(folder.path()).await;
    assert_eq!(domain.stats().revocations, 1);
    let name = CertificateFilter { name: Some("gone.".to_owned()), ..CertificateFilter::default() };
    let gone = domain.certificates(&name, None, 1).unwrap().items.remove(0);
    assert_eq!(gone.status, CertificateStatus::Revoked);
    let list = domain.crl(&gone.record.issuer_id).await.unwrap().der;
    let serial: hypermesh_pki::SerialNumber = gone.record.id.as_str().parse().unwrap();
    assert!(list.windows(16).any(|bytes| bytes == serial.as_bytes()));
    domain.stop().await.unwrap();
    drop(domain);

    die_at(folder.path(), "roll over", "rollover.recorded");
    let domain = open(folder.path()).await;
    let rollover = domain.rollovers().remove(0);
    assert_eq!(rollover.phase(), RolloverPhase::Distributed);
    domain.advance_rollover(&rollover.id, "test").await.unwrap();
    let record = domain.issue(server(&format!("a.{ZONE}"))).await.unwrap().certificate.record;
    assert_eq!(record.issuer_id, rollover.to);
    domain.stop().await.unwrap();
}

/// What a child said until it died: fingerprints by id.
fn run(folder: &Path, crash_at: Option<&str>, acknowledgements: usize) -> BTreeMap<String, String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child_that_is_killed", "--nocapture"]).env(FOLDER, folder);
    if let Some(point) = crash_at {
        command.env(CRASH_AT, point);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let parse = |line: String| {
        let (_, rest) = line.split_once("ack ")?;
        let (id, fingerprint) = rest.split_once(' ')?;
        (fingerprint.len() == 71).then(|| (id.to_owned(), fingerprint.to_owned()))
    };
    let mut said: BTreeMap<String, String> =
        lines.by_ref().map_while(Result::ok).filter_map(parse).take(acknowledgements).collect();
    let _ = child.kill();
    child.wait().unwrap();
    said.extend(lines.map_while(Result::ok).filter_map(parse));
    said
}

/// Log, archive and index agree, and hold everything that was said.
fn check(domain: &TrustChain, said: &BTreeMap<String, String>, size_before: u64) -> u64 {
    let mut leaves = Vec::new();
    let mut after = None;
    loop {
        let page = domain.certificates(&CertificateFilter::default(), after.as_ref(), 1000).unwrap();
        after = page.items.last().map(|it| it.record.id.clone());
        leaves.extend(page.items.into_iter().filter(|it| it.record.log_index.is_some()));
        if !page.more {
            break;
        }
    }
    let size = domain.log().head().size;
    assert!(size >= size_before, "the tree never shrinks");
    // The node's own certificates are in the log as well; every entry has its certificate.
    assert_eq!(leaves.len() as u64, size);
    for leaf in &leaves {
        let entry = domain.log().entry(leaf.record.log_index.unwrap()).unwrap();
        let der = domain.certificate_der(&leaf.record.id).unwrap();
        let certificate = hypermesh_pki::Certificate::from_der(&der).unwrap();
        let promised = hypermesh_pki::Certificate::from_der(&entry.precert).unwrap();
        assert_eq!(certificate.serial_hex(), promised.serial_hex());
        assert_eq!(certificate.fingerprint(), leaf.record.fingerprint);
    }
    for (id, fingerprint) in said {
        let leaf = leaves.iter().find(|it| it.record.id.as_str() == id);
        assert_eq!(leaf.map(|it| &it.record.fingerprint), Some(fingerprint), "{id}");
    }
    if let Some(last) = leaves.last() {
        let validation = domain.validate(&last.record.id, &ValidateRequest::default()).unwrap();
        assert!(validation.valid, "{:?}", validation.rules);
    }
    size
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_out_survives_kills_and_what_was_promised_is_finished() {
    let folder = TempDir::new().unwrap();
    let mut said = BTreeMap::new();
    let mut size = 0;
    for (crash_at, count) in [
        (None, 40),
        (Some("issue.logged:20"), usize::MAX),
        (Some("issue.finished:9"), usize::MAX),
        (Some("issue.archived:30"), usize::MAX),
        (None, 150),
    ] {
        said.extend(run(folder.path(), crash_at, count));
        let domain = open(folder.path()).await;
        size = check(&domain, &said, size);
        domain.stop().await.unwrap();
    }
    assert!(size > 200 && said.len() > 200, "{size} {}", said.len());
    let domain = open(folder.path()).await;
    let audit = hypermesh_ctlog::audit(&folder.path().join("trustchain/log"), &domain.log_key_der());
    assert_eq!(audit.unwrap().head.size, size);
    domain.stop().await.unwrap();
}
