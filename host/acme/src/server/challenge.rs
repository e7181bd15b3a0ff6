//! Challenges (RFC 8555, 7.5.1): a client says that it is ready, the server looks.
//!
//! Looking takes seconds, so it is a task of its own, bounded in number in all and for each account. The record says
//! `processing` before the task begins. A process that ends leaves such records behind: whoever next asks about one
//! that nobody is busy with starts it again.

use super::{Acme, Post, SOON};
use crate::id::{AccountId, AuthorizationId};
use crate::probe::{Attempt, ProbeFailure};
use crate::problem::{Problem, ProblemKind};
use crate::record::{Account, Authorization, AuthorizationStatus, Challenge, ChallengeKind, ChallengeStatus};
use crate::reply::Reply;
use crate::store::{Change, StoreError, Versioned};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How often an outcome is written anew when somebody else changes the authorization meanwhile. Each such change is one
/// request of the same account, and an authorization that is over takes none.
const ATTEMPTS: usize = 8;
/// A limit over the probe's own, so that one that hangs does not hold its place for ever.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the answer waits for an outcome: where one is found at once, a client need not ask again.
const GRACE: Duration = Duration::from_millis(500);

/// One challenge of one authorization.
type Key = (AuthorizationId, ChallengeKind);

/// The validations that run in this process, and for whom.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashMap<Key, AccountId>>);

/// A place among those that run, until it is dropped.
#[derive(Debug)]
struct Place {
    running: Arc<Running>,
    key: Key,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.map().remove(&self.key);
    }
}

impl Running {
    // Insertions and removals leave the map whole, whatever panics.
    fn map(&self) -> MutexGuard<'_, HashMap<Key, AccountId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, if there is room; `None` if this very challenge has one.
    fn enter(
        self: &Arc<Self>,
        key: Key,
        account: &AccountId,
        all: usize,
        own: usize,
    ) -> Result<Option<Place>, Problem> {
        let mut map = self.map();
        if map.contains_key(&key) {
            return Ok(None);
        }
        if map.len() >= all || map.values().filter(|other| *other == account).count() >= own {
            return Err(Problem::limited("too many validations at this time", SOON));
        }
        map.insert(key.clone(), account.clone());
        Ok(Some(Place { running: Arc::clone(self), key }))
    }
}

impl Acme {
    /// `POST` to a challenge: shows it (no payload), or begins to validate it (the payload is `{}`).
    pub async fn challenge(&self, authorization: &str, kind: &str, post: &Post<'_>) -> Reply {
        self.finish(self.answer_challenge(authorization, kind, post).await)
    }

    async fn answer_challenge(&self, id: &str, kind: &str, post: &Post<'_>) -> Result<Reply, Problem> {
        let missing = || Problem::not_found("challenge");
        let id = AuthorizationId::parse(id).map_err(|_| missing())?;
        let kind = ChallengeKind::by_name(kind).ok_or_else(missing)?;
        let opened = self.by_account(post, &self.urls().challenge(&id, kind)).await?;
        let account = &opened.who.record;
        let Versioned { record: mut authorization, version } =
            self.authorization_of(&account.id, &id).await?;
        let status = authorization.challenge(kind).ok_or_else(missing)?.status;
        if !opened.only_reads() {
            if !opened.object()?.is_empty() {
                return Err(Problem::malformed("the payload must be an empty object"));
            }
            let is_open =
                authorization.status == AuthorizationStatus::Pending && self.now() < authorization.expires;
            if is_open && status == ChallengeStatus::Pending {
                self.begin(&mut authorization, version, kind, account).await?;
            }
        }
        self.resume(&authorization, account);
        self.challenge_reply(&authorization, kind)
    }

    /// Notes that a challenge is being validated, then does it.
    async fn begin(
        &self,
        authorization: &mut Authorization,
        version: u64,
        kind: ChallengeKind,
        account: &Account,
    ) -> Result<(), Problem> {
        let Some(place) = self.place(authorization, kind)? else { return Ok(()) };
        if let Some(challenge) = authorization.challenge_mut(kind) {
            challenge.status = ChallengeStatus::Processing;
        }
        self.store().commit(vec![Change::Authorization(authorization.clone(), version)]).await?;
        let task = self.start(place, authorization, kind, account);
        // Whether it ended, and how, is in the record; it goes on if it did not.
        if timeout(GRACE, task).await.is_ok()
            && let Some(found) = self.store().authorization(&authorization.id).await?
        {
            *authorization = found.record;
        }
        Ok(())
    }

