//! The certificates of issuers: a file each, named by fingerprint, all of them in memory. They are few.

use super::files::create_whole;
use super::unpoisoned;
use crate::entry::MAX_CERTIFICATE_BYTES;
use crate::error::LogError;
use crate::merkle::{Hash, sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

/// Fingerprints and certificates.
pub(crate) type Known = HashMap<Hash, Arc<[u8]>>;

/// The issuers of one log.
#[derive(Debug)]
pub(crate) struct Issuers {
    folder: PathBuf,
    known: RwLock<Known>,
}

impl Issuers {
    pub(super) fn load(folder: &Path) -> Result<Self, LogError> {
        Ok(Self { folder: folder.to_path_buf(), known: RwLock::new(load_issuers(folder)?) })
    }

    pub(super) fn get(&self, fingerprint: &Hash) -> Option<Arc<[u8]>> {
        unpoisoned(self.known.read()).get(fingerprint).cloned()
    }

    pub(super) fn know_all(&self, chain: &[Hash]) -> Result<(), LogError> {
        let known = unpoisoned(self.known.read());
        match chain.iter().find(|fingerprint| !known.contains_key(*fingerprint)) {
            Some(unknown) => Err(LogError::UnknownIssuer { fingerprint: hex(unknown) }),
            None => Ok(()),
        }
    }

    pub(super) fn add(&self, certificate: &[u8]) -> Result<Hash, LogError> {
        let bytes = certificate.len();
        if bytes == 0 || bytes > MAX_CERTIFICATE_BYTES {
            return Err(LogError::IssuerSize { bytes });
        }
        let fingerprint = sha256(certificate);
        let mut known = unpoisoned(self.known.write());
        if let Entry::Vacant(place) = known.entry(fingerprint) {
            create_whole(&self.folder.join(format!("{}.cer", hex(&fingerprint))), certificate)?;
            place.insert(certificate.into());
        }
        Ok(fingerprint)
    }
}

/// Reads every issuer of a log; each must be what its name says. What a crash left unfinished is not one yet.
pub(crate) fn load_issuers(folder: &Path) -> Result<Known, LogError> {
    let failed = |path: &Path, error| LogError::io("read", path, error);
    let mut known = Known::new();
    for item in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let path = item.map_err(|error| failed(folder, error))?.path();
        if path.extension().is_some_and(|extension| extension == "new") {
            continue;
        }
        let certificate = fs::read(&path).map_err(|error| failed(&path, error))?;
        let fingerprint = sha256(&certificate);
        if path.file_name().is_none_or(|name| *name != *format!("{}.cer", hex(&fingerprint))) {
            return Err(LogError::corrupt(&path, "its name is not its fingerprint"));
        }
        known.insert(fingerprint, certificate.into());
    }
    Ok(known)
}

fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
