//! Accounts (RFC 8555, 7.3): made, found, changed, given up.

use super::request::must_be_valid;
use super::{Acme, Post, made, paths};
use crate::id::AccountId;
use crate::jwk::Jwk;
use crate::jws::binds;
use crate::problem::{Problem, ProblemKind};
use crate::record::{Account, AccountKey, AccountStatus};
use crate::reply::Reply;
use crate::store::{ABSENT, Change, StoreError};
use serde_json::{Map, Value, json};

/// Contacts of one account.
const MAX_CONTACTS: usize = 10;
/// Bytes of one contact; RFC 5321 knows addresses of up to 254.
const MAX_CONTACT: usize = 254 + "mailto:".len();

impl Acme {
    /// `POST` to newAccount: makes an account (201), or finds the one that the key has (200).
    pub async fn new_account(&self, post: &Post<'_>) -> Reply {
        self.finish(self.make_account(post).await)
    }

    /// `POST` to an account: shows it, changes its contacts, or gives it up for ever.
    pub async fn account(&self, id: &str, post: &Post<'_>) -> Reply {
        self.finish(self.change_account(id, post).await)
    }

    async fn make_account(&self, post: &Post<'_>) -> Result<Reply, Problem> {
        let url = self.urls().of(paths::NEW_ACCOUNT);
        let opened = self.by_key(post, &url)?;
        let payload = opened.object()?;
        let key = opened.who;
        if let Some(found) = self.account_with(&key).await? {
            return Ok(self.account_reply(200, &found));
        }
        if flag(&payload, "onlyReturnExisting")? {
            return Err(Problem::new(ProblemKind::AccountDoesNotExist, "there is no account with this key"));
        }
        let external = self.external(&payload, &key, &url)?;
        let terms_agreed = flag(&payload, "termsOfServiceAgreed")?;
        if let (Some(terms), false) = (&self.inner.settings.terms_of_service, terms_agreed) {
            let detail = format!("the terms of service at {terms} must be agreed to");
            return Err(Problem::new(ProblemKind::UserActionRequired, detail));
        }
        let contact = contacts(&payload)?.unwrap_or_default();
        if self.store().accounts().await? >= self.inner.settings.limits.accounts {
            return Err(Problem::limited("there are as many accounts as the server takes", 3600));
        }
        let id = made(AccountId::random())?;
        let owner = AccountKey { thumbprint: key.thumbprint(), account: id.clone() };
        let (status, created) = (AccountStatus::Valid, self.now());
        let account = Account { id, key, status, contact, terms_agreed, external, created };
        let changes = vec![Change::Account(account.clone(), ABSENT), Change::Key(owner, ABSENT)];
        match self.store().commit(changes).await {
            Ok(()) => Ok(self.account_reply(201, &account)),
            // Another request with this key was faster; the account is the same.
            Err(StoreError::Conflict) => {
                let found = self.account_with(&account.key).await?.ok_or(StoreError::Conflict)?;
                Ok(self.account_reply(200, &found))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn account_with(&self, key: &Jwk) -> Result<Option<Account>, Problem> {
        let Some(owner) = self.store().key(&key.thumbprint()).await? else { return Ok(None) };
        let account = self.store().account(&owner.record.account).await?;
        if let Some(account) = &account {
            must_be_valid(&account.record)?;
        }
        Ok(account.map(|account| account.record))
    }

    /// The account elsewhere that a new one is bound to.
    fn external(
        &self,
        payload: &Map<String, Value>,
        key: &Jwk,
        url: &str,
    ) -> Result<Option<String>, Problem> {
        let bound = payload.get("externalAccountBinding");
        let Some(external) = &self.inner.settings.external else {
            return match bound {
                None => Ok(None),
                Some(_) => Err(Problem::malformed("accounts are not bound to others here")),
            };
        };
        match bound {
            None if external.required => {
                let detail = "an account must be bound to an external one, by `externalAccountBinding`";
                Err(Problem::new(ProblemKind::ExternalAccountRequired, detail))
            }
            None => Ok(None),
            Some(Value::Object(binding)) => {
                let id = binds(binding, key, url, external.keys.as_ref()).map_err(|why| {
                    Problem::unauthorized(format!("the external account binding does not bind: {why}"))
                })?;
                Ok(Some(id))
            }
            Some(_) => Err(Problem::malformed("`externalAccountBinding` is no object")),
        }
    }

    async fn change_account(&self, id: &str, post: &Post<'_>) -> Result<Reply, Problem> {
        let id = AccountId::parse(id).map_err(|_| Problem::not_found("account"))?;
        let opened = self.by_account(post, &self.urls().account(&id)).await?;
        if opened.who.record.id != id {
            return Err(Problem::unauthorized("this is another account"));
        }
        if opened.only_reads() {
            return Ok(self.account_reply(200, &opened.who.record));
        }
        let payload = opened.object()?;
        let (mut account, version) = (opened.who.record, opened.who.version);
        match payload.get("status").map(|status| status.as_str()) {
            // RFC 8555, 7.3.2: a status that does not change is no change.
            None | Some(Some("valid")) => {}
            Some(Some("deactivated")) => account.status = AccountStatus::Deactivated,
            Some(_) => {
                return Err(Problem::malformed("an account's status can be set to `deactivated` only"));
            }
        }
        if let Some(contact) = contacts(&payload)? {
            account.contact = contact;
        }
        account.terms_agreed |= flag(&payload, "termsOfServiceAgreed")?;
        self.store().commit(vec![Change::Account(account.clone(), version)]).await?;
        Ok(self.account_reply(200, &account))
    }

    pub(super) fn account_reply(&self, status: u16, account: &Account) -> Reply {
        let document = json!({
            "status": account.status,
            "contact": account.contact,
            "termsOfServiceAgreed": account.terms_agreed,
            "orders": self.urls().orders(&account.id, None),
        });
        Reply::json(status, &document).at(self.urls().account(&account.id))
    }
}

/// A member that is true, false or missing.
fn flag(payload: &Map<String, Value>, name: &str) -> Result<bool, Problem> {
    match payload.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(Problem::malformed(format!("{name:?} is neither true nor false"))),
    }
}

/// The contacts, if the payload has any say about them.
fn contacts(payload: &Map<String, Value>) -> Result<Option<Vec<String>>, Problem> {
    let list = match payload.get("contact") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(Problem::malformed("`contact` is no list")),
    };
    if list.len() > MAX_CONTACTS {
        return Err(Problem::new(ProblemKind::InvalidContact, format!("more than {MAX_CONTACTS} contacts")));
    }
    list.iter().map(contact).collect::<Result<_, _>>().map(Some)
}

/// One contact: a `mailto:` URL of one address without header fields (RFC 8555, 7.3).
fn contact(value: &Value) -> Result<String, Problem> {
    let text = value.as_str().ok_or_else(|| Problem::malformed("a contact is no string"))?;
    let invalid = |why: &str| Problem::new(ProblemKind::InvalidContact, format!("a contact {why}"));
    if text.len() > MAX_CONTACT {
        return Err(invalid("is longer than an address can be"));
    }
    let Some(address) = text.strip_prefix("mailto:") else {
        return Err(Problem::new(ProblemKind::UnsupportedContact, "only `mailto:` contacts are supported"));
    };
    let is_plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"?,;<>()[]\\\"@".contains(&byte))
    };
    match address.split_once('@') {
        Some((local, host)) if is_plain(local) && is_plain(host) => Ok(text.to_owned()),
        _ => Err(invalid("is not one plain mail address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(contact: Value) -> Result<Option<Vec<String>>, ProblemKind> {
        contacts(json!({ "contact": contact }).as_object().unwrap()).map_err(|problem| problem.kind)
    }

    #[test]
    fn a_contact_is_one_mail_address() {
        assert_eq!(read(json!(["mailto:a@b.test"])), Ok(Some(vec!["mailto:a@b.test".into()])));
        assert_eq!(read(json!([])), Ok(Some(Vec::new())));
        assert_eq!(read(json!(null)), Ok(None));
        assert_eq!(read(json!(["tel:1"])), Err(ProblemKind::UnsupportedContact));
        for text in
            ["mailto:", "mailto:a", "mailto:a@", "mailto:a@b,c@d", "mailto:a@b?subject=x", "mailto:a b@c"]
        {
            assert_eq!(read(json!([text])), Err(ProblemKind::InvalidContact), "{text}");
        }
        assert_eq!(read(json!(vec!["mailto:a@b"; 11])), Err(ProblemKind::InvalidContact));
        assert_eq!(read(json!([7])), Err(ProblemKind::Malformed));
        assert_eq!(read(json!("mailto:a@b")), Err(ProblemKind::Malformed));
    }
}
