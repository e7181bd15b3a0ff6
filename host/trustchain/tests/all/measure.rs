//! Measuring, for people: `cargo test --release -p hypermesh-trustchain -- --ignored --nocapture measure`.
//!
//! Nothing here passes or fails by a time; the comparisons with other programs are in `tests/bench`.

use crate::openssl::openssl;
use crate::{ZONE, open, server};
use hypermesh_trustchain::{IssueRequest, KeySource};
use std::fs;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CALLERS: usize = 64;
/// Certificates that are revoked.
const REVOKED: usize = 100_000;

/// A certificate request of OpenSSL's.
fn csr(folder: &TempDir) -> Option<String> {
    let names = format!("subjectAltName=DNS:bench.{ZONE}");
    let arguments = [
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "k.pem",
        "-out",
        "r.csr",
        "-subj",
        "/CN=bench",
        "-addext",
        &names,
    ];
    openssl("measure", folder.path(), &arguments)?;
    Some(fs::read_to_string(folder.path().join("r.csr")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of half a minute or more"]
async fn measure_issuing_and_a_list_of_a_hundred_thousand() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let Some(csr) = csr(&folder) else { return };
    let begun = Instant::now();
    let each = REVOKED.div_ceil(CALLERS);
    let tasks: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (domain, csr) = (domain.clone(), csr.clone());
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(each);
                let mut ids = Vec::with_capacity(each);
                for _ in 0..each {
                    let key = KeySource::Csr(csr.clone());
                    let request = IssueRequest { key, names: vec![], ..server("x") };
                    let at = Instant::now();
                    ids.push(domain.issue(request).await.unwrap().certificate.record.id);
                    times.push(at.elapsed());
                }
                (times, ids)
            })
        })
        .collect();
    let (mut times, mut ids) = (Vec::new(), Vec::new());
    for task in tasks {
        let (some_times, some_ids) = task.await.unwrap();
        times.extend(some_times);
        ids.extend(some_ids);
    }
    let taken = begun.elapsed();
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 1000];
    let rate = f64::from(u32::try_from(ids.len()).unwrap()) / taken.as_secs_f64();
    eprintln!(
        "{} certificates, {CALLERS} callers: {rate:.0}/s, p50 {:?}, p99 {:?}",
        ids.len(),
        at(500),
        at(990)
    );
    eprintln!("log: {:?}", domain.log().statistics());

    let begun = Instant::now();
    for some in ids.chunks(10_000) {
        domain.revoke_many(some, "superseded", "bench").await.unwrap();
    }
    eprintln!("{} revoked in {:?}", ids.len(), begun.elapsed());
    tokio::time::sleep(Duration::from_secs(3)).await;
    domain
        .revoke(&domain.issue(server(ZONE)).await.unwrap().certificate.record.id, "superseded", "b")
        .await
        .unwrap();
    let issuer = domain.certificate(&ids[0]).unwrap().record.issuer_id;
    let begun = Instant::now();
    let list = domain.crl(&issuer).await.unwrap();
    eprintln!("list of {} bytes: {:?}", list.der.len(), begun.elapsed());
    domain.stop().await.unwrap();
    drop(domain);
    let begun = Instant::now();
    let domain = open(folder.path()).await;
    eprintln!("start with {} certificates: {:?}", domain.stats().certificates, begun.elapsed());
    domain.stop().await.unwrap();
}
