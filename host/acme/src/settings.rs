//! How a server is set up, and its limits. Each limit has its reason; all are checked before a server exists.

use aws_lc_rs::hmac;
use hypermesh_model::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// Identifiers of one order. What most public authorities allow; a certificate of 100 names is about 4 KiB.
pub const MAX_IDENTIFIERS: usize = 100;
/// Bytes of a base URL, so that every URL made from it fits a header.
const MAX_BASE_URL: usize = 512;

/// What the time is. Tests turn it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Why a server can't be set up so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each message says it")]
pub enum InvalidSettings {
    #[error("the base URL {0:?} is not `http(s)://host[:port]/path` without a slash at its end")]
    BaseUrl(String),
    #[error("a limit of zero lets nobody in: {0}")]
    Limit(&'static str),
    #[error("the system gives no randomness")]
    Random,
}

/// How much a server takes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Accounts in all. A record is about 1 KiB; anybody may make accounts where no binding is required.
    pub accounts: usize,
    /// Orders of one account that have neither ended nor expired.
    pub open_orders: usize,
    /// Identifiers of one order, at most [`MAX_IDENTIFIERS`].
    pub identifiers: usize,
    /// Bytes of a request's body. A request for 100 names under an RSA key of 4096 bits is under 16 KiB.
    pub body: usize,
    /// Validations at one time, in all. Each may hold a connection for some seconds.
    pub validations: usize,
    /// Validations at one time of one account, so that none keeps all others waiting.
    pub validations_of_account: usize,
    /// Seconds that an order, and a proof that is not made yet, exist.
    pub order_seconds: u64,
    /// Seconds that a proof stands.
    pub authorization_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            accounts: 10_000,
            open_orders: 300,
            identifiers: MAX_IDENTIFIERS,
            body: 64 << 10,
            validations: 64,
            validations_of_account: 16,
            order_seconds: 7 * 86_400,
            authorization_seconds: 30 * 86_400,
        }
    }
}

/// Where the keys of external accounts are kept (RFC 8555, 7.3.4).
pub trait ExternalKeys: Send + Sync {
    /// The key for HMAC-SHA-256 under this key identifier.
    fn mac_key(&self, id: &str) -> Option<hmac::Key>;
}

impl ExternalKeys for HashMap<String, Vec<u8>> {
    fn mac_key(&self, id: &str) -> Option<hmac::Key> {
        self.get(id).map(|key| hmac::Key::new(hmac::HMAC_SHA256, key))
    }
}

/// Accounts elsewhere that accounts here are bound to.
#[derive(Clone)]
pub struct ExternalAccounts {
    /// Whether an account needs one.
    pub required: bool,
    /// Their keys.
    pub keys: Arc<dyn ExternalKeys>,
}

impl fmt::Debug for ExternalAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccounts").field("required", &self.required).finish_non_exhaustive()
    }
}

/// How a server is set up.
#[derive(Clone)]
pub struct Settings {
    /// What all its URLs begin with, without a slash at the end, e.g. `https://trust.example:8444/acme`. Requests are
    /// signed for URLs, so it must be what clients use.
    pub base_url: String,
    /// Where the terms of service are, if they must be agreed to.
    pub terms_of_service: Option<String>,
    /// A page about the authority.
    pub website: Option<String>,
    /// What CAA records call the authority.
    pub caa_identities: Vec<String>,
    /// External accounts, if there are any.
    pub external: Option<ExternalAccounts>,
    /// Limits.
    pub limits: Limits,
    /// What the time is.
    pub clock: Clock,
}

impl Settings {
    /// A server under this URL that anybody may use, with the usual limits.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            terms_of_service: None,
            website: None,
            caa_identities: Vec::new(),
            external: None,
            limits: Limits::default(),
            clock: Arc::new(Timestamp::now),
        }
    }

    /// Whether a server can be set up so.
    pub(crate) fn check(&self) -> Result<(), InvalidSettings> {
        let rest = self.base_url.strip_prefix("https://").or_else(|| self.base_url.strip_prefix("http://"));
        let is_graphic =
            self.base_url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>?#".contains(&byte));
        let has_host =
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.ends_with('/'));
        if !has_host || !is_graphic || self.base_url.len() > MAX_BASE_URL {
            return Err(InvalidSettings::BaseUrl(self.base_url.chars().take(MAX_BASE_URL).collect()));
        }
        let limits = &self.limits;
        let zero = [
            ("accounts", limits.accounts),
            ("open orders", limits.open_orders),
            ("identifiers", limits.identifiers.min(MAX_IDENTIFIERS)),
            ("bytes of a body", limits.body),
            ("validations", limits.validations),
            ("validations of an account", limits.validations_of_account),
        ];
        match zero.into_iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(InvalidSettings::Limit(name)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("base_url", &self.base_url)
            .field("terms_of_service", &self.terms_of_service)
            .field("caa_identities", &self.caa_identities)
            .field("external", &self.external)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_must_be_one_that_others_can_be_made_of() {
        for url in [
            "",
            "acme",
            "ftp://a/b",
            "http://",
            "http:///a",
            "https://a/b/",
            "https://a b/c",
            "https://a/b?c",
        ] {
            assert!(Settings::new(url).check().is_err(), "{url}");
        }
        assert_eq!(Settings::new("https://127.0.0.1:8444/acme").check(), Ok(()));
        let mut settings = Settings::new("http://[::1]:1/acme");
        assert_eq!(settings.check(), Ok(()));
        settings.limits.validations = 0;
        assert_eq!(settings.check(), Err(InvalidSettings::Limit("validations")));
    }
}
