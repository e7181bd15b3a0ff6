//! Where records are kept: the interface.
//!
//! Reads are of one record by its name. Writes are batches that are applied as a whole or not at all, each change on
//! condition that the record is still at the version it was read at. So two requests that race are two commits, of
//! which one is a [`StoreError::Conflict`]. When a commit returns, its changes are durable and visible to every read.

mod memory;

use crate::id::{AccountId, AuthorizationId, CertificateId, OrderId};
use crate::record::{Account, AccountKey, Authorization, Certificate, Order};
use async_trait::async_trait;
use hypermesh_model::Timestamp;
pub use memory::MemoryStore;
use thiserror::Error;

/// The version of a record that does not exist.
pub const ABSENT: u64 = 0;

/// A record and which version of it this is: 1 or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<R> {
    /// It.
    pub record: R,
    /// Changes with every commit of it.
    pub version: u64,
}

/// One change of a batch. A put carries the version that it is made of ([`ABSENT`] for a new record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Puts an account under its name.
    Account(Account, u64),
    /// Puts a key under its thumbprint.
    Key(AccountKey, u64),
    /// Removes the key with this thumbprint.
    RemoveKey(String),
    /// Puts an order under its name.
    Order(Order, u64),
    /// Puts an authorization under its name.
    Authorization(Authorization, u64),
    /// Puts a certificate under its name.
    Certificate(Certificate, u64),
}

/// Why nothing was read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A record is not at the version that a change was made of. Nothing was written.
    #[error("a record was changed meanwhile")]
    Conflict,
    /// There is no room. Nothing was written.
    #[error("the store is full")]
    Full,
    /// It failed.
    #[error("the store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keeps the records.
#[async_trait]
pub trait Store: Send + Sync {
    /// An account by its name.
    ///
    /// # Errors
    /// [`StoreError::Failed`], as all reads.
    async fn account(&self, id: &AccountId) -> Result<Option<Versioned<Account>>, StoreError>;

    /// Whose key it is, by its thumbprint.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn key(&self, thumbprint: &str) -> Result<Option<Versioned<AccountKey>>, StoreError>;

    /// How many accounts there are.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn accounts(&self) -> Result<usize, StoreError>;

    /// An order by its name.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn order(&self, id: &OrderId) -> Result<Option<Versioned<Order>>, StoreError>;

    /// The orders of an account in the order of their names, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn orders(
        &self,
        account: &AccountId,
        after: Option<&OrderId>,
        limit: usize,
    ) -> Result<Vec<Order>, StoreError>;

    /// How many orders of an account are open or processing and expire after `now`.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn open_orders(&self, account: &AccountId, now: Timestamp) -> Result<usize, StoreError>;

    /// An authorization by its name.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn authorization(
        &self,
        id: &AuthorizationId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError>;

    /// The authorizations of an account that are valid at `now`.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn valid_authorizations(
        &self,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Vec<Authorization>, StoreError>;

    /// A certificate by its name.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn certificate(&self, id: &CertificateId) -> Result<Option<Versioned<Certificate>>, StoreError>;

    /// Writes all changes or none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// Removes orders and authorizations that expired, and certificates that ended, before `now`. Says how many.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError>;
}
