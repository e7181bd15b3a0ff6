//! Secrets that are shared with clients, and what each opens.

use crate::name::Name;
use crate::record::base64;
use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// Shortest secret, in octets: half of the shortest digest.
const MIN_SECRET: usize = 16;

/// The digest of a key's signatures (RFC 8945, 6). MD5 and SHA-1 aren't offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// `hmac-sha256`, which every client has.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

impl TsigAlgorithm {
    const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// The name, as clients configure it.
    pub fn text(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// The name on the wire.
    pub(super) fn name(self) -> &'static [u8] {
        match self {
            Self::HmacSha256 => b"\x0bhmac-sha256\0",
            Self::HmacSha384 => b"\x0bhmac-sha384\0",
            Self::HmacSha512 => b"\x0bhmac-sha512\0",
        }
    }

    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }

    /// Octets of a signature.
    pub(super) fn length(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

impl fmt::Display for TsigAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl FromStr for TsigAlgorithm {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let known = |algorithm: &Self| algorithm.text().eq_ignore_ascii_case(text.trim_end_matches('.'));
        Self::ALL.into_iter().find(known).ok_or(InvalidKey::Algorithm)
    }
}

/// A key that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidKey {
    /// Another digest.
    #[error("the algorithm must be hmac-sha256, hmac-sha384 or hmac-sha512")]
    Algorithm,
    /// Too easily guessed.
    #[error("the secret has fewer than {MIN_SECRET} octets")]
    Short,
    /// No base64.
    #[error("the secret is not in base64")]
    Encoding,
}

/// A secret that is shared with a client (RFC 8945), and its rights.
#[derive(Clone)]
pub struct TsigKey {
    name: Name,
    algorithm: TsigAlgorithm,
    key: hmac::Key,
    may_update: Option<Name>,
    may_transfer: bool,
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TsigKey")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm)
            .field("may_update", &self.may_update)
            .field("may_transfer", &self.may_transfer)
            .finish_non_exhaustive()
    }
}

impl TsigKey {
    /// A key that opens nothing yet.
    ///
    /// # Errors
    /// [`InvalidKey::Short`].
    pub fn new(name: Name, algorithm: TsigAlgorithm, secret: &[u8]) -> Result<Self, InvalidKey> {
        if secret.len() < MIN_SECRET {
            return Err(InvalidKey::Short);
        }
        let key = hmac::Key::new(algorithm.hmac(), secret);
        Ok(Self { name, algorithm, key, may_update: None, may_transfer: false })
    }

    /// The same with the secret in base64, as clients' configurations have it.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn from_base64(name: Name, algorithm: TsigAlgorithm, secret: &str) -> Result<Self, InvalidKey> {
        Self::new(name, algorithm, &base64(secret.trim()).ok_or(InvalidKey::Encoding)?)
    }

    /// The key with the right to change this name and those below it.
    #[must_use]
    pub fn with_updates(self, of: Name) -> Self {
        Self { may_update: Some(of), ..self }
    }

    /// The key with the right to take the whole zone.
    #[must_use]
    pub fn with_transfers(self) -> Self {
        Self { may_transfer: true, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its digest.
    pub fn algorithm(&self) -> TsigAlgorithm {
        self.algorithm
    }

    pub(super) fn key(&self) -> &hmac::Key {
        &self.key
    }

    pub(crate) fn may_update(&self, name: &Name) -> bool {
        self.may_update.as_ref().is_some_and(|scope| name.is_within(scope))
    }

    pub(crate) fn may_update_something(&self) -> bool {
        self.may_update.is_some()
    }

    pub(crate) fn may_transfer(&self) -> bool {
        self.may_transfer
    }
}

/// The keys that a server knows. Clones are the same keys; they may change while it runs.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<ArcSwap<HashMap<Name, Arc<TsigKey>>>>);

impl Keys {
    /// These keys; of two with one name the last.
    pub fn new(keys: impl IntoIterator<Item = TsigKey>) -> Self {
        let all = Self::default();
        all.replace(keys);
        all
    }

    /// Puts these in place of all.
    pub fn replace(&self, keys: impl IntoIterator<Item = TsigKey>) {
        let keys = keys.into_iter().map(|key| (key.name.clone(), Arc::new(key))).collect();
        self.0.store(Arc::new(keys));
    }

    pub(super) fn get(&self, name: &Name) -> Option<Arc<TsigKey>> {
        self.0.load().get(name).cloned()
    }
}
