//! What a server needs around it: an authority, a clock, a table of names.

use crate::client::{Client, document};
use crate::der;
use crate::keys::{CertificateKey, encode, sha256};
use async_trait::async_trait;
use base64::Engine as _;
use hypermesh_acme::probe::{CaaRecord, NetworkProbe, Reach, ResolveError};
use hypermesh_acme::{
    Acme, Attempt, Authority, CertificateId, Identifier, IssueRequest, Issued, MemoryStore, Probe,
    ProbeFailure, Refused, RenewalWindow, Resolve, RevocationReason, RevokeError, Settings, Store,
};
use hypermesh_model::Timestamp;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) const BASE: &str = "https://acme.test:8444/acme";
pub(crate) const KEY_IDENTIFIER: [u8; 20] = [7; 20];

/// An authority that signs what it is asked to.
pub(crate) struct TestAuthority {
    key: CertificateKey,
    pub(crate) issued: Mutex<HashSet<Vec<u8>>>,
    pub(crate) requests: AtomicUsize,
    pub(crate) revoked: Mutex<HashMap<Vec<u8>, RevocationReason>>,
    /// What the next request is refused with.
    pub(crate) refusal: Mutex<Option<Refused>>,
    /// Whether it panics.
    pub(crate) panics: AtomicBool,
}

#[async_trait]
impl Authority for TestAuthority {
    fn admits(&self, identifier: &Identifier) -> Result<(), String> {
        match identifier {
            Identifier::Dns(name) if name.as_str().ends_with(".forbidden") => Err("forbidden".into()),
            Identifier::Dns(_) | Identifier::Ip(_) => Ok(()),
        }
    }

    async fn issue(&self, request: IssueRequest) -> Result<Issued, Refused> {
        let count = self.requests.fetch_add(1, Ordering::SeqCst);
        // Others get their turn here, as they do while a real one waits for its log.
        tokio::task::yield_now().await;
        assert!(!self.panics.load(Ordering::SeqCst), "told to");
        if let Some(refusal) = self.refusal.lock().unwrap().take() {
            return Err(refusal);
        }
        let names: Vec<String> = request
            .identifiers
            .iter()
            .map(|identifier| match identifier {
                Identifier::Dns(name) => format!("dns:{name}"),
                Identifier::Ip(address) => format!("ip:{address}"),
            })
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let serial = serial(u64::try_from(count + 1).unwrap());
        let extensions = [der::alternative_names(&names), der::key_identifier(&KEY_IDENTIFIER)].concat();
        let sign = |bytes: &[u8]| self.key.sign(bytes);
        let certificate_der = der::certificate(&serial, None, &spki_of(&request.csr_der), &extensions, sign);
        self.issued.lock().unwrap().insert(certificate_der.clone());
        let own = der::key_identifier(&KEY_IDENTIFIER);
        let issuer = der::certificate(&[1], Some("Test CA"), &self.key.spki(), &own, sign);
        let chain_pem = pem(&certificate_der) + &pem(&issuer);
        Ok(Issued { certificate_der, chain_pem })
    }

    async fn revoke(&self, certificate_der: &[u8], reason: RevocationReason) -> Result<(), RevokeError> {
        if !self.issued.lock().unwrap().contains(certificate_der) {
            return Err(RevokeError::Unknown);
        }
        match self.revoked.lock().unwrap().insert(certificate_der.to_vec(), reason) {
            None => Ok(()),
            Some(_) => Err(RevokeError::AlreadyRevoked),
        }
    }

    async fn renewal(&self, certificate: &CertificateId) -> Option<RenewalWindow> {
        let [start, end] = [1_000, 2_000].map(Timestamp::from_millis);
        (certificate.key_identifier() == KEY_IDENTIFIER).then_some(RenewalWindow {
            start,
            end,
            explanation_url: Some("https://acme.test/why".into()),
        })
    }
}

/// The key in a request: the third of its first part.
fn spki_of(request: &[u8]) -> Vec<u8> {
    der::children(der::children(request)[0])[2].to_vec()
}

fn pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// The serial number of the certificate that is made so manieth: positive and of minimal length.
fn serial(number: u64) -> Vec<u8> {
    [&[0x40], &number.to_be_bytes()[..]].concat()
}

/// Names and what is there.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) addresses: Mutex<HashMap<String, Vec<IpAddr>>>,
    pub(crate) texts: Mutex<HashMap<String, Vec<String>>>,
    pub(crate) caa: Mutex<HashMap<String, Vec<CaaRecord>>>,
}

impl Table {
    pub(crate) fn address(&self, name: &str, address: &str) {
        self.addresses.lock().unwrap().entry(name.into()).or_default().push(address.parse().unwrap());
    }

    pub(crate) fn text(&self, name: &str, text: String) {
        self.texts.lock().unwrap().entry(name.into()).or_default().push(text);
    }

    pub(crate) fn issue(&self, name: &str, value: &str) {
        let record = CaaRecord { flags: 0, tag: "issue".into(), value: value.into() };
        self.caa.lock().unwrap().entry(name.into()).or_default().push(record);
    }
}

