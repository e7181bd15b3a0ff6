//! The first start, and every other: the authorities that there are, and those that are missing.
//!
//! | there is | then |
//! |---|---|
//! | a row and its certificate | it is as the row says |
//! | a certificate without a row | taken in: a root; of the intermediates with a key the newest signs, the others retire |
//! | a row without its certificate | an error: the folder was changed by hand |
//! | no root | one is made, for ten years |
//! | no intermediate that signs | one is made, for a year; that takes the root's key |
//!
//! Key before certificate before row: a crash in between leaves a key that nothing names, or a pair that is taken in.

use super::{Ca, Issuer, urls};
use crate::error::TrustError;
use crate::files::write_whole;
use crate::keys::KeyFolder;
use crate::records::{AuthorityRecord, AuthorityState};
use crate::settings::Settings;
use hypermesh_model::{CertificateId, Timestamp, TrustLevel};
use hypermesh_pki::{
    Authority, BACKDATE_S, CaOrder, Certificate, DistinguishedName, KeyAlgorithm, PrivateKey, SerialNumber,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DAY: u64 = 86_400;
/// How long a root is valid: ten years.
const ROOT_SECONDS: u64 = 3653 * DAY;
/// How long an intermediate is valid: a year.
const INTERMEDIATE_SECONDS: u64 = 365 * DAY;

/// Where authorities are kept.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) folder: PathBuf,
}

impl Files {
    fn certificate(&self, id: &CertificateId) -> PathBuf {
        self.folder.join(format!("{id}.pem"))
    }

    /// Where an authority's newest list is.
    pub(crate) fn crl(&self, id: &CertificateId) -> PathBuf {
        self.folder.join(format!("{id}.crl"))
    }

    fn read(&self) -> Result<Vec<Certificate>, TrustError> {
        let fault = |e: std::io::Error| TrustError::internal("reading the authorities' certificates")(e);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            if path.extension().is_some_and(|end| end == "pem") {
                found.push(read_certificate(&path)?);
            }
        }
        found.sort_by_key(Certificate::not_before);
        Ok(found)
    }
}

fn read_certificate(path: &Path) -> Result<Certificate, TrustError> {
    let text =
        fs::read_to_string(path).map_err(TrustError::internal("reading an authority's certificate"))?;
    Certificate::from_pem(&text).map_err(TrustError::internal("reading an authority's certificate"))
}

pub(crate) fn id_of(certificate: &Certificate) -> Result<CertificateId, TrustError> {
    CertificateId::parse(certificate.serial_hex()).map_err(TrustError::internal("naming a certificate"))
}

/// Reads or makes the authorities, and says which rows are to be written. Blocks: deriving the keys' key is slow by design.
pub(crate) fn open(
    settings: &Settings,
    files: &Files,
    keys: &KeyFolder,
    records: &[AuthorityRecord],
    now: Timestamp,
) -> Result<(Ca, Vec<AuthorityRecord>), TrustError> {
    let mut issuers = Vec::new();
    for certificate in files.read()? {
        let id = id_of(&certificate)?;
        let level = if certificate.is_self_signed() { TrustLevel::Root } else { TrustLevel::Intermediate };
        let record = records.iter().find(|record| record.id == id);
        let issuer = Issuer {
            created_at: record.map_or(certificate.not_before(), |record| record.created_at),
            // Without a row nothing says that it signs; the newest is chosen below.
            state: record.map_or(AuthorityState::Retiring, |record| record.state),
            id,
            level,
            certificate,
            authority: None,
        };
        issuers.push(issuer);
    }
    if let Some(lost) = records.iter().find(|record| issuers.iter().all(|issuer| issuer.id != record.id)) {
        let detail =
            format!("the certificate of the authority {} is gone from {}", lost.id, files.folder.display());
        return Err(TrustError::internal("reading the authorities")(detail));
    }
    let (roots, mut intermediates): (Vec<_>, Vec<_>) =
        issuers.into_iter().partition(|issuer| issuer.level == TrustLevel::Root);
    let (root, mut root_key) = match roots.into_iter().next_back() {
        Some(root) => (Issuer { state: AuthorityState::Active, ..root }, None),
        None => make_root(settings, files, keys, now).map(|(root, key)| (root, Some(key)))?,
    };
    intermediates.retain(|issuer| issuer.certificate.is_signed_by(root.certificate.public_key()));
    for issuer in &mut intermediates {
        if issuer.state != AuthorityState::Retired {
            issuer.authority = load(keys, issuer)?;
        }
    }
    choose_active(&mut intermediates, now);
    if intermediates.iter().all(|issuer| issuer.state != AuthorityState::Active) {
        let root_authority = match root_key.take() {
            Some(authority) => authority,
            None => root_authority(keys, &root)?,
        };
        let made = make_intermediate(settings, files, keys, &root_authority, now)?;
        intermediates.push(Issuer { state: AuthorityState::Active, ..made });
    }
    let ca = assemble(root, intermediates)?;
    let rows = ca.all().map(|issuer| row(issuer)).filter(|row| !records.contains(row)).collect();
    Ok((ca, rows))
}

/// Without rows, the newest intermediate with a key signs.
fn choose_active(intermediates: &mut [Issuer], now: Timestamp) {
    if intermediates.iter().any(|issuer| issuer.state == AuthorityState::Active) {
        return;
    }
    let newest = intermediates
        .iter_mut()
        .filter(|issuer| issuer.authority.is_some() && issuer.state == AuthorityState::Retiring)
        .filter(|issuer| issuer.certificate.not_after() > now)
        .max_by_key(|issuer| issuer.certificate.not_before());
    if let Some(newest) = newest {
        newest.state = AuthorityState::Active;
    }
}

