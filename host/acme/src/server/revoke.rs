//! Revocation (RFC 8555, 7.6): by the account that ordered it, by one that controls all its names, or by its own key.

use super::finalize::busy;
use super::request::Who;
use super::{Acme, Post, paths};
use crate::authority::{RevocationReason, RevokeError};
use crate::base64url;
use crate::id::AccountId;
use crate::identifier::Identifier;
use crate::problem::{Problem, ProblemKind};
use crate::reply::Reply;
use crate::x509::CertificateFacts;
use serde_json::{Map, Value};

impl Acme {
    /// `POST` to revokeCert.
    pub async fn revoke_certificate(&self, post: &Post<'_>) -> Reply {
        self.finish(self.revoke(post).await)
    }

    async fn revoke(&self, post: &Post<'_>) -> Result<Reply, Problem> {
        let opened = self.by_either(post, &self.urls().of(paths::REVOKE_CERTIFICATE)).await?;
        let payload = opened.object()?;
        let text = payload.get("certificate").and_then(Value::as_str);
        let text = text.ok_or_else(|| Problem::malformed("the payload has no string `certificate`"))?;
        let der = base64url::decode(text)
            .ok_or_else(|| Problem::malformed("`certificate` is not base64url without padding"))?;
        let facts = CertificateFacts::from_der(&der)
            .map_err(|why| Problem::malformed(format!("the certificate is refused: {why}")))?;
        let reason = reason(&payload)?;
        let may = match &opened.who {
            Who::Key(key) => facts.key.as_ref() == Some(key),
            Who::Account(account) => self.may_revoke(&account.record.id, &facts).await?,
        };
        if !may {
            let detail = "neither the account nor the key may revoke this certificate";
            return Err(Problem::unauthorized(detail));
        }
        match self.inner.authority.revoke(&der, reason).await {
            Ok(()) => Ok(Reply::empty(200)),
            Err(error) => Err(problem_of(&error)),
        }
    }

    async fn may_revoke(&self, account: &AccountId, facts: &CertificateFacts) -> Result<bool, Problem> {
        if let Some(found) = self.store().certificate(&facts.id).await?
            && &found.record.account == account
        {
            return Ok(true);
        }
        let Some(names) = facts.names.as_ref().filter(|names| !names.is_empty()) else { return Ok(false) };
        let valid = self.store().valid_authorizations(account, self.now()).await?;
        let controls = |name: &Identifier| {
            valid.iter().any(|one| one.identifier == name.base() && one.wildcard == name.is_wildcard())
        };
        Ok(names.iter().all(controls))
    }
}

fn reason(payload: &Map<String, Value>) -> Result<RevocationReason, Problem> {
    let code = match payload.get("reason") {
        None | Some(Value::Null) => return Ok(RevocationReason::Unspecified),
        Some(value) => value.as_u64(),
    };
    code.and_then(RevocationReason::by_code).ok_or_else(|| {
        let detail = "the reason is one of 0, 1, 3, 4, 5 and 9 (RFC 5280, 5.3.1)";
        Problem::new(ProblemKind::BadRevocationReason, detail)
    })
}

fn problem_of(error: &RevokeError) -> Problem {
    match error {
        RevokeError::Unknown => Problem::malformed("the certificate was not issued here").with_status(404),
        RevokeError::AlreadyRevoked => Problem::new(ProblemKind::AlreadyRevoked, error.to_string()),
        RevokeError::Busy { retry_after } => busy(*retry_after),
        RevokeError::Failed(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "a certificate can't be revoked");
            Problem::internal()
        }
    }
}
