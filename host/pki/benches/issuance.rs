//! What an authority does in a second on one core, and how long a list of 100,000 revocations takes.
//!
//! `request` reads and verifies a request, `issue` checks an order and signs precertificate and certificate, `list` is
//! a revocation list, `explain` judges a chain of two. Run it with `cargo bench -p hypermesh-pki`.

use criterion::{Criterion, Throughput};
use hypermesh_model::Timestamp;
use hypermesh_pki::{
    Authority, Certificate, CrlContent, Csr, DistinguishedName, IssuerUrls, KeyAlgorithm, Names, Order,
    PrivateKey, Profile, Revocation, RevocationReason, Revoked, SerialNumber, explain,
};
use std::error::Error;
use std::hint::black_box;

const DAY_S: u64 = 86_400;
const REVOKED: u64 = 100_000;

fn now() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

fn authority() -> Result<Authority, Box<dyn Error>> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
    let (subject, serial) = (DistinguishedName::common("Root")?, SerialNumber::generate()?);
    Ok(Authority::new_root(
        &subject,
        key,
        serial,
        now().minus_seconds(DAY_S),
        now().plus_seconds(900 * DAY_S),
    )?)
}

fn request() -> Result<Vec<u8>, Box<dyn Error>> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
    let subject = DistinguishedName::common("a.mesh.example")?;
    Ok(Csr::sign(&key, &subject, &Names::of_dns(["a.mesh.example", "b.mesh.example"])?)?)
}

fn issue(authority: &Authority, csr: Csr, urls: &IssuerUrls) -> Result<Certificate, Box<dyn Error>> {
    let order = Order {
        profile: Profile::Server,
        subject: csr.subject,
        names: csr.names,
        key: csr.key,
        serial: SerialNumber::generate()?,
        not_before: now(),
        not_after: now().plus_seconds(90 * DAY_S),
    };
    Ok(authority.prepare(&order, urls)?.finish(&[vec![0; 120]])?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let (authority, request) = (authority()?, request()?);
    let url = |end: &str| format!("http://127.0.0.1:8444/{end}");
    let urls = IssuerUrls { crl: url("crl"), ocsp: url("ocsp"), ca_issuers: url("ca") };
    let csr = Csr::from_der(&request)?;
    let certificate = issue(&authority, csr.clone(), &urls)?;
    let mut group = criterion.benchmark_group("pki");
    group.throughput(Throughput::Elements(1));
    group.bench_function("request", |b| b.iter(|| Csr::from_der(black_box(&request))));
    group.bench_function("issue", |b| b.iter(|| issue(&authority, black_box(csr.clone()), &urls)));
    let roots = [authority.certificate().clone()];
    group.bench_function("explain", |b| {
        b.iter(|| explain(black_box(&certificate), &[], &roots, now(), None, None, &|_| Revocation::Good));
    });
    let reason = RevocationReason::Superseded;
    let revoked: Result<Vec<Revoked>, _> = (0..REVOKED)
        .map(|_| SerialNumber::generate().map(|serial| Revoked { serial, at: now(), reason }))
        .collect();
    let revoked = revoked?;
    let (this_update, next_update) = (now(), now().plus_seconds(DAY_S));
    group.throughput(Throughput::Elements(REVOKED)).sample_size(20);
    group.bench_function("list", |b| {
        b.iter(|| {
            let entries = revoked.iter().copied();
            authority.sign_crl(CrlContent { number: 1, this_update, next_update, entries })
        });
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