/// The snapshot of these authorities.
pub(super) fn assemble(root: Issuer, intermediates: Vec<Issuer>) -> Result<Ca, TrustError> {
    let intermediates: Vec<Arc<Issuer>> = intermediates.into_iter().map(Arc::new).collect();
    let signs = |issuer: &Arc<Issuer>| {
        let authority = issuer.authority.clone().filter(|_| issuer.state == AuthorityState::Active);
        authority.map(|authority| (Arc::clone(issuer), authority))
    };
    let (active, signer) = intermediates.iter().find_map(signs).ok_or_else(|| {
        TrustError::internal("reading the authorities")("the key of the intermediate that signs is gone")
    })?;
    Ok(Ca { root: Arc::new(root), intermediates, active, signer })
}

pub(super) fn row(issuer: &Issuer) -> AuthorityRecord {
    AuthorityRecord {
        id: issuer.id.clone(),
        level: issuer.level,
        state: issuer.state,
        created_at: issuer.created_at,
    }
}

fn load(keys: &KeyFolder, issuer: &Issuer) -> Result<Option<Authority>, TrustError> {
    let key = keys.load(&issuer.key_name()).map_err(TrustError::internal("reading an authority's key"))?;
    let fit = |key| Authority::from_parts(issuer.certificate.clone(), key);
    key.map(fit).transpose().map_err(TrustError::internal("reading an authority's key"))
}

/// The root with its key, if that is on this machine.
pub(super) fn root_authority(keys: &KeyFolder, root: &Issuer) -> Result<Authority, TrustError> {
    load(keys, root)?.ok_or_else(|| {
        TrustError::conflict(format!(
            "this takes the root's key, which is not on this machine; put `{}.pem` back for it",
            root.key_name()
        ))
    })
}

fn subject(settings: &Settings, what: &str, serial: &SerialNumber) -> Result<DistinguishedName, TrustError> {
    // A name of its own for each authority, so that a path by names has no two ways.
    let short: String = serial.to_string().chars().take(8).collect();
    let zone: String = settings.zone.chars().take(32).collect();
    DistinguishedName::parse(&format!("CN={zone} {what} {short},O=HyperMesh"))
        .map_err(|e| TrustError::invalid("zone", e.to_string()))
}

fn new_key() -> Result<PrivateKey, TrustError> {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(TrustError::internal("making an authority's key"))
}

fn keep(files: &Files, keys: &KeyFolder, issuer: &Issuer, key: &PrivateKey) -> Result<(), TrustError> {
    keys.save(&issuer.key_name(), key).map_err(TrustError::internal("keeping an authority's key"))?;
    let pem = issuer.certificate.pem();
    write_whole(&files.certificate(&issuer.id), pem.as_bytes())
        .map_err(TrustError::internal("keeping an authority's certificate"))
}

fn make_root(
    settings: &Settings,
    files: &Files,
    keys: &KeyFolder,
    now: Timestamp,
) -> Result<(Issuer, Authority), TrustError> {
    let serial = SerialNumber::generate().map_err(TrustError::internal("making the root"))?;
    let key = new_key()?;
    let (from, to) = (now.minus_seconds(BACKDATE_S), now.plus_seconds(ROOT_SECONDS));
    let authority =
        Authority::new_root(&subject(settings, "Root CA", &serial)?, key.clone(), serial, from, to)
            .map_err(TrustError::internal("making the root"))?;
    let root = Issuer {
        id: id_of(authority.certificate())?,
        level: TrustLevel::Root,
        certificate: authority.certificate().clone(),
        state: AuthorityState::Active,
        created_at: now,
        authority: None,
    };
    keep(files, keys, &root, &key)?;
    tracing::info!(subject = %root.certificate.subject(), "made the root certificate authority");
    Ok((root, authority))
}

/// Makes an intermediate with its key, on disk; it is not in use yet.
pub(super) fn make_intermediate(
    settings: &Settings,
    files: &Files,
    keys: &KeyFolder,
    root: &Authority,
    now: Timestamp,
) -> Result<Issuer, TrustError> {
    let serial = SerialNumber::generate().map_err(TrustError::internal("making an intermediate"))?;
    let key = new_key()?;
    let order = CaOrder {
        subject: subject(settings, "Intermediate CA", &serial)?,
        key: key.public().clone(),
        serial,
        not_before: now.minus_seconds(BACKDATE_S).max(root.certificate().not_before()),
        not_after: now.plus_seconds(INTERMEDIATE_SECONDS).min(root.certificate().not_after()),
        path_len: 0,
        constraints: None,
        urls: Some(urls(&settings.issuer_url, &id_of(root.certificate())?)),
    };
    let authority =
        root.intermediate(&order, key.clone()).map_err(TrustError::internal("making an intermediate"))?;
    let issuer = Issuer {
        id: id_of(authority.certificate())?,
        level: TrustLevel::Intermediate,
        certificate: authority.certificate().clone(),
        state: AuthorityState::Prepared,
        created_at: now,
        authority: Some(authority),
    };
    keep(files, keys, &issuer, &key)?;
    tracing::info!(subject = %issuer.certificate.subject(), "made an intermediate certificate authority");
    Ok(issuer)
}
