//! Who asks, and for what: from a body to an account or a key.
//!
//! The cheap checks come first and the nonce last, so that nobody can use up another's: content type and size, form,
//! algorithm, URL, kind of signer; then the account is looked up, the signature verified, the nonce spent.

use super::{Acme, Post, SOON};
use crate::json;
use crate::jwk::Jwk;
use crate::jws::{Jws, JwsError, Signer};
use crate::nonce::NonceError;
use crate::problem::{ALGORITHMS, Problem, ProblemKind};
use crate::record::{Account, AccountStatus};
use crate::store::Versioned;
use serde_json::{Map, Value};

/// A request whose signature and nonce are right.
#[derive(Debug)]
pub(super) struct Opened<W> {
    pub(super) who: W,
    pub(super) payload: Vec<u8>,
}

/// Who may sign a request.
#[derive(Debug)]
pub(super) enum Who {
    Key(Jwk),
    Account(Versioned<Account>),
}

impl<W> Opened<W> {
    /// Whether it only reads (POST-as-GET, RFC 8555, 6.3).
    pub(super) fn only_reads(&self) -> bool {
        self.payload.is_empty()
    }

    /// Refuses what should only read and does not.
    pub(super) fn reading(self) -> Result<W, Problem> {
        if self.only_reads() {
            Ok(self.who)
        } else {
            Err(Problem::malformed("the payload must be empty here"))
        }
    }

    /// The payload as an object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Problem> {
        json::parse_object(&self.payload)
            .map_err(|why| Problem::malformed(format!("the payload is wrong: {why}")))
    }
}

impl Acme {
    /// Opens a request that an account signs.
    pub(super) async fn by_account(
        &self,
        post: &Post<'_>,
        url: &str,
    ) -> Result<Opened<Versioned<Account>>, Problem> {
        let jws = self.form(post, url)?;
        let Signer::Id(id) = &jws.signer else {
            return Err(Problem::malformed("this request is signed by an account, which `kid` names"));
        };
        let account = self.account_named(id).await?;
        self.verify(&jws, &account.record.key)?;
        Ok(Opened { who: account, payload: jws.payload })
    }

    /// Opens a request that a key signs which is in it.
    pub(super) fn by_key(&self, post: &Post<'_>, url: &str) -> Result<Opened<Jwk>, Problem> {
        let jws = self.form(post, url)?;
        let Signer::Key(key) = &jws.signer else {
            return Err(Problem::malformed("this request is signed by a key, which `jwk` holds"));
        };
        self.verify(&jws, key)?;
        Ok(Opened { who: key.clone(), payload: jws.payload })
    }

    /// Opens a request that either signs.
    pub(super) async fn by_either(&self, post: &Post<'_>, url: &str) -> Result<Opened<Who>, Problem> {
        let jws = self.form(post, url)?;
        let who = match &jws.signer {
            Signer::Key(key) => Who::Key(key.clone()),
            Signer::Id(id) => Who::Account(self.account_named(id).await?),
        };
        let key = match &who {
            Who::Key(key) => key,
            Who::Account(account) => &account.record.key,
        };
        self.verify(&jws, key)?;
        Ok(Opened { who, payload: jws.payload })
    }

    /// What can be checked without looking anything up.
    fn form(&self, post: &Post<'_>, url: &str) -> Result<Jws, Problem> {
        let is_jose =
            post.content_type.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/jose+json"));
        if !is_jose {
            return Err(Problem::malformed("the content type must be application/jose+json").with_status(415));
        }
        let limit = self.inner.settings.limits.body;
        if post.body.len() > limit {
            return Err(Problem::malformed(format!("the body is larger than {limit} bytes")).with_status(413));
        }
        let jws = Jws::parse(post.body).map_err(problem_of)?;
        if !ALGORITHMS.contains(&jws.algorithm.as_str()) {
            let name: String = jws.algorithm.chars().take(16).collect();
            return Err(bad_algorithm(format!("the algorithm {name:?} is not accepted")));
        }
        if jws.url != url {
            return Err(Problem::unauthorized(format!("the request is signed for another URL than {url}")));
        }
        if jws.nonce.is_none() {
            return Err(Problem::new(ProblemKind::BadNonce, "the request has no nonce"));
        }
        Ok(jws)
    }

    async fn account_named(&self, url: &str) -> Result<Versioned<Account>, Problem> {
        let unknown = || Problem::new(ProblemKind::AccountDoesNotExist, "there is no such account");
        let id = self.urls().account_of(url).ok_or_else(unknown)?;
        let account = self.store().account(&id).await?.ok_or_else(unknown)?;
        must_be_valid(&account.record)?;
        Ok(account)
    }

    fn verify(&self, jws: &Jws, key: &Jwk) -> Result<(), Problem> {
        verify(jws, key)?;
        let nonce = jws.nonce.as_deref().unwrap_or_default();
        self.inner.nonces.spend(nonce, self.now()).map_err(|error| match error {
            NonceError::Unknown => Problem::new(ProblemKind::BadNonce, "the nonce is unknown or too old"),
            NonceError::Used => Problem::new(ProblemKind::BadNonce, "the nonce was used before"),
            NonceError::Full => Problem::limited("too many requests at this time", SOON),
        })
    }
}

/// Whether the key signed the request, with its own algorithm.
pub(super) fn verify(jws: &Jws, key: &Jwk) -> Result<(), Problem> {
    if jws.algorithm != key.algorithm() {
        return Err(bad_algorithm(format!("the key signs with {}", key.algorithm())));
    }
    if !key.verifies(&jws.signed, &jws.signature) {
        return Err(Problem::malformed("the signature is not the key's"));
    }
    Ok(())
}

/// Refuses an account that was given up or taken away (RFC 8555, 7.3.6).
pub(super) fn must_be_valid(account: &Account) -> Result<(), Problem> {
    let what = match account.status {
        AccountStatus::Valid => return Ok(()),
        AccountStatus::Deactivated => "deactivated",
        AccountStatus::Revoked => "revoked",
    };
    Err(Problem::unauthorized(format!("the account is {what}")).with_status(401))
}

/// What a client is told about a body that is no signed request.
pub(super) fn problem_of(error: JwsError) -> Problem {
    match error {
        JwsError::Key(why) => Problem::new(ProblemKind::BadPublicKey, why.to_string()),
        JwsError::Body(_)
        | JwsError::Member(_)
        | JwsError::Unknown(_)
        | JwsError::Encoding(_)
        | JwsError::Header(_)
        | JwsError::HeaderMember(_)
        | JwsError::Extension(_)
        | JwsError::Signer => Problem::malformed(error.to_string()),
    }
}

fn bad_algorithm(detail: String) -> Problem {
    Problem::new(ProblemKind::BadSignatureAlgorithm, detail)
}