    /// Starts what is noted as being validated and nobody is busy with. Where there is no room, the next look will.
    pub(super) fn resume(&self, authorization: &Authorization, account: &Account) {
        if authorization.status != AuthorizationStatus::Pending || authorization.expires <= self.now() {
            return;
        }
        for challenge in &authorization.challenges {
            if challenge.status == ChallengeStatus::Processing
                && let Ok(Some(place)) = self.place(authorization, challenge.kind)
            {
                drop(self.start(place, authorization, challenge.kind, account));
            }
        }
    }

    fn place(&self, authorization: &Authorization, kind: ChallengeKind) -> Result<Option<Place>, Problem> {
        let limits = &self.inner.settings.limits;
        let (all, own) = (limits.validations, limits.validations_of_account);
        self.inner.running.enter((authorization.id.clone(), kind), &authorization.account, all, own)
    }

    fn start(
        &self,
        place: Place,
        authorization: &Authorization,
        kind: ChallengeKind,
        account: &Account,
    ) -> JoinHandle<()> {
        let attempt = authorization.challenge(kind).map(|found| self.attempt(authorization, found, account));
        let (acme, id) = (self.clone(), authorization.id.clone());
        tokio::spawn(async move {
            let Some(attempt) = attempt else { return };
            let result = timeout(PATIENCE, acme.inner.probe.prove(&attempt)).await;
            let result = result.unwrap_or_else(|_| {
                Err(ProbeFailure::new(ProblemKind::ServerInternal, "the validation took too long"))
            });
            if let Err(error) = acme.decide(&id, kind, result).await {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, authorization = %id, "a validation's outcome can't be written");
            }
            drop(place);
        })
    }

    pub(super) fn attempt(
        &self,
        authorization: &Authorization,
        challenge: &Challenge,
        account: &Account,
    ) -> Attempt {
        Attempt {
            kind: challenge.kind,
            identifier: authorization.identifier.clone(),
            wildcard: authorization.wildcard,
            token: challenge.token.clone(),
            key_authorization: format!("{}.{}", challenge.token, account.key.thumbprint()),
            account_url: self.urls().account(&account.id),
        }
    }

    /// Writes what a validation found, unless the authorization is over by then.
    async fn decide(
        &self,
        id: &AuthorizationId,
        kind: ChallengeKind,
        result: Result<(), ProbeFailure>,
    ) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.store().authorization(id).await? else { return Ok(()) };
            let Versioned { record: mut authorization, version } = found;
            if authorization.status != AuthorizationStatus::Pending {
                return Ok(());
            }
            let now = self.now();
            let Some(challenge) = authorization.challenge_mut(kind) else { return Ok(()) };
            match &result {
                Ok(()) => {
                    (challenge.status, challenge.validated) = (ChallengeStatus::Valid, Some(now));
                    authorization.status = AuthorizationStatus::Valid;
                    authorization.expires =
                        now.plus_seconds(self.inner.settings.limits.authorization_seconds);
                }
                Err(failure) => {
                    (challenge.status, challenge.error) =
                        (ChallengeStatus::Invalid, Some(failure.clone().into()));
                    authorization.status = AuthorizationStatus::Invalid;
                }
            }
            match self.store().commit(vec![Change::Authorization(authorization, version)]).await {
                Err(StoreError::Conflict) => {}
                written => return written,
            }
        }
        Err(StoreError::Conflict)
    }

    fn challenge_reply(&self, authorization: &Authorization, kind: ChallengeKind) -> Result<Reply, Problem> {
        let challenge = authorization.challenge(kind).ok_or_else(|| Problem::not_found("challenge"))?;
        let wait = (challenge.status == ChallengeStatus::Processing).then_some(SOON);
        let reply = Reply::json(200, &self.challenge_document(authorization, challenge)).retry_after(wait);
        Ok(reply.linked("up", self.urls().authorization(&authorization.id)))
    }

    pub(super) fn challenge_document(&self, authorization: &Authorization, challenge: &Challenge) -> Value {
        let mut document = json!({
            "type": challenge.kind,
            "url": self.urls().challenge(&authorization.id, challenge.kind),
            "status": challenge.status,
            "token": challenge.token,
        });
        if let Some(validated) = challenge.validated {
            document["validated"] = json!(validated);
        }
        if let Some(error) = &challenge.error {
            document["error"] = json!(error);
        }
        document
    }
}
