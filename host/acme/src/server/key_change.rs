//! Another key for an account (RFC 8555, 7.3.5): a request of the old key, around one of the new key.

use super::request::{problem_of, verify};
use super::{Acme, Post, paths};
use crate::json;
use crate::jwk::Jwk;
use crate::jws::{Jws, Signer};
use crate::problem::Problem;
use crate::record::{Account, AccountKey};
use crate::reply::Reply;
use crate::store::{ABSENT, Change};
use serde_json::Value;

impl Acme {
    /// `POST` to keyChange.
    pub async fn key_change(&self, post: &Post<'_>) -> Reply {
        self.finish(self.change_key(post).await)
    }

    async fn change_key(&self, post: &Post<'_>) -> Result<Reply, Problem> {
        let url = self.urls().of(paths::KEY_CHANGE);
        let opened = self.by_account(post, &url).await?;
        let (mut account, version) = (opened.who.record, opened.who.version);
        let key = self.new_key(&opened.payload, &account, &url)?;
        let thumbprint = key.thumbprint();
        if let Some(owner) = self.store().key(&thumbprint).await? {
            let location = Some(self.urls().account(&owner.record.account));
            let problem = Problem::malformed("an account has this key already").with_status(409);
            return Err(Problem { location, ..problem });
        }
        let old = account.key.thumbprint();
        account.key = key;
        let owner = AccountKey { thumbprint, account: account.id.clone() };
        let changes = vec![
            Change::Account(account.clone(), version),
            Change::Key(owner, ABSENT),
            Change::RemoveKey(old),
        ];
        self.store().commit(changes).await?;
        Ok(self.account_reply(200, &account))
    }

    /// The key that signed the inner request, if that is about this account and its present key.
    fn new_key(&self, payload: &[u8], account: &Account, url: &str) -> Result<Jwk, Problem> {
        let inner = Jws::parse(payload).map_err(problem_of)?;
        let Signer::Key(key) = &inner.signer else {
            return Err(Problem::malformed("the inner request is signed by the new key, which `jwk` holds"));
        };
        verify(&inner, key)?;
        if inner.nonce.is_some() {
            return Err(Problem::malformed("the inner request has a nonce"));
        }
        if inner.url != url {
            return Err(Problem::malformed("the inner request is signed for another URL than the outer one"));
        }
        let content = json::parse_object(&inner.payload).map_err(Problem::malformed)?;
        if content.get("account").and_then(Value::as_str) != Some(&self.urls().account(&account.id)) {
            return Err(Problem::malformed("the inner request is about another account"));
        }
        let old = content.get("oldKey").and_then(Value::as_object).map(Jwk::parse);
        if old != Some(Ok(account.key.clone())) {
            return Err(Problem::malformed("`oldKey` is not the account's key"));
        }
        Ok(key.clone())
    }
}
