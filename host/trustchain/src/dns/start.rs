//! Opening the zone: from the store, or as the contract wants it at the first start; signing it; serving it.

use super::updates::Gateway;
use super::{Dns, kept, served};
use crate::error::TrustError;
use crate::records::ZoneRecord;
use crate::settings::{Settings, TsigKey};
use hypermesh_dns::{
    Keys, Name, PublishedKey, RateLimit, Record, RecordData, Server, SignError, Soa, TsigAlgorithm, Zone,
    ZoneSigner, Zones,
};
use hypermesh_model::{DnsRecord, DnsRecordStatus, Timestamp, error_chain};
use hypermesh_pki::PrivateKey;
use hypermesh_store::{Batch, Store};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// How long the first records may be kept by others, seconds: a node's address may change with the day.
const START_TTL: u32 = 300;
/// Of the SOA and the name server.
const APEX_TTL: u32 = 3600;
/// RIPE-203's values for a zone whose secondaries are told nothing: refresh, retry, expire; and how long an answer that
/// there is nothing may be kept (RFC 2308 §5), seconds.
const TIMERS: (u32, u32, u32, u32) = (3600, 600, 604_800, 60);
/// The hosts of the zone at the first start, beside its apex.
const HOSTS: [&str; 2] = ["trust", "stoq"];

/// The zone's key as the server wants it.
struct Signer {
    key: PrivateKey,
    public: [u8; 64],
}

impl ZoneSigner for Signer {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signature = self.key.sign_fixed(message).map_err(|e| SignError(e.into()))?;
        signature.try_into().map_err(|_| SignError("a signature of another length".into()))
    }

    fn public_key(&self) -> [u8; 64] {
        self.public
    }
}

/// Reads the zone, or makes it, and serves it.
pub(crate) async fn open(
    settings: &Settings,
    store: &Store,
    key: PrivateKey,
    gateway: Arc<Gateway>,
) -> Result<Dns, TrustError> {
    let origin = Name::parse(&settings.zone).map_err(|e| TrustError::invalid("zone", e.to_string()))?;
    let records = store.table::<DnsRecord>().map_err(TrustError::internal("opening the zone's records"))?;
    let state = store.table::<ZoneRecord>().map_err(TrustError::internal("opening the zone's state"))?;
    let serial = match state.get(&origin.text()) {
        Some(zone) => zone.serial,
        None => {
            let mut batch = Batch::new();
            for record in first_records(&origin, &settings.addresses)? {
                batch.put(&records, kept(&record, Timestamp::now()));
            }
            batch.put(&state, ZoneRecord { id: origin.text(), serial: 1 });
            store.commit(batch).await.map_err(TrustError::internal("recording the zone"))?;
            1
        }
    };
    let mut rows = Vec::new();
    for row in records.filter(|row| row.status == DnsRecordStatus::Active) {
        match served(&row) {
            Ok(record) => rows.push(record),
            Err(error) => {
                tracing::error!(id = %row.id, error = error_chain(&error), "a record can't be served")
            }
        }
    }
    let zone = Zone::build(origin.clone(), soa(&origin, serial)?, APEX_TTL, rows)
        .map_err(TrustError::internal("building the zone from its records"))?;
    let zones = Zones::new(zone);
    let signer = signer(key)?;
    let published = PublishedKey::new(&origin, &*signer);
    let server = serve(settings, zones.clone(), signer, gateway, &origin)?;
    let addresses = server.addresses().to_vec();
    Ok(Dns {
        origin,
        zones,
        records,
        state,
        turn: tokio::sync::Mutex::new(()),
        key: published,
        server: Mutex::new(Some(server)),
        addresses,
    })
}

fn signer(key: PrivateKey) -> Result<Arc<dyn ZoneSigner>, TrustError> {
    // An uncompressed point: 4, then the two coordinates (SEC 1 §2.3.3).
    let point = key.public().key_bits().get(1..).unwrap_or_default();
    let public =
        point.try_into().map_err(|_| TrustError::internal("reading the zone's key")("it is no P-256 key"))?;
    Ok(Arc::new(Signer { key, public }))
}

fn serve(
    settings: &Settings,
    zones: Zones,
    signer: Arc<dyn ZoneSigner>,
    gateway: Arc<Gateway>,
    origin: &Name,
) -> Result<Server, TrustError> {
    let keys: Result<Vec<_>, TrustError> = settings
        .dns
        .keys
        .iter()
        .map(|key| tsig_key(key).map(|key| key.with_updates(origin.clone()).with_transfers()))
        .collect();
    let rate_limit = settings.dns.rate_limit.map(|per_second| RateLimit {
        per_second: u16::try_from(per_second).unwrap_or(u16::MAX),
        ..RateLimit::default()
    });
    Server::start(&hypermesh_dns::Settings {
        addresses: settings.dns.addresses.clone(),
        zones,
        keys: Keys::new(keys?),
        updates: Some(gateway),
        rate_limit,
        forwarder: settings.dns.forwarder,
        signer: Some(signer),
        workers: 0,
    })
    .map_err(TrustError::internal("starting the name server"))
}

fn tsig_key(key: &TsigKey) -> Result<hypermesh_dns::TsigKey, TrustError> {
    let invalid =
        |detail: String| TrustError::invalid("tsig_keys", format!("the key `{}`: {detail}", key.name));
    let algorithm = [TsigAlgorithm::HmacSha256, TsigAlgorithm::HmacSha512]
        .into_iter()
        .find(|known| known.text() == key.algorithm)
        .ok_or_else(|| invalid(format!("`{}` is neither hmac-sha256 nor hmac-sha512", key.algorithm)))?;
    let name = Name::parse(&key.name).map_err(|e| invalid(e.to_string()))?;
    hypermesh_dns::TsigKey::new(name, algorithm, &key.secret).map_err(|e| invalid(e.to_string()))
}

fn soa(origin: &Name, serial: u32) -> Result<Soa, TrustError> {
    let (refresh, retry, expire, minimum) = TIMERS;
    Ok(Soa {
        primary: child(origin, HOSTS[0])?,
        mailbox: child(origin, "hostmaster")?,
        serial,
        refresh,
        retry,
        expire,
        minimum,
    })
}

fn child(origin: &Name, label: &str) -> Result<Name, TrustError> {
    origin.child(label.as_bytes()).map_err(|e| TrustError::invalid("zone", e.to_string()))
}

/// The zone, `trust` and `stoq` at the node's addresses, and `trust` as the name server.
fn first_records(origin: &Name, addresses: &[IpAddr]) -> Result<Vec<Record>, TrustError> {
    let mut records = vec![(origin.clone(), APEX_TTL, RecordData::Ns(child(origin, HOSTS[0])?))];
    let mut hosts = vec![origin.clone()];
    for host in HOSTS {
        hosts.push(child(origin, host)?);
    }
    for host in hosts {
        for address in addresses {
            let data = match address {
                IpAddr::V4(v4) => RecordData::A(*v4),
                IpAddr::V6(v6) => RecordData::Aaaa(*v6),
            };
            records.push((host.clone(), START_TTL, data));
        }
    }
    let mut right = Vec::new();
    for (name, ttl, data) in records {
        right.push(Record::new(name, ttl, data)?);
    }
    Ok(right)
}
