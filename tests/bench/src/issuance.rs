//! Rows: certificates from CSRs over REST, each in the log on disk before it is signed; and a revocation list of many.
//! Beside issuing, `cfssl serve`, which keeps nothing.

use crate::Effort;
use crate::cfssl::{self, Cfssl};
use crate::error::BenchError;
use crate::post::Connection;
use crate::report::{Baseline, Goal, Row};
use crate::statistics::{milliseconds, summary};
use hypermesh_harness::Node;
use hypermesh_model::Timestamp;
use hypermesh_pki::{
    Authority, CrlContent, Csr, DistinguishedName, KeyAlgorithm, KeyError, Names, PrivateKey,
    RevocationReason, Revoked, SerialNumber,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// Callers at the same time, each with one request after the other.
const CALLERS: usize = 64;
/// Certificates a second that we want, and milliseconds for 99 of 100.
const ENOUGH: f64 = 3000.0;
const P99_MS: f64 = 50.0;
/// Entries of the revocation list, and milliseconds for it.
const REVOKED: usize = 100_000;
const LIST_MS: f64 = 100.0;
/// How long the list's authority is valid, in seconds.
const YEAR_S: u64 = 365 * 24 * 3600;
/// A tenth of the pool of requests is enough that nothing is cached by who signs.
const REQUESTS: usize = 256;

/// Where certificates are asked for, and what is sent.
struct Side {
    address: SocketAddr,
    path: &'static str,
    headers: String,
    member: &'static str,
    /// The status of a success.
    made: u16,
}

/// What was measured of one side.
#[derive(Debug, Default)]
struct Samples {
    rates: Vec<f64>,
    latencies: Vec<f64>,
}

/// Measures the rows of issuing and the one of the list.
///
/// # Errors
/// When a certificate is refused.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let requests: Vec<String> = (0..REQUESTS).map(request).collect::<Result<_, _>>().map_err(failed)?;
    let ours = Side {
        address: node.address("trustchain"),
        path: "/api/v1/certificates",
        headers: format!("authorization: Bearer {}\r\n", node.token()),
        member: "csr",
        made: 201,
    };
    let cfssl = Cfssl::start()?;
    let theirs = cfssl.as_ref().map(|cfssl| Side {
        address: cfssl.address(),
        path: cfssl::PATH,
        headers: String::new(),
        member: "certificate_request",
        made: 200,
    });
    let (mut our_samples, mut their_samples) = (Samples::default(), Samples::default());
    for _ in 0..effort.rounds {
        round(&ours, &requests, effort.span, &mut our_samples)?;
        if let Ok(theirs) = &theirs {
            round(theirs, &requests, effort.span, &mut their_samples)?;
        }
    }
    let row = |name: &str, unit, more_is_better, samples: fn(&Samples) -> &[f64], goal| Row {
        name: format!("certificates from CSRs over REST, logged and durable, {CALLERS} callers: {name}"),
        unit,
        more_is_better,
        ours: summary(samples(&our_samples)).ok_or_else(|| "there are no samples".to_owned()),
        baseline: match (&cfssl, summary(samples(&their_samples))) {
            (Ok(_), Some(theirs)) => Baseline::Other("cfssl serve, which keeps nothing".into(), theirs),
            (Ok(_), None) => Baseline::None("there are no samples".into()),
            (Err(reason), _) => Baseline::None(reason.clone()),
        },
        goals: vec![goal],
    };
    Ok(vec![
        row("rate", "/s", true, |samples| &samples.rates, Goal::AtLeast(ENOUGH)),
        row("time of each", "ms", false, |samples| &samples.latencies, Goal::P99AtMost(P99_MS)),
        list(effort)?,
    ])
}

fn failed(error: KeyError) -> BenchError {
    BenchError::Unexpected(format!("making a key: {error}"))
}

/// A request for a name of the node's zone, PEM.
fn request(number: usize) -> Result<String, KeyError> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
    let name = format!("bench-{number}.hypermesh.network");
    let names = Names::of_dns([name.clone()]).expect("a name of the zone");
    let csr = Csr::sign(&key, &DistinguishedName::common(&name).expect("a name"), &names)?;
    Ok(Csr::to_pem(&csr))
}

fn round(side: &Side, requests: &[String], span: Duration, samples: &mut Samples) -> Result<(), BenchError> {
    let begun = Instant::now();
    let until = begun + span;
    let work = |caller: usize| -> Result<Vec<f64>, BenchError> {
        let mut connection = Connection::open(side.address)?;
        let mut took = Vec::new();
        for csr in requests.iter().cycle().skip(caller * requests.len() / CALLERS) {
            if Instant::now() >= until {
                break;
            }
            let body = json!({ side.member: csr }).to_string();
            let asked = Instant::now();
            let (status, answer) = connection.post(side.path, &side.headers, &body)?;
            took.push(milliseconds(asked.elapsed()));
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            if status != side.made || answer.get("success") == Some(&Value::Bool(false)) {
                return Err(BenchError::Unexpected(format!("no certificate: {status} {answer}")));
            }
        }
        Ok(took)
    };
    let times: Result<Vec<Vec<f64>>, BenchError> = thread::scope(|scope| {
        let work = &work;
        let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || work(caller))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(BenchError::Unexpected("a caller panicked".into())))
        };
        callers.into_iter().map(join).collect()
    });
    let times = times?.concat();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
    samples.rates.push(times.len() as f64 / begun.elapsed().as_secs_f64());
    samples.latencies.extend(times);
    Ok(())
}

/// A list of many, signed.
fn list(effort: &Effort) -> Result<Row, BenchError> {
    let unexpected =
        |error: &dyn std::fmt::Display| BenchError::Unexpected(format!("signing a list: {error}"));
    let now = Timestamp::now();
    let later = now.plus_seconds(YEAR_S);
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(failed)?;
    let subject = DistinguishedName::common("list").map_err(|error| unexpected(&error))?;
    let serial = || SerialNumber::generate().map_err(|error| unexpected(&error));
    let root =
        Authority::new_root(&subject, key, serial()?, now, later).map_err(|error| unexpected(&error))?;
    let revoked: Vec<Revoked> = (0..REVOKED)
        .map(|_| Ok(Revoked { serial: serial()?, at: now, reason: RevocationReason::KeyCompromise }))
        .collect::<Result<_, BenchError>>()?;
    let mut took = Vec::new();
    for _ in 0..effort.rounds * 5 {
        let content =
            CrlContent { number: 1, this_update: now, next_update: later, entries: revoked.iter().cloned() };
        let begun = Instant::now();
        root.sign_crl(content).map_err(|error| unexpected(&error))?;
        took.push(milliseconds(begun.elapsed()));
    }
    Ok(Row {
        name: format!("a revocation list of {REVOKED} certificates, signed"),
        unit: "ms",
        more_is_better: false,
        ours: summary(&took).ok_or_else(|| "there are no samples".to_owned()),
        baseline: Baseline::None(String::new()),
        goals: vec![Goal::AtMost(LIST_MS)],
    })
}
