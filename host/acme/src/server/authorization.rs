//! Authorizations (RFC 8555, 7.5): shown, and given up.

use super::{Acme, Post, SOON};
use crate::id::{AccountId, AuthorizationId};
use crate::problem::Problem;
use crate::record::{Authorization, AuthorizationStatus, Challenge, ChallengeStatus};
use crate::reply::Reply;
use crate::store::{Change, Versioned};
use hypermesh_model::Timestamp;
use serde_json::{Value, json};

impl Acme {
    /// `POST` to an authorization: shows it, or gives it up.
    pub async fn authorization(&self, id: &str, post: &Post<'_>) -> Reply {
        self.finish(self.change_authorization(id, post).await)
    }

    async fn change_authorization(&self, id: &str, post: &Post<'_>) -> Result<Reply, Problem> {
        let id = AuthorizationId::parse(id).map_err(|_| Problem::not_found("authorization"))?;
        let opened = self.by_account(post, &self.urls().authorization(&id)).await?;
        let account = &opened.who.record;
        let Versioned { record: mut authorization, version } =
            self.authorization_of(&account.id, &id).await?;
        if !opened.only_reads() {
            let payload = opened.object()?;
            if payload.get("status").and_then(Value::as_str) != Some("deactivated") {
                return Err(Problem::malformed("an authorization's status can be set to `deactivated` only"));
            }
            match authorization.status {
                AuthorizationStatus::Pending | AuthorizationStatus::Valid => {}
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Deactivated
                | AuthorizationStatus::Revoked => {
                    return Err(Problem::malformed("the authorization is over"));
                }
            }
            authorization.status = AuthorizationStatus::Deactivated;
            self.store().commit(vec![Change::Authorization(authorization.clone(), version)]).await?;
        }
        self.resume(&authorization, account);
        Ok(self.authorization_reply(&authorization))
    }

    /// An authorization that is this account's.
    pub(super) async fn authorization_of(
        &self,
        account: &AccountId,
        id: &AuthorizationId,
    ) -> Result<Versioned<Authorization>, Problem> {
        let found = self.store().authorization(id).await?;
        let found = found.ok_or_else(|| Problem::not_found("authorization"))?;
        if &found.record.account != account {
            return Err(Problem::unauthorized("the authorization is another account's"));
        }
        Ok(found)
    }

    fn authorization_reply(&self, authorization: &Authorization) -> Reply {
        // Once it is decided, only what decided it is of interest.
        let is_open = authorization.status == AuthorizationStatus::Pending;
        let shown = |challenge: &&Challenge| is_open || challenge.status != ChallengeStatus::Pending;
        let challenges = authorization.challenges.iter().filter(shown);
        let mut document = json!({
            "identifier": authorization.identifier,
            "status": status_name(authorization, self.now()),
            "expires": authorization.expires,
            "challenges": challenges.map(|one| self.challenge_document(authorization, one)).collect::<Vec<_>>(),
        });
        // RFC 8555, 7.1.4: left out where it is false.
        if authorization.wildcard {
            document["wildcard"] = json!(true);
        }
        let is_tried =
            authorization.challenges.iter().any(|challenge| challenge.status == ChallengeStatus::Processing);
        Reply::json(200, &document).retry_after((is_open && is_tried).then_some(SOON))
    }
}

fn status_name(authorization: &Authorization, now: Timestamp) -> &'static str {
    let is_over = authorization.expires <= now;
    match authorization.status {
        AuthorizationStatus::Pending if is_over => "invalid",
        AuthorizationStatus::Pending => "pending",
        AuthorizationStatus::Valid if is_over => "expired",
        AuthorizationStatus::Valid => "valid",
        AuthorizationStatus::Invalid => "invalid",
        AuthorizationStatus::Deactivated => "deactivated",
        AuthorizationStatus::Revoked => "revoked",
    }
}