#[async_trait]
impl Resolve for Table {
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if name.starts_with("broken.") {
            return Err(ResolveError::Failed("SERVFAIL".into()));
        }
        Ok(self.addresses.lock().unwrap().get(name).cloned().unwrap_or_default())
    }

    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, ResolveError> {
        let found = self.texts.lock().unwrap().get(name).cloned().unwrap_or_default();
        Ok(found.into_iter().map(String::into_bytes).collect())
    }

    async fn caa(&self, name: &str) -> Result<Vec<CaaRecord>, ResolveError> {
        Ok(self.caa.lock().unwrap().get(name).cloned().unwrap_or_default())
    }
}

/// A probe that never comes to an end.
pub(crate) struct Endless;

#[async_trait]
impl Probe for Endless {
    async fn prove(&self, _: &Attempt) -> Result<(), ProbeFailure> {
        std::future::pending().await
    }

    async fn permits(&self, _: &Attempt) -> Result<(), ProbeFailure> {
        Ok(())
    }
}

/// A server and all around it.
pub(crate) struct World {
    pub(crate) acme: Acme,
    pub(crate) authority: Arc<TestAuthority>,
    pub(crate) table: Arc<Table>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) settings: Settings,
}

pub(crate) const NOTHING_LISTENS: Reach = Reach::Loopback { http_port: 9, tls_port: 9 };

impl World {
    pub(crate) fn new() -> Self {
        Self::with(NOTHING_LISTENS, |_| {})
    }

    /// A server that validates at these ports, with settings that differ.
    pub(crate) fn with(reach: Reach, change: impl FnOnce(&mut Settings)) -> Self {
        let table = Arc::new(Table::default());
        let probe =
            NetworkProbe::new(Arc::clone(&table) as Arc<dyn Resolve>, reach, vec!["acme.test".into()]);
        Self::with_probe(Arc::new(probe), table, change)
    }

    pub(crate) fn with_probe(
        probe: Arc<dyn Probe>,
        table: Arc<Table>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let authority = Arc::new(TestAuthority {
            key: CertificateKey::new(),
            issued: Mutex::default(),
            requests: AtomicUsize::new(0),
            revoked: Mutex::default(),
            refusal: Mutex::default(),
            panics: AtomicBool::new(false),
        });
        let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
        let mut settings = Settings::new(BASE);
        let time = Arc::clone(&clock);
        settings.clock = Arc::new(move || Timestamp::from_millis(time.load(Ordering::SeqCst)));
        change(&mut settings);
        let store = Arc::new(MemoryStore::new(10_000));
        let acme = Acme::new(
            settings.clone(),
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&authority) as Arc<dyn Authority>,
            probe,
        );
        Self { acme: acme.unwrap(), authority, table, store, clock, settings }
    }

    /// Another server over the same records, as after a restart.
    pub(crate) fn restarted(&self, probe: Arc<dyn Probe>) -> Acme {
        let (store, authority) = (Arc::clone(&self.store), Arc::clone(&self.authority));
        Acme::new(self.settings.clone(), store, authority, probe).unwrap()
    }

    pub(crate) fn later(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// An order whose names are all proven, by dns-01.
    pub(crate) async fn ready(&self, client: &Client, names: &[&str]) -> Value {
        let order = client.order(names).await;
        self.prove_all(client, &order).await;
        let shown = client.get(order["url"].as_str().unwrap()).await;
        assert_eq!(shown["status"], "ready", "{shown}");
        order
    }

    pub(crate) async fn prove_all(&self, client: &Client, order: &Value) {
        for authorization in order["authorizations"].as_array().unwrap() {
            let challenge = client.challenge(authorization, "dns-01").await;
            let name = client.get(authorization.as_str().unwrap()).await["identifier"]["value"].clone();
            let text = encode(sha256(client.key_authorization(&challenge).as_bytes()));
            self.table.text(&format!("_acme-challenge.{}", name.as_str().unwrap()), text);
            let shown = client.prove(authorization, &challenge).await;
            assert_eq!(shown["status"], "valid", "{shown}");
        }
    }

    /// A certificate for these names, DER, and its key.
    pub(crate) async fn certificate(&self, client: &Client, names: &[&str]) -> (Vec<u8>, CertificateKey) {
        let order = self.ready(client, names).await;
        let key = CertificateKey::new();
        let reply = client.finalize(&order, names, &key).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        let url = document(&reply)["certificate"].clone();
        let reply = client.post_text(url.as_str().unwrap(), "").await;
        (der_of(&String::from_utf8(reply.body).unwrap()), key)
    }
}

/// The first certificate of a chain.
pub(crate) fn der_of(pem: &str) -> Vec<u8> {
    let first = pem.split("-----").nth(2).unwrap();
    let text: String = first.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

/// How RFC 9773 calls a certificate of the authority with this serial number.
pub(crate) fn renewal_name(number: u64) -> Value {
    json!(format!("{}.{}", encode(KEY_IDENTIFIER), encode(serial(number))))
}
