//! Who may do how much: tokens and quotas.

use crate::uri::path;
use crate::{Client, ClientError};
use hypermesh_wire::assets::Message;
use hypermesh_wire::quotas::{Quota, QuotaLimits};
use hypermesh_wire::tokens::{CreateToken, NewToken, Token};

impl Client {
    /// The tokens, without their secrets.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn tokens(&self) -> Result<Vec<Token>, ClientError> {
        self.get(&path(&["tokens"]))
    }

    /// Makes a token. Its secret is in this answer and nowhere else.
    ///
    /// # Errors
    /// A 409 problem where the name is taken; see [`ClientError`].
    pub fn create_token(&self, request: &CreateToken) -> Result<NewToken, ClientError> {
        self.post(&path(&["tokens"]), request)
    }

    /// Makes a token worthless. What its holder has stays.
    ///
    /// # Errors
    /// A 404 problem where there is none of that name; see [`ClientError`].
    pub fn revoke_token(&self, name: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["tokens", name]))
    }

    /// Every requester that holds something or has a quota.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn quotas(&self) -> Result<Vec<Quota>, ClientError> {
        self.get(&path(&["quotas"]))
    }

    /// One requester's quota, and what it holds of it.
    ///
    /// # Errors
    /// A 404 problem for a requester that nobody knows; see [`ClientError`].
    pub fn quota(&self, requester: &str) -> Result<Quota, ClientError> {
        self.get(&path(&["quotas", requester]))
    }

    /// Limits what a requester may hold. What it holds already stays.
    ///
    /// # Errors
    /// A 404 problem for a requester that nobody knows; see [`ClientError`].
    pub fn set_quota(&self, requester: &str, limits: &QuotaLimits) -> Result<Quota, ClientError> {
        self.put(&path(&["quotas", requester]), limits)
    }

    /// Lifts a requester's quota.
    ///
    /// # Errors
    /// A 404 problem where there is none; see [`ClientError`].
    pub fn remove_quota(&self, requester: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["quotas", requester]))
    }
}
