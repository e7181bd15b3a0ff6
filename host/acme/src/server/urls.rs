//! Where each resource is, below the base URL.

use crate::id::{AccountId, AuthorizationId, CertificateId, OrderId};
use crate::record::ChallengeKind;

/// The paths of resources below the base URL. `{…}` stands for a name.
pub mod paths {
    /// The directory; `GET`, without a signature.
    pub const DIRECTORY: &str = "/directory";
    /// A new nonce; `HEAD` and `GET`, without a signature.
    pub const NEW_NONCE: &str = "/new-nonce";
    /// Makes or finds an account.
    pub const NEW_ACCOUNT: &str = "/new-account";
    /// Makes an order.
    pub const NEW_ORDER: &str = "/new-order";
    /// Revokes a certificate.
    pub const REVOKE_CERTIFICATE: &str = "/revoke-certificate";
    /// Gives an account another key.
    pub const KEY_CHANGE: &str = "/key-change";
    /// `/renewal-info/{certificate}`; `GET`, without a signature.
    pub const RENEWAL_INFO: &str = "/renewal-info";
    /// `/account/{account}`, and `/account/{account}/orders`.
    pub const ACCOUNT: &str = "/account";
    /// `/order/{order}`, and `/order/{order}/finalize`.
    pub const ORDER: &str = "/order";
    /// `/authorization/{authorization}`.
    pub const AUTHORIZATION: &str = "/authorization";
    /// `/challenge/{authorization}/{kind}`.
    pub const CHALLENGE: &str = "/challenge";
    /// `/certificate/{certificate}`.
    pub const CERTIFICATE: &str = "/certificate";
}

/// Makes URLs.
#[derive(Debug)]
pub(crate) struct Urls(pub(crate) String);

impl Urls {
    pub(crate) fn of(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    pub(crate) fn account(&self, id: &AccountId) -> String {
        format!("{}{}/{id}", self.0, paths::ACCOUNT)
    }

    /// The account whose URL this is.
    pub(crate) fn account_of(&self, url: &str) -> Option<AccountId> {
        let id = url.strip_prefix(&self.0)?.strip_prefix(paths::ACCOUNT)?.strip_prefix('/')?;
        AccountId::parse(id).ok()
    }

    pub(crate) fn orders(&self, id: &AccountId, after: Option<&str>) -> String {
        let cursor = after.map(|after| format!("?cursor={after}")).unwrap_or_default();
        format!("{}/orders{cursor}", self.account(id))
    }

    pub(crate) fn order(&self, id: &OrderId) -> String {
        format!("{}{}/{id}", self.0, paths::ORDER)
    }

    pub(crate) fn finalize(&self, id: &OrderId) -> String {
        format!("{}/finalize", self.order(id))
    }

    pub(crate) fn authorization(&self, id: &AuthorizationId) -> String {
        format!("{}{}/{id}", self.0, paths::AUTHORIZATION)
    }

    pub(crate) fn challenge(&self, id: &AuthorizationId, kind: ChallengeKind) -> String {
        format!("{}{}/{id}/{kind}", self.0, paths::CHALLENGE)
    }

    pub(crate) fn certificate(&self, id: &CertificateId) -> String {
        format!("{}{}/{id}", self.0, paths::CERTIFICATE)
    }
}
